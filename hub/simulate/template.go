package simulate

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sort"

	"pktvisor/agent"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/metric"
	"pktvisor/minute"
)

// class is how busy a host is.
type class struct {
	draws  int    // queries that are drawn
	weight uint64 // and how often each counts
	rare   int    // clients and names that count only as distinct ones
}

// The classes of hosts. A tenth of the hosts is busy, and a tenth quiet.
var (
	busy   = class{draws: 8_000, weight: 40, rare: 20_000}
	normal = class{draws: 5_000, weight: 8, rare: 8_000}
	quiet  = class{draws: 60, weight: 1}
)

// template is the body of a snapshot. It has no time, so that it fits every minute.
type template struct {
	compression byte
	size        uint32 // of the body without compression, in bytes
	body        []byte
	counters    map[string]uint64 // by section.path
}

// The parts of a snapshot: see docs/snapshot.md.
const (
	prelude   = 20
	headerLen = 10 // offset of the length of the header, 2 bytes
	bodyLen   = 12 // offset of the length of the stored body, 4 bytes
	sizeLen   = 16 // offset of the length of the body without compression, 4 bytes
	checksum  = 4  // bytes
)

// newTemplate makes the template of a minute's traffic.
func newTemplate(c class, w *world, pop int, r *rand.Rand) template {
	b := metric.NewBucket(agent.Tables)
	b.Cover(0, minute.Seconds)
	fill(b, c, w, pop, r)
	b.Seal(8192)
	t := template{counters: map[string]uint64{}}
	for _, s := range b.Sections {
		for i, d := range s.Table.Descs {
			if d.Kind == metric.KindCounter && s.Counter(i) > 0 {
				t.counters[s.Table.Section+"."+d.Path] = s.Counter(i)
			}
		}
	}
	s := b.AppendSnapshot(nil, metric.SnapshotOptions{})
	t.compression = s[9]
	t.size = binary.LittleEndian.Uint32(s[sizeLen:])
	t.body = s[prelude+int(binary.LittleEndian.Uint16(s[headerLen:])) : len(s)-checksum]
	return t
}

// fill counts DNS queries and their responses in a bucket.
func fill(b *metric.Bucket, c class, w *world, pop int, r *rand.Rand) {
	ps, _ := b.Section(packets.Table.Section)
	ds, _ := b.Section(dns.Table.Section)
	t := traffic{p: metric.Of[packets.Metrics](ps), d: metric.Of[dns.Metrics](ds), world: w, pop: pop, r: r, weight: c.weight}
	for range c.draws {
		t.query()
	}
	for range c.rare {
		client := address(r.IntN(localClients), pop+1)
		t.p.SrcIPsIn.Add(client.AsSlice())
		t.p.DstIPsOut.Add(client.AsSlice())
		zone := zoneName(r.IntN(localNames), pop+1)
		name := labels[r.IntN(len(labels))] + "." + zone
		t.d.Qnames.Add([]byte(name))
		t.distinct(client, texts(client), name, zone)
	}
}

// traffic counts queries.
type traffic struct {
	p      *packets.Metrics
	d      *dns.Metrics
	world  *world
	pop    int
	r      *rand.Rand
	weight uint64
	key    []byte
}

// query counts a query to the host, as often as the weight says, and its response.
func (t *traffic) query() {
	n := t.weight
	count := func(counters ...*metric.Counter) {
		for _, c := range counters {
			*c += metric.Counter(n)
		}
	}
	second := int64(t.r.IntN(minute.Seconds))
	client := t.world.client(t.r, t.pop)
	asked, answered := 60+uint64(t.r.IntN(40)), 90+uint64(t.r.IntN(400))

	p := t.p
	count(&p.UDP, &p.UDP, &p.In, &p.Out)
	p.Total += metric.Counter(2 * n)
	p.DeepSamples += metric.Counter(2 * n)
	p.BytesIn += metric.Counter(n * (asked + 42))
	p.BytesOut += metric.Counter(n * (answered + 42))
	p.BytesTotal += metric.Counter(n * (asked + answered + 84))
	p.PpsIn.Add(second, n)
	p.PpsOut.Add(second, n)
	p.PpsTotal.Add(second, 2*n)
	p.BpsIn.Add(second, 8*n*(asked+42))
	p.BpsOut.Add(second, 8*n*(answered+42))
	p.BpsTotal.Add(second, 8*n*(asked+answered+84))
	p.Size.RecordN(asked+42, n)
	p.Size.RecordN(answered+42, n)
	p.PayloadSize.RecordN(asked, n)
	p.PayloadSize.RecordN(answered, n)
	raw := client.AsSlice()
	p.SrcIPsIn.Add(raw)
	p.DstIPsOut.Add(raw)
	t.key = client.AppendTo(t.key[:0])
	if client.Is4() {
		p.IPv4 += metric.Counter(2 * n)
		p.TopIPv4.Add(t.key, 2*n)
	} else {
		p.IPv6 += metric.Counter(2 * n)
		p.TopIPv6.Add(t.key, 2*n)
	}
	network := networkOf(raw)
	t.top(&p.TopGeoLoc, 2*n, "Europe/Country %d/City %d", network%40, network)
	t.key = appendNetwork(t.key[:0], network)
	p.TopASN.Add(t.key, 2*n)
	if network%8 == 0 {
		d := t.d
		d.ECS += metric.Counter(n)
		t.top(&d.TopECS, n, "%d.%d.%d.0/24", raw[0], raw[1], raw[2])
	}
	t.count(client, second, asked, answered)
}

// appendNetwork appends the name of a network.
func appendNetwork(dst []byte, network int) []byte {
	return fmt.Appendf(dst, "%d/Network %d", 64500+network, network)
}

