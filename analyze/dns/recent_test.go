package dns

import (
	"fmt"
	"testing"

	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
)

// TestResponseRepeats: the first of several responses to a query belongs to the transaction. The others are repeats until the
// timeout after the first, and orphans after that.
func TestResponseRepeats(t *testing.T) {
	bare := withCount(testkit.AppendDNS(nil, 7, testkit.DNSResponse|5, "", 1)[:12:12], 0, 0)
	for _, c := range []struct {
		name  string
		again []byte
		after int64
		want  Counters
	}{
		{"seen twice", response(7, 0, "a.example"), 0, Counters{Xacts: 1, ResponseRepeats: 1}},
		{"a little earlier by its time", response(7, 0, "a.example"), -ms, Counters{Xacts: 1, ResponseRepeats: 1}},
		{"after a while", response(7, 0, "a.example"), 5 * second, Counters{Xacts: 1, ResponseRepeats: 1}},
		{"too late", response(7, 0, "a.example"), 5*second + 1, Counters{Xacts: 1, Orphans: 1, InOrphans: 1}},
		{"of another rcode", response(7, 3, "a.example"), ms, Counters{Xacts: 1, ResponseRepeats: 1}},
		{"without a question", bare, ms, Counters{Xacts: 1, ResponseRepeats: 1}},
		{"of another name", response(7, 0, "b.example"), ms, Counters{Xacts: 1, Orphans: 1, InOrphans: 1}},
		{"of another type", testkit.AppendDNS(nil, 7, testkit.DNSResponse, "a.example", 28), ms, Counters{Xacts: 1, Orphans: 1, InOrphans: 1}},
		{"of another ID", response(8, 0, "a.example"), ms, Counters{Xacts: 1, Orphans: 1, InOrphans: 1}},
	} {
		l := newLab(t, nil).at(10*second).queryIn(7, "a.example").responseOut(7, 0, "a.example")
		l.now += c.after
		l.frame(udp(hostServer, farClient, c.again))
		l.now = 20 * second
		m := l.settle().wantCounts(c.name, c.want)
		if m.Replies != 2 || m.InMicros.Count() != 1 {
			t.Errorf("%s: %d replies, %d latencies", c.name, m.Replies, m.InMicros.Count())
		}
	}
	// The first response has no question.
	l := newLab(t, nil).at(second).queryIn(7, "a.example")
	for range 2 {
		l.frame(udp(hostServer, farClient, bare))
	}
	l.responseOut(7, 0, "a.example").settle().wantCounts("first without a question", Counters{Xacts: 1, ResponseRepeats: 2})
}

// TestTwoQueriesTwoResponses: a query that was sent again may be answered twice.
func TestTwoQueriesTwoResponses(t *testing.T) {
	l := newLab(t, nil).at(second)
	for range 2 {
		l.frame(udp(hostClient, farServer, query(1, "a.example")))
		l.now += 100 * ms
	}
	for range 2 {
		l.frame(udp(farServer, hostClient, response(1, 0, "a.example")))
		l.now += ms
	}
	m := l.settle().wantCounts("two and two", Counters{Xacts: 1, Repeats: 1, ResponseRepeats: 1})
	if m.OutMicros.Max() < 199_000 || m.OutMicros.Max() > 201_000 {
		t.Errorf("the latency is %d us", m.OutMicros.Max())
	}
	// The same query after the response starts another transaction.
	l = newLab(t, nil).at(second).queryIn(1, "a.example").responseOut(1, 0, "a.example").queryIn(1, "a.example").responseOut(1, 0, "a.example")
	l.settle().wantCounts("asked again", Counters{Xacts: 2})
}

// TestTransfer: all messages of a zone transfer belong to one transaction, whether or not they repeat the question
// (RFC 5936, section 2.2), and however long it lasts.
func TestTransfer(t *testing.T) {
	const messages = 30
	for _, c := range []struct {
		name  string
		qtype uint16
		gap   int64
		want  Counters
	}{
		{"AXFR", 252, ms, Counters{Xacts: 1, TransferMessages: messages - 1}},
		{"IXFR", 251, ms, Counters{Xacts: 1, TransferMessages: messages - 1}},
		{"a slow one", 252, 4 * second, Counters{Xacts: 1, TransferMessages: messages - 1}},
		{"one that stops for too long", 252, 6 * second, Counters{Xacts: 1, Orphans: messages - 1, InOrphans: messages - 1}},
		{"no transfer", 1, ms, Counters{Xacts: 1, ResponseRepeats: messages - 1}},
	} {
		l := newLab(t, nil).at(second)
		client, server := l.stream(farClient, hostServer), l.stream(hostServer, farClient)
		client.segment(testkit.AppendDNS(nil, 7, 0, "example", c.qtype))
		for i := range messages {
			r := testkit.AppendDNS(nil, 7, testkit.DNSResponse|testkit.DNSAA, "example", c.qtype)
			if i%3 == 1 {
				r = withCount(r[:12:12], 0, 0)
			}
			r = append(r, 0, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 18, 0, 1)
			r[7] = 1
			server.segment(r)
			l.at(l.now + c.gap)
		}
		m := l.settle().wantCounts(c.name, c.want)
		if m.InMicros.Count() != 1 || m.Ratio.Count() != 1 {
			t.Errorf("%s: %d latencies", c.name, m.InMicros.Count())
		}
	}
	// Over UDP, a transfer has one message.
	l := newLab(t, nil).at(second).frame(udp(farClient, hostServer, testkit.AppendDNS(nil, 7, 0, "example", 251)))
	for range 2 {
		l.frame(udp(hostServer, farClient, testkit.AppendDNS(nil, 7, testkit.DNSResponse, "example", 251)))
	}
	l.settle().wantCounts("UDP", Counters{Xacts: 1, ResponseRepeats: 1})
}

