package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
)

// The bounds of a series.
const (
	// maxPoints bounds the values in an answer, and defaultSteps the steps if the client gives no step.
	maxPoints    = 10_000
	defaultSteps = 300
	// maxMetrics is how many metrics one request may ask for.
	maxMetrics = 20
	// maxGroups is how many groups are shown one by one. allGroups is how many there may be at all.
	maxGroups = 20
	allGroups = 120
)

// steps are the steps that are chosen by default, in seconds.
var steps = [...]int64{60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 28 * 86400}

// otherGroup is the name of the sum of the groups that are not shown.
const otherGroup = "other"

// seriesAnswer is the answer of /api/v1/series.
type seriesAnswer struct {
	From           int64      `json:"from_ts"`
	To             int64      `json:"to_ts"`
	StepS          int64      `json:"step_s"`
	Policy         string     `json:"policy"`
	MissingMinutes int        `json:"missing_minutes"`
	Series         []oneLine  `json:"series"`
	Groups         *groupNote `json:"groups,omitempty"`
}

// groupNote says how many groups there are, and how many are shown one by one.
type groupNote struct {
	By    string `json:"by"`
	Count int    `json:"count"`
	Shown int    `json:"shown"`
}

// oneLine is one line of a chart. A value is null if there is nothing in its step.
type oneLine struct {
	Metric string     `json:"metric"`
	Kind   string     `json:"kind"`
	Unit   string     `json:"unit"`
	Stat   string     `json:"stat"`
	Group  string     `json:"group,omitempty"`
	Values []*float64 `json:"values"`
}

// wanted is a metric that a request names, in the tables that have only those.
type wanted struct {
	path    string // with the section
	desc    *metric.Desc
	section int // in the small tables
	at      int // in that section
}

// stat is one value of a metric. It returns false if the metric has no value.
type stat struct {
	name string
	of   func(s *metric.Section, i int, d *metric.Desc) (float64, bool)
}

// statsOf returns the values that a kind of metric has in a series.
func statsOf(k *metric.Kind) []stat {
	always := func(f func(s *metric.Section, i int) float64) func(*metric.Section, int, *metric.Desc) (float64, bool) {
		return func(s *metric.Section, i int, _ *metric.Desc) (float64, bool) { return f(s, i), true }
	}
	switch k {
	case metric.KindCounter:
		return []stat{{"count", always(func(s *metric.Section, i int) float64 { return float64(s.Counter(i)) })}}
	case metric.KindGauge:
		return []stat{{"value", always(func(s *metric.Section, i int) float64 { return float64(s.Gauge(i)) })}}
	case metric.KindCardinality:
		return []stat{{"estimate", always(func(s *metric.Section, i int) float64 { return math.Round(s.Cardinality(i).Estimate()) })}}
	}
	var out []stat
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}} {
		switch {
		case k == metric.KindHistogram:
			out = append(out, stat{q.name, func(s *metric.Section, i int, d *metric.Desc) (float64, bool) {
				v := s.Histogram(i)
				return float64(v.Quantile(q.q)) * d.Scale, v.Count() > 0
			}})
		case k == metric.KindRate && q.name != "p999":
			out = append(out, stat{q.name, always(func(s *metric.Section, i int) float64 {
				var v [1]uint64
				s.Rate(i).Quantiles([]float64{q.q}, v[:])
				return float64(v[0])
			})})
		}
	}
	return out
}

