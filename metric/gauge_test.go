package metric

import (
	"strings"
	"testing"
)

type stateMetrics struct {
	Total   Counter `metric:"total" unit:"leases" help:"x"`
	Leases  Gauge   `metric:"leases.held" unit:"leases" help:"Leases that clients hold."`
	Waiting Gauge   `metric:"waiting" show:"now" unit:"clients" help:"Clients that wait."`
}

var stateTables = []*Table{Define[stateMetrics]("dhcp"), testTable}

func stateBucket(start int64, leases, waiting Gauge) *Bucket {
	b := NewBucket(stateTables)
	b.Start, b.End = start, start+60
	m := Of[stateMetrics](b.Sections[0])
	m.Leases, m.Waiting = leases, waiting
	return b
}

func gauges(b *Bucket) [2]Gauge {
	m := Of[stateMetrics](b.Sections[0])
	return [2]Gauge{m.Leases, m.Waiting}
}

// TestGaugeMerge: the states of hosts add up, a stretch of time has the newest state, and changes add up to the state.
func TestGaugeMerge(t *testing.T) {
	hosts := stateBucket(60, 5, 7)
	hosts.Merge(stateBucket(60, 30, -2))
	if got := gauges(hosts); got != [2]Gauge{35, 5} {
		t.Errorf("two hosts have %v, want 35 and 5", got)
	}
	minutes := stateBucket(180, 5, 7)
	minutes.Precede([]*Bucket{stateBucket(120, 30, 20), stateBucket(60, 100, 100)})
	if got := gauges(minutes); got != [2]Gauge{5, 7} {
		t.Errorf("three minutes have %v, want 5 and 7", got)
	}
	totals := NewBucket(stateTables)
	for _, change := range []*Bucket{stateBucket(60, 10, 1), stateBucket(120, -4, 2)} {
		totals.MergeCounters(change)
	}
	live := stateBucket(180, 1, -3)
	live.SetGauges(totals, nil, live)
	if got := gauges(live); got != [2]Gauge{7, 0} {
		t.Errorf("the sum of changes is %v, want 7 and 0", got)
	}
}

// TestGaugeShown: a state is in the JSON and in snapshots, unless only the present state is shown.
func TestGaugeShown(t *testing.T) {
	b := stateBucket(60, -5, 7)
	if got := string(b.AppendJSON(nil, JSONOptions{Key: "1m"})); !strings.Contains(got, `"dhcp":{"total":0,"leases":{"held":-5}},"test":`) {
		t.Errorf("JSON %s", got)
	}
	if got, want := string(b.AppendState([]byte(`{"a":1`))), `{"a":1,"dhcp":{"leases":{"held":-5},"waiting":7}`; got != want {
		t.Errorf("state %s, want %s", got, want)
	}
	sent := mustRead(t, stateTables, b.AppendSnapshot(nil, SnapshotOptions{}))
	if got := gauges(sent); got != [2]Gauge{-5, 0} {
		t.Errorf("a snapshot has %v, want -5 and 0", got)
	}
	for leases, want := range map[Gauge]bool{0: true, 1: false} {
		if got := stateBucket(60, leases, 7).Idle(); got != want {
			t.Errorf("%d leases: idle is %v", leases, got)
		}
	}
	var samples []Sample
	b.Sections[0].Samples(SinceStart, SampleOptions{Skip: func(i int) bool { return i == 0 }}, func(x Sample) { samples = append(samples, x) })
	if len(samples) != 2 || samples[0] != (Sample{Metric: 1, Value: -5}) || samples[1] != (Sample{Metric: 2, Value: 7}) {
		t.Errorf("samples %+v", samples)
	}
	b.Sections[0].Samples(LastMinute, SampleOptions{}, func(x Sample) { t.Errorf("a sample for a minute: %+v", x) })
	if s := b.Sections[0]; s.Gauge(2) != 7 || At[Counter](s, 2) != nil {
		t.Error("the gauge is not at its position")
	}
}

// TestGaugeDamaged: a gauge in a snapshot is exactly one number.
func TestGaugeDamaged(t *testing.T) {
	for _, data := range []string{"", "\x80", "\x02\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if err := new(Gauge).readBinary(encoded{value: []byte(data)}, 0, 60); err == nil {
			t.Errorf("%q was read", data)
		}
	}
	var g Gauge
	if err := g.readBinary(encoded{value: []byte{3}}, 0, 60); err != nil || g != -2 {
		t.Errorf("%d, %v; want -2", g, err)
	}
}
