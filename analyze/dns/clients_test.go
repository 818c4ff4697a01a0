package dns

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// wantDistinct compares the cardinalities of clients by the names of their paths.
func (l *lab) wantDistinct(m *Metrics, want map[string]float64) {
	l.t.Helper()
	for i := range lengths {
		c := lengths[i].count(m)
		if got := c.Estimate(); got < want[lengths[i].path]-0.5 || got > want[lengths[i].path]+0.5 {
			l.t.Errorf("%s is %v, want %v", lengths[i].path, got, want[lengths[i].path])
		}
	}
}

// TestClients: queries, NXDOMAIN responses and timeouts count at the client of the host and at its prefix, whether or not a
// flush came between the query and its end. What the host asks does not count.
func TestClients(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		l := newLab(t, nil).at(second)
		flush := func() {
			if flushed {
				l.flush()
			}
		}
		other, other6 := endpoint("198.51.100.9:40000"), endpoint("[2001:db8:99:8000::9]:40000")
		l.frame(udp(farClient, hostServer, query(1, "a.example")))
		l.frame(udp(farClient, hostServer, query(2, "b.example")))
		l.frame(udp(other, hostServer, query(3, "c.example"))) // no response
		l.frame(udp(far6, host6, query(4, "d.example")))
		l.frame(udp(other6, host6, query(5, "d.example"))) // no response
		l.frame(udp(hostClient, farServer, query(6, "e.example")))
		l.frame(udp(hostClient, farServer, query(7, "e.example"))) // no response
		l.frame(udp(farServer, farClient, query(8, "f.example")))  // without direction
		flush()
		l.frame(udp(hostServer, farClient, response(1, 3, "a.example")))
		l.frame(udp(hostServer, farClient, response(2, 0, "b.example")))
		l.frame(udp(host6, far6, response(4, 3, "d.example")))
		l.frame(udp(farServer, hostClient, response(6, 3, "e.example")))
		l.frame(udp(farClient, farServer, response(8, 3, "f.example")))
		l.frame(udp(hostServer, other, response(9, 3, "g.example"))) // its query was not seen
		flush()
		l.at(20 * second)
		m := l.flush()
		l.wantRows("top_clients", &m.TopClients, values{"198.51.100.7": 2, "198.51.100.9": 1, "2001:db8:99::7": 1, "2001:db8:99:8000::9": 1, "203.0.113.9": 1})
		l.wantRows("top_clients_nxdomain", &m.TopClientsNXDomain, values{"198.51.100.7": 1, "198.51.100.9": 1, "2001:db8:99::7": 1, "203.0.113.9": 1})
		l.wantRows("top_clients_timeout", &m.TopClientsTimeout, values{"198.51.100.9": 1, "2001:db8:99:8000::9": 1})
		l.wantRows("top_client_prefix", &m.TopClientPrefix, values{"198.51.100.0/24": 3, "2001:db8:99::/48": 2, "203.0.113.0/24": 1})
		l.wantRows("top_client_prefix_nxdomain", &m.TopClientPrefixNXDomain, values{"198.51.100.0/24": 2, "2001:db8:99::/48": 1, "203.0.113.0/24": 1})
		l.wantRows("top_client_prefix_timeout", &m.TopClientPrefixTimeout, values{"198.51.100.0/24": 1, "2001:db8:99::/48": 1})
		l.wantDistinct(m, map[string]float64{
			"clients.v4_8": 2, "clients.v4_16": 2, "clients.v4_24": 2, "clients.v4_32": 3,
			"clients.v6_32": 1, "clients.v6_48": 1, "clients.v6_56": 2, "clients.v6_64": 2, "clients.v6_128": 2,
		})
	}
}

// TestClientsAsOf: a response that is captured before its query counts once, and only at a client of the host.
func TestEarlyResponsesOfClients(t *testing.T) {
	l := newLab(t, nil).at(second)
	l.frame(udp(hostServer, farClient, response(1, 3, "a.example"))).frame(udp(farClient, hostServer, query(1, "a.example")))
	l.frame(udp(farServer, hostClient, response(2, 3, "b.example"))).frame(udp(hostClient, farServer, query(2, "b.example")))
	l.frame(udp(hostServer, hostClient, response(3, 3, "c.example"))).frame(udp(hostClient, hostServer, query(3, "c.example")))
	m := l.flush()
	l.wantRows("top_clients", &m.TopClients, values{"198.51.100.7": 1, "192.0.2.10": 1})
	l.wantRows("top_clients_nxdomain", &m.TopClientsNXDomain, values{"198.51.100.7": 1, "192.0.2.10": 1})
}

