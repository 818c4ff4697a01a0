package testkit

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"
)

func generate(t testing.TB, cfg TrafficConfig) ([]byte, *Truth) {
	t.Helper()
	var b bytes.Buffer
	truth, err := Generate(&b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), truth
}

// small returns a preset's traffic with a few thousand packets.
func small(cfg TrafficConfig, packets int) TrafficConfig {
	cfg.Packets, cfg.Names, cfg.Clients, cfg.Seed = packets, min(cfg.Names, 2000), min(cfg.Clients, 1000), 7
	cfg.Rate = 400
	return cfg
}

// TestTrafficIsAsTSharkSeesIt: tshark agrees with what the generator says about its traffic.
func TestTrafficIsAsTSharkSeesIt(t *testing.T) {
	for _, name := range PresetNames() {
		t.Run(name, func(t *testing.T) {
			cfg := small(Presets[name](), 3000)
			cfg.Nano = name == "large-dnssec"
			b, truth := generate(t, cfg)
			path := filepath.Join(t.TempDir(), "traffic.pcap")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			got, c := TShark(t, path), &truth.Total
			want := &Answers{
				Packets: c.Packets, Bytes: c.Bytes, IPv4: c.IPv4, IPv6: c.IPv6, NonIP: c.NonIP, UDP: c.UDP, TCP: c.TCP, OtherL4: c.OtherL4,
				TCPSyn: c.TCPSyn, TCPSynAck: c.TCPSynAck, Messages: c.DNSMessages, Queries: c.Queries, Replies: c.Replies,
				DNSUDP: c.DNSUDP, DNSTCP: c.DNSTCP, DNSIPv4: c.DNSIPv4, DNSIPv6: c.DNSIPv6, Truncated: c.Truncated, Nodata: c.Nodata,
				EDNS: c.EDNS, ECS: c.ECS, WithQuestion: c.DNSMessages, Qnames: c.DistinctQnames,
				Rcodes: asMap(c.Tables.Rcode), Qtypes: asMap(c.Tables.Qtype), TopQnames: c.Tables.Qname[:10],
				TopNXDomain: head(c.Tables.NXDomain), TopServfail: head(c.Tables.Servfail), TopRefused: head(c.Tables.Refused),
			}
			// tshark's pairings have no timeout, so they include the late responses.
			late := c.OrphansIn + c.OrphansOut - got.RepliesWithoutQuery
			want.PairsSimple = c.XactIn + c.XactOut + late
			want.PairsSameQname, want.PairsTShark = want.PairsSimple, want.PairsSimple
			want.RepliesWithoutQuery = got.RepliesWithoutQuery
			want.QueriesWithoutReply = c.TimeoutsIn + c.TimeoutsOut + c.PendingIn + c.PendingOut - late
			if cfg.LateShare == 0 && late != 0 {
				t.Errorf("%d late responses, want none", late)
			}
			got.SrcIPs, got.DstIPs, got.TopSrcIPs = 0, 0, nil // these are of both sides; the truth counts the other side only
			if name == "all-distinct-names" {
				got.TopQnames, want.TopQnames, got.TopNXDomain, want.TopNXDomain = nil, nil, nil, nil // all rows are ties
			}
			if name == "adversarial" { // among queries with the same ID, tshark pairs an arbitrary one
				want.PairsSimple, want.PairsTShark, want.PairsSameQname = got.PairsSimple, got.PairsTShark, got.PairsSameQname
				want.QueriesWithoutReply = got.QueriesWithoutReply
			}
			for _, a := range []*Answers{got, want} {
				dropTies(&a.TopQnames, &a.TopNXDomain, &a.TopServfail, &a.TopRefused)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-truth +tshark:\n%s", diff)
			}
		})
	}
}

// dropTies removes the rows that have the same count as the tenth, because more rows may have it.
func dropTies(tables ...*[]Row) {
	for _, rows := range tables {
		if len(*rows) == 10 {
			least := (*rows)[9].Count
			*rows = slices.DeleteFunc(*rows, func(r Row) bool { return r.Count == least })
		}
	}
}

func head(rows []Row) []Row { return rows[:min(10, len(rows))] }

func asMap(rows []Row) map[string]uint64 {
	m := map[string]uint64{}
	for _, r := range rows {
		m[strings.Replace(r.Name, "SRVFAIL", "SERVFAIL", 1)] = r.Count
	}
	return m
}

