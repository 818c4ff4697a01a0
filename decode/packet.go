// Package decode turns a frame into a [Packet]: a fixed struct of the fields that analyzers
// need, found by walking the link layer, VLAN tags and the like, the IP header with its
// options or extension headers, and the TCP or UDP header.
//
// It allocates nothing and keeps nothing. A frame that cannot be decoded is not an error: the
// packet says why in its Kind, and is counted by it.
package decode

// Kind says how far a frame could be decoded.
type Kind uint8

// The kinds of packet.
const (
	// KindIP is a packet with a whole IPv4 or IPv6 header.
	KindIP Kind = iota
	// KindNonIP is a well-formed frame that carries no IP, ARP for instance.
	KindNonIP
	// KindMalformed is a frame whose link layer or IP header is cut off or contradicts itself.
	KindMalformed
	// KindUnsupportedLink is a frame of a link layer that this package does not know.
	KindUnsupportedLink

	NumKinds = 4
)

// Flags are facts about a packet.
type Flags uint16

// The flags of a packet.
const (
	// FlagFragment marks a packet that is a fragment of an IP datagram, first or later.
	FlagFragment Flags = 1 << iota
	// FlagLaterFragment marks a fragment that is not its datagram's first: it has no ports.
	FlagLaterFragment
	// FlagL4 marks a packet that is no fragment and whose TCP or UDP header could be read:
	// ports, TCP fields and payload are valid.
	FlagL4
	// FlagL4Malformed marks a TCP or UDP header, or an extension header before it, that is
	// cut off or contradicts itself. Together with FlagL4: the header was read, but its
	// length field claims more than the IP packet holds.
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

// The IP protocol numbers that this module treats apart.
const (
	ProtoTCP = 6
	ProtoUDP = 17
)

// Packet is a decoded frame. Its owner reuses it from frame to frame; every decoding sets
// every field. It holds no pointers, and the fields that every packet needs lie in its
// first cache line.
type Packet struct {
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// Src and Dst are the addresses of the counted IP header.
	Src, Dst Addr
	// WireLen is the length of the whole frame on the wire, in bytes.
	WireLen uint32
	// SrcPort and DstPort are set with FlagL4, and in a first fragment that holds the whole
	// TCP or UDP header; else they are 0.
	SrcPort, DstPort uint16
	Flags            Flags
	Kind             Kind
	// Version is 4, 6, or 0 where Kind is not KindIP.
	Version uint8
	// Proto is the protocol number after IPv6 extension headers and AH. A later fragment
	// has the number that its own header names.
	Proto uint8
	// TCPFlags are the low eight flags of TCP, set as the ports are.
	TCPFlags uint8
	// FragProto is the protocol number of what the fragments are pieces of, by the header of
	// this one. Only that of the first fragment counts (RFC 8200, section 4.5), and Proto
	// differs from it where extension headers follow.
	FragProto uint8
	// FragMore, FragOffset (in bytes) and FragID are the fragment's fields where
	// FlagFragment is set (RFC 791, section 3.1; RFC 8200, section 4.5).
	FragMore   bool
	FragOffset uint16
	// Payload is where the payload of TCP or UDP starts in the frame, and CapLen how many of
	// its bytes were captured (Ethernet padding not included), so that frame[Payload :
	// Payload+CapLen] is always good. PayloadLen is its length on the wire as the headers
	// have it. Without FlagL4 they describe what follows the IP header and its extension
	// headers; for a fragment, what the reassembled datagram is pieced together from.
	Payload, CapLen, PayloadLen uint32
	// Seq is TCP's sequence number of the segment's first byte, set as the ports are. With
	// SYN it is the initial sequence number, and the first payload byte has the next.
	Seq uint32
	// Ack is TCP's acknowledgement number, set as the ports are; it counts with TCPAck.
	Ack    uint32
	FragID uint32
}
