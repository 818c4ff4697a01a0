package metric

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"

	"pktvisor/minute"
	"pktvisor/sketch"
)

// maxSeconds is how many seconds a rate keeps one by one: those of the longest window. A summary of a longer capture
// keeps the older seconds in a histogram.
const maxSeconds = minute.MaxSeconds

// blockSeconds is the number of seconds in a block, as many as in a bucket.
const blockSeconds = minute.Seconds

// Rate holds the number of events in each second. It is exact for up to a day. For seconds before the last day, it
// keeps quantiles within the error of [sketch.Histogram]. A snapshot with [SnapshotOptions.CoarseRates] does so for all
// seconds but the last.
//
// Seconds without events cost nothing, however many they are, because the rate only stores minutes that had events.
//
// Rates of several hosts over the same minute merge second by second. Rates of several minutes merge into a rate over
// all of them.
type Rate struct {
	from, end int64             // the seconds that are kept one by one, Unix time; end is not included
	blocks    []*block          // the minutes with events, ascending; events lie only in seconds between from and end
	older     *sketch.Histogram // the seconds before from; nil if there are none
	off       bool
}

// KindRate is the kind of [Rate].
var KindRate = &Kind{
	stats: quantileStats(quantilesAndMax, func(s *Section, i int, q float64) (float64, bool) {
		var v [1]uint64
		s.Rate(i).Quantiles([]float64{q}, v[:])
		return float64(v[0]), true
	}),

	name: "rate", wire: 2, typ: reflect.TypeFor[Rate](),
	about: "has the exact quantiles (p50, p90, p95, p99) of the events in each second, and `live`,\n" +
		"  the last whole second. A packet counts in the second of its own timestamp, whatever the order of packets, while that\n" +
		"  minute is open ([clocks](operations.md#clocks)). A later packet counts in `packets.late` and in no second.",
	members: func(d *Desc) []Member {
		return []Member{{Name: d.leaf(), Ref: "Rate", Help: d.Help, Unit: d.Unit.Name}}
	},
	families: func(d *Desc) []Family {
		name := d.promName()
		return []Family{
			{Name: name, Help: "In the last whole second. " + d.Help + d.unitHelp(), Type: FamilyGauge, Span: LastSecond},
			{
				Name: name + "_minute", Help: "Quantiles over the seconds of the newest finished minute. " + d.Help + d.unitHelp(),
				Type: FamilyGauge, Label: "stat", Span: LastMinute,
				Beside: "Quantiles of its seconds in the newest finished minute: p50, p90, p95, p99, max.",
			},
		}
	},
}

// block is one minute of a rate.
type block struct {
	start  int64 // Unix time, a multiple of blockSeconds
	events [blockSeconds]uint64
}

// find returns the position of the block that starts at the given second, or the position where to insert it. Usually
// the block is one of the newest two.
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

// Add counts n events in the given second (Unix time). A second older than the exact range counts in the oldest exact
// second.
func (r *Rate) Add(second int64, n uint64) {
	if r.off {
		return
	}
	r.Cover(second, second+1)
	r.add(second, n)
}

// add is like Add, for a second that the rate already covers or that is older than the exact range.
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

// Cover extends the rate to the seconds from (included) to end (not included). Seconds without events then count as
// zero.
func (r *Rate) Cover(from, end int64) {
	if end <= from || r.off {
		return
	}
	if r.from == r.end {
		r.from, r.end = from, from
	}
	r.end = max(r.end, end)
	if oldest := r.end - maxSeconds; oldest > r.from {
		r.age(oldest)
	} else if r.older == nil { // otherwise the seconds before are in the histogram
		r.from = min(r.from, max(from, oldest))
	}
}

// seconds returns the number of seconds of the rate.
func (r *Rate) seconds() uint64 {
	n := uint64(r.end - r.from)
	if r.older != nil && r.older.Count() <= math.MaxUint64-n {
		n += r.older.Count()
	}
	return n
}

// age moves the seconds before from out of the exact range, into the histogram.
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

// record adds the busy ones among the given seconds to the histogram of older seconds, and returns their number.
func (r *Rate) record(seconds []uint64) (busy int64) {
	for _, v := range seconds {
		if v != 0 {
			r.history().Record(v)
			busy++
		}
	}
	return busy
}