// oracle counts the UDP transactions of a capture with gopacket and miekg/dns.
type oracle struct {
	names, peers4 map[string]uint64
	qname3        map[string]uint64
	in, out       []int64
	orphans       int
	queries       map[string]time.Time
	srcIn, dstOut map[netip.Addr]bool
}

func (o *oracle) packet(t *testing.T, data []byte, at time.Time) {
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil && p.Layer(layers.LayerTypeDNS) == nil {
		t.Fatalf("gopacket cannot decode a frame: %v", p.ErrorLayer().Error())
	}
	ip := p.NetworkLayer()
	if ip == nil {
		return
	}
	src, _ := netip.AddrFromSlice(ip.NetworkFlow().Src().Raw())
	dst, _ := netip.AddrFromSlice(ip.NetworkFlow().Dst().Raw())
	host := func(a netip.Addr) bool {
		return netip.MustParsePrefix("192.0.2.0/24").Contains(a) || netip.MustParsePrefix("2001:db8:53::/48").Contains(a)
	}
	if host(dst) {
		o.srcIn[src] = true
		if src.Is4() {
			o.peers4[src.String()]++
		}
	} else if host(src) {
		o.dstOut[dst] = true
		if dst.Is4() {
			o.peers4[dst.String()]++
		}
	}
	udp, ok := p.TransportLayer().(*layers.UDP)
	if !ok || udp.SrcPort != 53 && udp.DstPort != 53 {
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(udp.Payload); err != nil {
		t.Fatalf("miekg/dns cannot read a message: %v", err)
	}
	name := strings.ToLower(strings.TrimSuffix(m.Question[0].Name, "."))
	o.names[name]++
	if l := strings.Split(name, "."); len(l) == 3 {
		o.qname3[name]++
	} else if len(l) > 3 {
		o.qname3["."+strings.Join(l[len(l)-3:], ".")]++
	}
	key := fmt.Sprint(src, udp.SrcPort, dst, udp.DstPort, m.Id)
	if !m.Response {
		o.queries[key] = at
		return
	}
	key = fmt.Sprint(dst, udp.DstPort, src, udp.SrcPort, m.Id)
	asked, ok := o.queries[key]
	delete(o.queries, key)
	switch d := at.Sub(asked); {
	case !ok || d > 5*time.Second:
		o.orphans++
	case host(src):
		o.in = append(o.in, int64(d))
	default:
		o.out = append(o.out, int64(d))
	}
}

func TestTruthIsAsGopacketSeesIt(t *testing.T) {
	cfg := TinyMixed()
	cfg.TCPShare, cfg.Seed = 0, 3
	b, truth := generate(t, cfg)
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{names: map[string]uint64{}, peers4: map[string]uint64{}, qname3: map[string]uint64{}, queries: map[string]time.Time{},
		srcIn: map[netip.Addr]bool{}, dstOut: map[netip.Addr]bool{}}
	seconds := map[int64]uint32{}
	var last time.Time
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if info.Timestamp.Before(last) {
			t.Fatal("frames are not in order of time")
		}
		last = info.Timestamp
		seconds[info.Timestamp.Unix()]++
		o.packet(t, data, info.Timestamp)
	}
	total := &truth.Total
	for what, pair := range map[string][2]any{
		"qnames": {truth.Keys("Qname"), o.names}, "IPv4 peers": {truth.Keys("IPv4"), o.peers4},
		"latencies in": {newDistribution(o.in), total.XactInLatency}, "latencies out": {newDistribution(o.out), total.XactOutLatency},
		"src_ips_in": {uint64(len(o.srcIn)), total.SrcIPsIn}, "dst_ips_out": {uint64(len(o.dstOut)), total.DstIPsOut},
		"orphans": {uint64(o.orphans), total.OrphansIn + total.OrphansOut}, "distinct qnames": {uint64(len(o.names)), total.DistinctQnames},
	} {
		if diff := cmp.Diff(pair[0], pair[1], cmp.AllowUnexported(Distribution{})); diff != "" {
			t.Errorf("%s differ:\n%s", what, diff)
		}
	}
	for _, row := range total.Tables.Qname3 {
		if o.qname3[row.Name] != row.Count {
			t.Errorf("qname3 %s: %d, want %d", row.Name, row.Count, o.qname3[row.Name])
		}
	}
	for _, s := range truth.Seconds {
		if seconds[s.Unix] != s.Packets {
			t.Errorf("second %d: %d packets, want %d", s.Unix, s.Packets, seconds[s.Unix])
		}
	}
}

