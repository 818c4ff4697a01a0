package decode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pktvisor/linktype"
)

// pieces cuts a payload.
func pieces(payload []byte, size int) (all [][]byte) {
	for ; len(payload) > size; payload = payload[size:] {
		all = append(all, payload[:size])
	}
	return append(all, payload)
}

// bytesFrom returns n bytes without long repetitions.
func bytesFrom(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((i + seed) * 31 >> 2)
	}
	return b
}

// TestSplit: the packets of a frame equal those that are decoded from the single frames on the wire.
func TestSplit(t *testing.T) {
	tcpAt := func(seq int, flags byte, payload []byte) []byte {
		b := tcp(40000, 53, flags, payload)
		binary.BigEndian.PutUint32(b[4:], uint32(seq))
		return b
	}
	vxlan := func(inner []byte) []byte {
		return ether(0x0800, ip4(ProtoUDP, udp(50000, 4789, cat([]byte{8, 0, 0, 0, 0, 0, 1, 0}, inner))))
	}
	// l4 returns TCP or UDP with the payload at an offset, or with the last of it.
	udpL4 := func(_ int, _ bool, b []byte) []byte { return udp(40000, 53, b) }
	tcpL4 := func(at int, last bool, b []byte) []byte {
		flags := byte(TCPAck)
		if last {
			flags |= TCPPsh | TCPFin
		}
		return tcpAt(1000+at, flags, b)
	}
	for _, tt := range []struct {
		name    string
		l4      func(at int, last bool, b []byte) []byte
		frame   func(l4 []byte) []byte
		decap   bool
		content bool // for packets after the first, the frame has the payload in one piece
	}{
		{"udp v4", udpL4, func(b []byte) []byte { return ether(0x0800, ip4(ProtoUDP, b)) }, false, true},
		{"udp v6", udpL4, func(b []byte) []byte { return ether(0x86dd, ip6(ProtoUDP, b)) }, false, true},
		{"udp v6 qinq", udpL4, func(b []byte) []byte {
			return ether(0x88a8, u16(7), u16(0x8100), u16(8), u16(0x86dd), ip6(ProtoUDP, b))
		}, true, true},
		{"tcp v4", tcpL4, func(b []byte) []byte { return ether(0x0800, ip4(ProtoTCP, b)) }, false, true},
		{"tcp v6", tcpL4, func(b []byte) []byte { return ether(0x86dd, ip6(ProtoTCP, b)) }, true, true},
		{"tcp in vxlan", tcpL4, func(b []byte) []byte { return vxlan(ether(0x0800, ip4(ProtoTCP, b))) }, false, false},
		{"tcp in vxlan, decap", tcpL4, func(b []byte) []byte { return vxlan(ether(0x0800, ip4(ProtoTCP, b))) }, true, true},
		{"udp v6 in vxlan, decap", udpL4, func(b []byte) []byte { return vxlan(ether(0x86dd, ip6(ProtoUDP, b))) }, true, true},
		{"tcp in gre", tcpL4, func(b []byte) []byte { return ether(0x0800, ip4(protoGRE, cat([]byte{0, 0, 8, 0}, ip4(ProtoTCP, b)))) }, false, false},
		{"datagrams that a program put into vxlan", func(_ int, _ bool, b []byte) []byte { return udp(50000, 4789, b) },
			func(b []byte) []byte { return ether(0x0800, ip4(ProtoUDP, b)) }, false, true},
	} {
		for _, n := range []int{1, 60, 61, 119, 600, 48_000} {
			if n <= 60 && strings.Contains(tt.name, "tcp in") || n <= 60 && strings.Contains(tt.name, "v6 in") {
				continue // the kernel never makes a tunnel's frame with one piece, and it would look like a program's
			}
			t.Run(fmt.Sprint(tt.name, " ", n), func(t *testing.T) {
				const size = 60
				payload := bytesFrom(n, n)
				frame := tt.frame(tt.l4(0, true, payload))
				d := Decoder{Decap: tt.decap}
				var s Segments
				d.Split(&s, frame, uint32(len(frame)), linktype.Ethernet, 7, size)
				var got Packet
				at := 0
				for i, piece := range pieces(payload, size) {
					if !s.Next(&got) {
						t.Fatalf("%d packets, want %d", i, (n+size-1)/size)
					}
					wire := tt.frame(tt.l4(at, at+len(piece) == n, piece))
					var want Packet
					d.Decode(&want, wire, uint32(len(wire)), linktype.Ethernet, 7)
					if tt.content && !bytes.Equal(frame[got.Payload:got.Payload+got.CapLen], wire[want.Payload:want.Payload+want.CapLen]) {
						t.Fatalf("packet %d has a different payload: %x", i, frame[got.Payload:got.Payload+got.CapLen])
					}
					if !tt.content && i > 0 {
						want.CapLen = 0
					}
					if int(got.Payload+got.CapLen) > len(frame) {
						t.Fatalf("packet %d ends at %d of %d", i, got.Payload+got.CapLen, len(frame))
					}
					want.Payload = got.Payload
					if got != want {
						t.Fatalf("packet %d:\ngot  %+v\nwant %+v", i, got, want)
					}
					at += len(piece)
				}
				if s.Next(&got) {
					t.Fatal("a packet more")
				}
			})
		}
	}
}

