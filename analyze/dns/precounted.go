package dns

import (
	"pktvisor/analyze"
	"pktvisor/metric"
)

// precountedOutcomes are the outcomes in the index of [analyze.Precounted.Messages], which the kernel's program writes.
var precountedOutcomes = [8]outcome{asked, otherRcode, servFail, nxDomain, refused, noError, noData}

// AddPrecounted implements [analyze.Precounter].
func (a *Analyzer) AddPrecounted(s *metric.Section, second int64, late bool, p *analyze.Precounted) {
	var c Counters
	for i, n := range p.Messages {
		direction, ipv6 := analyze.Direction(i>>4), i>>3&1
		c.addCell(int(direction)<<5|ipv6*cellIPv6|int(precountedOutcomes[i&7]), metric.Counter(n))
	}
	c.Truncated = metric.Counter(p.Truncated)
	m := metric.Of[Metrics](s)
	if !late {
		m.Rate.Add(second, uint64(c.Total))
		s.CountSample(second, uint64(c.Total), 0)
	}
	// The kernel does not count the bytes of messages, but the datagrams have at least as many.
	s.AddSample(metric.SampleCounts{Share: a.cfg.Sampler.Share(), Seen: uint64(c.Total), SeenBytes: p.BytesUDP()})
	metric.AddCounters(&m.Counters, &c)
}
