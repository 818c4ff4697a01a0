package timeline

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/minute"
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
	list := compare(now, base, measure)
	a.Compared = len(list)
	list = slices.DeleteFunc(list, func(c api.Change) bool { return c.Change == 0 })
	slices.SortStableFunc(list, func(a, b api.Change) int { return cmp.Compare(b.Score, a.Score) })
	a.Changes = append(a.Changes, list[:min(rows, len(list))]...)
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

// compare returns the changes of all counters and of all rows of all tables.
func compare(now, base side, measure string) (list []api.Change) {
	for _, s := range now.bucket.Sections {
		o, ok := base.bucket.Section(s.Table.Section)
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
				list = compareRows(list, d, rows, others, now, base, measure)
			case d.Kind == metric.KindCounter:
				w, v := float64(largest(s, d)), float64(largest(o, d))
				n, b := float64(s.Counter(k)), float64(o.Counter(at))
				list = addChange(list, d, "", api.Bounds{Lower: n, Upper: n}, api.Bounds{Lower: b, Upper: b}, now.scale(measure, w), base.scale(measure, v), w, v)
			}
		}
	}
	return list
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

// compareRows adds the rows of two tables. A key that is in one of them only may have up to the error of the other in that
// one.
func compareRows(list []api.Change, d *metric.Desc, a, b metric.Rows, now, base side, measure string) []api.Change {
	w, v := float64(a.Total()), float64(b.Total())
	f, g := now.scale(measure, w), base.scale(measure, v)
	seen := make(map[string]bool)
	for _, rows := range []metric.Rows{a, b} {
		for key := range rows.All() {
			if seen[string(key)] {
				continue
			}
			seen[string(key)] = true
			al, au := a.Bounds(key)
			bl, bu := b.Bounds(key)
			list = addChange(list, d, string(key), api.Bounds{Lower: float64(al), Upper: float64(au)}, api.Bounds{Lower: float64(bl), Upper: float64(bu)}, f, g, w, v)
		}
	}
	return list
}

// addChange adds one comparison: counts, the factors of the measure, and the wholes of which they are parts.
func addChange(list []api.Change, d *metric.Desc, name string, a, b api.Bounds, f, g, w, v float64) []api.Change {
	if a.Upper == 0 && b.Upper == 0 {
		return list
	}
	a, b = api.Bounds{Lower: a.Lower * f, Upper: a.Upper * f}, api.Bounds{Lower: b.Lower * g, Upper: b.Upper * g}
	c := api.Change{Metric: d.Section + "." + d.Path, Name: name, Kind: d.Kind.String(), Unit: d.Unit.Name, Now: a, Base: b}
	switch {
	case a.Lower > b.Upper:
		c.Change = a.Lower - b.Upper
	case b.Lower > a.Upper:
		c.Change = a.Upper - b.Lower
	}
	if whole := max(w*f, v*g); whole > 0 {
		c.Score = math.Abs(c.Change) / whole
	}
	return append(list, c)
}
