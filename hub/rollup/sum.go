package rollup

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"pktvisor/metric"
	"pktvisor/minute"
)

// Merger makes rollups. It reuses its memory, and may be used by one goroutine at a time.
type Merger struct {
	tables []*metric.Table
	agent  string
	merger *metric.Merger
	open   metric.SnapshotInfo
	free   []*metric.Bucket // empty, for the next sums
}

// NewMerger makes a merger for sections with the given tables. Agent is the program and its version, for the headers of
// rollups.
func NewMerger(tables []*metric.Table, agent string) *Merger {
	return &Merger{tables: tables, agent: agent, merger: metric.NewMerger(tables)}
}

// Sum is a merge of host-minutes of one minute, and who they are.
type Sum struct {
	bucket  *metric.Bucket
	members []Member
	covered uint64
}

// NewSum makes an empty sum.
func (m *Merger) NewSum() *Sum {
	if n := len(m.free); n > 0 {
		s := &Sum{bucket: m.free[n-1]}
		m.free = m.free[:n-1]
		return s
	}
	return &Sum{bucket: metric.NewBucket(m.tables)}
}

// maxFree is how many buckets a merger keeps. As many are used at once if the groups of a host lie in each other, as those of
// a POP in those of its country. A bucket takes up to 5 MB.
const maxFree = 4

// Release gives back the memory of a sum, for the next ones. The sum must not be used afterwards. It may be nil.
func (m *Merger) Release(s *Sum) {
	if s == nil || s.bucket == nil {
		return
	}
	if len(m.free) < maxFree {
		s.bucket.Reset()
		m.free = append(m.free, s.bucket)
	}
	s.bucket = nil
}

// maxCovered bounds the seconds that one snapshot may say it covers: an hour of 65,536 hosts. So no agent can overflow the sum.
const maxCovered = 3600 << 16

// Open reads and checks a host-minute, so that [Merger.Add] can add it to any number of sums. Data must not change until the
// next call.
func (m *Merger) Open(data []byte) (err error) {
	m.open, err = m.merger.Open(data)
	return err
}

// Info returns the header of the open host-minute or rollup.
func (m *Merger) Info() *metric.SnapshotInfo { return &m.open }

// Add adds the open host-minute to s, as the given member.
func (m *Merger) Add(s *Sum, as Member) {
	m.merger.AddTo(s.bucket)
	s.members = append(s.members, as)
	s.covered += min(m.open.Covered, maxCovered)
}

// Merge adds the host-minutes of o. No host-minute may be in both.
func (s *Sum) Merge(o *Sum) {
	s.bucket.Merge(o.bucket)
	s.members = append(s.members, o.members...)
	s.covered += o.covered
}

// AddRollup adds a rollup of the same minute. No host-minute may be in both. The error says that the rollup is damaged, and
// then s is as it was.
func (m *Merger) AddRollup(s *Sum, r *Rollup) error {
	if err := m.Open(r.Snapshot); err != nil {
		return err
	}
	m.merger.AddTo(s.bucket)
	s.members = append(s.members, r.Members...)
	s.covered += m.open.Covered
	return nil
}

// Empty reports whether the sum has no host-minute.
func (s *Sum) Empty() bool { return len(s.members) == 0 }

// Rollup returns the sum as a rollup of a minute. The rollup has the given policy and revision. The sum must not be empty, and
// must not be added to afterwards.
func (m *Merger) Rollup(s *Sum, policy string, revision uint64) Rollup {
	slices.SortFunc(s.members, compareMembers)
	return Rollup{Snapshot: m.snapshot(s, Minute1, policy, revision), Members: s.members}
}

func (m *Merger) snapshot(s *Sum, level Level, policy string, revision uint64) []byte {
	s.bucket.Identity = metric.Identity{Policy: policy, Revision: revision}
	s.bucket.Covered = s.covered
	return s.bucket.AppendSnapshot(nil, m.options(level))
}

