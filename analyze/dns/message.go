package dns

import (
	"encoding/binary"
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/internal/seedhash"
)

// Carrier says how a message was sent.
type Carrier struct {
	// Time is the time when the first byte of the message was captured, in nanoseconds since the Unix epoch.
	Time             int64
	Src, Dst         decode.Addr
	SrcPort, DstPort uint16
	// Proto is the protocol number of the transport, TCP or UDP. Version is the version of IP, 4 or 6.
	Proto, Version uint8
	Direction      analyze.Direction
	// Reassembled reports that the message did not come alone in one packet: it came over TCP or in fragments.
	Reassembled bool
}

// Message is the part of a DNS message that could be read. It has everything that each policy would otherwise compute again.
// It has no pointers and allocates nothing.
type Message struct {
	Carrier
	// Size is the length of the whole message in bytes. Cut reports whether a part of it was not captured.
	Size uint32
	Cut  bool
	// TTL is the time to live, or the hop limit, of the packet that carried the message over UDP. It is 0 if it is not known.
	TTL uint8
	// Client is the port of the client.
	Client uint16
	// Status reports how far the message could be read: header, first question, and EDNS.
	Status dnswire.Status
	// cell is the index of the message's cell: see cells.go. plain reports whether the message is a query of class IN with
	// opcode QUERY or a response to one, came in one UDP datagram, has no client subnet, and is neither malformed nor
	// truncated.
	cell  uint8
	plain bool
	// NameHash is the secret hash of the name in the question. It is 0 without a question.
	NameHash uint64
	// Key is the secret hash of what a query and its response share besides the question: addresses, ports, transport and ID.
	Key uint64
	// Packet is the index of the packet that completed the message, in the group of packets that the reader got. It is [NoPacket]
	// if time completed the message.
	Packet uint8
	// Signed reports whether a record of the answer section is a signature (RRSIG, RFC 4034). Only a reader that looks for
	// signatures sets it: see [Reader.LookForSignatures].
	Signed bool
	dnswire.Message
}

// NoPacket is the index of no packet of a group.
const NoPacket = 255

// Messages is implemented by analyzers that take DNS messages.
type Messages interface {
	// Messages counts the messages of a group: at most [analyze.GroupSize], in their order, all in one second. The group is
	// valid during the call.
	Messages(group []Message)
}

// read reads a message, whose Carrier is set, into m. b has the captured bytes, and size is the length of the whole message. If
// b has no whole DNS header, read returns false and m is not a message.
func (r *Reader) read(m *Message, b []byte, size uint32) bool {
	if !m.ParseHeader(b) {
		return false
	}
	m.Size, m.Cut = size, uint32(len(b)) < size
	m.setKey(r.seed)
	if known := r.known.at(b); m.TakeName(b, &known.KnownName) {
		m.NameHash = known.hash
	} else {
		r.readName(m, b, known)
	}
	m.Status = m.ParseEDNS(b)
	o := asked
	if m.Response() {
		if o = m.outcomeOf(); o == noData && m.NSCount() > 0 {
			o = m.withoutData(b)
		}
		m.Signed = r.signatures && m.hasSignature(b)
	}
	m.cell = cellOf(m.Direction, m.Version, m.Proto, o)
	rare := uint16(m.Flags&(dnswire.MaskOpcode|dnswire.FlagTC)) | m.QClass ^ classIN | uint16(m.Status)
	m.plain = rare == 0 && !m.HasECS && !m.Reassembled
	return true
}

// typeRRSIG is the type of signatures.
const typeRRSIG = 46

// hasSignature reports whether the answer section of the message in b has a signature, as far as it was captured.
func (m *Message) hasSignature(b []byte) bool {
	if m.ANCount() == 0 {
		return false
	}
	for c := m.Records(b); c.Next() && c.Section == dnswire.Answer; {
		if c.Type == typeRRSIG {
			return true
		}
	}
	return false
}

// outcome returns the outcome of the message.
func (m *Message) outcome() outcome { return outcome(m.cell) % numOutcomes }

// setKey sets Key and Client. The client's side comes first in the key. The sides of a response are swapped without a branch,
// because the CPU cannot predict whether a query or a response comes next.
func (m *Message) setKey(seed *seedhash.Seed) {
	response := uint64(m.Flags >> 15)
	ports := bits.RotateLeft32(uint32(m.SrcPort)<<16|uint32(m.DstPort), int(response*16))
	m.Client = uint16(ports >> 16)
	client, server := seed.Pair(m.Src.Hi, m.Src.Lo), seed.Pair(m.Dst.Hi, m.Dst.Lo)
	swap := (client ^ server) & -response
	m.Key = seed.Join(client^swap, server^swap, uint64(ports)<<32|uint64(m.Proto)<<16|uint64(m.ID))
}

// hashName returns the hash of the question's name.
func (m *Message) hashName(seed *seedhash.Seed) uint64 {
	if name := m.Name(); len(name) > dnswire.HeadLen {
		return seed.Bytes(name)
	}
	head := m.Head()
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(head[8*i:]) }
	return seed.Words(word(0), word(1), word(2), word(3))
}

// question returns the type and the class of the question.
func (m *Message) question() uint32 { return uint32(m.QType)<<16 | uint32(m.QClass) }

// opcodeDSO is the opcode of DNS Stateful Operations.
const opcodeDSO = 6

// isOneWay reports whether a query is a unidirectional message of DNS Stateful Operations, which nobody answers
// (RFC 8490, section 5.4).
func (m *Message) isOneWay() bool { return m.ID == 0 && m.Opcode() == opcodeDSO }

// isMulticast reports whether the message was sent to a multicast address (RFC 1112, RFC 4291 section 2.7).
func (m *Message) isMulticast() bool {
	// This has no branch on the version, because both conditions are rarely true.
	return m.Dst.Hi>>56 == 0xff || m.Dst.Hi|(m.Dst.Lo>>28^(0xffff<<4|0xe)) == 0
}

// unicastBit returns the bit of the question's class that asks for a unicast response in multicast DNS (RFC 6762, section 5.4).
// It returns 0 for other protocols.
func (m *Message) unicastBit() uint16 {
	if m.SrcPort == portMDNS || m.DstPort == portMDNS {
		return 1 << 15
	}
	return 0
}
