package dns

import (
	"fmt"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// The counters that every message of a kind changes.
var (
	queryIn     = values{"wire_packets.total": 1, "wire_packets.queries": 1, "wire_packets.udp": 1, "wire_packets.ipv4": 1, "wire_packets.in": 1, "deep_samples": 1}
	responseOut = values{"wire_packets.total": 1, "wire_packets.replies": 1, "wire_packets.udp": 1, "wire_packets.ipv4": 1, "wire_packets.out": 1, "deep_samples": 1, "xact.counts.orphans": 1, "xact.in.orphans": 1}
)

// TestMessages counts one message at a time, and lists every counter that must change.
func TestMessages(t *testing.T) {
	const r = testkit.DNSResponse
	ecs := []byte{0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100}
	badECS := []byte{0, 8, 0, 7, 0, 1, 77, 0, 198, 51, 100}
	for _, c := range []struct {
		name     string
		response bool
		msg      []byte
		want     values
	}{
		{"query", false, query(1, "a.example"), nil},
		{"query with EDNS", false, withOPT(query(1, "a.example"), 0), values{"wire_packets.edns": 1}},
		{"query with a client subnet", false, withOPT(query(1, "a.example"), 0, ecs...), values{"wire_packets.edns": 1, "wire_packets.ecs": 1}},
		{"query with a broken client subnet", false, withOPT(query(1, "a.example"), 0, badECS...), values{"wire_packets.edns": 1, "wire_packets.ecs": 1}},
		{"query of class CH", false, withClass(query(1, "version.bind"), 3), values{"wire_packets.other_class": 1}},
		{"query of class ANY", false, withClass(query(1, "a.example"), 255), values{"wire_packets.other_class": 1}},
		{"query of class IN with the top bit, not on mDNS", false, withClass(query(1, "a.example"), 0x8001), values{"wire_packets.other_class": 1}},
		{"NOTIFY", false, testkit.AppendDNS(nil, 1, 4<<11|testkit.DNSAA, "example", 6), values{"wire_packets.other_opcode": 1}},
		{"UPDATE response", true, testkit.AppendDNS(nil, 1, r|5<<11, "example", 6), values{"wire_packets.other_opcode": 1, "wire_packets.noerror": 1}},
		{"unassigned opcode", false, testkit.AppendDNS(nil, 1, 15<<11, "example", 6), values{"wire_packets.other_opcode": 1}},
		{"no question", false, query(1, "")[:12:12], values{"wire_packets.no_question": 1, "wire_packets.malformed": 1}},
		{"no question, says the header", false, withCount(query(1, "")[:12:12], 0, 0), values{"wire_packets.no_question": 1}},
		{"two questions", false, append(withCount(query(1, "a.example"), 0, 2), query(1, "b.example")[12:]...), nil},
		{"question cut", false, query(1, "a.example")[:18], values{"wire_packets.no_question": 1, "wire_packets.malformed": 1}},
		{"label of an unknown kind", false, append(query(1, "")[:12:12], 0x80, 1, 0, 1, 0, 1), values{"wire_packets.no_question": 1, "wire_packets.malformed": 1}},
		{"name that points at itself", false, append(query(1, "")[:12:12], 0xc0, 12, 0, 1, 0, 1), values{"wire_packets.no_question": 1, "wire_packets.malformed": 1}},
		{"more records claimed than there are", false, withCount(query(1, "a.example"), 3, 9), values{"wire_packets.malformed": 1}},

		{"NOERROR", true, response(1, 0, "a.example"), values{"wire_packets.noerror": 1}},
		{"NODATA", true, testkit.AppendDNS(nil, 1, r, "a.example", 28), values{"wire_packets.noerror": 1, "wire_packets.nodata": 1}},
		{"truncated, without an answer", true, testkit.AppendDNS(nil, 1, r|testkit.DNSTC, "a.example", 28), values{"wire_packets.noerror": 1, "wire_packets.truncated": 1}},
		{"FORMERR", true, response(1, 1, "a.example"), values{"wire_packets.other_rcode": 1}},
		{"SERVFAIL", true, response(1, 2, "a.example"), values{"wire_packets.srvfail": 1}},
		{"NXDOMAIN", true, response(1, 3, "a.example"), values{"wire_packets.nxdomain": 1}},
		{"NOTIMP", true, response(1, 4, "a.example"), values{"wire_packets.other_rcode": 1}},
		{"REFUSED", true, response(1, 5, "a.example"), values{"wire_packets.refused": 1}},
		{"YXDOMAIN", true, response(1, 6, "a.example"), values{"wire_packets.other_rcode": 1}},
		{"BADVERS, whose lower bits are NOERROR", true, withOPT(testkit.AppendDNS(nil, 1, r, "a.example", 1), 1), values{"wire_packets.other_rcode": 1, "wire_packets.edns": 1}},
		{"BADKEY and so on are not REFUSED", true, withOPT(testkit.AppendDNS(nil, 1, r|5, "a.example", 1), 2), values{"wire_packets.other_rcode": 1, "wire_packets.edns": 1}},
		{"response without a question", true, withCount(testkit.AppendDNS(nil, 1, r|1, "", 1)[:12:12], 0, 0), values{"wire_packets.other_rcode": 1, "wire_packets.no_question": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, nil)
			if c.response {
				l.frame(udp(hostServer, farClient, c.msg)).settle().want(responseOut, c.want)
			} else {
				l.frame(udp(farClient, hostServer, c.msg)).want(queryIn, c.want)
			}
		})
	}
}

