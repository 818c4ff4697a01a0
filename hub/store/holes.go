package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// holes finds snapshots that are damaged on the disk although the stream's index has them: the server skips them in
// silence. The only hub of a store gets all sequences in order, so one that was left out is suspect. With several hubs,
// the others have got it.
type holes struct {
	mu      sync.Mutex
	next    uint64 // the sequence after the highest that was delivered, or 0
	suspect []hole
	found   []Gap
}

// hole is a range of sequences that were not delivered.
type hole struct {
	first, last uint64
	since       time.Time
}

// The bounds of holes. Two calls of Consume at once get their parts of the sequences within holeWait.
const (
	maxHoles = 1000
	holeWait = 5 * time.Second
)

// delivered notes what was delivered.
func (h *holes) delivered(all []Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range all {
		switch {
		case d.Sequence == 0 || d.Redelivered && d.Sequence < h.next:
		case h.next == 0 || d.Sequence == h.next:
			h.next = d.Sequence + 1
		case d.Sequence > h.next:
			if len(h.suspect) < maxHoles {
				h.suspect = append(h.suspect, hole{h.next, d.Sequence - 1, time.Now()})
			}
			h.next = d.Sequence + 1
		default:
			h.fill(d.Sequence)
		}
	}
}

// fill takes a sequence out of the suspects.
func (h *holes) fill(seq uint64) {
	i := slices.IndexFunc(h.suspect, func(s hole) bool { return s.first <= seq && seq <= s.last })
	if i < 0 {
		return
	}
	s := h.suspect[i]
	h.suspect = slices.Delete(h.suspect, i, i+1)
	if s.first < seq {
		h.suspect = append(h.suspect, hole{s.first, seq - 1, s.since})
	}
	if seq < s.last {
		h.suspect = append(h.suspect, hole{seq + 1, s.last, s.since})
	}
}

// findHoles looks which of the suspects do not exist. It returns how many snapshots were found to be missing until now,
// apart from those that the stream itself counts. first is the first sequence of the stream.
func (s *Store) findHoles(ctx context.Context, first, missing uint64) (lost uint64) {
	h := &s.holes
	if s.embedded == nil || missing > 0 {
		return 0 // the stream has noticed, which includes the holes
	}
	h.mu.Lock()
	var due []hole
	h.suspect = slices.DeleteFunc(h.suspect, func(x hole) bool {
		old := time.Since(x.since) > holeWait
		if old {
			due = append(due, x)
		}
		return old
	})
	h.mu.Unlock()
	var found []Gap
	for _, x := range due {
		for seq := max(x.first, first); seq <= x.last; {
			next, g, err := s.missingFrom(ctx, seq, x.last)
			if err != nil {
				s.note(err)
				break
			}
			if g.First > 0 {
				found = append(found, g)
			}
			seq = next
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = append(h.found, found...)
	h.found = h.found[max(0, len(h.found)-maxHoles):]
	for _, g := range h.found {
		lost += g.Last - g.First + 1
	}
	return lost
}

// missingFrom looks whether the snapshot of a sequence exists. If not, it returns the gap that begins there. It returns
// the sequence at which to continue.
func (s *Store) missingFrom(ctx context.Context, seq, last uint64) (next uint64, g Gap, err error) {
	exists := last + 1
	var to int64
	_, err = s.direct(ctx, s.names.stream(0), directRequest{Seq: seq, Batch: 1}, func(m stored) error {
		exists, to = m.seq, m.at.Unix()
		return nil
	})
	if err != nil && !errors.Is(err, errNone) {
		return 0, g, err
	}
	if exists == seq {
		return seq + 1, g, nil
	}
	g = Gap{First: seq, Last: min(exists-1, last), To: to + 1}
	if g.From, err = s.arrival(ctx, seq-1); err != nil {
		g.From, err = to, nil // it has gone, too
	}
	return g.Last + 1, g, nil
}

// lost adds the gaps that were found to those that the stream knows.
func (h *holes) lost(gaps []Gap) []Gap {
	if len(gaps) > 0 {
		return gaps
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(gaps, h.found...)
}
