package agent

import (
	"pktvisor/agent/clock"
	"pktvisor/analyze"
	"pktvisor/filter"
	"pktvisor/metric"
)

// back is the back half of a shard. It holds one policy's analyzers, which take the events of the front half, and flushes
// their counts into the policy's window. A front half may have several back halves. All of them run in its goroutine.
type back struct {
	front     *front
	policy    *Policy
	slot      int // the shard's number in the policy's window
	sampler   *analyze.Sampler
	parts     []*part
	section   int           // the place of the source's section in a bucket
	counted   sourceMetrics // the source's metrics at the last flush
	unflushed uint          // packets since the last flush of the counts
	ended     uint          // seconds that have ended since that flush
	// precounted is how many of the front half's were counted before the policy was added.
	precounted int
}

// part is an analyzer with its section of a bucket. It implements [analyze.Keys] with the lock of that section.
type part struct {
	analyze.Analyzer
	rated  analyze.Rated // the analyzer if it implements this, otherwise nil
	judge  analyze.Judge // the same
	waiter analyze.Waiter
	pre    analyze.Precounter
	sifted analyze.Sifted

	filter      *filter.Filter // nil if every event passes
	lane        *lane          // of the filter; nil before the part joins its shard and after it has left
	lastOffered uint64         // the lane's count at the last flush

	back    *back
	section int // its place in a bucket
}

// newBack makes a back half. The front half does not know it before [front.join].
func newBack(f *front, p *Policy, slot int) *back {
	b := &back{front: f, policy: p, slot: slot, section: len(p.makers)}
	newSampler := analyze.SeededSampler
	if f.tap.cfg.Counter != nil {
		newSampler = analyze.KernelSampler
	}
	b.sampler = newSampler(p.cfg.SampleSeed, p.share(f.tap.told()))
	for i, newAnalyzer := range p.makers {
		part := &part{back: b, section: i, filter: p.filters[i]}
		a := newAnalyzer(analyze.Shard{Sampler: b.sampler, Flush: part.flush, Open: part.open})
		part.Analyzer = a
		part.rated, _ = a.(analyze.Rated)
		part.judge, _ = a.(analyze.Judge)
		part.waiter, _ = a.(analyze.Waiter)
		part.pre, _ = a.(analyze.Precounter)
		part.sifted, _ = a.(analyze.Sifted)
		b.parts = append(b.parts, part)
	}
	return b
}

// update calls add with the bucket of the clock's second. The bucket's counts are locked during the call.
func (b *back) update(add func(*metric.Bucket)) {
	b.policy.window.Update(b.slot, b.front.clock.Newest, b.front.tap.wall(), func(bucket *metric.Bucket, _ int64) { add(bucket) })
}

// maxUnflushed limits how far the window lags behind a file: after so many packets, the counts are flushed at the end of the
// second.
const maxUnflushed = 1 << 16

// endSecond ends the clock's second. It flushes the counts if that is due, but never the keys.
func (b *back) endSecond() {
	if b.ended == analyze.MaxSeconds-1 || b.unflushed >= maxUnflushed {
		b.flushCounts()
		return
	}
	second := b.front.clock.Second
	if b.ended == 0 { // the bucket must begin with this second or earlier, in whatever order the shards flush
		b.update(func(*metric.Bucket) { b.policy.window.Open(second) })
	}
	b.ended++
	for _, p := range b.parts {
		if p.rated != nil {
			p.rated.EndSecond(second)
		}
	}
}

// flushCounts adds the counts to the window, in the bucket of the clock's second, and the counts of each second to its rates.
func (b *back) flushCounts() {
	b.update(func(bucket *metric.Bucket) {
		for _, p := range b.parts {
			p.flushCounts(bucket)
		}
		b.addPrecounted(bucket)
		m, now := metric.Of[sourceMetrics](bucket.Sections[b.section]), &b.front.counts
		metric.AddChange(m, &b.counted, now)
		metric.AddChange(&m.Stats, &b.counted.Stats, &now.Stats)
		bucket.Lost += now.Lost() - b.counted.Lost()
		b.counted = *now
	})
	b.unflushed, b.ended = 0, 0
}

// flushKeys adds the keys to the window. All shards must have flushed their counts before.
func (b *back) flushKeys() {
	b.update(func(bucket *metric.Bucket) {
		for _, p := range b.parts {
			p.readCounts(bucket)
		}
	})
	for i := range b.parts {
		// Each shard begins with another analyzer. Otherwise the shards would wait for each other.
		p := b.parts[(b.slot+i)%len(b.parts)]
		p.FlushKeys(true, p)
	}
}

// flush adds everything that the analyzer has counted to the window. The analyzer calls it when one of its tallies is full.
func (p *part) flush() {
	p.back.update(func(bucket *metric.Bucket) {
		p.flushCounts(bucket)
		p.readCounts(bucket)
	})
	p.FlushKeys(false, p)
}

// flushCounts adds the analyzer's counts to the bucket.
func (p *part) flushCounts(bucket *metric.Bucket) {
	s := bucket.Sections[p.section]
	s.ShareOfCounts(p.back.sampler.Share())
	p.offered()
	p.FlushCounts(s, p.back.front.clock.Second)
}

// readCounts shows the counts of all shards to an analyzer that judges by them.
func (p *part) readCounts(bucket *metric.Bucket) {
	if p.judge != nil {
		p.judge.ReadCounts(bucket.Sections[p.section])
	}
}

// open returns the section in the open bucket that contains a second, or nil if that bucket is sealed.
func (p *part) open(second int64) *metric.Section {
	if bucket := p.back.policy.window.Open(second); bucket != nil {
		return bucket.Sections[p.section]
	}
	return nil
}

// Lock implements [analyze.Keys]: it locks the keys of the section in the bucket of the clock's second.
func (p *part) Lock() *metric.Section {
	b := p.back
	s := b.policy.window.LockKeys(b.slot, p.section, b.front.clock.Newest, b.front.tap.wall())
	s.ShareOfKeys(b.sampler.Share())
	return s
}

// sample changes the share of address pairs that the policy analyses in depth. Everything must be flushed.
func (b *back) sample(share metric.Share) {
	b.sampler.SetShare(b.policy.share(share), b.front.clock.Newest*clock.Nanos, int64(b.front.tap.cfg.DNSTimeout))
}

// Unlock implements [analyze.Keys].
func (p *part) Unlock() { p.back.policy.window.UnlockKeys(p.section) }
