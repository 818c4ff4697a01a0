// Package successor shows a bucket in the forms of the original's successor (netboxlabs/pktvisor 4): its JSON of the handlers dns,
// net and pcap, and its Prometheus text. So its terminal client, its dashboards and the programs that poll it can read this agent.
//
// The tables in dns.go, net.go and pcap.go declare each of its names: the metric of ours that it is made from, or why it is missing.
// One walk over a table makes all forms. docs/successor.md lists the tables.
//
// All numbers are those of the bucket. A name whose number this agent does not count is left out, not set to 0. In a minute of
// which only a sample was analysed, tables and cardinalities count the sample, as in the successor.
//
// The functions may be called by several goroutines at once, as long as nothing changes the bucket.
package successor

import (
	"strconv"

	"pktvisor/metric"
)

// Handler is an analyzer of a policy as it was configured.
type Handler struct {
	Name string
	// Type is dns, net or pcap. Version is that of the form: "1.0", which "" also means, or "2.0".
	Type, Version string
	// Enable and Disable are groups of metrics by the successor's names, or "all". Disable applies first.
	Enable, Disable []string
	// Rows is the number of rows of its top tables; 0 means 10. Percentile hides the rows below that percentile (0 to 100) of the
	// rows that would be shown.
	Rows, Percentile int
}

// defaultRows is the number of rows of a top table unless the handler gives another.
const defaultRows = 10

// AppendHandler appends a finished bucket, or the merge of several, as the successor prints it for the handler: one member of a JSON
// object, such as "dns":{"period":{…},…}. It appends nothing if no group of metrics is enabled, if the bucket lacks the section that
// the handler shows, or if the handler is of another type.
func AppendHandler(dst []byte, b *metric.Bucket, h Handler) []byte { return AppendLive(dst, b, h, 0) }

// AppendLive is like [AppendHandler], for a bucket that includes the present minute. Rates also have the given second (Unix time) as
// "live".
func AppendLive(dst []byte, b *metric.Bucket, h Handler, second int64) []byte {
	f := formOf(&h)
	if f == nil {
		return dst
	}
	v := view{bucket: b, form: f, handler: &h, enabled: f.enabledBy(&h)}
	if !v.shown() {
		return dst
	}
	w := jsonWriter{b: dst, second: second}
	w.name(f.schema)
	w.b = append(w.b, `{"period":{"start_ts":`...)
	w.b = strconv.AppendInt(w.b, b.Start, 10)
	w.b = append(w.b, `,"length":`...)
	w.b = strconv.AppendInt(w.b, b.End-b.Start, 10)
	w.b = append(w.b, '}')
	v.walk(w.value)
	w.close(0)
	return append(w.b, '}')
}
