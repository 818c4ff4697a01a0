package decode

import "pktvisor/linktype"

// maxTunnels is the greatest depth to which tunnels are followed.
const maxTunnels = 4

// Protocol numbers of tunnels.
const (
	protoIPv4     = 4
	protoIPv6     = 41
	protoGRE      = 47
	protoEtherIP  = 97
	protoL2TP     = 115
	protoMPLS     = 137
	protoEthernet = 143 // RFC 8986, section 10.1
)

// UDP ports of tunnels.
const (
	portL2TP       = 1701
	portGTPU       = 2152
	portTeredo     = 3544
	portLISP       = 4341
	portVXLAN      = 4789
	portVXLANGPE   = 4790
	portGUE        = 6080
	portGeneve     = 6081
	portMPLS       = 6635
	portVXLANLinux = 8472
	portTZSP       = 37008
)

// TunnelPorts returns the UDP ports of tunnels.
func TunnelPorts() []uint16 {
	return []uint16{portL2TP, portGTPU, portTeredo, portLISP, portVXLAN, portVXLANGPE, portGUE, portGeneve, portMPLS, portVXLANLinux, portTZSP}
}

// tunnelProto marks the protocols that may carry a tunnel.
var tunnelProto = [256]bool{
	protoIPv4: true, protoIPv6: true, protoGRE: true, protoEtherIP: true, protoL2TP: true,
	protoMPLS: true, protoEthernet: true, ProtoUDP: true,
}