// TestNotDNS: a payload that cannot be a DNS message does not count as one.
func TestNotDNS(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		want  values
	}{
		{"eleven bytes", udp(farClient, hostServer, make([]byte, 11)), values{"not_dns": 1}},
		{"one byte", udp(farClient, hostServer, []byte{7}), values{"not_dns": 1}},
		{"nothing", udp(farClient, hostServer, nil), nil},
		{"another port", udp(farClient, endpoint("192.0.2.53:54"), query(1, "a.example")), nil},
		{"another protocol", frameOf(132, farClient, hostServer, query(1, "a.example")), nil},
		{"ARP", testkit.AppendARP(nil, farClient.Addr(), hostServer.Addr()), nil},
	} {
		t.Run(c.name, func(t *testing.T) { newLab(t, nil).frame(c.frame).want(c.want) })
	}
}

// TestCapturedInPart: a message that the capture has cut is not malformed. Its header and question count.
func TestCapturedInPart(t *testing.T) {
	frame := udp(hostServer, farClient, response(1, 0, "www.example.com"))
	l := newLab(t, nil).cut(frame, 14+20+8+12+21)
	m := l.settle().want(responseOut, values{"wire_packets.noerror": 1})
	l.wantRows("top_noerror", &m.TopNoError, values{"www.example.com": 1})
	if got, want := m.ResponseSize.Max(), uint64(len(response(1, 0, "www.example.com"))); got != want {
		t.Errorf("size %d, want the size on the wire, %d", got, want)
	}
	newLab(t, nil).cut(frame, 14+20+8+11).want(values{"header_cut": 1})
}

// TestDirections: messages count by their direction, over IPv4 and IPv6.
func TestDirections(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		want  values
	}{
		{"in", udp(farClient, hostServer, query(1, "a")), values{"wire_packets.in": 1, "wire_packets.ipv4": 1}},
		{"out", udp(hostClient, farServer, query(1, "a")), values{"wire_packets.out": 1, "wire_packets.ipv4": 1}},
		{"unknown", udp(farClient, farServer, query(1, "a")), values{"wire_packets.unknown_dir": 1, "wire_packets.ipv4": 1}},
		{"in, IPv6", udp(far6, host6, query(1, "a")), values{"wire_packets.in": 1, "wire_packets.ipv6": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			newLab(t, nil).frame(c.frame).want(c.want, values{"wire_packets.total": 1, "wire_packets.queries": 1, "wire_packets.udp": 1, "deep_samples": 1})
		})
	}
}