// TestSplitCut splits frames of which not all bytes were captured: the packets are those on the wire, with the captured bytes.
func TestSplitCut(t *testing.T) {
	payload := bytesFrom(3, 1000)
	frame := ether(0x0800, ip4(ProtoUDP, udp(1, 2, payload)))
	for snap := range len(frame) {
		var d Decoder
		var s Segments
		d.Split(&s, frame[:snap], uint32(len(frame)), linktype.Ethernet, 7, 300)
		var p Packet
		var wire, lengths, captured, n int
		for s.Next(&p) {
			n++
			wire += int(p.WireLen)
			lengths += int(p.PayloadLen)
			captured += int(p.CapLen)
			_ = frame[:snap][p.Payload : p.Payload+p.CapLen]
		}
		if snap < 14+20 { // without an IP header, it is not known where the payload begins
			if n != 1 || wire != len(frame) {
				t.Errorf("%d bytes captured: %d packets of %d bytes", snap, n, wire)
			}
			continue
		}
		heads := 14 + 20 + 8
		if snap < heads { // UDP's header counts as payload
			heads -= 8
		}
		total := len(frame) - heads
		if wantN := (total + 299) / 300; n != wantN || wire != len(frame)+(wantN-1)*heads || lengths != total || captured != max(snap-heads, 0) {
			t.Errorf("%d bytes captured: %d packets of %d bytes, payload %d, captured %d", snap, n, wire, lengths, captured)
		}
	}
}

// TestSplitBound: a guest of this host can claim anything about its frames.
func TestSplitBound(t *testing.T) {
	frame := ether(0x0800, ip4(ProtoUDP, udp(1, 2, make([]byte, 60_000))))
	var d Decoder
	var s Segments
	d.Split(&s, frame, uint32(len(frame)), linktype.Ethernet, 7, 1)
	var p Packet
	n, payload := 0, 0
	for s.Next(&p) {
		n++
		payload += int(p.PayloadLen)
	}
	if n != maxSegments || payload != 60_000 {
		t.Errorf("%d packets with %d bytes", n, payload)
	}
	if allocs := testing.AllocsPerRun(10, func() {
		d.Split(&s, frame, uint32(len(frame)), linktype.Ethernet, 7, 1000)
		for s.Next(&p) {
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzSplit splits any bytes: no packet reaches beyond its frame, and the packets together have all the frame's bytes.
func FuzzSplit(f *testing.F) {
	for _, b := range benchFrames {
		f.Add(b.frame, uint32(len(b.frame)), uint16(20))
	}
	for _, tt := range tunnels {
		frame := ether(0x0800, ip4(tt.proto, cat(tt.head, v4)))
		f.Add(frame, uint32(len(frame)), uint16(3))
	}
	f.Fuzz(func(t *testing.T, frame []byte, wireLen uint32, size uint16) {
		wireLen = max(wireLen%(1<<20), uint32(len(frame)))
		for _, link := range []linktype.Type{linktype.Ethernet, linktype.Raw} {
			for _, decap := range []bool{false, true} {
				d := Decoder{Decap: decap}
				var s Segments
				var p Packet
				d.Split(&s, frame, wireLen, link, 1, size)
				n, wire := 0, uint64(0)
				for s.Next(&p) {
					n++
					wire += uint64(p.WireLen)
					check(t, &p, frame)
					if p.WireLen > wireLen {
						t.Fatalf("packet %d of %d bytes, the frame has %d", n, p.WireLen, wireLen)
					}
				}
				if n == 0 || n > maxSegments || wire < uint64(wireLen) {
					t.Fatalf("%d packets of %d bytes", n, wire)
				}
			}
		}
	})
}
