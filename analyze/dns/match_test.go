package dns

import (
	"fmt"
	"testing"

	"pktvisor/internal/testkit"
)

func (l *lab) queryIn(id uint16, name string) *lab {
	return l.frame(udp(farClient, hostServer, query(id, name)))
}

func (l *lab) responseOut(id, rcode uint16, name string) *lab {
	return l.frame(udp(hostServer, farClient, response(id, rcode, name)))
}

// TestPair: a transaction counts with the direction of its query, its latency, the ratio of its sizes, and the flags of its
// response.
func TestPair(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server string
		in, out, none  uint64
	}{
		{"in", "198.51.100.7:40000", "192.0.2.53:53", 1, 0, 0},
		{"out", "192.0.2.10:40000", "203.0.113.9:53", 0, 1, 0},
		{"neither", "198.51.100.7:40000", "203.0.113.9:53", 0, 0, 1},
		{"in, IPv6", "[2001:db8:99::7]:40000", "[2001:db8:53::53]:53", 1, 0, 0},
		{"in, IPv6 with equal ports", "[2001:db8:99::7]:53", "[2001:db8:53::53]:53", 1, 0, 0},
		{"out, IPv6 with equal ports", "[2001:db8:53::53]:53", "[2001:db8:99::7]:53", 0, 1, 0},
		{"in, IPv4 with equal ports", "198.51.100.7:53", "192.0.2.53:53", 1, 0, 0},
		{"between two of the host's", "192.0.2.10:40000", "192.0.2.53:53", 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := endpoint(c.client), endpoint(c.server)
			l := newLab(t, nil).at(second)
			l.frame(udp(client, server, query(7, "a.example")))
			r := response(7, 0, "a.example")
			r[2] |= testkit.DNSAA >> 8
			r[3] |= testkit.DNSAD | testkit.DNSCD
			l.at(second + 1234*1000).frame(udp(server, client, r))
			m := l.flush()
			if m.Xacts != 1 || uint64(m.InTotal) != c.in || uint64(m.OutTotal) != c.out || m.Orphans != 0 || l.Open() != 0 {
				t.Errorf("%d transactions, %d in, %d out, %d orphans, %d open", m.Xacts, m.InTotal, m.OutTotal, m.Orphans, l.Open())
			}
			if m.XactAA != 1 || m.XactAD != 1 || m.XactCD != 1 {
				t.Errorf("%d AA, %d AD, %d CD, want one each", m.XactAA, m.XactAD, m.XactCD)
			}
			if in, out, none := m.InMicros.Sum(), m.OutMicros.Sum(), m.UnknownMicros.Sum(); in != 1234*c.in || out != 1234*c.out || none != 1234*c.none {
				t.Errorf("it took %d us in, %d us out, %d us without a direction", in, out, none)
			}
			if want := uint64(len(r)) * 1000 / uint64(len(query(7, "a.example"))); m.Ratio.Max() != want {
				t.Errorf("ratio %d thousandths, want %d", m.Ratio.Max(), want)
			}
		})
	}
}

// TestNoPair: a response that differs from the query in one part of the key is an orphan.
func TestNoPair(t *testing.T) {
	for name, frame := range map[string][]byte{
		"another ID":       udp(hostServer, farClient, response(8, 0, "a.example")),
		"another name":     udp(hostServer, farClient, response(7, 0, "b.example")),
		"another type":     udp(hostServer, farClient, testkit.AppendDNS(nil, 7, testkit.DNSResponse, "a.example", 28)),
		"another class":    udp(hostServer, farClient, withClass(testkit.AppendDNS(nil, 7, testkit.DNSResponse, "a.example", 1), 3)),
		"another client":   udp(hostServer, endpoint("198.51.100.8:40000"), response(7, 0, "a.example")),
		"another port":     udp(hostServer, endpoint("198.51.100.7:40001"), response(7, 0, "a.example")),
		"another server":   udp(endpoint("192.0.2.54:53"), farClient, response(7, 0, "a.example")),
		"not the way back": udp(farClient, hostServer, response(7, 0, "a.example")),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil).queryIn(7, "a.example").frame(frame).settle()
			if m := l.flush(); m.Xacts != 0 || m.Orphans != 1 || l.Open() != 1 {
				t.Errorf("%d transactions, %d orphans, %d open", m.Xacts, m.Orphans, l.Open())
			}
		})
	}
}