// TestManyClients counts the queries of many clients, heavy and light ones, more than the tables hold, beside a plain model. Sums are
// exact, the bounds hold for each client, and the heaviest are the first.
func TestManyClients(t *testing.T) {
	l := newLab(t, nil).at(second).exactly()
	r := rand.New(rand.NewPCG(7, 7))
	clients, nx, timeouts, prefixes, prefixNX := values{}, values{}, values{}, values{}, values{}
	distinct := map[string]map[string]bool{}
	const n = 150_000
	for i := range n {
		var addr netip.Addr
		switch heavy := r.IntN(10) == 0; {
		case heavy:
			addr = netip.AddrFrom4([4]byte{100, 64, byte(r.IntN(2)), byte(r.IntN(16))})
		case i%2 == 0:
			addr = decode.AddrFrom4(r.Uint32N(1<<30) | 1<<30).Netip()
		default:
			addr = decode.Addr{Hi: 0x2001_0db9<<32 | uint64(r.Uint32()), Lo: r.Uint64N(4)}.Netip()
		}
		from := netip.AddrPortFrom(addr, uint16(1024+r.IntN(60000)))
		server, bits := hostServer, 24
		if addr.Is6() {
			server, bits = host6, 48
		}
		prefix := netip.PrefixFrom(addr, bits).Masked().String()
		name, id := fmt.Sprintf("n%d.example", i%100), uint16(i)
		l.frame(udp(from, server, query(id, name)))
		clients[addr.String()]++
		prefixes[prefix]++
		for k := range lengths {
			if c := &lengths[k]; c.is4 == addr.Is4() {
				if distinct[c.path] == nil {
					distinct[c.path] = map[string]bool{}
				}
				distinct[c.path][netip.PrefixFrom(addr, c.bits).Masked().String()] = true
			}
		}
		switch r.IntN(4) {
		case 0:
			timeouts[addr.String()]++
		case 1:
			l.frame(udp(server, from, response(id, 3, name)))
			nx[addr.String()]++
			prefixNX[prefix]++
		default:
			l.frame(udp(server, from, response(id, 0, name)))
		}
		if i%1000 == 0 {
			l.at(l.now + 100*ms)
		}
	}
	m := l.at(l.now + 20*second).flush()
	if l.flushes < 3 || m.Evicted != 0 {
		t.Fatalf("%d flushes, %d evicted", l.flushes, m.Evicted)
	}
	for _, c := range []struct {
		name string
		top  *metric.Top
		want values
	}{
		{"clients", &m.TopClients, clients}, {"nxdomain", &m.TopClientsNXDomain, nx}, {"timeout", &m.TopClientsTimeout, timeouts},
		{"prefixes", &m.TopClientPrefix, prefixes}, {"nxdomain by prefix", &m.TopClientPrefixNXDomain, prefixNX},
	} {
		total := uint64(0)
		for _, n := range c.want {
			total += n
		}
		if c.top.Total() != total || c.top.MaxError() > total/1536 {
			t.Errorf("%s: total %d, want %d; error %d", c.name, c.top.Total(), total, c.top.MaxError())
		}
		for key, want := range c.want {
			if lower, upper := c.top.Bounds([]byte(key)); lower > want || upper < want {
				t.Fatalf("%s: %s has %d to %d, want %d", c.name, key, lower, upper, want)
			}
		}
		for _, row := range c.top.Top(nil, 2) {
			if c.want[row.Key] < 100 {
				t.Errorf("%s: a light client is first: %v", c.name, row)
			}
		}
	}
	for i := range lengths {
		c := lengths[i].count(m)
		if got, want := c.Estimate(), float64(len(distinct[lengths[i].path])); got < want*0.96 || got > want*1.04 {
			t.Errorf("%s: %v, want %v", lengths[i].path, got, want)
		}
	}
}

// TestOnlyCardinalities: an analyzer of a table without top tables still counts clients.
func TestOnlyCardinalities(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Table = Table.Select(func(d *metric.Desc) bool { return d.Path == "clients.v4_24" || d.Kind == metric.KindCounter })
	}).at(second)
	l.frame(udp(farClient, hostServer, query(1, "a.example")))
	l.flush()
	l.frame(udp(hostServer, farClient, response(1, 3, "a.example")))
	if m := l.flush(); m.ClientsV4n24.Estimate() != 1 || m.Xacts != 1 || m.TopClients.Total() != 0 {
		t.Errorf("%v prefixes, %d transactions", m.ClientsV4n24.Estimate(), m.Xacts)
	}
}

// networks is a Locator that knows two networks.
type networks struct{ asked int }

func (n *networks) ASN(a netip.Addr) string {
	n.asked++
	switch a.As16()[15] % 3 {
	case 0:
		return "64500/EVEN"
	case 1:
		return "64501/<b>odd</b>"
	}
	return ""
}

