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
	"pktvisor/window"
)

const nanos = 1_000_000_000

// shard decodes and analyses packets, in one goroutine.
type shard struct {
	id        int
	agent     *Agent
	decoder   decode.Decoder
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
		Seed: seed, Sampler: sampler, Flush: func() { s.flushOne(1) }, Slow: slow,
		Ports: a.cfg.DNSPorts, Timeout: int64(a.cfg.DNSTimeout),
	})
	s.analyzers = []analyze.Analyzer{
		packets.New(packets.Config{Seed: seed, Sampler: sampler, Flush: func() { s.flushOne(0) }, Locate: a.cfg.Locate}),
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

// wall is the time by which the window's grace runs, in seconds: a file's is its packets'.
func (s *shard) wall() int64 {
	if s.agent.live.Load() {
		return time.Now().Unix()
	}
	return s.clock.second
}

// flush adds all that was counted to the window, as of the shard's second.
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
	return k.shard.agent.window.LockKeys(k.shard.id, k.i, k.shard.clock.second, k.shard.wall())
}

func (k *keys) Unlock() { k.shard.agent.window.UnlockKeys(k.i) }

// flushOne adds what analyzer i has counted to the window, because one of its tallies is full.
func (s *shard) flushOne(i int) {
	s.agent.window.Update(s.id, s.clock.second, s.wall(), func(b *metric.Bucket, second int64) {
		s.analyzers[i].FlushCounts(b.Sections[i], second)
		s.analyzers[i].ReadCounts(b.Sections[i])
	})
	s.analyzers[i].FlushKeys(false, s.keys[i])
}

// flushCounts adds the counts to the window, as of the shard's second; those of the seconds before, too.
func (s *shard) flushCounts() {
	s.agent.window.Update(s.id, s.clock.second, s.wall(), func(b *metric.Bucket, second int64) {
		for i, a := range s.analyzers {
			a.FlushCounts(b.Sections[i], second)
		}
		if s.source != nil {
			s.read = s.source.Stats()
		}
		s.counts.flush(b, s.read)
	})
	s.unflushed, s.ended = 0, 0
	s.look()
}

// endSecond ends the shard's second without a flush, or with one of the counts where it is time. Another second follows.
func (s *shard) endSecond(next int64) {
	if s.ended == analyze.MaxSeconds-1 || s.unflushed >= maxUnflushed || next < s.clock.second {
		s.flushCounts()
		return
	}
	if s.ended == 0 { // whoever flushes first, the bucket is to begin with this second, if not before
		s.agent.window.Update(s.id, s.clock.second, s.wall(), func(*metric.Bucket, int64) {})
	}
	s.ended++
	for _, a := range s.analyzers {
		a.EndSecond(s.clock.second)
	}
	s.look()
}

// look exchanges what changes now and then with the agent.
func (s *shard) look() {
	s.hosts = s.agent.hosts.Load()
	s.agent.open[s.id].Store(int64(s.dns.Open()))
	if s.newest > s.agent.last.Load() { // a shard overwritten by an older one is right a second later
		s.agent.last.Store(s.newest)
	}
}

// readCounts has the analyzers look at the counts of all shards, before keys are flushed.
func (s *shard) readCounts() {
	s.agent.window.Update(s.id, s.clock.second, s.wall(), func(b *metric.Bucket, _ int64) {
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
	if s.agent.due(s.clock.second, second) {
		s.flush()
	} else {
		s.endSecond(second)
	}
	s.enter(second)
}

// due tells whether all must be flushed between two seconds: live, where somebody may look at
// any time, always; in a file, at the end of a bucket.
func (a *Agent) due(second, next int64) bool {
	return a.live.Load() || !a.cfg.Single && !window.SamePeriod(second, next)
}

// enter starts a second.
func (s *shard) enter(second int64) {
	s.clock.enter(second)
	for _, a := range s.analyzers {
		a.Tick(second * nanos)
	}
}

// finish counts what is still waiting, after the last packet of a file, whichever shard had it. Newest is
// the time of the newest, in nanoseconds.
func (s *shard) finish(newest int64) {
	for _, a := range s.analyzers {
		a.Tick(max(newest, s.clock.second*nanos))
		a.Finish()
	}
}

// clock follows the packets' time from second to second. It goes back only by more than
// [window.MaxStepBack]: frames are often a little out of order.
type clock struct {
	second     int64 // Unix time
	start, end int64 // the times of the second, in nanoseconds, widened by what may come late
	running    bool
}

// moves tells whether a packet of time t (nanoseconds) belongs to another second, and to which.
func (c *clock) moves(t int64) (second int64, moves bool) {
	if t >= c.start && t < c.end {
		return c.second, false
	}
	return floorSecond(t), true
}

func (c *clock) enter(second int64) {
	c.second, c.running = second, true
	c.start, c.end = (second-window.MaxStepBack)*nanos, (second+1)*nanos
}

func floorSecond(t int64) int64 {
	if t < 0 {
		return -((-t + nanos - 1) / nanos)
	}
	return t / nanos
}