// metricsOf returns the metrics that a request names, and tables that have only those.
func (h *Hub) metricsOf(names []string) ([]wanted, []*metric.Table, error) {
	if len(names) == 0 || len(names) > maxMetrics {
		return nil, nil, bad("give metric= one to %d times, for example metric=dns.wire_packets.total: /api/v1/tables lists the metrics", maxMetrics)
	}
	var list []wanted
	var tables []*metric.Table
	for _, t := range h.cfg.Tables {
		var descs []metric.Desc
		for _, name := range names {
			section, path, _ := strings.Cut(name, ".")
			i, ok := t.Find(path)
			if section != t.Section || !ok || slices.ContainsFunc(list, func(w wanted) bool { return w.path == name }) {
				continue
			}
			d := t.Descs[i]
			if d.ShowNow {
				return nil, nil, bad("metric %s is of the present only, and not in minutes", name)
			}
			d.Seen, d.Taken = false, false // the share of the sample is not wanted
			list = append(list, wanted{name, &t.Descs[i], len(tables), len(descs)})
			descs = append(descs, d)
		}
		if len(descs) > 0 {
			small, err := metric.Declare(t.Section, descs)
			if err != nil {
				return nil, nil, err
			}
			tables = append(tables, small)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(w wanted) bool { return w.path == name }) {
			return nil, nil, bad("metric %.100q: /api/v1/tables lists the metrics, for example dns.wire_packets.total", name)
		}
	}
	slices.SortStableFunc(list, func(a, b wanted) int { return cmp.Compare(slices.Index(names, a.path), slices.Index(names, b.path)) })
	return list, tables, nil
}

// seriesRequest is what a request for series asks for.
type seriesRequest struct {
	sel            query.Selection
	by             string
	metrics        []wanted
	tables         []*metric.Table
	from, to, step int64
	rates          bool
	lines          int // of each group
}

func (h *Hub) seriesOf(q url.Values) (s seriesRequest, err error) {
	if s.sel, err = selectionOf(q); err != nil {
		return s, err
	}
	if s.by, err = one(q, "by"); err != nil {
		return s, err
	}
	if s.metrics, s.tables, err = h.metricsOf(q["metric"]); err != nil {
		return s, err
	}
	for _, w := range s.metrics {
		stats := statsOf(w.desc.Kind)
		if len(stats) == 0 {
			return s, bad("metric %s is a table: /api/v1/metrics/range shows tables", w.path)
		}
		s.lines += len(stats)
		s.rates = s.rates || w.desc.Kind == metric.KindRate
	}
	if s.from, s.to, err = h.rangeOf(q, "from", "to"); err != nil {
		return s, err
	}
	text, err := one(q, "step")
	if err != nil {
		return s, err
	}
	if text != "" {
		var ok bool
		if s.step, ok = stepOf(text); !ok {
			return s, bad("step %.50q: give a multiple of a minute, in seconds or such as 5m, 1h or 1d, up to 28d", text)
		}
	}
	for i := 0; s.step == 0; i++ {
		if i == len(steps)-1 || (s.to-s.from)/steps[i] <= defaultSteps {
			s.step = steps[i]
		}
	}
	s.from, s.to = s.from/s.step*s.step, (s.to+s.step-1)/s.step*s.step
	return s, s.checkPoints(1)
}

// stepOf returns the seconds of a step.
func stepOf(text string) (int64, bool) {
	seconds, ok := lengthOf(text)
	if !ok {
		seconds, ok = lengthOf(text + "s")
	}
	return seconds, ok && seconds > 0 && seconds%minute.Seconds == 0 && seconds <= 28*86400
}

// checkPoints returns an error if the answer would have too many values.
func (s *seriesRequest) checkPoints(groups int) error {
	if n := (s.to - s.from) / s.step * int64(s.lines*groups); n > maxPoints {
		return bad("%d values, at most %d: ask for fewer metrics, a shorter time or a longer step", n, maxPoints)
	}
	return nil
}

// series answers with the values of metrics over time.
func (h *Hub) series(r *http.Request) ([]byte, error) {
	s, err := h.seriesOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	a := &seriesAnswer{From: s.from, To: s.to, StepS: s.step, Series: []oneLine{}}
	if a.Policy, err = h.reader.Policy(r.Context(), s.sel.Policy); err != nil {
		return nil, failure(err)
	}
	s.sel.Policy = a.Policy
	if s.by == "" {
		lines, info, err := h.lines(r.Context(), &s, s.sel, "")
		if err != nil {
			return nil, err
		}
		a.Series, a.MissingMinutes = append(a.Series, lines...), info.Missing
	} else if err := h.seriesBy(r.Context(), &s, a); err != nil {
		return nil, err
	}
	return jsonOf(a)
}

