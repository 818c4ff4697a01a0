package metric

import (
	"cmp"
	"math"
	"slices"

	"pktvisor/minute"
	"pktvisor/sketch"
)

// maxSeconds is how many seconds a rate keeps one by one: those of the longest window.
// A summary of a longer capture keeps the older seconds in a histogram.
const maxSeconds = minute.MaxSeconds

// blockSeconds is how many seconds are kept together: a bucket's.
const blockSeconds = minute.Seconds

// Rate is how many events each second had. It is exact up to a day; the seconds before the last
// day keep their quantiles to within the error of [sketch.Histogram].
//
// Seconds without events cost nothing, however many they are: there are only the minutes that had any.
//
// Rates of several hosts over the same minute merge second by second; rates of several minutes
// merge into the longer stretch.
type Rate struct {
	from, end int64             // the seconds that are kept one by one, Unix time; end is not included
	blocks    []*block          // those of them that had events, ascending, and no second outside
	older     *sketch.Histogram // the seconds before from; nil while there are none
}

// block is a minute of a rate.
type block struct {
	start  int64 // Unix time, a multiple of blockSeconds
	events [blockSeconds]uint64
}

// find returns the position of the block that starts at the given second, or where it belongs. Most often that is one
// of the newest two.
func (r *Rate) find(start int64) (at int, found bool) {
	for at = len(r.blocks); at > 0 && at > len(r.blocks)-2; at-- {
		if b := r.blocks[at-1]; b.start <= start {
			if b.start == start {
				return at - 1, true
			}
			return at, false
		}
	}
	return slices.BinarySearchFunc(r.blocks[:at], start, func(b *block, start int64) int { return cmp.Compare(b.start, start) })
}

// Add counts n events in the given second (Unix time). A second before the ones that are kept
// one by one is taken for the first of these.
func (r *Rate) Add(second int64, n uint64) {
	r.Cover(second, second+1)
	r.add(second, n)
}

// add is Add for a second that the rate covers already, or that is before the ones kept one by one.
func (r *Rate) add(second int64, n uint64) {
	if n == 0 {
		return
	}
	second = max(second, r.from)
	start := minute.Of(second)
	at, found := r.find(start)
	if !found {
		r.blocks = slices.Insert(r.blocks, at, &block{start: start})
	}
	r.blocks[at].events[second-start] += n
}

// Cover makes the rate span the seconds from (included) to end (not included), so that those in
// which nothing happened count as zero.
func (r *Rate) Cover(from, end int64) {
	if end <= from {
		return
	}
	if r.from == r.end {
		r.from, r.end = from, from
	}
	r.end = max(r.end, end)
	if oldest := r.end - maxSeconds; oldest > r.from {
		r.age(oldest)
	} else {
		r.from = min(r.from, max(from, oldest))
	}
}

// age moves the seconds before the given one out of the exact ones.
func (r *Rate) age(from int64) {
	quiet := from - r.from
	gone := 0
	for _, b := range r.blocks {
		if b.start >= from {
			break
		}
		before := b.events[:min(from-b.start, blockSeconds)]
		quiet -= r.record(before)
		clear(before)
		if len(before) == blockSeconds {
			gone++
		}
	}
	clear(r.blocks[:gone])
	r.blocks = r.blocks[gone:]
	r.history().RecordN(0, uint64(quiet))
	r.from = from
}

// record counts seconds among those that are older than the exact ones, and returns how many of them had events. Only these are
// recorded.
func (r *Rate) record(seconds []uint64) (busy int64) {
	for _, v := range seconds {
		if v != 0 {
			r.history().Record(v)
			busy++
		}
	}
	return busy
}

// history returns the histogram of the seconds before the exact ones.
func (r *Rate) history() *sketch.Histogram {
	if r.older == nil {
		r.older = new(sketch.Histogram)
	}
	return r.older
}

// Merge adds the events of o, second by second.
func (r *Rate) Merge(o *Rate) { r.merge(o, 0) }

// merge is Merge with the seconds of o shifted.
func (r *Rate) merge(o *Rate, shift int64) {
	if o.older != nil {
		r.history().Merge(o.older)
	}
	if o.from == o.end {
		return
	}
	r.Cover(o.from+shift, o.end+shift)
	// Seconds of o may be older than the exact ones: they are seconds of their own then.
	quiet := min(r.from, o.end+shift) - (o.from + shift)
	for _, b := range o.blocks {
		first := b.start + shift
		old := min(max(r.from-first, 0), blockSeconds)
		quiet -= r.record(b.events[:old])
		if old < blockSeconds {
			r.addBlock(first+old, b.events[old:])
		}
	}
	if quiet > 0 {
		r.history().RecordN(0, uint64(quiet))
	}
}

// addBlock adds the events of up to a minute, from the given second on. Those of seconds that the rate does not cover are zero.
func (r *Rate) addBlock(first int64, events []uint64) {
	for len(events) > 0 {
		start := minute.Of(first)
		n := min(int(start+blockSeconds-first), len(events))
		at, found := r.find(start)
		if !found && slices.ContainsFunc(events[:n], func(v uint64) bool { return v != 0 }) {
			r.blocks = slices.Insert(r.blocks, at, &block{start: start})
			found = true
		}
		if found {
			into := r.blocks[at].events[first-start:]
			for i, v := range events[:n] {
				into[i] += v
			}
		}
		first, events = first+int64(n), events[n:]
	}
}

// Seconds returns the Unix time of the first second that is kept one by one, and a copy of the events of
// that second and those after it.
func (r *Rate) Seconds() (first int64, events []uint64) {
	events = make([]uint64, r.end-r.from)
	for _, b := range r.blocks {
		for i, v := range b.events {
			if v != 0 {
				events[b.start+int64(i)-r.from] = v
			}
		}
	}
	return r.from, events
}

// Quantiles sets into[i] to the events of a second at quantile qs[i] (0 to 1, nearest rank).
// All are zero where the rate spans no second.
func (r *Rate) Quantiles(qs []float64, into []uint64) {
	clear(into)
	var busy []uint64 // the seconds that had events
	for _, b := range r.blocks {
		for _, v := range b.events {
			if v != 0 {
				busy = append(busy, v)
			}
		}
	}
	seconds := int(r.end - r.from)
	quiet := seconds - len(busy)
	if r.older != nil && r.older.Count() > 0 {
		all := r.older.Clone()
		all.RecordN(0, uint64(quiet))
		for _, v := range busy {
			all.Record(v)
		}
		for i, q := range qs {
			into[i] = all.Quantile(q)
		}
		return
	}
	slices.Sort(busy)
	for i, q := range qs {
		// The ceiling, but for q·n that is whole and came out a hair above.
		rank := int(math.Ceil(float64(seconds)*q - 1e-9))
		if rank = min(max(rank, 1), seconds); rank > quiet {
			into[i] = busy[rank-quiet-1]
		}
	}
}

// At returns the events of the given second (Unix time), 0 where the rate does not span it.
func (r *Rate) At(second int64) uint64 {
	start := minute.Of(second)
	if at, found := r.find(start); found {
		return r.blocks[at].events[second-start]
	}
	return 0
}
