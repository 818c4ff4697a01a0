package packets

import (
	"pktvisor/analyze"
	"pktvisor/metric"
)

// cellNoIP is the transport in the index of a cell of [analyze.Precounted] whose frames are not IP.
const cellNoIP = 3

// AddPrecounted implements [analyze.Precounter].
func (a *Analyzer) AddPrecounted(s *metric.Section, second int64, late bool, p *analyze.Precounted) {
	var c Counters
	for i, x := range p.Cells {
		packets, bytes := metric.Counter(x.Packets), metric.Counter(x.Bytes)
		if i&cellNoIP == cellNoIP {
			c.Total += packets
			c.BytesTotal += bytes
			c.OtherL4 += packets
			c.UnknownDir += packets
			c.NonIP += packets
			continue
		}
		c.addCell(i, packets, bytes)
	}
	c.TCPSyn, c.TCPSynAck, c.TCPRst = metric.Counter(p.Syn), metric.Counter(p.SynAck), metric.Counter(p.Rst)
	m, v := metric.Of[Metrics](s), c.volume()
	if late {
		c.Late = c.Total
	} else {
		v.addTo(m, second)
		s.CountSample(second, uint64(c.ip()), 0)
	}
	s.AddSample(metric.SampleCounts{Share: a.cfg.Sampler.Share(), Seen: uint64(c.ip())})
	metric.AddCounters(&m.Counters, &c)
}
