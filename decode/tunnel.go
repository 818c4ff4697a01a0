package decode

// maxTunnels bounds how deep tunnels are followed.
const maxTunnels = 4

// Protocol numbers of tunnels.
const (
	protoIPv4    = 4
	protoIPv6    = 41
	protoGRE     = 47
	protoEtherIP = 97
	protoL2TP    = 115
	protoMPLS    = 137
)

// UDP ports of tunnels.
const (
	portL2TP       = 1701
	portGTPU       = 2152
	portTeredo     = 3544
	portVXLAN      = 4789
	portVXLANGPE   = 4790
	portGeneve     = 6081
	portVXLANLinux = 8472
)

// tunnelProto marks the protocols that a tunnel may lie in.
var tunnelProto = [256]bool{
	protoIPv4: true, protoIPv6: true, protoGRE: true, protoEtherIP: true, protoL2TP: true,
	protoMPLS: true, ProtoUDP: true,
}

// decapsulate replaces p by the innermost IP packet inside it that can be decoded. Ports
// alone prove no tunnel: an inner packet must also fit into the outer one.
func (p *Packet) decapsulate(frame []byte) {
	for range maxTunnels {
		if !tunnelProto[p.Proto] || p.Flags&FlagLaterFragment != 0 {
			return
		}
		frame = frame[:p.Payload+p.CapLen]
		wireEnd := int(p.Payload) + int(p.PayloadLen)
		if p.Flags&FlagFragment != 0 {
			wireEnd += 1 << 16 // the rest of the datagram is in other frames
		}
		net, off := p.inner(frame, wireEnd)
		inner := Packet{Time: p.Time, WireLen: p.WireLen}
		if !inner.network(frame, off, wireEnd, net) || !fits(frame, off, wireEnd) {
			return
		}
		inner.Flags |= FlagTunnelled
		*p = inner
	}
}

// fits reports whether the IP packet at off, whose header is whole, ends within wireEnd.
func fits(frame []byte, off, wireEnd int) bool {
	b := frame[off:]
	if b[0]>>4 == 4 {
		return off+int(be16(b[2:])) <= wireEnd
	}
	return off+40+int(be16(b[4:])) <= wireEnd
}

// inner finds the network layer inside p's payload, with which frame ends.
func (p *Packet) inner(frame []byte, wireEnd int) (network, int) {
	off := int(p.Payload)
	switch p.Proto {
	case protoIPv4:
		return netIPv4, off
	case protoIPv6:
		return netIPv6, off
	case protoGRE:
		return gre(frame, off)
	case protoMPLS: // RFC 4023
		return mpls(frame, off)
	case protoEtherIP: // RFC 3378
		if len(frame)-off < 2 || frame[off] != 0x30 {
			return netNone, off
		}
		return ethernet(frame, off+2)
	case protoL2TP: // RFC 3931, section 4.1.1
		return l2tpv3(frame, off, wireEnd)
	}
	// UDP. A first fragment's payload starts with the UDP header.
	if p.Flags&FlagFragment != 0 {
		off += 8
	} else if p.Flags&FlagL4 == 0 {
		return netNone, off
	}
	for _, port := range [...]uint16{p.DstPort, p.SrcPort} {
		switch port {
		case portVXLAN, portVXLANLinux:
			return vxlan(frame, off)
		case portVXLANGPE:
			return vxlanGPE(frame, off)
		case portGeneve:
			return geneve(frame, off)
		case portGTPU:
			return gtpu(frame, off)
		case portTeredo:
			return teredo(frame, off)
		case portL2TP:
			return l2tp(frame, off, wireEnd)
		}
	}
	return netNone, off
}

// gre reads a GRE header (RFC 2784, RFC 2890), PPTP's version of it (RFC 2637, section 4.1)
// and ERSPAN's headers behind it.
func gre(frame []byte, off int) (network, int) {
	const (
		hasChecksum = 0x80
		hasRouting  = 0x40
		hasKey      = 0x20
		hasSeq      = 0x10
		hasAck      = 0x80 // in the second byte, version 1
	)
	if len(frame)-off < 4 {
		return netMalformed, off
	}
	flags, version, etherType := frame[off], frame[off+1]&7, be16(frame[off+2:])
	if flags&hasRouting != 0 || version > 1 || version == 1 && etherType != etherTypePPP {
		return netNone, off
	}
	if version == 1 && frame[off+1]&hasAck != 0 {
		off += 4
	}
	off += 4
	for _, field := range [...]byte{hasChecksum, hasKey, hasSeq} {
		if flags&field != 0 {
			off += 4
		}
	}
	switch etherType {
	case etherTypePPP:
		return ppp(frame, off)
	case etherTypeBridge:
		return ethernet(frame, off)
	case etherTypeERSPAN:
		if flags&hasSeq != 0 { // type II
			off += 8
		}
		return ethernet(frame, off)
	case etherTypeERSPAN3:
		return erspan3(frame, off)
	}
	if etherType < etherTypeMin || len(frame) < off {
		return netNone, off
	}
	return ethernetPayload(frame, off, etherType)
}

