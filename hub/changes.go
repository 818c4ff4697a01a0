package hub

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"pktvisor/hub/query"
	"pktvisor/metric"
	"pktvisor/minute"
)

// The rows of an answer about changes.
const (
	defaultChanges = 20
	maxChanges     = 1000
)

// changesAnswer is the answer of /api/v1/changes.
type changesAnswer struct {
	Now      *selected `json:"now"`
	Base     *selected `json:"base"`
	Measure  string    `json:"measure"`
	Compared int       `json:"compared"`
	Changes  []change  `json:"changes"`
}

// change is how much more or less of something there is. Values are per second, or shares.
type change struct {
	Metric string `json:"metric"`
	Name   string `json:"name,omitempty"`
	Kind   string `json:"kind"`
	Unit   string `json:"unit"`
	Now    bounds `json:"now"`
	Base   bounds `json:"base"`
	// Change is the smallest difference that the bounds of both allow. Score is its share of all that is counted in the
	// same table or unit.
	Change float64 `json:"change"`
	Score  float64 `json:"score"`
}

// bounds are the least and the most that a value can be.
type bounds struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

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

// changes answers with what is different between two stretches of time, or between two parts of the fleet.
func (h *Hub) changes(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	rows, err := number(q, "rows", defaultChanges, 1, maxChanges)
	if err != nil {
		return nil, err
	}
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	baseSel, groups, err := baseSelection(q, sel)
	if err != nil {
		return nil, err
	}
	from, to, err := h.rangeOf(q, "from", "to")
	if err != nil {
		return nil, err
	}
	baseFrom, baseTo := from, to
	if q.Has("base_from") || q.Has("base_to") || !groups {
		if baseFrom, baseTo, err = h.baseRange(q, from, to); err != nil {
			return nil, err
		}
	}
	measure, err := one(q, "measure")
	switch {
	case err != nil:
		return nil, err
	case measure == "" && groups:
		measure = byShare
	case measure == "":
		measure = perSecond
	case measure != byShare && measure != perSecond:
		return nil, bad("measure %.50q: give %s or %s", measure, perSecond, byShare)
	}
	a := &changesAnswer{Measure: measure, Changes: []change{}}
	var now, base side
	if now, a.Now, err = h.side(r.Context(), sel, from, to); err != nil {
		return nil, err
	}
	if base, a.Base, err = h.side(r.Context(), baseSel, baseFrom, baseTo); err != nil {
		return nil, err
	}
	list := compare(now, base, measure)
	a.Compared = len(list)
	list = slices.DeleteFunc(list, func(c change) bool { return c.Change == 0 })
	slices.SortStableFunc(list, func(a, b change) int { return cmp.Compare(b.Score, a.Score) })
	a.Changes = append(a.Changes, list[:min(rows, len(list))]...)
	return jsonOf(a)
}

// baseSelection returns the part of the fleet with which sel is compared, and whether it is another one.
func baseSelection(q url.Values, sel query.Selection) (base query.Selection, other bool, err error) {
	base = sel
	if q.Has("base_host") {
		base.Hosts, other = q["base_host"], true
	}
	if q.Has("base_tag") {
		base.Tags, err = tagsOf(q, "base_tag")
		other = true
	}
	return base, other, err
}

// baseRange returns the time to compare with: by default, the same length of time before.
func (h *Hub) baseRange(q url.Values, from, to int64) (int64, int64, error) {
	at := func(name string, missing int64) (int64, error) {
		text, err := one(q, name)
		if text == "" || err != nil {
			return missing, err
		}
		t, ok := timeOf(text, h.cfg.Now().Unix())
		if !ok {
			return 0, wrongTime(name, text)
		}
		return minute.Of(t), nil
	}
	baseFrom, err := at("base_from", -1)
	if err != nil {
		return 0, 0, err
	}
	baseTo, err := at("base_to", -1)
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
		return 0, 0, bad("base_from %d is not before base_to %d, in Unix seconds", baseFrom, baseTo)
	}
	return baseFrom, baseTo, nil
}

// side reads one of the summaries.
func (h *Hub) side(ctx context.Context, sel query.Selection, from, to int64) (side, *selected, error) {
	policy, err := h.reader.Policy(ctx, sel.Policy)
	if err != nil {
		return side{}, nil, failure(err)
	}
	b, info, err := h.reader.Range(ctx, sel, from, to)
	if err != nil {
		return side{}, nil, failure(err)
	}
	return side{b, float64(max(info.Minutes, 1) * 60)}, h.describe(policy, sel, info), nil
}

// compare returns the changes of all counters and of all rows of all tables.
func compare(now, base side, measure string) (list []change) {
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
			switch d.Kind {
			case metric.KindCounter:
				w, v := float64(largest(s, d)), float64(largest(o, d))
				n, b := float64(s.Counter(k)), float64(o.Counter(at))
				list = addChange(list, d, "", bounds{n, n}, bounds{b, b}, now.scale(measure, w), base.scale(measure, v), w, v)
			case metric.KindTop:
				list = compareTops(list, d, s.Top(k), o.Top(at), now, base, measure)
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

// compareTops adds the rows of two tables. A key that is in one of them only may have up to the error of the other in that
// one.
func compareTops(list []change, d *metric.Desc, a, b *metric.Top, now, base side, measure string) []change {
	w, v := float64(a.Total()), float64(b.Total())
	f, g := now.scale(measure, w), base.scale(measure, v)
	seen := make(map[string]bool)
	for _, top := range []*metric.Top{a, b} {
		for key := range top.All() {
			if seen[string(key)] {
				continue
			}
			seen[string(key)] = true
			al, au := a.Bounds(key)
			bl, bu := b.Bounds(key)
			list = addChange(list, d, string(key), bounds{float64(al), float64(au)}, bounds{float64(bl), float64(bu)}, f, g, w, v)
		}
	}
	return list
}

// addChange adds one comparison: counts, the factors of the measure, and the wholes of which they are parts.
func addChange(list []change, d *metric.Desc, name string, a, b bounds, f, g, w, v float64) []change {
	if a.Upper == 0 && b.Upper == 0 {
		return list
	}
	a, b = bounds{a.Lower * f, a.Upper * f}, bounds{b.Lower * g, b.Upper * g}
	c := change{Metric: d.Section + "." + d.Path, Name: name, Kind: d.Kind.String(), Unit: d.Unit.Name, Now: a, Base: b}
	switch {
	case a.Lower > b.Upper:
		c.Change = a.Lower - b.Upper
	case b.Lower > a.Upper:
		c.Change = a.Upper - b.Lower
	}
	if whole := max(w*f, v*g); whole > 0 {
		c.Score = abs(c.Change) / whole
	}
	return append(list, c)
}

func abs(v float64) float64 { return max(v, -v) }
