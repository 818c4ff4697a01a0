package decode

import (
	"encoding/binary"

	"pktvisor/linktype"
)

// rareLink finds the network layer of a frame with a rare link type.
func (w *walk) rareLink(frame []byte, link linktype.Type) (network, int) {
	if n, ok := rareHeaders[link]; ok && len(frame) < n {
		return netMalformed, 0
	}
	switch link {
	case linktype.TokenRing: // access and frame control, addresses, a route if the source's first bit is set (IEEE 802.5)
		off := 14
		if frame[1]&0xc0 != 0x40 {
			return netNone, 0 // without LLC
		}
		if frame[8]&0x80 != 0 && len(frame) > off {
			off += int(frame[off] & 31)
		}
		return w.llc(frame, off)
	case linktype.FDDI: // frame control, addresses (ANSI X3.139)
		if frame[0]&0xf0 != 0x50 {
			return netNone, 0 // without LLC
		}
		return w.llc(frame, 13)
	case linktype.FrameRelay:
		return w.frameRelay(frame, 0)
	case linktype.FrameRelayDir:
		return w.frameRelay(frame, 1)
	case linktype.CHDLCDir:
		return w.ciscoHDLC(frame, 1)
	case linktype.PPPDir:
		return w.hdlc(frame, 1)
	case linktype.PPPD: // HDLC-like framing, with the direction in place of the address
		return w.ppp(frame, 2)
	case linktype.Enc:
		return family(frame, 12, hostOrder32(frame))
	case linktype.PFLog: // OpenBSD's if_pflog.h: length, address family; padded to a multiple of four
		return family(frame, int(frame[0]+3)&^3, uint32(frame[1]))
	case linktype.Prism:
		if magic := be32(frame); magic == avsMagic1 || magic == avsMagic2 {
			return w.avs(frame)
		}
		return w.wifi(frame, 144, false)
	case linktype.AVS:
		return w.avs(frame)
	case linktype.IPOverFC: // RFC 2625: network header, LLC, SNAP
		return w.llc(frame, 16)
	case linktype.SunATM: // direction and traffic type, VPI, VCI
		if frame[0]&15 != 2 {
			return netNone, 4 // without LLC
		}
		return w.llc(frame, 4)
	case linktype.FireWire: // EUI-64 addresses, EtherType
		return w.ethernetPayload(frame, 18, be16(frame[16:]))
	case linktype.JuniperPPPoE, linktype.JuniperEther, linktype.JuniperPPP, linktype.JuniperFR, linktype.JuniperCHDLC:
		return w.juniper(frame, link)
	case linktype.PPI: // version, flags, length and link type, both little-endian
		return w.inside(frame, int(binary.LittleEndian.Uint16(frame[2:])), linktype.Type(min(binary.LittleEndian.Uint32(frame[4:]), 0xffff)))
	case linktype.MPLS:
		return w.mpls(frame, 0)
	case linktype.IPNet: // Solaris's sys/dlpi.h (dl_ipnetinfo_t): version, address family
		return family(frame, 24, uint32(frame[1]))
	case linktype.NetAnalyzer:
		return w.ethernet(frame, 4)
	case linktype.IPoIB: // space for a global route header, EtherType, reserved (RFC 4391, section 6)
		return w.ethernetPayload(frame, 44, be16(frame[40:]))
	case linktype.Netlink: // messages between the kernel and programs, not packets
		return netNone, 0
	case linktype.PKTAP, linktype.User2:
		return w.pktap(frame, link)
	case linktype.BroadcomTag, linktype.MarvellDSA: // a switch's tag of four bytes after the addresses
		return w.ethernetPayload(frame, 18, be16(frame[16:]))
	case linktype.MarvellEDSA: // a special EtherType, two bytes, the tag
		return w.ethernetPayload(frame, 22, be16(frame[20:]))
	case linktype.BroadcomPre: // the tag before the frame
		return w.ethernet(frame, 4)
	}
	return netUnsupported, 0
}

// rareHeaders are the minimum header lengths of the rare link types, in bytes.
var rareHeaders = map[linktype.Type]int{
	linktype.TokenRing: 14, linktype.FDDI: 13, linktype.FrameRelay: 4, linktype.FrameRelayDir: 5, linktype.CHDLCDir: 5, linktype.PPPDir: 2, linktype.PPPD: 4,
	linktype.Enc: 12, linktype.PFLog: 48, linktype.Prism: 8, linktype.AVS: 8, linktype.IPOverFC: 24, linktype.SunATM: 4, linktype.FireWire: 18,
	linktype.JuniperPPPoE: 4, linktype.JuniperEther: 4, linktype.JuniperPPP: 4, linktype.JuniperFR: 4, linktype.JuniperCHDLC: 4,
	linktype.PPI: 8, linktype.MPLS: 4, linktype.IPNet: 24, linktype.NetAnalyzer: 18, linktype.IPoIB: 44, linktype.Netlink: 16, linktype.PKTAP: 12,
	linktype.BroadcomTag: 18, linktype.BroadcomPre: 18, linktype.MarvellDSA: 18, linktype.MarvellEDSA: 22,
}

