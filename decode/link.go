package decode

import (
	"encoding/binary"

	"pktvisor/linktype"
)

// EtherTypes.
const (
	etherTypeIPv4    = 0x0800
	etherTypeIPv6    = 0x86dd
	etherTypeVLAN    = 0x8100 // IEEE 802.1Q
	etherTypeQinQ    = 0x88a8 // IEEE 802.1ad
	etherTypeQinQOld = 0x9100
	etherTypeMPLS    = 0x8847 // RFC 3032
	etherTypeMPLSUp  = 0x8848
	etherTypePPPoE   = 0x8864 // RFC 2516, session stage
	etherTypePPP     = 0x880b // in GRE (RFC 2637)
	etherTypeBridge  = 0x6558 // transparent Ethernet bridging, in GRE and Geneve
	etherTypeERSPAN  = 0x88be // types I and II
	etherTypeERSPAN3 = 0x22eb
	etherTypeWCCP    = 0x883e // in GRE
	etherTypePBB     = 0x88e7 // IEEE 802.1ah
	etherTypeVNTag   = 0x8926
	etherTypeCMD     = 0x8909 // Cisco metadata
	etherTypeNSH     = 0x894f // RFC 8300
	etherTypeMin     = 0x0600 // smaller values are a length (IEEE 802.3)
	maxTags          = 16     // bounds VLAN tags and similar headers, and MPLS labels
	snapOUIBridge    = 0x0000f8
)

// linkLayer finds the network layer of a frame of any link type except the most common one.
func (w *walk) linkLayer(frame []byte, link linktype.Type) (network, int) {
	switch link {
	case linktype.Ethernet:
		return w.ethernet(frame, 0)
	case linktype.LinuxSLL: // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
		if len(frame) < 16 {
			return netMalformed, 0
		}
		return w.cooked(frame, 16, be16(frame[2:]), be16(frame[14:]))
	case linktype.LinuxSLL2: // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
		if len(frame) < 20 {
			return netMalformed, 0
		}
		return w.cooked(frame, 20, be16(frame[8:]), be16(frame))
	case linktype.Raw, linktype.Raw12, linktype.Raw14:
		return rawIP(frame, 0)
	case linktype.IPv4:
		return netIPv4, 0
	case linktype.IPv6:
		return netIPv6, 0
	case linktype.Null, linktype.Loop:
		return null(frame)
	case linktype.PPP, linktype.PPPHDLC:
		return w.hdlc(frame, 0)
	case linktype.PPPEther:
		return w.pppoe(frame, 0)
	case linktype.CHDLC:
		return w.ciscoHDLC(frame, 0)
	case linktype.ATM:
		return w.llc(frame, 0)
	case linktype.IEEE80211:
		return w.wifi(frame, 0, false)
	case linktype.Radiotap:
		return w.radiotap(frame)
	case linktype.NFLOG:
		return nflog(frame)
	}
	return w.rareLink(frame, link)
}

// rawIP distinguishes IPv4 from IPv6 by the version at off.
func rawIP(frame []byte, off int) (network, int) {
	if off < 0 || off >= len(frame) {
		return netMalformed, off
	}
	switch frame[off] >> 4 {
	case 4:
		return netIPv4, off
	case 6:
		return netIPv6, off
	}
	return netNone, off
}

// ethernet reads an Ethernet header at off.
func (w *walk) ethernet(frame []byte, off int) (network, int) {
	if len(frame)-off < 14 {
		return netMalformed, off
	}
	return w.ethernetPayload(frame, off+14, be16(frame[off+12:]))
}

// ethernetPayload finds the network layer after an EtherType, behind tags and labels. off is where the EtherType's
// payload starts.
func (w *walk) ethernetPayload(frame []byte, off int, etherType uint16) (network, int) {
	for range maxTags {
		skip := 4
		switch etherType {
		case etherTypeIPv4:
			return netIPv4, off
		case etherTypeIPv6:
			return netIPv6, off
		case etherTypeMPLS, etherTypeMPLSUp:
			return w.mpls(frame, off)
		case etherTypePPPoE:
			return w.pppoe(frame, off)
		case etherTypeVLAN, etherTypeQinQ, etherTypeQinQOld:
		case etherTypeVNTag:
			skip = 6
		case etherTypeCMD:
			skip = 8
		case etherTypeNSH:
			return w.nsh(frame, off)
		case etherTypePBB:
			skip = 18 // the service tag, and the inner frame's addresses
		default:
			if etherType < etherTypeMin {
				return w.llc(frame, off)
			}
			w.etherType = etherType
			return netNone, off
		}
		off += skip
		if len(frame) < off {
			return netMalformed, off
		}
		etherType = be16(frame[off-2:])
	}
	return netMalformed, off
}

// llc reads an LLC header (IEEE 802.2) and SNAP (RFC 1042).
func (w *walk) llc(frame []byte, off int) (network, int) {
	if len(frame)-off < 3 {
		return netMalformed, off
	}
	b := frame[off:]
	switch {
	case b[0] == 0x06 && b[1] == 0x06 && b[2] == 3: // the SAP of IP itself
		return netIPv4, off + 3
	case b[0] != 0xaa || b[1] != 0xaa || b[2] != 3:
		return netNone, off
	case len(b) < 8:
		return netMalformed, off
	}
	oui, etherType := be32(b[2:])&0xffffff, be16(b[6:])
	if oui != 0 && oui != snapOUIBridge || etherType < etherTypeMin {
		return netNone, off
	}
	return w.ethernetPayload(frame, off+8, etherType)
}

