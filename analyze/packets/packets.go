package packets

import (
	"net/netip"
	"slices"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// Locator returns the names of the location and the network of an address. A name is empty if it is not known. Several
// shards may call a Locator at once.
type Locator interface {
	City(netip.Addr) string
	ASN(netip.Addr) string
}

// Topic declares the analyzer. If locate is nil, the tables of locations and networks stay empty.
func Topic(locate Locator) analyze.Topic {
	return analyze.Topic{
		Table: Table,
		New: func(set analyze.Settings) func(analyze.Shard) analyze.Analyzer {
			return func(shard analyze.Shard) analyze.Analyzer {
				return New(Config{Table: set.Table, Seed: set.Seed, Sampler: shard.Sampler, Flush: shard.Flush, Open: shard.Open, Locate: locate, Scale: set.Scale, BlindKey: set.BlindKey})
			}
		},
		Memory: func(table *metric.Table, scale int) int64 { return bytesAt(scale, wantedBy(table, locate)) },
	}
}

// Config holds the settings of an analyzer.
type Config struct {
	// Table is [Table] or a selection from it. Nil stands for [Table].
	Table   *metric.Table
	Seed    *seedhash.Seed
	Sampler *analyze.Sampler
	// Locate returns the names of an address's location and network. An empty name is not counted. Locate may be nil.
	Locate Locator
	// Flush makes the shard flush this analyzer's counts and keys.
	Flush func()
	// Open returns the section for the rates of a second. If it is nil, rates go to the section that is flushed to.
	Open analyze.Open
	// Scale changes the size of the tally: see [analyze.Scaled].
	Scale int
	// BlindKey is that of [analyze.Settings].
	BlindKey *[sketch.BlindKeyLen]byte
}

// Analyzer counts packets for one shard.
type Analyzer struct {
	cfg            Config
	idle           bool // no group has come that needs the tables, and there is no room in them
	counters       Counters
	load           metric.Load // of the packets in the sample
	rated          volume      // the counters at the end of the last second
	seconds        analyze.Seconds[volume]
	cells          [numCells]cell
	size           sketch.DenseHistogram
	payload        sketch.DenseHistogram
	peers          *analyze.Tally[peer] // nil if no metric needs the addresses
	firstFragments [numFirstFragments]firstFragment
	keys           [analyze.GroupSize]peerKey // of the packets of a group that count at an address
	batch          batch
	weights        []uint64 // of the addresses of one IP version, while they are flushed
	wanted         wanted
	// lowest is the lowest direction whose packets count at an address: Ingress, or NumDirections if no metric needs the
	// addresses.
	lowest analyze.Direction
	// offered is for packets that a filter rejected.
	offered analyze.Offered

	cities, networks locationSums // the sums of a flush
}

// cell counts the IP packets of one direction, IP version and protocol. A packet adds to one cell, and the flush makes a
// dozen counters from the cells.
type cell struct{ packets, bytes uint64 }

// The index of a cell has the direction in its upper bits, then a bit for IPv6, and the protocol in its lower two bits.
const (
	numCells = analyze.NumDirections << 3
	cellIPv6 = 1 << 2
	cellUDP  = 1
	cellTCP  = 2
)

var protocolCell = [256]uint8{decode.ProtoUDP: cellUDP, decode.ProtoTCP: cellTCP}

// peer is a remote address, and the number of packets between it and the host.
type peer struct {
	addr    decode.Addr
	packets [2]uint32 // in, out
}

// peerKey is the hash of an address, and the index in its group of a packet that counts at the address.
type peerKey struct {
	hash   uint64
	packet uint32
}

// New makes an analyzer. In a process that waits for events, it has no tables before the first packet: see [memory.IsOnDemand].
func New(cfg Config) *Analyzer {
	a := &Analyzer{cfg: cfg, wanted: wantedBy(cfg.Table, cfg.Locate), lowest: analyze.NumDirections}
	if a.idle = memory.IsOnDemand(); a.idle {
		a.makeTables(0)
	} else {
		a.makeTables(sizeAt(cfg.Scale))
	}
	a.batch.wanted, a.batch.blind = a.wanted, sketch.NewBlind(cfg.BlindKey)
	return a
}

// Packets counts the packets of a group.
// It is not inlined, because its loops need all registers.
//
//go:noinline
func (a *Analyzer) Packets(group []analyze.Packet) {
	if a.peers != nil && a.peers.Full(len(group)) {
		a.reserve()
	}
	// The tally's slots for all addresses of the group are loaded before the first address is counted: see
	// [analyze.Tally.Prefetch]. That loop does nothing else, so that the CPU has as many loads in progress as it can.
	all, n := a.cfg.Sampler.All(), uint(0)
	for i := range group {
		p := &group[i]
		a.size.Record(uint64(p.WireLen))
		if p.Kind != decode.KindIP {
			a.notIP(p)
			continue
		}
		at := &a.cells[uint(p.Direction)<<3|uint(p.Version&2)<<1|uint(protocolCell[p.Proto])]
		at.packets++
		at.bytes += uint64(p.WireLen)
		if p.Flags&decode.FlagL4 != 0 {
			a.payload.Record(uint64(p.PayloadLen))
		}
		if p.TCPFlags&(decode.TCPSyn|decode.TCPRst) != 0 {
			a.tcp(p)
		}
		if p.Flags&(decode.FlagFragment|decode.FlagL4Malformed) != 0 {
			a.fragmentOrMalformed(p)
		}
		if !all {
			class, in := a.cfg.Sampler.Packet(p)
			if !in {
				continue
			}
			a.load.Events[class%metric.LoadClasses]++
		}
		a.counters.DeepSamples++
		if p.Direction >= a.lowest {
			f := &a.keys[n%analyze.GroupSize]
			f.packet, f.hash = uint32(i), a.cfg.Seed.Addr(otherSide(p))
			n++
		}
	}
	keys := a.keys[:n]
	var loaded uint64
	for i := range keys {
		loaded ^= a.peers.Prefetch(keys[i].hash)
	}
	memory.KeepLoad(loaded)
	for i := range keys {
		f := &keys[i]
		p := &group[f.packet]
		e, _, fresh := a.peers.At(f.hash)
		if fresh {
			e.addr = otherSide(p)
		}
		e.packets[(p.Direction-analyze.Ingress)&1]++
	}
}

// otherSide returns the remote address of a packet whose direction is known. It has no branches, because the CPU would
// mispredict half of them.
func otherSide(p *analyze.Packet) decode.Addr {
	out := -uint64(p.Direction >> 1) // all ones for Egress
	return decode.Addr{Hi: p.Src.Hi ^ (p.Src.Hi^p.Dst.Hi)&out, Lo: p.Src.Lo ^ (p.Src.Lo^p.Dst.Lo)&out}
}

// notIP counts a packet that is not IP.
func (a *Analyzer) notIP(p *analyze.Packet) {
	c := &a.counters
	c.Total++
	c.BytesTotal += metric.Counter(p.WireLen)
	c.OtherL4++
	c.UnknownDir++
	switch p.Kind {
	case decode.KindNonIP:
		c.NonIP++
	case decode.KindMalformed:
		c.Malformed++
	default:
		c.Unsupported++
	}
}

// fragmentOrMalformed counts a fragment, or a packet whose TCP or UDP header could not be read.
func (a *Analyzer) fragmentOrMalformed(p *analyze.Packet) {
	if p.Flags&decode.FlagFragment != 0 {
		a.counters.Fragments++
		a.fragment(p)
	}
	if p.Flags&decode.FlagL4Malformed != 0 {
		a.counters.MalformedL4++
	}
}

// tcp counts a segment that opens or resets a connection.
func (a *Analyzer) tcp(p *analyze.Packet) {
	switch {
	case p.TCPFlags&decode.TCPRst != 0:
		a.counters.TCPRst++
	case p.TCPFlags&decode.TCPAck != 0:
		a.counters.TCPSynAck++
	default:
		a.counters.TCPSyn++
	}
}

// sumCells adds the cells to the counters.
func (a *Analyzer) sumCells() {
	for i, x := range a.cells {
		a.counters.addCell(i, metric.Counter(x.packets), metric.Counter(x.bytes))
	}
	clear(a.cells[:])
}

// addCell adds packets and bytes of the cell with the given index.
func (c *Counters) addCell(i int, packets, bytes metric.Counter) {
	c.Total += packets
	c.BytesTotal += bytes
	switch i & 3 {
	case cellUDP:
		c.UDP += packets
	case cellTCP:
		c.TCP += packets
	default:
		c.OtherL4 += packets
	}
	if i&cellIPv6 != 0 {
		c.IPv6 += packets
	} else {
		c.IPv4 += packets
	}
	switch analyze.Direction(i >> 3) {
	case analyze.Ingress:
		c.In += packets
		c.BytesIn += bytes
	case analyze.Egress:
		c.Out += packets
		c.BytesOut += bytes
	default:
		c.UnknownDir += packets
	}
}

// Tick does nothing, because no packet waits. Restart needs it: see [analyze.Waiter].
func (a *Analyzer) Tick(int64) {}

// Finish does nothing, for the same reason.
func (a *Analyzer) Finish() {}

// Restart forgets the first fragments.
func (a *Analyzer) Restart() { clear(a.firstFragments[:]) }

// Offered implements [analyze.Sifted].
func (a *Analyzer) Offered(n uint64) { a.offered.Add(n) }

// volume has the counters that have rates.
type volume struct{ in, out, total, bytesIn, bytesOut, bytesTotal, ip, deep metric.Counter }

// ip returns the number of packets that could be in the sample.
func (c *Counters) ip() metric.Counter { return c.IPv4 + c.IPv6 }

func (c *Counters) volume() volume {
	return volume{c.In, c.Out, c.Total, c.BytesIn, c.BytesOut, c.BytesTotal, c.ip(), c.DeepSamples}
}

// addTo adds the counts of a second to its rates.
func (v *volume) addTo(m *Metrics, second int64) {
	m.PpsIn.Add(second, uint64(v.in))
	m.PpsOut.Add(second, uint64(v.out))
	m.PpsTotal.Add(second, uint64(v.total))
	m.BpsIn.Add(second, 8*uint64(v.bytesIn))
	m.BpsOut.Add(second, 8*uint64(v.bytesOut))
	m.BpsTotal.Add(second, 8*uint64(v.bytesTotal))
}

// EndSecond keeps the counts since the end of the previous second for the rates.
func (a *Analyzer) EndSecond(second int64) {
	a.sumCells()
	c, r := &a.counters, a.rated
	a.rated = c.volume()
	n := a.rated
	a.seconds.Add(second, volume{
		n.in - r.in, n.out - r.out, n.total - r.total, n.bytesIn - r.bytesIn, n.bytesOut - r.bytesOut, n.bytesTotal - r.bytesTotal,
		n.ip - r.ip, n.deep - r.deep,
	})
}

// FlushCounts adds the counters, rates and sizes to the bucket's section.
func (a *Analyzer) FlushCounts(s *metric.Section, second int64) {
	a.EndSecond(second)
	m := metric.Of[Metrics](s)
	a.seconds.Take(func(second int64, v volume) {
		s := a.cfg.Open.Section(s, second)
		if s == nil {
			a.counters.Late += v.total
			return
		}
		v.addTo(metric.Of[Metrics](s), second)
		s.CountSample(second, uint64(v.ip), uint64(v.deep))
	})
	a.counters.Filtered = a.offered.Filtered(a.counters.Total)
	s.AddSample(metric.SampleCounts{Share: a.cfg.Sampler.Share(), Seen: uint64(a.counters.ip()), Taken: uint64(a.counters.DeepSamples), Load: &a.load})
	metric.AddCounters(&m.Counters, &a.counters)
	a.rated = volume{}
	m.Size.AddDense(&a.size)
	a.size.Reset()
	m.PayloadSize.AddDense(&a.payload)
	a.payload.Reset()
}

// locate sums the packets of the addresses up by location and by network. A look-up in the GeoIP databases takes half a
// microsecond.
func (a *Analyzer) locate(peers []peer) {
	a.cities.reset()
	a.networks.reset()
	if !a.wanted.cities && !a.wanted.networks {
		return
	}
	for i := range peers {
		e := &peers[i]
		addr := e.addr.Netip()
		if a.wanted.cities {
			a.cities.add(a.cfg.Locate.City(addr), e.weight())
		}
		if a.wanted.networks {
			a.networks.add(a.cfg.Locate.ASN(addr), e.weight())
		}
	}
}

// locationSums sums packets up by the name of a location or a network.
type locationSums struct {
	at   map[string]int // the index of each name in sums
	sums []locationSum  // in the order in which the names came
}

type locationSum struct {
	name    string
	packets uint64
}

func (p *locationSums) add(name string, packets uint64) {
	if name == "" {
		return
	}
	i, known := p.at[name]
	if !known {
		if p.at == nil {
			p.at = make(map[string]int)
		}
		i = len(p.sums)
		p.at[name] = i
		p.sums = append(p.sums, locationSum{name: name})
	}
	p.sums[i].packets += packets
}

// addTo adds the sums to a table.
func (p *locationSums) addTo(top *metric.Top) {
	for _, s := range p.sums {
		top.Add([]byte(s.name), s.packets)
	}
}

func (p *locationSums) reset() {
	clear(p.at)
	clear(p.sums)
	p.sums = p.sums[:0]
}

// FlushKeys adds the addresses to the bucket's section.
func (a *Analyzer) FlushKeys(_ bool, keys analyze.Keys) {
	if a.peers == nil {
		return
	}
	peers, b := a.peers.Entries(), &a.batch
	a.locate(peers)
	m := metric.Of[Metrics](keys.Lock())
	a.cities.addTo(&m.TopGeoLoc)
	a.networks.addTo(&m.TopASN)
	if a.wanted.top4 {
		b.sieve4 = a.shed(&m.TopIPv4, peers, true)
	}
	if a.wanted.top6 {
		b.sieve6 = a.shed(&m.TopIPv6, peers, false)
	}
	keys.Unlock()
	if !a.wanted.text() {
		peers = nil
	}
	for part := range slices.Chunk(peers, batchSize) {
		b.fill(part)
		b.addTo(metric.Of[Metrics](keys.Lock()))
		keys.Unlock()
	}
	a.peers.Reset()
}

// shed returns the sieve of the table of one IP version. Addresses that do not pass it are too light for the table.
func (a *Analyzer) shed(top *metric.Top, peers []peer, is4 bool) sketch.Sieve {
	if len(peers) <= top.Capacity() {
		return sketch.Sieve{}
	}
	a.weights = a.weights[:0]
	for i := range peers {
		if e := &peers[i]; e.addr.Is4() == is4 {
			a.weights = append(a.weights, e.weight())
		}
	}
	return top.Shed(a.weights)
}

// weight returns the number of packets, in and out.
func (e *peer) weight() uint64 { return uint64(e.packets[0]) + uint64(e.packets[1]) }

// batch holds addresses that are being added to the sketches. All of them are added to one sketch before the next.
type batch struct {
	wanted         wanted
	blind          *sketch.Blind // of the hashes for the cardinalities
	text           []byte
	in, out        []sketch.Hashed // for the cardinalities
	addrs          [batchSize]sketch.Prepared
	rows4, rows6   [batchSize]sketch.Weighted
	n4, n6         int
	sieve4, sieve6 sketch.Sieve // of the top tables
}

const batchSize = 256

// fill converts at most batchSize addresses to text and hashes them. It makes rows of those that pass the sieve of their
// top table.
func (b *batch) fill(entries []peer) {
	b.text = slices.Grow(b.text[:0], (len(entries)+1)*decode.MaxAddrText) // so that the text does not move
	b.in, b.out = b.in[:0], b.out[:0]
	n, w := 0, b.wanted
	b.n4, b.n6 = 0, 0
	for i := range entries {
		e := &entries[i]
		at := len(b.text)
		b.text = e.addr.AppendTo(b.text)
		text := b.text[at:]
		if w.in || w.out {
			hash := b.blind.Key(sketch.HashKey(text))
			if e.packets[0] > 0 && w.in {
				b.in = append(b.in, hash)
			}
			if e.packets[1] > 0 && w.out {
				b.out = append(b.out, hash)
			}
		}
		packets := e.weight()
		wanted, sieve, rows, end := w.top6, &b.sieve6, &b.rows6, &b.n6
		if e.addr.Is4() {
			wanted, sieve, rows, end = w.top4, &b.sieve4, &b.rows4, &b.n4
		}
		if !wanted || !sieve.Passes(packets) {
			b.text = b.text[:at]
			continue
		}
		b.addrs[n] = sketch.Prepare(text)
		rows[*end] = sketch.Weighted{Weight: packets, Key: uint32(n)}
		*end++
		n++
	}
}

// addTo adds the addresses to the sketches.
func (b *batch) addTo(m *Metrics) {
	m.SrcIPsIn.AddHashed(b.in)
	m.DstIPsOut.AddHashed(b.out)
	m.TopIPv4.AddBatch(b.addrs[:], b.rows4[:b.n4])
	m.TopIPv6.AddBatch(b.addrs[:], b.rows6[:b.n6])
}
