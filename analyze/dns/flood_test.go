package dns

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pktvisor/metric"
	"pktvisor/sketch"
)

// TestFlood counts many distinct names in one zone, more than any table holds, among popular names. Totals are exact, the bounds
// hold for every name, the zone has the most messages and the most names, and popular names lose almost nothing. In the tables of
// whole names, the zone is one row with the weight of all its names.
func TestFlood(t *testing.T) {
	const n, popular = 120_000, 20
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(1, 1))
	names, zones2, zones3 := values{}, values{}, values{}
	var messages, bytes uint64
	ask := func(i int, name, row, zone2, zone3 string) {
		q, a := query(uint16(i), name), response(uint16(i), 3, name)
		l.frame(udp(farClient, hostServer, q)).frame(udp(hostServer, farClient, a))
		names[row]++
		zones2[zone2] += 2
		zones3[zone3] += 2
		messages += 2
		bytes += uint64(len(a))
	}
	for i := range n {
		zone := fmt.Sprintf(".z%d.flood.example", r.IntN(9000))
		ask(i, fmt.Sprintf("r%08x%s", r.Uint32(), zone), "*.flood.example", ".flood.example", zone)
		if i%10 == 0 {
			name := fmt.Sprintf("www.popular%d.example", i/10%popular)
			ask(i, name, name, name[3:], name)
		}
	}
	m := l.flush()
	if l.flushes < 3 {
		t.Fatalf("only %d flushes", l.flushes)
	}
	for _, c := range []struct {
		name    string
		top     *metric.Top
		want    values
		total   uint64
		heavy   string
		maxLoss uint64
	}{
		{"top_qname2", &m.TopQname2, zones2, messages, ".flood.example", 0},
		{"top_qname3", &m.TopQname3, zones3, messages, "www.popular7.example", 60},
		{"top_nxdomain", &m.TopNXDomain, names, messages / 2, "www.popular7.example", 10},
	} {
		if c.top.Total() != c.total || c.top.MaxError() > c.total/3072 || c.top.MaxError() > c.maxLoss {
			t.Errorf("%s: total %d, want %d; error %d", c.name, c.top.Total(), c.total, c.top.MaxError())
		}
		for key, want := range c.want {
			if lower, upper := c.top.Bounds([]byte(key)); lower > want || upper < want {
				t.Fatalf("%s: %s has %d to %d, want %d", c.name, key, lower, upper, want)
			}
		}
		if lower, _ := c.top.Bounds([]byte(c.heavy)); lower+c.maxLoss < c.want[c.heavy] {
			t.Errorf("%s: %s has %d, want %d", c.name, c.heavy, lower, c.want[c.heavy])
		}
		for i, row := range c.top.Top(nil, popular) {
			if c.want[row.Key] < 100 {
				t.Errorf("%s: row %d is %v", c.name, i, row)
			}
		}
	}
	if rows := m.TopZones.Top(nil, 1); rows[0].Key != "flood.example" || rows[0].Lower > n || rows[0].Upper < n || rows[0].Upper-rows[0].Lower > n/3 {
		t.Errorf("the zone with the most names is %v", rows)
	}
	if rows := m.TopNXDomain.Top(nil, 1); rows[0] != (sketch.Row{Key: "*.flood.example", Lower: n, Upper: n}) {
		t.Errorf("the first row of NXDOMAIN is %v", rows)
	}
	if top := &m.TopResponseBytes; top.Total() != bytes || top.MaxError() > bytes/3072 {
		t.Errorf("%d bytes, want %d; error %d", top.Total(), bytes, top.MaxError())
	}
	if rows := m.TopQname2.Top(nil, 1); rows[0].Key != ".flood.example" || rows[0].Lower != 2*n {
		t.Errorf("the first zone is %v", rows)
	}
}

// TestFlushOfFullTallyAllocs: the flush of a full tally causes no allocation, neither for names that are added to the tables nor
// for others.
func TestFlushOfFullTallyAllocs(t *testing.T) {
	l := newLab(t, nil)
	fill := func(round int) {
		for i := 0; !l.names.full(1); i++ {
			name := fmt.Appendf(nil, "\x0dr%012x\x05z%04d\x05flood\x07example\x00", round<<20|i, i%9000)
			e, _ := l.names.at(l.cfg.Seed.Bytes(name), name)
			e.messages, e.bytes = 2, uint64(100+i%50)
			e.outcomes[nxDomain]++
		}
	}
	for round := range 5 {
		l.names.reset()
		fill(round)
		if n := testing.AllocsPerRun(1, func() { l.flushNames(held{l.section}) }); round > 2 && n > 0 {
			t.Errorf("round %d: %v allocations", round, n)
		}
	}
}

// counted are keys that count how often they are locked.
type counted struct {
	held
	locks int
}

func (c *counted) Lock() *metric.Section {
	c.locks++
	return c.held.Lock()
}

// TestFlushInParts: a full tally is flushed in batches, each under its own lock.
func TestFlushInParts(t *testing.T) {
	l := newLab(t, nil)
	names := 0
	for ; !l.names.full(1); names++ {
		name := fmt.Appendf(nil, "\x06n%05d\x01z\x00", names)
		e, _ := l.names.at(l.cfg.Seed.Bytes(name), name)
		e.messages = 1
	}
	keys := &counted{held: held{l.section}}
	l.FlushKeys(false, keys)
	if keys.locks < names/batchSize {
		t.Errorf("%d names were flushed under %d locks", names, keys.locks)
	}
	if got := metric.Of[Metrics](l.section).TopQname2.Total(); got != uint64(names) {
		t.Errorf("%d of %d names were flushed", got, names)
	}
}

// TestPortsInParts: the flush of all possible ports takes few and short locks, and the error is no more than the weight of a
// light port.
func TestPortsInParts(t *testing.T) {
	l := newLab(t, nil)
	for range 3 {
		for port := range maxValues {
			l.udp.add(uint16(port))
		}
	}
	for range 1000 {
		l.udp.add(5353)
	}
	keys := &counted{held: held{l.section}}
	l.FlushKeys(true, keys)
	top := &metric.Of[Metrics](l.section).TopUDPPorts
	if got := top.Total(); got != 3*maxValues+1000 {
		t.Errorf("%d of %d were flushed", got, 3*maxValues+1000)
	}
	if lower, upper := top.Bounds([]byte("5353")); lower > 1003 || upper < 1003 || top.MaxError() > 3 {
		t.Errorf("the heaviest port came 1003 times: the table has %d to %d, with an error of %d", lower, upper, top.MaxError())
	}
	if len(l.udp.values) != 0 || l.udp.count(5353) != 0 {
		t.Errorf("the tally still has %d ports", len(l.udp.values))
	}
	if parts := top.Len() / batchSize; keys.locks < parts {
		t.Errorf("%d ports were flushed under %d locks", top.Len(), keys.locks)
	}
}
