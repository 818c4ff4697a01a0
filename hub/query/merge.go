package query

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
)

// Info says what a bucket is made of.
type Info struct {
	// From and To are the time that was asked for, in Unix seconds.
	From, To int64
	// Hosts is the number of hosts that are in it, HostMinutes the number of their minutes.
	Hosts       int
	HostMinutes uint64
	// Minutes is the number of minutes of at least one host, Missing that of the others.
	Minutes, Missing int
	// Levels counts the rollups of each level. Raw is the number of host-minutes if it was merged from these.
	Levels map[rollup.Level]int
	Raw    int
	// Rates reports whether the bucket has rates. The seconds of several groups cannot be added up if their rollups have
	// only how often there were how many events.
	Rates bool
	// Damaged counts rollups that could not be read. They are left out.
	Damaged int
	// Revision grows whenever the content changes.
	Revision uint64
	// Covered is the sum of the seconds that the hosts' minutes cover.
	Covered uint64
}

// gather collects an Info.
type gather struct {
	info    Info
	hosts   map[string]struct{}
	minutes []uint64 // a bit for each minute
	days    map[int64]uint64
}

// maxRange bounds a range, in seconds: ten years.
const maxRange = 3653 * 86400

func newGather(s span) *gather {
	return &gather{
		info:    Info{From: s.from, To: s.to, Rates: true, Levels: make(map[rollup.Level]int)},
		hosts:   make(map[string]struct{}),
		minutes: make([]uint64, (s.to-s.from)/minute.Seconds/64+1),
		days:    make(map[int64]uint64),
	}
}

func (g *gather) mark(start int64) {
	i := (start - g.info.From) / minute.Seconds
	if start >= g.info.From && start < g.info.To {
		g.minutes[i/64] |= 1 << (i % 64)
	}
}

// add notes a rollup.
func (g *gather) add(p *piece) {
	g.info.Levels[p.level]++
	g.info.HostMinutes += p.hostMinutes()
	g.info.Revision += p.revision
	all := uint64(0)
	for i := range p.Members {
		m := &p.Members[i]
		g.hosts[m.Host] = struct{}{}
		if p.level == rollup.Day1 {
			g.days[p.start] = max(g.days[p.start], min(m.Minutes, 86400/minute.Seconds))
			continue
		}
		all |= m.Minutes
	}
	switch p.level {
	case rollup.Minute1:
		g.mark(p.start)
	case rollup.Minute5, rollup.Hour1:
		for ; all != 0; all &= all - 1 {
			g.mark(p.start + int64(bits.TrailingZeros64(all))*minute.Seconds)
		}
	}
}

// finish returns what was collected.
func (g *gather) finish() Info {
	g.info.Hosts = len(g.hosts)
	for _, word := range g.minutes {
		g.info.Minutes += bits.OnesCount64(word)
	}
	for _, n := range g.days {
		g.info.Minutes += int(n)
	}
	g.info.Missing = max(int((g.info.To-g.info.From)/minute.Seconds)-g.info.Minutes, 0)
	return g.info
}

// precede adds the snapshot of an older piece to b, which may be empty. A damaged one is left out.
func (g *gather) precede(m *metric.Merger, b *metric.Bucket, p *piece) {
	info, err := m.Open(p.Snapshot)
	if err != nil || info.Start < p.start || info.End > p.end() || info.End <= info.Start {
		g.info.Damaged++
		return
	}
	g.info.Covered += info.Covered
	if b.Empty() {
		m.AddTo(b)
		return
	}
	b.Cover(info.End, b.End) // if minutes are missing between them, the older ones keep their place
	m.Precede(b)
}

// mergeGroup returns the merge of the rollups of one group, which are in order of time.
func (g *gather) mergeGroup(m *metric.Merger, tables []*metric.Table, pieces []piece) *metric.Bucket {
	b := metric.NewBucket(tables)
	for i := len(pieces) - 1; i >= 0; i-- {
		g.add(&pieces[i])
		g.precede(m, b, &pieces[i])
	}
	return b
}

// fingerprint returns a key for the cache that is different whenever the merge is.
func fingerprint(kind string, s span, groups [][]piece) [sha256.Size]byte {
	b := append([]byte(kind), 0)
	put := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	put(uint64(s.from))
	put(uint64(s.to))
	for _, pieces := range groups {
		put(uint64(len(pieces)))
		for i := range pieces {
			put(uint64(pieces[i].level))
			put(uint64(pieces[i].start))
			put(pieces[i].revision)
		}
	}
	return sha256.Sum256(b)
}

// content is which metrics a merge has.
type content int

const (
	everything content = iota
	countsOnly         // counters, gauges and histograms
)

// merge returns the merge of the selected hosts in a span. The bucket is empty if there is nothing.
func (r *Reader) merge(ctx context.Context, p *plan, s span, top rollup.Level, what content) (*metric.Bucket, Info, error) {
	if p.raw() {
		return r.mergeRaw(ctx, p, s)
	}
	g := newGather(s)
	groups := make([][]piece, len(p.groups))
	for i, group := range p.groups {
		var damaged int
		var err error
		if groups[i], damaged, err = r.tile(ctx, p.policy, group, s, top); err != nil {
			return nil, Info{}, err
		}
		g.info.Damaged += damaged
	}
	tables, kind := r.cfg.Tables, "all\x00"
	switch {
	case what == countsOnly:
		tables, kind = r.counts, "counts\x00"
	case len(groups) > 1 && top > rollup.Minute5:
		tables, kind = r.rateless, "rateless\x00"
		g.info.Rates = false
	}
	key := fingerprint(kind+p.key, s, groups)
	if b, info, ok := r.cache.get(key); ok {
		return b, info, nil
	}
	m, done := r.merger(tables)
	defer done()
	var all *metric.Bucket
	size := 0
	for _, pieces := range groups {
		b := g.mergeGroup(m, tables, pieces)
		if all == nil {
			all = b
		} else {
			all.Merge(b)
		}
		for i := range pieces {
			size += len(pieces[i].Snapshot)
		}
	}
	info := r.finish(all, g, p, s)
	r.cache.put(key, all, info, size)
	return all, info, nil
}

// finish completes a merge. A minute is a whole one, whenever its hosts began, so that its key stays the same for another
// hub.
func (r *Reader) finish(b *metric.Bucket, g *gather, p *plan, s span) Info {
	info := g.finish()
	b.Covered = info.Covered
	if s.to-s.from == minute.Seconds && !b.Empty() {
		b.Start, b.End = s.from, s.to
	}
	b.Identity = r.cfg.Identity
	b.Identity.Policy = p.policy
	if s.to-s.from == minute.Seconds {
		b.Identity.Seq, b.Identity.Revision = uint64(s.from/minute.Seconds), info.Revision
	}
	b.Seal(maxSlots)
	return info
}

// maxSlots is the number of slots that the largest top table has.
const maxSlots = 8192

// merger returns a merger for buckets of the given tables, and a function to call when it is no longer needed.
func (r *Reader) merger(tables []*metric.Table) (*metric.Merger, func()) {
	if len(tables) == 0 || tables[0] != r.cfg.Tables[0] {
		return metric.NewMerger(tables), func() {}
	}
	m := r.mergers.Get().(*metric.Merger)
	return m, func() { r.mergers.Put(m) }
}
