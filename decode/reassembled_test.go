package decode

import "testing"

// TestReassembled: a reassembled datagram is decoded as if it had arrived whole, and one of which only the start is
// available as if the capture had cut it.
func TestReassembled(t *testing.T) {
	udp := make([]byte, 64)
	copy(udp, []byte{0x10, 0, 0, 53, 0, 64})
	tcp := make([]byte, 64)
	copy(tcp, []byte{0x10, 0, 0, 53, 0, 0, 0, 9, 0, 0, 0, 7, 0x50, TCPAck})
	options := []byte{ProtoUDP, 0, 1, 4, 0, 0, 0, 0}
	jumbo := append([]byte{}, udp...)
	jumbo[5] = 0
	for _, c := range []struct {
		name            string
		version, proto  uint8
		b               []byte
		length          int
		flags           Flags
		payload, cap, n uint32
	}{
		{"UDP", 4, ProtoUDP, udp, 64, FlagL4, 8, 56, 56},
		{"UDP, longer than it is", 4, ProtoUDP, udp[:60], 60, FlagL4 | FlagL4Malformed, 8, 52, 52},
		{"the start of UDP", 4, ProtoUDP, udp[:40], 64, FlagL4, 8, 32, 56},
		{"the start of UDP, of unknown length", 6, ProtoUDP, udp[:40], 0, FlagL4, 8, 32, 56},
		{"half a UDP header", 4, ProtoUDP, udp[:7], 7, FlagL4Malformed, 0, 7, 7},
		{"UDP of length 0", 4, ProtoUDP, jumbo, 64, FlagL4Malformed, 0, 64, 64},
		{"UDP of length 0 over IPv6", 6, ProtoUDP, jumbo, 64, FlagL4, 8, 56, 56},
		{"options", 6, protoDestOpts, append(options, udp...), 72, FlagL4, 16, 56, 56},
		{"TCP", 4, ProtoTCP, tcp, 64, FlagL4, 20, 44, 44},
		{"the start of TCP", 4, ProtoTCP, tcp[:40], 64, FlagL4, 20, 20, 44},
		{"the start of TCP, of unknown length", 4, ProtoTCP, tcp[:40], 0, FlagL4, 20, 20, 20},
		{"a fragment of a fragment", 6, protoFragment, append([]byte{ProtoUDP, 0, 0, 1, 0, 0, 0, 1}, udp...), 72, FlagFragment, 8, 64, 64},
	} {
		p := Packet{Time: 5, Src: AddrFrom4(1), Dst: AddrFrom4(2), Version: c.version, Proto: c.proto, Flags: FlagFragment | FlagLaterFragment, FragID: 9, Payload: 77}
		p.Reassembled(c.b, c.length)
		if p.Flags != c.flags || p.Payload != c.payload || p.CapLen != c.cap || p.PayloadLen != c.n || p.Time != 5 || p.Dst != AddrFrom4(2) || p.Kind != KindIP {
			t.Errorf("%s: %+v", c.name, p)
		}
		if p.Flags&FlagL4 != 0 && (p.SrcPort != 0x1000 || p.DstPort != 53 || p.Proto == ProtoTCP && (p.Seq != 9 || p.Ack != 7)) {
			t.Errorf("%s: ports or numbers: %+v", c.name, p)
		}
	}
}
