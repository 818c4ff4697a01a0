// Package fleet makes host-minutes of a small table with every kind of metric, and compares their merges with one bucket
// that got all events. Tests of the hub use it.
package fleet

import (
	"bytes"
	"fmt"
	"slices"

	"pktvisor/metric"
	"pktvisor/minute"
)

// Values are the metrics of the table.
type Values struct {
	Total metric.Counter     `metric:"total" unit:"events" help:"All events." sample:"seen"`
	Deep  metric.Counter     `metric:"deep" unit:"events" help:"Events in the sample." sample:"taken"`
	Open  metric.Gauge       `metric:"open" unit:"events" help:"A state."`
	Rate  metric.Rate        `metric:"rate" unit:"events/s" help:"Events a second."`
	Size  metric.Histogram   `metric:"size" unit:"bytes" help:"Sizes."`
	Names metric.Cardinality `metric:"names" unit:"names" help:"Distinct names."`
	Top   metric.Top         `metric:"top" unit:"events" help:"Names." slots:"1024"`
}

// Tables are the sections of the buckets.
var Tables = []*metric.Table{metric.Define[Values]("fleet")}

// Event happens at a second (Unix time) of a host.
type Event struct {
	Second int64
	Name   string
	Size   uint64
}

// Bucket makes the bucket of the events of one host from start to end (Unix time). Every fourth event is in the sample.
// The state is the number of the events.
func Bucket(id metric.Identity, start, end int64, events []Event) *metric.Bucket {
	b := metric.NewBucket(Tables)
	b.Identity = id
	b.Cover(start, end)
	b.Lost = uint64(len(events) % 3)
	b.DeepSamplePercent = 100
	v := metric.Of[Values](b.Sections[0])
	for i, e := range events {
		v.Total++
		v.Rate.Add(e.Second, 1)
		v.Open++
		if i%4 == 0 {
			v.Deep++
		}
		v.Size.Record(e.Size)
		v.Names.Add([]byte(e.Name))
		v.Top.Add([]byte(e.Name), 1+e.Size%3)
	}
	if v.Total > 0 {
		b.DeepSamplePercent = max(int(100*v.Deep/v.Total), 1)
	}
	b.Seal(1024)
	return b
}

// Minute makes the bucket of the whole minute that starts at start, of those of the events that lie in it.
func Minute(id metric.Identity, start int64, events []Event) *metric.Bucket {
	var in []Event
	for _, e := range events {
		if minute.Of(e.Second) == start {
			in = append(in, e)
		}
	}
	return Bucket(id, start, start+minute.Seconds, in)
}

// Snapshot returns a bucket as an agent sends it.
func Snapshot(b *metric.Bucket) []byte {
	return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "pktvisord test"})
}

// All makes one bucket of all events, as one agent counts them that sees everything from start to end. Its gauge and its
// losses are not set.
func All(start, end int64, events []Event) *metric.Bucket {
	b := Bucket(metric.Identity{}, start, end, events)
	v := metric.Of[Values](b.Sections[0])
	v.Open, v.Deep, b.Lost = 0, 0, 0
	return b
}

// Diff returns what is different in a merge of buckets: counters, rates, histograms and cardinalities must be those of want,
// and each name of want, whose table must be exact, must be within its bounds. It does not compare what [All] does not set.
func Diff(got, want *metric.Bucket) string {
	g, w := metric.Of[Values](got.Sections[0]), metric.Of[Values](want.Sections[0])
	if got.Start != want.Start || got.End != want.End {
		return fmt.Sprintf("from %d to %d, want %d to %d", got.Start, got.End, want.Start, want.End)
	}
	if g.Total != w.Total {
		return fmt.Sprintf("%d events, want %d", g.Total, w.Total)
	}
	first, seconds := g.Rate.Seconds()
	if wantFirst, want := w.Rate.Seconds(); first != wantFirst || !slices.Equal(seconds, want) {
		return fmt.Sprintf("rate from %d: %v, want from %d: %v", first, seconds, wantFirst, want)
	}
	if !bytes.Equal(g.Size.AppendBinary(nil), w.Size.AppendBinary(nil)) {
		return fmt.Sprintf("%d sizes with sum %d, want %d with %d", g.Size.Count(), g.Size.Sum(), w.Size.Count(), w.Size.Sum())
	}
	if g.Names.Estimate() != w.Names.Estimate() {
		return fmt.Sprintf("%v names, want %v", g.Names.Estimate(), w.Names.Estimate())
	}
	if g.Top.Total() != w.Top.Total() || w.Top.MaxError() != 0 {
		return fmt.Sprintf("top: weight %d, want %d (±%d)", g.Top.Total(), w.Top.Total(), w.Top.MaxError())
	}
	for key, weight := range w.Top.All() {
		if lower, upper := g.Top.Bounds(key); lower > weight || upper < weight {
			return fmt.Sprintf("top: %s from %d to %d, want %d", key, lower, upper, weight)
		}
	}
	return ""
}
