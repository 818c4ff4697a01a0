package metric

import (
	"fmt"
	"testing"

	"pktvisor/sketch"
)

// TestStatsAndRows: a metric of each kind has either numbers for a chart or rows, and rows have what was added.
func TestStatsAndRows(t *testing.T) {
	unit, err := ParseUnit("bytes")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		d := Desc{Path: "x", Help: "x", Unit: unit, Kind: k, Scale: 1}
		if k == KindRate {
			d.Unit, _ = ParseUnit("bytes/s")
		}
		table, err := Declare("test", []Desc{d})
		if err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		s := table.New()
		rows := s.Rows(0)
		if (rows != nil) != k.PerKey() || (len(k.Stats()) > 0) == k.PerKey() {
			t.Errorf("%v: rows %v, %d numbers", k, rows != nil, len(k.Stats()))
		}
		if rows == nil {
			for _, stat := range k.Stats() {
				if v, _ := stat.Of(s, 0); v != 0 || stat.Name == "" {
					t.Errorf("%v: %s of nothing is %v", k, stat.Name, v)
				}
			}
			continue
		}
		for i := range 3 {
			key := fmt.Appendf(nil, "key%d", i)
			switch v := rows.(type) {
			case *Top:
				v.Add(key, 10)
			case *Distinct:
				for item := range uint64(10) {
					h, _ := sketch.Hash(fmt.Appendf(nil, "item%d", item))
					v.Add(key, h, 1)
				}
			case *Amplification:
				v.AddPrepared(sketch.Prepare(key), 10, &sketch.Asked{})
			default:
				t.Fatalf("%v: add a case", k)
			}
		}
		lower, upper := rows.Bounds([]byte("key1"))
		n := 0
		for key, b := range rows.Each() {
			if n++; len(key) != 4 || b != (sketch.Bounds{Lower: 10, Upper: 10}) {
				t.Errorf("%v: %s has %+v", k, key, b)
			}
		}
		if lower, upper := rows.TotalBounds(); lower != 30 || upper != 30 || rows.Missing() != 0 || rows.Additive() != (k != KindDistinct) {
			t.Errorf("%v: the whole is %d to %d, a missing key has %d, additive: %v", k, lower, upper, rows.Missing(), rows.Additive())
		}
		if lower != 10 || upper != 10 || rows.Total() != 30 || n != 3 {
			t.Errorf("%v: %d to %d of %d, %d rows", k, lower, upper, rows.Total(), n)
		}
		if lower, upper := rows.Bounds([]byte("none")); lower != 0 || upper != 0 {
			t.Errorf("%v: a key that is not there has %d to %d", k, lower, upper)
		}
	}
}
