package dns

import (
	"math"
	"slices"

	"pktvisor/analyze"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// minSlow is the number of transactions that a window must have before any of them counts as slow.
const minSlow = 10

// answered is a transaction since the last flush. It has the position of its name in the tally in the lower 16 bits, its
// direction in the next 2 bits, and its latency in microseconds above them.
type answered uint64

func newAnswered(entry uint32, d analyze.Direction, micros uint64) answered {
	return answered(micros<<18 | uint64(d)<<16 | uint64(uint16(entry)))
}

func (x answered) entry() uint16                { return uint16(x) }
func (x answered) direction() analyze.Direction { return analyze.Direction(x>>16) & 3 }
func (x answered) micros() uint64               { return uint64(x >> 18) }

// Slow has the latency from which a transaction counts as slow, for each direction: the p90 of the window so far, including
// the live minute. All shards of a policy share it, and use it while the window is locked.
type Slow struct {
	periods int
	live    *Metrics
	recent  []*Metrics                              // the minutes before the live one, which may be open, oldest first
	past    []*Metrics                              // sealed minutes before these, oldest first
	merged  [analyze.NumDirections]sketch.Histogram // the latencies of past
}

// maxOpen is the maximum number of open minutes besides the live one. One is the minute that is closing. The other was the
// live one until the minute before it was opened again for late packets.
const maxOpen = 2

// NewSlow makes a Slow for a window of the given number of minutes.
func NewSlow(periods int) *Slow { return &Slow{periods: periods} }

// latencies returns the histogram of the transactions of direction d.
func (m *Metrics) latencies(d analyze.Direction) *metric.Histogram {
	switch d {
	case analyze.Ingress:
		return &m.InMicros
	case analyze.Egress:
		return &m.OutMicros
	}
	return &m.UnknownMicros
}

// thresholds returns, for each direction, the latency in microseconds from which a transaction counts as slow. m has the
// metrics of the bucket that is being filled, which is the live one or the one that is closing.
func (s *Slow) thresholds(m *Metrics) [analyze.NumDirections]uint64 {
	if m != s.live && !slices.Contains(s.recent, m) {
		s.rotate(m)
	}
	var limits [analyze.NumDirections]uint64
	for i := range limits {
		limits[i] = math.MaxUint64
		all := &s.live.latencies(analyze.Direction(i)).Histogram
		if len(s.recent) > 0 {
			both := s.merged[i].Clone()
			for _, m := range s.recent {
				both.Merge(&m.latencies(analyze.Direction(i)).Histogram)
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

// rotate makes m the live bucket. Its cost does not depend on the number of minutes.
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
			s.merged[i].Merge(&sealed.latencies(analyze.Direction(i)).Histogram)
		}
	}
	for len(s.past)+len(s.recent) > s.periods-1 {
		if len(s.past) == 0 {
			s.recent = slices.Delete(s.recent, 0, 1)
			continue
		}
		for i := range s.merged {
			s.merged[i].Subtract(&s.past[0].latencies(analyze.Direction(i)).Histogram)
		}
		s.past[0] = nil // so that the slice does not keep the minute in memory
		s.past = s.past[1:]
	}
}
