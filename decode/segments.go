package decode

import "pktvisor/linktype"

// maxSegments bounds the packets that a frame is split into. A frame of 64 KiB with segments of 48 bytes, Linux's
// minimum for TCP, has 1366.
const maxSegments = 4096

// Segments splits a frame that stands for several packets. Such a frame has the headers once, followed by the payload
// of all packets. Either the interface cuts the payload into pieces of one size (segmentation offload), or the kernel
// has joined such pieces (GRO). The owner of a Segments reuses it.
type Segments struct {
	packet Packet // the packet as it is in the frame
	whole  bool   // there is nothing to split

	capEnd  uint32 // end of the captured payload in the frame
	payload uint32 // start of the payload that is cut, in the frame
	inner   uint32 // length of the headers of a tunnel's inner packet, which count as payload of the outer packet
	rest    uint32 // remaining payload, in bytes on the wire
	size    uint32 // size of a piece
	heads   uint32 // length of a packet without its piece, in bytes on the wire
	n       uint32 // packets that [Segments.Next] has returned
	seq     bool   // TCP is cut, not UDP
}

// Split decodes a frame as [Decoder.Decode] does, and prepares to cut it into payloads of size bytes. [Segments.Next]
// returns the pieces.
//
// The payload of TCP or UDP is cut. In a tunnel of the kernel this is the inner packet's payload, and each piece gets
// the headers of both packets. If a program sends datagrams with tunnel headers of its own, each datagram has all its
// headers. The inner packet is then not longer than a piece.
func (d *Decoder) Split(s *Segments, frame []byte, wireLen uint32, link linktype.Type, time int64, size uint16) {
	*s = Segments{size: uint32(size)}
	wireLen = max(wireLen, uint32(len(frame)))
	outer, all := Decoder{}, Decoder{Decap: true}
	p := &s.packet
	outer.Decode(p, frame, wireLen, link, time)
	cut := *p
	if p.Kind == KindIP && tunnelProto[p.Proto] {
		var in Packet
		all.Decode(&in, frame, wireLen, link, time)
		if in.Flags&(FlagTunnelled|FlagL4) == FlagTunnelled|FlagL4 && in.PayloadLen > s.size {
			cut = in
			if d.Decap {
				*p = in
			}
		}
	}
	total := min(cut.PayloadLen, wireLen-cut.Payload)
	if size == 0 || cut.Kind != KindIP || cut.Flags&FlagFragment != 0 || total <= s.size {
		s.whole = true
		d.Decode(p, frame, wireLen, link, time)
		return
	}
	s.payload, s.capEnd, s.rest, s.heads = cut.Payload, cut.Payload+cut.CapLen, total, wireLen-total
	s.inner = cut.Payload - p.Payload
	s.seq = p.Proto == ProtoTCP && p.Flags&FlagL4 != 0
}

// Next sets p to the next packet, and reports whether there is one. If its payload was not captured, CapLen shows this.
func (s *Segments) Next(p *Packet) bool {
	if s.whole {
		if s.n++; s.n > 1 {
			return false
		}
		*p = s.packet
		return true
	}
	if s.rest == 0 {
		return false
	}
	s.n++
	piece := min(s.size, s.rest)
	if s.n == maxSegments {
		piece = s.rest
	}
	*p = s.packet
	p.WireLen = s.heads + piece
	p.PayloadLen = s.inner + piece
	captured := min(max(s.capEnd, s.payload)-s.payload, piece)
	switch {
	case s.inner == 0:
		p.Payload, p.CapLen = min(s.payload, s.capEnd), captured
	case s.n == 1:
		p.CapLen = min(p.CapLen, s.inner+captured)
	default: // the inner headers are not before the piece
		p.CapLen = 0
	}
	s.rest -= piece
	s.payload += piece
	if s.seq {
		// Only the last packet has FIN and PSH, as in Linux's tcp_gso_segment.
		if s.rest > 0 {
			p.TCPFlags &^= TCPFin | TCPPsh
		}
		s.packet.Seq += piece
	}
	return true
}
