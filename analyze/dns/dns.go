package dns

import (
	"net/netip"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/reassemble"
	"pktvisor/sketch"
)

// Topic declares the analyzer. Ports are those that DNS is looked for on; timeout is how long a query waits for its response,
// in nanoseconds.
func Topic(ports []uint16, timeout int64) analyze.Topic {
	return analyze.Topic{Table: Table, New: func(set analyze.Settings) func(analyze.Shard) analyze.Analyzer {
		slow := NewSlow(set.Periods)
		return func(shard analyze.Shard) analyze.Analyzer {
			return New(Config{
				Seed: set.Seed, Sampler: set.Sampler, Ports: ports, Timeout: timeout, Slow: slow, Flush: shard.Flush, Open: shard.Open,
			})
		}
	}}
}

// Config is what an analyzer needs to know.
type Config struct {
	Seed    *seedhash.Seed
	Sampler analyze.Sampler
	// Ports are those that DNS is looked for on.
	Ports []uint16
	// Timeout is how long a query waits for its response, in nanoseconds.
	Timeout int64
	// Slow is shared by the analyzers of all shards.
	Slow *Slow
	// Flush makes the shard flush this analyzer's counts and keys.
	Flush func()
	// Open finds the section for the rate of a second; nil is the one that is flushed to.
	Open analyze.Open
}

// The budgets of a shard's reassembly.
const (
	streamFlows   = 1 << 14
	streamBytes   = 8 << 20
	streamIdle    = 120e9 // nanoseconds
	fragmentBytes = 2 << 20
	// maxWait is how long a message whose header is there waits for its other pieces, unless its query waits
	// for a shorter time: in nanoseconds.
	maxWait = 1e9
)

// Analyzer counts DNS messages for one shard.
type Analyzer struct {
	cfg       Config
	ports     portSet
	counters  Counters
	cells     [numCells]uint64
	answers   [analyze.NumDirections]uint64 // transactions
	msg       message
	names     *names
	xacts     *transactions
	early     *transactions // responses whose query has not come
	reply     message       // one of them, when its query comes, in replyPacket
	recent    recent
	streams   *reassemble.Streams
	fragments *reassemble.Fragments
	rated     uint64 // messages up to the end of the last second
	flushed   int    // queries that waited at the last flush
	seconds   analyze.Seconds[uint64]
	given     given // as of the last flush
	now       int64 // of the last tick

	qtypes  smallTally
	rcodes  smallTally
	opcodes smallTally
	regular uint64 // messages with opcode 0, which nearly all have: not yet in opcodes
	udp     smallTally
	ecs     *analyze.Tally[subnet]

	micros       [analyze.NumDirections]sketch.DenseHistogram
	ratio        sketch.DenseHistogram
	responseSize sketch.DenseHistogram
	answered     []answered // since the last flush of keys
	batch        batch

	carrier     analyze.Packet // of a message that did not come in one packet
	replyPacket analyze.Packet

	newestAnswer int64 // the time of the newest response that was paired
}

// subnet is a client subnet, and how many queries named it.
type subnet struct {
	prefix netip.Prefix
	n      uint32
}

// New makes an analyzer.
func New(cfg Config) *Analyzer {
	a := &Analyzer{
		cfg: cfg, ports: newPortSet(cfg.Ports), names: newNames(),
		ecs:      analyze.NewTally[subnet](1024),
		answered: make([]answered, 0, maxAnswered),
		batch:    newBatch(),
	}
	a.startReassembly()
	a.startPairing()
	a.qtypes = newSmallTally()
	a.udp = newSmallTally()
	a.rcodes = newSmallTally()
	a.opcodes = newSmallTally()
	return a
}

// startPairing forgets all queries and responses.
func (a *Analyzer) startPairing() {
	a.xacts = newTransactions(a.cfg.Seed, maxWaiting, a.cfg.Timeout, a.expired)
	a.early = newTransactions(a.cfg.Seed, maxEarly, earlyWait, a.orphaned)
	a.recent = recent{}
}

// message is a DNS message as far as it could be read, and the hashes by which it is counted.
type message struct {
	dnswire.Message
	packet   *analyze.Packet // that brought it
	status   dnswire.Status
	nameHash uint64 // of the qname; 0 without a question
	key      uint64 // see transactionKey
	client   uint16 // the client's port
	size     uint32 // of the whole message in bytes, captured or not
	cut      bool   // by the capture
	outcome  outcome
}

