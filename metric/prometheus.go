package metric

import (
	"strings"

	"pktvisor/sketch"
)

// FamilyType is the type of a Prometheus family.
type FamilyType uint8

// The types.
const (
	FamilyCounter FamilyType = iota
	FamilyGauge
	FamilyHistogram
)

// String is the type as Prometheus writes it.
func (t FamilyType) String() string { return [...]string{"counter", "gauge", "histogram"}[t] }

// Span is the time that samples are of, and so the bucket that they are taken from.
type Span uint8

// The spans.
const (
	SinceStart Span = iota // of all buckets since the start of the process
	LastSecond             // of the last whole second: SampleOptions.Second
	LastMinute             // of the newest finished minute
)

// Family describes Prometheus samples of one name. A metric has one family or more.
type Family struct {
	// Name is the whole name, unit and type included.
	Name string
	// Help says what the samples are. Beside, where it is not empty, says it to a reader who has just read the
	// help of the metric's first family.
	Help, Beside string
	Type         FamilyType
	// Label is the name of the label that tells the samples apart, or "".
	Label string
	// Span is the time that the samples are of.
	Span Span
}

// Families returns the metric's Prometheus families.
func (d *Desc) Families() []Family { return d.Kind.families(d) }

// Sample is one value of a metric for Prometheus.
type Sample struct {
	// Metric is the metric's position in the table, Family the position of the sample's family among
	// those of the metric.
	Metric, Family int
	// Value is the value, except for a histogram, which is in Histogram.
	Value float64
	// Label is the value of the family's label.
	Label string
	// Histogram is valid until emit returns. Its integers are to be multiplied by [Desc.BaseScale].
	Histogram *sketch.Histogram
}

// SampleOptions say which samples are wanted.
type SampleOptions struct {
	// Second is the Unix time of the second that LastSecond means.
	Second int64
	// Rows is how many rows of a top table are wanted, the one that sums up the others not included. 0 is no table.
	Rows int
	// Skip reports whether no samples of metric i are wanted; nil skips nothing.
	Skip func(i int) bool
}

// Samples calls emit with all samples of the section's metrics that are of the given span.
func (s *Section) Samples(span Span, o SampleOptions, emit func(Sample)) {
	for i, v := range s.values {
		if o.Skip != nil && o.Skip(i) {
			continue
		}
		v.sample(span, o, func(x Sample) {
			x.Metric = i
			emit(x)
		})
	}
}

// BaseScale is what one of the integers that a histogram stores is worth in the unit's base unit.
func (d *Desc) BaseScale() float64 { return d.Scale * d.Unit.Scale }

// promName makes a name from the section and the metric's path: units are base units and stand last, as Prometheus wants
// them. Nothing is appended that the name has at its end already.
func (d *Desc) promName(suffixes ...string) string {
	path := d.Path
	if d.Prom != "" {
		path = d.Prom
	}
	name := "pktvisor_" + d.Section + "_" + strings.ReplaceAll(strings.ToLower(path), ".", "_")
	for _, s := range suffixes {
		if !strings.HasSuffix(name, "_"+s) {
			name += "_" + s
		}
	}
	return name
}

// promCounter makes the name of a counter: its unit, where that is more than a thing counted, and the
// suffix that all counters have.
func (d *Desc) promCounter() string {
	const total = "_total"
	name := strings.TrimSuffix(d.promName(), total)
	if unit := "_" + d.Unit.Base; d.Unit.Dimension != Count && !strings.HasSuffix(name, unit) {
		name += unit
	}
	return name + total
}

func (d *Desc) unitHelp() string { return " Unit: " + d.Unit.Name + "." }
