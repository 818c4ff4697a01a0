package testkit

import "encoding/binary"

// qtypes are the types that the generator asks for, with their weights in percent.
var qtypes = []struct {
	code   uint16
	name   string
	weight int
}{
	{1, "A", 54}, {28, "AAAA", 22}, {65, "HTTPS", 8}, {12, "PTR", 4}, {15, "MX", 4}, {16, "TXT", 4}, {2, "NS", 2}, {6, "SOA", 1}, {33, "SRV", 1},
}

// qtypeOf maps a number below 100 to an index into qtypes.
var qtypeOf = func() (t [100]uint8) {
	n := 0
	for i, q := range qtypes {
		for range q.weight {
			t[n] = uint8(i)
			n++
		}
	}
	return t
}()

const (
	rcodeNoError  = 0
	rcodeServfail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
	numRcodes     = 6
)

// dnsFacts describes a DNS message: enough to build it and to count it.
type dnsFacts struct {
	reply     bool
	name      uint32
	qtype     uint8 // index into qtypes
	rcode     uint8
	nodata    bool
	truncated bool
	edns, ecs bool
	aa        bool // of a reply: it is from an authoritative server, not a resolver
	ad, cd    bool
	mixedCase bool
	id        uint16
	port      uint16 // of the side that is not the DNS server

	bytes   uint16 // length of the message, set when the message is built
	queryAt int64  // of a reply: when its query began; 0 is an orphan
	at      int64  // over TCP: when it began
	noReply bool   // of a query: no response within the timeout
}

// signature stands for the signatures of RRSIG records.
var signature = func() (s [256]byte) {
	for i := range s {
		s[i] = byte(mix(uint64(i)))
	}
	return s
}()

// appendMessage appends the message that m describes and notes its length in m.
func (g *generator) appendMessage(b []byte, m *dnsFacts) []byte {
	start := len(b)
	flags := uint16(DNSRD)
	if m.cd {
		flags |= DNSCD
	}
	if m.reply {
		flags |= DNSResponse | uint16(m.rcode)
		if m.aa {
			flags |= DNSAA
		} else {
			flags |= DNSRA
		}
		if m.ad {
			flags |= DNSAD
		}
		if m.truncated {
			flags |= DNSTC
		}
	}
	b = append(b, byte(m.id>>8), byte(m.id), byte(flags>>8), byte(flags), 0, 1, 0, 0, 0, 0, 0, 0)
	b = g.names.appendWire(b, m.name)
	if m.mixedCase {
		mixCase(b[start+12:], m.id)
	}
	qtype := qtypes[m.qtype].code
	b = append(b, byte(qtype>>8), byte(qtype), 0, 1)
	if m.reply && !m.truncated {
		b = g.appendRecords(b, start, m, qtype)
	}
	if m.edns {
		b = appendOPT(b, m, g.cfg.LargeAnswers)
		b[start+11]++
	}
	m.bytes = uint16(len(b) - start)
	return b
}

// mixCase turns some letters in the labels of a wire-form name into capitals. The same bits choose the same letters.
func mixCase(wire []byte, bits uint16) {
	for wire[0] != 0 {
		label := wire[1 : 1+wire[0]]
		for i, c := range label {
			if c >= 'a' && c <= 'z' && bits>>(i&15)&1 == 1 {
				label[i] = c - 'a' + 'A'
			}
		}
		wire = wire[1+wire[0]:]
	}
}

func appendOPT(b []byte, m *dnsFacts, do bool) []byte {
	b = append(b, 0, 0, 41, 4, 208, 0, 0) // the root; 1232 bytes; RFC 6891
	if do {
		b = append(b, 0x80, 0)
	} else {
		b = append(b, 0, 0)
	}
	if !m.ecs {
		return append(b, 0, 0)
	}
	return append(b, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, byte(m.id)) // RFC 7871: a /24
}

// appendRR appends a record's fields up to its data. The owner is the question's name.
func appendRR(b []byte, rrtype uint16, ttl uint32, length int) []byte {
	b = append(b, 0xc0, 12, byte(rrtype>>8), byte(rrtype), 0, 1)
	b = binary.BigEndian.AppendUint32(b, ttl)
	return append(b, byte(length>>8), byte(length))
}

// appendRecords appends the answers of a positive response or the SOA record of a negative one.
func (g *generator) appendRecords(b []byte, start int, m *dnsFacts, qtype uint16) []byte {
	if m.rcode == rcodeServfail || m.rcode == rcodeRefused {
		return b
	}
	section, n := start+7, 1 // offset of the count of answers
	if m.rcode == rcodeNXDomain || m.nodata {
		section = start + 9 // of the authority section
		b = appendSOA(b)
	} else {
		if qtype == 1 || qtype == 28 {
			n += int(m.name) % 4
		}
		for i := range n {
			b = appendAnswer(b, qtype, m.name, byte(i))
		}
	}
	if g.cfg.LargeAnswers && m.edns {
		for range 4 {
			b = appendRR(b, 46, 3600, 19+len(signature)) // RRSIG, RFC 4034 section 3.1; the signer is the root
			b = append(b, byte(qtype>>8), byte(qtype), 8, 2, 0, 0, 14, 16, 0x66, 0, 0, 0, 0x65, 0, 0, 0, 0x12, 0x34, 0)
			b = append(b, signature[:]...)
			n++
		}
	}
	b[section] = byte(n)
	return b
}

func appendSOA(b []byte) []byte {
	b = appendRR(b, 6, 300, 31)
	b = append(b, 3, 'n', 's', '1', 0xc0, 12, 2, 'h', 'm', 0xc0, 12)
	return append(b, 0x78, 0x9a, 0xbc, 0xde, 0, 0, 0x1c, 0x20, 0, 0, 0x0e, 0x10, 0, 0x12, 0x75, 0, 0, 0, 1, 0x2c)
}

// appendAnswer appends an answer record of the type, with data that is well-formed.
func appendAnswer(b []byte, qtype uint16, name uint32, i byte) []byte {
	switch qtype {
	case 1:
		return append(appendRR(b, 1, 300, 4), 198, 18, byte(name), i)
	case 28:
		return append(appendRR(b, 28, 300, 16), 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, byte(name), i)
	case 65:
		return append(appendRR(b, 65, 300, 13), 0, 1, 0, 0, 1, 0, 6, 2, 'h', '3', 2, 'h', '2')
	case 15:
		return append(appendRR(b, 15, 3600, 7), 0, 10, 2, 'm', 'x', 0xc0, 12)
	case 16:
		n := 40 + int(name)%120
		b = append(appendRR(b, 16, 3600, n+1), byte(n))
		for j := range n {
			b = append(b, 'a'+byte(j%26))
		}
		return b
	case 6:
		return appendSOA(b)
	case 33:
		return append(appendRR(b, 33, 300, 11), 0, 5, 0, 5, 0x14, 0x66, 2, 's', '1', 0xc0, 12)
	default: // NS, PTR
		return append(appendRR(b, qtype, 3600, 6), 3, 'n', 's', '1', 0xc0, 12)
	}
}
