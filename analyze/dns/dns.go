package dns

import (
	"net/netip"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/psl"
	"pktvisor/sketch"
)

// Locator returns the name of the network of an address. A name is empty if it is not known. Several shards may call a Locator at
// once.
type Locator interface{ ASN(netip.Addr) string }

// Topic declares the analyzer. If locate is nil, clients are not counted by network. Suffixes has the public suffix list; nil
// stands for the embedded list. A query waits for its response for the timeout, in nanoseconds.
func Topic(locate Locator, suffixes *psl.Source, timeout int64) analyze.Topic {
	return analyze.Topic{
		Table: Table,
		New: func(set analyze.Settings) func(analyze.Shard) analyze.Analyzer {
			slow := NewSlow(set.Periods)
			return func(shard analyze.Shard) analyze.Analyzer {
				return New(Config{
					Table: set.Table, Seed: set.Seed, Sampler: shard.Sampler, Timeout: timeout, Slow: slow, Locate: locate, Suffixes: suffixes, Flush: shard.Flush, Open: shard.Open, Scale: set.Scale, BlindKey: set.BlindKey,
				})
			}
		},
		Memory: func(table *metric.Table, scale int) int64 { return sizesAt(scale).bytes(wantedBy(table)) },
	}
}

// Config holds the settings of an analyzer.
type Config struct {
	// Table is [Table] or a selection from it. Nil stands for [Table].
	Table *metric.Table
	// Seed is the seed of the hashes in the messages.
	Seed    *seedhash.Seed
	Sampler *analyze.Sampler
	// Timeout is the time in nanoseconds that a query waits for its response.
	Timeout int64
	// Locate returns the name of a client's network. It may be nil.
	Locate Locator
	// Slow is shared by the analyzers of all shards.
	Slow *Slow
	// Suffixes has the public suffix list. Nil stands for the embedded list.
	Suffixes *psl.Source
	// Flush makes the shard flush this analyzer's counts and keys.
	Flush func()
	// Open returns the section for the rate of a second. If it is nil, the rate goes to the section that is flushed to.
	Open analyze.Open
	// Scale changes the sizes of the tables: see [analyze.Scaled].
	Scale int
	// BlindKey is that of [analyze.Settings].
	BlindKey *[sketch.BlindKeyLen]byte
}

// Feed is the source of an analyzer's messages. [Reader] implements it.
type Feed interface {
	// Oldest returns a time, at most now. No message that still waits for reassembly is older. Times are in nanoseconds since
	// the Unix epoch.
	Oldest(now int64) int64
	// Unread returns how much could not be read since the start.
	Unread() Unread
}

// Analyzer counts DNS messages for one policy on one shard. A [Reader] or another source of messages calls
// [Analyzer.Messages].
type Analyzer struct {
	cfg      Config
	idle     bool // no message has come yet, and there are no tables
	feed     Feed // nil if no message comes late
	counters Counters
	load     metric.Load // of the messages in the sample
	cells    [numCells]uint64
	answers  [analyze.NumDirections]uint64 // transactions
	names    *names
	clients  clients
	amounts  amounts
	pairs    pairs
	sample   messageSample
	xacts    *transactions
	early    *transactions // responses that wait for their query
	reply    Message       // an early response, when its query comes
	recent   recent
	rated    uint64         // messages at the end of the last second
	flushed  int            // queries that were waiting at the last flush
	deep     metric.Counter // of these, those in the sample
	seconds  analyze.Seconds[messages]
	unread   Unread // of the feed, at the last flush
	now      int64  // the time of the last tick

	offered  analyze.Offered // the messages from which a filter chose
	rejected int             // queries that wait without counting: see sift.go

	takenBytes uint64 // of responses in the sample, since the last flush, if not all are

	qtypes  smallTally
	rcodes  smallTally
	opcodes smallTally
	opcode0 uint64 // messages with opcode 0, which are not in opcodes yet; nearly all messages have it
	udp     smallTally
	ecs     *analyze.Tally[subnet] // nil if the client subnets are not wanted

	micros       [analyze.NumDirections]sketch.DenseHistogram
	ratio        sketch.DenseHistogram
	responseSize sketch.DenseHistogram
	answered     []answered                  // since the last flush of keys; nil if slow transactions are not wanted
	marksSlow    [analyze.NumDirections]bool // the directions whose slow transactions are wanted
	batch        batch
	zones        zones
	folds        folds
	blind        *sketch.Blind // of the hashes of names and clients

	newestAnswer int64 // the time of the newest response that was paired
}

