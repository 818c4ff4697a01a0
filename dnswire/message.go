// Package dnswire reads DNS messages (RFC 1035) in place: header, first question, EDNS
// (RFC 6891) with its client subnet (RFC 7871), and a cursor over the resource records.
//
// [Message.Parse] reads what every message needs: the header and the first question, whose name it copies, expanded
// and lower-cased. [Message.ParseEDNS] continues to the OPT record, and [Message.Records] to any record. A caller
// that does not need them does not pay for them. Names stay in wire form, which tables use as keys. [AppendName]
// prints a name, and [Qname2] and [Qname3] find its last labels without copying.
//
// The package does not read the data of records and does not write messages. It knows nothing about transports: the
// two length bytes of DNS over TCP are not part of a message.
//
// Messages are hostile input. Nothing here panics, allocates (except that the Append functions grow the slice that
// they get) or takes more steps than the message has bytes. Compression pointers go backwards only, and counts that
// claim more records than there are bytes end the walk. A message that cannot be parsed is not an error but a
// [Status], and the fields that were read before stay set: every message of twelve bytes or more counts by its
// header.
//
// A Message is a value that its owner reuses. It keeps no reference to the bytes that it has read.
// It is not safe for concurrent use.
package dnswire

import "encoding/binary"

// Status says how far a message was read.
type Status uint8

// The outcomes of reading.
const (
	// OK means that everything requested was read, or is absent according to the header's counts.
	OK Status = iota
	// TooShort means that there are fewer bytes than a header has. It may not be DNS at all.
	TooShort
	// Cut means that the bytes end before the counts or a length say. The capture may have cut them off, or the
	// sender may have given a wrong length.
	Cut
	// Malformed means that the bytes contradict RFC 1035: a label of an unknown type, a name of more than 255
	// bytes, or a compression pointer that does not point backwards.
	Malformed
)

// Flags is the second word of the header, unchanged: flag bits, opcode and rcode (RFC 1035, section 4.1.1; RFC 4035,
// section 3.2).
type Flags uint16

// The flags of a header.
const (
	FlagResponse Flags = 1 << 15 // QR
	FlagAA       Flags = 1 << 10 // authoritative answer
	FlagTC       Flags = 1 << 9  // truncated
	FlagRD       Flags = 1 << 8  // recursion desired
	FlagRA       Flags = 1 << 7  // recursion available
	FlagAD       Flags = 1 << 5  // authentic data
	FlagCD       Flags = 1 << 4  // checking disabled

	MaskOpcode Flags = 15 << 11 // the opcode's bits
)

// Sizes of RFC 1035, in bytes.
const (
	headerLen = 12
	// HeaderLen is the length of a message's header.
	HeaderLen = headerLen
	// MaxName is the longest name in wire form, in bytes, including its final root label.
	MaxName = 255
	// maxLabel is the longest label. Greater length bytes are pointers or unknown label types.
	maxLabel = 63
)

// Message is a DNS message as far as it was read. [Message.Parse] sets every field, and the fields of EDNS to zero.
// [Message.ParseEDNS] then sets those.
type Message struct {
	ID    uint16
	Flags Flags
	// QType and QClass are the first question's, or 0 without HasQuestion. On mDNS, the top bit of the class asks
	// for a unicast response (RFC 6762, section 5.4). It is not removed.
	QType, QClass uint16
	// ExtRcode is the rcode with the upper eight bits that EDNS adds, once ParseEDNS has found them. Until then
	// it equals Rcode.
	ExtRcode uint16
	// HasQuestion says that the whole first question was read.
	HasQuestion bool

	// EDNS says that the message has an OPT record.
	EDNS bool
	// HasECS says that the message has a client-subnet option, well-formed or not. ECS is undefined without it.
	HasECS bool

	status  Status // what Parse returned
	nameLen uint8
	end     uint32 // of the first question, or of the header if there is no question; valid if status is OK
	counts  uint64 // of the header: questions in the upper 16 bits, then the three kinds of records
	opt     uint64 // class and TTL of the OPT record
	ECS     ClientSubnet
	name    [MaxName + 1]byte
}

// QDCount returns the number of questions, and ANCount, NSCount and ARCount those of the three kinds of records, as claimed in
// the header, not as found.
func (m *Message) QDCount() uint16 { return uint16(m.counts >> 48) }

// ANCount returns the number of answers: see [Message.QDCount].
func (m *Message) ANCount() uint16 { return uint16(m.counts >> 32) }