// maxNested bounds the link layers that are inside others.
const maxNested = 2

// inside reads a frame of another link type that starts at off.
func (w *walk) inside(frame []byte, off int, link linktype.Type) (network, int) {
	if off > len(frame) {
		return netMalformed, 0
	}
	if w.nested++; w.nested > maxNested {
		return netNone, 0
	}
	w.end -= off
	w.base += off
	net, at := w.linkLayer(frame[off:], link)
	w.end += off
	if net == netUnsupported {
		net = netNone // the outer layer is supported
	}
	return net, off + at
}

// family returns what an address family of one of the BSDs, macOS, Linux or Solaris means.
func family(frame []byte, off int, af uint32) (network, int) {
	switch af {
	case 2:
		return netIPv4, off
	case 10, 24, 26, 28, 30: // Linux; NetBSD and OpenBSD; Solaris; FreeBSD; Darwin
		return netIPv6, off
	}
	return netNone, off
}

// hostOrder32 reads a small number in the byte order of its writer.
func hostOrder32(b []byte) uint32 {
	if n := be32(b); n <= 0xffff {
		return n
	}
	return binary.LittleEndian.Uint32(b)
}

// frameRelay reads a Q.922 address and the protocol after it: its number (RFC 2427, section 4), or an EtherType, as
// Cisco has it.
func (w *walk) frameRelay(frame []byte, off int) (network, int) {
	const (
		last    = 1 // marks the last byte of the address
		ui      = 3 // unnumbered information
		ipv4    = 0xcc
		ipv6    = 0x8e
		snap    = 0x80
		maxAddr = 4
	)
	for n := 1; ; n++ {
		if off >= len(frame) {
			return netMalformed, 0
		}
		off++
		if frame[off-1]&last != 0 {
			break
		}
		if n == maxAddr {
			return netNone, 0
		}
	}
	b := frame[off:]
	if len(b) < 2 {
		return netMalformed, 0
	}
	if b[0] != ui {
		return w.ethernetPayload(frame, off+2, max(be16(b), etherTypeMin))
	}
	if b[1] == 0 && len(b) > 2 { // padding
		off++
		b = b[1:]
	}
	switch b[1] {
	case ipv4:
		return netIPv4, off + 2
	case ipv6:
		return netIPv6, off + 2
	case snap:
		if len(b) < 7 {
			return netMalformed, 0
		}
		if be32(b[1:])&0xffffff == 0 {
			return w.ethernetPayload(frame, off+7, max(be16(b[5:]), etherTypeMin))
		}
	}
	return netNone, off
}

// Marks of AVS headers, versions 1 and 2.
const (
	avsMagic1 = 0x80211001
	avsMagic2 = 0x80211002
)

// avs skips an AVS header, which contains its length, before an 802.11 frame.
func (w *walk) avs(frame []byte) (network, int) {
	if n := be32(frame[4:]); n >= 8 && uint64(n) <= uint64(len(frame)) {
		return w.wifi(frame, int(n), false)
	}
	return netMalformed, 0
}

// pktap reads the header of macOS's PKTAP (bsd/net/pktap.h in Apple's xnu), in the byte order of x86 and ARM: its
// length, what follows, and the link type of that frame, which is a DLT_ number.
func (w *walk) pktap(frame []byte, link linktype.Type) (network, int) {
	const shortest, packet = 108, 1
	if len(frame) < 12 {
		if link == linktype.User2 {
			return netUnsupported, 0
		}
		return netMalformed, 0
	}
	n, what, dlt := binary.LittleEndian.Uint32(frame), binary.LittleEndian.Uint32(frame[4:]), binary.LittleEndian.Uint32(frame[8:])
	switch {
	case n >= shortest && uint64(n) <= uint64(len(frame)) && what <= packet && dlt <= 0xffff:
	case link == linktype.User2: // used by another program
		return netUnsupported, 0
	default:
		return netMalformed, 0
	}
	if what != packet {
		return netNone, int(n)
	}
	return w.inside(frame, int(n), linktype.Type(dlt))
}

// juniper reads the header that Juniper's routers put before a frame (tcpdump's print-juniper.c is its only
// documentation): "MGC", flags, and, if a flag says so, extensions and their length.
func (w *walk) juniper(frame []byte, link linktype.Type) (network, int) {
	const (
		magic      = 0x4d4743
		noLink     = 0x02
		extensions = 0x80
	)
	if be32(frame)>>8 != magic {
		return netMalformed, 0
	}
	flags, off := frame[3], 4
	if flags&extensions != 0 {
		if len(frame) < 6 {
			return netMalformed, 0
		}
		off += 2 + int(be16(frame[4:]))
	}
	if flags&noLink != 0 { // four bytes, then IP; nothing says so
		return w.provenIP(frame, off+4), off + 4
	}
	switch link {
	case linktype.JuniperPPP:
		return w.ppp(frame, off)
	case linktype.JuniperFR:
		return w.frameRelay(frame, off)
	case linktype.JuniperCHDLC:
		return w.ciscoHDLC(frame, off)
	}
	return w.ethernet(frame, off)
}
