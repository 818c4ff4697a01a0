package dns

import (
	"fmt"
	"testing"

	"pktvisor/internal/testkit"
)

// wantCounts compares the counts of how messages were paired.
func (l *lab) wantCounts(name string, want Counters) *Metrics {
	l.t.Helper()
	m := l.flush()
	pairing := func(c *Counters) string {
		return fmt.Sprintf("%d transactions, %d timeouts, %d evicted, %d orphans (%d in, %d out), %d repeats of queries and %d of responses, %d messages of transfers",
			c.Xacts, c.Timeouts, c.Evicted, c.Orphans, c.InOrphans, c.OutOrphans, c.Repeats, c.ResponseRepeats, c.TransferMessages)
	}
	if got, want := pairing(&m.Counters), pairing(&want); got != want {
		l.t.Errorf("%s: %s; want %s", name, got, want)
	}
	return m
}

// TestEarlyResponse: a response that comes before its query in the capture still belongs to the query, if their timestamps
// allow it.
func TestEarlyResponse(t *testing.T) {
	for _, c := range []struct {
		name     string
		query    int64 // the time of the query; the response has time 0
		after    int64 // the time of the capture between the two
		paired   bool
		tookNano int64
	}{
		{"the query is earlier by its time", -20 * ms, 0, true, 20 * ms},
		{"at the same time", 0, 0, true, 0},
		{"the query is a little later", maxSkew, 0, true, 0},
		{"the query is later", maxSkew + 1, 0, false, 0},
		{"the query is earlier, much of the capture in between", -3 * second, 900 * ms, true, 3 * second},
		{"earlier by more than the timeout", -5*second - 1, 0, false, 0},
		{"too much in between", -20 * ms, 2100 * ms, false, 0},
	} {
		for _, in := range []bool{true, false} {
			client, server := hostClient, farServer
			if in {
				client, server = farClient, hostServer
			}
			l := newLab(t, nil).at(100 * second)
			r := response(1, 3, "a.example")
			r[2] |= testkit.DNSAA >> 8
			r[3] |= testkit.DNSAD | testkit.DNSCD
			l.frame(udp(server, client, r))
			l.at(l.now + c.after)
			back := l.now
			l.now = 100*second + c.query
			l.frame(udp(client, server, query(1, "a.example")))
			l.now = back
			l.at(back + 20*second)
			want := Counters{Timeouts: 1, Orphans: 1}
			if in {
				want.InOrphans = 1
			} else {
				want.OutOrphans = 1
			}
			if c.paired {
				want = Counters{Xacts: 1}
			}
			m := l.wantCounts(c.name, want)
			l.wantRows("top_nxdomain", &m.TopNXDomain, values{"a.example": 1})
			if !c.paired {
				continue
			}
			micros := &m.OutMicros
			if in {
				micros = &m.InMicros
			}
			if micros.Count() != 1 || micros.Sum() != uint64(c.tookNano/1000) || m.XactAA != 1 || m.XactAD != 1 || m.XactCD != 1 {
				t.Errorf("%s: %d took %d us; %d AA, %d AD, %d CD", c.name, micros.Count(), micros.Sum(), m.XactAA, m.XactAD, m.XactCD)
			}
			if want := uint64(len(r)) * 1000 / uint64(len(query(1, "a.example"))); m.Ratio.Max() != want {
				t.Errorf("%s: ratio %d, want %d", c.name, m.Ratio.Max(), want)
			}
		}
	}
}

// TestEarlyRepeats: a response that comes several times before its query has repeats. If the query does not come, each of them
// is an orphan.
func TestEarlyRepeats(t *testing.T) {
	for _, asked := range []bool{true, false} {
		l := newLab(t, nil).at(second)
		for range 3 {
			l.responseOut(7, 0, "a.example")
		}
		want := Counters{Orphans: 3, InOrphans: 3}
		if asked {
			l.queryIn(7, "a.example").queryIn(8, "b.example").responseOut(8, 0, "b.example").responseOut(7, 0, "a.example")
			want = Counters{Xacts: 2, ResponseRepeats: 3}
		}
		l.settle().wantCounts(fmt.Sprintf("asked %v", asked), want)
	}
}

// TestEarlyWithoutQuestion: an early response without a question counts at the name of its query. A query without a question
// is paired with the response that came before it.
func TestEarlyWithoutQuestion(t *testing.T) {
	bare := withCount(testkit.AppendDNS(nil, 7, testkit.DNSResponse|2, "", 1)[:12:12], 0, 0)
	l := newLab(t, nil).at(second).frame(udp(hostServer, farClient, bare)).queryIn(7, "a.example").settle()
	m := l.wantCounts("response", Counters{Xacts: 1})
	l.wantRows("top_srvfail", &m.TopServFail, values{"a.example": 1})
	l.wantRows("top_response_bytes", &m.TopResponseBytes, values{"a.example": 12})

	l = newLab(t, nil).at(second).responseOut(7, 5, "a.example")
	l.frame(udp(farClient, hostServer, withCount(query(7, "")[:12:12], 0, 0))).settle()
	m = l.wantCounts("query", Counters{Xacts: 1})
	l.wantRows("top_refused", &m.TopRefused, values{"a.example": 1})
}

// TestEarlyIsNobodys: responses of multicast DNS without a query are not orphans. With a query, they are paired like others.
func TestEarlyIsNobodys(t *testing.T) {
	node, asker := endpoint("10.0.0.7:5353"), endpoint("10.0.0.6:61000")
	l := newLab(t, nil).at(second).frame(udp(node, asker, response(1, 0, "a.local"))).settle()
	l.wantCounts("nobody asked", Counters{})
	l.frame(udp(node, asker, response(2, 0, "a.local"))).frame(udp(asker, node, query(2, "a.local"))).settle()
	l.wantCounts("asked", Counters{Xacts: 1})
}

// TestEarlyAtTheEnd: a response that waits for its query when a file ends is an orphan.
func TestEarlyAtTheEnd(t *testing.T) {
	l := newLab(t, nil).at(second).responseOut(1, 0, "a.example").responseOut(1, 0, "a.example").responseOut(2, 0, "a.example")
	l.Finish()
	l.wantCounts("end", Counters{Orphans: 3, InOrphans: 3})
}

// TestOrphanFlood: a flood of responses without queries, as in a reflection attack, takes no more memory than its table. All
// the responses count, and no waiting query is lost.
func TestOrphanFlood(t *testing.T) {
	l := newLab(t, nil).at(second)
	l.frame(udp(hostClient, farServer, query(9, "waiting.example")))
	const n = 40_000
	for i := range n {
		l.frame(udp(farServer, hostClient, response(uint16(i), 0, fmt.Sprintf("%d.example", i>>16))))
		l.frame(udp(farServer, hostServer, response(77, 0, fmt.Sprintf("%d.example", i))))
	}
	if l.early.n != maxEarly || cap(l.early.queries) != 1+maxEarly || l.Open() != 1 {
		t.Errorf("%d responses wait, with space for %d; %d queries wait", l.early.n, cap(l.early.queries), l.Open())
	}
	l.frame(udp(farServer, hostClient, response(9, 0, "waiting.example"))).settle()
	l.wantCounts("flood", Counters{Xacts: 1, Orphans: 2 * n, OutOrphans: 2 * n})
}
