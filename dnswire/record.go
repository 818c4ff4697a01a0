package dnswire

import "encoding/binary"

// Section is the section of a message that a record stands in.
type Section uint8

// The sections that hold records.
const (
	Answer Section = iota
	Authority
	Additional
)

// RR is a resource record within a message (RFC 1035, section 4.1.3). Offsets are into the message.
type RR struct {
	Owner     int // where the owner's name starts, for [ReadName]
	Data, End int // the bounds of the record's data
	TTL       uint32
	Type      uint16
	Class     uint16
	Section   Section
}

// Cursor walks the records of a message in order. [Message.Records] makes one; the record last
// reached is in its RR.
type Cursor struct {
	RR
	// Status says, once Next has returned false, why: [OK] at the end of the records.
	Status Status

	b    []byte
	off  int
	left int // records still to come
	// In authority or additional, so many records or fewer are left before the next.
	authority, additional int
}

// Records returns a cursor before the first record of the message in b, the one last parsed. Where
// the questions cannot be read there are no records, and the Status says why.
func (m *Message) Records(b []byte) Cursor {
	c := Cursor{b: b, off: int(m.end), additional: int(m.ARCount), Status: m.status}
	if m.status != OK {
		return c
	}
	for q := 1; q < int(m.QDCount); q++ {
		next, st := skipName(b, c.off)
		if st == OK && len(b)-next < 4 {
			st = Cut
		}
		if st != OK {
			c.Status = st
			return c
		}
		c.off = next + 4
	}
	c.authority = c.additional + int(m.NSCount)
	c.left = c.authority + int(m.ANCount)
	return c
}

// Next moves to the next record, and says whether there is one. A record whose data is cut off
// is none.
func (c *Cursor) Next() bool {
	if c.left <= 0 || c.Status != OK {
		return false
	}
	b, p := c.b, c.off
	if p < len(b) && b[p] == 0 { // the root: nearly every OPT
		p++
	} else if p < len(b)-1 && b[p] >= 0xc0 { // a pointer: nearly every answer
		p += 2
	} else if p, c.Status = skipName(b, p); c.Status != OK {
		return false
	}
	if len(b)-p < 10 {
		c.Status = Cut
		return false
	}
	f := b[p : p+10] // type, class, TTL, length
	data := p + 10
	end := data + int(binary.BigEndian.Uint16(f[8:]))
	if end > len(b) {
		c.Status = Cut
		return false
	}
	switch {
	case c.left > c.authority:
		c.Section = Answer
	case c.left > c.additional:
		c.Section = Authority
	default:
		c.Section = Additional
	}
	c.Owner, c.Data, c.End = c.off, data, end
	c.Type = binary.BigEndian.Uint16(f)
	c.Class = binary.BigEndian.Uint16(f[2:])
	c.TTL = binary.BigEndian.Uint32(f[4:])
	c.off = end
	c.left--
	return true
}

// The numbers of EDNS.
const (
	typeOPT   = 41
	optionECS = 8
)

// ParseEDNS walks the records of the message in b, the one last parsed, up to the first OPT record
// of the additional section, and sets the fields of EDNS from it (RFC 6891, section 6.1.3). The
// status tells how the walk went; [OK] is no proof of EDNS. The owner of OPT is not looked at.
func (m *Message) ParseEDNS(b []byte) Status {
	if m.ARCount == 0 {
		return OK
	}
	c := m.Records(b)
	for c.Next() {
		if c.Type == typeOPT && c.Section == Additional {
			m.EDNS = true
			m.UDPSize = c.Class
			m.ExtRcode = uint16(c.TTL>>24)<<4 | uint16(m.Rcode)
			m.EDNSVersion = uint8(c.TTL >> 16)
			m.DO = c.TTL&(1<<15) != 0
			if c.Data < c.End {
				return m.parseOptions(b[c.Data:c.End])
			}
			return OK
		}
	}
	return c.Status
}

// parseOptions looks for the client subnet among the options of an OPT record. An option that claims
// more bytes than the record has ends the search.
func (m *Message) parseOptions(b []byte) Status {
	for len(b) >= 4 {
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			return Malformed
		}
		if code == optionECS && !m.HasECS {
			m.HasECS = true
			m.ECS.parse(b[:n])
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return Malformed
	}
	return OK
}

// parse reads the option's data. s is all zero before, and stays so unless the data is
// well-formed: an address that is shorter than its prefix, or a prefix longer than the family's
// addresses, is not. Bytes after the address are ignored.
func (s *ClientSubnet) parse(b []byte) {
	if len(b) < 4 {
		return
	}
	family, source, scope := binary.BigEndian.Uint16(b), b[2], b[3]
	b = b[4:]
	var bits uint8
	switch family {
	case 1:
		bits = 32
	case 2:
		bits = 128
	default:
		s.Family, s.SourcePrefix, s.ScopePrefix = family, source, scope
		return
	}
	n := (int(source) + 7) / 8
	if source > bits || scope > bits || n > len(b) {
		return
	}
	s.Family, s.SourcePrefix, s.ScopePrefix = family, source, scope
	copy(s.Addr[:], b[:n])
	if over := source % 8; over != 0 {
		s.Addr[n-1] &= 0xff << (8 - over)
	}
}
