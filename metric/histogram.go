package metric

import (
	"cmp"
	"reflect"

	"pktvisor/sketch"
)

// Histogram is a summary of integer values, for quantiles (see [sketch.Histogram]).
type Histogram struct {
	sketch.Histogram
	off bool

	factor float64           // of what is being recorded; 0 before anything was
	whole  *sketch.Histogram // what the values stand for, in 1/wholeUnit; nil if factor applies to all
}

// KindHistogram is the kind of [Histogram].
var KindHistogram = &Kind{
	stats: quantileStats(append(quantilesAndMax[:4:4], quantile{"p999", 0.999}, quantile{"max", 1}), func(s *Section, i int, q float64) (float64, bool) {
		h := s.Histogram(i)
		return float64(h.Quantile(q)) * s.Table.Descs[i].Scale, h.Count() > 0
	}),

	name: "histogram", wire: 3, scaled: 13, typ: reflect.TypeFor[Histogram](), sinceStart: true,
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
		name, help := d.promName(d.Unit.Base), d.Help+" Unit: "+d.Unit.Base+"."
		return []Family{
			{Name: name, Help: help, Type: FamilyHistogram, Span: SinceStart},
			{
				Name: name + "_minute", Help: "Quantiles of the newest finished minute, within 1%. Missing if it has no values. " + help,
				Type: FamilyGauge, Label: "stat", Span: LastMinute,
				Beside: "Quantiles of the newest finished minute, within 1%: p50, p90, p95, p99, max. Missing if it has no values.",
			},
		}
	},
}

// Record counts v.
func (h *Histogram) Record(v uint64) { h.RecordN(v, 1) }

// RecordN counts v n times.
func (h *Histogram) RecordN(v, n uint64) {
	if !h.off {
		h.Histogram.RecordN(v, n)
		if h.whole != nil {
			h.whole.RecordN(v, sketch.TimesWeight(n, h.by()*wholeUnit))
		}
	}
}

// AddDense adds the values of d.
func (h *Histogram) AddDense(d *sketch.DenseHistogram) {
	if !h.off {
		h.Histogram.AddDense(d)
		if h.whole != nil {
			var added sketch.Histogram
			added.AddDense(d)
			h.whole.MergeTimes(&added, h.by()*wholeUnit)
		}
	}
}

// Merge adds the values of o.
func (h *Histogram) Merge(o *Histogram) {
	if h.off || o.Count() == 0 {
		return
	}
	switch {
	case h.Count() == 0:
		h.factor, h.whole = o.factor, nil
		if o.whole != nil {
			h.whole = o.whole.Clone()
		}
	case h.whole != nil || o.whole != nil || h.by() != o.by():
		h.split()
		if o.whole != nil {
			h.whole.Merge(o.whole)
		} else {
			h.whole.MergeTimes(&o.Histogram, o.by()*wholeUnit)
		}
	}
	h.Histogram.Merge(&o.Histogram)
}

// by returns the factor.
func (h *Histogram) by() float64 { return cmp.Or(h.factor, 1) }

// split makes the second histogram, if it does not exist yet.
func (h *Histogram) split() {
	if h.whole == nil {
		h.whole = new(sketch.Histogram)
		h.whole.MergeTimes(&h.Histogram, h.by()*wholeUnit)
	}
}

func (h *Histogram) setFactor(factor float64) {
	if factor != h.by() && h.Count() > 0 {
		h.split()
	}
	h.factor = factor
}

func (h *Histogram) assumeFactor(factor float64) { h.factor = factor }

func (h *Histogram) sampledKeys() bool { return false }

func (h *Histogram) init(*Desc) {}
func (h *Histogram) reset()     { h.Histogram, h.factor, h.whole = sketch.Histogram{}, 0, nil }
func (h *Histogram) disable()   { h.off = true }

func (h *Histogram) merge(o value)                       { h.Merge(o.(*Histogram)) }
func (h *Histogram) precede(older []earlier, _, _ int64) { mergeAll(h, older) }
func (h *Histogram) seal(_, _ int64, _ int) {
	h.Compact()
	if h.whole != nil {
		h.whole.Compact()
	}
}
func (h *Histogram) idle(*Desc) bool { return h.Count() == 0 }

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
		all, scaled := &h.Histogram, float64(n)*h.by()
		if h.whole != nil {
			all, scaled = h.whole, float64(h.whole.Count())/wholeUnit
		}
		for _, q := range quantiles {
			value(q.name, all.Quantile(q.q))
		}
		value("min", h.Min())
		value("max", h.Max())
		w.float("mean", float64(all.Sum())*d.Scale/float64(all.Count()))
		w.uint("count", n)
		if c, ok := w.scaleBy(&Desc{Whole: d.Whole}, scaled); ok {
			w.appendScaled(&c, n, n, scaled, scaled)
			w.float("rank_error", c.rankError(scaled))
		}
	}
	w.close()
}

func (h *Histogram) appendBinary(e *encoded, d *Desc, _ int64, o SnapshotOptions) {
	if h.Count() > 0 {
		e.value = h.AppendBinary(e.value)
		switch {
		case h.whole != nil:
			e.scaled = h.whole.AppendBinary(e.scaled)
		case o.mixed && !d.Whole:
			var whole sketch.Histogram
			whole.MergeTimes(&h.Histogram, h.by()*wholeUnit)
			e.scaled = whole.AppendBinary(e.scaled)
		}
	}
}

func (h *Histogram) readBinary(e encoded, _, _ int64) error {
	if err := h.readWhole(e); err != nil {
		return err
	}
	return h.UnmarshalBinary(e.value)
}

// readWhole reads what the values stand for, if the bytes say it.
func (h *Histogram) readWhole(e encoded) error {
	h.factor, h.whole = 0, nil
	if e.scaled == nil {
		return nil
	}
	whole := new(sketch.Histogram)
	if err := whole.UnmarshalBinary(e.scaled); err != nil {
		return err
	}
	if whole.Count() > 0 { // otherwise it says nothing, and nothing can be divided by it
		h.whole = whole
	}
	return nil
}

func (h *Histogram) borrow(e encoded, _ *Desc, _, _ int64, _ *sketch.Scratch) error {
	h.Histogram = sketch.Histogram{}
	if err := h.readWhole(e); err != nil {
		return err
	}
	if e.value == nil {
		return nil
	}
	return h.Borrow(e.value)
}

func (h *Histogram) sample(d *Desc, span Span, _ SampleOptions, emit func(Sample)) {
	switch {
	case span == SinceStart:
		emit(Sample{Histogram: &h.Histogram})
	case span == LastMinute && h.Count() > 0:
		all := &h.Histogram
		if h.whole != nil {
			all = h.whole // as in the JSON
		}
		for _, q := range quantilesAndMax {
			v := all.Quantile(q.q)
			if q.q == 1 {
				v = h.Max()
			}
			emit(Sample{Family: 1, Value: d.InBase(v), Label: q.name})
		}
	}
}
