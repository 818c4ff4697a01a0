package dnswire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// pack packs a message with miekg/dns.
func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// query is a query with EDNS, DO and a client subnet.
func query(t testing.TB, name string, qtype uint16) []byte {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.Id = 0x1234
	q.SetEdns0(1232, true)
	ecs := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 20, Address: []byte{192, 0, 47, 9}}
	q.IsEdns0().Option = append(q.IsEdns0().Option, ecs)
	return pack(t, q)
}

// response answers a query with n compressed records and an OPT.
func response(t testing.TB, name string, n int) []byte {
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeA)
	r := new(dns.Msg)
	r.SetReply(q)
	r.Id = 0x1234
	r.Compress = true
	r.RecursionAvailable = true
	for i := range n {
		rr, err := dns.NewRR(name + " 300 IN A 192.0.2." + string(rune('1'+i%9)))
		if err != nil {
			t.Fatal(err)
		}
		r.Answer = append(r.Answer, rr)
	}
	r.SetEdns0(4096, false)
	return pack(t, r)
}

func TestParseQuery(t *testing.T) {
	var m Message
	b := query(t, "WWW.Example.COM.", dns.TypeAAAA)
	if st := m.Parse(b); st != OK {
		t.Fatalf("Parse = %v", st)
	}
	if m.ID != 0x1234 || m.Response() || !m.Has(FlagRD) || m.Has(FlagRD|FlagTC) || m.Opcode() != 0 || m.Rcode() != 0 ||
		m.QDCount() != 1 || m.ANCount() != 0 || m.NSCount() != 0 || m.ARCount() != 1 {
		t.Errorf("header: %+v", m)
	}
	if !m.HasQuestion || m.QType != 28 || m.QClass != 1 || string(m.Name()) != "\x03www\x07example\x03com\x00" {
		t.Errorf("question: %v %d %d %q", m.HasQuestion, m.QType, m.QClass, m.Name())
	}
	if m.EDNS {
		t.Error("EDNS before ParseEDNS")
	}
	if st := m.ParseEDNS(b); st != OK {
		t.Fatalf("ParseEDNS = %v", st)
	}
	want := ClientSubnet{Family: 1, SourcePrefix: 20, Addr: [16]byte{192, 0, 32}}
	if !m.EDNS || !m.DO() || m.UDPSize() != 1232 || m.EDNSVersion() != 0 || !m.HasECS || m.ECS != want {
		t.Errorf("EDNS: %+v", m)
	}
	// Parsing the next message resets every field.
	if st := m.Parse(response(t, ".", 3)); st != OK || m.EDNS || m.DO() || m.HasECS || m.UDPSize() != 0 {
		t.Errorf("left behind: %v %+v", st, m)
	}
	if !m.Response() || !m.Has(FlagRA|FlagResponse) || m.ANCount() != 3 || string(m.Name()) != "\x00" {
		t.Errorf("response: %+v", m)
	}
}

func TestParseBroken(t *testing.T) {
	const header = "123481830001000000000000"
	long := strings.Repeat("3f"+strings.Repeat("61", 63), 3) // 192 bytes
	tests := []struct {
		name, hex string
		want      Status
	}{
		{"empty", "", TooShort},
		{"eleven bytes", "1234818300010000000000", TooShort},
		{"header only", header, Cut},
		{"label cut", header + "0361", Cut},
		{"no root", header + "0161", Cut},
		{"no class", header + "0161000001" + "00", Cut},
		{"root", header + "0000010001", OK},
		{"label of 64", header + "40" + strings.Repeat("61", 64) + "0000010001", Malformed},
		{"unknown label kind", header + "8000010001", Malformed},
		{"pointer to itself", header + "c00c00010001", Malformed},
		{"pointer into its own name", header + "0161c00c00010001", Malformed},
		{"pointer forwards", header + "c01200010001000161000000", Malformed},
		{"half a pointer", header + "0161c0", Cut},
		{"pointer into the header", header + "0161c00600010001", OK}, // ANCOUNT's first byte as the root
		{"255 bytes", header + long + "3d" + strings.Repeat("61", 61) + "0000010001", OK},
		{"256 bytes", header + long + "3e" + strings.Repeat("61", 62) + "0000010001", Malformed},
		{"256 bytes by a pointer", header + long + "3e" + strings.Repeat("61", 62) + "c00600010001", Malformed},
		{"256 bytes, cut", header + long + "3f6161", Cut},
		{"long and endless", header + strings.Repeat("0161", 200), Malformed},
	}
	for _, tt := range tests {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		m := Message{ID: 7, QType: 7, HasQuestion: true, nameLen: 7}
		if st := m.Parse(b); st != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, st, tt.want)
		}
		if len(b) < headerLen {
			if m.ID != 0 || m.Flags != 0 || m.Rcode() != 0 || m.HasQuestion {
				t.Errorf("%s: fields are left", tt.name)
			}
			continue
		}
		if m.ID != 0x1234 || !m.Response() || m.Rcode() != 3 || m.ExtRcode != 3 || m.QDCount() != 1 {
			t.Errorf("%s: header not set", tt.name)
		}
		if m.HasQuestion != (tt.want == OK) || (len(m.Name()) > 0) != m.HasQuestion || !m.HasQuestion && m.QType != 0 {
			t.Errorf("%s: HasQuestion %v, name %q", tt.name, m.HasQuestion, m.Name())
		}
		if c := m.Records(b); c.Next() || c.Status != tt.want {
			t.Errorf("%s: records: %v, want %v", tt.name, c.Status, tt.want)
		}
	}
}