// messages are the messages of a second, and those that were in the sample.
type messages struct{ all, deep uint64 }

// subnet is a client subnet, and the number of queries that named it.
type subnet struct {
	prefix netip.Prefix
	n      uint32
}

// New makes an analyzer. In a process that waits for events, it has no tables before the first message: see [memory.IsOnDemand].
func New(cfg Config) *Analyzer {
	w := wantedBy(cfg.Table)
	a := &Analyzer{cfg: cfg, sample: newMessageSample(cfg.Sampler, w), blind: sketch.NewBlind(cfg.BlindKey)}
	if a.idle = memory.IsOnDemand(); a.idle {
		w = wanted{}
	}
	a.makeTables(w)
	a.load.Bytes = new([metric.LoadClasses]uint64)
	a.startPairing()
	return a
}

// makeTables makes the tables that the wanted metrics need. Nothing may have been counted yet.
func (a *Analyzer) makeTables(w wanted) {
	s := sizesAt(a.cfg.Scale)
	a.names, a.clients, a.amounts, a.pairs = newNames(s, w.names()), newClients(s, w), newAmounts(s, w), newPairs(s, w)
	a.batch, a.zones, a.folds, a.marksSlow = newBatch(s, w), newZones(s, w), newFolds(w), w.slow()
	a.qtypes, a.rcodes = newSmallTally(w.qtypes || w.ampTypes), newSmallTally(w.rcodes)
	a.opcodes, a.udp = newSmallTally(w.opcodes), newSmallTally(w.ports)
	if w.subnets {
		a.ecs = analyze.NewTally[subnet](subnetsSize)
	}
	if w.anySlow() {
		a.answered = make([]answered, 0, s.latencies)
	}
}

// begin makes the tables when the first message comes.
func (a *Analyzer) begin() {
	a.idle = false
	a.makeTables(wantedBy(a.cfg.Table))
}

// startPairing forgets all queries and responses.
func (a *Analyzer) startPairing() {
	s := sizesAt(a.cfg.Scale)
	a.xacts = newTransactions(a.cfg.Seed, s.waiting, a.cfg.Timeout, a.expired)
	a.early = newTransactions(a.cfg.Seed, s.early, earlyWait, a.orphaned)
	a.xacts.names.classBytes = s.classBytes
	a.rejected = 0
	a.recent = recent{}
}

// Follow sets the source of the analyzer's messages. The analyzer does not count what the feed could not read before. After
// Follow(nil), no message comes late.
func (a *Analyzer) Follow(f Feed) {
	if a.feed = f; f != nil {
		a.unread = f.Unread()
	}
}

// Messages counts the messages of a group.
// It is not inlined, because its loop needs all registers.
//
//go:noinline
func (a *Analyzer) Messages(group []Message) {
	a.sample.messages += uint64(len(group))
	a.reserve()
	all := a.cfg.Sampler.All()
	a.counters.DeepSamples += metric.Counter(len(group))
	for i := range group {
		m := &group[i]
		a.cells[m.cell%numCells]++
		a.counters.EDNS += one(m.EDNS)
		if m.Response() {
			a.responseSize.Record(uint64(m.Size))
		}
		if !m.plain {
			a.countRare(m)
		}
		if !all && !a.take(m) {
			a.counters.DeepSamples--
			continue
		}
		// Values of small ranges are counted here without a call, because this is a tenth of the work.
		if m.plain {
			a.qtypes.add(m.QType)
			a.opcode0++
			a.udp.add(m.Client)
		} else {
			a.tallyRare(m)
		}
		if m.Response() {
			a.rcodes.add(m.ExtRcode)
			a.response(m)
		} else {
			a.query(m)
		}
	}
}

// take reports whether a message is in the sample, and counts it at its address pair.
func (a *Analyzer) take(m *Message) bool {
	class, in, changed := a.cfg.Sampler.Pair(m.Src, m.Dst)
	if changed && m.Response() {
		q, _ := a.xacts.first(m.Key)
		in = q != nil
	}
	if in && a.cfg.Sampler.Share() < metric.Whole {
		a.load.Events[class%metric.LoadClasses]++
		if m.Response() {
			a.load.Bytes[class%metric.LoadClasses] += uint64(m.Size)
			a.takenBytes += uint64(m.Size)
		}
	}
	return in
}

