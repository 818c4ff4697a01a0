package metric

import (
	"encoding/json"
	"fmt"
	"testing"
)

type askers struct {
	Queries Top      `metric:"queries" unit:"queries" slots:"64" label:"client" holds:"address" help:"x"`
	Names   Distinct `metric:"names" unit:"names" slots:"64" label:"client" holds:"address" within:"queries" help:"x"`
}

// TestWithin: a client has at most as many names as queries, whatever the sample of names says, in every output, and the table is in
// the order of what is left.
func TestWithin(t *testing.T) {
	table := Define[askers]("test")
	b := NewBucket([]*Table{table})
	b.Start, b.End = 0, 60
	m := Of[askers](b.Sections[0])
	for c, names := range []int{400, 300, 200, 3} { // far more pairs than the table can hold: the bounds of the names are wide
		key := []byte(fmt.Sprintf("10.0.0.%d", c))
		for i := range names {
			m.Names.Add(key, uint64(c*1000+i)*0x9e3779b97f4a7c15, 1)
		}
		m.Queries.Add(key, uint64([]int{5, 300, 200, 3}[c]))
	}
	if m.Names.Exact() {
		t.Fatal("the table holds all pairs")
	}
	upper := func(key string) uint64 { _, u := m.Queries.Bounds([]byte(key)); return u }
	var out map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b.AppendJSON(nil, JSONOptions{Key: "1m", Rows: 3}), &out); err != nil {
		t.Fatal(err)
	}
	var section struct {
		Names []struct {
			Name                   string
			Estimate, Lower, Upper uint64
		}
	}
	if err := json.Unmarshal(out["1m"]["test"], &section); err != nil {
		t.Fatal(err)
	}
	// Without the limit, the first client would be the first row.
	if len(section.Names) != 3 || section.Names[2].Name != "10.0.0.0" || section.Names[2].Estimate > 5 || section.Names[0].Estimate < section.Names[1].Estimate {
		t.Errorf("%+v", section.Names)
	}
	for _, r := range section.Names {
		if r.Estimate > upper(r.Name) || r.Upper > upper(r.Name) {
			t.Errorf("%+v of %d queries", r, upper(r.Name))
		}
	}
	rows := b.Sections[0].Rows(1)
	n := 0
	for key, bounds := range rows.Each() {
		lower, most := rows.Bounds(key)
		if bounds.Upper > upper(string(key)) || bounds.Lower != lower || bounds.Upper != most {
			t.Errorf("%s: %+v of %d queries; %d to %d", key, bounds, upper(string(key)), lower, most)
		}
		n++
	}
	b.Sections[0].Samples(LastMinute, SampleOptions{Rows: 3}, func(x Sample) {
		if x.Metric == 1 && x.Label != "other" && x.Value > float64(upper(x.Label)) {
			t.Errorf("Prometheus: %+v", x)
		}
	})
	if n != 4 || m.Names.Len() != 4 {
		t.Errorf("%d rows", n)
	}
}