// TestPorts: only messages with one of the given ports, on either side, are DNS.
func TestPorts(t *testing.T) {
	l := newLab(t, nil)
	l.reader.ports = newPortSet([]uint16{53000, 65535})
	l.frame(udp(farClient, hostServer, query(1, "a.example"))).want()
	l.frame(udp(farClient, endpoint("192.0.2.53:53000"), query(1, "a.example")))
	l.frame(udp(endpoint("192.0.2.53:65535"), farClient, response(2, 0, "a.example")))
	if m := l.flush(); m.Total != 2 || m.Queries != 1 || m.Replies != 1 {
		t.Errorf("%d messages, %d queries, %d replies", m.Total, m.Queries, m.Replies)
	}
}

// TestNames: names are in lower case, escaped, and without the final dot. They count as a whole and by their last labels.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, c := range []struct{ name, whole, two, three string }{
		{"WWW.ExAmple.COM", "www.example.com", ".example.com", "www.example.com"},
		{"a.b.c.example.com", "a.b.c.example.com", ".example.com", ".c.example.com"},
		{"example.com", "example.com", "example.com", ""},
		{"com", "com", "com", ""},
		{"", ".", ".", ""},
		{"a b.ex@mple.com", `a\032b.ex\@mple.com`, `.ex\@mple.com`, `a\032b.ex\@mple.com`},
		{"quo\"te.x\\y.z", `quo\"te.x\\y.z`, `.x\\y.z`, `quo\"te.x\\y.z`},
		{"\x00.\xff\x7f.example", `\000.\255\127.example`, `.\255\127.example`, `\000.\255\127.example`},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		{"é.example", `\195\169.example`, `\195\169.example`, ""},
		{long + "." + long + "." + long, long + "." + long + "." + long, "." + long + "." + long, long + "." + long + "." + long},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, nil)
			l.frame(udp(hostServer, farClient, response(1, 3, c.name)))
			m := l.flush()
			l.wantRows("top_nxdomain", &m.TopNXDomain, values{c.whole: 1})
			l.wantRows("top_qname2", &m.TopQname2, values{c.two: 1})
			if c.three == "" {
				l.wantRows("top_qname3", &m.TopQname3, values{})
			} else {
				l.wantRows("top_qname3", &m.TopQname3, values{c.three: 1})
			}
			if m.Qnames.Estimate() != 1 {
				t.Errorf("%v names", m.Qnames.Estimate())
			}
		})
	}
}

// TestCaseIsOneName: two names that differ only in letter case are the same name, in pairing and in counts.
func TestCaseIsOneName(t *testing.T) {
	l := newLab(t, nil)
	l.frame(udp(farClient, hostServer, query(1, "wWw.EXAMPLE.com")))
	l.frame(udp(hostServer, farClient, response(1, 0, "WWW.example.COM")))
	m := l.flush()
	if m.Xacts != 1 || m.Qnames.Estimate() != 1 {
		t.Errorf("%d transactions, %v names", m.Xacts, m.Qnames.Estimate())
	}
	l.wantRows("top_qname3", &m.TopQname3, values{"www.example.com": 2})
}