// spareNames is more than the number of names that a group adds to the names' tally. Each message adds at most two, and
// each query that expires in the meantime adds one.
const spareNames = 4 * analyze.GroupSize

// reserve flushes the tallies if another group might not fit. It makes them before the first group.
func (a *Analyzer) reserve() {
	const n = analyze.GroupSize
	if a.idle {
		a.begin()
	}
	if a.names.full(1) || a.clients.full(1) || a.clients.seen.full(1) || a.answered != nil && len(a.answered)+n > cap(a.answered) || a.ecs != nil && a.ecs.Full(n) || a.sample.due() {
		a.cfg.Flush()
	}
}

// countRare counts what only a message that is not plain may have. It counts messages outside the sample, too.
func (a *Analyzer) countRare(m *Message) {
	if m.Reassembled {
		a.reserve()
	}
	c := &a.counters
	if m.Status != dnswire.OK && !m.Cut {
		c.Malformed++
	}
	c.ECS += one(m.HasECS)
	c.OtherOpcode += one(m.Opcode() != 0)
	if !m.HasQuestion {
		c.NoQuestion++
	} else if m.QClass != classIN && m.QClass&^m.unicastBit() != classIN {
		c.OtherClass++
	}
	c.Truncated += one(m.Has(dnswire.FlagResponse | dnswire.FlagTC))
}

// tallyRare adds a message that is not plain to the tallies of small ranges, and the client subnet of a query to the tally
// of subnets.
func (a *Analyzer) tallyRare(m *Message) {
	if m.HasQuestion {
		a.qtypes.add(m.QType)
	}
	if m.Opcode() == 0 {
		a.opcode0++
	} else {
		a.opcodes.add(uint16(m.Opcode()))
	}
	if m.Proto == decode.ProtoUDP {
		a.udp.add(m.Client)
	}
	if m.HasECS && !m.Response() && a.ecs != nil {
		a.clientSubnet(&m.ECS)
	}
}

// Classes, rcodes and ports that are counted or treated separately.
const (
	classIN       = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5
	portMDNS      = 5353
	portLLMNR     = 5355
)

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

// Tick sets the time. It gives up queries that have waited longer than the timeout, and responses that have waited too long
// for their query. A query also waits while the feed is reassembling a message that may be its response.
func (a *Analyzer) Tick(now int64) {
	a.now = now
	a.pairs.tick(now)
	a.sample.tick(now)
	for a.early.overdue(now) {
		a.early.expire(a.early.oldest(), false)
	}
	if a.feed != nil {
		now = a.feed.Oldest(now)
	}
	a.expire(now)
}

// expire gives up the oldest queries, as long as they have waited longer than the timeout at the given time.
func (a *Analyzer) expire(now int64) {
	for a.xacts.overdue(now) {
		a.reserve()
		a.xacts.expire(a.xacts.oldest(), false)
	}
}

// expireAny gives up all queries that have waited longer than the timeout at the given time. It looks at every query,
// because an old query may have come after a newer one.
func (a *Analyzer) expireAny(now int64) {
	x := a.xacts
	for i := x.oldest(); i != none; {
		q := &x.queries[i]
		next := q.newer
		if now-q.time > x.timeout {
			a.reserve()
			x.expire(i, false)
		}
		i = next
	}
}

// Finish counts the queries and responses that still wait at the end of a capture file. The feed must have delivered all its
// messages before.
func (a *Analyzer) Finish() {
	a.expire(a.now)
	a.expireAny(a.now)
	a.counters.Open += metric.Counter(a.Open())
	for a.early.n > 0 {
		a.early.expire(a.early.oldest(), false)
	}
}

// Restart does the same as [Analyzer.Finish], and forgets all queries and responses, because a recording is about to start
// again.
func (a *Analyzer) Restart() {
	a.Finish()
	a.startPairing()
}

// Open returns the number of queries that are waiting for a response and count.
func (a *Analyzer) Open() int { return a.xacts.n - a.rejected }
