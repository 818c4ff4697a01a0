package collect

import (
	"hash/maphash"
	"math"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
)

const (
	// lag bounds how far a policy may be behind the newest one of its target and still be waited for, in seconds. Policies
	// seal their minutes at slightly different times, and a policy that was removed is not waited for.
	lag = minute.Seconds
	// A target whose minutes are merges of others is a hub. It may change a minute when late ones arrive. So it is asked
	// for the last minutes again in each round, and for the last hour in each tenth.
	overlap     = 5 * minute.Seconds
	longOverlap = 60 * minute.Seconds
	longRound   = 10
	// A policy that always seals its minutes after the request is noticed because each tenth round asks for a minute more.
	// When another policy is noticed, the next round asks for as much as it may have missed.
	catchUp = 2 * longRound * minute.Seconds
	// setBack is how far before an agent's clock it is asked for minutes, in seconds, if the clock was set back.
	setBack = 2 * minute.Seconds
	// seenOfAgent and seenOfHub bound the identities that are remembered of a target, so that what an overlap brings again
	// is not stored again. A store knows duplicates anyway.
	seenOfAgent = 32
	seenOfHub   = 8192
)

// series is what a target delivers for one host and policy.
type series struct{ host, policy string }

// progress is what is known of a target's minutes. It belongs to the goroutine that pulls from the target; while none
// does, to the collector.
type progress struct {
	known int64                  // the time from which to ask if there is no series yet
	fresh bool                   // the target was asked before
	next  map[series]int64       // the start of the minute after the newest one that is surely complete
	seen  [2]map[uint64]struct{} // the newer and the older half
	hub   bool                   // the target's minutes are merges
	back  bool                   // a policy was noticed that may have earlier minutes
	round int
}

// newProgress returns the progress of a target of which only the given time is known.
func newProgress(known int64) *progress {
	return &progress{known: known, next: map[series]int64{}}
}

// seed is that of the hashes of identities.
var seed = maphash.MakeSeed()

// since returns the start of the oldest minute to ask for: the first one that may be incomplete.
func (p *progress) since() int64 {
	newest := int64(math.MinInt64)
	for _, next := range p.next {
		newest = max(newest, next)
	}
	if newest == math.MinInt64 {
		return p.known
	}
	since := newest
	for _, next := range p.next {
		if next >= newest-lag {
			since = min(since, next)
		}
	}
	return since
}

// ask returns the time from which to ask in the next round.
func (p *progress) ask() int64 {
	since := p.since()
	p.round++
	long, back := p.round%longRound == 0, p.back
	p.back = false
	switch {
	case len(p.next) == 0:
		return since
	case p.hub && long:
		return since - longOverlap
	case back:
		return since - catchUp
	case p.hub:
		return since - overlap
	case long:
		return since - minute.Seconds
	}
	return since
}

// admit reports whether the collector takes snapshots of a host and policy from the target.
func (p *progress) admit(s series, now time.Time) bool {
	if _, has := p.next[s]; has || len(p.next) < maxSeries {
		return true
	}
	for old, next := range p.next {
		if next < now.Add(-time.Hour).Unix() {
			delete(p.next, old)
			return true
		}
	}
	return false
}

// stored notes that a snapshot of a series is stored, so that it need not be asked for again. Those that are refused are
// one series, without names. The snapshot covers time up to end. agent is the agent's clock when it answered. A minute may
// get a further bucket until it has ended and been sealed, because the agent may be restarted within it.
func (p *progress) stored(s series, end int64, agent time.Time) {
	next := min(minute.Next(end-1), sealed(agent))
	old, has := p.next[s]
	if !has || next > old {
		p.back = p.back || !has && len(p.next) > 0
		p.next[s] = next
	}
}

// answered notes what an agent's clock says. If it was set back, the agent makes minutes that begin before those that it
// has delivered. It may have made some since the answer before.
func (p *progress) answered(agent time.Time) {
	limit := sealed(agent)
	for s, next := range p.next {
		if next > limit {
			p.next[s] = limit - setBack
		}
	}
}

// sealed returns the end of the newest minute that an agent has sealed when its clock is at the given time.
func sealed(agent time.Time) int64 { return minute.Of(agent.Unix() - minute.Grace) }

// identity is what identifies a version of a bucket.
type identity struct {
	series
	boot, seq, revision uint64
	start               int64
}

func identityOf(info *metric.SnapshotInfo) uint64 {
	id := &info.Identity
	return maphash.Comparable(seed, identity{series{id.Host, id.Policy}, id.Boot, id.Seq, id.Revision, info.Start})
}

// has reports whether the snapshot of an identity was stored before.
func (p *progress) has(id uint64) bool {
	_, a := p.seen[0][id]
	_, b := p.seen[1][id]
	return a || b
}

// remember notes that the snapshot of an identity is stored. It forgets the oldest ones.
func (p *progress) remember(id uint64) {
	limit := seenOfAgent
	if p.hub {
		limit = seenOfHub
	}
	if p.seen[0] == nil || len(p.seen[0]) >= limit/2 {
		p.seen[0], p.seen[1] = make(map[uint64]struct{}), p.seen[0]
	}
	p.seen[0][id] = struct{}{}
}
