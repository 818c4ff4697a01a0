package agent

import (
	"math"
	"time"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/window"
)

const nanos = 1_000_000_000

// shard decodes and analyses packets, in one goroutine.
type shard struct {
	id        int
	agent     *Agent
	decoder   decode.Decoder
	segments  decode.Segments // of the frame that is being split
	group     [analyze.GroupSize]analyze.Packet
	grouped   uint // packets of the group so far
	unflushed uint // packets analysed since the counts were flushed
	ended     uint // seconds that have ended since
	hosts     *analyze.Hosts
	parts     []*part
	reader    *dns.Reader
	dns       *dns.Analyzer
	clock     clock
	newest    int64 // time of the newest packet, in nanoseconds
	flushed   int64 // wall time of the last flush for packets that were late
	// source is the shard's own, live, with what it has counted and how it is. A file is read ahead, so
	// that what counts of it is how far the shards have come: read, in one of them.
	source capture.Source
	read   capture.Stats
	counts sourceCounts
	state  sourceState

	undecoded linkCounts
}

// part is an analyzer of a shard, with its section and the lock of that.
type part struct {
	analyze.Analyzer
	packets  analyze.Packets // the analyzer, nil where it does not take packets; the same for the others
	messages dns.Messages
	rated    analyze.Rated
	waiter   analyze.Waiter
	judge    analyze.Judge

	shard   *shard
	section int // its place in a bucket
}

func newShard(a *Agent, id int, seed *seedhash.Seed, makers []func(analyze.Shard) analyze.Analyzer) *shard {
	s := &shard{id: id, agent: a, hosts: &a.cfg.Hosts, newest: math.MinInt64}
	s.decoder.Decap = a.cfg.Decap
	s.reader = dns.NewReader(dns.ReaderConfig{Seed: seed, Ports: a.cfg.DNSPorts, Timeout: int64(a.cfg.DNSTimeout), Take: s})
	for i, newAnalyzer := range makers {
		p := &part{shard: s, section: i}
		p.set(newAnalyzer(analyze.Shard{Flush: p.flush, Open: p.open}))
		s.parts = append(s.parts, p)
		if d, ok := p.Analyzer.(*dns.Analyzer); ok {
			s.dns = d
			d.Follow(s.reader)
		}
	}
	return s
}

// set makes an analyzer that of the part.
func (p *part) set(a analyze.Analyzer) {
	p.Analyzer = a
	p.packets, _ = a.(analyze.Packets)
	p.messages, _ = a.(dns.Messages)
	p.rated, _ = a.(analyze.Rated)
	p.waiter, _ = a.(analyze.Waiter)
	p.judge, _ = a.(analyze.Judge)
}

// frame decodes a frame into the group, and has the group analysed when it is full. The frame must stay as
// it is until then, or until [shard.analyze]. It is not inlined so that Decode is.
//
//go:noinline
func (s *shard) frame(data []byte, wireLen uint32, link capture.LinkType, time int64) {
	p := &s.group[s.grouped%analyze.GroupSize]
	s.decoder.Decode(&p.Packet, data, wireLen, uint16(link), time)
	p.Frame = data
	if p.Kind == decode.KindUnsupportedLink {
		s.undecoded.add(link)
	}
	if s.grouped++; s.grouped == analyze.GroupSize {
		s.analyze()
	}
}

// superFrame is frame for one that stands for several packets: each of them is counted, as if it had come alone.
func (s *shard) superFrame(f *capture.Frame, size uint16) {
	s.decoder.Split(&s.segments, f.Data, f.WireLen, uint16(f.Link), f.Time, size)
	s.counts.superFrames++
	for {
		p := &s.group[s.grouped%analyze.GroupSize]
		if !s.segments.Next(&p.Packet) {
			return
		}
		s.counts.superPackets++
		p.Frame = f.Data
		if s.grouped++; s.grouped == analyze.GroupSize {
			s.analyze()
		}
	}
}

// maxUnflushed is after how many packets the counts of a file are flushed at the end of a second, so that the window is
// not far behind.
const maxUnflushed = 1 << 16

// analyze has every analyzer count the packets of the group. It is not inlined so that what is called for each packet is:
// into a large function the compiler inlines next to nothing.
//
//go:noinline
func (s *shard) analyze() {
	if s.grouped == 0 {
		return
	}
	group, newest := s.group[:s.grouped], s.newest
	for i := range group {
		newest = max(newest, group[i].Time)
	}
	s.newest = newest
	s.hosts.SetDirections(group)
	for _, p := range s.parts {
		if p.packets != nil {
			p.packets.Packets(group)
		}
	}
	s.reader.Packets(group)
	s.unflushed += s.grouped
	s.grouped = 0
}

// Messages has every analyzer that takes DNS messages count those of the group.
func (s *shard) Messages(group []dns.Message) {
	for _, p := range s.parts {
		if p.messages != nil {
			p.messages.Messages(group)
		}
	}
}

// wall is the time by which the window's grace runs, in seconds. For a file it stands still.
func (s *shard) wall() int64 {
	if s.agent.live.Load() {
		return time.Now().Unix()
	}
	return 0 // the minute before the live one stays open
}

// open finds the section in the open bucket that has a second.
func (p *part) open(second int64) *metric.Section {
	if b := p.shard.agent.window.Open(second); b != nil {
		return b.Sections[p.section]
	}
	return nil
}

// flush adds all that was counted to the window, as of the newest second.
func (s *shard) flush() {
	s.flushCounts()
	s.flushKeys()
}

// Lock locks the keys of the section in the bucket of the shard's second.
func (p *part) Lock() *metric.Section {
	s := p.shard
	return s.agent.window.LockKeys(s.id, p.section, s.clock.newest, s.wall())
}

