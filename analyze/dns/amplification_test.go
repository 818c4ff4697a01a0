package dns

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// pair has the bytes of responses and of queries.
type pair struct{ responses, queries uint64 }

// wantAmplified compares all rows of a table that is exact.
func (l *lab) wantAmplified(name string, top *metric.Amplification, want map[string]pair) {
	l.t.Helper()
	got := map[string]pair{}
	for _, row := range top.Top(nil, 1000) {
		if row.Upper != row.Lower || row.QueriesUpper != row.Bytes {
			l.t.Errorf("%s is not exact: %+v", name, row)
		}
		got[row.Key] = pair{row.Lower, row.Bytes}
	}
	if !maps.Equal(got, want) {
		l.t.Errorf("%s: %v, want %v", name, got, want)
	}
}

// sized makes a response of the given size.
func sized(id uint16, name string, qtype uint16, size int) []byte {
	b := testkit.AppendDNS(nil, id, testkit.DNSResponse|testkit.DNSRD, name, qtype)
	b[7] = 1
	return append(b, make([]byte, size-len(b))...)
}

func question(id uint16, name string, qtype uint16) []byte {
	return testkit.AppendDNS(nil, id, testkit.DNSRD, name, qtype)
}

// TestAmplified: bytes count by prefix, type and name for what clients ask the host over UDP, and for responses to the host that
// it did not ask for, whether or not a flush came between.
func TestAmplified(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		l := newLab(t, nil).at(second)
		big, small := uint64(len(question(1, "big.example", 255))), uint64(len(question(1, "s.example", 1)))
		l.frame(udp(farClient, hostServer, question(1, "big.example", 255)))
		l.frame(udp(farClient, hostServer, question(2, "s.example", 1)))
		l.frame(udp(far6, host6, question(3, "s.example", 1)))
		l.frame(udp(hostClient, farServer, question(4, "own.example", 1)))
		l.frame(frameOf(testkit.ProtoUDP, hostServer, farClient, sized(9, "late.example", 16, 700))) // its query was not seen
		if flushed {
			l.flush()
		}
		l.frame(udp(hostServer, farClient, sized(1, "big.example", 255, 3000)))
		l.frame(udp(hostServer, farClient, sized(2, "s.example", 1, 100)))
		l.frame(udp(farServer, hostClient, sized(4, "own.example", 1, 500)))   // the host asked
		l.frame(udp(farServer, hostClient, sized(7, "hit.example", 255, 999))) // and not for this
		// Queries and responses over TCP do not count.
		client, server := l.stream(farClient, hostServer), l.stream(hostServer, farClient)
		client.data(framed(question(8, "big.example", 255)))
		server.data(framed(sized(8, "big.example", 255, 9000)))
		// The response comes first.
		l.frame(udp(farServer, hostClient, sized(5, "own.example", 1, 400))).frame(udp(hostClient, farServer, question(5, "own.example", 1)))
		l.frame(udp(hostServer, farClient, sized(6, "s.example", 1, 200))).frame(udp(farClient, hostServer, question(6, "s.example", 1)))
		m := l.settle().flush()
		l.wantAmplified("top_amp_prefix", &m.TopAmpPrefix, map[string]pair{
			"198.51.100.0/24": {3000 + 100 + 700 + 200, big + 2*small}, "2001:db8:99::/48": {0, small}, "192.0.2.0/24": {999, 0},
		})
		l.wantAmplified("top_amp_qtype", &m.TopAmpQtype, map[string]pair{"ANY": {3000 + 999, big}, "A": {300, 3 * small}, "TXT": {700, 0}})
		l.wantAmplified("top_amp_qname", &m.TopAmpQname, map[string]pair{
			"big.example": {3000, big}, "s.example": {300, 3 * small}, "late.example": {700, 0}, "hit.example": {999, 0},
		})
		if m.XactAA != 0 || m.TCP != 2 {
			t.Errorf("%d messages over TCP", m.TCP)
		}
	}
}