// decapsulate replaces p by the innermost IP packet inside it that can be decoded. Ports alone do not prove that
// there is a tunnel: an inner packet must also fit into the outer one.
func (p *Packet) decapsulate(frame []byte) {
	for range maxTunnels {
		if !tunnelProto[p.Proto] || p.Flags&FlagLaterFragment != 0 {
			return
		}
		frame = frame[:p.Payload+p.CapLen]
		w := walk{end: int(p.Payload) + int(p.PayloadLen)}
		if p.Flags&FlagFragment != 0 {
			w.end, w.open = w.end+1<<16, true // the rest of the datagram is in other frames
		}
		net, off := w.inner(p, frame)
		inner := Packet{Time: p.Time, WireLen: p.WireLen}
		if !inner.network(frame, off, w.end, net) || !fits(frame, off, w.end) {
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

// inner finds the network layer inside p's payload, with which the frame ends.
func (w *walk) inner(p *Packet, frame []byte) (network, int) {
	off := int(p.Payload)
	if p.Proto != ProtoUDP {
		return w.protocol(frame, off, p.Proto)
	}
	// A first fragment's payload starts with the UDP header.
	if p.Flags&FlagFragment != 0 {
		off += 8
	} else if p.Flags&FlagL4 == 0 {
		return netNone, off
	}
	for _, port := range [...]uint16{p.DstPort, p.SrcPort} {
		switch port {
		case portVXLAN, portVXLANLinux:
			return w.vxlan(frame, off)
		case portVXLANGPE:
			return w.vxlanGPE(frame, off)
		case portGeneve:
			return w.geneve(frame, off)
		case portGTPU:
			return w.gtpu(frame, off)
		case portTeredo:
			return teredo(frame, off)
		case portL2TP:
			return w.l2tp(frame, off)
		case portMPLS: // RFC 7510
			return w.mpls(frame, off)
		case portTZSP:
			return w.tzsp(frame, off)
		case portLISP:
			return w.lisp(frame, off)
		case portGUE:
			return w.gue(frame, off)
		}
	}
	return netNone, off
}

// protocol finds the network layer at off. proto is its number in the IP header.
func (w *walk) protocol(frame []byte, off int, proto uint8) (network, int) {
	switch proto {
	case protoIPv4:
		return netIPv4, off
	case protoIPv6:
		return netIPv6, off
	case protoGRE:
		return w.gre(frame, off)
	case protoMPLS: // RFC 4023
		return w.mpls(frame, off)
	case protoEtherIP: // RFC 3378
		if len(frame)-off < 2 || frame[off] != 0x30 {
			return netNone, off
		}
		return w.ethernet(frame, off+2)
	case protoEthernet:
		return w.ethernet(frame, off)
	case protoL2TP: // RFC 3931, section 4.1.1
		return w.l2tpv3(frame, off)
	}
	return netNone, off
}

// gre reads a GRE header (RFC 2784, RFC 2890), PPTP's version of it (RFC 2637, section 4.1) and ERSPAN's headers
// after it.
func (w *walk) gre(frame []byte, off int) (network, int) {
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
		return w.ppp(frame, off)
	case etherTypeBridge:
		return w.ethernet(frame, off)
	case etherTypeERSPAN:
		if flags&hasSeq != 0 { // type II
			off += 8
		}
		return w.ethernet(frame, off)
	case etherTypeERSPAN3:
		return w.erspan3(frame, off)
	case etherTypeWCCP:
		// Version 2 has four bytes before the packet, version 1 does not (draft-mclaggan-wccp-v2rev1, section 4.12).
		if net := w.provenIP(frame, off); net != netNone {
			return net, off
		}
		return w.provenIP(frame, off+4), off + 4
	}
	if etherType < etherTypeMin || len(frame) < off {
		return netNone, off
	}
	return w.ethernetPayload(frame, off, etherType)
}

// erspan3 reads the header of ERSPAN type III (draft-foschiano-erspan-03, section 4.2).
func (w *walk) erspan3(frame []byte, off int) (network, int) {
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
		return w.ethernet(frame, off)
	case 2:
		return rawIP(frame, off)
	}
	return netNone, off
}

const validVNI = 0x08 // a flag of VXLAN

// vxlan reads a VXLAN header (RFC 7348, section 5), which may have the group policy flag.
func (w *walk) vxlan(frame []byte, off int) (network, int) {
	const policy = 0x80
	if len(frame)-off < 8 || frame[off]&^policy != validVNI || frame[off+7] != 0 {
		return netNone, off
	}
	return w.ethernet(frame, off+8)
}

// vxlanGPE reads the header of VXLAN's generic protocol extension (draft-ietf-nvo3-vxlan-gpe, section 3). Not all
// senders set its flag for the next protocol.
func (w *walk) vxlanGPE(frame []byte, off int) (network, int) {
	if len(frame)-off < 8 || frame[off]&validVNI == 0 || frame[off+7] != 0 {
		return netNone, off
	}
	switch frame[off+3] {
	case 1:
		return netIPv4, off + 8
	case 2:
		return netIPv6, off + 8
	case 3:
		return w.ethernet(frame, off+8)
	}
	return netNone, off
}

// geneve reads a Geneve header (RFC 8926, section 3.4).
func (w *walk) geneve(frame []byte, off int) (network, int) {
	if len(frame)-off < 8 || frame[off]>>6 != 0 {
		return netNone, off
	}
	etherType := be16(frame[off+2:])
	off += 8 + int(frame[off]&63)<<2
	if etherType == etherTypeBridge {
		return w.ethernet(frame, off)
	}
	if etherType < etherTypeMin || len(frame) < off {
		return netNone, off
	}
	return w.ethernetPayload(frame, off, etherType)
}

// gtpu reads a GTP-U header (3GPP TS 29.281, section 5) of a message that carries a packet.
func (w *walk) gtpu(frame []byte, off int) (network, int) {
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
		return w.provenIP(frame, off), off
	}
	off += 4
	if flags&extension == 0 {
		next = 0
	}
	for range maxGTPHeaders {
		if next == 0 {
			return w.provenIP(frame, off), off
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
func (w *walk) l2tp(frame []byte, off int) (network, int) {
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
		return w.l2tpv3(frame, off+4)
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
	return w.ppp(frame, off)
}

// l2tpv3 looks for an Ethernet frame in an L2TPv3 data message, whose session ID is at off. The lengths of the cookie
// and of the sublayer after it are agreed elsewhere. So all lengths are tried, and the first IP packet that proves
// itself counts.
func (w *walk) l2tpv3(frame []byte, off int) (network, int) {
	if len(frame)-off < 4 || be32(frame[off:]) == 0 { // a control message
		return netNone, off
	}
	for skip := 4; skip <= 16; skip += 4 {
		net, at := w.ethernet(frame, off+skip)
		if (net == netIPv4 || net == netIPv6) && w.provenIP(frame, at) == net {
			return net, at
		}
	}
	return netNone, off
}

// tzsp reads the header of the TaZmen Sniffer Protocol, in which wireless sniffers and MikroTik's routers send
// captured frames: version, type, protocol, then tags up to the end tag. Wireshark's packet-tzsp.c is its only
// documentation.
func (w *walk) tzsp(frame []byte, off int) (network, int) {
	const (
		version  = 1
		received = 0 // types
		transmit = 1
		tagPad   = 0
		tagEnd   = 1
		maxTags  = 32
	)
	if len(frame)-off < 4 || frame[off] != version || frame[off+1] != received && frame[off+1] != transmit {
		return netNone, off
	}
	var link linktype.Type
	switch be16(frame[off+2:]) {
	case 1:
		link = linktype.Ethernet
	case 18:
		link = linktype.IEEE80211
	case 119:
		link = linktype.Prism
	case 127:
		link = linktype.AVS
	default:
		return netNone, off
	}
	off += 4
	for range maxTags {
		if off >= len(frame) {
			break
		}
		switch frame[off] {
		case tagPad:
			off++
			continue
		case tagEnd:
			return w.inside(frame, off+1, link)
		}
		if len(frame)-off < 2 {
			break
		}
		off += 2 + int(frame[off+1])
	}
	return netNone, off
}

// lisp skips the header of a LISP data packet (RFC 9300, section 5.1). IP follows. Only the port says that it is
// LISP.
func (w *walk) lisp(frame []byte, off int) (network, int) {
	return w.provenIP(frame, off+8), off + 8
}

// gue reads the header of Generic UDP Encapsulation (draft-ietf-intarea-gue-09, sections 3.1 and 4). In version 0 it
// has an IP protocol number. Version 1 is an IP packet without further header.
func (w *walk) gue(frame []byte, off int) (network, int) {
	const control = 0x20
	if len(frame)-off < 4 {
		return netNone, off
	}
	switch frame[off] >> 6 {
	case 0:
		if frame[off]&control != 0 {
			return netNone, off
		}
		proto := frame[off+1]
		off += 4 + int(frame[off]&31)<<2
		net, at := w.protocol(frame, off, proto)
		if (net == netIPv4 || net == netIPv6) && w.provenIP(frame, at) != net {
			net = netNone
		}
		return net, at
	case 1:
		return w.provenIP(frame, off), off
	}
	return netNone, off
}
