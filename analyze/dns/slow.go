package dns

import (
	"math"
	"slices"

	"pktvisor/analyze"
	"pktvisor/sketch"
)

// minSlow is how many transactions a window must have for any of them to be slow.
const minSlow = 10

// answered is a transaction since the last flush: the place of its name in the tally in the lower 16 bits, its direction in the
// next 2, and its latency in microseconds above.
type answered uint64

func newAnswered(entry uint32, d analyze.Direction, micros uint64) answered {
	return answered(micros<<18 | uint64(d)<<16 | uint64(uint16(entry)))
}

func (x answered) entry() uint16                { return uint16(x) }
func (x answered) direction() analyze.Direction { return analyze.Direction(x>>16) & 3 }
func (x answered) micros() uint64               { return uint64(x >> 18) }

// Slow knows from which latency on a transaction is slow: the p90 of the window so far, the live
// minute included, for each direction. It is shared by the shards of an agent and used while
// the window is locked.
type Slow struct {
	periods int
	live    *Metrics
	recent  []*Metrics                              // the minutes before, oldest first; they may be open
	past    []*Metrics                              // sealed ones before these, oldest first
	merged  [analyze.NumDirections]sketch.Histogram // of past
}

// maxOpen is how many minutes beside the live one may be open: the closing one, and one that was the live one until
// the minute before it was opened for what is late.
const maxOpen = 2

// NewSlow makes it for a window of the given number of periods.
func NewSlow(periods int) *Slow { return &Slow{periods: periods} }

// latencies returns the histogram of the transactions of direction d.
func (m *Metrics) latencies(d analyze.Direction) *sketch.Histogram {
	switch d {
	case analyze.Ingress:
		return &m.InMicros.Histogram
	case analyze.Egress:
		return &m.OutMicros.Histogram
	}
	return &m.UnknownMicros.Histogram
}

// thresholds returns, by direction, the latency in microseconds from which on a transaction is slow.
// m is the bucket that is being filled: the live one, or the one that closes.
func (s *Slow) thresholds(m *Metrics) [analyze.NumDirections]uint64 {
	if m != s.live && !slices.Contains(s.recent, m) {
		s.rotate(m)
	}
	var limits [analyze.NumDirections]uint64
	for i := range limits {
		limits[i] = math.MaxUint64
		all := s.live.latencies(analyze.Direction(i))
		if len(s.recent) > 0 {
			both := s.merged[i].Clone()
			for _, m := range s.recent {
				both.Merge(m.latencies(analyze.Direction(i)))
			}
			both.Merge(all)
			all = both
		}
		if all.Count() >= minSlow {
			limits[i] = all.Quantile(0.9)
		}
	}
	return limits
}

// rotate makes m the live bucket. What it costs does not depend on how many there are.
func (s *Slow) rotate(m *Metrics) {
	if s.live != nil {
		s.recent = append(s.recent, s.live)
	}
	s.live = m
	if len(s.recent) > maxOpen {
		sealed := s.recent[0]
		s.recent = slices.Delete(s.recent, 0, 1)
		s.past = append(s.past, sealed)
		for i := range s.merged {
			s.merged[i].Merge(sealed.latencies(analyze.Direction(i)))
		}
	}
	for len(s.past)+len(s.recent) > s.periods-1 {
		if len(s.past) == 0 {
			s.recent = slices.Delete(s.recent, 0, 1)
			continue
		}
		for i := range s.merged {
			s.merged[i].Subtract(s.past[0].latencies(analyze.Direction(i)))
		}
		s.past[0] = nil // the slice keeps its memory
		s.past = s.past[1:]
	}
}
