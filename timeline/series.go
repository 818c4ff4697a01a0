package timeline

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/minute"
)

// The bounds of a series.
const (
	// maxPoints bounds the values in an answer, and defaultSteps the steps if the client gives no step.
	maxPoints    = 10_000
	defaultSteps = 300
	// maxBins bounds the bins of a step of a heat map, and maxHeat those of all steps in an answer.
	maxBins = 40
	maxHeat = 2 * maxPoints
	// maxMetrics is how many metrics one request may ask for.
	maxMetrics = 20
	// maxGroups is how many groups are shown one by one. allGroups is how many there may be at all. Of hosts, as many are shown as
	// there may be.
	maxGroups = 20
	allGroups = 120
	allHosts  = 200
)

// steps are the steps that are chosen by default, in seconds.
var steps = [...]int64{60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 28 * 86400}

// otherGroup is the name of the sum of the groups that are not shown.
const otherGroup = "other"

// wanted is a metric that a request names, in the tables that have only those.
type wanted struct {
	path    string // with the section
	desc    *metric.Desc
	section int // in the small tables
	at      int // in that section
}

// metricsOf returns the metrics that a request names, and tables that have only those.
func (t *timeline) metricsOf(names []string) ([]wanted, []*metric.Table, error) {
	if len(names) == 0 || len(names) > maxMetrics {
		return nil, nil, Bad("give metric= one to %d times, for example metric=dns.wire_packets.total: /api/v1/tables lists the metrics", maxMetrics)
	}
	var list []wanted
	var tables []*metric.Table
	for _, table := range t.Tables {
		var descs []metric.Desc
		for _, name := range names {
			section, path, _ := strings.Cut(name, ".")
			i, ok := table.Find(path)
			if section != table.Section || !ok || slices.ContainsFunc(list, func(w wanted) bool { return w.path == name }) {
				continue
			}
			d := table.Descs[i]
			if d.ShowNow {
				return nil, nil, Bad("metric %s is of the present only, and not in minutes", name)
			}
			d.Seen, d.Taken = false, false // the share of the sample is not wanted
			list = append(list, wanted{name, &table.Descs[i], len(tables), len(descs)})
			descs = append(descs, d)
		}
		if len(descs) > 0 {
			small, err := metric.Declare(table.Section, descs)
			if err != nil {
				return nil, nil, err
			}
			tables = append(tables, small)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(w wanted) bool { return w.path == name }) {
			return nil, nil, Bad("metric %.100q: /api/v1/tables lists the metrics, for example dns.wire_packets.total", name)
		}
	}
	slices.SortStableFunc(list, func(a, b wanted) int { return cmp.Compare(slices.Index(names, a.path), slices.Index(names, b.path)) })
	return list, tables, nil
}

// seriesRequest is what a request for series asks for.
type seriesRequest struct {
	sel            Selection
	by             string
	metrics        []wanted
	tables         []*metric.Table
	from, to, step int64
	rates          bool
	lines, heats   int // of each group
	heat           bool
}

func (t *timeline) seriesOf(ctx context.Context, q url.Values) (s seriesRequest, err error) {
	if s.sel, err = t.Source.Select(ctx, q); err != nil {
		return s, err
	}
	if s.by, err = One(q, "by"); err != nil {
		return s, err
	}
	heat, err := Number(q, "heat", 0, 0, 1)
	if err != nil {
		return s, err
	}
	s.heat = heat == 1
	if s.metrics, s.tables, err = t.metricsOf(q["metric"]); err != nil {
		return s, err
	}
	for _, w := range s.metrics {
		stats := w.desc.Kind.Stats()
		if len(stats) == 0 {
			return s, Bad("metric %s is a table: /api/v1/history shows its rows over time, and /api/v1/metrics/range all of it", w.path)
		}
		s.lines += len(stats)
		s.rates = s.rates || w.desc.Kind == metric.KindRate
		if s.heat && w.desc.Kind == metric.KindHistogram {
			s.heats++
		}
	}
	if s.from, s.to, s.step, err = t.stepsOf(q); err != nil {
		return s, err
	}
	return s, s.checkPoints(1)
}

// stepsOf returns the range and the step of a request. The range is extended to whole steps.
func (t *timeline) stepsOf(q url.Values) (from, to, step int64, err error) {
	if from, to, err = t.rangeOf(q); err != nil {
		return 0, 0, 0, err
	}
	text, err := One(q, "step")
	if err != nil {
		return 0, 0, 0, err
	}
	if text != "" {
		var ok bool
		if step, ok = stepOf(text); !ok {
			return 0, 0, 0, Bad("step %.50q: give a multiple of a minute, in seconds or such as 5m, 1h or 1d, up to 28d", text)
		}
	}
	for i := 0; step == 0; i++ {
		if i == len(steps)-1 || (to-from)/steps[i] <= defaultSteps {
			step = steps[i]
		}
	}
	return from / step * step, (to + step - 1) / step * step, step, nil
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
	steps := (s.to - s.from) / s.step
	if n := steps * int64(s.lines*groups); n > maxPoints {
		return Bad("%d values, at most %d: ask for fewer metrics, a shorter time or a longer step", n, maxPoints)
	}
	if n := steps * int64(s.heats*groups*maxBins); n > maxHeat {
		return Bad("%d bins, at most %d: ask for fewer histograms, a shorter time or a longer step", n, maxHeat)
	}
	return nil
}

