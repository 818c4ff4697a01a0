package dnswire

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// disagreement compares what this package and miekg/dns read in b. It returns where they differ, or "".
func disagreement(b []byte) string {
	var m Message
	st := m.Parse(b)
	var o dns.Msg
	err := o.Unpack(b)
	if len(b) < headerLen {
		if st != TooShort || m.ID != 0 || m.Flags != 0 || m.HasQuestion {
			return fmt.Sprintf("short message: %v %+v", st, m)
		}
		return ""
	}
	if m.ID != o.Id || m.Response() != o.Response || int(m.Opcode()) != o.Opcode || int(m.Rcode()) != o.Rcode&15 ||
		m.Has(FlagAA) != o.Authoritative || m.Has(FlagTC) != o.Truncated || m.Has(FlagRD) != o.RecursionDesired ||
		m.Has(FlagRA) != o.RecursionAvailable || m.Has(FlagAD) != o.AuthenticatedData || m.Has(FlagCD) != o.CheckingDisabled {
		return fmt.Sprintf("header: %+v, want %+v", m, o.MsgHdr)
	}
	if m.HasQuestion != (st == OK && m.QDCount() > 0) {
		return fmt.Sprintf("HasQuestion %v with %v and %d questions", m.HasQuestion, st, m.QDCount())
	}
	if len(o.Question) == 0 {
		// miekg/dns accepts a bare header whatever its counts.
		if err == nil && m.HasQuestion && len(b) > headerLen {
			return "a question too many"
		}
		return ""
	}
	q := o.Question[0]
	if !m.HasQuestion {
		// miekg/dns follows pointers anywhere, and accepts a question that ends after its name or type.
		if forwardPointer(b, headerLen) || st == Cut {
			return ""
		}
		return fmt.Sprintf("question %v not read: %v", q, st)
	}
	if want := wire(q.Name); !bytes.Equal(m.Name(), want) || m.QType != q.Qtype || m.QClass != q.Qclass {
		return fmt.Sprintf("question %q %d %d, want %q %d %d", m.Name(), m.QType, m.QClass, want, q.Qtype, q.Qclass)
	}
	if err != nil {
		return ""
	}
	return recordsDiffer(&m, b, &o)
}

// recordsDiffer compares the records and EDNS of a message that miekg/dns could read.
func recordsDiffer(m *Message, b []byte, o *dns.Msg) string {
	c := m.Records(b)
	var name [MaxName + 1]byte
	for section, rrs := range [][]dns.RR{o.Answer, o.Ns, o.Extra} {
		for i, rr := range rrs {
			h := rr.Header()
			if !c.Next() {
				if forwardPointer(b, c.off) {
					return ""
				}
				return fmt.Sprintf("record %d of section %d not found: %v", i, section, c.Status)
			}
			if int(c.Section) != section || c.Type != h.Rrtype || c.Class != h.Class || c.TTL != h.Ttl || c.End-c.Data != int(h.Rdlength) {
				return fmt.Sprintf("record %d of section %d: %+v, want %v", i, section, c.RR, rr)
			}
			n, next, st := ReadName(&name, b, c.Owner)
			if want := wire(h.Name); st != OK && !forwardPointer(b, c.Owner) || st == OK && (!bytes.Equal(name[:n], want) || next != c.Data-10) {
				return fmt.Sprintf("owner %q %d %v, want %q", name[:n], next, st, want)
			}
		}
	}
	m.ParseEDNS(b)
	var opts []*dns.OPT
	for _, rr := range o.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			opts = append(opts, opt)
		}
	}
	if len(opts) == 0 {
		if m.EDNS {
			return "EDNS from nowhere"
		}
		return ""
	}
	opt := opts[0]
	if !m.EDNS || m.UDPSize() != opt.UDPSize() || m.DO() != opt.Do() || m.EDNSVersion() != opt.Version() ||
		int(m.ExtRcode) != int(m.Rcode())|int(opt.Hdr.Ttl>>24)<<4 {
		return fmt.Sprintf("EDNS: %+v, want %v", m, opt)
	}
	for _, x := range opt.Option {
		if s, ok := x.(*dns.EDNS0_SUBNET); ok {
			if !m.HasECS {
				return fmt.Sprintf("no client subnet, want %v", s)
			}
			if m.ECS.Family == s.Family && (m.ECS.SourcePrefix != s.SourceNetmask || m.ECS.ScopePrefix != s.SourceScope) {
				return fmt.Sprintf("client subnet %+v, want %v", m.ECS, s)
			}
			break
		}
	}
	return ""
}

// wire packs a name printed by miekg/dns, lower-cased. What it prints is ASCII.
func wire(name string) []byte {
	b := make([]byte, MaxName+1)
	n, err := dns.PackDomainName(strings.ToLower(name), b, 0, nil, false)
	if err != nil {
		return []byte(err.Error())
	}
	return b[:n]
}

// forwardPointer reports whether the name at off has a pointer that does not point to before the part of the name
// that it ends.
func forwardPointer(b []byte, off int) bool {
	for start := off; off < len(b)-1; {
		switch c := int(b[off]); {
		case c == 0:
			return false
		case c >= 0xc0:
			to := c&0x3f<<8 | int(b[off+1])
			if to >= start {
				return true
			}
			off, start = to, to
		default:
			off += c + 1
		}
	}
	return false
}
