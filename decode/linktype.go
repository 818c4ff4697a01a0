package decode

import "encoding/binary"

// Link layers, by LINKTYPE_ number (https://www.tcpdump.org/linktypes.html).
const (
	linkNull         = 0
	linkEthernet     = 1
	linkTokenRing    = 6
	linkPPP          = 9
	linkFDDI         = 10
	linkRaw          = 12
	linkRawBSD       = 14 // OpenBSD's number for the same
	linkPPPHDLC      = 50
	linkPPPoE        = 51
	linkATM          = 100 // RFC 1483 (LLC over ATM)
	linkRawIP        = 101
	linkCHDLC        = 104
	linkWiFi         = 105
	linkFrameRelay   = 107
	linkLoop         = 108
	linkEnc          = 109
	linkLinuxSLL     = 113
	linkPFLog        = 117
	linkPrism        = 119
	linkIPOverFC     = 122
	linkSunATM       = 123
	linkWiFiRadiotap = 127
	linkFireWire     = 138 // Apple's IP over IEEE 1394
	linkUser2        = 149 // PKTAP in files of older macOS
	linkAVS          = 163
	linkPPPD         = 166
	linkJuniperPPPoE = 167
	linkJuniperEther = 178
	linkJuniperPPP   = 179
	linkJuniperFR    = 180
	linkJuniperCHDLC = 181
	linkPPI          = 192
	linkPPPDir       = 204
	linkCHDLCDir     = 205
	linkFRDir        = 206
	linkMPLS         = 219
	linkIPNet        = 226
	linkIPv4         = 228
	linkIPv6         = 229
	linkNFLog        = 239
	linkNetAnalyzer  = 240
	linkIPoIB        = 242
	linkNetlink      = 253
	linkPKTAP        = 258
	linkLinuxSLL2    = 276
	linkBroadcomTag  = 281
	linkBroadcomPre  = 282
	linkMarvellDSA   = 284
	linkMarvellEDSA  = 285
)

// Knows reports whether frames of a link type are decoded, and not counted as [KindUnsupportedLink].
func Knows(link uint16) bool {
	var w walk
	net, _ := w.linkLayer(nil, link)
	return net != netUnsupported
}

// rareLink finds the network layer of a frame with a rare link type.
func (w *walk) rareLink(frame []byte, link uint16) (network, int) {
	if n, ok := rareHeaders[link]; ok && len(frame) < n {
		return netMalformed, 0
	}
	switch link {
	case linkTokenRing: // access and frame control, addresses, a route if the source's first bit is set (IEEE 802.5)
		off := 14
		if frame[1]&0xc0 != 0x40 {
			return netNone, 0 // no LLC
		}
		if frame[8]&0x80 != 0 && len(frame) > off {
			off += int(frame[off] & 31)
		}
		return w.llc(frame, off)
	case linkFDDI: // frame control, addresses (ANSI X3.139)
		if frame[0]&0xf0 != 0x50 {
			return netNone, 0 // no LLC
		}
		return w.llc(frame, 13)
	case linkFrameRelay:
		return w.frameRelay(frame, 0)
	case linkFRDir:
		return w.frameRelay(frame, 1)
	case linkCHDLCDir:
		return w.ciscoHDLC(frame, 1)
	case linkPPPDir:
		return w.hdlc(frame, 1)
	case linkPPPD: // HDLC-like framing, with the direction in the address's place
		return w.ppp(frame, 2)
	case linkEnc:
		return family(frame, 12, hostOrder32(frame))
	case linkPFLog: // OpenBSD's if_pflog.h: length, address family; padded to a multiple of four
		return family(frame, int(frame[0]+3)&^3, uint32(frame[1]))
	case linkPrism:
		if magic := be32(frame); magic == avsMagic1 || magic == avsMagic2 {
			return w.avs(frame)
		}
		return w.wifi(frame, 144, false)
	case linkAVS:
		return w.avs(frame)
	case linkIPOverFC: // RFC 2625: network header, LLC, SNAP
		return w.llc(frame, 16)
	case linkSunATM: // direction and traffic type, VPI, VCI
		if frame[0]&15 != 2 {
			return netNone, 4 // no LLC
		}
		return w.llc(frame, 4)
	case linkFireWire: // EUI-64 addresses, EtherType
		return w.ethernetPayload(frame, 18, be16(frame[16:]))
	case linkJuniperPPPoE, linkJuniperEther, linkJuniperPPP, linkJuniperFR, linkJuniperCHDLC:
		return w.juniper(frame, link)
	case linkPPI: // version, flags, length and link type, both little-endian
		return w.inside(frame, int(binary.LittleEndian.Uint16(frame[2:])), uint16(min(binary.LittleEndian.Uint32(frame[4:]), 0xffff)))
	case linkMPLS:
		return w.mpls(frame, 0)
	case linkIPNet: // Solaris's sys/dlpi.h (dl_ipnetinfo_t): version, address family
		return family(frame, 24, uint32(frame[1]))
	case linkNetAnalyzer:
		return w.ethernet(frame, 4)
	case linkIPoIB: // a global route header's room, EtherType, reserved (RFC 4391, section 6)
		return w.ethernetPayload(frame, 44, be16(frame[40:]))
	case linkNetlink: // what the kernel and programs tell each other, not packets
		return netNone, 0
	case linkPKTAP, linkUser2:
		return w.pktap(frame, link)
	case linkBroadcomTag, linkMarvellDSA: // a switch's tag of four bytes behind the addresses
		return w.ethernetPayload(frame, 18, be16(frame[16:]))
	case linkMarvellEDSA: // an EtherType of its own, two bytes, the tag
		return w.ethernetPayload(frame, 22, be16(frame[20:]))
	case linkBroadcomPre: // the tag before the frame
		return w.ethernet(frame, 4)
	}
	return netUnsupported, 0
}