// series answers with the values of metrics over time.
func (t *timeline) series(r *http.Request) ([]byte, error) {
	s, err := t.seriesOf(r.Context(), r.URL.Query())
	if err != nil {
		return nil, err
	}
	a := &api.Series{Timeline: api.Timeline{From: s.from, To: s.to, StepS: s.step, Policy: s.sel.Policy()}, Series: []api.Line{}}
	if s.by != "" {
		err = s.seriesBy(r.Context(), a)
	} else {
		var extent Extent
		extent, err = s.addLines(r.Context(), a, s.sel, "")
		a.MissingMinutes = extent.Missing
	}
	if err != nil {
		return nil, err
	}
	return jsonOf(a)
}

// addLines adds the lines of one group.
func (s *seriesRequest) addLines(ctx context.Context, a *api.Series, sel Selection, group string) (Extent, error) {
	buckets, extent, err := sel.Steps(ctx, s.tables, s.from, s.to, s.step, s.rates)
	if err != nil {
		return extent, err
	}
	for _, w := range s.metrics {
		for _, stat := range w.desc.Kind.Stats() {
			l := api.Line{
				Metric: w.path, Kind: w.desc.Kind.String(), Unit: w.desc.Unit.Name, Stat: stat.Name, Group: group, Values: make([]*float64, len(buckets)),
			}
			for i, b := range buckets {
				if b == nil {
					continue
				}
				if v, ok := stat.Of(b.Sections[w.section], w.at); ok {
					l.Values[i] = &v
				}
			}
			a.Series = append(a.Series, l)
		}
		if s.heat && w.desc.Kind == metric.KindHistogram {
			a.Bins = append(a.Bins, w.heatOf(buckets, group))
		}
	}
	return extent, nil
}

// heatOf returns the heat map of a histogram.
func (w *wanted) heatOf(buckets []*metric.Bucket, group string) api.Heat {
	list := make([]*metric.Histogram, len(buckets))
	for i, b := range buckets {
		if b != nil {
			list[i] = b.Sections[w.section].Histogram(w.at)
		}
	}
	bins, ratio := metric.Bins(list, w.desc.Scale, maxBins)
	h := api.Heat{Metric: w.path, Unit: w.desc.Unit.Name, Group: group, Ratio: ratio, Steps: make([][][2]float64, len(bins))}
	for i := range bins {
		if bins[i] != nil {
			h.Steps[i] = make([][2]float64, len(bins[i]))
		}
		for k, bin := range bins[i] {
			h.Steps[i][k] = [2]float64{bin.Upper, float64(bin.Count)}
		}
	}
	return h
}

// seriesBy adds the lines of the groups of a key: those with the greatest values, and the sum of the others.
func (s *seriesRequest) seriesBy(ctx context.Context, a *api.Series) error {
	groups, err := groupsBy(ctx, s.sel, s.by)
	if err != nil {
		return err
	}
	a.Groups = &api.Groups{By: s.by, Count: len(groups)}
	var rest []string
	if len(groups) > maxGroups && s.by != ByHost {
		if groups, err = s.rank(ctx, groups); err != nil {
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
		extent, err := s.addLines(ctx, a, s.sel.Part([]string{g}), g)
		if err != nil {
			return err
		}
		present = max(present, extent.Minutes)
	}
	if len(rest) > 0 {
		extent, err := s.addLines(ctx, a, s.sel.Part(rest), otherGroup)
		if err != nil {
			return err
		}
		present = max(present, extent.Minutes)
	}
	a.MissingMinutes = int((s.to-s.from)/minute.Seconds) - present
	return nil
}

// groupsBy returns the groups of a key that are selected.
func groupsBy(ctx context.Context, sel Selection, key string) ([]string, error) {
	groups, err := sel.Groups(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case key == ByHost && len(groups) == 0:
		return nil, Bad("by=host: no host is selected: /api/v1/fleet lists the hosts")
	case key == ByHost && len(groups) > allHosts:
		return nil, Bad("by=host: there are %d hosts, at most %d: name some with host=, or give a tag", len(groups), allHosts)
	case key == ByHost:
		return groups, nil
	case len(groups) == 0:
		return nil, Bad("by=%.50s: no host has a tag with this key: /api/v1/fleet lists the tags", key)
	case len(groups) > allGroups:
		return nil, Bad("by=%.50s: there are %d values of this key, at most %d: name some with tag=", key, len(groups), allGroups)
	}
	return groups, nil
}

// rank returns the groups by the value of the first metric over the whole time, greatest first.
func (s *seriesRequest) rank(ctx context.Context, groups []string) ([]string, error) {
	value := make(map[string]float64, len(groups))
	w := s.metrics[0]
	list := w.desc.Kind.Stats()
	for _, g := range groups {
		b, _, err := s.sel.Part([]string{g}).Merge(ctx, s.tables, s.from, s.to)
		if err != nil {
			return nil, err
		}
		value[g], _ = list[len(list)-1].Of(b.Sections[w.section], w.at)
	}
	slices.SortStableFunc(groups, func(a, b string) int { return cmp.Compare(value[b], value[a]) })
	return groups, nil
}
