package dns

import (
	"fmt"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
)

// steps returns the total number of slots that the searches for all entries read, and the length of the longest run of used
// slots. No search reads more slots than that, and neither does the closing of a gap. An entry that is not the first with its
// addresses, ports, transport and ID takes two searches.
func (t *transactions) steps() (total, longest int) {
	run := 0
	for i := range 2 * len(t.slots) { // twice, because a run may continue at the beginning
		if run++; t.slots[i%len(t.slots)] == none {
			run = 0
		}
		longest = max(longest, run)
	}
	for i := t.oldest(); i != none; i = t.queries[i].newer {
		total += 1 + int((t.slotOf(i)-t.queries[i].key)&t.mask)
		if t.queries[i].prev != none {
			total++ // the search for the first
		}
	}
	return total, longest
}

// floods are sets of queries that an attacker may choose. Each function makes the query with a given number.
var floods = []struct {
	name string
	make func(i int, p *analyze.Packet, b []byte) []byte
}{
	{"all different", func(i int, p *analyze.Packet, b []byte) []byte {
		p.Src, p.SrcPort = decode.AddrFrom4(uint32(i)*0x9e3779b1), uint16(i*7919)
		return testkit.AppendDNS(b, uint16(i), 0, "www.example", 1)
	}},
	{"one port and ID", func(i int, p *analyze.Packet, b []byte) []byte {
		return testkit.AppendDNS(b, 7, 0, fmt.Sprintf("%d.example", i), 1)
	}},
	{"one port and ID, by types", func(i int, p *analyze.Packet, b []byte) []byte {
		return testkit.AppendDNS(b, 7, 0, fmt.Sprintf("%d.example", i>>16), uint16(i))
	}},
	{"one name, by IDs", func(i int, p *analyze.Packet, b []byte) []byte {
		p.SrcPort = uint16(i >> 16)
		return testkit.AppendDNS(b, uint16(i), 0, "www.example", 1)
	}},
	{"one name and ID, by ports", func(i int, p *analyze.Packet, b []byte) []byte {
		p.SrcPort = uint16(i)
		p.DstPort = uint16(53 + i>>16)
		return testkit.AppendDNS(b, 7, 0, "www.example", 1)
	}},
	{"two names of each port and ID", func(i int, p *analyze.Packet, b []byte) []byte {
		return testkit.AppendDNS(b, uint16(i>>1), 0, fmt.Sprintf("%d.example", i&1), 1)
	}},
	{"by the upper bits of IPv6 addresses", func(i int, p *analyze.Packet, b []byte) []byte {
		p.Src, p.Dst = decode.Addr{Hi: uint64(i) << 47}, decode.Addr{Hi: 1 << 63}
		return testkit.AppendDNS(b, 7, 0, "www.example", 1)
	}},
	{"by addresses and ports that change together", func(i int, p *analyze.Packet, b []byte) []byte {
		p.Src.Lo ^= uint64(uint16(i))
		p.Dst.Hi = 1 << 63
		p.SrcPort ^= uint16(i)
		return testkit.AppendDNS(b, uint16(i)^uint16(i>>16), 0, "www.example", 1)
	}},
}

// flood counts n queries of a flood in the analyzer of a lab. Either no query has a response, or all have, in the same order.
func (l *lab) flood(make func(i int, p *analyze.Packet, b []byte) []byte, n int, answered bool) {
	var b []byte
	for _, flags := range []byte{0, 0x80} {
		for i := range n {
			p := analyze.Packet{Packet: decode.Packet{Time: l.now, Version: 4, Proto: decode.ProtoUDP, SrcPort: 40000, DstPort: 53, Flags: decode.FlagL4}}
			p.Src, p.Dst = decode.AddrFrom4(198<<24|51<<16|7), decode.AddrFrom4(192<<24|2<<8|53)
			b = make(i, &p, b[:0])
			if b[2] |= flags; flags != 0 {
				p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			}
			l.payload(&p, b)
		}
		if !answered {
			break
		}
	}
}

// TestCostOfKeys: the queries of a flood are found in as few steps as others, whatever their keys are.
func TestCostOfKeys(t *testing.T) {
	usual := 0
	for _, f := range floods {
		l := newLab(t, nil).at(second)
		l.flood(f.make, maxWaiting, false)
		if l.xacts.n < maxWaiting/2 {
			t.Fatalf("%s: only %d queries wait", f.name, l.xacts.n)
		}
		total, longest := l.xacts.steps()
		total = int(int64(total) * maxWaiting / int64(l.xacts.n))
		if usual == 0 {
			usual = total
		}
		if total > 2*usual || longest > 64 {
			t.Errorf("%s: %d steps for %d queries, and %d for other queries; the longest run is %d", f.name, total, l.xacts.n, usual, longest)
		}
	}
	if usual > maxWaiting*3/2 {
		t.Errorf("%d steps for %d queries", usual, maxWaiting)
	}
}

