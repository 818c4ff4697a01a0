package decode

import "encoding/binary"

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// Protocol numbers of the headers that are skipped to reach TCP or UDP (RFC 8200, section 4; RFC 7045, section 4).
const (
	protoHopByHop = 0
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoNoNext   = 59
	protoDestOpts = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140
)

// maxExtensions bounds the extension headers of a packet. RFC 8200 needs at most nine.
const maxExtensions = 16

// ipv4 decodes an IPv4 packet (RFC 791, section 3.1). It fails, and leaves p unchanged, unless the header is whole
// and its lengths are consistent.
func (p *Packet) ipv4(frame []byte, off, wireEnd int) bool {
	if off < 0 || len(frame)-off < 20 {
		return false
	}
	b := frame[off : off+20 : off+20]
	headLen := int(b[0]&15) << 2
	total := int(be16(b[2:]))
	if total == 0 { // the sending kernel leaves the length to the interface (TSO)
		total = wireEnd - off
	}
	if b[0]>>4 != 4 || headLen < 20 || total < headLen || len(frame)-off < headLen {
		return false
	}
	p.Kind, p.Version = KindIP, 4
	p.TTL, p.Proto = b[8], b[9]
	p.Src = AddrFrom4(be32(b[12:]))
	p.Dst = AddrFrom4(be32(b[16:]))
	end := off + total
	off += headLen
	if frag := be16(b[6:]); frag&0x3fff != 0 {
		p.FragID = uint32(be16(b[4:]))
		p.fragment(p.Proto, frag<<3, frag&0x2000 != 0)
		p.setPayload(frame, off, end)
		if p.FragOffset != 0 {
			return true
		}
	}
	if p.Proto == protoAH {
		p.extensions(frame, off, end)
		return true
	}
	p.transport(frame, off, end)
	return true
}

// ipv6 decodes an IPv6 packet (RFC 8200, section 3). It fails, and leaves p unchanged, unless the fixed header is
// whole.
func (p *Packet) ipv6(frame []byte, off, wireEnd int) bool {
	if off < 0 || len(frame)-off < 40 {
		return false
	}
	b := frame[off : off+40 : off+40]
	if b[0]>>4 != 6 {
		return false
	}
	p.Kind, p.Version = KindIP, 6
	p.Proto, p.TTL = b[6], b[7]
	p.Src = Addr{be64(b[8:]), be64(b[16:])}
	p.Dst = Addr{be64(b[24:]), be64(b[32:])}
	off += 40
	end := off + int(be16(b[4:]))
	if end == off && p.Proto != protoNoNext {
		// A jumbogram (RFC 2675), or segmentation that is left to the interface: the packet is as long as its
		// frame. The jumbo option could only repeat this, or contradict it.
		end = max(off, wireEnd)
	}
	switch p.Proto {
	case ProtoTCP, ProtoUDP:
		p.transport(frame, off, end)
	default:
		p.extensions(frame, off, end)
	}
	return true
}

// fragment sets the fields that mark a fragment.
func (p *Packet) fragment(proto uint8, offset uint16, more bool) {
	p.Flags |= FlagFragment
	p.FragProto = proto
	p.FragOffset, p.FragMore = offset, more
	if offset != 0 {
		p.Flags |= FlagLaterFragment
	}
}