// TestTransferAmongOthers: the messages of a transfer are recognised even if many other queries are answered in the meantime.
func TestTransferAmongOthers(t *testing.T) {
	l := newLab(t, nil).at(second)
	l.stream(farClient, hostServer).segment(testkit.AppendDNS(nil, 7, 0, "example", 252))
	server := l.stream(hostServer, farClient)
	const messages, others = 6, maxRecent * 2 / 5
	q, r := udp(farClient, hostServer, query(0, "a.example")), udp(hostServer, farClient, response(0, 0, "a.example"))
	for range messages {
		server.segment(testkit.AppendDNS(nil, 7, testkit.DNSResponse, "example", 252))
		for i := range others {
			for _, f := range [][]byte{q, r} {
				f[14+20+8], f[14+20+9] = byte(i>>8), byte(i)
				l.frame(f)
			}
		}
	}
	l.settle().wantCounts("busy", Counters{Xacts: 1 + messages*others, TransferMessages: messages - 1})
}

// TestRecentModel compares the memory of answers with a map. The newest answers are found, and those that the ring has
// overwritten are not. A key that was answered often does not hide others.
func TestRecentModel(t *testing.T) {
	seed := seedhash.New()
	r := new(recent)
	r.start()
	if x, _ := r.find(1, 2); x != nil {
		t.Error("an empty memory has an answer")
	}
	key := func(i int) uint64 { return seed.Mix(uint64(i), 1) }
	question := func(i int) uint32 { return answeredQuestion(seed.Mix(uint64(i), 2), 1<<16|1, 0) }
	const n = 3*maxRecent + 10
	for i := range n {
		r.add(key(i), question(i), int64(i))
	}
	for i := range n {
		x, _ := r.find(key(i), question(i))
		if (x != nil) != (i >= n-maxRecent) {
			t.Fatalf("answer %d of %d: found %v", i, n, x != nil)
		}
		if x != nil && x.time != int64(i) {
			t.Fatalf("answer %d is %+v", i, *x)
		}
		if x != nil && i%97 == 0 {
			if y, _ := r.find(key(i), 0); y != x {
				t.Fatalf("answer %d is not found without a question", i)
			}
			if y, _ := r.find(key(i), question(i+1)); y != nil {
				t.Fatalf("answer %d is found with another question", i)
			}
		}
	}
	// If all answers have the same port and ID, only the newest are found, within the maximum number of steps.
	for i := range maxRecent / 2 {
		r.add(77, question(i), int64(i))
	}
	for i := range maxRecent / 2 {
		x, _ := r.find(77, question(i))
		if want := i >= maxRecent/2-maxRecentSteps; (x != nil) != want {
			t.Fatalf("answer %d of one port and ID: found %v", i, x != nil)
		}
	}
}

// TestDSO: a unidirectional message of DNS Stateful Operations does not wait for a response. A request does (RFC 8490, section
// 5.4).
func TestDSO(t *testing.T) {
	dso := func(id byte, flags byte) []byte {
		return []byte{0, id, flags | 6<<3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0x3a, 0x98, 0, 0, 0x3a, 0x98}
	}
	l := newLab(t, nil).at(second)
	client, server := l.stream(farClient, hostServer), l.stream(hostServer, farClient)
	client.segment(dso(0, 0))
	client.segment(dso(9, 0))
	server.segment(dso(0, 0))
	server.segment(dso(9, 0x80))
	client.segment(dso(10, 0))
	m := l.at(20*second).wantCounts("DSO", Counters{Xacts: 1, Timeouts: 1})
	if m.Queries != 4 || m.OtherOpcode != 5 {
		t.Errorf("%d queries, %d of another opcode", m.Queries, m.OtherOpcode)
	}
	// With other opcodes, ID 0 is an ordinary ID, and NOTIFY and UPDATE have responses.
	l = newLab(t, nil).at(second)
	for i, flags := range []uint16{0, 4 << 11, 5 << 11} {
		name := fmt.Sprintf("%d.example", i)
		l.frame(udp(farClient, hostServer, testkit.AppendDNS(nil, 0, flags, name, 6)))
		l.frame(udp(hostServer, farClient, testkit.AppendDNS(nil, 0, flags|testkit.DNSResponse, name, 6)))
	}
	l.settle().wantCounts("ID 0", Counters{Xacts: 3})
}