// rareHeaders are the shortest headers of the rare link types.
var rareHeaders = map[uint16]int{
	linkTokenRing: 14, linkFDDI: 13, linkFrameRelay: 4, linkFRDir: 5, linkCHDLCDir: 5, linkPPPDir: 2, linkPPPD: 4,
	linkEnc: 12, linkPFLog: 48, linkPrism: 8, linkAVS: 8, linkIPOverFC: 24, linkSunATM: 4, linkFireWire: 18,
	linkJuniperPPPoE: 4, linkJuniperEther: 4, linkJuniperPPP: 4, linkJuniperFR: 4, linkJuniperCHDLC: 4,
	linkPPI: 8, linkMPLS: 4, linkIPNet: 24, linkNetAnalyzer: 18, linkIPoIB: 44, linkNetlink: 16, linkPKTAP: 12,
	linkBroadcomTag: 18, linkBroadcomPre: 18, linkMarvellDSA: 18, linkMarvellEDSA: 22,
}

// maxNested bounds the link layers inside others.
const maxNested = 2

// inside reads a frame of another link type that starts at off.
func (w *walk) inside(frame []byte, off int, link uint16) (network, int) {
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
		net = netNone // the outer layer is known
	}
	return net, off + at
}

// family is what an address family of one of the BSDs, macOS, Linux or Solaris stands for.
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

// frameRelay reads a Q.922 address and the protocol behind it: its number (RFC 2427, section 4), or an EtherType, as
// Cisco has it.
func (w *walk) frameRelay(frame []byte, off int) (network, int) {
	const (
		last    = 1 // of the address's bytes
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

// avs skips an AVS header, whose length is in it, before an 802.11 frame.
func (w *walk) avs(frame []byte) (network, int) {
	if n := be32(frame[4:]); n >= 8 && uint64(n) <= uint64(len(frame)) {
		return w.wifi(frame, int(n), false)
	}
	return netMalformed, 0
}

// pktap reads the header of macOS's PKTAP (bsd/net/pktap.h in Apple's xnu), in the byte order of x86 and ARM: its length,
// what follows, and that frame's link type, which is a DLT_ number.
func (w *walk) pktap(frame []byte, link uint16) (network, int) {
	const shortest, packet = 108, 1
	if len(frame) < 12 {
		if link == linkUser2 {
			return netUnsupported, 0
		}
		return netMalformed, 0
	}
	n, what, dlt := binary.LittleEndian.Uint32(frame), binary.LittleEndian.Uint32(frame[4:]), binary.LittleEndian.Uint32(frame[8:])
	switch {
	case n >= shortest && uint64(n) <= uint64(len(frame)) && what <= packet && dlt <= 0xffff:
	case link == linkUser2: // somebody else's
		return netUnsupported, 0
	default:
		return netMalformed, 0
	}
	if what != packet {
		return netNone, int(n)
	}
	return w.inside(frame, int(n), uint16(dlt))
}

// juniper reads the header that Juniper's routers put before a frame (tcpdump's print-juniper.c is its only document):
// "MGC", flags, and where a flag says so, extensions and their length.
func (w *walk) juniper(frame []byte, link uint16) (network, int) {
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
	case linkJuniperPPP:
		return w.ppp(frame, off)
	case linkJuniperFR:
		return w.frameRelay(frame, off)
	case linkJuniperCHDLC:
		return w.ciscoHDLC(frame, off)
	}
	return w.ethernet(frame, off)
}