// extensions skips the extension headers from off on, the first of which p.Proto names, and then reads the TCP or UDP
// header. end is where the IP packet ends on the wire.
func (p *Packet) extensions(frame []byte, off, end int) {
	for range maxExtensions {
		b := frame[min(off, end, len(frame)):min(end, len(frame))]
		var n int
		switch p.Proto {
		case protoHopByHop, protoRouting, protoDestOpts, protoMobility, protoHIP, protoShim6:
			if len(b) >= 2 {
				n = int(b[1])<<3 + 8
			}
		case protoAH: // RFC 4302, section 2.2
			if len(b) >= 2 {
				n = int(b[1])<<2 + 8
			}
		case protoFragment:
			n = 8
		default:
			p.transport(frame, off, end)
			return
		}
		if n == 0 || n > len(b) {
			p.Flags |= FlagL4Malformed
			p.setPayload(frame, off, end)
			return
		}
		off += n
		if p.Proto == protoFragment {
			frag := be16(b[2:])
			// A fragment that is the whole datagram (RFC 6946) does not count as a fragment.
			if frag&0xfff9 != 0 && p.Flags&FlagFragment == 0 {
				p.FragID = be32(b[4:])
				p.fragment(b[0], frag&^7, frag&1 != 0)
				p.setPayload(frame, off, end)
			}
			if frag&^7 != 0 {
				p.Proto = b[0]
				return
			}
		}
		p.Proto = b[0]
	}
	p.Flags |= FlagL4Malformed
	p.setPayload(frame, off, end)
}

// setPayload sets the payload to the bytes between off and end on the wire, unless p is a fragment whose payload is
// set already.
func (p *Packet) setPayload(frame []byte, off, end int) {
	if p.PayloadLen|p.Payload != 0 {
		return
	}
	p.Payload = uint32(min(off, len(frame)))
	p.CapLen = uint32(max(min(end, len(frame))-off, 0))
	p.PayloadLen = uint32(max(end-off, 0))
}

// transport reads the TCP or UDP header at off; end is where the IP packet ends on the wire.
func (p *Packet) transport(frame []byte, off, end int) {
	capEnd := min(end, len(frame))
	switch p.Proto {
	case ProtoUDP:
		if capEnd-off < 8 {
			p.Flags |= FlagL4Malformed
			break
		}
		b := frame[off : off+8 : off+8]
		n := int(be16(b[4:]))
		if n < 8 && (n != 0 || p.Version != 6) { // 0 in a jumbogram (RFC 2675, section 4)
			p.Flags |= FlagL4Malformed
			break
		}
		p.SrcPort, p.DstPort = be16(b), be16(b[2:])
		if p.Flags&FlagFragment != 0 {
			return
		}
		p.Flags |= FlagL4
		if n > end-off {
			p.Flags |= FlagL4Malformed
		} else if n != 0 {
			end = off + n
		}
		off += 8
	case ProtoTCP:
		if capEnd-off < 20 {
			p.Flags |= FlagL4Malformed
			break
		}
		b := frame[off : off+20 : off+20]
		n := int(b[12]>>4) << 2
		if n < 20 || n > end-off {
			p.Flags |= FlagL4Malformed
			break
		}
		p.SrcPort, p.DstPort = be16(b), be16(b[2:])
		p.Seq, p.Ack = be32(b[4:]), be32(b[8:])
		p.TCPFlags = b[13]
		if p.Flags&FlagFragment != 0 {
			return
		}
		p.Flags |= FlagL4
		off += n
	}
	p.setPayload(frame, off, end)
}

// Reassembled makes p describe a datagram that was reassembled from fragments, as if it had arrived whole. Its Time,
// Src, Dst, WireLen and Version stay. Proto must be the FragProto of the first fragment. b holds the available bytes
// after the IP headers. length is how long they were, or 0 if it is not known; the UDP header then gives the length.
// The payload is b[p.Payload : p.Payload+p.CapLen]. Tunnels are not followed.
func (p *Packet) Reassembled(b []byte, length int) {
	*p = Packet{Time: p.Time, Src: p.Src, Dst: p.Dst, WireLen: p.WireLen, Kind: KindIP, Version: p.Version, Proto: p.Proto}
	end := length
	if end == 0 {
		end = maxIPPayload
	}
	if p.Version == 6 || p.Proto == protoAH {
		p.extensions(b, 0, end)
	} else {
		p.transport(b, 0, end)
	}
	if length == 0 && p.Proto != ProtoUDP { // its end is not known
		p.PayloadLen = p.CapLen
	}
}

// maxIPPayload is the greatest payload of a fragmented datagram, in bytes.
const maxIPPayload = 65535
