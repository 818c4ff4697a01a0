package metric

import (
	"math"
	"strings"

	"pktvisor/sketch"
)

// FamilyType is the type of a Prometheus family.
type FamilyType uint8

// The family types.
const (
	FamilyCounter FamilyType = iota
	FamilyGauge
	FamilyHistogram
)

// String returns the type as Prometheus writes it.
func (t FamilyType) String() string { return [...]string{"counter", "gauge", "histogram"}[t] }

// Span is the time that samples cover. It determines the bucket that they are taken from.
type Span uint8

// The spans.
const (
	SinceStart Span = iota // all buckets since the start of the process
	LastSecond             // the last whole second: SampleOptions.Second
	LastMinute             // the newest finished minute
)

// Family describes Prometheus samples of one name. A metric has one or more families.
type Family struct {
	// Name is the full name, including unit and type.
	Name string
	// Help says what the samples are. Beside, if not empty, is shorter, for a reader who has just read the help of the
	// metric's first family.
	Help, Beside string
	Type         FamilyType
	// Label is the name of the label that distinguishes the samples, or "".
	Label string
	// Span is the time that the samples cover.
	Span Span
}

// Families returns the metric's Prometheus families.
func (d *Desc) Families() []Family { return d.Kind.families(d) }

// Sample is one value of a metric for Prometheus.
type Sample struct {
	// Metric is the metric's position in the table. Family is the position of the sample's family among the families of
	// the metric.
	Metric, Family int
	// Value is the value of all kinds except a histogram.
	Value float64
	// Label is the value of the family's label.
	Label string
	// Histogram is the value of a histogram. It is part of the section. [Desc.InBase] converts its integers.
	Histogram *sketch.Histogram
}

// SampleOptions selects samples.
type SampleOptions struct {
	// Second is the Unix time of the second to which LastSecond refers.
	Second int64
	// Rows is the maximum number of rows of a top table, without the row that sums up the others. 0 omits the table.
	Rows int
	// Skip reports whether to leave out the samples of metric i. nil skips nothing.
	Skip func(i int) bool

	within limit // of the metric that is sampled
}

// Samples calls emit with all samples of the section's metrics that have the given span.
func (s *Section) Samples(span Span, o SampleOptions, emit func(Sample)) {
	for i, v := range s.values {
		if o.Skip != nil && o.Skip(i) {
			continue
		}
		if span == LastMinute { // keys are not locked in the other spans
			o.within = s.within(&s.Table.Descs[i])
		}
		v.sample(&s.Table.Descs[i], span, o, func(x Sample) {
			x.Metric = i
			emit(x)
		})
	}
}

// BaseScale returns the value of one of a histogram's stored integers, in the unit's base unit.
func (d *Desc) BaseScale() float64 { return d.Scale * d.Unit.Scale }

// InBase returns the value of a histogram's stored integer in the unit's base unit: the float64 nearest to it, which has few
// digits.
func (d *Desc) InBase(v uint64) float64 {
	scale := d.BaseScale()
	if scale < 1 {
		return float64(v) / math.Round(1/scale)
	}
	return float64(v) * scale
}

// Bounds returns the bounds of the metric's classic buckets, if it is a histogram, as stored integers. Each is the square root
// of 2 times the one before, rounded down: a bucket of the sketch ends there too, so the counts are exact.
func (d *Desc) Bounds() []uint64 {
	var bounds []uint64
	for half := 2 * d.Unit.First; half <= 2*d.Unit.Last; half++ {
		bounds = append(bounds, uint64(math.Sqrt(float64(uint64(1)<<half))))
	}
	return bounds
}

// promName makes a name from the section and the metric's path. Units are base units and come last, as Prometheus
// recommends. A suffix that the name already has is not repeated.
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

// promCounter makes the name of a counter: its unit, if it is more than a count of things, and the suffix that all
// counters have.
func (d *Desc) promCounter() string {
	const total = "_total"
	name := strings.TrimSuffix(d.promName(), total)
	if unit := "_" + d.Unit.Base; d.Unit.Dimension != Count && !strings.HasSuffix(name, unit) {
		name += unit
	}
	return name + total
}

func (d *Desc) unitHelp() string { return " Unit: " + d.Unit.Name + "." }
