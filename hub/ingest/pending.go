package ingest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/minute"
)

// When a minute is written.
const (
	afterEnd = 4 * time.Second  // after its end, if a host has not come by then
	lateWait = 2 * time.Second  // after the first host-minute that came later than that
	early    = 10 * time.Second // how long before its end a host-minute may come and still wait for the end
)

// minuteKey is a minute of a policy.
type minuteKey struct {
	policy string
	start  int64
}

// pending are the host-minutes of a minute that are not in all of their rollups yet.
type pending struct {
	minuteKey
	items []*item
	at    map[rollup.MemberKey]*item
	bytes int64
	first time.Time // when the first one came
	tries int       // how often they could not be written
	after time.Time // not before that time again
}

// item is a host-minute, and the deliveries of it.
type item struct {
	member     rollup.Member
	data       []byte
	deliveries []store.Delivery
	done       bool // refused
}

// accept checks a delivery and keeps it for its minute.
func (g *Ingester) accept(d *store.Delivery) {
	g.counts.update(func(s *Status) { s.Received++ })
	if d.Err != nil {
		reason, counter := store.ReasonDamaged, damaged
		if refused, ok := errors.AsType[*store.RefusedError](d.Err); ok {
			reason = refused.Reason
			counter = counterOf(reason)
		}
		g.refuse(d, string(reason), counter)
		return
	}
	info, now := &d.Raw.Info, g.cfg.Now()
	policy, host := info.Identity.Policy, info.Identity.Host
	switch {
	case info.Start > now.Add(store.MaxFuture).Unix():
		g.refuse(d, string(store.ReasonFuture), future)
		return
	case info.Start < now.Add(-g.cfg.Retention).Unix():
		g.refuse(d, string(store.ReasonTooOld), tooOld)
		return
	case host == "" || policy == "" || info.End <= info.Start || !minute.Same(info.Start, info.End-1):
		g.refuse(d, "not a minute of a host", refused)
		return
	}
	if ok, reason := g.limits.admit(policy, host, g.cfg.Now()); !ok {
		g.refuse(d, reason, refused)
		return
	}
	g.keep(minuteKey{policy, minute.Of(info.Start)}, newItem(&d.Raw), d)
}

// newItem makes an item without deliveries.
func newItem(raw *store.Raw) *item {
	info := &raw.Info
	return &item{data: raw.Data, member: rollup.Member{
		Host: info.Identity.Host, Boot: info.Identity.Boot, Seq: info.Identity.Seq, Revision: info.Identity.Revision,
		Start: info.Start, End: info.End, Lost: info.Lost, Tags: raw.Tags, Agent: info.Agent, Arrived: raw.Arrived.Unix(), Minutes: 1,
	}}
}

// keep adds a host-minute to those that are pending. Of two with the same key, it keeps the one with the higher revision, and
// acknowledges both together. The tags stay those of the first one.
func (g *Ingester) keep(key minuteKey, it *item, d *store.Delivery) {
	p := g.pending[key]
	if p == nil {
		p = &pending{minuteKey: key, at: make(map[rollup.MemberKey]*item), first: g.cfg.Now()}
		g.pending[key] = p
	}
	old := p.at[it.member.Key()]
	switch {
	case old == nil:
		p.at[it.member.Key()] = it
		p.items = append(p.items, it)
		old = it
	case old.member.Revision < it.member.Revision:
		g.counts.update(func(s *Status) { s.Replaced++ })
		it.member.Tags = old.member.Tags
		old.member, old.data = it.member, it.data
	default:
		g.counts.update(func(s *Status) { s.Duplicate++ })
	}
	if d != nil {
		old.deliveries = append(old.deliveries, *d)
	}
	p.bytes += int64(len(it.data))
	g.bytes += int64(len(it.data))
	g.saw(key, it.member.Host)
	g.counts.update(func(s *Status) { s.Pending, s.PendingBytes = s.Pending+1, g.bytes })
}

// saw notes that a host reports a policy.
func (g *Ingester) saw(key minuteKey, host string) {
	hosts := g.recent[key.policy]
	if hosts == nil {
		hosts = make(map[string]int64)
		g.recent[key.policy] = hosts
	}
	if hosts[host] < key.start && key.start <= g.cfg.Now().Unix() {
		hosts[host] = key.start
	}
}

// recentFor is how long a host is remembered, in seconds.
const recentFor = 900

// whole reports whether each host that reported the minute before has reported this one.
func (g *Ingester) whole(p *pending) bool {
	here := make(map[string]bool, len(p.items))
	for _, it := range p.items {
		here[it.member.Host] = true
	}
	before := 0
	hosts := g.recent[p.policy]
	for host, newest := range hosts {
		if newest < p.start-recentFor {
			delete(hosts, host)
		}
		if newest >= p.start-minute.Seconds {
			before++
			if !here[host] {
				return false
			}
		}
	}
	return before > 0
}

