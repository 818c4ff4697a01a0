package decode

import "pktvisor/linktype"

// maxSegments bounds the packets that a frame is split into. A frame of 64 KiB with segments of 48 bytes, the least
// that Linux has for TCP, is 1366.
const maxSegments = 4096

// Segments splits a frame that stands for several packets of the wire: the headers once, and then the payload of all
// packets, to be cut into pieces of one size by the interface (segmentation offload), or put together from such (GRO). Its
// owner reuses it.
type Segments struct {
	packet Packet // as the frame has it
	whole  bool   // nothing to split

	capEnd  uint32 // where the captured payload ends in the frame
	payload uint32 // where the payload that is cut starts in the frame
	inner   uint32 // headers of a tunnel's inner packet, which count as payload of the outer one
	rest    uint32 // payload that is left, in bytes of the wire
	size    uint32 // of a piece
	heads   uint32 // what each packet has besides its piece, in bytes of the wire
	n       uint32 // packets that [Segments.Next] has returned
	seq     bool   // it is TCP that is cut
}

// Split decodes a frame as [Decoder.Decode] does, to be cut into payloads of size bytes. The pieces come from [Segments.Next].
//
// What is cut is the payload of TCP or UDP. In a tunnel of the kernel's that is the inner packet's, and each piece gets the
// headers of both. A program that sends datagrams with a tunnel's headers of its own has each with all of its headers:
// there the inner packet is not longer than a piece.
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

// Next sets p to the next packet, and reports whether there is one. Where its payload was not captured, CapLen says so.
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
		// FIN and PSH are the last packet's, as Linux's tcp_gso_segment has it.
		if s.rest > 0 {
			p.TCPFlags &^= TCPFin | TCPPsh
		}
		s.packet.Seq += piece
	}
	return true
}
