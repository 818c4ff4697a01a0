package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tables declares what an agent publishes: the sections of its summaries, in their order. It describes each metric well
// enough that a client can show a section for which it has no type.
type Tables struct {
	Sections []Section `json:"sections"`
}

// Section declares the metrics of one section, in their order.
type Section struct {
	Name    string   `json:"name"`  // the key in a summary
	Title   string   `json:"title"` // a heading for people
	Help    string   `json:"help"`  // a sentence for people; may be empty
	Metrics []Metric `json:"metrics"`
}

// Metric declares one metric.
type Metric struct {
	// Path is its place in the section, with a dot between nested objects. Values returns the value at a path.
	Path  string     `json:"path"`
	Kind  MetricKind `json:"kind"`
	Unit  Unit       `json:"unit"`  // what is counted or measured
	Title string     `json:"title"` // a label of a few words
	Help  string     `json:"help"`  // a sentence for people
	// Group is the set of metrics that can be switched off together. It is empty for the basic metrics.
	Group string `json:"group"`
	// Label says what the names of a top table are. It is the label in Prometheus.
	Label string `json:"label"`
	// Now says that a gauge has only a present value. The value is not in summaries: it is in App.State.
	Now bool `json:"now,omitempty"`
	// Slots is the size of a top table's sketch. Exact is the number of keys a minute up to which the table is exact.
	// Both are 0 for the other kinds.
	Slots int `json:"slots,omitempty"`
	Exact int `json:"exact,omitempty"`
}

// MetricKind is how a metric is measured, which determines the value at its path.
type MetricKind string

// The kinds of metric. Later agents may have other kinds.
const (
	Counter     MetricKind = "counter"     // a number
	Gauge       MetricKind = "gauge"       // a number
	Rate        MetricKind = "rate"        // quantiles of the seconds, and the live second
	Histogram   MetricKind = "histogram"   // quantiles of the events
	Cardinality MetricKind = "cardinality" // a number; its relative error is at the path with _error
	Top         MetricKind = "top"         // rows
	Distinct    MetricKind = "distinct"    // rows
)

// Unit is what a metric counts or measures, in the agent's words: "packets", "messages/s".
type Unit string

// The units whose numbers have a special format. All other numbers are shown as they are.
const (
	Bytes  Unit = "bytes"
	Micros Unit = "us"
	Ratio  Unit = "ratio"
)

// Bounds on a declaration. Anything beyond them is left out, so that an agent cannot make its client slow or large.
const (
	maxSections = 64
	maxMetrics  = 1024 // in all sections together
	maxTitle    = 80   // bytes
	maxHelp     = 1024
	maxKey      = 128 // of a name, a path, a unit, a label or a group
)

// ParseTables reads the answer of /api/v1/tables. It leaves out sections and metrics without a name, and those whose
// name has already occurred. If a title is missing, the name replaces it. Texts are cut at their bounds. They come from
// the network and are not cleaned.
func ParseTables(b []byte) (Tables, error) {
	var all struct {
		Sections []Section `json:"sections"`
	}
	if _, err := unmarshal(b, &all); err != nil {
		return Tables{}, fmt.Errorf("not a declaration of tables: %w", err)
	}
	var out Tables
	seen, metrics := map[string]bool{}, 0
	for _, s := range all.Sections {
		if len(out.Sections) == maxSections {
			break
		}
		if s.Name == "" || len(s.Name) > maxKey || seen[s.Name] {
			continue
		}
		seen[s.Name] = true
		section := Section{Name: s.Name, Title: titleOr(s.Title, s.Name), Help: cut(s.Help, maxHelp)}
		paths := map[string]bool{}
		for _, m := range s.Metrics {
			if metrics == maxMetrics {
				break
			}
			if m.Path == "" || max(len(m.Path), len(m.Kind), len(m.Unit), len(m.Group), len(m.Label)) > maxKey || paths[m.Path] {
				continue
			}
			paths[m.Path] = true
			m.Title, m.Help = titleOr(m.Title, m.Path), cut(m.Help, maxHelp)
			section.Metrics = append(section.Metrics, m)
			metrics++
		}
		out.Sections = append(out.Sections, section)
	}
	return out, nil
}