// TestOrphanDirection: an orphan is "in" if the host sent it, and "out" if it came to the host.
func TestOrphanDirection(t *testing.T) {
	l := newLab(t, nil)
	l.responseOut(1, 0, "a.example")
	l.frame(udp(farServer, hostClient, response(2, 0, "a.example")))
	l.frame(udp(farServer, hostClient, response(3, 0, "a.example")))
	l.frame(udp(farServer, farClient, response(4, 0, "a.example")))
	if m := l.settle().flush(); m.Orphans != 4 || m.InOrphans != 1 || m.OutOrphans != 2 {
		t.Errorf("%d orphans, %d in, %d out; want 4, 1 and 2", m.Orphans, m.InOrphans, m.OutOrphans)
	}
}

// TestSameIDTwoQuestions: a client may use one ID for two questions at the same time.
func TestSameIDTwoQuestions(t *testing.T) {
	l := newLab(t, nil).queryIn(7, "a.example").queryIn(7, "b.example")
	l.responseOut(7, 3, "b.example").responseOut(7, 0, "a.example").responseOut(7, 0, "a.example")
	m := l.settle().flush()
	if m.Xacts != 2 || m.Orphans != 0 || m.ResponseRepeats != 1 || m.Repeats != 0 || l.Open() != 0 {
		t.Errorf("%d transactions, %d orphans, %d repeats, %d of queries, %d open", m.Xacts, m.Orphans, m.ResponseRepeats, m.Repeats, l.Open())
	}
	l.wantRows("top_nxdomain", &m.TopNXDomain, values{"b.example": 1})
}

// TestWithoutQuestion: a response that does not repeat the question still belongs to its query.
func TestWithoutQuestion(t *testing.T) {
	bare := withCount(testkit.AppendDNS(nil, 7, testkit.DNSResponse|2, "", 1)[:12:12], 0, 0)
	l := newLab(t, nil).queryIn(7, "a.example").frame(udp(hostServer, farClient, bare))
	m := l.flush()
	if m.Xacts != 1 || m.Orphans != 0 || m.NoQuestion != 1 {
		t.Errorf("%d transactions, %d orphans, %d without a question", m.Xacts, m.Orphans, m.NoQuestion)
	}
	l.wantRows("top_srvfail", &m.TopServFail, values{"a.example": 1})
	l.wantRows("top_qname2", &m.TopQname2, values{"a.example": 1})

	l = newLab(t, nil).queryIn(7, "a.example")
	l.flush() // removes the query's name from the tally
	m = l.frame(udp(hostServer, farClient, bare)).flush()
	l.wantRows("top_srvfail, after a flush", &m.TopServFail, values{"a.example": 1})

	// A query without a question is paired with any response.
	l = newLab(t, nil).frame(udp(farClient, hostServer, withCount(query(7, "")[:12:12], 0, 0))).responseOut(7, 5, "a.example")
	m = l.flush()
	if m.Xacts != 1 || m.Orphans != 0 {
		t.Errorf("%d transactions, %d orphans", m.Xacts, m.Orphans)
	}
	l.wantRows("top_refused", &m.TopRefused, values{"a.example": 1})
}

// TestRepeats: a query that is sent again belongs to the transaction of the first query.
func TestRepeats(t *testing.T) {
	l := newLab(t, nil).at(second).queryIn(7, "a.example").at(2*second).queryIn(7, "a.example").at(3*second).queryIn(7, "a.example")
	m := l.at(4*second).responseOut(7, 0, "a.example").flush()
	if m.Xacts != 1 || m.Repeats != 2 || m.Queries != 3 || m.Timeouts != 0 || m.InMicros.Max() != 3_000_000 {
		t.Errorf("%d transactions, %d repeats, %d queries, %d timeouts, %d us", m.Xacts, m.Repeats, m.Queries, m.Timeouts, m.InMicros.Max())
	}
	l.wantRows("top_qname2", &m.TopQname2, values{"a.example": 4})
}

// TestRepeatAtTimeout: a query that is sent again exactly at the timeout is still a repeat.
func TestRepeatAtTimeout(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Timeout = 100 * ms }).at(second).queryIn(7, "a.example")
	l.now += 100 * ms
	if m := l.queryIn(7, "a.example").flush(); m.Repeats != 1 || m.Timeouts != 0 || l.Open() != 1 {
		t.Errorf("%d repeats, %d timeouts, %d open", m.Repeats, m.Timeouts, l.Open())
	}
}

