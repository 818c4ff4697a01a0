package timeline

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"

	"pktvisor/metric"
	"pktvisor/sketch"
	"pktvisor/verdict"
)

// judgedRows is how many rows of a table are compared with each other over time.
const judgedRows = 8

// judgedMetrics are the metrics that a verdict needs. Those that the source does not have are left out of the verdict.
var judgedMetrics = []string{
	"dns.wire_packets.nxdomain", "dns.wire_packets.srvfail", "dns.wire_packets.replies", "dns.wire_packets.queries", "dns.xact.counts.timeouts",
	"dns.top_zones", "dns.top_zone_bits", "dns.top_nxdomain", "dns.top_srvfail", "dns.top_timeout",
	"dns.top_amp_prefix", "dns.top_amp_qtype", "dns.top_amp_qname", "dns.top_clients_nxdomain", "dns.top_client_prefix_nxdomain",
	"dns.top_clients_timeout", "dns.top_client_prefix_timeout",
}

// attack answers with what the numbers of DNS traffic mean: see package verdict.
func (t *timeline) attack(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := t.Source.Select(r.Context(), q)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, name := range judgedMetrics {
		if slices.ContainsFunc(t.Tables, func(table *metric.Table) bool {
			path, ok := bytes.CutPrefix([]byte(name), []byte(table.Section+"."))
			_, found := table.Find(string(path))
			return ok && found
		}) {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil, Bad("there is no DNS here to judge")
	}
	metrics, tables, err := t.metricsOf(there)
	if err != nil {
		return nil, err
	}
	from, to, step, err := t.stepsOf(q)
	if err != nil {
		return nil, err
	}
	buckets, extent, err := sel.Steps(r.Context(), tables, from, to, step, false)
	if err != nil {
		return nil, err
	}
	whole, all, err := sel.Merge(r.Context(), tables, from, to)
	if err != nil {
		return nil, err
	}
	e := evidence{metrics: metrics, steps: buckets, whole: whole}
	d := e.data(from, step)
	d.Seconds = all.Seconds
	a := verdict.Judge(d)
	a.From, a.To, a.StepS, a.Policy, a.MissingMinutes = from, to, step, sel.Policy(), extent.Missing
	return jsonOf(a)
}

// evidence reads what a verdict needs from buckets.
type evidence struct {
	metrics []wanted
	steps   []*metric.Bucket
	whole   *metric.Bucket
}

// find returns the metric with a path, or nil.
func (e *evidence) find(path string) *wanted {
	if i := slices.IndexFunc(e.metrics, func(w wanted) bool { return w.path == path }); i >= 0 {
		return &e.metrics[i]
	}
	return nil
}

func (e *evidence) data(from, step int64) *verdict.Data {
	d := &verdict.Data{From: from, Step: step}
	nx, nxAll := e.counts("dns.wire_packets.nxdomain")
	fail, failAll := e.counts("dns.wire_packets.srvfail")
	replies, repliesAll := e.counts("dns.wire_packets.replies")
	queries, queriesAll := e.counts("dns.wire_packets.queries")
	late, lateAll := e.counts("dns.xact.counts.timeouts")
	for i := range e.steps {
		d.NX = append(d.NX, verdict.Share(nx[i], replies[i]))
		d.ServFail = append(d.ServFail, verdict.Share(fail[i], replies[i]))
		start := from + int64(i)*step
		d.Queries = append(d.Queries, e.rate(queries[i], start, step))
		d.Timeouts = append(d.Timeouts, e.rate(late[i], start, step))
	}
	d.Replies, d.Asked, d.Failed = repliesAll, queriesAll, verdict.Failed{NX: nxAll, ServFail: failAll, Timeouts: lateAll}
	d.Zones, d.Bits = e.table("dns.top_zones", judgedRows), e.table("dns.top_zone_bits", judgedRows)
	if len(d.Bits.Rows) > 0 { // how many names carry the bits
		e.addHistory(&d.Zones, "dns.top_zones", d.Bits.Rows[:1])
	}
	e.addFailed(d)
	d.Amplified = e.table("dns.top_amp_prefix", 1)
	e.addAsked(&d.Amplified)
	d.AmplifiedTypes, d.AmplifiedNames = e.table("dns.top_amp_qtype", 1), e.table("dns.top_amp_qname", 1)
	d.ClientsNX, d.ClientsLate = e.table("dns.top_clients_nxdomain", 1), e.table("dns.top_clients_timeout", 1)
	d.PrefixesNX, d.PrefixesLate = e.networks("dns.top_client_prefix_nxdomain"), e.networks("dns.top_client_prefix_timeout")
	return d
}

// counts returns a counter in each step, -1 where there is nothing, and in the whole range.
func (e *evidence) counts(path string) (steps verdict.Values, whole float64) {
	w := e.find(path)
	steps = make(verdict.Values, len(e.steps))
	for i, b := range e.steps {
		steps[i] = -1
		if w != nil && b != nil {
			steps[i] = float64(b.Sections[w.section].Counter(w.at))
		}
	}
	if w != nil {
		whole = float64(e.whole.Sections[w.section].Counter(w.at))
	}
	return steps, whole
}

// leastBegun is how many seconds of the first step the data must cover. After a start late in a minute, one second without queries is
// not a quiet time that the next minute can be compared with.
const leastBegun = 20

// rate returns how much of a count came in a second of the step from start on, or -1 if that is not known.
func (e *evidence) rate(count float64, start, step int64) float64 {
	begun := max(start, e.whole.Start)
	seconds := min(start+step, e.whole.End) - begun
	if count < 0 || seconds <= 0 || begun > start && seconds < leastBegun {
		return -1
	}
	return count / float64(seconds)
}

// table returns the first rows of a table with their histories. It is empty if there is no such table.
func (e *evidence) table(path string, most int) (t verdict.Table) {
	w := e.find(path)
	if w == nil {
		return t
	}
	t = e.networks(path)
	t.Rows = slices.DeleteFunc(t.Rows, func(r verdict.Row) bool { return r.Name == "" || r.Lower == 0 })
	t.Rows = slices.Clone(t.Rows[:min(len(t.Rows), most)])
	e.addHistory(&t, path, t.Rows)
	return t
}

// networks returns all rows of a table, also those that may have nothing, without histories.
func (e *evidence) networks(path string) (t verdict.Table) {
	w := e.find(path)
	if w == nil {
		return t
	}
	rows := e.whole.Sections[w.section].Rows(w.at)
	for key, b := range rows.Each() {
		t.Rows = append(t.Rows, verdict.Row{Name: string(key), Lower: float64(b.Lower), Upper: float64(b.Upper)})
	}
	slices.SortFunc(t.Rows, func(a, b verdict.Row) int { return cmp.Or(cmp.Compare(b.Lower, a.Lower), cmp.Compare(a.Name, b.Name)) })
	t.Total = float64(rows.Total())
	return t
}

// addHistory adds what rows have in each step.
func (e *evidence) addHistory(t *verdict.Table, path string, rows []verdict.Row) {
	w := e.find(path)
	if w == nil {
		return
	}
	if t.History == nil {
		t.History = make(map[string]verdict.History, len(rows))
	}
	for i := range rows {
		h := verdict.History{Lower: make(verdict.Values, len(e.steps)), Upper: make(verdict.Values, len(e.steps))}
		for k, b := range e.steps {
			h.Lower[k], h.Upper[k] = -1, -1
			if b != nil {
				lower, upper := b.Sections[w.section].Rows(w.at).Bounds([]byte(rows[i].Name))
				h.Lower[k], h.Upper[k] = float64(lower), float64(upper)
			}
		}
		t.History[rows[i].Name] = h
	}
}

// addFailed adds how many of the messages that failed have names below each zone.
func (e *evidence) addFailed(d *verdict.Data) {
	for path, of := range map[string]func(f *verdict.Failed) *float64{
		"dns.top_nxdomain": func(f *verdict.Failed) *float64 { return &f.NX },
		"dns.top_srvfail":  func(f *verdict.Failed) *float64 { return &f.ServFail },
		"dns.top_timeout":  func(f *verdict.Failed) *float64 { return &f.Timeouts },
	} {
		w := e.find(path)
		if w == nil {
			continue
		}
		rows := e.whole.Sections[w.section].Rows(w.at)
		*of(&d.FailedNames) = float64(rows.Total())
		for key, b := range rows.Each() {
			for i := range d.Zones.Rows {
				if row := &d.Zones.Rows[i]; below(key, row.Name) {
					*of(&row.Failed) += float64(b.Lower)
				}
			}
		}
	}
}

// below reports whether a name is a zone, or below it. A name *.zone stands for names below the zone.
func below(name []byte, zone string) bool {
	rest, ok := bytes.CutSuffix(name, []byte(zone))
	return ok && (len(rest) == 0 || rest[len(rest)-1] == '.')
}

// addAsked adds to the first row of amplification what its queries were.
func (e *evidence) addAsked(t *verdict.Table) {
	w := e.find("dns.top_amp_prefix")
	if w == nil || len(t.Rows) == 0 {
		return
	}
	row := &t.Rows[0]
	for _, r := range e.whole.Sections[w.section].Amplification(w.at).Top(nil, judgedRows) {
		if r.Key == row.Name {
			row.Ratio, row.QueryBytes, row.Queries, row.Hints = ratioOf(&r), float64(r.Bytes), float64(r.Asked.Queries), metric.Hints(&r.Asked)
			return
		}
	}
}

// ratioOf returns the least that the bytes of responses are of those of queries, or 0 without queries.
func ratioOf(r *sketch.AmplificationRow) float64 {
	if r.QueriesUpper == 0 {
		return 0
	}
	return float64(r.Lower) / float64(r.QueriesUpper)
}
