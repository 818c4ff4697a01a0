package dnswire

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func TestRecords(t *testing.T) {
	b := response(t, "a.example.", 3)
	var m Message
	m.Parse(b)
	var got []RR
	c := m.Records(b)
	for c.Next() {
		got = append(got, c.RR)
	}
	if c.Status != OK || len(got) != 4 {
		t.Fatalf("%d records, %v", len(got), c.Status)
	}
	for i, rr := range got[:3] {
		if rr.Section != Answer || rr.Type != dns.TypeA || rr.Class != 1 || rr.TTL != 300 || rr.End-rr.Data != 4 || b[rr.Data] != 192 || b[rr.Data+3] != byte(1+i) {
			t.Errorf("record %d: %+v", i, rr)
		}
	}
	if rr := got[3]; rr.Section != Additional || rr.Type != typeOPT || rr.Class != 4096 || rr.End != len(b) {
		t.Errorf("OPT: %+v", rr)
	}
	// If the message is cut anywhere after the question, the records before the cut are returned, and the walk ends as Cut.
	for n := int(m.end); n < len(b); n++ {
		c, whole := m.Records(b[:n]), 0
		for c.Next() {
			if c.RR != got[whole] {
				t.Fatalf("cut at %d: %+v", n, c.RR)
			}
			whole++
		}
		if c.Status != Cut || whole == 4 || whole < 3 && got[whole].End <= n {
			t.Errorf("cut at %d: %d records, %v", n, whole, c.Status)
		}
	}
	// Impossible counts cost no more steps than the message has bytes.
	for i := 6; i < 12; i += 2 {
		binary.BigEndian.PutUint16(b[i:], math.MaxUint16)
	}
	m.Parse(b)
	n := 0
	for c = m.Records(b); c.Next(); n++ {
	}
	if n != 4 || c.Status != Cut {
		t.Errorf("%d records, %v", n, c.Status)
	}
}

func TestRecordsAfterSeveralQuestions(t *testing.T) {
	var o dns.Msg
	for _, n := range []string{"a.example.", "b.example.", "c.b.example."} {
		o.Question = append(o.Question, dns.Question{Name: n, Qtype: 1, Qclass: 1})
	}
	o.Compress = true
	o.SetEdns0(512, true)
	b := pack(t, &o)
	var m Message
	if m.Parse(b) != OK || m.ParseEDNS(b) != OK || !m.DO() || m.QDCount() != 3 || string(m.Name()) != "\x01a\x07example\x00" {
		t.Errorf("%+v", m)
	}
	if c := m.Records(b[:30]); c.Next() || c.Status != Cut {
		t.Errorf("second question cut: %v", c.Status)
	}
}

func TestParseEDNS(t *testing.T) {
	// A query for the root's A record with an OPT record whose TTL and data are given.
	const before = "000000000001000000000001" + "0000010001" + "00" + "0029" + "04d0"
	tests := []struct {
		name, ttl, data string
		want            Status
		ext             uint16
		version         uint8
		do, ecs         bool
		subnet          ClientSubnet
	}{
		{name: "bare", ttl: "00000000"},
		{name: "BADVERS", ttl: "01010000", ext: 16, version: 1},
		{name: "DO", ttl: "00008000", do: true},
		{name: "cookie, then IPv6 subnet", ttl: "00000000", data: "000a00080102030405060708" + "0008000b0002382020010db8aabbcc", ecs: true,
			subnet: ClientSubnet{2, 56, 32, [16]byte{0x20, 1, 0x0d, 0xb8, 0xaa, 0xbb, 0xcc}}},
		{name: "bits beyond the prefix", ttl: "00000000", data: "0008000700011300c0a8ff", ecs: true, subnet: ClientSubnet{1, 19, 0, [16]byte{192, 168, 0xe0}}},
		{name: "prefix 0", ttl: "00000000", data: "0008000400010000", ecs: true, subnet: ClientSubnet{Family: 1}},
		{name: "other family", ttl: "00000000", data: "00080005000320000a", ecs: true, subnet: ClientSubnet{3, 32, 0, [16]byte{}}},
		{name: "first of two", ttl: "00000000", data: "00080005000108000a" + "00080005000108000b", ecs: true, subnet: ClientSubnet{1, 8, 0, [16]byte{10}}},
		{name: "prefix too long", ttl: "00000000", data: "000800090001210001020304ff", ecs: true},
		{name: "address too short", ttl: "00000000", data: "0008000600011800" + "0102", ecs: true},
		{name: "option too short", ttl: "00000000", data: "00080003000118", ecs: true},
		{name: "option beyond the record", ttl: "00000000", data: "00080008000118000102", want: Malformed},
		{name: "half an option", ttl: "00000000", data: "000800", want: Malformed},
	}
	for _, tt := range tests {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		b, err := hex.DecodeString(before + tt.ttl + "0000")
		if err != nil {
			t.Fatal(tt.name, err)
		}
		b[len(b)-1] = byte(len(data))
		b = append(b, data...)
		var m Message
		m.Parse(b)
		if st := m.ParseEDNS(b); st != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, st, tt.want)
		}
		if !m.EDNS || m.UDPSize() != 1232 || m.ExtRcode != tt.ext || m.EDNSVersion() != tt.version || m.DO() != tt.do || m.HasECS != tt.ecs || m.ECS != tt.subnet {
			t.Errorf("%s: %+v", tt.name, m)
		}
	}
}

// TestCutEDNS: if a message ends early anywhere, the result says so.
func TestCutEDNS(t *testing.T) {
	for name, msg := range map[string][]byte{
		"query": query(t, "www.example.com.", dns.TypeA), "response": response(t, "www.example.com.", 3),
	} {
		var m Message
		if st := m.Parse(msg); st != OK || m.ParseEDNS(msg) != OK || !m.EDNS {
			t.Fatalf("%s: %v, EDNS %v", name, st, m.EDNS)
		}
		for n := range msg {
			b := slices.Clip(msg[:n])
			st := m.Parse(b)
			if st == OK {
				st = m.ParseEDNS(b)
			}
			if want := Cut; st != want && (n >= headerLen || st != TooShort) {
				t.Errorf("%s cut to %d of %d bytes: %v", name, n, len(msg), st)
			}
		}
	}
}
