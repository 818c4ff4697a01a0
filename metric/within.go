package metric

import (
	"cmp"
	"iter"
	"slices"

	"pktvisor/sketch"
)

// limit returns the most that a key can have, by another table.
type limit func(key []byte) uint64

// within returns the limit of the keys of a distinct table: a client has asked for no more names than it has sent queries. It returns
// nil if the metric has no such table beside it, or if that is empty because it is switched off.
func (s *Section) within(d *Desc) limit {
	if s == nil || d.Within == "" {
		return nil
	}
	i, ok := s.Table.Find(d.Within)
	if !ok {
		return nil
	}
	t := s.Top(i)
	if t == nil || t.Total() == 0 {
		return nil
	}
	return func(key []byte) uint64 {
		_, upper := t.Bounds(key)
		return upper
	}
}

func (most limit) clamp(b sketch.Bounds, key []byte) sketch.Bounds {
	m := most(key)
	return sketch.Bounds{Lower: min(b.Lower, m), Upper: min(b.Upper, m)}
}

// spareRows is how many times as many rows are limited as are wanted: limits change their order.
const spareRows = 4

// topWithin is like [sketch.Spread.Top], for keys that have at most so much as a limit says. most may be nil.
func (t *Distinct) topWithin(dst []sketch.Row, n int, most limit) []sketch.Row {
	if most == nil {
		return t.Top(dst, n)
	}
	rows := t.Top(dst, min(n, t.Len())*spareRows)
	for i := range rows {
		r := &rows[i]
		b := most.clamp(sketch.Bounds{Lower: r.Lower, Upper: r.Upper}, []byte(r.Key))
		r.Lower, r.Upper = b.Lower, b.Upper
	}
	rows = slices.DeleteFunc(rows, func(r sketch.Row) bool { return r.Lower == 0 })
	slices.SortFunc(rows, func(a, b sketch.Row) int { return cmp.Or(cmp.Compare(b.Lower, a.Lower), cmp.Compare(a.Key, b.Key)) })
	return rows[:min(n, len(rows))]
}

// limitedRows are the rows of a distinct table with a limit.
type limitedRows struct {
	*Distinct
	most limit
	all  func() iter.Seq2[[]byte, sketch.Bounds] // of the table that limits them
	rest uint64                                  // what a key without a row in it has at most
}

// limitRows returns the rows of metric i with its limit, if it has one.
func (s *Section) limitRows(i int, rows Rows) Rows {
	t, ok := rows.(*Distinct)
	if !ok {
		return rows
	}
	most := s.within(&s.Table.Descs[i])
	if most == nil {
		return rows
	}
	at, _ := s.Table.Find(s.Table.Descs[i].Within)
	other := s.Top(at)
	return &limitedRows{t, most, other.Each, other.Missing()}
}

// Bounds implements [Rows].
func (r *limitedRows) Bounds(key []byte) (lower, upper uint64) {
	lower, upper = r.Distinct.Bounds(key)
	b := r.most.clamp(sketch.Bounds{Lower: lower, Upper: upper}, key)
	return b.Lower, b.Upper
}

// Each implements [Rows]. The limits are looked up in a copy: a sealed table has no index.
func (r *limitedRows) Each() iter.Seq2[[]byte, sketch.Bounds] {
	limits := make(map[string]uint64)
	for key, b := range r.all() {
		limits[string(key)] = b.Upper
	}
	most := limit(func(key []byte) uint64 {
		if m, ok := limits[string(key)]; ok {
			return m
		}
		return r.rest
	})
	return func(yield func([]byte, sketch.Bounds) bool) {
		for key, b := range r.Distinct.Each() {
			if !yield(key, most.clamp(b, key)) {
				return
			}
		}
	}
}
