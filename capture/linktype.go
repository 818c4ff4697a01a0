package capture

import "strconv"

// The link types whose frames package decode can look into, by their LINKTYPE_ numbers.
const (
	LinkNull      LinkType = 0   // BSD loopback: address family in the writer's byte order
	LinkEthernet  LinkType = 1   //
	LinkPPP       LinkType = 9   // PPP, perhaps in HDLC-like framing
	LinkRaw12     LinkType = 12  // raw IP, as DLT_RAW is numbered on most systems
	LinkRaw14     LinkType = 14  // raw IP, as DLT_RAW is numbered on OpenBSD
	LinkPPPHDLC   LinkType = 50  // PPP in HDLC-like framing (RFC 1662) or Cisco's
	LinkPPPEther  LinkType = 51  // PPPoE session: the PPPoE header comes first
	LinkRaw       LinkType = 101 // raw IP, version 4 or 6
	LinkCHDLC     LinkType = 104 // Cisco HDLC
	LinkIEEE80211 LinkType = 105 // IEEE 802.11
	LinkLoop      LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkLinuxSLL  LinkType = 113 // Linux cooked capture
	LinkPrism     LinkType = 119 // Prism header, then IEEE 802.11
	LinkRadiotap  LinkType = 127 // radiotap header, then IEEE 802.11
	LinkAVS       LinkType = 163 // AVS header, then IEEE 802.11
	LinkPPI       LinkType = 192 // per-packet information header, then what that says
	LinkIPv4      LinkType = 228 // raw IPv4
	LinkIPv6      LinkType = 229 // raw IPv6
	LinkNFLOG     LinkType = 239 // netfilter log messages
	LinkLinuxSLL2 LinkType = 276 // Linux cooked capture, version 2
)

// String returns tcpdump's name of the link type, EN10MB for instance, or its number where
// this package has no name for it.
func (l LinkType) String() string {
	switch l {
	case LinkNull:
		return "NULL"
	case LinkEthernet:
		return "EN10MB"
	case LinkPPP:
		return "PPP"
	case LinkRaw, LinkRaw12:
		return "RAW"
	case LinkPPPHDLC:
		return "PPP_SERIAL"
	case LinkPPPEther:
		return "PPP_ETHER"
	case LinkCHDLC:
		return "C_HDLC"
	case LinkIEEE80211:
		return "IEEE802_11"
	case LinkLoop:
		return "LOOP"
	case LinkLinuxSLL:
		return "LINUX_SLL"
	case LinkPrism:
		return "PRISM_HEADER"
	case LinkRadiotap:
		return "IEEE802_11_RADIO"
	case LinkAVS:
		return "IEEE802_11_RADIO_AVS"
	case LinkPPI:
		return "PPI"
	case LinkIPv4:
		return "IPV4"
	case LinkIPv6:
		return "IPV6"
	case LinkNFLOG:
		return "NFLOG"
	case LinkLinuxSLL2:
		return "LINUX_SLL2"
	}
	return strconv.Itoa(int(l))
}