// TestTables: each table counts the right keys of the right messages.
func TestTables(t *testing.T) {
	l := newLab(t, nil)
	ask := func(id uint16, msg []byte) { l.frame(udp(farClient, hostServer, msg)) }
	answer := func(id uint16, msg []byte) { l.frame(udp(hostServer, farClient, msg)) }
	ask(1, withOPT(query(1, "ok.example"), 0, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100))
	answer(1, response(1, 0, "ok.example"))
	ask(2, withOPT(query(2, "ok.example"), 0, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100))
	answer(2, response(2, 0, "ok.example"))
	ask(3, withOPT(query(3, "gone.example"), 0, 0, 8, 0, 11, 0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 2))
	answer(3, response(3, 3, "gone.example"))
	answer(4, response(4, 2, "broken.example"))
	answer(5, response(5, 5, "denied.example"))
	answer(6, testkit.AppendDNS(nil, 6, testkit.DNSResponse, "empty.example", 28))
	ask(7, testkit.AppendDNS(nil, 7, 4<<11, "zone.example", 6))
	answer(8, withOPT(testkit.AppendDNS(nil, 8, testkit.DNSResponse, "x.example", 65280), 1))
	m := l.flush()
	l.wantRows("top_noerror", &m.TopNoError, values{"ok.example": 2, "empty.example": 1})
	l.wantRows("top_nxdomain", &m.TopNXDomain, values{"gone.example": 1})
	l.wantRows("top_srvfail", &m.TopServFail, values{"broken.example": 1})
	l.wantRows("top_refused", &m.TopRefused, values{"denied.example": 1})
	l.wantRows("top_nodata", &m.TopNoData, values{"empty.example": 1})
	l.wantRows("top_rcode", &m.TopRcode, values{"NOERROR": 3, "NXDOMAIN": 1, "SRVFAIL": 1, "REFUSED": 1, "BADVERS": 1})
	l.wantRows("top_qtype", &m.TopQtype, values{"A": 8, "AAAA": 1, "SOA": 1, "TYPE65280": 1})
	l.wantRows("top_opcode", &m.TopOpcode, values{"QUERY": 10, "NOTIFY": 1})
	l.wantRows("top_udp_ports", &m.TopUDPPorts, values{"40000": 11})
	l.wantRows("top_ecs", &m.TopECS, values{"198.51.100.0/24": 2, "2001:db8:1:200::/56": 1})
	l.wantRows("top_qname2", &m.TopQname2, values{"ok.example": 4, "gone.example": 2, "broken.example": 1, "denied.example": 1, "empty.example": 1, "zone.example": 1, "x.example": 1})
	size := func(b []byte) uint64 { return uint64(len(b)) }
	l.wantRows("top_response_bytes", &m.TopResponseBytes, values{
		"ok.example": 2 * size(response(1, 0, "ok.example")), "gone.example": size(response(1, 3, "gone.example")),
		"broken.example": size(response(1, 2, "broken.example")), "denied.example": size(response(1, 5, "denied.example")),
		"empty.example": size(query(1, "empty.example")), "x.example": size(withOPT(query(1, "x.example"), 0)),
	})
	if m.Qnames.Estimate() != 7 || m.ResponseSize.Count() != 7 {
		t.Errorf("%v names, %d response sizes", m.Qnames.Estimate(), m.ResponseSize.Count())
	}
}

// TestTCPHasNoUDPPort: a client's port over TCP is not in the table of UDP ports.
func TestTCPHasNoUDPPort(t *testing.T) {
	l := newLab(t, nil)
	l.stream(farClient, hostServer).segment(query(1, "a.example"))
	m := l.flush()
	l.wantRows("top_udp_ports", &m.TopUDPPorts, values{})
	l.wantRows("top_qtype", &m.TopQtype, values{"A": 1})
}

// TestFirstQuestionCounts: the name and the type of a message with several questions are those of the first question.
func TestFirstQuestionCounts(t *testing.T) {
	l := newLab(t, nil)
	l.frame(udp(farClient, hostServer, append(withCount(query(1, "first.example"), 0, 2), testkit.AppendDNS(nil, 0, 0, "second.example", 28)[12:]...)))
	m := l.flush()
	l.wantRows("top_qname2", &m.TopQname2, values{"first.example": 1})
	l.wantRows("top_qtype", &m.TopQtype, values{"A": 1})
}