// mpls reads a stack of MPLS labels (RFC 3032). Nothing says what they carry.
func (w *walk) mpls(frame []byte, off int) (network, int) {
	for range maxTags {
		off += 4
		if len(frame) < off {
			return netMalformed, off
		}
		if frame[off-2]&1 != 0 {
			return w.guess(frame, off)
		}
	}
	return netMalformed, off
}

// nsh reads a network service header (RFC 8300, section 2).
func (w *walk) nsh(frame []byte, off int) (network, int) {
	if len(frame)-off < 8 {
		return netMalformed, off
	}
	next := frame[off+3]
	off += int(frame[off+1]&63) << 2
	switch next {
	case 1:
		return netIPv4, off
	case 2:
		return netIPv6, off
	case 3:
		return w.ethernet(frame, off)
	case 5:
		return w.mpls(frame, off)
	}
	return netNone, off
}

// pppoe reads a PPPoE header (RFC 2516, section 4).
func (w *walk) pppoe(frame []byte, off int) (network, int) {
	if len(frame)-off < 6 || frame[off] != 0x11 {
		return netMalformed, off
	}
	if frame[off+1] != 0 { // discovery
		return netNone, off
	}
	return w.ppp(frame, off+6)
}

// ppp reads a PPP protocol number of one or two bytes (RFC 1661, section 2), after the address and control bytes of
// HDLC-like framing (RFC 1662) if these are present.
func (w *walk) ppp(frame []byte, off int) (network, int) {
	if len(frame)-off >= 2 && frame[off] == 0xff && frame[off+1] == 0x03 {
		off += 2
	}
	if len(frame)-off < 1 {
		return netMalformed, off
	}
	proto := uint16(frame[off])
	off++
	if proto&1 == 0 {
		if len(frame)-off < 1 {
			return netMalformed, off
		}
		proto = proto<<8 | uint16(frame[off])
		off++
	}
	switch proto {
	case 0x0021:
		return netIPv4, off
	case 0x0057:
		return netIPv6, off
	case 0x0281, 0x0283:
		return w.mpls(frame, off)
	}
	return netNone, off
}

// hdlc reads PPP or Cisco HDLC, which captures of PPP also contain.
func (w *walk) hdlc(frame []byte, off int) (network, int) {
	if len(frame) > off && (frame[off] == 0x0f || frame[off] == 0x8f) {
		return w.ciscoHDLC(frame, off)
	}
	return w.ppp(frame, off)
}

// ciscoHDLC reads a Cisco HDLC header: address, control, EtherType.
func (w *walk) ciscoHDLC(frame []byte, off int) (network, int) {
	if len(frame)-off < 4 {
		return netMalformed, off
	}
	return w.ethernetPayload(frame, off+4, max(be16(frame[off+2:]), etherTypeMin))
}

// null reads the address family before a BSD loopback packet, in the byte order of the host that captured it. (For
// LOOP it is in network order.)
func null(frame []byte) (network, int) {
	if len(frame) < 4 {
		return netMalformed, 0
	}
	family := be32(frame)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(frame)
	}
	switch family {
	case 2:
		return netIPv4, 4
	case 10, 24, 28, 30: // Linux; NetBSD and OpenBSD; FreeBSD; Darwin
		return netIPv6, 4
	}
	return netNone, 4
}

// Types of ARP hardware whose cooked frames are not an Ethernet payload.
const (
	arphrdNetlink  = 824
	arphrdRadiotap = 803
)

// cooked finds the network layer after a Linux cooked header.
func (w *walk) cooked(frame []byte, off int, hardware, proto uint16) (network, int) {
	switch {
	case hardware == arphrdNetlink:
		return netNone, off
	case hardware == arphrdRadiotap:
		net, at := w.radiotap(frame[off:])
		return net, off + at
	case proto == 4: // 802.2
		return w.llc(frame, off)
	case proto < etherTypeMin:
		return netNone, off
	}
	return w.ethernetPayload(frame, off, proto)
}

// nflog reads the attributes of Linux's netfilter log, in the byte order of the host that
// captured them (https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html).
func nflog(frame []byte) (network, int) {
	const payload = 9
	if len(frame) < 4 {
		return netMalformed, 0
	}
	family := frame[0]
	for off := 4; len(frame)-off >= 4; {
		n := int(binary.LittleEndian.Uint16(frame[off:]))
		kind := binary.LittleEndian.Uint16(frame[off+2:])
		if kind&0x7fff > 0xff { // small numbers, read in the wrong byte order
			n, kind = int(be16(frame[off:])), be16(frame[off+2:])
		}
		switch {
		case n < 4:
			return netMalformed, off
		case kind&0x7fff == payload && family == 2:
			return netIPv4, off + 4
		case kind&0x7fff == payload && family == 10:
			return netIPv6, off + 4
		case kind&0x7fff == payload:
			return netNone, off + 4
		}
		off += (n + 3) &^ 3
	}
	return netNone, len(frame)
}
