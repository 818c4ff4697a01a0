package dns

import (
	"testing"

	"pktvisor/internal/testkit"
)

// TestAllocs: a message causes no allocation, over UDP or TCP, answered or not. A flush of keys that the bucket already has
// causes none either.
func TestAllocs(t *testing.T) {
	l := newLab(t, nil).at(second)
	var pairs [][2][]byte
	for i := range uint16(200) {
		name := string([]byte{'a' + byte(i%26), 'a' + byte(i/26)}) + ".example.com"
		q := withOPT(query(i, name), 0, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, byte(i))
		pairs = append(pairs, [2][]byte{udp(farClient, hostServer, q), udp(hostServer, farClient, response(i, i%6, name))})
	}
	round := func() {
		for _, p := range pairs {
			l.frame(p[0]).frame(p[1])
		}
	}
	for range 3 {
		round()
		l.at(l.now + second)
		l.flush()
	}
	n := 0
	testkit.NoAllocs(t, "query and response", 2000, func() {
		p := pairs[n%len(pairs)]
		l.frame(p[0]).frame(p[1])
		n++
	})
	testkit.NoAllocs(t, "a second with its flush of counts", 50, func() {
		round()
		l.at(l.now + second)
		l.FlushCounts(l.section, 1)
	})
	l.flush()

	unanswered := 0
	lonely := func() {
		l.frame(pairs[unanswered%len(pairs)][0])
		unanswered++
		l.at(l.now + 100*ms)
	}
	for range 400 {
		lonely()
	}
	testkit.NoAllocs(t, "unanswered queries and their timeouts", 2000, lonely)

	client, server := l.stream(farClient, hostServer), l.stream(hostServer, farClient)
	qs, rs := framed(query(1, "a.example"), query(2, "b.example")), framed(response(1, 0, "a.example"), response(2, 0, "b.example"))
	// The segments are built before allocations are counted. Only the sequence numbers change.
	build := func(s *stream, b []byte) []byte {
		p := testkit.Packet{
			Src: s.src.Addr(), Dst: s.dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: s.src.Port(), DstPort: s.dst.Port(),
			Seq: s.seq, Flags: testkit.TCPAck, Payload: b,
		}
		s.seq += uint32(len(b))
		return p.AppendFrame(nil)
	}
	var segments [][]byte
	for range 500 {
		segments = append(segments, build(client, qs[:30]), build(client, qs[30:]), build(server, rs))
	}
	at := 0
	testkit.NoAllocs(t, "TCP segments", len(segments)-2, func() {
		l.frame(segments[at])
		at++
	})
	for ; at < len(segments); at++ { // with the race detector, most of them
		l.frame(segments[at])
	}
	if m := l.flush(); m.Gaps != 0 || m.TCP != 2000 {
		t.Errorf("%d messages over TCP, %d gaps", m.TCP, m.Gaps)
	}
}

func BenchmarkTransaction(b *testing.B) {
	l := newLab(b, nil).at(second)
	q, r := udp(farClient, hostServer, query(1, "www.example.com")), udp(hostServer, farClient, response(1, 0, "www.example.com"))
	b.SetBytes(int64(len(q) + len(r)))
	b.ReportAllocs()
	for b.Loop() {
		l.frame(q).frame(r)
		if len(l.answered) == cap(l.answered) {
			l.flush()
		}
	}
}
