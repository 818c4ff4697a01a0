package testkit

import (
	"slices"

	"pktvisor/linktype"
)

// linkCaptures has one capture a link type, and one of what Ethernet frames may have before the IP header.
func linkCaptures() []synthetic {
	family := func(order func(uint32) []byte, v6 uint32) func(ip []byte) []byte {
		return func(ip []byte) []byte {
			if ip[0]>>4 == 6 {
				return append(order(v6), ip...)
			}
			return append(order(2), ip...)
		}
	}
	pppType := func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return be16(0x57)
		}
		return be16(0x21)
	}
	one := func(name string, link linktype.Type, frames [][]byte) synthetic {
		return synthetic{name: "link-" + name + ".pcap", bytes: capturePcap(false, link, frames...)}
	}
	return []synthetic{
		one("ethernet-tags", linktype.Ethernet, taggedFrames()),
		one("sll", linktype.LinuxSLL, each(func(ip []byte) []byte {
			return slices.Concat([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0}, etherTypeOf(ip), ip)
		})),
		one("sll2", linktype.LinuxSLL2, each(func(ip []byte) []byte {
			return slices.Concat(etherTypeOf(ip), []byte{0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 2, 0, 0}, ip)
		})),
		one("raw", linktype.Raw, conversation()),
		one("raw12", linktype.Raw12, conversation()),
		one("ipv4", linktype.IPv4, only(4, conversation())),
		one("ipv6", linktype.IPv6, only(6, conversation())),
		one("null-netbsd", linktype.Null, each(family(le32, 24))),
		one("null-freebsd", linktype.Null, each(family(le32, 28))),
		one("null-macos-be", linktype.Null, each(family(be32, 30))),
		one("loop", linktype.Loop, each(family(be32, 24))),
		one("ppp", linktype.PPP, each(func(ip []byte) []byte { return slices.Concat([]byte{0xff, 3}, pppType(ip), ip) })),
		one("ppp-hdlc", linktype.PPPHDLC, each(func(ip []byte) []byte { return slices.Concat([]byte{0xff, 3}, pppType(ip), ip) })),
		one("pppoe", linktype.PPPEther, each(func(ip []byte) []byte {
			return slices.Concat([]byte{0x11, 0, 0, 1}, be16(2+len(ip)), pppType(ip), ip)
		})),
		one("chdlc", linktype.CHDLC, each(func(ip []byte) []byte { return slices.Concat([]byte{0x0f, 0}, etherTypeOf(ip), ip) })),
		one("80211", linktype.IEEE80211, wifiFrames(nil)),
		one("radiotap", linktype.Radiotap, wifiFrames([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0})), // its flags: no FCS
		one("ppi", linktype.PPI, each(func(ip []byte) []byte { return slices.Concat([]byte{0, 0}, le16(8), le32(1), inEthernet(ip)) })),
		one("nflog", linktype.NFLOG, each(nflog)),
		one("frame-relay", linktype.FrameRelay, each(func(ip []byte) []byte {
			if ip[0]>>4 == 6 {
				return append([]byte{0x18, 0x41, 3, 0x8e}, ip...)
			}
			return append([]byte{0x18, 0x41, 3, 0xcc}, ip...)
		})),
	}
}