// history returns the histogram of the seconds older than the exact range.
func (r *Rate) history() *sketch.Histogram {
	if r.older == nil {
		r.older = new(sketch.Histogram)
	}
	return r.older
}

// Merge adds the events of o, second by second.
func (r *Rate) Merge(o *Rate) { r.mergeShifted(o, 0) }

// mergeShifted is like Merge, with the seconds of o shifted by shift.
func (r *Rate) mergeShifted(o *Rate, shift int64) {
	if r.off {
		return
	}
	if o.from == o.end {
		return
	}
	first := o.from + shift
	if o.older != nil && r.from < r.end && first > r.end {
		// The seconds in between are in o's histogram, so those before them belong there, too.
		gap := uint64(first - r.end)
		r.age(r.end)
		r.history().RecordN(0, gap-min(o.older.Count(), gap))
		r.from, r.end = first, first
	}
	r.Cover(first, o.end+shift)
	if o.older != nil {
		r.history().Merge(o.older)
	}
	// Seconds of o may be older than the exact range. They then count as separate seconds in the histogram.
	quiet := min(r.from, o.end+shift) - first
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

// addBlock adds the events of up to a minute, starting at second first. The events of seconds that the rate does not
// cover must be zero.
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

// Seconds returns the Unix time of the first exact second, and a copy of the events of that second and those after it.
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

// Quantiles sets into[i] to the events of a second at quantile qs[i] (0 to 1, nearest rank). All are zero if the rate
// covers no second.
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
		// The ceiling, except that a whole q·n that floats make slightly too large is rounded down.
		rank := int(math.Ceil(float64(seconds)*q - 1e-9))
		if rank = min(max(rank, 1), seconds); rank > quiet {
			into[i] = busy[rank-quiet-1]
		}
	}
}

// At returns the events of the given second (Unix time), or 0 if the rate does not cover it.
func (r *Rate) At(second int64) uint64 {
	start := minute.Of(second)
	if at, found := r.find(start); found {
		return r.blocks[at].events[second-start]
	}
	return 0
}

func (r *Rate) init(*Desc)    {}
func (r *Rate) reset()        { *r = Rate{off: r.off} }
func (r *Rate) disable()      { r.off = true }
func (r *Rate) merge(o value) { r.Merge(o.(*Rate)) }

// precede adds the oldest values first, because adding the newest minute is cheapest. If any has a histogram, seconds older
// than its exact ones become part of the histogram, so the newest comes first.
func (r *Rate) precede(older []earlier, start, end int64) {
	if r.off {
		return
	}
	if r.older != nil || slices.ContainsFunc(older, func(o earlier) bool { return o.value.(*Rate).older != nil }) {
		want := r.seconds() + uint64(end-start)
		for _, o := range older {
			r.mergeShifted(o.value.(*Rate), o.shift)
		}
		if have := r.seconds(); have < want { // no metric had events in the others
			r.history().RecordN(0, want-have)
		}
		return
	}
	r.Cover(start, end) // includes the seconds in which no metric had events
	for _, o := range slices.Backward(older) {
		r.mergeShifted(o.value.(*Rate), o.shift)
	}
}

func (r *Rate) seal(start, end int64, _ int) { r.Cover(start, end) }

func (r *Rate) idle(*Desc) bool {
	for _, b := range r.blocks {
		if b.events != [blockSeconds]uint64{} {
			return false
		}
	}
	return r.older == nil || r.older.Max() == 0
}

func (r *Rate) appendJSON(w *writer, _ *Desc, name string) {
	var qs [len(quantiles)]float64
	var values [len(quantiles)]uint64
	for i, q := range quantiles {
		qs[i] = q.q
	}
	r.Quantiles(qs[:], values[:])
	w.open(name)
	for i, q := range quantiles {
		w.uint(q.name, values[i])
	}
	if w.o.LiveSecond != 0 {
		w.uint("live", r.At(w.o.LiveSecond))
	}
	w.close()
}

