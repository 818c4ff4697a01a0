package dns

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pktvisor/analyze"
	"pktvisor/metric"
)

// TestMessageSample: a message is in the sample with a chance of 2^-lg, independently of the one before.
func TestMessageSample(t *testing.T) {
	s := newMessageSample(analyze.SeededSampler(5, metric.Whole), wantedBy(nil))
	for range 100 {
		if !s.take() {
			t.Fatal("a message was left out while all count")
		}
	}
	const n = 1 << 18
	for _, lg := range []uint8{1, 4, 7} {
		s.lg = lg
		s.draw()
		taken, twice, last := 0, 0, false
		for range n {
			in := s.take()
			if in {
				taken++
				if last {
					twice++
				}
			}
			last = in
		}
		p := 1 / float64(uint64(1)<<lg)
		for what, c := range map[string]struct{ got, want float64 }{"messages": {float64(taken), n * p}, "pairs of messages": {float64(twice), n * p * p}} {
			if math.Abs(c.got-c.want) > 4*math.Sqrt(c.want) {
				t.Errorf("lg %d: %v %s in the sample, want about %v", lg, c.got, what, c.want)
			}
		}
	}
	s.lg = 4
	kept := 0
	for range n {
		kept += int(s.times(2))
	}
	if want := n / 4.0; math.Abs(float64(kept)-want) > 4*math.Sqrt(want) || s.most != 0 {
		t.Errorf("%d of %d count again, want about %v", kept, n, want)
	}
	if got := s.times(4); got != 1 || s.most != 0 {
		t.Errorf("%d, most %d", got, s.most)
	}
	if got := s.times(6); got != 4 || s.most != 6 {
		t.Errorf("%d, most %d", got, s.most)
	}
}

// TestMessageSampleAdapts: how many messages count depends on how many the minute is going to have.
func TestMessageSampleAdapts(t *testing.T) {
	s := newMessageSample(analyze.NewSampler(100), wantedBy(nil))
	flushed := func(now int64, messages uint64, lg uint8) {
		t.Helper()
		s.messages = messages
		if s.flushed(now); s.lg != lg {
			t.Errorf("%d messages after %d s: a message stands for 2^%d, want 2^%d", messages, (now-s.begin)/second, s.lg, lg)
		}
		if s.due() {
			t.Errorf("%d messages: a flush is still due", messages)
		}
	}
	s.tick(60 * second)
	if s.messages = exactMessages; !s.due() {
		t.Error("no flush is due")
	}
	flushed(61*second, exactMessages-1, 0)
	flushed(62*second, exactMessages, 5)      // 58 s at half as many a second
	flushed(64*second, 2*exactMessages, 5)    // as fast
	flushed(94*second, 4*exactMessages, 2)    // much slower: 26 s are left, after 34
	flushed(94*second, 64*exactMessages, 6)   // a flood
	flushed(95*second, 40*exactMessages, 6)   // a little slower: to change is not worth it
	flushed(119*second, 128*exactMessages, 2) // the minute is nearly over
	s.tick(120 * second)
	if !s.due() {
		t.Error("nothing is flushed in the new minute before all messages count")
	}
	flushed(120*second, 1, 0)
	s.tick(180 * second)
	flushed(180*second, exactMessages, 6) // in no time: as if in a second

	without := newMessageSample(analyze.NewSampler(100), wanted{ampPrefix: false})
	if without.messages = 1 << 40; without.due() {
		t.Error("without a table of a sample, a flush is due")
	}
}

// sampleTruth is what a minute has.
type sampleTruth struct {
	queries, nxdomain, timeouts, responses, bytes values
	names                                         map[string]map[string]bool
	distinct                                      map[string]map[string]bool // clients by length
}