// TestRepeatAfterTimeout: a query that is sent again after the timeout starts another transaction, and the first query is a
// timeout, even if no second has ended in between.
func TestRepeatAfterTimeout(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Timeout = 100 * ms }).at(second).queryIn(7, "a.example")
	l.now += 101 * ms
	l.queryIn(7, "a.example")
	l.now += 10 * ms
	m := l.responseOut(7, 0, "a.example").flush()
	if m.Xacts != 1 || m.Repeats != 0 || m.Timeouts != 1 || m.InTimeouts != 1 || m.InMicros.Max() != 10_000 {
		t.Errorf("%d transactions, %d repeats, %d timeouts, %d us", m.Xacts, m.Repeats, m.Timeouts, m.InMicros.Max())
	}
}

// TestLate: a response after the timeout is an orphan, and its query counts as a timeout exactly once.
func TestLate(t *testing.T) {
	for _, c := range []struct {
		after int64
		late  bool
	}{{0, false}, {5 * second, false}, {5*second + 1, true}, {6 * second, true}, {60 * second, true}} {
		for _, ticked := range []bool{false, true} {
			l := newLab(t, nil).at(second).queryIn(7, "a.example")
			if ticked {
				l.at(second + c.after)
			} else {
				l.now += c.after
			}
			l.responseOut(7, 0, "a.example").at(l.now + 10*second)
			m := l.flush()
			want := [3]uint64{1, 0, 0}
			if c.late {
				want = [3]uint64{0, 1, 1}
			}
			if got := [3]uint64{uint64(m.Xacts), uint64(m.Timeouts), uint64(m.Orphans)}; got != want {
				t.Errorf("after %d ns, ticked %v: %v transactions, timeouts, orphans, want %v", c.after, ticked, got, want)
			}
			timeouts := values{}
			if c.late {
				timeouts["a.example"] = 1
			}
			l.wantRows("top_timeout", &m.TopTimeout, timeouts)
			l.wantRows("top_noerror", &m.TopNoError, values{"a.example": 1})
		}
	}
}

// TestTimeouts: unanswered queries count by direction and by name when the second after the timeout begins. This also holds if
// the names were flushed in between.
func TestTimeouts(t *testing.T) {
	l := newLab(t, nil).at(10*second + 500*ms)
	l.queryIn(1, "in.example")
	l.frame(udp(hostClient, farServer, query(2, "out.example")))
	l.frame(udp(farClient, farServer, query(3, "out.example")))
	l.at(15 * second)
	if m := l.flush(); m.Timeouts != 0 || l.Open() != 3 {
		t.Errorf("%d timeouts, %d open before the timeout", m.Timeouts, l.Open())
	}
	m := l.at(16 * second).flush()
	if m.Timeouts != 3 || m.InTimeouts != 1 || m.OutTimeouts != 1 || l.Open() != 0 {
		t.Errorf("%d timeouts, %d in, %d out, %d open", m.Timeouts, m.InTimeouts, m.OutTimeouts, l.Open())
	}
	l.wantRows("top_timeout", &m.TopTimeout, values{"in.example": 1, "out.example": 2})
	l.wantRows("top_qname2", &m.TopQname2, values{"in.example": 1, "out.example": 2})
	if m.Qnames.Estimate() != 2 {
		t.Errorf("%v names", m.Qnames.Estimate())
	}
}

// TestClockSetBack: if the clock was set back, queries with future times do not delay the timeouts of later queries.
func TestClockSetBack(t *testing.T) {
	l := newLab(t, nil).at(7200*second).queryIn(1, "future.example")
	l.now = 100 * second
	l.queryIn(2, "a.example").at(110 * second)
	m := l.flush()
	if m.Timeouts != 2 || l.Open() != 0 {
		t.Errorf("%d timeouts, %d open; want 2 and 0", m.Timeouts, l.Open())
	}
	l.wantRows("top_timeout", &m.TopTimeout, values{"future.example": 1, "a.example": 1})
}

// TestALittleOutOfOrder: a response whose timestamp is a little earlier than its query's has latency 0.
func TestALittleOutOfOrder(t *testing.T) {
	l := newLab(t, nil).at(second).queryIn(1, "a.example")
	l.now -= ms
	m := l.responseOut(1, 0, "a.example").flush()
	if m.Xacts != 1 || m.InMicros.Max() != 0 || m.InMicros.Count() != 1 {
		t.Errorf("%d transactions of %d us", m.Xacts, m.InMicros.Max())
	}
}