func titleOr(title, name string) string {
	if title == "" {
		title = name
	}
	return cut(title, maxTitle)
}

// cut returns at most n bytes of s and does not split a rune. It does not keep the rest in memory.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return strings.Clone(s[:n])
}

// Find returns the section with the given name.
func (t *Tables) Find(name string) (*Section, bool) {
	for i := range t.Sections {
		if t.Sections[i].Name == name {
			return &t.Sections[i], true
		}
	}
	return nil, false
}

// Find returns the metric at the given path.
func (s *Section) Find(path string) (*Metric, bool) {
	for i := range s.Metrics {
		if s.Metrics[i].Path == path {
			return &s.Metrics[i], true
		}
	}
	return nil, false
}

// HasType reports whether Summary has a field for the section with the given name. All other sections are in
// Summary.Others.
func HasType(section string) bool {
	switch section {
	case "period", "packets", "dns", "pcap":
		return true
	}
	return false
}

// Values are the values of a section without a field in Summary, by path.
type Values struct {
	numbers map[string]Number
	rows    map[string][]Row
}

// Number returns the number at a path, which is the value of a counter, a gauge or a cardinality.
func (v Values) Number(path string) Number { return v.numbers[path] }

// Error returns the relative error of the cardinality at a path, at 95%.
func (v Values) Error(path string) Number { return v.numbers[path+"_error"] }

// Quantiles returns the distribution at a path, which is the value of a rate or a histogram.
func (v Values) Quantiles(path string) Quantiles {
	at := func(name string) Number { return v.numbers[path+"."+name] }
	return Quantiles{P50: at("p50"), P90: at("p90"), P95: at("p95"), P99: at("p99"),
		Min: at("min"), Max: at("max"), Count: at("count"), Live: at("live")}
}

// Rows returns the rows of the top table at a path. The caller must not change them.
func (v Values) Rows(path string) []Row { return v.rows[path] }

// Bounds on the sections of a summary without a field.
const (
	maxValues  = 4096  // numbers and tables
	maxRowsAll = 50000 // rows of all tables together
	maxNesting = 8     // objects within each other
)

// others reads the sections of a summary that have no field. It leaves out values that are beyond the bounds or do not
// have the form of a metric's value.
func others(body []byte) map[string]Values { return sections(body, HasType) }

// states reads the sections of the answer of /app, except the agent's own section.
func states(body []byte) map[string]Values {
	return sections(body, func(name string) bool { return name == "app" })
}

// sections reads the sections of an object for which skip returns false.
func sections(body []byte, skip func(name string) bool) map[string]Values {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return nil
	}
	var out map[string]Values
	values, rows := maxValues, maxRowsAll
	for _, name := range slices.Sorted(maps.Keys(all)) { // in a fixed order, so that the same sections are left out each time
		if skip(name) || len(name) > maxKey || len(out) == maxSections {
			continue
		}
		r := valueReader{Values: Values{map[string]Number{}, map[string][]Row{}}, values: values, rowsLeft: rows}
		r.read("", all[name], 0)
		values, rows = r.values, r.rowsLeft
		if out == nil {
			out = map[string]Values{}
		}
		out[name] = r.Values
	}
	return out
}

// valueReader collects the values of a section, within the bounds.
type valueReader struct {
	Values
	values, rowsLeft int
}

func (r *valueReader) read(path string, b json.RawMessage, depth int) {
	if r.values == 0 || len(b) == 0 {
		return
	}
	switch b[0] {
	case '{':
		var members map[string]json.RawMessage
		if depth == maxNesting || json.Unmarshal(b, &members) != nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if len(path)+len(name) > 2*maxKey {
				continue
			}
			at := name
			if path != "" {
				at = path + "." + name
			}
			r.read(at, members[name], depth+1)
		}
	case '[':
		var rows []Row
		if _, err := unmarshal(b, &rows); err != nil || len(rows) > r.rowsLeft {
			return
		}
		r.rows[path] = rows
		r.values--
		r.rowsLeft -= len(rows)
	default:
		var n Number
		if json.Unmarshal(b, &n) == nil && n.Known {
			r.numbers[path] = n
			r.values--
		}
	}
}
