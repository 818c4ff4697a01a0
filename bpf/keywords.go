package bpf

// keyword is a word with a special meaning in the language. A name that is spelled like a keyword is written with a
// backslash before it: "ip proto \tcp".
type keyword uint8

const (
	keyNone keyword = iota
	keyAnd
	keyOr
	keyNot

	// Protocols, which may also qualify an address or be read with proto[…].
	keyLink
	keyIP
	keyARP
	keyRARP
	keySCTP
	keyTCP
	keyUDP
	keyICMP
	keyIGMP
	keyIGRP
	keyPIM
	keyVRRP
	keyCARP
	keyRadio
	keyIP6
	keyICMP6
	keyAH
	keyESP
	keyAtalk
	keyAARP
	keyDECnet
	keyLAT
	keySCA
	keyMOPRC
	keyMOPDL
	keyISO
	keyESIS
	keyISIS
	keyCLNP
	keyL1
	keyL2
	keyIIH
	keyLSP
	keySNP
	keyCSNP
	keyPSNP
	keySTP
	keyIPX
	keyNetBEUI

	keySrc
	keyDst
	keyHost
	keyNet
	keyMask
	keyPort
	keyPortRange
	keyProto
	keyProtoChain
	keyGateway
	keyType
	keySubtype
	keyDir
	keyAddr1
	keyAddr2
	keyAddr3
	keyAddr4
	keyRA
	keyTA
	keyLess
	keyGreater
	keyByte
	keyBroadcast
	keyMulticast
	keyLen
	keyInbound
	keyOutbound
	keyIfIndex
	keyVLAN
	keyMPLS
	keyPPPoED
	keyPPPoES
	keyGeneve
	keyLLC
	keyRNR // an LLC frame type, and pf's rule number
	keyPF  // for data that only BSD's packet filter log has
	keyATM
	keySS7
)

// isProto reports whether the grammar allows k as a protocol.
func (k keyword) isProto() bool { return k >= keyLink && k <= keyNetBEUI }

var keywords = map[string]keyword{
	"and": keyAnd, "or": keyOr, "not": keyNot,
	"link": keyLink, "ether": keyLink, "ppp": keyLink, "slip": keyLink,
	"fddi": keyLink, "tr": keyLink, "wlan": keyLink,
	"ip": keyIP, "arp": keyARP, "rarp": keyRARP, "sctp": keySCTP, "tcp": keyTCP,
	"udp": keyUDP, "icmp": keyICMP, "igmp": keyIGMP, "igrp": keyIGRP, "pim": keyPIM,
	"vrrp": keyVRRP, "carp": keyCARP, "radio": keyRadio, "ip6": keyIP6,
	"icmp6": keyICMP6, "ah": keyAH, "esp": keyESP,
	"atalk": keyAtalk, "aarp": keyAARP, "decnet": keyDECnet, "lat": keyLAT,
	"sca": keySCA, "moprc": keyMOPRC, "mopdl": keyMOPDL,
	"iso": keyISO, "esis": keyESIS, "es-is": keyESIS, "isis": keyISIS, "is-is": keyISIS,
	"clnp": keyCLNP, "l1": keyL1, "l2": keyL2, "iih": keyIIH, "lsp": keyLSP,
	"snp": keySNP, "csnp": keyCSNP, "psnp": keyPSNP,
	"stp": keySTP, "ipx": keyIPX, "netbeui": keyNetBEUI,
	"src": keySrc, "dst": keyDst, "host": keyHost, "net": keyNet, "mask": keyMask,
	"port": keyPort, "portrange": keyPortRange, "proto": keyProto,
	"protochain": keyProtoChain, "gateway": keyGateway,
	"type": keyType, "subtype": keySubtype, "direction": keyDir, "dir": keyDir,
	"address1": keyAddr1, "addr1": keyAddr1, "address2": keyAddr2, "addr2": keyAddr2,
	"address3": keyAddr3, "addr3": keyAddr3, "address4": keyAddr4, "addr4": keyAddr4,
	"ra": keyRA, "ta": keyTA,
	"less": keyLess, "greater": keyGreater, "byte": keyByte,
	"broadcast": keyBroadcast, "multicast": keyMulticast,
	"len": keyLen, "length": keyLen, "inbound": keyInbound, "outbound": keyOutbound,
	"ifindex": keyIfIndex, "vlan": keyVLAN, "mpls": keyMPLS, "pppoed": keyPPPoED,
	"pppoes": keyPPPoES, "geneve": keyGeneve, "llc": keyLLC,
	"rnr": keyRNR, "rulenum": keyRNR,
	"on": keyPF, "ifname": keyPF, "rset": keyPF, "ruleset": keyPF, "srnr": keyPF,
	"subrulenum": keyPF, "reason": keyPF, "action": keyPF,
	"lane": keyATM, "metac": keyATM, "bcc": keyATM, "oam": keyATM, "oamf4": keyATM,
	"oamf4ec": keyATM, "oamf4sc": keyATM, "sc": keyATM, "ilmic": keyATM, "vpi": keyATM,
	"vci": keyATM, "connectmsg": keyATM, "metaconnect": keyATM,
	"fisu": keySS7, "lssu": keySS7, "lsu": keySS7, "msu": keySS7, "hfisu": keySS7,
	"hlssu": keySS7, "hmsu": keySS7, "sio": keySS7, "opc": keySS7, "dpc": keySS7,
	"sls": keySS7, "hsio": keySS7, "hopc": keySS7, "hdpc": keySS7, "hsls": keySS7,
}

// namedNumbers are the offsets and values that have names in pcap-filter(7).
var namedNumbers = map[string]uint32{
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,

	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5,
	"icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11,
	"icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15,
	"icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,

	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3,
	"icmp6-parameterproblem": 4, "icmp6-echo": 128, "icmp6-echoreply": 129,
	"icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133,
	"icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136,
	"icmp6-redirect": 137, "icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139,
	"icmp6-nodeinformationresponse": 140, "icmp6-ineighbordiscoverysolicit": 141,
	"icmp6-ineighbordiscoveryadvert": 142, "icmp6-multicastlistenerreportv2": 143,
	"icmp6-homeagentdiscoveryrequest": 144, "icmp6-homeagentdiscoveryreply": 145,
	"icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147,
	"icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
	"icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152,
	"icmp6-multicastrouterterm": 153,

	"tcp-fin": 0x01, "tcp-syn": 0x02, "tcp-rst": 0x04, "tcp-push": 0x08,
	"tcp-ack": 0x10, "tcp-urg": 0x20, "tcp-ece": 0x40, "tcp-cwr": 0x80,
}
