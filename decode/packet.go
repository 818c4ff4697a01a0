// Package decode turns a frame into a [Packet]: a fixed struct of the fields that analyzers need. It reads the link
// layer, VLAN tags and similar headers, the IP header with its options or extension headers, and the TCP or UDP
// header.
//
// It does not allocate and keeps no references. A frame that cannot be decoded is not an error: the packet's Kind
// says why, and the frame is counted by kind.
package decode

// Kind says how far a frame could be decoded.
type Kind uint8

// The kinds of packet.
const (
	// KindIP is a packet with a whole IPv4 or IPv6 header.
	KindIP Kind = iota
	// KindNonIP is a well-formed frame that does not carry IP, for instance ARP.
	KindNonIP
	// KindMalformed is a frame whose link layer or IP header is cut off or contradicts itself.
	KindMalformed
	// KindUnsupportedLink is a frame of a link layer that this package cannot decode.
	KindUnsupportedLink

	NumKinds = 4
)

// Flags are facts about a packet.
type Flags uint16

// The flags of a packet.
const (
	// FlagFragment marks a packet that is a fragment of an IP datagram, first or later.
	FlagFragment Flags = 1 << iota
	// FlagLaterFragment marks a fragment that is not the first of its datagram. It has no ports.
	FlagLaterFragment
	// FlagL4 marks a packet that is not a fragment and whose TCP or UDP header was read: ports, TCP fields and
	// payload are valid.
	FlagL4
	// FlagL4Malformed marks a TCP or UDP header, or an extension header before it, that is cut off or contradicts
	// itself. Together with FlagL4 it means that the header was read, but that its length field claims more than
	// the IP packet has.
	FlagL4Malformed
	// FlagTunnelled marks a packet found inside a tunnel.
	FlagTunnelled
)

// The TCP flags (RFC 9293, section 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
)

// The IP protocol numbers that this module treats specially.
const (
	ProtoTCP = 6
	ProtoUDP = 17
)

// Packet is a decoded frame. Its owner reuses it from frame to frame, and each call that decodes into it sets every
// field. It has no pointers, and the fields that every packet needs are in its first cache line.
type Packet struct {
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// Src and Dst are the addresses of the counted IP header.
	Src, Dst Addr
	// WireLen is the length of the whole frame on the wire, in bytes.
	WireLen uint32
	// SrcPort and DstPort are set with FlagL4, and in a first fragment that has the whole TCP or UDP header.
	// Otherwise they are 0.
	SrcPort, DstPort uint16
	Flags            Flags
	Kind             Kind
	// Version is 4 or 6, or 0 if Kind is not KindIP.
	Version uint8
	// Proto is the protocol number after IPv6 extension headers and AH. In a later fragment it is the number that
	// the fragment's own header names.
	Proto uint8
	// TCPFlags are the low eight flags of TCP, set as the ports are.
	TCPFlags uint8
	// FragProto is the protocol number of the fragmented data, from this fragment's header. Only that of the first
	// fragment counts (RFC 8200, section 4.5). It differs from Proto if extension headers follow.
	FragProto uint8
	// TTL is the time to live of IPv4 or the hop limit of IPv6, in the counted IP header.
	TTL uint8
	// FragMore, FragOffset (in bytes) and FragID are the fields of a fragment if FlagFragment is set (RFC 791,
	// section 3.1; RFC 8200, section 4.5).
	FragMore   bool
	FragOffset uint16
	// EtherType is the protocol of a frame of KindNonIP, after VLAN tags and similar headers: 0x0806 for ARP. Then
	// Payload, CapLen and PayloadLen describe what follows the EtherType, with Ethernet's padding. It is 0 if the
	// frame is of another kind or has no EtherType.
	EtherType uint16
	// Payload is the offset of the TCP or UDP payload in the frame. CapLen is how many of its bytes were
	// captured, without Ethernet padding, so frame[Payload : Payload+CapLen] is always valid. PayloadLen is the
	// payload's length on the wire, from the headers. Without FlagL4, they describe what follows the IP header
	// and its extension headers. For a fragment, they describe its piece of the reassembled datagram.
	Payload, CapLen, PayloadLen uint32
	// Seq is TCP's sequence number of the segment's first byte, set as the ports are. With SYN it is the initial
	// sequence number, and the first payload byte has the next number.
	Seq uint32
	// Ack is TCP's acknowledgement number, set as the ports are. It is valid with TCPAck.
	Ack    uint32
	FragID uint32
}
