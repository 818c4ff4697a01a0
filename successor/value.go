package successor

import (
	"pktvisor/metric"
	"pktvisor/sketch"
)

// value is a metric's value in a bucket. Which field holds it depends on the kind.
type value struct {
	n       uint64            // counter, distinct
	seconds *metric.Rate      // rate
	values  *metric.Histogram // quantiles, histogram
	rows    []sketch.Row      // table; valid until the next value
	scale   float64           // of a rate, quantiles or histogram
}

// view is what a handler shows of a bucket.
type view struct {
	bucket  *metric.Bucket
	form    *form
	handler *Handler
	enabled uint
	rows    []sketch.Row // memory that is used again
}

// shown reports whether there is anything to show.
func (v *view) shown() bool {
	_, ok := v.bucket.Section(v.form.section)
	return ok && (len(v.form.groups) == 0 || v.enabled != 0)
}

// walk calls emit with each metric of the form that is enabled and that the bucket has, in the order of the tables, first those
// without a direction. direction is an index of [directions], or whole.
func (v *view) walk(emit func(it *item, direction int, x value)) {
	for i := range v.form.whole {
		v.item(&v.form.whole[i], whole, emit)
	}
	if len(v.form.below) == 0 {
		return
	}
	for direction := range directions {
		if n, ok := v.count(v.form.seen[direction]); !ok || n == 0 {
			continue
		}
		for i := range v.form.below {
			v.item(&v.form.below[i], direction, emit)
		}
	}
}

func (v *view) item(it *item, direction int, emit func(it *item, direction int, x value)) {
	from := it.from[max(direction, 0)]
	if len(from) == 0 || it.groups&^v.enabled != 0 {
		return
	}
	if x, ok := v.value(it, from); ok {
		emit(it, direction, x)
	}
}

// value returns the value of a metric that is made from a source.
func (v *view) value(it *item, from source) (x value, ok bool) {
	x.scale = it.scale
	if x.scale == 0 {
		x.scale = 1
	}
	if it.kind == counter {
		x.n, ok = v.count(from)
		return x, ok
	}
	if it.observed {
		if n, _ := v.count(v.form.filtered); n > 0 {
			return x, false
		}
	}
	s, i, ok := v.find(from[0])
	if !ok {
		return x, false
	}
	switch it.kind {
	case distinct:
		if c := s.Cardinality(i); c != nil {
			x.n = uint64(c.Estimate() + 0.5)
			return x, true
		}
	case rate:
		x.seconds = v.rate(from)
		return x, x.seconds != nil
	case quantiles, histogram:
		x.values = s.Histogram(i)
		x.scale *= s.Table.Descs[i].Scale
		return x, x.values != nil && x.values.Count() > 0
	case table:
		if t := s.Top(i); t != nil {
			x.rows = v.top(t)
			return x, true
		}
	}
	return x, false
}

// find returns the metric of a term.
func (v *view) find(t term) (s *metric.Section, i int, ok bool) {
	if s, ok = v.bucket.Section(t.section); ok {
		i, ok = s.Table.Find(t.path)
	}
	return s, i, ok
}

// count returns the sum of counters. A top table counts as the sum of all that it has counted. The sum is at least 0, also while a
// shard has added only a part of its counts.
func (v *view) count(from source) (sum uint64, ok bool) {
	for _, t := range from {
		s, i, ok := v.find(t)
		var n uint64
		switch {
		case !ok && t.optional:
		case !ok:
			return 0, false
		default:
			if top := s.Top(i); top != nil {
				n = top.Total()
			} else {
				n = s.Counter(i)
			}
		}
		if t.minus {
			sum -= min(n, sum)
		} else {
			sum += n
		}
	}
	return sum, len(from) > 0
}

// rate returns the rate that a source is made from, or nil if the bucket does not have its seconds.
func (v *view) rate(from source) *metric.Rate {
	var first *metric.Rate
	var others []*metric.Rate
	for n, t := range from {
		s, i, ok := v.find(t)
		if !ok || s.Rate(i) == nil {
			return nil
		}
		if n == 0 {
			first = s.Rate(i)
		} else {
			others = append(others, s.Rate(i))
		}
	}
	if len(others) > 0 {
		first = first.Minus(others...)
	}
	if first != nil {
		if seconds, _ := first.Sum(); seconds == 0 {
			return nil
		}
	}
	return first
}

// top returns the rows that a handler shows of a table.
func (v *view) top(t *metric.Top) []sketch.Row {
	n := v.handler.Rows
	if n <= 0 {
		n = defaultRows
	}
	v.rows = t.Heaviest(v.rows, n)
	return above(v.rows, v.handler.Percentile)
}

// above returns the rows at or above a percentile of all rows, by nearest rank. The rows are in descending order.
func above(rows []sketch.Row, percentile int) []sketch.Row {
	if len(rows) == 0 || percentile <= 0 {
		return rows
	}
	rank := (len(rows)*min(percentile, 100) + 99) / 100 // from the lightest row, which has rank 1
	least := rows[len(rows)-rank].Lower
	for len(rows) > 0 && rows[len(rows)-1].Lower < least {
		rows = rows[:len(rows)-1]
	}
	return rows
}
