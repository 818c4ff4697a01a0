package successor

import (
	"encoding/json"
	"strconv"
	"strings"

	"pktvisor/sketch"
)

// shares are the quantiles that rates and distributions have.
var shares = [...]struct {
	member, label string
	q             float64
}{{"p50", "0.5", 0.5}, {"p90", "0.9", 0.9}, {"p95", "0.95", 0.95}, {"p99", "0.99", 0.99}}

// jsonWriter appends the JSON of a form. The brace of the schema's object is already written.
type jsonWriter struct {
	b      []byte
	second int64    // of the live rates; 0: none
	open   []string // the objects below the schema that are open
}

// name starts a member. It writes a comma if another member precedes it.
func (w *jsonWriter) name(s string) {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), s...), '"', ':')
}

// member starts a member in the object of a direction and at a path, whose objects it opens.
func (w *jsonWriter) member(direction int, path []string) {
	var place [8]string
	into := place[:0]
	if direction != whole {
		into = append(into, directions[direction])
	}
	into = append(into, path[:len(path)-1]...)
	same := 0
	for same < len(into) && same < len(w.open) && into[same] == w.open[same] {
		same++
	}
	w.close(same)
	for _, name := range into[same:] {
		w.name(name)
		w.b = append(w.b, '{')
		w.open = append(w.open, name)
	}
	w.name(path[len(path)-1])
}

// close closes the open objects except the outermost keep.
func (w *jsonWriter) close(keep int) {
	for len(w.open) > keep {
		w.b = append(w.b, '}')
		w.open = w.open[:len(w.open)-1]
	}
}

// value appends a metric.
func (w *jsonWriter) value(it *item, direction int, x value) {
	w.member(direction, it.parts)
	switch it.kind {
	case counter, distinct:
		w.b = strconv.AppendUint(w.b, x.n, 10)
	case rate:
		w.b = append(w.b, '{')
		var values [len(shares)]uint64
		for i, v := range x.rate(&values) {
			w.name(shares[i].member)
			w.b = x.append(w.b, v)
		}
		if w.second != 0 {
			w.name("live")
			w.b = x.append(w.b, x.seconds.At(w.second))
		}
		w.b = append(w.b, '}')
	case quantiles:
		w.b = append(w.b, '{')
		for _, s := range shares {
			w.name(s.member)
			w.b = x.append(w.b, x.values.Quantiles().Quantile(s.q))
		}
		w.b = append(w.b, '}')
	case histogram:
		w.b = append(w.b, `{"buckets":{`...)
		for bound, n := range cumulative(&x.values.Histogram) {
			w.name(strconv.FormatUint(bound, 10))
			w.b = strconv.AppendUint(w.b, n, 10)
		}
		w.name("+Inf")
		w.b = strconv.AppendUint(w.b, x.values.Count(), 10)
		w.b = append(w.b, "}}"...)
	case table:
		w.table(it, x.rows)
	}
}

// table appends the rows of a table.
func (w *jsonWriter) table(it *item, rows []sketch.Row) {
	w.b = append(w.b, '[')
	for i, r := range rows {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, `{"name":`...)
		w.string(spelled(it.label, r.Key))
		w.name("estimate")
		w.b = append(strconv.AppendUint(w.b, r.Lower, 10), '}')
	}
	w.b = append(w.b, ']')
}

// string appends a JSON string. Names are ASCII without control characters; other text, such as a name of GeoIP, goes through
// encoding/json, which also repairs invalid UTF-8.
func (w *jsonWriter) string(s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		q, _ := json.Marshal(s) // a string always has a JSON form
		w.b = append(w.b, q...)
		return
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

// rate returns the quantiles of a rate.
func (x *value) rate(into *[len(shares)]uint64) []uint64 {
	var qs [len(shares)]float64
	for i, s := range shares {
		qs[i] = s.q
	}
	x.seconds.Quantiles(qs[:], into[:])
	return into[:]
}

// append appends a number of a rate or distribution in its unit, with at most six digits unless it is whole.
func (x *value) append(dst []byte, v uint64) []byte {
	if x.scale == 1 {
		return strconv.AppendUint(dst, v, 10)
	}
	scaled := float64(v) * x.scale
	if scaled == float64(uint64(scaled)) && scaled < 1<<53 {
		return strconv.AppendUint(dst, uint64(scaled), 10)
	}
	return strconv.AppendFloat(dst, scaled, 'g', 6, 64)
}

// spelled returns a key of a table as the successor spells it.
func spelled(label, key string) string {
	switch label {
	case "qtype":
		if key == "ANY" {
			return "*"
		}
		return strings.TrimPrefix(key, "TYPE")
	case "rcode":
		return strings.TrimPrefix(key, "RCODE")
	}
	return key
}