// TestSampledOut: a message outside the sample changes only counters, sizes and rates.
func TestSampledOut(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Sampler = samplerOf(0) })
	l.frame(udp(farClient, hostServer, query(1, "a.example")))
	l.frame(udp(hostServer, farClient, response(1, 3, "a.example")))
	m := l.want(values{
		"wire_packets.total": 2, "wire_packets.queries": 1, "wire_packets.replies": 1, "wire_packets.udp": 2, "wire_packets.ipv4": 2,
		"wire_packets.in": 1, "wire_packets.out": 1, "wire_packets.nxdomain": 1,
	})
	if m.Qnames.Estimate() != 0 || m.TopNXDomain.Len() != 0 || m.TopQtype.Len() != 0 || l.Open() != 0 || m.Ratio.Count() != 0 {
		t.Error("an empty sample has tables or transactions")
	}
	if size := uint64(len(response(1, 3, "a.example"))); m.ResponseSize.Count() != 1 || m.ResponseSize.Max() != size {
		t.Errorf("%d sizes of up to %d bytes, want one of %d", m.ResponseSize.Count(), m.ResponseSize.Max(), size)
	}
	if m.Rate.At(0) != 2 {
		t.Errorf("rate %d, want 2", m.Rate.At(0))
	}
}

// TestEndSecond: messages that come before the end of a second count in that second, however late they are flushed.
func TestEndSecond(t *testing.T) {
	l := newLab(t, nil)
	ask := func() { l.frame(udp(farClient, hostServer, query(1, "a.example"))) }
	ask()
	ask()
	l.EndSecond(7)
	ask()
	l.at(9 * second).flush()
	ask()
	m := l.flush()
	if got := [3]uint64{m.Rate.At(7), m.Rate.At(8), m.Rate.At(9)}; got != [3]uint64{2, 0, 2} || m.Total != 4 {
		t.Errorf("the rates have %d, for %d messages", got, m.Total)
	}
}

// TestSampleKeepsTransactionsWhole: every query in a sample is paired with its response.
func TestSampleKeepsTransactionsWhole(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Sampler = samplerOf(30) })
	const n = 5000
	for id := range uint16(n) {
		client := endpoint(fmt.Sprintf("198.51.%d.%d:4096", id>>8, id&255))
		l.frame(udp(client, hostServer, query(id, "a.example")))
		l.frame(udp(hostServer, client, response(id, 0, "a.example")))
	}
	m := l.flush()
	if m.Total != 2*n || m.Xacts*2 != m.DeepSamples || m.Orphans != 0 || l.Open() != 0 {
		t.Errorf("%d messages, %d sampled, %d transactions, %d orphans, %d open", m.Total, m.DeepSamples, m.Xacts, m.Orphans, l.Open())
	}
	if m.Xacts < n*27/100 || m.Xacts > n*33/100 {
		t.Errorf("%d transactions of %d in a sample of 30%%", m.Xacts, n)
	}
}

// TestManyNames: if there are more names than the tally holds, short and long, all names count.
func TestManyNames(t *testing.T) {
	for _, pad := range []int{1, 60} {
		l := newLab(t, nil)
		const n = 40_000
		label := strings.Repeat("p", pad)
		for i := range n {
			l.frame(udp(hostServer, farClient, response(uint16(i), 3, fmt.Sprintf("%d.%s.%s.example", i, label, label))))
		}
		m := l.flush()
		if l.flushes == 0 {
			t.Error("the tally was never full")
		}
		if m.TopNXDomain.Total() != n || m.TopQname2.Total() != n || m.NXDomain != n {
			t.Errorf("%d and %d of %d names are in the tables", m.TopNXDomain.Total(), m.TopQname2.Total(), n)
		}
		if e := m.Qnames.Estimate(); e < 0.97*n || e > 1.03*n {
			t.Errorf("%.0f names, want %d", e, n)
		}
	}
}

// TestManyClientSubnets: if there are more client subnets than the tally holds, all of them count.
func TestManyClientSubnets(t *testing.T) {
	l := newLab(t, nil)
	const n = 3000
	for i := range n {
		l.frame(udp(farClient, hostServer, withOPT(query(uint16(i), "a.example"), 0, 0, 8, 0, 8, 0, 1, 32, 0, 10, 0, byte(i>>8), byte(i))))
	}
	if m := l.flush(); m.TopECS.Total() != n || m.TopECS.Len() != n {
		t.Errorf("%d queries with %d subnets, want %d", m.TopECS.Total(), m.TopECS.Len(), n)
	}
}