// TestMulticast: messages of mDNS and LLMNR count, and so do their names. They need no response.
func TestMulticast(t *testing.T) {
	mdns4, mdns6, llmnr := endpoint("224.0.0.251:5353"), endpoint("[ff02::fb]:5353"), endpoint("224.0.0.252:5355")
	node, asker := endpoint("10.0.0.5:5353"), endpoint("10.0.0.6:61000")
	l := newLab(t, nil)
	l.frame(udp(node, mdns4, withClass(query(0, "printer.local"), 0x8001)))
	l.frame(udp(endpoint("[fe80::5]:5353"), mdns6, query(0, "printer.local")))
	l.frame(udp(endpoint("10.0.0.7:5353"), mdns4, response(0, 0, "printer.local")))
	l.frame(udp(endpoint("10.0.0.7:5353"), node, response(0, 0, "printer.local")))
	l.frame(udp(asker, llmnr, query(9, "nas")))
	l.frame(udp(endpoint("10.0.0.8:5355"), asker, response(9, 0, "nas")))
	m := l.at(60 * second).flush()
	if m.Total != 6 || m.Xacts != 0 || m.Orphans != 0 || m.Timeouts != 0 || l.Open() != 0 || m.OtherClass != 0 {
		t.Errorf("%d messages, %d transactions, %d orphans, %d timeouts, %d open, %d of another class", m.Total, m.Xacts, m.Orphans, m.Timeouts, l.Open(), m.OtherClass)
	}
	l.wantRows("top_qname2", &m.TopQname2, values{"printer.local": 4, "nas": 2})
}

// TestFinish: a query that waits at the end of a file counts as open, and not as a timeout.
func TestFinish(t *testing.T) {
	l := newLab(t, nil).at(second).queryIn(1, "a.example").queryIn(2, "b.example").at(5 * second)
	l.Finish()
	if m := l.flush(); m.Open != 2 || m.Timeouts != 0 {
		t.Errorf("%d open, %d timeouts", m.Open, m.Timeouts)
	}
}

// TestEviction: a flood of unanswered queries takes no more memory than its table. The oldest queries are evicted, and count as
// such.
func TestEviction(t *testing.T) {
	l := newLab(t, nil).at(second)
	const n = maxWaiting + 1000
	msg := query(0, "000000.example")
	frame := udp(farClient, hostServer, msg)
	for i := range n {
		copy(frame[14+20+8+13:], fmt.Sprintf("%06d", i))
		frame[14+20+8], frame[14+20+9] = byte(i>>8), byte(i)
		l.frame(frame)
	}
	if l.Open() != maxWaiting || cap(l.xacts.queries) != 1+maxWaiting {
		t.Errorf("%d queries wait, with space for %d", l.Open(), cap(l.xacts.queries))
	}
	m := l.responseOut(999, 0, "000999.example").responseOut(1000, 0, "001000.example").settle().flush()
	if m.Evicted != 1000 || m.Orphans != 1 || m.Xacts != 1 || m.Timeouts != 0 {
		t.Errorf("%d evicted, %d orphans, %d transactions, %d timeouts; want 1000, 1, 1, 0", m.Evicted, m.Orphans, m.Xacts, m.Timeouts)
	}
	if m = l.at(7 * second).flush(); m.Timeouts != maxWaiting-1 || l.Open() != 0 {
		t.Errorf("%d timeouts, %d open", m.Timeouts, l.Open())
	}
	if m.TopTimeout.Total() != maxWaiting-1 {
		t.Errorf("%d timeouts at names, want %d", m.TopTimeout.Total(), maxWaiting-1)
	}
}

// TestLateRepeats: a query that is sent again after its timeout is a new query, even before the clock has given up the first.
// The hash table is crowded, so that other entries move when a query is given up.
func TestLateRepeats(t *testing.T) {
	l := newLab(t, nil).at(second)
	const n = minWaiting
	ask := func() {
		for i := range n {
			l.frame(udp(farClient, hostServer, query(uint16(i), "late.example")))
		}
	}
	ask()
	l.now += 6 * second
	ask()
	for i := range n {
		l.frame(udp(hostServer, farClient, response(uint16(i), 0, "late.example")))
	}
	if m := l.flush(); m.Timeouts != n || m.Xacts != n || m.Orphans != 0 || m.Repeats != 0 || l.Open() != 0 {
		t.Errorf("%d timeouts, %d transactions, %d orphans, %d repeats, %d open; want %d, %d, 0, 0, 0",
			m.Timeouts, m.Xacts, m.Orphans, m.Repeats, l.Open(), n, n)
	}
}

