package window

import (
	"encoding/binary"
	"runtime"
	"testing"

	"pktvisor/metric"
)

type large struct {
	A     metric.Top         `metric:"a" unit:"events" help:"x"`
	B     metric.Top         `metric:"b" unit:"events" slots:"2048" help:"x"`
	Keys  metric.Cardinality `metric:"keys" unit:"events" help:"x"`
	Sizes metric.Histogram   `metric:"sizes" unit:"bytes" help:"x"`
	N     metric.Counter     `metric:"n" unit:"events" help:"x"`
	Pps   metric.Rate        `metric:"pps" unit:"events/s" help:"x"`
}

// TestMemory: a window whose tables are filled by a flood of the longest keys takes at most as much as Memory returns,
// and not much less.
func TestMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	tables := []*metric.Table{metric.Define[large]("large")}
	key := make([]byte, 255)
	for _, c := range []struct{ periods, scale, keyLen int }{{4, 0, 255}, {4, 0, 84}, {4, -3, 255}, {20, 0, 255}, {20, -4, 255}, {20, 1, 84}} {
		slots := SealedSlots(c.periods, c.scale)
		before := heap()
		w := New(Config{Tables: tables, Periods: c.periods, Shards: 1, Slots: slots})
		n := uint64(0)
		for m := range int64(c.periods + 1) {
			w.Update(0, 60*m, 0, func(b *metric.Bucket, _ int64) {
				for s := range int64(60) {
					metric.Of[large](b.Sections[0]).Pps.Add(60*m+s, 1)
					metric.Of[large](b.Sections[0]).Sizes.Record(1 << s)
				}
			})
			s := w.LockKeys(0, 0, 60*m, 0)
			for range 20_000 {
				n++
				binary.LittleEndian.PutUint64(key, n)
				l := metric.Of[large](s)
				l.A.Add(key[:c.keyLen], n)
				l.B.Add(key[:c.keyLen], n)
				l.Keys.Add(key[:8])
			}
			w.UnlockKeys(0)
		}
		got, most := heap()-before, Memory(tables, c.periods, slots)
		t.Logf("%+v, %d slots: %d kB of %d", c, slots, got>>10, most>>10)
		if got > most || got < most/4 {
			t.Errorf("%+v: %d kB, want at most %d and not much less", c, got>>10, most>>10)
		}
		runtime.KeepAlive(w)
	}
}
