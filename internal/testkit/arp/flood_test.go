package arp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// bucket is a bucket with one section, to flush into.
type bucket struct{ section *metric.Section }

func (b bucket) Lock() *metric.Section { return b.section }
func (b bucket) Unlock()               {}

// TestFlood: more addresses than the tallies hold are flushed as they come, and all are counted. When a recording starts
// again, no address is in conflict.
func TestFlood(t *testing.T) {
	const n, perGroup = 5*tallySize + 3, 100
	seed, b := seedhash.New(), bucket{Table.New()}
	var a analyze.Analyzer
	flushes := 0
	a = Topic().New(analyze.Settings{Seed: &seed})(analyze.Shard{Flush: func() {
		flushes++
		a.FlushCounts(b.section, 1)
		a.FlushKeys(false, b)
	}})
	var d decode.Decoder
	group := make([]analyze.Packet, 0, perGroup)
	for i := range n {
		frame := testkit.AppendARP(nil, netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.2"))
		binary.BigEndian.PutUint16(frame[14+12:], uint16(i)) // of the sender's hardware address
		binary.BigEndian.PutUint16(frame[14+26:], uint16(i)) // of the target
		p := analyze.Packet{Frame: frame}
		d.Decode(&p.Packet, frame, uint32(len(frame)), linktype.Ethernet, 1e9)
		if group = append(group, p); len(group) == perGroup || i == n-1 {
			a.(analyze.Packets).Packets(group)
			group = group[:0]
		}
	}
	a.FlushCounts(b.section, 1)
	a.FlushKeys(true, b)
	m := metric.Of[Metrics](b.section)
	if m.Requests != n || m.Rate.At(1) != n || m.TopTargets.Total() != n || m.TopSenders.Total() != n || m.Conflicts != 1 {
		t.Errorf("%d requests, %d in the second, tables of %d and %d, %d conflicts; want %d each, and 1", m.Requests, m.Rate.At(1),
			m.TopTargets.Total(), m.TopSenders.Total(), m.Conflicts, n)
	}
	if e := m.Senders.Estimate(); e < n*0.95 || e > n*1.05 {
		t.Errorf("%v senders, want about %d", e, n)
	}
	if flushes != n/tallySize {
		t.Errorf("%d flushes, want %d", flushes, n/tallySize)
	}
	a.(analyze.Waiter).Restart()
	a.FlushCounts(b.section, 2)
	if m.Conflicts != 0 {
		t.Errorf("%d conflicts after a restart", m.Conflicts)
	}
}
