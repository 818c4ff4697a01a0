package metric

import (
	"math"
	"slices"

	"pktvisor/sketch"
)

// maxSeconds is how many seconds a rate keeps one by one: a day, the longest window there is.
// A summary of a longer capture keeps the older seconds in a histogram.
const maxSeconds = 24 * 60 * 60

// maxSlack is how many more it may keep, so that the older ones move out together: moving the rest up
// costs as much for one as for thousands.
const maxSlack = maxSeconds / 8

// Rate is how many events each second had. It is exact up to a day; the seconds before the last
// day keep their quantiles to within the error of [sketch.Histogram].
//
// Rates of several hosts over the same minute merge second by second; rates of several minutes
// merge into the longer stretch.
type Rate struct {
	first   int64 // Unix time of seconds[0]
	seconds []uint64
	older   *sketch.Histogram // the seconds before first; nil while there are none
}

// Add counts n events in the given second (Unix time). A second before the ones that are kept
// one by one is taken for the first of these.
func (r *Rate) Add(second int64, n uint64) {
	if len(r.seconds) == 0 {
		r.first = second
	}
	r.Cover(second, second+1)
	r.seconds[max(second-r.first, 0)] += n
}

// Cover makes the rate span the seconds from (included) to end (not included), so that those in
// which nothing happened count as zero.
func (r *Rate) Cover(from, end int64) {
	if end <= from {
		return
	}
	if len(r.seconds) == 0 {
		r.first = from
	}
	if from < r.first {
		missing := min(r.first-from, max(maxSeconds-int64(len(r.seconds)), 0))
		r.seconds = slices.Insert(r.seconds, 0, make([]uint64, missing)...)
		r.first -= missing
	}
	if last := r.first + int64(len(r.seconds)); end > last {
		r.extend(end - last)
	}
}

// extend appends n seconds of nothing, and now and then moves those beyond a day out of the exact ones.
func (r *Rate) extend(n int64) {
	if excess := int64(len(r.seconds)) + n - maxSeconds; excess > maxSlack {
		if r.older == nil {
			r.older = new(sketch.Histogram)
		}
		move := min(excess, int64(len(r.seconds)))
		quiet := excess - move // seconds that come and go at once
		n -= quiet
		for _, v := range r.seconds[:move] {
			if v == 0 {
				quiet++
			} else {
				r.older.Record(v)
			}
		}
		r.older.RecordN(0, uint64(quiet))
		r.seconds = slices.Delete(r.seconds, 0, int(move))
		r.first += excess
	}
	r.seconds = append(r.seconds, make([]uint64, n)...)
}

// Merge adds the events of o, second by second.
func (r *Rate) Merge(o *Rate) { r.merge(o, 0) }

// merge is Merge with the seconds of o shifted.
func (r *Rate) merge(o *Rate, shift int64) {
	if o.older != nil {
		if r.older == nil {
			r.older = new(sketch.Histogram)
		}
		r.older.Merge(o.older)
	}
	if len(o.seconds) == 0 {
		return
	}
	if len(r.seconds) == 0 {
		r.first, r.seconds = o.first+shift, append(r.seconds, o.seconds...)
		return
	}
	r.Cover(o.first+shift, o.first+shift+int64(len(o.seconds)))
	for i, v := range o.seconds {
		if at := o.first + shift + int64(i) - r.first; at >= 0 {
			r.seconds[at] += v
			continue
		}
		if r.older == nil {
			r.older = new(sketch.Histogram)
		}
		r.older.Record(v)
	}
}

// Seconds returns the Unix time of the first second that is kept one by one, and the events of
// that second and those after it. The slice is the rate's own.
func (r *Rate) Seconds() (first int64, events []uint64) { return r.first, r.seconds }

// Quantiles sets into[i] to the events of a second at quantile qs[i] (0 to 1, nearest rank).
// All are zero where the rate spans no second.
func (r *Rate) Quantiles(qs []float64, into []uint64) {
	clear(into)
	if r.older != nil && r.older.Count() > 0 {
		all := *r.older.Clone()
		for _, v := range r.seconds {
			all.Record(v)
		}
		for i, q := range qs {
			into[i] = all.Quantile(q)
		}
		return
	}
	if len(r.seconds) == 0 {
		return
	}
	sorted := slices.Clone(r.seconds)
	slices.Sort(sorted)
	for i, q := range qs {
		// The ceiling, but for q·n that is whole and came out a hair above.
		rank := int(math.Ceil(float64(len(sorted))*q - 1e-9))
		into[i] = sorted[min(max(rank, 1), len(sorted))-1]
	}
}

// At returns the events of the given second (Unix time), 0 where the rate does not span it.
func (r *Rate) At(second int64) uint64 {
	if i := second - r.first; i >= 0 && i < int64(len(r.seconds)) {
		return r.seconds[i]
	}
	return 0
}