// top adds weight to a key.
func (t *traffic) top(top *metric.Top, weight uint64, format string, args ...any) {
	t.key = fmt.Appendf(t.key[:0], format, args...)
	top.Add(t.key, weight)
}

// count counts the DNS messages of a query.
func (t *traffic) count(client netip.Addr, second int64, asked, answered uint64) {
	n, d := t.weight, t.d
	two := metric.Counter(2 * n)
	d.Total += two
	d.DeepSamples += two
	d.UDP += two
	if client.Is4() {
		d.IPv4 += two
	} else {
		d.IPv6 += two
	}
	d.Queries += metric.Counter(n)
	d.Replies += metric.Counter(n)
	d.In += metric.Counter(n)
	d.Out += metric.Counter(n)
	d.Xacts += metric.Counter(n)
	d.InTotal += metric.Counter(n)
	d.Rate.Add(second, 2*n)
	d.ResponseSize.RecordN(answered, n)
	micros := uint64(200 * math.Exp(t.r.NormFloat64()))
	d.InMicros.RecordN(micros, n)
	d.Ratio.RecordN(answered*10, n)

	zone, label := t.world.name(t.r, t.pop)
	name := label + "." + zone
	d.Qnames.Add([]byte(name))
	d.TopQname2.Add(append(append(t.key[:0], '.'), zone...), 2*n)
	d.TopQname3.Add([]byte(lastThree(label, zone)), 2*n)
	d.TopResponseBytes.Add([]byte(name), n*answered)
	qtype := [...]string{"A", "A", "A", "A", "AAAA", "AAAA", "HTTPS", "MX", "TXT", "PTR"}[t.r.IntN(10)]
	t.top(&d.TopQtype, 2*n, "%s", qtype)
	t.top(&d.TopOpcode, 2*n, "QUERY")
	t.top(&d.TopUDPPorts, 2*n, "%d", 1024+t.r.IntN(60000))
	if micros > 720 { // the p90
		d.SlowIn.Add([]byte(name), n)
	}
	rcode := "NOERROR"
	switch x := t.r.IntN(100); {
	case x < 12:
		rcode = "NXDOMAIN"
		d.NXDomain += metric.Counter(n)
		d.TopNXDomain.Add([]byte(name), n)
	case x < 14:
		rcode = "SERVFAIL"
		d.ServFail += metric.Counter(n)
		d.TopServFail.Add([]byte(name), n)
	case x < 15:
		rcode = "REFUSED"
		d.Refused += metric.Counter(n)
		d.TopRefused.Add([]byte(name), n)
	case x < 25:
		d.NoData += metric.Counter(n)
		d.NoError += metric.Counter(n)
		d.TopNoData.Add([]byte(name), n)
	default:
		d.NoError += metric.Counter(n)
		d.TopNoError.Add([]byte(name), n)
	}
	t.top(&d.TopRcode, n, "%s", rcode)
	t.groups(client, asked, answered, name, zone, qtype, rcode)
}

// The populations. 70% of the queries are for names of one ranking of the whole fleet, and 30% for names of the POP
// alone; 40% of the clients ask everywhere, and 60% only at their POP.
const (
	globalNames   = 200_000
	localNames    = 20_000
	globalClients = 100_000
	localClients  = 30_000
)

// labels are what names have before their zone. Two of seven names have four labels.
var labels = [...]string{"www", "api", "mail", "cdn", "img.static", "login", "a1.edge"}

// world has the populations of names and clients.
type world struct {
	names, local   ranking
	clients, close ranking
}

func newWorld() *world {
	return &world{newRanking(globalNames, 1), newRanking(localNames, 1), newRanking(globalClients, 0.9), newRanking(localClients, 0.9)}
}

// name draws a name: its zone, and the label before it.
func (w *world) name(r *rand.Rand, pop int) (zone, label string) {
	i, owner := w.names.draw(r), 0
	if r.IntN(10) < 3 {
		i, owner = w.local.draw(r), pop+1
	}
	return zoneName(i/len(labels), owner), labels[i%len(labels)]
}

// zoneName returns the name of a zone, a different one for each number and owner.
func zoneName(i, owner int) string {
	const consonants, vowels = "bcdfghjklmnprstvwxyz", "aeiou"
	var b []byte
	for range 3 {
		b = append(b, consonants[i%20], vowels[i/20%5])
		i /= 100
	}
	if owner > 0 {
		b = fmt.Appendf(b, "-p%d", owner)
	}
	return string(append(b, [...]string{".com", ".net", ".org", ".nl", ".de"}[len(b)%5]...))
}

// client draws the address of a client.
func (w *world) client(r *rand.Rand, pop int) netip.Addr {
	i, owner := w.clients.draw(r), 0
	if r.IntN(10) < 6 {
		i, owner = w.close.draw(r), pop+1
	}
	return address(i, owner)
}

// address returns the address of a client.
func address(i, owner int) netip.Addr {
	x := uint32(i)*0x2c9277b5 + uint32(owner)*0x1000193 // odd factors: no two clients of an owner have the same
	if i%5 == 0 {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], 0x2a00_0000_0000_0000|uint64(x&0xfffff)<<24|uint64(owner))
		binary.BigEndian.PutUint32(a[12:], uint32(i))
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{byte(11 + x>>26), byte(x >> 16), byte(x >> 8), byte(x)})
}

// ranking draws ranks with probabilities proportional to 1/(rank+1)^s.
type ranking []float64 // the sums of the probabilities

func newRanking(n int, s float64) ranking {
	z := make(ranking, n)
	sum := 0.0
	for i := range z {
		sum += math.Pow(float64(i+1), -s)
		z[i] = sum
	}
	return z
}

func (z ranking) draw(r *rand.Rand) int { return sort.SearchFloat64s(z, r.Float64()*z[len(z)-1]) }