// NSCount returns the number of authority records: see [Message.QDCount].
func (m *Message) NSCount() uint16 { return uint16(m.counts >> 16) }

// ARCount returns the number of additional records: see [Message.QDCount].
func (m *Message) ARCount() uint16 { return uint16(m.counts) }

// UDPSize returns the size of response that the sender accepts, in bytes: 0 without EDNS.
func (m *Message) UDPSize() uint16 { return uint16(m.opt >> 32) }

// EDNSVersion returns the version of EDNS: 0 without it.
func (m *Message) EDNSVersion() uint8 { return uint8(m.opt >> 16) }

// DO reports whether the sender accepts DNSSEC records (RFC 3225).
func (m *Message) DO() bool { return m.opt&(1<<15) != 0 }

// ClientSubnet is the EDNS client-subnet option (RFC 7871, section 6). All of it is 0 if the option is not
// well-formed.
type ClientSubnet struct {
	Family       uint16 // 1 for IPv4, 2 for IPv6
	SourcePrefix uint8  // in bits
	ScopePrefix  uint8  // in bits
	// Addr holds the address. An IPv4 address is in the first four bytes. Bits beyond SourcePrefix are 0. Addr is
	// all 0 for other families.
	Addr [16]byte
}

// Response reports whether the message is a response, not a query.
func (m *Message) Response() bool { return m.Flags&FlagResponse != 0 }

// Opcode returns the header's opcode, four bits.
func (m *Message) Opcode() uint8 { return uint8(m.Flags>>11) & 15 }

// Rcode returns the header's rcode, four bits.
func (m *Message) Rcode() uint8 { return uint8(m.Flags) & 15 }

// Has reports whether all of the given flags are set.
func (m *Message) Has(f Flags) bool { return m.Flags&f == f }

// Name returns the first question's name in wire form: expanded, with ASCII letters in lower case, and ending with
// the root's zero byte. It is empty without HasQuestion, has at most [MaxName] bytes, and is valid until the next
// Parse.
func (m *Message) Name() []byte { return m.name[:m.nameLen] }

// Head returns the first bytes of [Message.Name], followed by zeros if the name is shorter. Use it for hashing. It is
// valid as long as the name, and undefined without HasQuestion.
func (m *Message) Head() *[HeadLen]byte { return (*[HeadLen]byte)(m.name[:]) }

// Parse reads the header and the first question of the message in b. It sets the header's fields unless it returns
// [TooShort], which leaves all fields 0. If the header says that there is no question, the result is [OK].
func (m *Message) Parse(b []byte) Status {
	if !m.ParseHeader(b) {
		return TooShort
	}
	return m.ParseQuestion(b)
}

// ParseHeader reads the header of the message in b, and sets all other fields to 0. It returns false, and leaves all fields
// 0, if there are fewer bytes than a header has.
func (m *Message) ParseHeader(b []byte) bool {
	if len(b) < headerLen {
		*m = Message{status: TooShort, end: headerLen}
		return false
	}
	hi := binary.BigEndian.Uint64(b) // ID, flags, QDCOUNT, ANCOUNT
	m.ID, m.Flags, m.ExtRcode = uint16(hi>>48), Flags(hi>>32), uint16(hi>>32)&15
	m.counts = hi<<32 | uint64(binary.BigEndian.Uint32(b[8:12]))
	// In the order of memory, so that it takes few stores.
	m.QType, m.QClass = 0, 0
	m.HasQuestion, m.EDNS, m.HasECS, m.status, m.nameLen = false, false, false, OK, 0
	m.end, m.opt = headerLen, 0
	return true
}

// ParseQuestion reads the first question of the message in b, of which [Message.ParseHeader] has read the header.
func (m *Message) ParseQuestion(b []byte) Status {
	if m.QDCount() != 0 {
		m.status = m.parseQuestion(b)
	}
	return m.status
}

// KnownName is a name to recognise in another message: see [Message.SaveName].
type KnownName struct {
	head  [HeadLen]byte // as [Message.Head] has it
	bytes uint8         // of the name; 0 is no name
}

// SaveName sets n to the name of the first question, and reports whether it could. It cannot without a question, or if the
// name has more than [HeadLen] bytes.
func (m *Message) SaveName(n *KnownName) bool {
	if m.nameLen-1 >= HeadLen {
		return false
	}
	copyHead(&n.head, m.Head())
	n.bytes = m.nameLen
	return true
}

