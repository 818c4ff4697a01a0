package query

import (
	"context"
	"math/bits"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
)

// piece is a stored rollup of a group.
type piece struct {
	rollup.Rollup
	level    rollup.Level
	start    int64
	revision uint64
}

func (p *piece) end() int64 { return p.start + p.level.Seconds() }

// whole reports whether the piece was computed from all rollups of the level below that there can be.
func (p *piece) whole() bool {
	return p.level == rollup.Minute1 || int64(len(p.Sources)) == p.level.Seconds()/p.level.Below().Seconds()
}

// hostMinutes returns how many minutes of hosts are in the piece.
func (p *piece) hostMinutes() (n uint64) {
	for i := range p.Members {
		switch m := &p.Members[i]; {
		case p.level == rollup.Day1:
			n += m.Minutes
		case p.level > rollup.Minute1:
			n += uint64(bits.OnesCount64(m.Minutes))
		case i == 0 || m.Host != p.Members[i-1].Host: // a host that was restarted has two
			n++
		}
	}
	return n
}

// span is a stretch of time in Unix seconds: from is included, to is not.
type span struct{ from, to int64 }

// inner returns the part of s that rollups of a level can cover. It may be empty.
func (s span) inner(l rollup.Level) span {
	in := span{l.Of(s.from), l.Of(s.to)}
	if in.from < s.from {
		in.from += l.Seconds()
	}
	return in
}

// settled is how long after its end a rollup of more than a minute is taken to have all of its minutes, in seconds. Until
// then, it is compared with the rollups below.
const settled = 15 * 60

// maxBytes bounds the rollups that are in memory for one answer.
const maxBytes = 256 << 20

// tiler finds the rollups of one group that cover a range.
type tiler struct {
	reader        *Reader
	ctx           context.Context
	policy, group string
	now           int64
	bytes         int
	damaged       int
}

// tile returns the rollups of a group that cover a range, oldest first. They do not overlap, and none is above the level top.
// Where minutes are missing, there are gaps.
func (r *Reader) tile(ctx context.Context, policy, group string, s span, top rollup.Level) (pieces []piece, damaged int, err error) {
	t := &tiler{reader: r, ctx: ctx, policy: policy, group: group, now: r.Now()}
	pieces, err = t.tile([]span{s}, top)
	return pieces, t.damaged, err
}

// tile covers spans, which are in order and apart from each other. Rollups of which it is not certain that they have all of
// their minutes are compared with those of the level below.
func (t *tiler) tile(spans []span, level rollup.Level) ([]piece, error) {
	if !level.Valid() || len(spans) == 0 {
		return nil, nil
	}
	var sure, doubtful []piece
	var rest []span
	for _, s := range spans {
		at := s.from
		err := t.read(s.inner(level), level, func(p piece) {
			if level > rollup.Minute1 && (!p.whole() || t.now-p.end() < settled) {
				doubtful = append(doubtful, p)
				return
			}
			if at < p.start {
				rest = append(rest, span{at, p.start})
			}
			sure, at = append(sure, p), p.end()
		})
		if err != nil {
			return nil, err
		}
		if at < s.to {
			rest = append(rest, span{at, s.to})
		}
	}
	lower, err := t.tile(rest, level.Below())
	if err != nil {
		return nil, err
	}
	return inOrder(sure, settle(doubtful, lower)), nil
}

// read calls each for the rollups of a level in a span. It leaves out those that are damaged.
func (t *tiler) read(s span, level rollup.Level, each func(p piece)) error {
	if s.to <= s.from || !t.reader.keeps(level, s, t.now) {
		return nil
	}
	return t.reader.cfg.Store.Range(t.ctx, level, t.policy, t.group, s.from, s.to, func(k store.Key, data []byte, revision uint64) error {
		r, err := rollup.Decode(data)
		if err != nil {
			t.damaged++
			return nil
		}
		if t.bytes += len(data); t.bytes > maxBytes {
			return usage("more than %d MB of rollups: ask for a shorter time, or for longer steps", maxBytes>>20)
		}
		each(piece{r, level, k.Start, revision})
		return nil
	})
}

// keeps reports whether the store may still have rollups of a level in a span.
func (r *Reader) keeps(level rollup.Level, s span, now int64) bool {
	age := r.cfg.MinuteAge
	switch level {
	case rollup.Minute5:
		age = r.cfg.FiveAge
	case rollup.Hour1, rollup.Day1:
		return true
	}
	// JetStream drops a rollup by its age, and then not at once.
	return s.to > now-int64(age.Seconds())-3600
}

// settle returns the rollups to use: the doubtful ones if they have what the lower ones have, otherwise the lower ones. Both
// are in order.
func settle(doubtful, lower []piece) []piece {
	var out []piece
	for _, d := range doubtful {
		for len(lower) > 0 && lower[0].start < d.start {
			out, lower = append(out, lower[0]), lower[1:]
		}
		n := 0
		for n < len(lower) && lower[n].start < d.end() {
			n++
		}
		if d.covers(lower[:n]) {
			out = append(out, d)
		} else {
			out = append(out, lower[:n]...)
		}
		lower = lower[n:]
	}
	return append(out, lower...)
}

// covers reports whether the piece has what the lower ones have, which are in its time. It was computed from the same
// revisions, or from more host-minutes, because the store no longer has all of the lower ones.
func (p *piece) covers(lower []piece) bool {
	have := make(map[rollup.Source]bool, len(p.Sources))
	for _, s := range p.Sources {
		have[s] = true
	}
	same, n := true, uint64(0)
	for i := range lower {
		l := &lower[i]
		same = same && l.level == p.level.Below() && have[rollup.Source{Start: l.start, Revision: l.revision}]
		n += l.hostMinutes()
	}
	return same || n < p.hostMinutes()
}

// inOrder merges two lists that are in order of time.
func inOrder(a, b []piece) []piece {
	out := make([]piece, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].start < b[0].start {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
