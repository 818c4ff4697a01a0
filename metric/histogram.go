package metric

import (
	"reflect"

	"pktvisor/sketch"
)

// Histogram is a summary of integer values, for quantiles (see [sketch.Histogram]).
type Histogram struct {
	sketch.Histogram
	off bool
}

// KindHistogram is the kind of [Histogram].
var KindHistogram = &Kind{
	stats: quantileStats(append(quantilesAndMax[:4:4], quantile{"p999", 0.999}, quantile{"max", 1}), func(s *Section, i int, q float64) (float64, bool) {
		h := s.Histogram(i)
		return float64(h.Quantile(q)) * s.Table.Descs[i].Scale, h.Count() > 0
	}),

	name: "histogram", wire: 3, typ: reflect.TypeFor[Histogram](), sinceStart: true,
	about: "has the quantiles of the values of all events, within 1% of the value, with exact `min`, `max`, `mean`\n" +
		"  and `count`. It is an empty object if there was no event.",
	memory: func(*Desc, int) (open, sealed int64) { return 4 << 10, 4 << 10 },
	members: func(d *Desc) []Member {
		ref := "Quantiles"
		if d.Scale != 1 {
			ref = "RatioQuantiles" // for numbers with a fraction
		}
		return []Member{{Name: d.leaf(), Ref: ref, Help: d.Help, Unit: d.Unit.Name}}
	},
	families: func(d *Desc) []Family {
		return []Family{{
			Name: d.promName(d.Unit.Base), Help: d.Help + " Unit: " + d.Unit.Base + ".", Type: FamilyHistogram, Span: SinceStart,
		}}
	},
}

// Record counts v.
func (h *Histogram) Record(v uint64) { h.RecordN(v, 1) }

// RecordN counts v n times.
func (h *Histogram) RecordN(v, n uint64) {
	if !h.off {
		h.Histogram.RecordN(v, n)
	}
}

// AddDense adds the values of d.
func (h *Histogram) AddDense(d *sketch.DenseHistogram) {
	if !h.off {
		h.Histogram.AddDense(d)
	}
}

// Merge adds the values of o.
func (h *Histogram) Merge(o *Histogram) {
	if !h.off {
		h.Histogram.Merge(&o.Histogram)
	}
}

func (h *Histogram) init(*Desc) {}
func (h *Histogram) reset()     { h.Histogram = sketch.Histogram{} }
func (h *Histogram) disable()   { h.off = true }

func (h *Histogram) merge(o value)                       { h.Merge(o.(*Histogram)) }
func (h *Histogram) precede(older []earlier, _, _ int64) { mergeAll(h, older) }
func (h *Histogram) seal(_, _ int64, _ int)              { h.Compact() }
func (h *Histogram) idle(*Desc) bool                     { return h.Count() == 0 }

// appendJSON writes the quantiles of the values. It writes an empty object if there are no values, because a quantile
// of nothing is not zero.
func (h *Histogram) appendJSON(w *writer, d *Desc, name string) {
	w.open(name)
	if n := h.Count(); n > 0 {
		value := func(name string, v uint64) {
			if d.Scale == 1 {
				w.uint(name, v)
			} else {
				w.float(name, float64(v)*d.Scale)
			}
		}
		for _, q := range quantiles {
			value(q.name, h.Quantile(q.q))
		}
		value("min", h.Min())
		value("max", h.Max())
		w.float("mean", float64(h.Sum())*d.Scale/float64(n))
		w.uint("count", n)
	}
	w.close()
}

func (h *Histogram) appendBinary(e *encoded, _ *Desc, _ int64, _ SnapshotOptions) {
	if h.Count() > 0 {
		e.value = h.AppendBinary(e.value)
	}
}

func (h *Histogram) readBinary(e encoded, _, _ int64) error { return h.UnmarshalBinary(e.value) }

func (h *Histogram) borrow(e encoded, _ *Desc, _, _ int64, _ *sketch.Scratch) error {
	h.Histogram = sketch.Histogram{}
	if e.value == nil {
		return nil
	}
	return h.Borrow(e.value)
}

func (h *Histogram) sample(span Span, _ SampleOptions, emit func(Sample)) {
	if span == SinceStart {
		emit(Sample{Histogram: &h.Histogram})
	}
}