// Packets counts the DNS messages of a group of packets.
func (a *Analyzer) Packets(group []analyze.Packet) {
	a.room()
	for i := range group {
		p := &group[i]
		switch {
		case p.Flags&(decode.FlagL4|decode.FlagFragment) == 0:
		case p.Flags&decode.FlagFragment != 0:
			a.fragment(p)
		case !a.ports.any(p.SrcPort, p.DstPort):
		case p.Proto == decode.ProtoUDP:
			a.message(p, p.Content(), p.PayloadLen)
		default:
			a.streams.Add(&p.Packet, p.Content(), uint8(p.Direction))
		}
	}
}

// spareNames is more than the messages of a group and the waiting queries that they make expire add to the
// names' tally: two names each.
const spareNames = 4 * analyze.GroupSize

// room flushes where the messages of one more group may not fit into the tallies. A segment of TCP can bring more
// of them than a group has: there is room for each if it was made before each.
func (a *Analyzer) room() {
	const n = analyze.GroupSize
	if a.names.full(1) || len(a.answered)+n > cap(a.answered) || a.ecs.Full(n) {
		a.cfg.Flush()
	}
}

// read reads one DNS message; b holds as much of it as was captured, size is its whole length.
func (a *Analyzer) read(m *message, p *analyze.Packet, b []byte, size uint32) {
	m.packet, m.size, m.cut = p, size, uint32(len(b)) < size
	m.nameHash = 0
	if m.status = m.Parse(b); m.status == dnswire.TooShort {
		return
	}
	if m.status == dnswire.OK {
		m.status = m.ParseEDNS(b)
	}
	if m.HasQuestion {
		m.nameHash = a.hashName(m)
	}
	if m.outcome = m.outcomeOf(); m.outcome == noData && m.NSCount > 0 {
		m.outcome = m.withoutData(b)
	}
	a.transactionKey(m)
}

// message counts one DNS message; b holds as much of it as was captured, size is its whole length.
func (a *Analyzer) message(p *analyze.Packet, b []byte, size uint32) {
	c, m := &a.counters, &a.msg
	a.read(m, p, b, size)
	if m.status == dnswire.TooShort {
		a.short(m)
		return
	}
	if m.status != dnswire.OK && !m.cut {
		c.Malformed++
	}
	a.count(m)
	if !a.cfg.Sampler.Transaction(p, m.ID) {
		if m.Response() {
			a.responseSize.Record(uint64(m.size))
		}
		return
	}
	c.DeepSamples++
	// What has few distinct values, in place: this is a tenth of the work.
	if m.HasQuestion {
		a.qtypes.add(m.QType)
	}
	if m.Opcode == 0 {
		a.regular++
	} else {
		a.opcodes.add(uint16(m.Opcode))
	}
	if p.Proto == decode.ProtoUDP {
		a.udp.add(m.client)
	}
	if m.Response() {
		a.rcodes.add(m.ExtRcode)
		a.responseSize.Record(uint64(m.size))
		a.response(m)
		return
	}
	if m.HasECS {
		a.clientSubnet(&m.ECS)
	}
	a.query(m)
}

// short counts a payload of which there is no DNS header.
func (a *Analyzer) short(m *message) {
	switch {
	case m.size >= dnswire.HeaderLen:
		a.counters.HeaderCut++
	case m.size > 0:
		a.counters.NotDNS++
	}
}

// count updates the plain counters.
func (a *Analyzer) count(m *message) {
	c, p := &a.counters, m.packet
	a.cells[(uint(p.Direction)<<5|uint(p.Version&2)<<3|uint(protocolCell[p.Proto])|uint(m.outcome))%numCells]++
	c.EDNS += one(m.EDNS)
	c.ECS += one(m.HasECS)
	if m.Opcode != 0 {
		c.OtherOpcode++
	}
	if !m.HasQuestion {
		c.NoQuestion++
	} else if m.QClass != classIN && m.QClass&^unicastBit(p) != classIN {
		c.OtherClass++
	}
	if m.Has(dnswire.FlagResponse | dnswire.FlagTC) {
		c.Truncated++
	}
}