// coarse returns a rate with the last second of r. All other seconds are in its histogram.
func (r *Rate) coarse() *Rate {
	last := r.end - 1
	c := &Rate{older: new(sketch.Histogram)}
	if r.older != nil {
		c.older.Merge(r.older)
	}
	quiet := last - r.from
	for _, b := range r.blocks {
		quiet -= c.record(b.events[:min(max(last-b.start, 0), blockSeconds)])
	}
	c.older.RecordN(0, uint64(quiet))
	c.Add(last, r.At(last))
	return c
}

// appendBinary appends the rate: its first second relative to start, the number of seconds, the change from each second
// to the next, and the histogram of older seconds, if any. It appends nothing if the rate covers no second.
func (r *Rate) appendBinary(e *encoded, _ *Desc, start int64, o SnapshotOptions) {
	if r.from == r.end {
		return
	}
	if o.CoarseRates && r.end-r.from > 1 {
		r = r.coarse()
	}
	dst := e.value
	dst = binary.AppendUvarint(dst, uint64(r.from-start))
	dst = binary.AppendUvarint(dst, uint64(r.end-r.from))
	last := uint64(0)
	for second := r.from; second < r.end; second++ {
		v := r.At(second)
		dst = binary.AppendVarint(dst, int64(v-last)) // modulo 2^64, so any two values have a difference
		last = v
	}
	if r.older != nil {
		dst = r.older.AppendBinary(dst)
	}
	e.value = dst
}

func (r *Rate) readBinary(e encoded, start, end int64) error {
	var read Rate
	older, err := read.readSeconds(e.value, start, end)
	if err != nil {
		return err
	}
	if len(older) > 0 {
		if err := read.history().UnmarshalBinary(older); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

func (r *Rate) borrow(e encoded, _ *Desc, start, end int64, _ *sketch.Scratch) error {
	history := r.older
	*r = Rate{blocks: r.blocks[:0]}
	if e.value == nil {
		return nil
	}
	older, err := r.readSeconds(e.value, start, end)
	if err != nil || len(older) == 0 {
		return err
	}
	if r.older = history; history != nil {
		*history = sketch.Histogram{}
	}
	return r.history().Borrow(older)
}

// readSeconds reads the exact seconds into an empty rate, for a bucket that covers start to end. It returns the bytes that
// follow.
func (r *Rate) readSeconds(data []byte, start, end int64) (older []byte, err error) {
	c := cursor{b: data}
	var first, n uint64
	if !c.uvarint(&first) || !c.uvarint(&n) {
		return nil, errors.New("cut short")
	}
	if length := uint64(end - start); n == 0 || n > maxSeconds || first > length || n > length-first {
		return nil, errors.New("seconds outside the bucket")
	}
	if n > uint64(len(c.b)) {
		return nil, errors.New("cut short")
	}
	r.from, r.end = start+int64(first), start+int64(first+n)
	last := uint64(0)
	var b *block
	for second := r.from; second < r.end; second++ {
		var change int64
		if !c.varint(&change) {
			return nil, errors.New("cut short")
		}
		if last += uint64(change); last == 0 {
			continue
		}
		if b == nil || second-b.start >= blockSeconds {
			b = r.appendBlock(minute.Of(second))
		}
		b.events[second-b.start] = last
	}
	return c.b, nil
}

// appendBlock appends an empty block. It reuses the memory of one that was there before.
func (r *Rate) appendBlock(start int64) *block {
	if n := len(r.blocks); n < cap(r.blocks) && r.blocks[:n+1][n] != nil {
		r.blocks = r.blocks[:n+1]
		*r.blocks[n] = block{start: start}
	} else {
		r.blocks = append(r.blocks, &block{start: start})
	}
	return r.blocks[len(r.blocks)-1]
}

func (r *Rate) sample(_ *Desc, span Span, o SampleOptions, emit func(Sample)) {
	switch span {
	case LastSecond:
		emit(Sample{Value: float64(r.At(o.Second))})
	case LastMinute:
		qs, values := make([]float64, len(quantilesAndMax)), make([]uint64, len(quantilesAndMax))
		for i, q := range quantilesAndMax {
			qs[i] = q.q
		}
		r.Quantiles(qs, values)
		for i, q := range quantilesAndMax {
			emit(Sample{Family: 1, Value: float64(values[i]), Label: q.name})
		}
	}
}
