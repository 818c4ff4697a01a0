package agent

import (
	"slices"

	"pktvisor/agent/clock"
	"pktvisor/analyze/dns"
)

// maker makes the back half of a policy on a shard that has not started.
type maker struct {
	policy *Policy
	slot   int
}

// add gives a policy a back half on the shard, in the given slot of the policy's window. If the shard has not started, it makes
// the back half when it starts.
func (f *front) add(p *Policy, slot int) {
	f.mu.Lock()
	if !f.made {
		f.makers = append(f.makers, maker{p, slot})
		f.mu.Unlock()
		return
	}
	needsReader, runs, backs := f.reader == nil, f.runs(), f.backs // which only changes of policies change, and these take turns
	f.mu.Unlock()
	b := newBack(f, p, slot)
	var r *dns.Reader
	if needsReader && b.takesMessages() {
		r = f.newReader(f)
	}
	lanes := f.planLanes(append(slices.Clip(backs), b), runs)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.join(b, r, lanes)
}

// make makes the back halves of a shard that starts.
func (f *front) make() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.makers {
		b := newBack(f, m.policy, m.slot)
		var r *dns.Reader
		if f.reader == nil && b.takesMessages() {
			r = f.newReader(f)
		}
		f.join(b, r, f.planLanes(append(slices.Clip(f.backs), b), false))
	}
	f.made, f.makers = true, nil
}

func (f *front) newReader(take dns.Messages) *dns.Reader {
	c := &f.tap.cfg
	return dns.NewReader(dns.ReaderConfig{Seed: f.tap.seed, Ports: c.DNSPorts, Timeout: int64(c.DNSTimeout), Take: take, Scale: c.Scale})
}

// join adds a back half between two batches. The source's counters count for it from now on. r is the reader of messages if
// there is none yet and the back half needs one. lanes are those with the back half. The caller holds f.mu.
func (f *front) join(b *back, r *dns.Reader, lanes []laneChange) {
	if f.reader == nil {
		f.reader = r
	}
	f.setLanes(lanes)
	if f.runs() {
		f.readCounters()
		b.counted, b.precounted = f.counts, len(f.precounted)
	}
	if share := b.policy.share(f.share); share != b.sampler.Share() { // the shard has not followed yet
		b.sampler.SetShare(share, f.clock.Newest*clock.Nanos, 0)
	}
	for _, p := range b.parts {
		p.enter(f)
	}
	f.backs = append(slices.Clip(f.backs), b)
	f.attachAll()
	if f.runs() {
		b.tick(f.clock.Newest * clock.Nanos)
	}
}

// remove takes a policy's back half out of the shard between two batches. It returns the back half if there is something to
// finish, otherwise nil. Only its counts are flushed here, so that the shard need not wait.
func (f *front) remove(p *Policy) *back {
	f.mu.Lock()
	f.makers = slices.DeleteFunc(f.makers, func(m maker) bool { return m.policy == p })
	i := slices.IndexFunc(f.backs, func(b *back) bool { return b.policy == p })
	if i < 0 {
		f.mu.Unlock()
		return nil
	}
	b := f.backs[i]
	others, runs := slices.Delete(slices.Clone(f.backs), i, i+1), f.runs()
	f.mu.Unlock()
	lanes := f.planLanes(others, runs) // which may take a while
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs() {
		f.finishReaders(others, lanes)
		f.readCounters()
		b.flushCounts()
	}
	f.backs = others
	f.setLanes(lanes)
	f.attachAll()
	b.leave()
	if !f.runs() {
		return nil
	}
	return b
}

// finishReaders ends the readers that no other policy needs. Nobody else waits for the rest of their messages.
func (f *front) finishReaders(others []*back, lanes []laneChange) {
	if f.reader != nil && !slices.ContainsFunc(others, (*back).takesMessages) {
		f.reader.Finish()
	}
	for _, l := range f.lanes {
		if l.reader != nil && !slices.ContainsFunc(lanes, func(c laneChange) bool { return c.lane == l }) {
			l.reader.Finish()
		}
	}
}

// enter makes an analyzer follow the reader of its messages, and counts what is offered to its filter from now on.
func (p *part) enter(f *front) {
	r := f.reader
	if p.filter != nil {
		p.lane = f.lane(p.filter.Frames())
		r = p.lane.readerOf(f)
		p.lastOffered = p.lane.packets
		if _, ok := p.Analyzer.(dns.Messages); ok {
			p.lastOffered = p.lane.messages
		}
	}
	if m, ok := p.Analyzer.(follower); ok {
		m.Follow(r)
	}
}

// runs reports whether the clock of the shard runs. Before that, nothing is counted, and afterwards everything is flushed.
func (f *front) runs() bool { return f.clock.Running && !f.over }

// readCounters reads the counters of a live source and of the kernel up to now.
func (f *front) readCounters() {
	if f.source != nil {
		f.counts.Stats = f.source.Stats()
		f.readPrecounted(max(f.clock.Newest, f.tap.wall()))
	}
}

// follower is implemented by analyzers that depend on the state of the reader.
type follower interface{ Follow(dns.Feed) }

// takesMessages reports whether the policy needs the messages of the shard's reader. With a BPF expression, it needs those of its
// lane instead.
func (b *back) takesMessages() bool {
	return slices.ContainsFunc(b.parts, func(p *part) bool {
		_, ok := p.Analyzer.(dns.Messages)
		return p.filter.Frames() == "" && (ok || p.filter != nil && p.filter.OfMessages())
	})
}

// leave separates the back half from its shard. It keeps the time that the shard had reached.
func (b *back) leave() {
	f := b.front
	b.front = &front{id: f.id, tap: f.tap, clock: f.clock, newest: f.newest, counts: f.counts}
	for _, p := range b.parts {
		if m, ok := p.Analyzer.(follower); ok {
			m.Follow(nil)
		}
		p.lane = nil
	}
}

// finish ends everything that waits in a back half that has left its shard, and flushes the rest.
func (b *back) finish() {
	b.tick(max(b.front.newest, b.front.clock.Newest*clock.Nanos))
	for _, p := range b.parts {
		if p.waiter != nil {
			p.waiter.Restart()
		}
	}
	b.flushCounts()
	b.flushKeys()
}

// tick passes the time, in nanoseconds since the Unix epoch, to the sampler and to the analyzers that wait.
func (b *back) tick(now int64) {
	b.sampler.Settle(now)
	for _, p := range b.parts {
		if p.waiter != nil {
			p.waiter.Tick(now)
		}
	}
}