// The numbers of the DNS that are counted apart.
const (
	classIN       = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
	portMDNS      = 5353
	portLLMNR     = 5355
)

// unicastBit is the bit of a question's class that asks for a response by unicast on mDNS (RFC 6762,
// section 5.4), and nothing elsewhere.
func unicastBit(p *analyze.Packet) uint16 {
	if p.SrcPort == portMDNS || p.DstPort == portMDNS {
		return 1 << 15
	}
	return 0
}

// clientSubnet counts the client subnet of a query.
func (a *Analyzer) clientSubnet(ecs *dnswire.ClientSubnet) {
	var addr netip.Addr
	switch ecs.Family {
	case 1:
		addr = netip.AddrFrom4([4]byte(ecs.Addr[:4]))
	case 2:
		addr = netip.AddrFrom16(ecs.Addr)
	default:
		return
	}
	d := decode.AddrFromNetip(addr)
	h := a.cfg.Seed.Mix(a.cfg.Seed.Addr(d), uint64(ecs.SourcePrefix)<<8|uint64(ecs.Family))
	e, _, fresh := a.ecs.At(h)
	if fresh {
		e.prefix = netip.PrefixFrom(addr, int(ecs.SourcePrefix))
	}
	e.n++
}

// Tick gives up the queries that have waited too long by now, and the responses that have waited for theirs. It counts what
// there is of messages whose end has not come. A query waits as long as something is held back that may be its response.
func (a *Analyzer) Tick(now int64) {
	a.now = now
	a.fragments.Tick(now)
	a.streams.Tick(now)
	for a.early.overdue(now) {
		a.early.expire(a.early.oldest(), false)
	}
	a.expire(min(a.fragments.Oldest(now), a.streams.Oldest(now)))
}

// expire gives up the queries that have waited too long by the given time.
func (a *Analyzer) expire(now int64) {
	for a.xacts.overdue(now) {
		a.room()
		a.xacts.expire(a.xacts.oldest(), false)
	}
}

// expireAny gives up the queries that have waited too long by the given time, also those that came after others of a later
// time: it looks at all of them.
func (a *Analyzer) expireAny(now int64) {
	x := a.xacts
	for i := x.oldest(); i != none; {
		q := &x.queries[i]
		next := q.newer
		if now-q.time > x.timeout {
			a.room()
			x.expire(i, false)
		}
		i = next
	}
}

// Finish counts, at the end of a capture file, what there is of messages whose end has not come, and what still waits:
// queries, which may have been answered later, and responses, whose query the file does not have.
func (a *Analyzer) Finish() {
	a.fragments.Finish()
	a.streams.Finish()
	a.expire(a.now)
	a.expireAny(a.now)
	a.counters.Open += metric.Counter(a.xacts.n)
	for a.early.n > 0 {
		a.early.expire(a.early.oldest(), false)
	}
}

// Restart ends what has come so far as [Analyzer.Finish] does, and forgets it: what comes next is a recording that starts
// over.
func (a *Analyzer) Restart() {
	a.Finish()
	a.startPairing()
}

// portSet is a set of ports as bits.
type portSet struct {
	first uint64 // one of the set that nearly all DNS goes by; no port as long as the set is empty
	// coarse has a bit for each remainder by 64 that a port of the set has: one look tells most other
	// ports apart, without the 8 KB of bits.
	coarse uint64
	bits   [1 << 10]uint64
}

func newPortSet(ports []uint16) portSet {
	s := portSet{first: 1 << 16}
	for i, p := range ports {
		if i == 0 {
			s.first = uint64(p)
		}
		s.add(p)
	}
	return s
}

func (s *portSet) add(p uint16) {
	s.coarse |= 1 << (p & 63)
	s.bits[p>>6] |= 1 << (p & 63)
}

// any reports whether one of the two ports is in the set. Which of them cannot be foreseen: there is no branch
// on one alone.
func (s *portSet) any(p, q uint16) bool {
	if (uint64(p)^s.first)*(uint64(q)^s.first) == 0 {
		return true
	}
	return (s.coarse>>(p&63)|s.coarse>>(q&63))&1 != 0 && (s.bits[p>>6]>>(p&63)|s.bits[q>>6]>>(q&63))&1 != 0
}
