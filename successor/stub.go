// Package successor shows a bucket in the forms of the original's successor.
package successor

import (
	"fmt"

	"pktvisor/metric"
)

type Handler struct {
	Name             string
	Type, Version    string
	Enable, Disable  []string
	Rows, Percentile int
}

type Labels struct{ Policy, Handler, Tap, Instance string }

func AppendHandler(dst []byte, b *metric.Bucket, h Handler) []byte { return AppendLive(dst, b, h, 0) }

func AppendLive(dst []byte, b *metric.Bucket, h Handler, _ int64) []byte {
	schema := map[string]string{"dns1.0": "dns", "net1.0": "packets", "net2.0": "net", "pcap1.0": "pcap"}[h.Type+h.Version]
	if schema == "" || len(h.Disable) > 0 {
		return dst
	}
	return fmt.Appendf(dst, `%q:{"period":{"start_ts":%d,"length":%d}}`, schema, b.Start, b.End-b.Start)
}

type Exposition struct{ body []byte }

func (e *Exposition) Add(b *metric.Bucket, h Handler, l Labels) {
	if h.Type == "dns" {
		e.body = fmt.Appendf(e.body, "dns_wire_packets_total{handler=%q,policy=%q,tap=%q} %d\n", l.Handler, l.Policy, l.Tap, b.Start)
	}
}

func (e *Exposition) AppendTo(dst []byte) []byte { return append(dst, e.body...) }
