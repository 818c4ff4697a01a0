package dns

import (
	"testing"

	"pktvisor/analyze"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
)

// held are the keys of a section that only the test uses.
type held struct{ section *metric.Section }

func (h held) Lock() *metric.Section { return h.section }
func (h held) Unlock()               {}

// BenchmarkFlushNames flushes a full tally of names into a bucket's sketches. An operation is one name.
func BenchmarkFlushNames(b *testing.B) {
	seed := seedhash.New()
	a := New(Config{Seed: &seed, Sampler: analyze.NewSampler(100), Timeout: 5e9, Slow: NewSlow(1)})
	s := Table.New()
	name := []byte("\x08aaaaaaaa\x06abcdef\x03com\x00")
	n := 0
	fill := func() {
		for !a.names.full(1) {
			for i, x := 1, n; i <= 8; i++ {
				name[i], x = 'a'+byte(x%26), x/26
			}
			e, _ := a.names.at(seed.Bytes(name), name)
			e.messages, e.bytes = 2, 200
			e.outcomes[noError] = 1
			n++
		}
	}
	keys := held{s}
	fill()
	a.ReadCounts(s)
	a.FlushKeys(false, keys) // so that the sketches have grown
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%namesSize == 0 {
			b.StopTimer()
			fill()
			b.StartTimer()
			a.ReadCounts(s)
			a.FlushKeys(false, keys)
		}
	}
	if got := metric.Of[Metrics](s).TopQname2.Total(); got != uint64(2*n) {
		b.Fatalf("%d messages were flushed, want %d", got, 2*n)
	}
}