// TestTruthAddsUp: the minutes add up to the total, and tables and seconds to the counters.
func TestTruthAddsUp(t *testing.T) {
	_, truth := generate(t, TinyMixed())
	var sum Counts
	distinct := uint64(0)
	for i, m := range truth.Minutes {
		sum.add(&m.Counts)
		distinct = max(distinct, m.DistinctQnames)
		if m.Start%minute != 0 || m.First < m.Start || m.Last >= m.Start+minute || i > 0 && m.Start != truth.Minutes[i-1].Start+minute {
			t.Errorf("minute %d is %d, first %d, last %d", i, m.Start, m.First, m.Last)
		}
	}
	total := truth.Total
	sum.PendingIn, sum.PendingOut = total.PendingIn, total.PendingOut
	if diff := cmp.Diff(sum, total.Counts); diff != "" {
		t.Errorf("minutes and total differ:\n%s", diff)
	}
	if len(truth.Minutes) < 3 || total.DistinctQnames < distinct {
		t.Errorf("%d minutes; %d distinct names, %d in one", len(truth.Minutes), total.DistinctQnames, distinct)
	}
	tables := map[string]uint64{"Qname": total.DNSMessages, "Qname2": total.DNSMessages, "Qtype": total.DNSMessages, "Rcode": total.Replies,
		"NXDomain": total.NXDomain, "Servfail": total.Servfail, "Refused": total.Refused, "Nodata": total.Nodata, "UDPPorts": total.DNSUDP}
	for table, want := range tables {
		n := uint64(0)
		for _, c := range truth.Keys(table) {
			n += c
		}
		if n != want || want == 0 {
			t.Errorf("table %s holds %d, want %d", table, n, want)
		}
	}
	n := uint64(0)
	for _, s := range truth.Seconds {
		n += uint64(s.Packets)
	}
	if n != total.Packets || total.Queries != total.XactIn+total.XactOut+total.TimeoutsIn+total.TimeoutsOut+total.PendingIn+total.PendingOut {
		t.Errorf("%d packets in seconds, %d in all; %d queries: %+v", n, total.Packets, total.Queries, total.Counts)
	}
	if total.XactInLatency.N != total.XactIn || total.ReplyBytes.N != total.Replies {
		t.Errorf("distributions of %d and %d values", total.XactInLatency.N, total.ReplyBytes.N)
	}
}

func TestTrafficIsDeterministic(t *testing.T) {
	cfg := small(DNSHeavy(), 5000)
	a, _ := generate(t, cfg)
	b, _ := generate(t, cfg)
	cfg.Seed++
	c, _ := generate(t, cfg)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("the same seed gives different bytes, or different seeds give the same bytes")
	}
}

func TestTrafficHasExactlyThePackets(t *testing.T) {
	for _, name := range PresetNames() {
		for _, n := range []int{1, 2, 3, maxTCPFrames - 1, maxTCPFrames, 1000} {
			_, truth := generate(t, small(Presets[name](), n))
			if truth.Total.Packets != uint64(n) {
				t.Errorf("%s: %d packets, want %d", name, truth.Total.Packets, n)
			}
		}
	}
}