func TestParseNoQuestion(t *testing.T) {
	var m Message
	b := make([]byte, 12)
	if st := m.Parse(b); st != OK || m.HasQuestion || len(m.Name()) != 0 {
		t.Errorf("%v %v %q", st, m.HasQuestion, m.Name())
	}
	if c := m.Records(b); c.Next() || c.Status != OK {
		t.Errorf("records: %v", c.Status)
	}
}

// TestLowerCase: every length of name and every byte, as the copy moves eight bytes at a time.
func TestLowerCase(t *testing.T) {
	var m Message
	for n := range 254 {
		for c := range 256 {
			if n > 70 && c%29 != 0 { // all bytes for the short names, some for the long ones
				continue
			}
			b := make([]byte, headerLen)
			b[5] = 1
			for left := n; left > 0; {
				l := min(left-1, 63)
				if l == 0 {
					break
				}
				b = append(b, byte(l))
				b = append(b, bytes.Repeat([]byte{byte(c)}, l)...)
				left -= l + 1
			}
			want := append(bytes.Clone(b[headerLen:]), 0)
			for i, x := range want {
				if 'A' <= x && x <= 'Z' {
					want[i] = x + 32
				}
			}
			b = append(b, 0, 'A', 'B', 'C', 'D')
			if st := m.Parse(b); st != OK || !bytes.Equal(m.Name(), want) || m.QType != 0x4142 || m.QClass != 0x4344 {
				t.Fatalf("%d × %#x: %v %q %x, want %q", n, c, st, m.Name(), m.QType, want)
			}
		}
	}
}

func TestParseAllocs(t *testing.T) {
	var m Message
	q, r := query(t, "www.example.com.", dns.TypeA), response(t, "www.example.com.", 8)
	dst := make([]byte, 0, 4*MaxName)
	n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{q, r} {
			m.Parse(b)
			m.ParseEDNS(b)
			for c := m.Records(b); c.Next(); {
				ReadName(&m.name, b, c.Owner)
			}
			s, cut := Qname2(m.Name())
			dst = appendSuffix(AppendName(dst[:0], m.Name()), s, cut)
			TypeName(m.QType)
			RcodeName(m.ExtRcode)
			OpcodeName(m.Opcode())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestBehind: the result does not depend on the memory that follows a message.
func TestBehind(t *testing.T) {
	for _, name := range []string{"\x00", "\x01A\x00", "\x03wWw\x07Example\x03com\x00", "\x1eabcdefghijABCDEFGHIJ0123456789\x00"} {
		msg := append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
		msg = append(msg, 0, 1, 0, 1)
		var want Message
		if st := want.Parse(bytes.Clone(msg)[:len(msg):len(msg)]); st != OK {
			t.Fatalf("%q: status %d", name, st)
		}
		for room := range 2 * HeadLen {
			behind := append(bytes.Clone(msg), bytes.Repeat([]byte{'Z'}, room)...)
			var got Message
			if st := got.Parse(behind[: len(msg) : len(msg)+room]); st != OK || !bytes.Equal(got.Name(), want.Name()) || *got.Head() != *want.Head() || got.QType != 1 {
				t.Errorf("%q with %d bytes behind it: status %d, name %q, head %q", name, room, st, got.Name(), got.Head())
			}
		}
	}
}
