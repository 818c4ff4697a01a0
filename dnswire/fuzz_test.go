package dnswire

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

func FuzzParse(f *testing.F) {
	f.Add(query(f, "www.Example.com.", dns.TypeA))
	f.Add(response(f, "www.Example.com.", 3))
	for _, b := range archived(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := disagreement(b); s != "" {
			t.Error(s)
		}
		// Nothing is read beyond the end of b, whatever was parsed before.
		var m Message
		m.Parse(b)
		m.ParseEDNS(b[:len(b)/2])
		m.Parse(b)
		m.ParseEDNS(b)
		c := m.Records(b)
		n, edns := 0, false
		for ; c.Next(); n++ {
			if c.Owner < headerLen || c.Data < c.Owner+11 || c.End < c.Data || c.End > len(b) {
				t.Fatalf("bounds: %+v", c.RR)
			}
			if c.Section == Additional && c.Type == typeOPT && !edns {
				if edns = true; m.UDPSize() != c.Class || m.DO() != (c.TTL>>15&1 != 0) {
					t.Errorf("EDNS %+v, want %+v", m, c.RR)
				}
			}
		}
		if m.EDNS != edns {
			t.Errorf("EDNS %v, want %v", m.EDNS, edns)
		}
		if n > len(b)/11 || c.Status == TooShort && len(b) >= headerLen {
			t.Errorf("%d records in %d bytes, %v", n, len(b), c.Status)
		}
	})
}

func FuzzReadName(f *testing.F) {
	f.Add([]byte("\x01a\x00\x01b\xc0\x00"), 3)
	f.Add([]byte("\x01a\xc0\x04\x01b\xc0\x00"), 4)
	f.Fuzz(func(t *testing.T, b []byte, off int) {
		if off < 0 || off > len(b) || off >= 1<<14 {
			return
		}
		var name [MaxName + 1]byte
		n, next, st := ReadName(&name, b, off)
		s, wantNext, err := dns.UnpackDomainName(b, off)
		switch {
		case st != OK:
			if n != 0 || next != 0 {
				t.Errorf("%d %d with %v", n, next, st)
			}
			if err == nil && !forwardPointer(b, off) {
				t.Errorf("%v for %s", st, s)
			}
		case err != nil:
			t.Errorf("%q, but %v", name[:n], err)
		case !bytes.Equal(name[:n], wire(s)) || next != wantNext:
			t.Errorf("%q %d, want %q %d", name[:n], next, s, wantNext)
		}
	})
}

func FuzzAppendName(f *testing.F) {
	for _, s := range []string{"\x00", "\x03www\x07example\x03com\x00", "\x05a.b\\\xff\x00", "\x01$", "\x40", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Bytes that are not a name do no harm.
		if n := len(AppendName(nil, b)); n > 4*len(b) {
			t.Errorf("%d bytes from %d", n, len(b))
		}
		for _, cut := range []func([]byte) ([]byte, bool){Qname2, Qname3} {
			s, c := cut(b)
			appendSuffix(nil, s, c)
		}
		// Bytes that are a name are the same after printing and packing by miekg/dns.
		var name [MaxName + 1]byte
		n, next, st := ReadName(&name, b, 0)
		if st != OK || next != n {
			return
		}
		s := string(AppendName(nil, name[:n]))
		if got := wire(dns.Fqdn(s)); !bytes.Equal(got, name[:n]) {
			t.Errorf("%q printed as %s is read as %q", name[:n], s, got)
		}
		if n := Labels(name[:n]); n != dns.CountLabel(s) {
			t.Errorf("%d labels in %s", n, s)
		}
	})
}

// TestParsePacked: this package reads any message that miekg/dns packs as miekg/dns does.
func TestParsePacked(t *testing.T) { rapid.Check(t, parsePacked) }

// FuzzPacked lets coverage guide the choices of TestParsePacked.
func FuzzPacked(f *testing.F) { f.Fuzz(rapid.MakeFuzz(parsePacked)) }

func parsePacked(t *rapid.T) {
	label := rapid.SliceOfN(rapid.Byte(), 1, 63)
	name := rapid.Custom(func(t *rapid.T) string {
		w := []byte{}
		for _, l := range rapid.SliceOfN(label, 0, 8).Draw(t, "labels") {
			if len(w)+len(l)+1 < MaxName {
				w = append(append(w, byte(len(l))), l...)
			}
		}
		s, _, err := dns.UnpackDomainName(append(w, 0), 0)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	var o dns.Msg
	o.Id = rapid.Uint16().Draw(t, "id")
	o.Response, o.Authoritative, o.Truncated = rapid.Bool().Draw(t, "qr"), rapid.Bool().Draw(t, "aa"), rapid.Bool().Draw(t, "tc")
	o.RecursionDesired, o.RecursionAvailable = rapid.Bool().Draw(t, "rd"), rapid.Bool().Draw(t, "ra")
	o.AuthenticatedData, o.CheckingDisabled = rapid.Bool().Draw(t, "ad"), rapid.Bool().Draw(t, "cd")
	o.Opcode, o.Rcode = rapid.IntRange(0, 15).Draw(t, "opcode"), rapid.IntRange(0, 15).Draw(t, "rcode")
	o.Compress = rapid.Bool().Draw(t, "compress")
	first := name.Draw(t, "name")
	for i := range rapid.IntRange(0, 3).Draw(t, "questions") {
		if i > 0 {
			first = name.Draw(t, "name")
		}
		o.Question = append(o.Question, dns.Question{Name: first, Qtype: rapid.Uint16().Draw(t, "type"), Qclass: rapid.Uint16().Draw(t, "class")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "records") {
		rr := &dns.CNAME{Hdr: dns.RR_Header{Name: first, Rrtype: dns.TypeCNAME, Class: 1, Ttl: rapid.Uint32().Draw(t, "ttl")}, Target: "x." + first}
		if len(wire(rr.Target)) > MaxName || wire(rr.Target)[0] != 1 {
			rr.Target = "x."
		}
		switch rapid.IntRange(0, 2).Draw(t, "section") {
		case 0:
			o.Answer = append(o.Answer, rr)
		case 1:
			o.Ns = append(o.Ns, rr)
		default:
			o.Extra = append(o.Extra, rr)
		}
	}
	if rapid.Bool().Draw(t, "edns") {
		o.SetEdns0(rapid.Uint16().Draw(t, "udp"), rapid.Bool().Draw(t, "do"))
	}
	b, err := o.Pack()
	if err != nil {
		t.Skip(err)
	}
	if s := disagreement(b); s != "" {
		t.Fatalf("%s\n%x", s, b)
	}
	var m Message
	if st := m.Parse(b); st != OK || m.ParseEDNS(b) != OK || m.EDNS != (o.IsEdns0() != nil) {
		t.Fatalf("%v %+v", st, m)
	}
}