// TestOverdue: a message without a question gives up the overdue queries that it finds, one after the other. After that, the
// table holds only the waiting queries.
func TestOverdue(t *testing.T) {
	const start = 100*second + second/2
	for _, c := range []struct {
		name    string
		waiting []int64 // the times of queries with the same port and ID and different names
		reply   bool    // the next message is a response and not another query
		want    Counters
	}{
		{"a query, one of two is overdue", []int64{0, 3 * second}, false, Counters{Timeouts: 2, Repeats: 1}},
		{"a query, both are", []int64{0, 100 * ms}, false, Counters{Timeouts: 3}},
		{"a query, one of three is", []int64{0, second, 3 * second}, false, Counters{Timeouts: 3, Repeats: 1}},
		{"a response, one of two is", []int64{0, 3 * second}, true, Counters{Timeouts: 1}},
		{"a response, all are", []int64{0, 100 * ms, 200 * ms}, true, Counters{Timeouts: 3, Orphans: 1, InOrphans: 1}},
	} {
		l := newLab(t, nil).at(start)
		for i, after := range c.waiting {
			l.at(start+after).queryIn(7, fmt.Sprintf("%d.example", i))
		}
		l.now = start + 5*second + 300*ms // in the second of the timeout, before that second ends
		if c.reply {
			l.frame(udp(hostServer, farClient, withCount(response(7, 0, "")[:12:12], 0, 0)))
		} else {
			l.frame(udp(farClient, hostServer, withCount(query(7, "")[:12:12], 0, 0)))
		}
		if c.reply && c.want.Orphans == 0 {
			c.want.Xacts, c.want.InTotal = 1, 1
		}
		c.want.InTimeouts = c.want.Timeouts
		l.at(l.now+20*second).wantCounts(c.name, c.want)
		if n, longest := l.xacts.steps(); n != 0 || longest != 0 || l.Open() != 0 {
			t.Errorf("%s: %d steps to the waiting queries, a run of %d slots, %d open", c.name, n, longest, l.Open())
		}
	}
}

// TestCapturedLate: a query may come after its response in the capture although its timestamp is earlier. If it was already
// answered, it was captured twice or sent again. A response that is much earlier than the query belongs to another query.
func TestCapturedLate(t *testing.T) {
	const start = 100 * second
	for _, c := range []struct {
		name   string
		frames string  // Q for a query and R for a response, in the order of the capture
		times  []int64 // since the start, of each message
		want   Counters
	}{
		{"a copy of the query", "QRQ", []int64{0, ms, 50000}, Counters{Xacts: 1, InTotal: 1, Repeats: 1}},
		{"a copy before the answer by an early one", "RQQ", []int64{ms, 0, 50000}, Counters{Xacts: 1, InTotal: 1, Repeats: 1}},
		{"another query, after the answer", "QRQ", []int64{0, ms, 2 * ms}, Counters{Xacts: 1, InTotal: 1, Timeouts: 1, InTimeouts: 1}},
		{"much earlier than the query", "QR", []int64{500 * ms, 400 * ms}, Counters{Timeouts: 1, InTimeouts: 1, Orphans: 1, InOrphans: 1}},
		{"a little earlier than the query", "QR", []int64{500 * ms, 490 * ms}, Counters{Xacts: 1, InTotal: 1}},
	} {
		l := newLab(t, nil).at(start)
		for i, kind := range c.frames {
			l.now = start + c.times[i]
			if kind == 'Q' {
				l.queryIn(7, "a.example")
			} else {
				l.responseOut(7, 0, "a.example")
			}
		}
		l.at(start+20*second).wantCounts(c.name, c.want)
	}
}

// TestOverdueAtTheEnd: at the end of a capture, each query that is overdue by its timestamp is a timeout, whatever the order of
// the queries is.
func TestOverdueAtTheEnd(t *testing.T) {
	const start = 100 * second
	l := newLab(t, nil).at(start + 58*second)
	l.queryIn(1, "new.example")
	for i := range 3 { // from another capture, appended
		l.now = start + int64(i)*second
		l.queryIn(uint16(2+i), "old.example")
	}
	l.now = start + 59*second
	l.Tick(l.now)
	l.Finish()
	m := l.flush()
	if m.Timeouts != 3 || m.Open != 1 {
		t.Errorf("%d timeouts and %d open, want 3 and 1", m.Timeouts, m.Open)
	}
	l.wantRows("top_timeout", &m.TopTimeout, values{"old.example": 3})
}
