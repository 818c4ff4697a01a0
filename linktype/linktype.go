// Package linktype declares the link types of captured frames, once: their numbers and their names.
//
// The numbers are the LINKTYPE_ numbers of capture files (https://www.tcpdump.org/linktypes.html). The package
// declares names for the numbers that other packages treat specially; package decode reports which of them it can decode.
package linktype

import "strconv"

// Type is the link layer of a frame, as a LINKTYPE_ number.
type Type uint16

// The link types that this module treats specially.
const (
	Null          Type = 0   // BSD loopback: address family in the writer's byte order
	Ethernet      Type = 1   // Ethernet II or IEEE 802.3
	TokenRing     Type = 6   // IEEE 802.5
	PPP           Type = 9   // PPP, perhaps in HDLC-like framing
	FDDI          Type = 10  // ANSI X3.139
	Raw12         Type = 12  // raw IP, as DLT_RAW is numbered on most systems
	Raw14         Type = 14  // raw IP, as DLT_RAW is numbered on OpenBSD
	PPPHDLC       Type = 50  // PPP in HDLC-like framing (RFC 1662) or Cisco's
	PPPEther      Type = 51  // PPPoE session: the PPPoE header comes first
	ATM           Type = 100 // LLC over ATM (RFC 1483)
	Raw           Type = 101 // raw IP, version 4 or 6
	CHDLC         Type = 104 // Cisco HDLC
	IEEE80211     Type = 105 // IEEE 802.11
	FrameRelay    Type = 107 // Frame Relay
	Loop          Type = 108 // OpenBSD loopback: address family in network byte order
	Enc           Type = 109 // OpenBSD's IPsec packets
	LinuxSLL      Type = 113 // Linux cooked capture
	PFLog         Type = 117 // OpenBSD's packet filter log
	Prism         Type = 119 // Prism header, then IEEE 802.11
	IPOverFC      Type = 122 // IP over Fibre Channel (RFC 2625)
	SunATM        Type = 123 // SunATM devices
	Radiotap      Type = 127 // radiotap header, then IEEE 802.11
	FireWire      Type = 138 // Apple's IP over IEEE 1394
	User2         Type = 149 // for private use; PKTAP in files of older macOS
	AVS           Type = 163 // AVS header, then IEEE 802.11
	PPPD          Type = 166 // PPP, as Linux's pppd logs it, with a direction
	JuniperPPPoE  Type = 167 // Juniper's header, then PPPoE
	JuniperEther  Type = 178 // Juniper's header, then Ethernet
	JuniperPPP    Type = 179 // Juniper's header, then PPP
	JuniperFR     Type = 180 // Juniper's header, then Frame Relay
	JuniperCHDLC  Type = 181 // Juniper's header, then Cisco HDLC
	PPI           Type = 192 // per-packet information header, then a frame of the type that it names
	PPPDir        Type = 204 // a direction, then PPP
	CHDLCDir      Type = 205 // a direction, then Cisco HDLC
	FrameRelayDir Type = 206 // a direction, then Frame Relay
	MPLS          Type = 219 // MPLS label stack
	IPNet         Type = 226 // Solaris's IP layer
	IPv4          Type = 228 // raw IPv4
	IPv6          Type = 229 // raw IPv6
	NFLOG         Type = 239 // Linux netfilter log messages
	NetAnalyzer   Type = 240 // Hilscher netANALYZER, then Ethernet
	IPoIB         Type = 242 // IP over InfiniBand
	Netlink       Type = 253 // Linux netlink messages
	PKTAP         Type = 258 // Apple's PKTAP header, then a frame of the type that it names
	LinuxSLL2     Type = 276 // Linux cooked capture, version 2
	BroadcomTag   Type = 281 // Ethernet with a Broadcom switch's tag after the addresses
	BroadcomPre   Type = 282 // a Broadcom switch's tag, then Ethernet
	MarvellDSA    Type = 284 // Ethernet with a Marvell switch's tag
	MarvellEDSA   Type = 285 // the same, after a special EtherType
)

// String returns tcpdump's name for the link type, such as EN10MB. It returns the number if the type has no name.
func (t Type) String() string {
	if name := names[t]; name != "" {
		return name
	}
	return strconv.Itoa(int(t))
}