// TestDistinctNames: distinct names by client and by prefix, and distinct clients by network, are exact while they are few. What is
// asked again, before or after a flush, counts once.
func TestDistinctNames(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Locate = new(networks) }).at(second)
	ask := func(client string, names ...string) {
		for _, name := range names {
			l.frame(udp(endpoint(client), hostServer, query(uint16(len(name)), name)))
		}
	}
	for range 2 {
		ask("198.51.100.6:1", "a.example", "b.example", "B.example", "a.example")
		ask("198.51.100.7:1", "a.example", "c.example")
		l.flush()
		ask("198.51.100.6:1", "d.example")
		ask("203.0.113.9:1", ".", "a.example")
		ask("203.0.113.10:1", "a.example")
		ask("192.0.2.10:1", "e.example") // a client in the host subnets
		l.frame(udp(hostClient, farServer, query(1, "out.example")))
		l.frame(udp(hostServer, farClient, response(1, 0, "z.example")))
	}
	m := l.flush()
	for name, c := range map[string]struct {
		top  *metric.Distinct
		want values
	}{
		"names":               {&m.TopClientNames, values{"198.51.100.6": 3, "198.51.100.7": 2, "203.0.113.9": 2, "203.0.113.10": 1, "192.0.2.10": 1}},
		"names by prefix":     {&m.TopClientPrefixNames, values{"198.51.100.0/24": 4, "203.0.113.0/24": 2, "192.0.2.0/24": 1}},
		"clients by networks": {&m.TopASClients, values{"64500/EVEN": 2, "64501/<b>odd</b>": 3}},
	} {
		got := values{}
		for _, row := range c.top.Top(nil, 100) {
			if row.Lower != row.Upper {
				t.Errorf("%s: %v is not exact", name, row)
			}
			got[row.Key] = row.Lower
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestNamesFlood: a few clients ask for many random names among many clients that ask for few. The few are first, with bounds that hold,
// and the flood causes few flushes.
func TestNamesFlood(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(11, 11))
	names := map[string]map[string]bool{}
	const n = 100_000
	for i := range n {
		client, name := netip.AddrFrom4([4]byte{100, 66, byte(i >> 8), byte(i)}), fmt.Sprintf("n%d.example", i%50)
		if i%2 == 0 {
			client, name = netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i%3)}), fmt.Sprintf("r%07d.victim.example", r.IntN(1e7))
		}
		l.frame(udp(netip.AddrPortFrom(client, 999), hostServer, query(uint16(i), name)))
		if names[client.String()] == nil {
			names[client.String()] = map[string]bool{}
		}
		names[client.String()][name] = true
	}
	m := l.flush()
	rows := m.TopClientNames.Top(nil, 3)
	for _, row := range rows {
		want := uint64(len(names[row.Key]))
		if want < 10_000 || row.Lower > want || row.Upper < want || row.Lower < want*2/3 {
			t.Errorf("%+v, want %d", row, want)
		}
	}
	if row := m.TopClientPrefixNames.Top(nil, 1)[0]; row.Key != "198.51.100.0/24" {
		t.Errorf("the first prefix is %+v", row)
	}
	if l.flushes > 8 {
		t.Errorf("%d flushes", l.flushes)
	}
}

// TestMinutesOfPairs: after a minute with more pairs of clients and names than the tables hold, the next minute is exact again, and within a
// minute the pairs of all flushes count once.
func TestMinutesOfPairs(t *testing.T) {
	l := newLab(t, nil).at(60 * second)
	ask := func(n, names int) {
		for i := range n {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, 66, byte(i >> 8), byte(i)}), 999)
			l.frame(udp(client, hostServer, query(uint16(i), fmt.Sprintf("n%d.example", i%names))))
		}
	}
	ask(12_000, 211)
	m := l.flush()
	if m.TopClientNames.Exact() || m.TopClientPrefixNames.Exact() {
		t.Fatal("the tables hold all pairs")
	}
	row := func() sketch.Row { return m.TopClientPrefixNames.Top(nil, 1)[0] }
	l.at(110 * second).flush() // no query waits any more
	l.at(120 * second)
	l.section = Table.New()
	ask(512, 4)
	l.flush()
	ask(512, 4)
	m = l.flush()
	if !m.TopClientNames.Exact() || m.TopClientNames.Pairs() != 512 || !m.TopClientPrefixNames.Exact() || row().Lower != 4 || row().Upper != 4 {
		t.Errorf("%d pairs, first prefix %+v", m.TopClientNames.Pairs(), row())
	}
	if n := m.TopClientNames.Added(); n != 1024 {
		t.Errorf("%d pairs were added", n)
	}
}

// TestPairSlots: the samples of a shard have the sizes of the tables.
func TestPairSlots(t *testing.T) {
	for path, want := range map[string]int{"top_client_names": clientPairSlots, "top_client_prefix_names": prefixPairSlots} {
		if i, ok := Table.Find(path); !ok || Table.Descs[i].Slots != want {
			t.Errorf("%s has not %d slots", path, want)
		}
	}
}
