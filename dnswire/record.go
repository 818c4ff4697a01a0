package dnswire

import "encoding/binary"

// Section is the section of a message that contains a record.
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

// Cursor walks the records of a message in order. [Message.Records] makes one. Its RR is the record that Next reached
// last.
type Cursor struct {
	RR
	// Status says why Next returned false: [OK] at the end of the records.
	Status Status

	b    []byte
	off  int
	left int // records that follow
	// Before the next record, at most this many records are left if it is in the authority or additional section.
	authority, additional int
}

// Records returns a cursor before the first record of the message in b, which must be the message parsed last. If the
// questions cannot be read, there are no records, and the Status says why.
func (m *Message) Records(b []byte) Cursor {
	c := Cursor{b: b, additional: int(m.ARCount())}
	c.authority = c.additional + int(m.NSCount())
	c.left = c.authority + int(m.ANCount())
	c.off, c.Status = m.skipQuestions(b)
	return c
}

// Next moves to the next record, and reports whether there is one. It does not return a record whose data is cut off.
func (c *Cursor) Next() bool {
	if c.left <= 0 || c.Status != OK {
		return false
	}
	fixed, end, st := skipRecord(c.b, c.off)
	if st != OK {
		c.Status = st
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
	f := c.b[fixed : fixed+fixedLen]
	c.Owner, c.Data, c.End = c.off, fixed+fixedLen, end
	c.Type = binary.BigEndian.Uint16(f)
	c.Class = binary.BigEndian.Uint16(f[2:])
	c.TTL = binary.BigEndian.Uint32(f[4:])
	c.off = end
	c.left--
	return true
}

// skipQuestions returns the offset where the records begin.
func (m *Message) skipQuestions(b []byte) (off int, st Status) {
	if m.status != OK {
		return 0, m.status
	}
	off = int(m.end)
	for q := 1; q < int(m.QDCount()); q++ {
		if off, st = skipName(b, off); st != OK {
			return 0, st
		}
		if off += 4; off > len(b) {
			return 0, Cut
		}
	}
	return off, OK
}

// fixedLen is the length of a record's type, class, TTL and data length.
const fixedLen = 10

// skipOwner returns the offset of the fixed part of the record at off.
func skipOwner(b []byte, off int) (fixed int, st Status) {
	if uint(off) < uint(len(b)) {
		switch c := b[off]; {
		case c >= 0xc0: // a pointer: nearly every answer; the check of what follows shows that it is whole
			return off + 2, OK
		case c == 0: // the root: nearly every OPT
			return off + 1, OK
		}
	}
	return skipName(b, off)
}

// recordEnd returns the end of the record whose fixed part begins at fixed, or 0 if b ends before it. fixed is within
// b or at most two bytes beyond its end.
func recordEnd(b []byte, fixed int) int {
	if len(b)-fixed < fixedLen {
		return 0
	}
	end := fixed + fixedLen + int(b[fixed+8])<<8 + int(b[fixed+9])
	if end > len(b) {
		return 0
	}
	return end
}

// skipRecord returns the offset of the fixed part of the record at off, and the record's end.
func skipRecord(b []byte, off int) (fixed, end int, st Status) {
	if fixed, st = skipOwner(b, off); st != OK {
		return 0, 0, st
	}
	if end = recordEnd(b, fixed); end == 0 {
		return 0, 0, Cut
	}
	return fixed, end, OK
}

// skipRecords returns the end of n records, the first of which is at off.
func skipRecords(b []byte, off, n int) (end int, st Status) {
	for ; n > 0; n-- {
		if uint(off)+2+fixedLen <= uint(len(b)) {
			if f := b[off : off+2+fixedLen]; f[0] >= 0xc0 { // nearly every owner is a pointer
				if off += len(f) + int(binary.BigEndian.Uint16(f[10:])); off <= len(b) {
					continue
				}
				return 0, Cut
			}
		}
		fixed, st := skipOwner(b, off)
		if st != OK {
			return 0, st
		}
		if off = recordEnd(b, fixed); off == 0 {
			return 0, Cut
		}
	}
	return off, OK
}

// The types that [Message.Authority] looks for.
const (
	typeNS  = 2
	typeSOA = 6
)

// Authority reports whether the authority section of the message in b has NS and SOA records, which distinguish a
// referral from a response without data (RFC 2308, section 2.2). b must be the message parsed last. Authority stops
// at the first SOA record. If a record is cut off, its type is enough. The status says how far the walk got.
func (m *Message) Authority(b []byte) (ns, soa bool, st Status) {
	off, st := m.skipQuestions(b)
	if st == OK {
		off, st = skipRecords(b, off, int(m.ANCount()))
	}
	for n := int(m.NSCount()); n > 0 && st == OK; n-- {
		var fixed int
		if fixed, st = skipOwner(b, off); st != OK {
			break
		}
		if len(b)-fixed < 2 {
			return ns, soa, Cut
		}
		switch binary.BigEndian.Uint16(b[fixed:]) {
		case typeSOA:
			return ns, true, OK
		case typeNS:
			ns = true
		}
		if off = recordEnd(b, fixed); off == 0 {
			return ns, soa, Cut
		}
	}
	return ns, soa, st
}

// The numbers of EDNS.
const (
	typeOPT   = 41
	optionECS = 8
)

// ParseEDNS walks the records of the message in b, which must be the message parsed last, up to the first OPT record
// of the additional section, and sets the fields of EDNS from it (RFC 6891, section 6.1.3). The status says how far
// the walk got; [OK] does not mean that there is an OPT record. ParseEDNS ignores the owner of the OPT record.
func (m *Message) ParseEDNS(b []byte) Status {
	if m.ARCount() == 0 || m.status != OK {
		return m.status
	}
	off, st := int(m.end), OK
	if m.QDCount() > 1 {
		off, st = m.skipQuestions(b)
	}
	if n := int(m.ANCount()) + int(m.NSCount()); n > 0 && st == OK {
		off, st = skipRecords(b, off, n)
	}
	if st == OK && uint(len(b)) >= uint(off)+1+fixedLen {
		// Nearly every OPT: the first additional record, without options. Owner, type and class; then TTL and data length.
		rr := (*[1 + fixedLen]byte)(b[off : off+1+fixedLen])
		x, y := binary.BigEndian.Uint64(rr[:]), binary.BigEndian.Uint32(rr[7:])
		if x>>40 == typeOPT && uint16(y) == 0 {
			m.setOPT((x<<8 | uint64(y>>16&0xff)) & (1<<48 - 1))
			return OK
		}
	}
	for n := int(m.ARCount()); n > 0 && st == OK; n-- {
		var fixed int
		if fixed, st = skipOwner(b, off); st != OK {
			return st
		}
		if off = recordEnd(b, fixed); off == 0 {
			return Cut
		}
		if binary.BigEndian.Uint16(b[fixed:fixed+2]) == typeOPT {
			return m.parseOPT(b[fixed:off])
		}
	}
	return st
}

// setOPT sets the fields of EDNS but the options from the class and the TTL of an OPT record, in 48 bits.
func (m *Message) setOPT(opt uint64) {
	m.EDNS, m.opt = true, opt
	m.ExtRcode |= uint16(opt>>24) & 0xff << 4
}

// parseOPT sets the fields of EDNS from an OPT record, without its owner.
func (m *Message) parseOPT(b []byte) Status {
	m.setOPT(binary.BigEndian.Uint64(b) & (1<<48 - 1))
	if len(b) == fixedLen {
		return OK
	}
	return m.parseOptions(b[fixedLen:])
}

// parseOptions looks for the client subnet among the options of an OPT record. An option that claims more bytes than
// the record has ends the search.
func (m *Message) parseOptions(b []byte) Status {
	for len(b) >= 4 {
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			return Malformed
		}
		if code == optionECS && !m.HasECS {
			m.HasECS, m.ECS = true, ClientSubnet{}
			m.ECS.parse(b[:n])
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return Malformed
	}
	return OK
}

// parse reads the option's data. s must be all zero, and stays so unless the data is well-formed: it is not if the
// address is shorter than its prefix, or the prefix is longer than the family's addresses. Bytes after the address
// are ignored.
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
