package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// Gap is a hole in what is stored.
type Gap struct {
	// Level is 0 for snapshots.
	Level rollup.Level
	// Policy and Group are those of missing rollups. From and To are Unix times in seconds: the start of the first missing
	// rollup and that of the next one that exists. Of snapshots, they are when the messages before and after the gap
	// arrived, rounded outwards.
	Policy, Group string
	From, To      int64
	// First and Last are the sequences of the first and the last missing snapshot.
	First, Last uint64
}

// maxGaps bounds the gaps of a level that are returned.
const maxGaps = 1000

// Gaps returns the holes in the streams, the oldest first. A hole in the snapshots was made by damage: they are only
// removed from the front. A hole in the rollups of a group may also be a time in which no hub ran or no host was there.
// Holes at the ends are not found.
func (s *Store) Gaps(ctx context.Context) ([]Gap, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	gaps, err := s.rawGaps(ctx)
	if err != nil {
		return nil, s.failed("look for gaps", err)
	}
	for l := rollup.Minute1; l <= rollup.Day1; l++ {
		subjects, err := s.subjectsOf(ctx, l, s.names.subjects(l))
		if err != nil {
			return nil, s.failed("look for gaps", err)
		}
		starts := map[Key][]int64{} // by key without the start
		for subj := range subjects {
			if k, ok := s.names.key(subj); ok {
				start := k.Start
				k.Start = 0
				starts[k] = append(starts[k], start)
			}
		}
		gaps = append(gaps, rollGaps(starts)...)
	}
	return gaps, nil
}

// rollGaps returns the gaps between the starts of each group's rollups, by time, policy and group.
func rollGaps(starts map[Key][]int64) (gaps []Gap) {
	for k, all := range starts {
		slices.Sort(all)
		for i := 1; i < len(all); i++ {
			if next := all[i-1] + k.Level.Seconds(); next < all[i] {
				gaps = append(gaps, Gap{Level: k.Level, Policy: k.Policy, Group: k.Group, From: next, To: all[i]})
			}
		}
	}
	slices.SortFunc(gaps, func(a, b Gap) int {
		if a.From != b.From {
			return int(min(max(a.From-b.From, -1), 1))
		}
		return strings.Compare(a.Policy+"\x00"+a.Group, b.Policy+"\x00"+b.Group)
	})
	return gaps[:min(len(gaps), maxGaps)]
}

// rawGaps returns the gaps in the stream of snapshots.
func (s *Store) rawGaps(ctx context.Context) (gaps []Gap, err error) {
	info, err := s.info(ctx, 0, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, err
	}
	deleted := slices.DeleteFunc(info.State.Deleted, func(seq uint64) bool { // of an empty stream, it lists 0
		return seq <= info.State.FirstSeq || seq >= info.State.LastSeq
	})
	slices.Sort(deleted)
	for i := 0; i < len(deleted) && len(gaps) < maxGaps; {
		g := Gap{First: deleted[i], Last: deleted[i]}
		for i++; i < len(deleted) && deleted[i] == g.Last+1; i++ {
			g.Last++
		}
		if g.From, err = s.arrival(ctx, g.First-1); err != nil {
			return nil, err
		}
		if g.To, err = s.arrival(ctx, g.Last+1); err != nil {
			return nil, err
		}
		g.To++
		gaps = append(gaps, g)
	}
	return s.holes.lost(gaps), nil
}

// arrival returns when the snapshot of a sequence arrived, in Unix seconds.
func (s *Store) arrival(ctx context.Context, sequence uint64) (at int64, err error) {
	_, err = s.direct(ctx, s.names.stream(0), directRequest{Seq: sequence, Batch: 1}, func(m stored) error {
		at = m.at.Unix()
		return nil
	})
	if err != nil {
		err = fmt.Errorf("snapshot %d: %w", sequence, err)
	}
	return at, err
}
