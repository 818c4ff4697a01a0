package dns

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// image settles and flushes a lab, and returns its section as JSON.
func (l *lab) image() string {
	l.settle().flush()
	b := metric.Bucket{Sections: []*metric.Section{l.section}}
	return string(b.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 100}))
}

// without makes the reader of a lab forget all names.
func (l *lab) without() *lab {
	l.reader.known = knownNames{}
	return l
}

// TestKnownNamesChangeNothing: all counts are the same with and without known names.
func TestKnownNamesChangeNothing(t *testing.T) {
	for seed := range uint64(20) {
		with, without := newLab(t, nil).at(second), newLab(t, nil).at(second)
		for _, f := range mixed(rand.New(rand.NewPCG(seed, 0))) {
			with.now += ms
			without.now += ms
			with.frame(f)
			without.without().frame(f)
		}
		if got, want := with.image(), without.image(); got != want {
			t.Errorf("seed %d: with known names\n%s\nwithout\n%s", seed, got, want)
		}
	}
}

// TestKnownNamesAtOnePlace: messages whose names share a place each count at their own name. A response with its name in another
// case belongs to its query.
func TestKnownNamesAtOnePlace(t *testing.T) {
	l := newLab(t, nil)
	for i := range uint16(100) {
		name := fmt.Sprintf("%d.example", i)
		l.frame(udp(farClient, hostServer, query(7, name)))
		l.frame(udp(hostServer, farClient, response(7, 3, "x"+name))) // without a query
		l.frame(udp(hostServer, farClient, response(7, 3, fmt.Sprintf("%d.eXamPLe", i))))
	}
	m := l.settle().flush()
	if m.Xacts != 100 || m.Orphans != 100 || m.Repeats != 0 || m.ResponseRepeats != 0 {
		t.Errorf("%d transactions, %d orphans, %d repeats, %d further responses", m.Xacts, m.Orphans, m.Repeats, m.ResponseRepeats)
	}
	want := values{}
	for i := range 100 {
		want[fmt.Sprintf("%d.example", i)], want[fmt.Sprintf("x%d.example", i)] = 1, 1
	}
	l.wantRows("top_nxdomain", &m.TopNXDomain, want)
}

// TestKnownNamesAreTaken: a name is recognised if it came just before, but not after a flood of other names. Each message looks at
// only one place.
func TestKnownNamesAreTaken(t *testing.T) {
	l := newLab(t, nil)
	name := func(i int) string { return fmt.Sprintf("%d.%d.example", i*7919%10000, i) }
	ask := func(from, n int) {
		for i := range n {
			l.frame(udp(farClient, hostServer, query(uint16(i), name(from+i))))
		}
	}
	taken := func(n int) (taken int) {
		for i := range n {
			b := response(0, 0, name(i))
			var m Message
			m.ParseHeader(b)
			if m.TakeName(b, &l.reader.known.at(b).KnownName) {
				taken++
			}
		}
		return taken
	}
	const few = numKnown / 64
	ask(0, few)
	if got := taken(few); got < few*9/10 {
		t.Errorf("%d of %d names were recognised", got, few)
	}
	ask(few, 16*numKnown)
	if got := taken(few); got != 0 {
		t.Errorf("%d names were recognised after a flood", got)
	}
}

// FuzzKnownNames counts queries and responses with few names, in any letter case and with any ports and IDs. The counts must be
// the same with and without known names.
func FuzzKnownNames(f *testing.F) {
	f.Add([]byte{0, 1, 0x80, 1, 1, 2, 0x81, 2})
	f.Add([]byte{0, 1, 0xa0, 1, 0x20, 2, 0x80, 2})
	names := []string{"a.example", "b.example", "aa.example", "A.example", "www.a.example", "", "0123456789012345678.0123456789", "01234567890123456789.0123456789"}
	f.Fuzz(func(t *testing.T, ops []byte) {
		with, without := newLab(t, nil).at(second), newLab(t, nil).at(second)
		for ; len(ops) >= 2; ops = ops[2:] {
			do, what := ops[0], ops[1]
			client := endpoint(fmt.Sprintf("198.51.100.7:%d", 40000+int(do>>2&1)))
			msg, src, dst := testkit.AppendDNS(nil, uint16(do&3), 0, names[what&7], uint16(1+what>>7)), client, hostServer
			if what&0x40 != 0 {
				msg = withOPT(msg, what&0x20)
			}
			if do&0x20 != 0 && len(msg) > 14 {
				msg[13] &^= 0x20
			}
			if do&0x80 != 0 {
				msg[2] |= 0x80
				src, dst = dst, src
			}
			if do&0x40 != 0 {
				msg = msg[:max(12, len(msg)-int(do&0x1f))]
			}
			with.now += ms
			without.now += ms
			with.frame(udp(src, dst, msg))
			without.without().frame(udp(src, dst, msg))
		}
		if got, want := with.image(), without.image(); got != want {
			t.Errorf("with known names\n%s\nwithout\n%s", got, want)
		}
	})
}
