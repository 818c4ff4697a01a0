package metric

import (
	"encoding/json"
	"strconv"

	"pktvisor/sketch"
)

// JSONOptions controls how a bucket is printed.
type JSONOptions struct {
	// Key is the name of the bucket in the object: "1m" for one minute, "5m" for a window of five.
	Key string
	// Rows is the maximum number of rows of a top table; 0 means 10.
	Rows int
	// LiveSecond is the Unix time of the second that each rate shows as "live", the last whole one. 0 omits "live".
	LiveSecond int64
	// Extra lists sections that follow the analyzers' sections.
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

// AppendJSON appends the bucket in the form of the API: an object with one member, Options.Key:
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
	w.anonymity(b.Anonymity)
	w.close()
	for _, s := range b.Sections {
		w.open(s.Table.Section)
		w.members(s, s.Table.tree)
		if s.Table.sampled() {
			percent := b.sampled(s)
			w.int(percentName, int64(wholePercent(percent)))
			if percent > 0 {
				w.float(factorName, 100/percent)
			}
			w.appendSampling(s)
		}
		w.close()
	}
	for _, e := range o.Extra {
		w.name(e.Name)
		v, err := json.Marshal(e.Value)
		if err != nil {
			v = []byte("null") // only for a value without a JSON form, such as infinity
		}
		w.b = append(w.b, v...)
	}
	w.close()
	return append(w.b, '}')
}

// writer appends JSON. The brace of an open object is already written.
type writer struct {
	b    []byte
	o    JSONOptions
	rows []sketch.Row

	section *Section // whose members are written
	fold    string   // see Desc.Fold
}

// name starts a member. It writes a comma if another member precedes it.
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

// float writes a number with six significant digits. More would be noise.
func (w *writer) float(name string, v float64) {
	w.name(name)
	w.b = strconv.AppendFloat(w.b, v, 'g', 6, 64)
}

// string writes a JSON string. Names in presentation form are ASCII without control characters. Other text (a GeoIP
// name) goes through encoding/json, which also repairs invalid UTF-8.
func (w *writer) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			q, _ := json.Marshal(s) // a string always has a JSON form
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
		w.section = s
		s.values[m.desc].appendJSON(w, &s.Table.Descs[m.desc], m.name)
	}
}

// AppendMembers appends the section's metrics to a JSON object that is open at the end of dst.
func (s *Section) AppendMembers(dst []byte) []byte {
	w := writer{b: dst}
	w.members(s, s.Table.tree)
	return w.b
}