// TestAmplificationAttack: in an attack with forged senders of one /24, among many clients with names of their own, the victim
// is first, with its exact bytes and its hints. A client in another prefix that behaves has no hints.
func TestAmplificationAttack(t *testing.T) {
	l := newLab(t, nil).at(second).exactly()
	r := rand.New(rand.NewPCG(3, 3))
	want := map[string]pair{}
	victim := 0
	for i := range 60_000 {
		id := uint16(i)
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(180)), byte(r.IntN(256)), byte(r.IntN(64)), byte(r.IntN(256))}), uint16(1024+r.IntN(60000)))
		name, qtype, size := fmt.Sprintf("n%d.example", r.IntN(20000)), uint16(1), 60+r.IntN(100)
		attack := i%3 == 0
		if attack {
			from, name, qtype, size = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(256))}), 4444), "amp.example", 255, 3500
			victim++
		}
		q, a := question(id, name, qtype), sized(id, name, qtype, size)
		if attack && victim%4 == 0 {
			a = a[:40]
			binary.BigEndian.PutUint16(a[2:], 0x8300) // TC
			a[7] = 0
		}
		l.frame(udp(from, hostServer, q)).frame(udp(hostServer, from, a))
		key := netip.PrefixFrom(from.Addr(), 24).Masked().String()
		w := want[key]
		want[key] = pair{w.responses + uint64(len(a)), w.queries + uint64(len(q))}
	}
	m := l.flush()
	if l.flushes == 0 {
		t.Fatal("no tally was full")
	}
	first := m.TopAmpPrefix.Top(nil, 1)[0]
	attacked := want["203.0.113.0/24"]
	if first.Key != "203.0.113.0/24" || first.Lower > attacked.responses || first.Upper < attacked.responses || first.Lower < attacked.responses*99/100 ||
		first.Bytes > attacked.queries || first.QueriesUpper < attacked.queries || first.QueriesUpper > attacked.queries*101/100 {
		t.Errorf("the first row is %+v, want %v", first, attacked)
	}
	if got := metric.Hints(&first.Asked); !slices.Equal(got, []string{"one_port", "one_ttl", "no_tcp_retry"}) {
		t.Errorf("hints %v", got)
	}
	for key, w := range want {
		if row, held := m.TopAmpPrefix.Find([]byte(key)); held && (row.Lower > w.responses || row.Upper < w.responses || row.Bytes > w.queries || row.QueriesUpper < w.queries) {
			t.Fatalf("%+v, want %v", row, w)
		}
	}
	if row := m.TopAmpQname.Top(nil, 1)[0]; row.Key != "amp.example" || row.Lower < attacked.responses*99/100 || row.Upper > attacked.responses*101/100 {
		t.Errorf("the first name is %+v", row)
	}
	if row := m.TopAmpQtype.Top(nil, 1)[0]; row.Key != "ANY" || row.Lower != attacked.responses || row.Bytes != attacked.queries {
		t.Errorf("the first type is %+v, want %v", row, attacked)
	}
}

// TestHints: each hint ends with the first query that speaks against it, and none is given for a few queries.
func TestHints(t *testing.T) {
	truncated := response(1, 0, "a.example")
	truncated[2] |= 2
	for _, c := range []struct {
		name string
		n    int
		last func(l *lab)
		want []string
	}{
		{"few", 15, func(*lab) {}, nil},
		{"enough", 16, func(*lab) {}, []string{"one_port", "one_ttl", "no_tcp_retry"}},
		{"a port", 16, func(l *lab) { l.frame(udp(endpoint("198.51.100.8:9"), hostServer, query(99, "a.example"))) }, []string{"one_ttl", "no_tcp_retry"}},
		{"a TTL", 16, func(l *lab) {
			f := udp(farClient, hostServer, query(99, "a.example"))
			f[14+8]--
			l.frame(f)
		}, []string{"one_port", "no_tcp_retry"}},
		{"TCP", 16, func(l *lab) { l.stream(endpoint("198.51.100.8:9"), hostServer).data(framed(query(99, "a.example"))) }, []string{"one_port", "one_ttl"}},
		{"TCP by another prefix", 16, func(l *lab) { l.stream(endpoint("198.51.101.8:9"), hostServer).data(framed(query(99, "a.example"))) }, []string{"one_port", "one_ttl", "no_tcp_retry"}},
	} {
		for _, flushed := range []bool{false, true} {
			l := newLab(t, nil).at(second)
			for i := range c.n {
				q, a := query(uint16(i), "a.example"), slices.Clone(truncated)
				a[1] = byte(i)
				l.frame(udp(farClient, hostServer, q)).frame(udp(hostServer, farClient, a))
				if flushed {
					l.flush()
				}
			}
			c.last(l)
			m := l.settle().flush()
			row := m.TopAmpPrefix.Top(nil, 1)[0]
			if got := metric.Hints(&row.Asked); row.Key != "198.51.100.0/24" || !slices.Equal(got, c.want) {
				t.Errorf("%s, flushed %v: %s has hints %v, want %v", c.name, flushed, row.Key, got, c.want)
			}
		}
	}
}