// due returns when a minute must be written.
func (g *Ingester) due(p *pending) time.Time {
	end := time.Unix(p.start+minute.Seconds, 0)
	_, again := g.wrote[p.minuteKey]
	at := p.first.Add(lateWait)
	if !again && !p.first.Before(end.Add(-early)) && p.first.Before(end.Add(afterEnd)) {
		at = end.Add(afterEnd)
		if !g.cfg.Now().Before(end) && g.whole(p) {
			at = end
		}
	}
	if at.Before(p.after) {
		return p.after
	}
	return at
}

// flushDue writes the minutes that are due, oldest first. If too many bytes are pending, it also writes the largest one.
func (g *Ingester) flushDue(ctx context.Context) {
	var list []*pending
	var largest *pending
	now := g.cfg.Now()
	for _, p := range g.pending {
		if !g.due(p).After(now) {
			list = append(list, p)
		}
		if !p.after.After(now) && (largest == nil || p.bytes > largest.bytes) {
			largest = p
		}
	}
	if g.bytes >= g.cfg.PendingBytes && len(list) == 0 && largest != nil {
		list = append(list, largest)
	}
	slices.SortFunc(list, func(a, b *pending) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.policy, b.policy))
	})
	for _, p := range list {
		g.flush(ctx, p)
	}
}

// flush writes a minute. If that fails, the minute stays pending and is tried again later.
func (g *Ingester) flush(ctx context.Context, p *pending) {
	err := g.write(ctx, p)
	if errors.Is(err, store.ErrTooLarge) { // no hub can store it
		for _, it := range p.items {
			g.drop(it, err.Error(), refused)
		}
		err = nil
	}
	if err != nil {
		g.unwritten(ctx, p, err)
		return
	}
	for _, it := range p.items {
		for i := range it.deliveries {
			it.deliveries[i].Ack()
		}
	}
	g.forget(p)
	g.remember(p.minuteKey)
	g.counts.update(func(s *Status) {
		s.Flushes++
		if p.start+minute.Seconds <= g.cfg.Now().Unix() {
			s.Newest = max(s.Newest, p.start)
		}
	})
}

// maxFlushes is how often an ingester tries to write a minute before it gives the host-minutes to another one: about three
// minutes.
const maxFlushes = 25

// unwritten decides what happens to a minute that could not be written.
func (g *Ingester) unwritten(ctx context.Context, p *pending, err error) {
	if ctx.Err() != nil {
		return
	}
	g.counts.update(func(s *Status) { s.Retries++ })
	g.failed("write the minute "+time.Unix(p.start, 0).UTC().Format(time.RFC3339)+" of "+p.policy, err)
	if p.tries++; p.tries == maxFlushes {
		p.giveBack()
		g.forget(p)
		return
	}
	p.after = g.cfg.Now().Add(backoff(p.tries, 250*time.Millisecond, 10*time.Second))
}

// giveBack makes the store deliver the host-minutes again.
func (p *pending) giveBack() {
	for _, it := range p.items {
		for i := range it.deliveries {
			it.deliveries[i].Nak()
		}
	}
}

// forget removes a minute from those that are pending.
func (g *Ingester) forget(p *pending) {
	delete(g.pending, p.minuteKey)
	g.bytes -= p.bytes
	n := 0
	for _, p := range g.pending {
		n += len(p.items)
	}
	g.counts.update(func(s *Status) { s.Pending, s.PendingBytes = n, g.bytes })
}

// maxWrote bounds the minutes that are remembered as written.
const maxWrote = 4096

// remember notes that a minute was written, so that what comes for it later does not wait for its end.
func (g *Ingester) remember(key minuteKey) {
	if len(g.wrote) >= maxWrote {
		clear(g.wrote)
	}
	g.wrote[key] = struct{}{}
}

// The counters of refused deliveries.
func damaged(s *Status) { s.Damaged++ }
func version(s *Status) { s.Version++ }
func future(s *Status)  { s.Future++ }
func tooOld(s *Status)  { s.TooOld++ }
func refused(s *Status) { s.Refused++ }

// counterOf returns the counter of a reason for which the store refuses a snapshot.
func counterOf(reason store.Reason) func(s *Status) {
	switch reason {
	case store.ReasonDamaged:
		return damaged
	case store.ReasonVersion:
		return version
	case store.ReasonFuture:
		return future
	case store.ReasonTooOld:
		return tooOld
	}
	return refused
}

// refuse ends a delivery that does not count, for a reason that is counted by count.
func (g *Ingester) refuse(d *store.Delivery, reason string, count func(s *Status)) {
	g.counts.update(count)
	id := &d.Raw.Info.Identity
	g.warn(reason, "host-minute refused", "reason", reason, "host", id.Host, "policy", id.Policy, "start", d.Raw.Info.Start)
	d.Term(reason)
}

// release gives back what is pending, so that another ingester gets it at once.
func (g *Ingester) release() {
	for _, p := range g.pending {
		p.giveBack()
		g.forget(p)
	}
}