// names are tcpdump's names. tcpdump has no names for the three types with a direction (204 to 206). Their names are
// from the list of link types (https://www.tcpdump.org/linktypes.html).
var names = map[Type]string{
	0:   "NULL",
	1:   "EN10MB",
	6:   "IEEE802",
	7:   "ARCNET",
	8:   "SLIP",
	9:   "PPP",
	10:  "FDDI",
	12:  "RAW",
	15:  "SLIP_BSDOS",
	16:  "PPP_BSDOS",
	19:  "ATM_CLIP",
	50:  "PPP_SERIAL",
	51:  "PPP_ETHER",
	99:  "SYMANTEC_FIREWALL",
	100: "ATM_RFC1483",
	101: "RAW",
	102: "SLIP_BSDOS",
	103: "PPP_BSDOS",
	104: "C_HDLC",
	105: "IEEE802_11",
	106: "ATM_CLIP",
	107: "FRELAY",
	108: "LOOP",
	109: "ENC",
	113: "LINUX_SLL",
	114: "LTALK",
	117: "PFLOG",
	119: "PRISM_HEADER",
	122: "IP_OVER_FC",
	123: "SUNATM",
	127: "IEEE802_11_RADIO",
	129: "ARCNET_LINUX",
	130: "JUNIPER_MLPPP",
	131: "JUNIPER_MLFR",
	132: "JUNIPER_ES",
	133: "JUNIPER_GGSN",
	134: "JUNIPER_MFR",
	135: "JUNIPER_ATM2",
	136: "JUNIPER_SERVICES",
	137: "JUNIPER_ATM1",
	138: "APPLE_IP_OVER_IEEE1394",
	139: "MTP2_WITH_PHDR",
	140: "MTP2",
	141: "MTP3",
	142: "SCCP",
	143: "DOCSIS",
	144: "LINUX_IRDA",
	163: "IEEE802_11_RADIO_AVS",
	164: "JUNIPER_MONITOR",
	165: "BACNET_MS_TP",
	166: "PPP_PPPD",
	167: "JUNIPER_PPPOE",
	168: "JUNIPER_PPPOE_ATM",
	169: "GPRS_LLC",
	170: "GPF_T",
	171: "GPF_F",
	174: "JUNIPER_PIC_PEER",
	175: "ERF_ETH",
	176: "ERF_POS",
	177: "LINUX_LAPD",
	178: "JUNIPER_ETHER",
	179: "JUNIPER_PPP",
	180: "JUNIPER_FRELAY",
	181: "JUNIPER_CHDLC",
	182: "MFR",
	183: "JUNIPER_VP",
	184: "A429",
	185: "A653_ICM",
	186: "USB_FREEBSD",
	187: "BLUETOOTH_HCI_H4",
	188: "IEEE802_16_MAC_CPS",
	189: "USB_LINUX",
	190: "CAN20B",
	191: "IEEE802_15_4_LINUX",
	192: "PPI",
	193: "IEEE802_16_MAC_CPS_RADIO",
	194: "JUNIPER_ISM",
	195: "IEEE802_15_4",
	196: "SITA",
	197: "ERF",
	198: "RAIF1",
	199: "IPMB_KONTRON",
	200: "JUNIPER_ST",
	201: "BLUETOOTH_HCI_H4_WITH_PHDR",
	202: "AX25_KISS",
	204: "PPP_WITH_DIR",
	205: "C_HDLC_WITH_DIR",
	206: "FRELAY_WITH_DIR",
	209: "IPMB_LINUX",
	215: "IEEE802_15_4_NONASK_PHY",
	216: "LINUX_EVDEV",
	219: "MPLS",
	220: "USB_LINUX_MMAPPED",
	221: "DECT",
	222: "AOS",
	223: "WIHART",
	224: "FC_2",
	225: "FC_2_WITH_FRAME_DELIMS",
	226: "IPNET",
	227: "CAN_SOCKETCAN",
	228: "IPV4",
	229: "IPV6",
	230: "IEEE802_15_4_NOFCS",
	231: "DBUS",
	232: "JUNIPER_VS",
	233: "JUNIPER_SRX_E2E",
	234: "JUNIPER_FIBRECHANNEL",
	235: "DVB_CI",
	236: "MUX27010",
	237: "STANAG_5066_D_PDU",
	238: "JUNIPER_ATM_CEMIC",
	239: "NFLOG",
	240: "NETANALYZER",
	241: "NETANALYZER_TRANSPARENT",
	242: "IPOIB",
	243: "MPEG_2_TS",
	244: "NG40",
	245: "NFC_LLCP",
	246: "PFSYNC",
	247: "INFINIBAND",
	248: "SCTP",
	249: "USBPCAP",
	250: "RTAC_SERIAL",
	251: "BLUETOOTH_LE_LL",
	253: "NETLINK",
	254: "BLUETOOTH_LINUX_MONITOR",
	255: "BLUETOOTH_BREDR_BB",
	256: "BLUETOOTH_LE_LL_WITH_PHDR",
	257: "PROFIBUS_DL",
	258: "PKTAP",
	259: "EPON",
	260: "IPMI_HPM_2",
	261: "ZWAVE_R1_R2",
	262: "ZWAVE_R3",
	263: "WATTSTOPPER_DLM",
	264: "ISO_14443",
	265: "RDS",
	266: "USB_DARWIN",
	267: "OPENFLOW",
	268: "SDLC",
	269: "TI_LLN_SNIFFER",
	271: "VSOCK",
	272: "NORDIC_BLE",
	273: "DOCSIS31_XRA31",
	274: "ETHERNET_MPACKET",
	275: "DISPLAYPORT_AUX",
	276: "LINUX_SLL2",
	278: "OPENVIZSLA",
	279: "EBHSCR",
	280: "VPP_DISPATCH",
	281: "DSA_TAG_BRCM",
	282: "DSA_TAG_BRCM_PREPEND",
	283: "IEEE802_15_4_TAP",
	284: "DSA_TAG_DSA",
	285: "DSA_TAG_EDSA",
	286: "ELEE",
	287: "Z_WAVE_SERIAL",
	288: "USB_2_0",
	289: "ATSC_ALP",
}
