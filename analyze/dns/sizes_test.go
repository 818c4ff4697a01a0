package dns

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
)

// TestSizes: by default, the tables have the sizes with which their figures were measured.
func TestSizes(t *testing.T) {
	byDefault := sizesAt(0)
	if want := (sizes{names: 32_768, nameBytes: 1 << 20, waiting: 131_072, classBytes: 4 << 20, early: 4096, latencies: 65_536, clients: 32_768}); byDefault != want {
		t.Errorf("%+v, want %+v", byDefault, want)
	}
	if flows, streams, fragments := readerSizes(0); flows != 16_384 || streams != 8<<20 || fragments != 2<<20 {
		t.Errorf("%d flows, %d bytes of streams, %d of fragments", flows, streams, fragments)
	}
	for scale := -6; scale <= 6; scale++ {
		a, b := sizesAt(scale), sizesAt(scale+1)
		if a.bytes(wantedBy(nil)) > b.bytes(wantedBy(nil)) || ReaderMemory(scale) > ReaderMemory(scale+1) {
			t.Errorf("scale %d takes %d and %d bytes, and the next scale less", scale, a.bytes(wantedBy(nil)), ReaderMemory(scale))
		}
		// With less space, each group of messages would cause a flush.
		if a.names <= spareGroups*spareNames || a.nameBytes < 2*spareNames*255 || a.latencies < 4*analyze.GroupSize || a.clients <= spareGroups*spareNames {
			t.Errorf("scale %d: there is no space for a few groups: %+v", scale, a)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBytes: when floods fill an analyzer and a reader, they take no more memory than their maximum at any scale.
func TestBytes(t *testing.T) {
	var group [analyze.GroupSize]analyze.Packet
	frame := make([]byte, 300)
	for _, scale := range []int{0, -2, -6} {
		seed := seedhash.New()
		topic := Topic(nil, nil, 60e9)
		before := heap()
		var a *Analyzer
		a = topic.New(analyze.Settings{Seed: &seed, Periods: 5, Scale: scale})(analyze.Shard{Sampler: analyze.NewSampler(100), Flush: func() {
			a.names.reset()
			a.clients.Reset()
			a.ecs.Reset()
			a.answered = a.answered[:0]
		}}).(*Analyzer)
		r := NewReader(ReaderConfig{Seed: &seed, Ports: []uint16{53}, Timeout: 60e9, Take: a, Scale: scale})
		a.Follow(r)
		// Distinct queries, with short and long names.
		s := sizesAt(scale)
		for n := range uint32(2 * s.waiting / analyze.GroupSize) {
			for i := range group {
				id := n*analyze.GroupSize + uint32(i)
				fillQuery(&group[i], frame, id)
			}
			r.Packets(group[:])
		}
		if a.xacts.n != s.waiting {
			t.Errorf("scale %d: %d queries wait, want %d", scale, a.xacts.n, s.waiting)
		}
		got, most := heap()-before, topic.Memory(topic.Table, scale)+ReaderMemory(scale)
		t.Logf("scale %d: %d kB of %d (of the reader %d)", scale, got>>10, most>>10, ReaderMemory(scale)>>10)
		if got > most || got < most/3 {
			t.Errorf("scale %d: %d kB, want at most %d and not much less", scale, got>>10, most>>10)
		}
		runtime.KeepAlive(a)
		runtime.KeepAlive(r)
	}
}

// fillQuery makes p a query with the given number, which gives its name, one of four lengths of the name, and its address.
func fillQuery(p *analyze.Packet, frame []byte, n uint32) {
	labels := [...]int{1, 2, 4, 8}[n%4] // of 25 bytes each
	*p = analyze.Packet{Frame: append([]byte(nil), frame...)}
	b := p.Frame
	binary.BigEndian.PutUint16(b, uint16(n))
	b[2], b[5] = 1, 1
	at := 12
	for l := range labels {
		b[at] = 25
		for i := range 25 {
			b[at+1+i] = 'a' + byte(n>>(i%8*4)&15) + byte(l)
		}
		at += 26
	}
	b[at], b[at+2], b[at+4] = 0, 1, 1
	at += 5
	p.Kind, p.Version, p.Proto, p.Direction = decode.KindIP, 4, decode.ProtoUDP, analyze.Ingress
	p.Flags, p.SrcPort, p.DstPort, p.Time = decode.FlagL4, uint16(n>>16)+1024, 53, 1e9
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], n)
	p.Src, p.Dst = decode.AddrFromNetip(netip.AddrFrom4(addr)), decode.AddrFromNetip(netip.AddrFrom4([4]byte{192, 0, 2, 53}))
	p.CapLen, p.PayloadLen = uint32(at), uint32(at)
}