// erspan3 reads the header of ERSPAN type III (draft-foschiano-erspan-03, section 4.2).
func erspan3(frame []byte, off int) (network, int) {
	if len(frame)-off < 12 {
		return netMalformed, off
	}
	frameType, more := frame[off+10]>>2&31, frame[off+11]&1
	off += 12
	if more != 0 {
		off += 8
	}
	switch frameType {
	case 0:
		return ethernet(frame, off)
	case 2:
		return rawIP(frame, off)
	}
	return netNone, off
}

const validVNI = 0x08 // a flag of VXLAN

// vxlan reads a VXLAN header (RFC 7348, section 5), its group policy flag allowed.
func vxlan(frame []byte, off int) (network, int) {
	const policy = 0x80
	if len(frame)-off < 8 || frame[off]&^policy != validVNI || frame[off+7] != 0 {
		return netNone, off
	}
	return ethernet(frame, off+8)
}

// vxlanGPE reads the header of VXLAN's generic protocol extension
// (draft-ietf-nvo3-vxlan-gpe, section 3); not all senders set its flag for the next protocol.
func vxlanGPE(frame []byte, off int) (network, int) {
	if len(frame)-off < 8 || frame[off]&validVNI == 0 || frame[off+7] != 0 {
		return netNone, off
	}
	switch frame[off+3] {
	case 1:
		return netIPv4, off + 8
	case 2:
		return netIPv6, off + 8
	case 3:
		return ethernet(frame, off+8)
	}
	return netNone, off
}

// geneve reads a Geneve header (RFC 8926, section 3.4).
func geneve(frame []byte, off int) (network, int) {
	if len(frame)-off < 8 || frame[off]>>6 != 0 {
		return netNone, off
	}
	etherType := be16(frame[off+2:])
	off += 8 + int(frame[off]&63)<<2
	if etherType == etherTypeBridge {
		return ethernet(frame, off)
	}
	if etherType < etherTypeMin || len(frame) < off {
		return netNone, off
	}
	return ethernetPayload(frame, off, etherType)
}

// gtpu reads a GTP-U header (3GPP TS 29.281, section 5) of a message that carries a packet.
func gtpu(frame []byte, off int) (network, int) {
	const (
		versionAndType = 0xf0
		anyOptional    = 0x07
		extension      = 0x04
		packet         = 0xff // G-PDU
		maxGTPHeaders  = 8
	)
	if len(frame)-off < 12 || frame[off]&versionAndType != 0x30 || frame[off+1] != packet {
		return netNone, off
	}
	flags, next := frame[off], frame[off+11]
	off += 8
	if flags&anyOptional == 0 {
		return rawIP(frame, off)
	}
	off += 4
	if flags&extension == 0 {
		next = 0
	}
	for range maxGTPHeaders {
		if next == 0 {
			return rawIP(frame, off)
		}
		if off >= len(frame) {
			break
		}
		n := int(frame[off]) << 2
		if n == 0 || n > len(frame)-off {
			break
		}
		off += n
		next = frame[off-1]
	}
	return netNone, off
}

// teredo skips the indications before an IPv6 packet (RFC 4380, section 5.1.1).
func teredo(frame []byte, off int) (network, int) {
	if len(frame)-off >= 4 && be16(frame[off:]) == 1 { // authentication
		off += 4 + int(frame[off+2]) + int(frame[off+3]) + 9
	}
	if len(frame)-off >= 8 && be16(frame[off:]) == 0 { // origin
		off += 8
	}
	return netIPv6, off
}

// l2tp reads the header of an L2TP data message over UDP, version 2 (RFC 2661, section 3.1) or
// 3 (RFC 3931, section 4.1.2).
func l2tp(frame []byte, off, wireEnd int) (network, int) {
	const (
		isControl = 0x8000
		hasLength = 0x4000
		hasSeq    = 0x0800
		hasOffset = 0x0200
	)
	if len(frame)-off < 6 {
		return netNone, off
	}
	head := be16(frame[off:])
	if head&isControl != 0 {
		return netNone, off
	}
	switch head & 15 {
	case 3:
		return l2tpv3(frame, off+4, wireEnd)
	case 2:
	default:
		return netNone, off
	}
	off += 6
	if head&hasLength != 0 {
		off += 2
	}
	if head&hasSeq != 0 {
		off += 4
	}
	if head&hasOffset != 0 {
		if len(frame)-off < 2 {
			return netNone, off
		}
		off += 2 + int(be16(frame[off:]))
	}
	return ppp(frame, off)
}

// l2tpv3 looks for an Ethernet frame in an L2TPv3 data message, whose session ID is at off.
// How long the cookie and the sublayer behind it are was agreed on elsewhere, so that all
// lengths are tried, and the first IP packet that fits is believed.
func l2tpv3(frame []byte, off, wireEnd int) (network, int) {
	if len(frame)-off < 4 || be32(frame[off:]) == 0 { // a control message
		return netNone, off
	}
	for skip := 4; skip <= 16; skip += 4 {
		net, at := ethernet(frame, off+skip)
		var p Packet
		if p.network(frame, at, wireEnd, net) && fits(frame, at, wireEnd) {
			return net, at
		}
	}
	return netNone, off
}
