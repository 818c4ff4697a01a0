package window

import (
	"strings"
	"testing"

	"pktvisor/metric"
	"pktvisor/sketch"
)

type hiding struct {
	N   metric.Counter `metric:"n" unit:"packets" help:"x"`
	Now metric.Gauge   `metric:"now" unit:"packets" help:"x"`
	Top metric.Top     `metric:"top" unit:"packets" slots:"64" label:"ipv4" holds:"address" help:"x"`
}

// TestAnonymize: whatever a window returns is anonymised exactly once: an open bucket, a sealed one, their merges, and what an earlier
// run has left.
func TestAnonymize(t *testing.T) {
	tables := []*metric.Table{metric.Define[hiding]("test")}
	hide := func(b *metric.Bucket) {
		b.Rename(func(metric.Holds) sketch.Renaming {
			return sketch.Renaming{Name: func(dst, key []byte) []byte { return append(append(dst, "hidden-"...), key...) }}
		})
	}
	var announced []*metric.Bucket
	w := New(Config{Tables: tables, Periods: 5, Shards: 1, Anonymize: hide, Anonymity: "key=00", OnSeal: func(b *metric.Bucket) { announced = append(announced, b) }})
	check := func(what string, b *metric.Bucket, total uint64, keys ...string) {
		t.Helper()
		m := metric.Of[hiding](b.Sections[0])
		var rows []string
		for _, row := range m.Top.Frequent.Top(nil, 10) {
			rows = append(rows, row.Key)
		}
		if got, want := strings.Join(rows, " "), strings.Join(keys, " "); got != want || uint64(m.N) != total || b.Anonymity != "key=00" {
			t.Errorf("%s: %q with %d, %q; want %q with %d", what, got, m.N, b.Anonymity, want, total)
		}
		if want := metric.Gauge(w.Totals().Sections[0].Gauge(1)); strings.Contains(what, "live") && m.Now != want {
			t.Errorf("%s: the gauge is %d, want %d", what, m.Now, want)
		}
	}
	add := func(second int64, key string, weight uint64) {
		w.Update(0, second, second, func(b *metric.Bucket, _ int64) {
			m := metric.Of[hiding](b.Sections[0])
			m.N++
			m.Now++
		})
		metric.Of[hiding](w.LockKeys(0, 0, second, second)).Top.Add([]byte(key), weight)
		w.UnlockKeys(0)
	}
	const start = 6000
	old := metric.NewBucket(tables)
	old.Anonymity = "key=00"
	old.Cover(start, start+10)
	m := metric.Of[hiding](old.Sections[0])
	m.N = 1
	m.Top.Add([]byte("hidden-old"), 100)
	w.Restore([]*metric.Bucket{old}, start+10)

	add(start+11, "a", 10)
	check("live", w.Bucket(0), 2, "hidden-old", "hidden-a")
	check("again", w.Bucket(0), 2, "hidden-old", "hidden-a")
	add(start+60, "b", 5)
	if all := w.Unsealed(); len(all) != 2 {
		t.Errorf("%d unsealed buckets", len(all))
	} else {
		check("closing", all[0], 2, "hidden-old", "hidden-a")
		check("live after it", all[1], 1, "hidden-b")
	}
	w.Checkpoint(func(open []*metric.Bucket) {
		check("closing at a checkpoint", open[0], 2, "hidden-old", "hidden-a")
		check("at a checkpoint, what is live", open[1], 1, "hidden-b")
	})
	check("closing and live", w.Merged(5), 3, "hidden-old", "hidden-a", "hidden-b")
	add(start+120, "c", 1)
	check("sealed", w.Bucket(1), 2, "hidden-old", "hidden-a")
	check("sealed, closing and live", w.Merged(5), 4, "hidden-old", "hidden-a", "hidden-b", "hidden-c")
	w.Finish()
	check("sealed at the end", w.Bucket(1), 1, "hidden-b")
	check("empty", New(w.cfg).sealed.empty(run{0, 60}), 0)
	if len(announced) != 2 {
		t.Fatalf("%d announced", len(announced))
	}
	check("announced", announced[0], 2, "hidden-old", "hidden-a")
	check("last", w.Last(5), 4, "hidden-old", "hidden-a", "hidden-b", "hidden-c")
}