// lines returns the lines of one group.
func (h *Hub) lines(ctx context.Context, s *seriesRequest, sel query.Selection, group string) ([]oneLine, query.Info, error) {
	buckets, info, err := h.reader.Steps(ctx, sel, s.tables, s.from, s.to, s.step, s.rates)
	if err != nil {
		return nil, info, failure(err)
	}
	var lines []oneLine
	for _, w := range s.metrics {
		for _, stat := range statsOf(w.desc.Kind) {
			l := oneLine{w.path, w.desc.Kind.String(), w.desc.Unit.Name, stat.name, group, make([]*float64, len(buckets))}
			for i, b := range buckets {
				if b == nil {
					continue
				}
				if v, ok := stat.of(b.Sections[w.section], w.at, w.desc); ok {
					l.Values[i] = &v
				}
			}
			lines = append(lines, l)
		}
	}
	return lines, info, nil
}

// seriesBy adds the lines of the groups of a key: those with the greatest values, and the sum of the others.
func (h *Hub) seriesBy(ctx context.Context, s *seriesRequest, a *seriesAnswer) error {
	groups, err := h.groupsBy(ctx, s.sel, s.by)
	if err != nil {
		return err
	}
	a.Groups = &groupNote{By: s.by, Count: len(groups)}
	var rest []string
	if len(groups) > maxGroups {
		if groups, err = h.rank(ctx, s, groups); err != nil {
			return err
		}
		groups, rest = groups[:maxGroups], groups[maxGroups:]
	}
	if err := s.checkPoints(len(groups) + min(len(rest), 1)); err != nil {
		return err
	}
	a.Groups.Shown = len(groups)
	present := 0
	for _, g := range groups {
		lines, info, err := h.lines(ctx, s, query.Selection{Policy: s.sel.Policy, Tags: []string{g}}, g)
		if err != nil {
			return err
		}
		a.Series, present = append(a.Series, lines...), max(present, info.Minutes)
	}
	if len(rest) > 0 {
		lines, info, err := h.lines(ctx, s, query.Selection{Policy: s.sel.Policy, Tags: rest}, otherGroup)
		if err != nil {
			return err
		}
		a.Series, present = append(a.Series, lines...), max(present, info.Minutes)
	}
	a.MissingMinutes = int((s.to-s.from)/minute.Seconds) - present
	return nil
}

// groupsBy returns the groups of a key that are selected.
func (h *Hub) groupsBy(ctx context.Context, sel query.Selection, key string) ([]string, error) {
	if len(sel.Hosts) > 0 {
		return nil, bad("host and by: give one of them")
	}
	for _, t := range sel.Tags {
		if k, _, _ := strings.Cut(t, "="); k != key {
			return nil, bad("tag %.100q and by=%.50s: give tags of the key that by names, or none", t, key)
		}
	}
	policy, err := h.reader.Policy(ctx, sel.Policy)
	if err != nil {
		return nil, failure(err)
	}
	groups, err := h.reader.TagGroups(ctx, policy, key)
	if err != nil {
		return nil, failure(err)
	}
	if len(sel.Tags) > 0 {
		groups = slices.DeleteFunc(groups, func(g string) bool { return !slices.Contains(sel.Tags, g) })
	}
	switch {
	case len(groups) == 0:
		return nil, bad("by=%.50s: no host has a tag with this key: /api/v1/fleet lists the tags", key)
	case len(groups) > allGroups:
		return nil, bad("by=%.50s: there are %d values of this key, at most %d: name some with tag=", key, len(groups), allGroups)
	}
	return groups, nil
}

// rank returns the groups by the value of the first metric over the whole time, greatest first.
func (h *Hub) rank(ctx context.Context, s *seriesRequest, groups []string) ([]string, error) {
	value := make(map[string]float64, len(groups))
	w := s.metrics[0]
	list := statsOf(w.desc.Kind)
	for _, g := range groups {
		b, _, err := h.reader.RangeOf(ctx, query.Selection{Policy: s.sel.Policy, Tags: []string{g}}, s.tables, s.from, s.to, rollup.Day1)
		if err != nil {
			return nil, failure(err)
		}
		value[g], _ = list[len(list)-1].of(b.Sections[w.section], w.at, w.desc)
	}
	slices.SortStableFunc(groups, func(a, b string) int { return cmp.Compare(value[b], value[a]) })
	return groups, nil
}

// jsonOf returns an answer.
func jsonOf(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}