// options returns what the snapshots of a level keep. A rollup keeps more keys than what an agent sends, so that the error
// of the tables hardly grows with the number of levels. Above five minutes it keeps a histogram of the events of its seconds
// instead of the seconds, which would take most of its bytes.
func (m *Merger) options(level Level) metric.SnapshotOptions {
	o := metric.SnapshotOptions{Agent: m.agent, TopKeys: 1024, NoiseShare: 65536, Compression: metric.ZstdFast}
	if level >= Hour1 {
		o.TopKeys, o.CoarseRates = 4096, true
	}
	if level == Day1 {
		o.Compression = metric.Zstd // written rarely, kept for ever
	}
	return o
}

// Lower is a rollup of the level below the one that is computed.
type Lower struct {
	Source
	Rollup
}

// Over merges the rollups of one group that a longer one is computed from. They are those of the level below from start to the
// end of the longer one, oldest first, at least one. The error says which of them is damaged.
func (m *Merger) Over(level Level, start int64, lowers []Lower, policy string, revision uint64) (Rollup, error) {
	s := m.NewSum()
	defer m.Release(s)
	var sources []Source
	for i, l := range slices.Backward(lowers) {
		sources = append(sources, l.Source)
		if err := m.Open(l.Snapshot); err != nil {
			return Rollup{}, fmt.Errorf("rollup of %d: %w", l.Start, err)
		}
		s.covered += m.open.Covered
		if i == len(lowers)-1 {
			m.merger.AddTo(s.bucket)
			continue
		}
		if m.open.End < s.bucket.Start {
			// Minutes without a host-minute keep the older seconds in their place.
			s.bucket.Precede([]*metric.Bucket{m.gap(m.open.End, s.bucket.Start, s.bucket)})
		}
		m.merger.Precede(s.bucket)
	}
	slices.Reverse(sources)
	return Rollup{
		Snapshot: m.snapshot(s, level, policy, revision),
		Members:  membersOver(level, start, lowers),
		Sources:  sources,
	}, nil
}

// gap returns an empty bucket before b.
func (m *Merger) gap(from, to int64, b *metric.Bucket) *metric.Bucket {
	return &metric.Bucket{Start: from, End: to, DeepSamplePercent: b.DeepSamplePercent}
}

// membersOver returns the members of a longer rollup: one for each host.
func membersOver(level Level, start int64, lowers []Lower) []Member {
	at := make(map[string]int)
	var members []Member
	for _, l := range lowers {
		for i := range l.Members {
			o := l.Members[i]
			o.Minutes = minutesIn(level, start, l.Start, o.Minutes)
			k, seen := at[o.Host]
			if !seen {
				at[o.Host] = len(members)
				members = append(members, o)
				continue
			}
			members[k].join(&o, level)
		}
	}
	slices.SortFunc(members, compareMembers)
	return members
}

// minutesIn returns what the minutes of a member of a rollup below are in one of the given level.
func minutesIn(level Level, start, lower int64, minutes uint64) uint64 {
	if level == Day1 {
		return uint64(bits.OnesCount64(minutes))
	}
	return minutes << uint64((lower-start)/minute.Seconds)
}

// join adds what the same host gave later, or in the same minute.
func (m *Member) join(o *Member, level Level) {
	if cmp.Or(cmp.Compare(o.Start, m.Start), cmp.Compare(o.Arrived, m.Arrived)) >= 0 {
		m.Boot, m.Seq, m.Revision, m.Tags, m.Agent = o.Boot, o.Seq, o.Revision, o.Tags, o.Agent
	}
	m.Start, m.End = min(m.Start, o.Start), max(m.End, o.End)
	m.Lost += o.Lost
	m.Arrived = max(m.Arrived, o.Arrived)
	if level == Day1 {
		m.Minutes += o.Minutes
	} else {
		m.Minutes |= o.Minutes
	}
}