// taggedFrames has Ethernet frames with tags, labels and other headers before the IP header, and frames without IP.
func taggedFrames() [][]byte {
	vlan, svlan := []byte{0x81, 0, 0x20, 7}, []byte{0x88, 0xa8, 0, 100}
	wraps := []func(ip []byte) []byte{
		inEthernet,
		func(ip []byte) []byte { return ethernet(vlan, etherTypeOf(ip), ip) },
		func(ip []byte) []byte { return ethernet(svlan, vlan, etherTypeOf(ip), ip) },
		func(ip []byte) []byte { return ethernet([]byte{0x91, 0, 0, 9}, vlan, etherTypeOf(ip), ip) },
		func(ip []byte) []byte { return ethernet(vlan, vlan, vlan, etherTypeOf(ip), ip) },
		func(ip []byte) []byte { return ethernet([]byte{0x88, 0x47, 0, 1, 1, 64}, ip) }, // a label, the last
		func(ip []byte) []byte { return ethernet(vlan, []byte{0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64}, ip) },
		func(ip []byte) []byte { return ethernet(be16(len(snap)+2+len(ip)), snap, etherTypeOf(ip), ip) }, // IEEE 802.3
		func(ip []byte) []byte { // PPPoE in a VLAN
			proto := []byte{0, 0x21}
			if ip[0]>>4 == 6 {
				proto[1] = 0x57
			}
			return ethernet(vlan, []byte{0x88, 0x64, 0x11, 0, 0, 1}, be16(2+len(ip)), proto, ip)
		},
		func(ip []byte) []byte { return append(inEthernet(ip), make([]byte, 20)...) }, // a trailer
	}
	var frames [][]byte
	for i, ip := range conversation() {
		for k, wrap := range wraps {
			if (i+k)%3 == 0 {
				frames = append(frames, wrap(ip))
			}
		}
	}
	return append(frames, AppendARP(nil, client4, server4), AppendARP(nil, server4, client4),
		ethernet([]byte{0x88, 0xcc}, make([]byte, 46)),                      // LLDP
		ethernet(be16(38), []byte{0x42, 0x42, 3}, make([]byte, 43)),         // spanning tree
		ethernet([]byte{0x88, 0x63, 0x11, 9, 0, 0, 0, 0}, make([]byte, 40)), // PPPoE discovery
		ethernet(vlan, []byte{0x08, 0x06}, AppendARP(nil, client4, server4)[14:]),
		ethernet()[:12], // cut before the EtherType
	)
}

// wifiFrames has IEEE 802.11 frames behind another header: data frames of several kinds, and frames without IP.
func wifiFrames(header []byte) [][]byte {
	a1, a2, a3 := []byte{2, 0, 0, 0, 0, 1}, []byte{2, 0, 0, 0, 0, 2}, []byte{2, 0, 0, 0, 0, 3}
	wifi := func(control, flags byte, rest ...[]byte) []byte {
		return slices.Concat(header, []byte{control, flags, 0, 0}, a1, a2, a3, []byte{0x10, 0}, slices.Concat(rest...))
	}
	kinds := []func(ip []byte) []byte{
		func(ip []byte) []byte { return wifi(0x08, 0x01, snap, etherTypeOf(ip), ip) },               // data, to the access point
		func(ip []byte) []byte { return wifi(0x08, 0x02, snap, etherTypeOf(ip), ip) },               // from it
		func(ip []byte) []byte { return wifi(0x88, 0x01, []byte{5, 0}, snap, etherTypeOf(ip), ip) }, // QoS data
		func(ip []byte) []byte { return wifi(0x08, 0x03, a1, snap, etherTypeOf(ip), ip) },           // between access points
	}
	var frames [][]byte
	for i, ip := range conversation() {
		frames = append(frames, kinds[i%len(kinds)](ip))
	}
	return append(frames,
		wifi(0x80, 0, make([]byte, 12), []byte{0, 4, 't', 'e', 's', 't'}), // a beacon
		wifi(0x48, 0x01),                                 // data without data
		wifi(0x08, 0x41, make([]byte, 40)),               // protected
		slices.Concat(header, []byte{0xd4, 0, 0, 0}, a1), // an acknowledgement
	)
}

// nflog returns a message of Linux' netfilter log: a header, the packet's protocol, and the packet, padded.
func nflog(ip []byte) []byte {
	family := byte(2)
	if ip[0]>>4 == 6 {
		family = 10
	}
	attr := func(kind int, b []byte) []byte {
		return slices.Concat(le16(4+len(b)), le16(kind), b, make([]byte, -len(b)&3))
	}
	return slices.Concat([]byte{family, 0, 0, 1}, attr(1, append(etherTypeOf(ip), 3, 0)), attr(10, []byte("test\x00")), attr(9, ip))
}