// TestSampledMinute counts minutes with far more messages than count exactly, and compares everything with a plain model: each bound holds as
// often as it says, the heaviest clients are first, distinct clients and names count although their messages are not in the sample. A minute
// with few messages after it is exact.
func TestSampledMinute(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Sampler = analyze.SeededSampler(77, metric.Whole) }).at(60 * second)
	r := rand.New(rand.NewPCG(3, 1))
	want := sampleTruth{values{}, values{}, values{}, values{}, values{}, map[string]map[string]bool{}, map[string]map[string]bool{}}
	const queries = 120_000
	for i := range queries {
		var addr netip.Addr
		switch k := r.IntN(20); {
		case k < 6: // a tenth each, and less and less
			addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(k * r.IntN(2))})
		case k < 12:
			addr = netip.AddrFrom4([4]byte{203, 0, byte(r.IntN(4)), byte(1 / (r.Float64() + 1/250.0))})
		default:
			addr = netip.AddrFrom4([4]byte{byte(20 + r.IntN(2)), byte(r.IntN(80)), byte(r.IntN(256)), byte(r.IntN(256))})
		}
		name, qtype, size := fmt.Sprintf("n%d.example", r.IntN(3000)), uint16(1), 60+r.IntN(60)
		if addr.As4()[3] == 0 && addr.As4()[0] == 198 {
			name = fmt.Sprintf("n%d.many.example", r.IntN(1<<20)) // a client with very many names
		}
		if r.IntN(50) == 0 {
			qtype, size = 255, 3000
		}
		from := netip.AddrPortFrom(addr, uint16(1024+r.IntN(60000)))
		q, a := question(uint16(i), name, qtype), sized(uint16(i), name, qtype, size)
		l.frame(udp(from, hostServer, q))
		key := addr.String()
		want.queries[key]++
		if want.names[key] == nil {
			want.names[key] = map[string]bool{}
		}
		want.names[key][name] = true
		for k := range lengths {
			if c := &lengths[k]; c.is4 {
				if want.distinct[c.path] == nil {
					want.distinct[c.path] = map[string]bool{}
				}
				want.distinct[c.path][netip.PrefixFrom(addr, c.bits).Masked().String()] = true
			}
		}
		prefix := netip.PrefixFrom(addr, 24).Masked().String()
		want.bytes[prefix] += uint64(len(q))
		switch r.IntN(8) {
		case 0:
			want.timeouts[key]++
		case 1:
			a[3] |= 3
			want.nxdomain[key]++
			fallthrough
		default:
			l.frame(udp(hostServer, from, a))
			want.responses[prefix] += uint64(len(a))
		}
		if i%(queries/50) == 0 { // 50 seconds, with the flushes of a live agent in some of them
			if l.at(l.now + second); i%3 == 0 {
				l.FlushCounts(l.section, l.now/second)
				l.ReadCounts(l.section)
				l.FlushKeys(true, held{l.section})
			}
		}
	}
	m := l.at(l.now + 9*second).flush()
	if by := m.TopClients.SampledBy(); by.Each < 4 || by.Weight < queries/2 {
		t.Fatalf("the sample is %v", by)
	}
	if m.Evicted != 0 || l.now/second >= 120 {
		t.Fatalf("%d evicted, at %d s", m.Evicted, l.now/second)
	}
	var bounds misses
	for _, c := range []struct {
		name string
		top  *metric.Top
		want values
	}{{"queries", &m.TopClients, want.queries}, {"nxdomain", &m.TopClientsNXDomain, want.nxdomain}, {"timeouts", &m.TopClientsTimeout, want.timeouts}} {
		for key, n := range c.want {
			lower, upper := c.top.Bounds([]byte(key))
			bounds.add(n, lower, upper)
		}
		total := uint64(0)
		for _, n := range c.want {
			total += n
		}
		lower, upper := c.top.TotalBounds()
		if lower > total || upper < total || upper-lower > total/10 {
			t.Errorf("%s: in all %d to %d, want %d", c.name, lower, upper, total)
		}
		if row := c.top.Top(nil, 1)[0]; row.Key != "198.51.100.0" || row.Upper-row.Lower > c.want[row.Key]/2 {
			t.Errorf("%s: the first is %v of %d", c.name, row, c.want["198.51.100.0"])
		}
	}
	for key, n := range want.responses {
		if row, held := m.TopAmpPrefix.Find([]byte(key)); held {
			bounds.add(n, row.Lower, row.Upper)
			bounds.add(want.bytes[key], row.Bytes, row.QueriesUpper)
		}
	}
	bounds.check(t, "bounds of clients and prefixes")
	for path, set := range want.distinct {
		i, _ := Table.Find(path)
		if got := l.section.Cardinality(i).Estimate(); math.Abs(got-float64(len(set))) > 0.06*float64(len(set)) {
			t.Errorf("%s: %v, want %d", path, got, len(set))
		}
	}
	var names misses
	for key, set := range want.names {
		lower, upper := m.TopClientNames.Bounds([]byte(key))
		names.add(uint64(len(set)), lower, upper)
	}
	names.check(t, "bounds of distinct names")
	if row := m.TopClientNames.Top(nil, 1)[0]; row.Key != "198.51.100.0" || row.Lower < uint64(len(want.names[row.Key]))/2 {
		t.Errorf("most names: %v, want %d", row, len(want.names["198.51.100.0"]))
	}

	l.section = Table.New()
	l.at(121 * second)
	for i := range 30 {
		l.transaction(false, fmt.Sprintf("n%d.example", i), ms)
	}
	m = l.flush()
	if l.sample.lg != 0 {
		t.Errorf("a message stands for 2^%d in the next minute", l.sample.lg)
	}
	if rows := m.TopClients.Top(nil, 2); len(rows) != 1 || rows[0].Lower != 30 || rows[0].Upper != 30 || m.TopClients.SampledBy().Each != 0 {
		t.Errorf("the next minute has %v", rows)
	}
	if row := m.TopAmpPrefix.Top(nil, 1)[0]; row.Lower != row.Upper || row.Bytes != row.QueriesUpper {
		t.Errorf("the next minute has %v", row)
	}
}

// misses counts how often a bound did not hold.
type misses struct{ below, above, n int }

func (m *misses) add(truth, lower, upper uint64) {
	m.n++
	if truth < lower {
		m.below++
	}
	if truth > upper {
		m.above++
	}
}

// check fails if a bound held less often than it should, or if there were too few.
func (m *misses) check(t *testing.T, what string) {
	t.Helper()
	if most := 0.025*float64(m.n) + 3*math.Sqrt(0.025*float64(m.n)); float64(max(m.below, m.above)) > most || m.n < 1000 {
		t.Errorf("%s: of %d, the truth is below %d times and above %d times", what, m.n, m.below, m.above)
	}
}
