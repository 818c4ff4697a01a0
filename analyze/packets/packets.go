package packets

import (
	"net/netip"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// tallySize is how many distinct addresses a shard counts between flushes: as many as keep the
// table within a core's cache.
const tallySize = 1 << 14

// Locator tells where an address is. It is called while a bucket is locked, by any shard.
type Locator interface {
	City(netip.Addr) string
	ASN(netip.Addr) string
}

// Config is what an analyzer needs to know.
type Config struct {
	Seed    *analyze.Seed
	Sampler analyze.Sampler
	// Locate, if set, names the place and the network of an address; an empty name is not counted.
	Locate Locator
	// Flush makes the shard flush this analyzer's counts and keys.
	Flush func()
}

// Analyzer counts packets for one shard.
type Analyzer struct {
	cfg      Config
	counters Counters
	size     sketch.DenseHistogram
	payload  sketch.DenseHistogram
	peers    *analyze.Tally[peer]
	key      []byte
}

// peer is an address on the other side, and how many packets went between it and the host.
type peer struct {
	addr    decode.Addr
	in, out uint32
}

// New makes an analyzer.
func New(cfg Config) *Analyzer {
	return &Analyzer{cfg: cfg, peers: analyze.NewTally[peer](tallySize)}
}

// Packet counts a packet.
func (a *Analyzer) Packet(p *analyze.Packet) {
	c := &a.counters
	c.Total++
	c.BytesTotal += metric.Counter(p.WireLen)
	a.size.Record(uint64(p.WireLen))
	if p.Kind != decode.KindIP {
		c.OtherL4++
		c.UnknownDir++
		switch p.Kind {
		case decode.KindNonIP:
			c.NonIP++
		case decode.KindMalformed:
			c.Malformed++
		default:
			c.Unsupported++
		}
		return
	}
	if p.Version == 4 {
		c.IPv4++
	} else {
		c.IPv6++
	}
	a.transport(p)
	if p.Flags&(decode.FlagFragment|decode.FlagL4Malformed) != 0 {
		if p.Flags&decode.FlagFragment != 0 {
			c.Fragments++
		}
		if p.Flags&decode.FlagL4Malformed != 0 {
			c.MalformedL4++
		}
	}
	switch p.Direction {
	case analyze.Ingress:
		c.In++
		c.BytesIn += metric.Counter(p.WireLen)
	case analyze.Egress:
		c.Out++
		c.BytesOut += metric.Counter(p.WireLen)
	default:
		c.UnknownDir++
	}
	if a.cfg.Sampler.Flow(p) {
		c.DeepSamples++
		a.peer(p)
	}
}

func (a *Analyzer) transport(p *analyze.Packet) {
	c := &a.counters
	switch p.Proto {
	case decode.ProtoUDP:
		c.UDP++
	case decode.ProtoTCP:
		c.TCP++
		if p.TCPFlags&(decode.TCPSyn|decode.TCPRst) != 0 {
			switch {
			case p.TCPFlags&decode.TCPRst != 0:
				c.TCPRst++
			case p.TCPFlags&decode.TCPAck != 0:
				c.TCPSynAck++
			default:
				c.TCPSyn++
			}
		}
	default:
		c.OtherL4++
	}
	if p.Flags&decode.FlagL4 != 0 {
		a.payload.Record(uint64(p.PayloadLen))
	}
}

// peer counts the address on the other side of a packet whose direction is known.
func (a *Analyzer) peer(p *analyze.Packet) {
	addr := p.Src
	switch p.Direction {
	case analyze.Unknown:
		return
	case analyze.Egress:
		addr = p.Dst
	}
	if a.peers.Full(1) {
		a.cfg.Flush()
	}
	e, _, fresh := a.peers.At(a.cfg.Seed.Addr(addr))
	if fresh {
		e.addr = addr
	}
	if p.Direction == analyze.Ingress {
		e.in++
	} else {
		e.out++
	}
}

// Tick does nothing: no packet waits here.
func (a *Analyzer) Tick(int64) {}

// Finish does nothing, for the same reason.
func (a *Analyzer) Finish() {}

// FlushCounts adds the counters, rates and sizes to the bucket's section.
func (a *Analyzer) FlushCounts(s *metric.Section, second int64) {
	m := metric.Of[Metrics](s)
	c := &a.counters
	m.PpsIn.Add(second, uint64(c.In))
	m.PpsOut.Add(second, uint64(c.Out))
	m.PpsTotal.Add(second, uint64(c.Total))
	m.BpsIn.Add(second, 8*uint64(c.BytesIn))
	m.BpsOut.Add(second, 8*uint64(c.BytesOut))
	m.BpsTotal.Add(second, 8*uint64(c.BytesTotal))
	metric.AddCounters(&m.Counters, c)
	m.Size.AddDense(&a.size)
	a.size.Reset()
	m.PayloadSize.AddDense(&a.payload)
	a.payload.Reset()
}

// FlushKeys adds the addresses to the bucket's section.
func (a *Analyzer) FlushKeys(s *metric.Section, _ bool) {
	m := metric.Of[Metrics](s)
	for i := range a.peers.Entries() {
		a.flushPeer(m, &a.peers.Entries()[i])
	}
	a.peers.Reset()
}

func (a *Analyzer) flushPeer(m *Metrics, e *peer) {
	addr := e.addr.Netip()
	a.key = addr.AppendTo(a.key[:0])
	packets := uint64(e.in) + uint64(e.out)
	if e.addr.Is4() {
		m.TopIPv4.Add(a.key, packets)
	} else {
		m.TopIPv6.Add(a.key, packets)
	}
	if e.in > 0 {
		m.SrcIPsIn.Add(a.key)
	}
	if e.out > 0 {
		m.DstIPsOut.Add(a.key)
	}
	if a.cfg.Locate == nil {
		return
	}
	if city := a.cfg.Locate.City(addr); city != "" {
		a.key = append(a.key[:0], city...)
		m.TopGeoLoc.Add(a.key, packets)
	}
	if asn := a.cfg.Locate.ASN(addr); asn != "" {
		a.key = append(a.key[:0], asn...)
		m.TopASN.Add(a.key, packets)
	}
}
