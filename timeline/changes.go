package timeline

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// The rows of an answer about changes.
const (
	defaultChanges = 20
	maxChanges     = 1000
)

// The measures in which two summaries are compared.
const (
	perSecond = "per_second"
	byShare   = "share"
)

// side is one of the two summaries that are compared.
type side struct {
	bucket  *metric.Bucket
	seconds float64
}

// changes answers with what is different between two stretches of time, or between two parts of a fleet.
func (t *timeline) changes(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	rows, err := Number(q, "rows", defaultChanges, 1, maxChanges)
	if err != nil {
		return nil, err
	}
	sel, err := t.Source.Select(r.Context(), q)
	if err != nil {
		return nil, err
	}
	baseSel, err := t.Source.Base(r.Context(), q)
	if err != nil {
		return nil, err
	}
	groups := baseSel != nil
	if !groups {
		baseSel = sel
	}
	from, to, err := t.rangeOf(q)
	if err != nil {
		return nil, err
	}
	baseFrom, baseTo := from, to
	if q.Has("base_from") || q.Has("base_to") || !groups {
		if baseFrom, baseTo, err = t.baseRange(q, from, to); err != nil {
			return nil, err
		}
	}
	measure, err := One(q, "measure")
	switch {
	case err != nil:
		return nil, err
	case measure == "" && groups:
		measure = byShare
	case measure == "":
		measure = perSecond
	case measure != byShare && measure != perSecond:
		return nil, Bad("measure %.50q: give %s or %s", measure, perSecond, byShare)
	}
	a := &api.Changes{Measure: measure, Changes: []api.Change{}}
	var now, base side
	if now, a.Now, err = readSide(r.Context(), sel, from, to); err != nil {
		return nil, err
	}
	if base, a.Base, err = readSide(r.Context(), baseSel, baseFrom, baseTo); err != nil {
		return nil, err
	}
	c := comparison{now: now, base: base, measure: measure, most: rows}
	c.sections()
	a.Compared, a.Changes = c.compared, append(a.Changes, c.ranked()...)
	return jsonOf(a)
}

// baseRange returns the time to compare with: by default, the same length of time before.
func (t *timeline) baseRange(q url.Values, from, to int64) (int64, int64, error) {
	at := func(name string, missing, round int64) (int64, error) {
		text, err := One(q, name)
		if text == "" || err != nil {
			return missing, err
		}
		time, ok := timeOf(text, t.Now().Unix())
		if !ok {
			return 0, wrongTime(name, text)
		}
		return minute.Of(time + round), nil
	}
	baseFrom, err := at("base_from", -1, 0)
	if err != nil {
		return 0, 0, err
	}
	baseTo, err := at("base_to", -1, minute.Seconds-1)
	if err != nil {
		return 0, 0, err
	}
	if baseTo < 0 {
		if baseTo = from; baseFrom >= 0 {
			baseTo = baseFrom + (to - from)
		}
	}
	if baseFrom < 0 {
		baseFrom = baseTo - (to - from)
	}
	if baseFrom >= baseTo || baseFrom < 0 {
		return 0, 0, Bad("base_from %d is not before base_to %d, in Unix seconds", baseFrom, baseTo)
	}
	return baseFrom, baseTo, nil
}

// readSide reads one of the summaries, and returns what is said about it.
func readSide(ctx context.Context, sel Selection, from, to int64) (side, *api.Selected, error) {
	b, extent, err := sel.Merge(ctx, nil, from, to)
	return side{b, max(extent.Seconds, 1)}, extent.About, err
}

// comparison finds the greatest changes between two summaries.
type comparison struct {
	now, base side
	measure   string
	most      int // how many changes are wanted

	compared int          // counters and rows
	list     []api.Change // the greatest so far, and fewer than keepFor times most others
}

// keepFor bounds the changes in memory: the list is cut when it has this many times the changes that are wanted.
const keepFor = 4

// sections compares all counters and all rows of all tables.
func (c *comparison) sections() {
	for _, s := range c.now.bucket.Sections {
		o, ok := c.base.bucket.Section(s.Table.Section)
		if !ok {
			continue
		}
		for k := range s.Table.Descs {
			d := &s.Table.Descs[k]
			at, ok := o.Table.Find(d.Path)
			if !ok {
				continue
			}
			switch rows, others := s.Rows(k), o.Rows(at); {
			case rows != nil && others != nil:
				c.rows(d, rows, others)
			case d.Kind == metric.KindCounter:
				w, v := float64(largest(s, d)), float64(largest(o, d))
				f, g := c.now.scale(c.measure, w), c.base.scale(c.measure, v)
				n, b := float64(s.Counter(k))*f, float64(o.Counter(at))*g
				c.add(d, "", api.Bounds{Lower: n, Upper: n}, api.Bounds{Lower: b, Upper: b}, max(w*f, v*g))
			}
		}
	}
}

// scale returns the factor that converts a count of the summary to the given measure. Total is the count of the whole.
func (s *side) scale(measure string, total float64) float64 {
	switch {
	case measure == perSecond:
		return 1 / s.seconds
	case total == 0:
		return 0
	}
	return 1 / total
}

