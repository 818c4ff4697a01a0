package window

import (
	"slices"

	"pktvisor/metric"
	"pktvisor/minute"
)

// Merge puts a finished minute at its place in time. If the ring already has the minute, it keeps the merge of both
// instead, whose identity is the part that the two have in common. The old bucket does not change, because readers may
// hold it. Missing minutes in between are empty.
//
// Merge reports whether the ring accepted the minute. It rejects a minute that is older than the newest minute by as
// many minutes as the ring keeps, or more. The ring does not know the present time, so the caller must reject minutes
// that have not come yet: they would hide real ones.
//
// The ring seals b and keeps it, unless it merges it. The ring does not know whether a host's minute was merged before.
// The caller must make sure that it was not, or use [Ring.Replace] in a separate ring for each host.
func (r *Ring) Merge(b *metric.Bucket) bool {
	return r.put(b, func(had *metric.Bucket) *metric.Bucket {
		both := metric.NewBucket(r.cfg.Tables)
		both.Merge(had)
		both.Merge(b)
		both.Identity = had.Identity.Common(b.Identity)
		return both
	})
}

// Replace is like [Ring.Merge], except that it drops the ring's bucket of the same minute. So putting a minute twice
// has the same effect as putting it once.
func (r *Ring) Replace(b *metric.Bucket) bool {
	return r.put(b, func(*metric.Bucket) *metric.Bucket { return b })
}

// put puts a bucket at its place in time. If the ring has the minute, it keeps the result of join, which receives the
// old bucket.
func (r *Ring) put(b *metric.Bucket, join func(had *metric.Bucket) *metric.Bucket) bool {
	p := r.place(minute.Of(b.Start))
	newer := p.newer.minutes()
	for i := range r.entries[p.end:] {
		newer += r.entries[p.end+i].minutes()
	}
	if newer >= r.cfg.Minutes {
		return false
	}
	if p.had != nil {
		joined := join(p.had.bucket)
		joined.Seal(r.cfg.Slots)
		p.had.bucket = joined
		return true
	}
	b.Seal(r.cfg.Slots)
	parts := make([]entry, 0, 3)
	for _, e := range []entry{p.older, {bucket: b}, p.newer} {
		if e.minutes() > 0 {
			parts = append(parts, e)
		}
	}
	r.entries = slices.Replace(r.entries, p.at, p.end, parts...)
	r.buckets++
	r.trim()
	return true
}

// place is where a minute belongs. It replaces the entries from at to end: no entry, or the run of empty minutes that
// contains it.
type place struct {
	at, end      int
	had          *entry // the bucket of that minute, or nil
	older, newer entry  // the empty minutes on both sides of it
}

// place returns where the minute with the given start belongs: before all newest entries that are later.
func (r *Ring) place(start int64) place {
	at := len(r.entries)
	for at > r.head && r.entries[at-1].start() > start {
		at--
	}
	p := place{at: at, end: at}
	from, to := start, start+minute.Seconds
	if at < len(r.entries) {
		to = r.entries[at].start()
	}
	if at > r.head {
		before := &r.entries[at-1]
		switch from = before.next(); {
		case before.bucket != nil && from > start:
			p.had = before
		case from > start:
			p.at, from, to = at-1, before.run.from, before.run.to
			// Readers that have seen its empty minutes must see the same buckets again.
			n := min(len(before.made), int(to-start)/minute.Seconds-1)
			p.newer.made = slices.Clone(before.made[len(before.made)-n:])
			p.older.made = slices.Clone(before.made[:max(len(before.made)-n-1, 0)])
		}
	}
	p.older.run, p.newer.run = run{from, start}, run{start + minute.Seconds, to}
	return p
}