// TakeName does what [Message.ParseQuestion] does if the first question of the message in b has the very bytes of the name,
// and returns false otherwise. It takes a third of the instructions. It returns false, too, where a name is not in lower case,
// is compressed, or lies so close to the end of b's memory that [HeadLen] bytes cannot be read.
func (m *Message) TakeName(b []byte, name *KnownName) bool {
	n := uint(name.bytes)
	if uint(len(b)) < headerLen+n+4 || cap(b) < headerLen+HeadLen {
		return false
	}
	head, mask := (*[HeadLen]byte)(b[headerLen:headerLen+HeadLen]), (*[HeadLen]byte)(keep[(HeadLen-n)%HeadLen:])
	if headDiff(head, mask, &name.head, 0) != 0 || n == 0 || m.QDCount() == 0 ||
		headDiff(head, mask, &name.head, 8)|headDiff(head, mask, &name.head, 16)|headDiff(head, mask, &name.head, 24) != 0 {
		return false
	}
	copyHead(m.Head(), &name.head)
	v := binary.BigEndian.Uint32(b[headerLen+n : headerLen+n+4])
	m.QType, m.QClass = uint16(v>>16), uint16(v)
	m.nameLen, m.HasQuestion, m.end = uint8(n), true, uint32(headerLen+n+4)
	return true
}

// copyHead copies 16 bytes at a time, in one register; 32 would be copied by a call.
func copyHead(to, from *[HeadLen]byte) {
	*(*[16]byte)(to[:]) = *(*[16]byte)(from[:])
	*(*[16]byte)(to[16:]) = *(*[16]byte)(from[16:])
}

// headDiff returns 0 if the eight bytes of a at the given place are those of b, as far as mask has them.
func headDiff(a, mask, b *[HeadLen]byte, at int) uint64 {
	return binary.LittleEndian.Uint64(a[at:])&binary.LittleEndian.Uint64(mask[at:]) ^ binary.LittleEndian.Uint64(b[at:])
}

// parseQuestion reads the first question; b holds a whole header.
func (m *Message) parseQuestion(b []byte) Status {
	// Nearly all first questions are plain labels up to the root. Find the root, then copy the whole name at
	// once. Length bytes are below 'A', so lower-casing does not change them. The memory that follows a short
	// message, as far as its capacity goes, may be read; the result is masked.
	end, limit := uint(headerLen), min(uint(len(b)), headerLen+MaxName)
	var c byte
	for {
		if end >= limit {
			if limit == headerLen+MaxName {
				return Malformed
			}
			return Cut
		}
		c = b[end]
		if c-1 >= maxLabel { // the root, a pointer or an unknown label type
			break
		}
		end += uint(c) + 1
	}
	n, next := int(end)+1-headerLen, int(end)+1
	switch {
	case c != 0:
		var st Status
		if n, next, st = m.readQname(b); st != OK {
			return st
		}
	case n <= HeadLen && cap(b) >= headerLen+HeadLen:
		lowerHead(&m.name, (*[HeadLen]byte)(b[headerLen:headerLen+HeadLen]), n)
	default:
		m.copyQname(b, n)
	}
	if len(b)-next < 4 {
		return Cut
	}
	v := binary.BigEndian.Uint32(b[next : next+4])
	m.QType, m.QClass = uint16(v>>16), uint16(v)
	m.nameLen = uint8(n)
	m.HasQuestion = true
	m.end = uint32(next + 4)
	return OK
}

// readQname reads a first question's name that is not plain. Like copyQname it is a separate function, so that its
// calls do not force parseQuestion to keep its variables in memory.
//
//go:noinline
func (m *Message) readQname(b []byte) (n, next int, st Status) {
	n, next, st = ReadName(&m.name, b, headerLen)
	if n < HeadLen {
		clear(m.name[n:HeadLen])
	}
	return n, next, st
}

// copyQname copies the first question's name, of n bytes. It is for names that are longer than a head, and for
// messages whose memory ends before a head would.
//
//go:noinline
func (m *Message) copyQname(b []byte, n int) {
	if n > HeadLen {
		lowerCopy(&m.name, b, headerLen, n)
		return
	}
	// Words that would lie beyond the message are read at its end and shifted down.
	mask, last := (*[HeadLen]byte)(keep[uint(HeadLen-n)%HeadLen:]), len(b)-8
	for i := 0; i < HeadLen; i += 8 {
		at := min(headerLen+i, last)
		x := binary.LittleEndian.Uint64(b[at:at+8]) >> (8 * uint(headerLen+i-at))
		binary.LittleEndian.PutUint64(m.name[i:i+8], lower8(x)&binary.LittleEndian.Uint64(mask[i:i+8]))
	}
}