// TestCostOfAnswers: when a flood has been answered, no slot is in use, and each query had its own response.
func TestCostOfAnswers(t *testing.T) {
	for _, f := range floods {
		const n = 1 << 15
		l := newLab(t, nil).at(second)
		l.flood(f.make, n, true)
		m := l.flush()
		if asked := uint64(m.Xacts + m.Repeats); asked != n || m.Xacts < n/2 || m.Orphans != 0 || uint64(m.Xacts+m.ResponseRepeats) != n || l.Open() != 0 {
			t.Errorf("%s: %d transactions, %d and %d repeats, %d open", f.name, m.Xacts, m.Repeats, m.ResponseRepeats, l.Open())
		}
		for _, s := range l.xacts.slots {
			if s != none {
				t.Fatalf("%s: a slot is still in use", f.name)
			}
		}
	}
}

// TestCostOfFlushes: an attacker cannot choose keys that make a shard flush often. A flush costs as much as some hundred
// messages.
func TestCostOfFlushes(t *testing.T) {
	long := make([]byte, 0, 255)
	for range 3 {
		long = append(long, "0123456789012345678901234567890123456789012345678901234567890."...)
	}
	for _, f := range append(floods[:len(floods):len(floods)], []struct {
		name string
		make func(i int, p *analyze.Packet, b []byte) []byte
	}{
		{"the longest names", func(i int, p *analyze.Packet, b []byte) []byte {
			return testkit.AppendDNS(b, uint16(i), 0, fmt.Sprintf("%s%d.example", long, i), 1)
		}},
		{"client subnets", func(i int, p *analyze.Packet, b []byte) []byte {
			return withOPT(testkit.AppendDNS(b, uint16(i), 0, "www.example", 1), 0, 0, 8, 0, 8, 0, 1, 32, 0, 10, byte(i>>16), byte(i>>8), byte(i))
		}},
	}...) {
		const n = 1 << 16
		l := newLab(t, nil).at(second)
		l.flood(f.make, n, true)
		if most := 2 * n / 800; l.flushes > most {
			t.Errorf("%s: %d flushes for %d messages, want %d at most", f.name, l.flushes, 2*n, most)
		}
	}
}

// FuzzPairing counts queries and responses with a few keys, in any order and at any time. Each message must be counted exactly
// once by how it was paired, and the hash tables must not have long runs.
func FuzzPairing(f *testing.F) {
	f.Add([]byte{0, 1, 0x80, 1, 0, 1, 0, 2, 0x80, 2, 0xf0, 9})
	f.Add([]byte{0x80, 1, 0, 1, 0x40, 0, 0xc0, 0, 0xf0, 2, 0x81, 1})
	f.Add([]byte{0xf0, 25, 0, 1, 0xf0, 150, 0, 2, 0xf0, 120, 0x40, 0, 0xc0, 0})
	l := newLab(f, nil).at(100 * second)
	f.Fuzz(func(t *testing.T, ops []byte) {
		l.section = Table.New()
		queries, responses := 0, 0
		for len(ops) >= 2 {
			do, what := ops[0], ops[1]
			ops = ops[2:]
			if do >= 0xf0 {
				// Sometimes the time goes back. As in a shard, some queries are overdue before the second ends.
				before := l.now / second
				if l.now += int64(what)*20*ms - int64(do&1)*second; l.now/second != before {
					l.Tick(l.now / second * second)
				}
				continue
			}
			msg := testkit.AppendDNS(nil, uint16(do&1), 0, fmt.Sprintf("%d.example", what&15), uint16(1+what>>7*251))
			if do&0x40 != 0 {
				msg = withCount(msg[:12:12], 0, 0)
			}
			p := analyze.Packet{Packet: decode.Packet{Time: l.now, Version: 4, Proto: decode.ProtoUDP, SrcPort: 40000, DstPort: 53}}
			if what&0x40 != 0 {
				p.Proto = decode.ProtoTCP
			}
			p.Src, p.Dst = decode.AddrFrom4(1), decode.AddrFrom4(2)
			queries++
			if do&0x80 != 0 {
				msg[2] |= 0x80
				p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
				queries, responses = queries-1, responses+1
			}
			l.payload(&p, msg)
		}
		for _, x := range []*transactions{l.xacts, l.early} {
			if _, longest := x.steps(); longest > 32 {
				t.Errorf("there is a run of %d slots", longest)
			}
		}
		l.now = max(l.now, 0)
		m := l.at(l.now + 100*second).flush() // until no message waits
		if n := m.Xacts + m.Repeats + m.Timeouts + m.Evicted; int(n) != queries {
			t.Errorf("%d of %d queries are counted: %+v", n, queries, m.Counters)
		}
		if n := m.Xacts + m.ResponseRepeats + m.TransferMessages + m.Orphans; int(n) != responses {
			t.Errorf("%d of %d responses are counted: %+v", n, responses, m.Counters)
		}
		if bytes := m.TopResponseBytes.Total(); bytes > 1<<40 {
			t.Errorf("%d bytes of responses at names", bytes)
		}
	})
}
