package metric

import (
	"encoding/json"
	"strconv"

	"pktvisor/sketch"
)

// JSONOptions says how a bucket is printed.
type JSONOptions struct {
	// Key is the name of the bucket in the object: "1m" for one minute, "5m" for a window of five.
	Key string
	// Rows is how many rows a top table has; 0 means 10.
	Rows int
	// LiveSecond is the Unix time of the second that each rate's "live" shows, the last whole one;
	// 0 leaves it out.
	LiveSecond int64
	// Extra sections (name and a value for encoding/json) follow the analyzers'.
	Extra []ExtraSection
}

// ExtraSection is a section of the JSON that no table declares.
type ExtraSection struct {
	Name  string
	Value any
}

var quantiles = [...]struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}}

// AppendJSON appends the bucket as the API has it, one object with one member, Options.Key:
//
//	{"1m":{"period":{"start_ts":…,"length":…},"packets":{…},"dns":{…}}}
func (b *Bucket) AppendJSON(dst []byte, o JSONOptions) []byte {
	if o.Rows == 0 {
		o.Rows = 10
	}
	w := writer{b: append(dst, '{'), o: o}
	w.open(o.Key)
	w.open("period")
	w.int("start_ts", b.Start)
	w.int("length", b.End-b.Start)
	w.uint("lost", b.Lost)
	w.close()
	for _, s := range b.Sections {
		w.open(s.Table.Section)
		w.members(s, s.Table.tree)
		if _, sampled := s.Table.Find("deep_samples"); sampled {
			percent := b.sampled(s)
			w.int("deep_sample_percent", int64(wholePercent(percent)))
			if percent > 0 {
				w.float("deep_sample_factor", 100/percent)
			}
		}
		w.close()
	}
	for _, e := range o.Extra {
		w.name(e.Name)
		v, err := json.Marshal(e.Value)
		if err != nil {
			v = []byte("null") // only a value that JSON has no form for, such as an infinity
		}
		w.b = append(w.b, v...)
	}
	w.close()
	return append(w.b, '}')
}

// writer appends JSON. An object that is open has its brace written already.
type writer struct {
	b    []byte
	o    JSONOptions
	rows []sketch.Row
}

// name starts a member, with a comma where one came before it.
func (w *writer) name(s string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.string(s)
	w.b = append(w.b, ':')
}

func (w *writer) open(name string) {
	w.name(name)
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) int(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *writer) uint(name string, v uint64) {
	w.name(name)
	w.b = strconv.AppendUint(w.b, v, 10)
}

// float writes a number to six significant digits; more would be noise.
func (w *writer) float(name string, v float64) {
	w.name(name)
	w.b = strconv.AppendFloat(w.b, v, 'g', 6, 64)
}

// string writes a JSON string. Names in presentation form are ASCII without control characters;
// other text (a GeoIP name) goes through encoding/json, which also mends broken UTF-8.
func (w *writer) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			q, _ := json.Marshal(s) // a string always has a form
			w.b = append(w.b, q...)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

func (w *writer) members(s *Section, n *node) {
	for _, m := range n.members {
		if m.members != nil {
			w.open(m.name)
			w.members(s, m)
			w.close()
			continue
		}
		w.metric(s, m)
	}
}

func (w *writer) metric(s *Section, m *node) {
	d := &s.Table.Descs[m.desc]
	switch d.Kind {
	case KindCounter:
		w.uint(m.name, s.Counter(m.desc))
	case KindCardinality:
		c := s.Cardinality(m.desc)
		w.uint(m.name, uint64(c.Estimate()+0.5))
		w.float(m.name+"_error", c.RelativeError())
	case KindRate:
		w.rate(m.name, s.Rate(m.desc))
	case KindHistogram:
		w.histogram(m.name, s.Histogram(m.desc), d.Scale)
	case KindTop:
		w.top(m.name, s.Top(m.desc))
	}
}

func (w *writer) rate(name string, r *Rate) {
	var qs [len(quantiles)]float64
	var values [len(quantiles)]uint64
	for i, q := range quantiles {
		qs[i] = q.q
	}
	r.Quantiles(qs[:], values[:])
	w.open(name)
	for i, q := range quantiles {
		w.uint(q.name, values[i])
	}
	if w.o.LiveSecond != 0 {
		w.uint("live", r.At(w.o.LiveSecond))
	}
	w.close()
}

// histogram writes the quantiles of the values, or an empty object where there are none: a
// quantile of nothing is not zero.
func (w *writer) histogram(name string, h *Histogram, scale float64) {
	w.open(name)
	if n := h.Count(); n > 0 {
		value := func(name string, v uint64) {
			if scale == 1 {
				w.uint(name, v)
			} else {
				w.float(name, float64(v)*scale)
			}
		}
		for _, q := range quantiles {
			value(q.name, h.Quantile(q.q))
		}
		value("min", h.Min())
		value("max", h.Max())
		w.float("mean", float64(h.Sum())*scale/float64(n))
		w.uint("count", n)
	}
	w.close()
}

// top writes the heaviest keys. The estimate is the lower bound: a name is never shown with more
// than it certainly had.
func (w *writer) top(name string, t *Top) {
	w.name(name)
	w.b = append(w.b, '[')
	w.rows = t.Top(w.rows[:0], w.o.Rows)
	for i, row := range w.rows {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.name("name")
		w.string(string(row.Key))
		w.uint("estimate", row.Lower)
		if row.Upper != row.Lower {
			w.uint("lower", row.Lower)
			w.uint("upper", row.Upper)
		}
		w.close()
	}
	w.b = append(w.b, ']')
}
