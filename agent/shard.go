package agent

import (
	"math"
	"time"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/minute"
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
	analyzers []analyze.Analyzer
	keys      []*keys // of each analyzer
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

func newShard(a *Agent, id int, seed *seedhash.Seed, slow *dns.Slow) *shard {
	s := &shard{id: id, agent: a, hosts: &a.cfg.Hosts, newest: math.MinInt64}
	s.decoder.Decap = a.cfg.Decap
	sampler := analyze.NewSampler(a.cfg.DeepSamplePercent)
	s.dns = dns.New(dns.Config{
		Seed: seed, Sampler: sampler, Flush: func() { s.flushOne(1) }, Open: s.open(1), Slow: slow,
		Ports: a.cfg.DNSPorts, Timeout: int64(a.cfg.DNSTimeout),
	})
	s.analyzers = []analyze.Analyzer{
		packets.New(packets.Config{Seed: seed, Sampler: sampler, Flush: func() { s.flushOne(0) }, Open: s.open(0), Locate: a.cfg.Locate}),
		s.dns,
	}
	for i := range s.analyzers {
		s.keys = append(s.keys, &keys{s, i})
	}
	return s
}

// frame decodes a frame into the group, and has the group analysed when it is full. The frame must stay as
// it is until then, or until [shard.analyze].
func (s *shard) frame(data []byte, wireLen uint32, link capture.LinkType, time int64) {
	p := &s.group[s.grouped%analyze.GroupSize]
	s.decoder.Decode(&p.Packet, data, wireLen, uint16(link), time)
	p.Frame, p.Direction = data, analyze.Unknown
	if p.Kind == decode.KindIP {
		p.Direction = s.hosts.Direction(p.Src, p.Dst)
	} else if p.Kind == decode.KindUnsupportedLink {
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
		p.Frame, p.Direction = f.Data, analyze.Unknown
		if p.Kind == decode.KindIP {
			p.Direction = s.hosts.Direction(p.Src, p.Dst)
		}
		if s.grouped++; s.grouped == analyze.GroupSize {
			s.analyze()
		}
	}
}

// maxUnflushed is after how many packets the counts of a file are flushed at the end of a second, so that the window is
// not far behind.
const maxUnflushed = 1 << 16

// analyze has every analyzer count the packets of the group.
func (s *shard) analyze() {
	if s.grouped == 0 {
		return
	}
	group, newest := s.group[:s.grouped], s.newest
	for i := range group {
		newest = max(newest, group[i].Time)
	}
	s.newest = newest
	for _, a := range s.analyzers {
		a.Packets(group)
	}
	s.unflushed += s.grouped
	s.grouped = 0
}

// wall is the time by which the window's grace runs, in seconds. For a file it stands still.
func (s *shard) wall() int64 {
	if s.agent.live.Load() {
		return time.Now().Unix()
	}
	return 0 // the minute before the live one stays open
}

// open finds the section of analyzer i in the open bucket that has a second.
func (s *shard) open(i int) analyze.Open {
	return func(second int64) *metric.Section {
		if b := s.agent.window.Open(second); b != nil {
			return b.Sections[i]
		}
		return nil
	}
}

// flush adds all that was counted to the window, as of the newest second.
func (s *shard) flush() {
	s.flushCounts()
	s.flushKeys()
}

// keys are the keys of analyzer i in the bucket of the shard's second.
type keys struct {
	shard *shard
	i     int
}

func (k *keys) Lock() *metric.Section {
	return k.shard.agent.window.LockKeys(k.shard.id, k.i, k.shard.clock.newest, k.shard.wall())
}

func (k *keys) Unlock() { k.shard.agent.window.UnlockKeys(k.i) }

// flushOne adds what analyzer i has counted to the window, because one of its tallies is full.
func (s *shard) flushOne(i int) {
	s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(b *metric.Bucket, _ int64) {
		s.analyzers[i].FlushCounts(b.Sections[i], s.clock.second)
		s.analyzers[i].ReadCounts(b.Sections[i])
	})
	s.analyzers[i].FlushKeys(false, s.keys[i])
}

// flushCounts adds the counts to the window, as of the newest second, and what each second had to its rates.
func (s *shard) flushCounts() {
	if s.source != nil {
		s.read = s.source.Stats() // before the window is locked: this asks the kernel
	}
	s.agent.window.Update(s.id, s.clock.newest, s.wall(), func(b *metric.Bucket, _ int64) {
		for i, a := range s.analyzers {
			a.FlushCounts(b.Sections[i], s.clock.second)
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
	for _, a := range s.analyzers {
		a.EndSecond(s.clock.second)
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
		for i, a := range s.analyzers {
			a.ReadCounts(b.Sections[i])
		}
	})
}

// flushKeys adds the keys that were counted. Not all shards begin with the same analyzer: they would wait
// for each other.
func (s *shard) flushKeys() {
	s.readCounts()
	for i := range s.analyzers {
		i = (s.id + i) % len(s.analyzers)
		s.analyzers[i].FlushKeys(true, s.keys[i])
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
	return a.live.Load() || !a.cfg.Single && !minute.Same(second, next)
}

// enter starts a second.
func (s *shard) enter(second int64) {
	s.newest = s.clock.setBack(s.newest, second)
	s.clock.enter(second)
	for _, a := range s.analyzers {
		a.Tick(second * nanos)
	}
}

// finish counts what is still waiting, after the last packet of a file, whichever shard had it. Newest is
// the time of the newest, in nanoseconds.
func (s *shard) finish(newest int64) {
	for _, a := range s.analyzers {
		a.Tick(max(newest, s.clock.newest*nanos))
		a.Finish()
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
	return c.running && second <= c.newest && second >= minute.Oldest(c.newest)
}

func floorSecond(t int64) int64 {
	if t < 0 {
		return -((-t + nanos - 1) / nanos)
	}
	return t / nanos
}
