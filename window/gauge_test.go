package window

import (
	"testing"

	"pktvisor/metric"
)

type held struct {
	Leases metric.Gauge `metric:"leases" unit:"leases" help:"x"`
}

var heldTables = []*metric.Table{metric.Define[held]("dhcp")}

func leases(b *metric.Bucket) int64 { return b.Sections[0].Gauge(0) }

// TestGauges: shards add changes. Every view has the state at its end, whether buckets are open, sealed, late or
// restored.
func TestGauges(t *testing.T) {
	w := New(Config{Tables: heldTables, Periods: 5, Shards: 2})
	change := func(shard int, second, wall int64, n metric.Gauge) {
		w.Update(shard, second, wall, func(b *metric.Bucket, _ int64) { metric.Of[held](b.Sections[0]).Leases += n })
	}
	check := func(when string, now, bucket1, bucket2 int64) {
		t.Helper()
		want := []int64{now, now, now, now}
		got := []int64{leases(w.Totals()), leases(w.Bucket(0)), leases(w.Merged(1)), leases(w.Merged(5))}
		for n, state := range []int64{bucket1, bucket2} {
			if b := w.Bucket(n + 1); b != nil {
				got, want = append(got, leases(b)), append(want, state)
			}
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: totals, live, merged 1, merged 5, bucket 1, bucket 2 are %d, want %d", when, got, want)
				return
			}
		}
	}
	old := metric.NewBucket(heldTables)
	old.Start, old.End = 0, 30
	metric.Of[held](old.Sections[0]).Leases = 500
	w.Restore([]*metric.Bucket{old}, 30)

	change(0, 40, 40, 7) // the restored bucket is the beginning of this minute
	change(1, 41, 41, 3)
	check("in the first minute", 10, 0, 0)
	change(0, 61, 61, -2)
	check("while the first minute is closing", 8, 0, 0)
	change(1, 59, 61, 4) // late
	check("after a late change", 12, 0, 0)
	w.Advance(65, 65)
	check("once the first minute is sealed", 12, 14, 0)
	w.Advance(121, 121)
	w.Advance(125, 125)
	check("after a minute without changes", 12, 12, 14)
	change(0, 126, 126, -12)
	check("at the end", 0, 12, 14)
	if got := leases(w.Last(5)); got != 0 {
		t.Errorf("the last view has %d, want 0", got)
	}
}
