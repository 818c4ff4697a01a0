package dns

import (
	"math"
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// A minute with very many messages counts only a sample of them at clients and as amplification: see docs/decisions/0034.
const (
	// exactMessages is the number of messages in a minute, of one shard, up to which all of them count.
	exactMessages = 1 << 16
	// sampledMessages is about how many of the later messages of a minute are in the sample, or up to twice as many.
	sampledMessages = 1 << 16
	// maxSampleLg bounds what a message stands for: 2^maxSampleLg.
	maxSampleLg = 12
	// notSampled is the position of the client of a query that is not in the sample.
	notSampled = math.MaxUint16
)

// messageSample decides which messages count. A message is in the sample by chance, whatever it is; with a query, its whole transaction is.
// It stands for 2^lg messages. lg changes only when everything that was counted has been flushed.
type messageSample struct {
	lg   uint8
	most uint8 // the greatest lg of a message that counted since the last flush
	// skip is the number of messages before the next in the sample.
	skip   uint32
	random uint64 // the state of the generator

	messages uint64 // of this minute, in the sample or not
	next     uint64 // the number of messages at which lg is decided again
	exact    uint64 // the number of messages up to which all count
	minute   int64
	begin    int64 // the time of the first tick of the minute, in nanoseconds

	// query and response are the greatest sizes since the last flush, of messages in the sample or not.
	query, response uint32
}

// newMessageSample makes a sample. Without a table that counts only the messages in it, all messages are.
func newMessageSample(sampler *analyze.Sampler, w wanted) (s messageSample) {
	s.exact = math.MaxUint64
	if sampler != nil && (w.anyClient() || w.ampNames || w.ampTypes) {
		s.random, s.exact = uint64(sampler.Seed()), exactMessages
	}
	s.next = s.exact
	return s
}

// rand returns 64 random bits (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). It is seeded by
// the secret that also decides which address pairs are in the deep sample.
func (s *messageSample) rand() uint64 {
	s.random += 0x9e3779b97f4a7c15
	x := s.random
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// all reports whether all messages are in the sample.
func (s *messageSample) all() bool { return s.lg == 0 }

// take reports whether the next message is in the sample.
func (s *messageSample) take() bool {
	if s.lg == 0 {
		return true
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	s.draw()
	return true
}

// draw chooses the next message of the sample. The number of messages before it has a geometric distribution, so that each is in the
// sample independently of all others.
func (s *messageSample) draw() {
	if s.lg == 0 {
		s.skip = 0
		return
	}
	u := (float64(s.rand()>>11) + 1) / (1 << 53) // above 0 and at most 1
	s.skip = uint32(math.Log(u) / math.Log1p(-1/float64(uint64(1)<<s.lg)))
}

// times returns how often a message counts now that is in the sample because an earlier one is, which stood for 2^lg.
func (s *messageSample) times(lg uint8) uint32 {
	switch {
	case lg == s.lg:
		return 1
	case lg > s.lg:
		s.most = max(s.most, lg)
		return 1 << (lg - s.lg)
	case s.rand()>>(64-(s.lg-lg)) == 0: // with a chance of 2^(lg-s.lg)
		return 1
	}
	return 0
}

// due reports whether lg is to be decided again, after a flush of everything that was counted.
func (s *messageSample) due() bool { return s.messages >= s.next }

// tick sets the time. In a new minute, all messages count again.
func (s *messageSample) tick(now int64) {
	if m := now / (minute.Seconds * 1e9); m != s.minute {
		s.minute, s.begin, s.messages, s.next = m, now, 0, s.exact
		if s.lg > 0 {
			s.next = 0
		}
	}
}

// flushed decides about lg, at a time in nanoseconds, after a flush of everything that was counted.
func (s *messageSample) flushed(now int64) {
	s.most, s.query, s.response = 0, 0, 0
	// To lower lg by 1 is not worth it: the bounds of the minute depend on the greatest.
	if lg := s.wanted(now); lg > s.lg || lg == 0 || lg+1 < s.lg {
		s.lg = lg
		s.draw()
	}
	s.next = s.exact
	if s.messages >= s.exact {
		s.next = 2 * s.messages
	}
}

// wanted returns the lg with which the rest of the minute brings sampledMessages or fewer, if it is like the minute until now.
func (s *messageSample) wanted(now int64) uint8 {
	if s.messages < s.exact {
		return 0
	}
	elapsed := max(now-s.begin, 1e9)
	left := min(max((s.minute+1)*minute.Seconds*1e9-now, 1e9), minute.Seconds*1e9)
	rest := float64(s.messages) * float64(left) / float64(elapsed)
	return uint8(min(bits.Len64(uint64(rest/sampledMessages)), maxSampleLg))
}

// thinning says what messages of the given size stood for since the last flush, if the table gets the given weights. It is empty if all
// messages counted.
func (s *messageSample) thinning(size uint32, weights []uint64) (t sketch.Thinning) {
	lg := max(s.lg, s.most)
	if lg == 0 {
		return t
	}
	t.Each = uint64(max(size, 1)) << lg
	for _, w := range weights {
		t.Weight += w
	}
	return t
}
