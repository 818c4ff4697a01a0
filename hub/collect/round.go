package collect

import (
	"log/slog"
	"time"

	"pktvisor/minute"
)

// due takes the agents whose requests may begin now, and prepares their jobs. It also returns when the next agent is due.
func (c *Collector) due(now time.Time) (jobs []*agent, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.lineUp(now)
	for slot, limit := range [...]int{fast: c.cfg.Concurrency, slow: c.cfg.Concurrency * slowShare} {
		for c.slots[slot] < limit {
			a := c.queue.next(slot)
			if a == nil {
				break
			}
			if c.prepare(a, now) {
				c.slots[slot]++
				a.running = true
				a.jobs++
				jobs = append(jobs, a)
			}
		}
	}
	return jobs, c.queue.wake(now)
}

// prepare sets the next job of an agent. It returns false if another hub pulls from the agent.
func (c *Collector) prepare(a *agent, now time.Time) bool {
	if !c.leased(a.URL) {
		a.mine, a.wants = false, nil
		a.setState(Elsewhere, "", now)
		a.regular = a.nextRound(now)
		c.queue.add(a, a.regular)
		return false
	}
	if !a.mine { // another hub may have pulled from it until now
		a.mine = true
		a.progress = newProgress(now.Add(-maxAge).Unix())
		a.etag = ""
		if a.status.State == Elsewhere {
			a.setState(Waiting, "", now)
		}
	}
	a.job = job{url: a.base, tags: a.Tags}
	switch {
	case len(a.wants) > 0 && a.regular.After(now):
		a.job.since, a.job.limit, a.job.again = a.wants[0], 1, true
	case a.follow != 0:
		a.job.since = a.follow
	default:
		a.job.etag = a.etag
	}
	return true
}

// handle takes note of an event.
func (c *Collector) handle(e event, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := e.agent
	switch {
	case !a.running || a.jobs != e.job:
	case e.done:
		a.running = false
		c.slots[a.slot]--
		if !a.gone {
			c.finish(a, &e.o, now)
		}
	case a.slot == fast && c.slots[slow] < c.cfg.Concurrency*slowShare:
		c.slots[fast]--
		c.slots[slow]++
		a.slot = slow
	}
}

// finish takes note of what came of an agent's request, and schedules the next one.
func (c *Collector) finish(a *agent, o *outcome, now time.Time) {
	a.count(o)
	c.claim(a, o, now)
	if o.err == nil {
		c.noteHubs(o.hubs, now)
	}
	if o.stored > 0 {
		a.status.Minute = max(a.status.Minute, a.progress.since())
	}
	c.describe(a, o, now)
	switch {
	case o.err != nil || o.storeErr != nil:
		a.failures++
		a.follow, a.pages = 0, 0
		a.regular = now.Add(a.pause())
	default:
		a.failures = 0
		a.status.Answered = now
		a.clock = o.clock.Sub(now)
		if a.clock.Abs() < time.Second || !o.clocked {
			a.clock = 0
		}
		switch {
		case a.job.again:
			a.wants = a.wants[1:]
		default:
			c.schedule(a, o, now)
		}
	}
	next := a.regular
	if a.failures == 0 && len(a.wants) > 0 {
		next = now
	}
	c.queue.add(a, next)
}

// schedule sets when an agent is asked for new minutes after it has answered: at once if it has more, soon if its newest
// minute is missing, or else when it has sealed its next minute.
func (c *Collector) schedule(a *agent, o *outcome, now time.Time) {
	if a.follow == 0 {
		a.etag, a.etagSince = o.etag, a.asked
	}
	a.follow = 0
	if o.more && a.pages < maxPages {
		a.follow, a.regular = o.next, now
		a.pages++
		return
	}
	a.pages = 0
	switch missing := a.progress.since() < sealed(o.clock); {
	case !missing:
		a.late, a.quiet = 0, 0
	case a.quiet < maxQuiet && a.late < len(lateWaits):
		a.regular = now.Add(lateWaits[a.late])
		a.late++
		return
	default:
		a.late = 0
		a.quiet++
	}
	a.regular = a.nextRound(now)
}

// describe sets the state of an agent after an outcome.
func (c *Collector) describe(a *agent, o *outcome, now time.Time) {
	state, text := Up, ""
	switch {
	case o.reason != "":
		state, text = Refused, o.err.Error()
	case o.err != nil:
		state, text = Away, o.err.Error()
	case o.storeErr != nil:
		text = "store: " + clean(o.storeErr.Error())
	case !o.news && a.status.State == Refused && len(a.status.Refused) > 0 && a.status.Fetched == 0:
		return // unchanged: what it has was refused
	case o.stored == 0 && len(o.refused) > 0:
		state, text = Refused, refusedText(o.refused)
	case len(o.refused) > 0:
		text = refusedText(o.refused)
	}
	before := a.status.State
	if a.setState(state, text, now) && !(before == Waiting && state == Up) {
		c.log.state(a, now)
	}
}

// refusedText says why snapshots were refused.
func refusedText(refused map[Reason]uint64) string {
	var most Reason
	for r, n := range refused {
		if most == "" || n > refused[most] || n == refused[most] && r < most {
			most = r
		}
	}
	return "snapshots are refused: " + string(most)
}

// claim notes which hosts an agent has delivered, and finds other agents that deliver the same ones from another process.
func (c *Collector) claim(a *agent, o *outcome, now time.Time) {
	for host, mine := range o.hosts {
		if !a.hosts[host] && len(a.hosts) >= maxSeries {
			continue
		}
		a.hosts[host] = true
		if c.hosts[host] == nil {
			c.hosts[host] = map[*agent]claim{}
		}
		c.hosts[host][a] = mine
		for other, theirs := range c.hosts[host] {
			apart := mine.minute - theirs.minute
			if other == a || mine.boot == theirs.boot || max(apart, -apart) > minute.Seconds {
				continue
			}
			for _, pair := range [][2]*agent{{a, other}, {other, a}} {
				pair[0].status.Conflict, pair[0].conflictUntil = pair[1].URL, now.Add(conflictTime)
			}
		}
	}
}

// logger logs the changes of agents' states, at most maxLines in a minute.
type logger struct {
	log    *slog.Logger
	minute int64
	lines  int
}

const maxLines = 20

// state logs the state of an agent.
func (l *logger) state(a *agent, now time.Time) {
	if m := minute.Of(now.Unix()); m != l.minute {
		l.minute, l.lines = m, 0
	}
	switch l.lines++; {
	case l.lines > maxLines:
	case l.lines == maxLines:
		l.log.Warn("more agents change their state; the status of the fleet has them all")
	case a.status.State == Up:
		l.log.Info("agent is back", "url", a.URL)
	default:
		l.log.Warn("cannot pull from an agent", "url", a.URL, "state", string(a.status.State), "err", a.status.Error)
	}
}