func TestPresetsAreWhatTheySay(t *testing.T) {
	_, tcp := generate(t, small(AllTCP(), 5000))
	_, namesFlood := generate(t, small(AllDistinctNames(), 5000))
	_, sources := generate(t, small(AllDistinctSources(), 5000))
	_, large := generate(t, small(LargeDNSSEC(), 5000))
	_, heavy := generate(t, small(DNSHeavy(), 50_000))
	if c := tcp.Total; c.TCP < c.Packets*99/100 {
		t.Errorf("all-tcp: %d of %d packets", c.TCP, c.Packets)
	}
	if c := namesFlood.Total; c.DistinctQnames < c.Queries || c.Tables.Qname[0].Count > 2 {
		t.Errorf("all-distinct-names: %d names of %d queries, the top one %d times", c.DistinctQnames, c.Queries, c.Tables.Qname[0].Count)
	}
	if c := sources.Total; c.Tables.IPv4[0].Count > 2 || c.SrcIPsIn < c.Queries {
		t.Errorf("all-distinct-sources: %d sources of %d queries", c.SrcIPsIn, c.Queries)
	}
	if d := large.Total.ReplyBytes; d.P50 < 1000 || d.Max > 1452 {
		t.Errorf("large-dnssec: replies of %d to %d bytes, half of them under %d", d.Min, d.Max, d.P50)
	}
	c := heavy.Total
	for what, pair := range map[string][2]float64{
		"DNS share":     {float64(c.DNSMessages) / float64(c.Packets), 0.92}, // DNS conversations have two frames, the others one
		"IPv6 share":    {float64(c.IPv6) / float64(c.Packets), 0.15},
		"nodata share":  {float64(c.Nodata) / float64(c.Replies), 0.057},
		"median in":     {float64(c.XactInLatency.P50), 300e3},
		"p99 in":        {float64(c.XactInLatency.P99), 20e6},
		"median out":    {float64(c.XactOutLatency.P50), 12e6},
		"share of in":   {float64(c.XactIn) / float64(c.XactIn+c.XactOut), 0.8},
		"unanswered":    {float64(c.Queries-c.XactIn-c.XactOut) / float64(c.Queries), 0.01},
		"packets a sec": {float64(c.Packets) / float64(c.Last-c.First) * 1e9, 400},
	} {
		if got, want := pair[0], pair[1]; math.Abs(got-want) > 0.15*want {
			t.Errorf("dns-heavy: %s is %.4g, want about %.4g", what, got, want)
		}
	}
}

func TestTrafficConfigIsChecked(t *testing.T) {
	cfg := TrafficConfig{DNSShare: 2, IPv6Share: -1, EDNSShare: math.NaN(), Rate: -1, In: Latency{2, 1}}
	_, err := Generate(io.Discard, cfg)
	for _, field := range []string{"DNSShare", "IPv6Share", "EDNSShare", "Rate", "P99"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
}

func TestZipf(t *testing.T) {
	const n, draws, s = 1000, 1_000_000, 1.1
	z, r := newZipf(n, s), rand.New(rand.NewPCG(1, 2))
	var hits [n]float64
	for range draws {
		hits[z.draw(r)]++
	}
	total := 0.0
	for i := range n {
		total += math.Pow(float64(i+1), -s)
	}
	for _, i := range []int{0, 1, 9, 99, 999} {
		want := draws * math.Pow(float64(i+1), -s) / total
		if math.Abs(hits[i]-want) > 5*math.Sqrt(want) {
			t.Errorf("rank %d: %v draws, want %.0f", i, hits[i], want)
		}
	}
}

func TestPeersAndNamesDiffer(t *testing.T) {
	addrs := map[netip.Addr]bool{}
	for class := range numPeerClasses {
		n := uint32(200_000)
		if class == upstreams4 || class == upstreams6 {
			n = upstreams
		}
		for i := range n {
			a := peer{class, i}.addr(99)
			if addrs[a] || !a.IsGlobalUnicast() || a.IsPrivate() || a.Is4() != (class == clients4 || class == upstreams4) {
				t.Fatalf("peer %d of class %d is %v, which occurred before or is not a public address", i, class, a)
			}
			addrs[a] = true
		}
	}
	p := newNames(50_000, 3, 3)
	for i := range uint32(50_000) {
		p.newRandom(i)
	}
	seen := map[string]bool{}
	for i := range uint32(100_000) {
		name := p.text(i)
		if seen[name] || strings.HasPrefix(name, ".") || len(name) > 253 {
			t.Fatalf("name %d is %q, which is not valid or occurred before", i, name)
		}
		seen[name] = true
	}
}

func TestLastLabels(t *testing.T) {
	for _, c := range []struct {
		name       string
		two, three string
	}{
		{"www.a.example.com", ".example.com", ".a.example.com"}, {"a.example.com", ".example.com", "a.example.com"},
		{"example.com", "example.com", ""}, {"com", "", ""}, {"", "", ""},
	} {
		if two, three := lastLabels(c.name, 2), lastLabels(c.name, 3); two != c.two || three != c.three {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, two, three, c.two, c.three)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	const packets = 200_000
	var bytes int64
	for b.Loop() {
		truth, err := Generate(io.Discard, func() TrafficConfig { c := DNSHeavy(); c.Packets = packets; return c }())
		if err != nil {
			b.Fatal(err)
		}
		bytes = int64(truth.Total.Bytes)
	}
	b.SetBytes(bytes)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packets, "ns/packet")
}