// largest returns the largest counter of the section that has the same unit.
func largest(s *metric.Section, d *metric.Desc) (most uint64) {
	for i := range s.Table.Descs {
		if o := &s.Table.Descs[i]; o.Kind == metric.KindCounter && o.Unit.Name == d.Unit.Name {
			most = max(most, s.Counter(i))
		}
	}
	return most
}

// rowScale converts the bounds of rows to a measure.
type rowScale struct{ lower, upper, most float64 }

func (f rowScale) of(b sketch.Bounds) api.Bounds {
	return api.Bounds{Lower: min(float64(b.Lower)*f.lower, f.most), Upper: min(float64(b.Upper)*f.upper, f.most)}
}

// rowScale returns the scale of the rows of one side.
//
// A share has the bounds of the whole, too. Distinct items are not additive: those that were there in one minute may be there in
// each. If one side is longer than the other, so many of its items a second may have been there in a time as long as the other side as
// if all of them had been there then, or only as many as on average.
func (c *comparison) rowScale(rows metric.Rows, s, other *side) rowScale {
	if c.measure == byShare {
		lower, upper := rows.TotalBounds()
		return rowScale{s.scale(byShare, float64(upper)), s.scale(byShare, float64(lower)), 1}
	}
	f := rowScale{1 / s.seconds, 1 / s.seconds, math.Inf(1)}
	if !rows.Additive() {
		f.upper = 1 / min(s.seconds, other.seconds)
	}
	return f
}

// rows compares the rows of two tables. A key that is in one of them only may have up to the error of the other in that one.
func (c *comparison) rows(d *metric.Desc, a, b metric.Rows) {
	f, g := c.rowScale(a, &c.now, &c.base), c.rowScale(b, &c.base, &c.now)
	w, v := float64(a.Total()), float64(b.Total())
	whole := max(w*c.now.scale(c.measure, w), v*c.base.scale(c.measure, v))
	before := make(map[string]sketch.Bounds)
	for key, bounds := range b.Each() {
		before[string(key)] = bounds
	}
	foldedNow, foldedBefore := foldedOf(d, a), foldedOf(d, b)
	for key, bounds := range a.Each() {
		was, ok := before[string(key)]
		if !ok {
			was.Upper = b.Missing()
		}
		delete(before, string(key))
		bounds.Upper, was.Upper = bounds.Upper+foldedNow.above(key), was.Upper+foldedBefore.above(key)
		c.add(d, string(key), f.of(bounds), g.of(was), whole)
	}
	for key, was := range before {
		bounds := sketch.Bounds{Upper: a.Missing() + foldedNow.above([]byte(key))}
		was.Upper += foldedBefore.above([]byte(key))
		c.add(d, key, f.of(bounds), g.of(was), whole)
	}
}

// folded has the upper bounds of the rows of a table that stand for the light names of a zone, by the zone with a dot before it.
type folded map[string]uint64

func foldedOf(d *metric.Desc, rows metric.Rows) folded {
	if d.Fold == "" {
		return nil
	}
	f := make(folded)
	for key, bounds := range rows.Each() {
		if zone, ok := bytes.CutPrefix(key, []byte("*")); ok {
			f[string(zone)] = bounds.Upper
		}
	}
	return f
}

// above returns how much of a name may count in rows of its zones.
func (f folded) above(name []byte) (most uint64) {
	if len(f) == 0 || len(name) > 0 && name[0] == '*' {
		return 0
	}
	for i, c := range name {
		if c == '.' {
			most += f[string(name[i:])]
		}
	}
	return most
}

// add adds one comparison of values in the measure, which are parts of a whole.
func (c *comparison) add(d *metric.Desc, name string, now, base api.Bounds, whole float64) {
	if now.Upper == 0 && base.Upper == 0 {
		return
	}
	c.compared++
	change := 0.0
	switch {
	case now.Lower > base.Upper:
		change = now.Lower - base.Upper
	case base.Lower > now.Upper:
		change = now.Upper - base.Lower
	default:
		return
	}
	c.list = append(c.list, api.Change{
		Metric: d.Section + "." + d.Path, Name: name, Kind: d.Kind.String(), Unit: d.Unit.Name, Now: now, Base: base, Change: change, Score: math.Abs(change) / whole,
	})
	if len(c.list) > keepFor*c.most {
		c.cut()
	}
}

// cut keeps the greatest changes.
func (c *comparison) cut() {
	slices.SortFunc(c.list, greater)
	c.list = c.list[:min(len(c.list), c.most)]
}

// greater orders changes by their score, and equal ones by metric and name.
func greater(a, b api.Change) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Name, b.Name))
}

// ranked returns the greatest changes: keys that may be new first, then those that may have vanished, then the others.
func (c *comparison) ranked() []api.Change {
	c.cut()
	slices.SortStableFunc(c.list, func(a, b api.Change) int { return cmp.Compare(novelty(&a), novelty(&b)) })
	return c.list
}

// novelty is 0 for a key that may not have been there before, 1 for one that may not be there any more, and 2 for all others.
func novelty(c *api.Change) int {
	switch {
	case c.Name != "" && c.Change > 0 && c.Base.Lower == 0:
		return 0
	case c.Name != "" && c.Change < 0 && c.Now.Lower == 0:
		return 1
	}
	return 2
}
