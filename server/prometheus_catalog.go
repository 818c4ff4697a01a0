package server

import (
	"slices"

	"pktvisor/exposition"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// catalog has the families of the metric tables of all targets, each name once, in the order of an answer.
type catalog struct {
	tables   [][]*metric.Table // of each target
	families []catalogFamily
	// positions are the positions of the families of each metric of a table: nil if the metric is switched off.
	positions map[*metric.Table][][]int
}

// catalogFamily is a family of a catalog.
type catalogFamily struct {
	*exposition.Family
	span   metric.Span
	label  string
	desc   *metric.Desc
	bounds []uint64 // of a histogram
}

// exposedType returns the type of a family in an answer.
func exposedType(t metric.FamilyType) exposition.Type {
	return [...]exposition.Type{metric.FamilyCounter: exposition.Counter, metric.FamilyGauge: exposition.Gauge, metric.FamilyHistogram: exposition.Histogram}[t]
}

// newCatalog makes the catalog of the targets, without the metrics of the given groups.
func newCatalog(targets []target, disabled []string) *catalog {
	c := &catalog{positions: make(map[*metric.Table][][]int)}
	at := make(map[string]int)
	for i := range targets {
		c.tables = append(c.tables, targets[i].tables)
		for _, t := range targets[i].tables {
			if c.positions[t] == nil {
				c.add(t, at, disabled)
			}
		}
	}
	return c
}

// add adds a table. at has the positions of the families so far.
func (c *catalog) add(t *metric.Table, at map[string]int, disabled []string) {
	positions := make([][]int, len(t.Descs))
	for i := range t.Descs {
		d := &t.Descs[i]
		if slices.Contains(disabled, d.Group) {
			continue
		}
		for _, f := range d.Families() {
			k, known := at[f.Name]
			if !known {
				k = len(c.families)
				at[f.Name] = k
				family := catalogFamily{Family: exposition.NewFamily(f.Name, f.Help, exposedType(f.Type)), span: f.Span, label: f.Label, desc: d}
				if f.Type == metric.FamilyHistogram {
					family.bounds = d.Bounds()
				}
				c.families = append(c.families, family)
			}
			positions[i] = append(positions[i], k)
		}
	}
	c.positions[t] = positions
}

// of reports whether the catalog is that of the targets.
func (c *catalog) of(targets []target) bool {
	return slices.EqualFunc(c.tables, targets, func(tables []*metric.Table, t target) bool { return slices.Equal(tables, t.tables) })
}

// gathered is what a target has at one moment.
type gathered struct {
	totals, minute *metric.Bucket
	values         []sample // by family: since the start, and of the last second
	series         int      // of values
}

// sample is a value of a family without a label.
type sample struct {
	set       bool
	number    float64
	histogram *sketch.Histogram
}

// gather reads the samples of a target, except those of a minute.
func (c *catalog) gather(t *target, second int64) *gathered {
	g := &gathered{totals: t.views.Totals(), minute: t.views.Bucket(1), values: make([]sample, len(c.families))}
	c.samples(t, g.totals, metric.SinceStart, metric.SampleOptions{}, g.add)
	t.views.Second(second, func(b *metric.Bucket) {
		if b != nil {
			c.samples(t, b, metric.LastSecond, metric.SampleOptions{Second: second}, g.add)
		}
	})
	for _, table := range t.tables {
		for _, positions := range c.positions[table] {
			for _, k := range positions {
				f := &c.families[k]
				if f.span == metric.LastSecond { // nothing may have been counted in the second
					g.values[k].set = true
				}
				if g.values[k].set {
					g.series += exposition.Series(f.Type(), len(f.bounds))
				}
			}
		}
	}
	return g
}

func (g *gathered) add(family int, x metric.Sample) {
	g.values[family] = sample{set: true, number: x.Value, histogram: x.Histogram}
}

// samples calls add with the samples of one span in the bucket of a target, and the position of their family.
func (c *catalog) samples(t *target, b *metric.Bucket, span metric.Span, o metric.SampleOptions, add func(family int, x metric.Sample)) {
	for i, s := range b.Sections {
		positions := c.positions[t.tables[i]]
		o.Skip = func(k int) bool { return positions[k] == nil }
		s.Samples(span, o, func(x metric.Sample) { add(positions[x.Metric][x.Family], x) })
	}
}

// encode writes what was gathered of the targets, family by family.
func (c *catalog) encode(e *exposition.Encoder, targets []target, all []*gathered) {
	var d exposition.Distribution
	for k := range c.families {
		f := &c.families[k]
		if f.span == metric.LastMinute {
			continue
		}
		e.Family(f.Family)
		for i, t := range targets {
			switch v := &all[i].values[k]; {
			case !v.set:
			case v.histogram != nil:
				distribution(&d, v.histogram, f.desc, f.bounds)
				e.Distribution(&d, t.created, t.labels...)
			default:
				e.Value(v.number, t.created, t.labels...)
			}
		}
	}
}