// Unlock unlocks them.
func (p *part) Unlock() { p.shard.agent.window.UnlockKeys(p.section) }

// flush adds what the analyzer has counted to the window, because one of its tallies is full.
func (p *part) flush() {
	s := p.shard
	s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(b *metric.Bucket, _ int64) {
		p.FlushCounts(b.Sections[p.section], s.clock.second)
		p.readCounts(b)
	})
	p.FlushKeys(false, p)
}

// readCounts has the analyzer look at the counts of all shards in a bucket.
func (p *part) readCounts(b *metric.Bucket) {
	if p.judge != nil {
		p.judge.ReadCounts(b.Sections[p.section])
	}
}

// flushCounts adds the counts to the window, as of the newest second, and what each second had to its rates.
func (s *shard) flushCounts() {
	if s.source != nil {
		s.read = s.source.Stats() // before the window is locked: this asks the kernel
	}
	s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(b *metric.Bucket, _ int64) {
		for _, p := range s.parts {
			p.FlushCounts(b.Sections[p.section], s.clock.second)
		}
		s.counts.flush(b, s.read)
	})
	s.unflushed, s.ended = 0, 0
	s.look()
}

// endSecond ends the shard's second without a flush, or with one of the counts where it is time.
func (s *shard) endSecond() {
	if s.ended == analyze.MaxSeconds-1 || s.unflushed >= maxUnflushed {
		s.flushCounts()
		return
	}
	if s.ended == 0 { // the bucket begins with this second at the latest, in whatever order the shards flush
		s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(*metric.Bucket, int64) { s.agent.window.Open(s.clock.second) })
	}
	s.ended++
	for _, p := range s.parts {
		if p.rated != nil {
			p.rated.EndSecond(s.clock.second)
		}
	}
}

// look exchanges what changes now and then with the agent.
func (s *shard) look() {
	s.hosts = s.agent.hosts.Load()
	s.agent.open[s.id].Store(int64(s.dns.Open()))
	if s.newest != math.MinInt64 {
		s.agent.last[s.id].Store(s.newest)
	}
}

// readCounts has the analyzers look at the counts of all shards, before keys are flushed.
func (s *shard) readCounts() {
	s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(b *metric.Bucket, _ int64) {
		for _, p := range s.parts {
			p.readCounts(b)
		}
	})
}

// flushKeys adds the keys that were counted. Not all shards begin with the same analyzer: they would wait
// for each other.
func (s *shard) flushKeys() {
	s.readCounts()
	for i := range s.parts {
		p := s.parts[(s.id+i)%len(s.parts)]
		p.FlushKeys(true, p)
	}
}

// step goes on to another second: what was counted belongs to the one before.
func (s *shard) step(second int64) {
	s.analyze()
	if s.clock.late(second) {
		if wall := s.wall(); wall != s.flushed { // live: a clock that was set back a little keeps nobody waiting
			s.flushed = wall
			s.flush()
		} else {
			s.endSecond()
		}
		s.clock.count(second)
		return
	}
	if s.agent.due(s.clock.newest, second) {
		s.flush()
	} else {
		s.endSecond()
		s.look()
	}
	s.enter(second)
}

// due reports whether all must be flushed between two seconds: live, where somebody may look at
// any time, always; in a file, at the end of a bucket.
func (a *Agent) due(second, next int64) bool {
	return a.live.Load() || !a.cfg.Single && !window.SamePeriod(second, next)
}

// enter starts a second.
func (s *shard) enter(second int64) {
	s.newest = s.clock.setBack(s.newest, second)
	s.clock.enter(second)
	s.tick(second * nanos)
}

// finish counts what is still waiting, after the last packet of a file, whichever shard had it. Newest is
// the time of the newest, in nanoseconds.
func (s *shard) finish(newest int64) {
	s.tick(max(newest, s.clock.newest*nanos))
	s.reader.Finish()
	for _, p := range s.parts {
		if p.waiter != nil {
			p.waiter.Finish()
		}
	}
}

// tick tells the analyzers the time, in nanoseconds.
func (s *shard) tick(now int64) {
	s.reader.Tick(now)
	for _, p := range s.parts {
		if p.waiter != nil {
			p.waiter.Tick(now)
		}
	}
}

// clock follows the packets' time from second to second. It goes back only to before the minute before the
// newest second's: frames are often a little out of order.
type clock struct {
	newest     int64 // Unix time: the second that the clock has come to
	second     int64 // that packets count in: the newest, or an earlier one, of packets that are late
	start, end int64 // the times of that second, in nanoseconds
	running    bool
}

// has reports whether a packet of time t (nanoseconds) belongs to the second that packets count in.
func (c *clock) has(t int64) bool { return t >= c.start && t < c.end }

// enter moves the clock to another second, forward or back.
func (c *clock) enter(second int64) {
	c.newest, c.running = second, true
	c.count(second)
}

// count has packets count in another second, and leaves the clock where it is.
func (c *clock) count(second int64) {
	c.second = second
	c.start, c.end = second*nanos, (second+1)*nanos
}

// setBack returns the time of the newest packet, in nanoseconds, as of a clock that is about to enter a second: where
// that is an earlier one, the packet is as old then as it was before.
func (c *clock) setBack(newest, second int64) int64 {
	if set := second - c.newest; c.running && set < 0 && newest != math.MinInt64 {
		newest += set * nanos
	}
	return newest
}

// late reports whether packets of a second count in it without moving the clock: their minute may be open.
func (c *clock) late(second int64) bool {
	return c.running && second <= c.newest && second >= window.Oldest(c.newest)
}

func floorSecond(t int64) int64 {
	if t < 0 {
		return -((-t + nanos - 1) / nanos)
	}
	return t / nanos
}
