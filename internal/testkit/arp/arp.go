package arp

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
)

// Topic declares the analyzer.
func Topic() analyze.Topic {
	return analyze.Topic{Table: Table, New: func(set analyze.Settings) func(analyze.Shard) analyze.Analyzer {
		return func(shard analyze.Shard) analyze.Analyzer {
			return &analyzer{
				seed: set.Seed, shard: shard,
				targets: analyze.NewTally[target](tallySize), senders: analyze.NewTally[sender](tallySize),
			}
		}
	}}
}

// analyzer counts ARP packets for one shard.
type analyzer struct {
	seed     *seedhash.Seed
	shard    analyze.Shard
	counters Counters
	rated    metric.Counter // packets up to the end of the last second
	seconds  analyze.Seconds[metric.Counter]
	targets  *analyze.Tally[target]
	senders  *analyze.Tally[sender]
	claims   claims
	flushed  metric.Gauge // the conflicts that the buckets know of
	texts    [partSize][]byte
}

// tallySize is how many distinct keys a tally holds. A flush adds them in parts of partSize.
const (
	tallySize = 1 << 10
	partSize  = 256
)

// target is an IPv4 address that was asked for, and how often. sender is a hardware address, and its packets.
type (
	target struct {
		ip       uint32
		requests uint64
	}
	sender struct {
		mac     mac
		packets uint64
	}
)

// mac is a hardware address of Ethernet, in the lower 48 bits.
type mac uint64

// The fields of an ARP packet (RFC 826).
const (
	etherType = 0x0806

	offHardware   = 0 // the kind of the hardware addresses
	offProtocol   = 2 // the kind of the other addresses, an EtherType
	offLengths    = 4 // of both kinds of address, a byte each
	offOperation  = 6
	offSenderMAC  = 8
	offSenderIP   = 14
	offTargetIP   = 24
	fixedLen      = 8  // what all ARP packets have
	ethernetLen   = 28 // of one about Ethernet and IPv4
	ethernet      = 1
	ieee802       = 6
	ipv4          = 0x0800
	lengths       = 6<<8 | 4
	request       = 1
	reply         = 2
	anyIP, anyMAC = 0, 0
)

// Packets counts the packets of a group. It implements [analyze.Packets].
func (a *analyzer) Packets(group []analyze.Packet) {
	if a.targets.Full(len(group)) || a.senders.Full(len(group)) {
		a.shard.Flush()
	}
	for i := range group {
		if p := &group[i]; p.EtherType == etherType {
			a.packet(p)
		}
	}
}

// packet counts an ARP packet.
func (a *analyzer) packet(p *analyze.Packet) {
	c := &a.counters
	c.Total++
	b := p.Content()
	whole := uint32(fixedLen)
	if len(b) >= fixedLen {
		hardware := binary.BigEndian.Uint16(b[offHardware:])
		if hardware != ethernet && hardware != ieee802 || binary.BigEndian.Uint16(b[offProtocol:]) != ipv4 {
			c.Foreign++
			return
		}
		whole = ethernetLen
	}
	switch {
	case p.PayloadLen < whole:
		c.Malformed++
		return
	case len(b) < int(whole):
		c.Cut++
		return
	case binary.BigEndian.Uint16(b[offLengths:]) != lengths:
		c.Malformed++
		return
	}
	from := mac(binary.BigEndian.Uint64(b[offSenderMAC-2:]) & (1<<48 - 1))
	ip, to := binary.BigEndian.Uint32(b[offSenderIP:]), binary.BigEndian.Uint32(b[offTargetIP:])
	s, _, fresh := a.senders.At(a.seed.Mix(uint64(from), 0))
	if fresh {
		s.mac = from
	}
	s.packets++
	switch binary.BigEndian.Uint16(b[offOperation:]) {
	case request:
		a.request(ip, to)
	case reply:
		c.Replies++
	default:
		c.OtherOps++
		return
	}
	if ip != anyIP && from != anyMAC {
		a.claims.add(a.seed.Mix(uint64(ip), 1), ip, from, p.Time)
	}
}

// request counts a request of one address for another.
func (a *analyzer) request(from, to uint32) {
	switch from {
	case to:
		a.counters.Gratuitous++
		return
	case anyIP:
		a.counters.Probes++
	default:
		a.counters.Requests++
	}
	t, _, fresh := a.targets.At(a.seed.Mix(uint64(to), 1))
	if fresh {
		t.ip = to
	}
	t.requests++
}

// Tick ends conflicts that are over. It implements [analyze.Waiter].
func (a *analyzer) Tick(now int64) { a.claims.expire(now) }

// Finish does nothing: no packet waits here.
func (a *analyzer) Finish() {}

// Restart forgets who claimed which address.
func (a *analyzer) Restart() { a.claims = claims{} }

// EndSecond keeps the rate of the second that ends. It implements [analyze.Rated].
func (a *analyzer) EndSecond(second int64) {
	a.seconds.Add(second, a.counters.Total-a.rated)
	a.rated = a.counters.Total
}

// FlushCounts adds the counts to the bucket's section.
func (a *analyzer) FlushCounts(s *metric.Section, second int64) {
	a.EndSecond(second)
	a.seconds.Take(func(second int64, n metric.Counter) {
		if s := a.shard.Open.Section(s, second); s != nil {
			metric.Of[Metrics](s).Rate.Add(second, uint64(n))
		}
	})
	m := metric.Of[Metrics](s)
	metric.AddCounters(&m.Counters, &a.counters)
	a.rated = 0
	m.Conflicts += a.claims.conflicts - a.flushed
	a.flushed = a.claims.conflicts
}

// FlushKeys adds the addresses to the bucket's section.
func (a *analyzer) FlushKeys(_ bool, keys analyze.Keys) {
	for part := range slices.Chunk(a.senders.Entries(), partSize) {
		for i := range part {
			a.texts[i] = part[i].mac.appendTo(a.texts[i][:0])
		}
		m := metric.Of[Metrics](keys.Lock())
		for i := range part {
			m.Senders.Add(a.texts[i])
			m.TopSenders.Add(a.texts[i], part[i].packets)
		}
		keys.Unlock()
	}
	for part := range slices.Chunk(a.targets.Entries(), partSize) {
		for i := range part {
			a.texts[i] = decode.AddrFrom4(part[i].ip).AppendTo(a.texts[i][:0])
		}
		m := metric.Of[Metrics](keys.Lock())
		for i := range part {
			m.TopTargets.Add(a.texts[i], part[i].requests)
		}
		keys.Unlock()
	}
	a.senders.Reset()
	a.targets.Reset()
}

// appendTo appends the address as 02:00:00:00:00:01.
func (m mac) appendTo(b []byte) []byte {
	for shift := 40; shift >= 0; shift -= 8 {
		b = append(hex.AppendEncode(b, []byte{byte(m >> shift)}), ':')
	}
	return b[:len(b)-1]
}
