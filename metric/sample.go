package metric

import (
	"encoding/binary"
	"errors"
	"math"
)

// Share is a share of all address pairs, in millionths.
type Share uint32

// Whole is the share of everything.
const Whole Share = 1_000_000

// Percent returns a share by its percentage.
func Percent(percent int) Share { return Share(percent) * Whole / 100 }

// Percent returns the share as a percentage.
func (s Share) Percent() float64 { return float64(s) * 100 / float64(Whole) }

// factor returns the number of address pairs for which one in the sample stands.
func (s Share) factor() float64 {
	if s == 0 {
		return 1 // nothing is in the sample
	}
	return float64(Whole) / float64(s)
}

// LoadClasses is the number of classes in a [Load], a power of two.
const LoadClasses = 4096

// Load has what was analysed in depth by the class of its address pair, a part of the hash that decides about the sample. It
// says how unevenly the events are spread over the pairs. Bytes are the sizes of messages; nil if nothing is weighed by size.
type Load struct {
	Events [LoadClasses]uint32
	Bytes  *[LoadClasses]uint64
}

// SampleCounts are the events of a section since the last flush, all at one share of the sample.
type SampleCounts struct {
	Share Share
	// Seen are all events that could be in the sample, and Taken those that were analysed in depth. The bytes are their sizes.
	Seen, Taken           uint64
	SeenBytes, TakenBytes uint64
	// Load has the events that were analysed in depth. It may be nil if the share is [Whole]. AddSample empties it.
	Load *Load
}

// The measures of events in a sample.
const (
	byEvents = iota
	byBytes
	numMeasures
)

// sampling says how much of the events of a section was analysed in depth, and how far an estimate from these can be off. Its
// zero value is empty. docs/decisions/0037 derives the bounds.
type sampling struct {
	seconds     struct{ seen, taken Rate } // the events of each second
	least, most Share                      // that applied; 0 before the first event
	seen        [numMeasures]uint64
	taken       [numMeasures]uint64
	// scaled is what taken stands for: the sum of the events, each divided by the share at its time.
	scaled [numMeasures]float64
	// root is the square root of the estimated variance of scaled, or more.
	root [numMeasures]float64
	// load has what was taken below a share of Whole, scaled, by the class of the address pair. It is nil in a bucket that is
	// sealed or merged: then root has it.
	load *[numMeasures][LoadClasses]float64
	// leastLoad and mostLoad are the shares that applied to load.
	leastLoad, mostLoad Share
}

// AddSample counts the events since the last flush of a shard.
func (s *Section) AddSample(n SampleCounts) {
	if n.Seen == 0 {
		return
	}
	a := &s.sampling
	a.shares(n.Share, n.Share)
	for m, by := range [numMeasures]struct{ seen, taken uint64 }{{n.Seen, n.Taken}, {n.SeenBytes, n.TakenBytes}} {
		a.seen[m] += by.seen
		a.taken[m] += by.taken
		a.scaled[m] += float64(by.taken) * n.Share.factor()
	}
	if n.Share < Whole && n.Taken > 0 {
		a.addLoad(n.Load, n.Share)
	}
}

// CountSample counts the events of a second (Unix time) in the rates of the sample.
func (s *Section) CountSample(second int64, seen, taken uint64) {
	s.sampling.seconds.seen.Add(second, seen)
	s.sampling.seconds.taken.Add(second, taken)
}

// shares extends the range of shares.
func (a *sampling) shares(least, most Share) {
	if a.most == 0 && a.seen[byEvents] == 0 {
		a.least = least
	}
	a.least, a.most = min(a.least, least), max(a.most, most)
}

func (a *sampling) addLoad(l *Load, share Share) {
	if a.load == nil {
		a.load = new([numMeasures][LoadClasses]float64)
		a.leastLoad, a.mostLoad = share, share
	}
	a.leastLoad, a.mostLoad = min(a.leastLoad, share), max(a.mostLoad, share)
	f := share.factor()
	for i, n := range l.Events {
		a.load[byEvents][i] += float64(n) * f
	}
	clear(l.Events[:])
	if l.Bytes != nil {
		for i, n := range l.Bytes {
			a.load[byBytes][i] += float64(n) * f
		}
		clear(l.Bytes[:])
	}
}

// empty reports whether nothing was counted.
func (a *sampling) empty() bool { return a.seen[byEvents] == 0 }

// whole reports whether everything was analysed in depth.
func (a *sampling) whole() bool { return a.empty() || a.least == Whole }

// roots returns the roots of the variances, with those of the load.
func (a *sampling) roots() (root [numMeasures]float64) {
	root = a.root
	if a.load == nil {
		return root
	}
	// At one share p, the variance that a pair of weight w adds is estimated as (1-p)/p² w². At several, the factor 1-p is
	// left out, which is more.
	left := 1.0
	if a.leastLoad == a.mostLoad {
		left = 1 - a.leastLoad.Percent()/100
	}
	for m := range a.load {
		sum := 0.0
		for _, w := range a.load[m] {
			sum += w * w
		}
		root[m] += math.Sqrt(left * sum)
	}
	return root
}

// seal frees the load.
func (a *sampling) seal(start, end int64) {
	if !a.empty() {
		a.root, a.load = a.roots(), nil
		a.seconds.seen.seal(start, end, 0)
		a.seconds.taken.seal(start, end, 0)
	}
}

// add adds the counts of o, but not its seconds. Events of another host or shard are in the sample or not independently of
// those of a, so variances add up. In the minutes before, the same pairs are in the sample, so errors add up.
func (a *sampling) add(o *sampling, before bool) {
	if o.empty() {
		return
	}
	if a.empty() && o.load != nil && !before {
		load := *o.load
		a.load, a.leastLoad, a.mostLoad, a.root = &load, o.leastLoad, o.mostLoad, o.root
	} else {
		x, y := a.roots(), o.roots()
		for m := range x {
			if before {
				x[m] += y[m]
			} else {
				x[m] = math.Hypot(x[m], y[m])
			}
		}
		a.root, a.load = x, nil
	}
	a.shares(o.least, o.most)
	for m := range a.seen {
		a.seen[m] = min(a.seen[m]+o.seen[m], maxSampled)
		a.taken[m] = min(a.taken[m]+o.taken[m], maxSampled)
		a.scaled[m] = min(a.scaled[m]+o.scaled[m], maxSampled)
		a.root[m] = min(a.root[m], maxSampled)
	}
}

// merge adds what another host or shard has counted.
func (a *sampling) merge(o *sampling) {
	a.add(o, false)
	a.seconds.seen.merge(&o.seconds.seen)
	a.seconds.taken.merge(&o.seconds.taken)
}

// precede adds what was counted before, newest first: see [value].
func (a *sampling) precede(older []*Section, shifts []int64, start, end int64) {
	var seen, taken []earlier
	for i, o := range older {
		if o != nil {
			a.add(&o.sampling, true)
			seen = append(seen, earlier{&o.sampling.seconds.seen, shifts[i]})
			taken = append(taken, earlier{&o.sampling.seconds.taken, shifts[i]})
		}
	}
	if !a.empty() {
		a.seconds.seen.precede(seen, start, end)
		a.seconds.taken.precede(taken, start, end)
	}
}

// percent returns the share of the events that was analysed in depth, as a percentage. known is false if there were none.
func (a *sampling) percent() (percent float64, known bool) {
	switch {
	case a.empty():
		return 0, false
	case a.least == a.most:
		return a.most.Percent(), true
	}
	return min(100*float64(a.taken[byEvents])/float64(a.seen[byEvents]), 100), true
}

// assume fills an empty sampling of a section that was analysed at one share, by a program that did not write one. Nothing is
// known of the pairs, so all events may be of one.
func (s *Section) assume(percent float64) {
	a, taken := &s.sampling, s.Counter(s.Table.taken)
	if !a.empty() || percent <= 0 {
		return
	}
	share := min(Share(math.Round(percent*sharePerPercent)), Whole)
	a.least, a.most = share, share
	a.seen[byEvents], a.taken[byEvents], a.scaled[byEvents] = taken, taken, float64(taken)
	if share < Whole {
		a.seen[byEvents] = max(s.Counter(s.Table.seen), taken)
		a.scaled[byEvents] *= share.factor()
		a.root[byEvents] = a.scaled[byEvents]
	}
}

// confidence is how many times the root of the estimated variance a bound is away from an estimate. Each bound then holds with
// a chance of 97.5% or more: the square root of 2 ln(1/0.025). See docs/decisions/0037.
var confidence = math.Sqrt(2 * math.Log(1/0.025))

// scale says what is known of everything of which a value of the sample is a part.
type scale struct {
	seen      float64 // all of it, exactly
	left      float64 // the part that was not analysed in depth
	scaled    float64 // what the sample stands for: seen, more or less by chance
	deviation float64 // between what a value of the sample stands for and the truth
}

// scaleBy returns the scale of the values of a metric, and whether there is one: something was left out of the sample. inAll is
// what all values of the metric together stand for, if they are bytes.
func (s *Section) scaleBy(d *Desc, inAll float64) (sc scale, ok bool) {
	a := &s.sampling
	if a.whole() {
		return sc, false
	}
	m, each := byEvents, 1.0
	switch d.Unit.Name {
	case "bytes":
		m = byBytes
	case "bits":
		each = maxNameBits
	}
	sc = scale{
		seen: each * float64(a.seen[m]), left: each * float64(a.seen[m]-min(a.taken[m], a.seen[m])),
		scaled: each * a.scaled[m], deviation: each * confidence * a.roots()[m],
	}
	if m == byBytes {
		sc.scaled = inAll
	}
	return sc, true
}

// maxNameBits is the most information of a name that a table counts: 255 bytes of 8 bits.
const maxNameBits = 2040

// bounds returns the bounds of the truth for a value of the sample that is from low to high, and stands for scaledLow to
// scaledHigh. Each holds with a chance of 97.5% or more.
func (c *scale) bounds(low, high uint64, scaledLow, scaledHigh float64) (estimate, lower, upper uint64) {
	lo := max(float64(low), scaledLow-c.deviation)
	hi := min(scaledHigh+max(c.seen-c.scaled+c.deviation, 0), float64(high)+c.left)
	hi = max(hi, lo)
	return rounded(min(max(scaledLow, lo), hi)), rounded(lo), rounded(hi)
}

func rounded(v float64) uint64 {
	if v >= math.MaxInt64 {
		return math.MaxInt64
	}
	return uint64(max(v, 0) + 0.5)
}

// appendSampling writes the object that says how much of a section was analysed in depth, unless it was everything.
func (w *writer) appendSampling(s *Section) {
	a := &s.sampling
	if a.whole() {
		return
	}
	w.open(samplingName)
	w.uint("seen", a.seen[byEvents])
	w.uint("taken", a.taken[byEvents])
	w.float("least_percent", a.least.Percent())
	w.float("most_percent", a.most.Percent())
	w.uint("error", rounded(confidence*a.roots()[byEvents]))
	w.close()
}

// appendBinary appends the sampling of a bucket that begins at start, unless everything was analysed in depth.
func (a *sampling) appendBinary(dst []byte, start int64, o SnapshotOptions) []byte {
	if a.whole() {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(a.least))
	dst = binary.AppendUvarint(dst, uint64(a.most))
	roots := a.roots()
	for m := range a.seen {
		dst = binary.AppendUvarint(dst, a.seen[m])
		dst = binary.AppendUvarint(dst, a.taken[m])
		dst = binary.AppendUvarint(dst, rounded(a.scaled[m]))
		dst = binary.AppendUvarint(dst, uint64(math.Ceil(roots[m])))
	}
	for _, r := range []*Rate{&a.seconds.seen, &a.seconds.taken} {
		var e encoded
		r.appendBinary(&e, nil, start, o)
		dst = appendText(dst, e.value)
	}
	return dst
}

// maxSampled bounds the numbers of a sampling in a snapshot, and the sums of several: a snapshot of a hostile agent must not make those
// of a fleet overflow. It is two years of a billion events a second.
const maxSampled = 1 << 56

var errSampling = errors.New("the sampling is cut short or out of range")

// readBinary replaces a by what appendBinary appended. No bytes say nothing.
func (a *sampling) readBinary(b []byte, start, end int64) error {
	*a = sampling{}
	if len(b) == 0 {
		return nil
	}
	c := cursor{b: b}
	var least, most uint64
	if !c.uvarint(&least) || !c.uvarint(&most) || least > most || most == 0 || most > uint64(Whole) {
		return errSampling
	}
	a.least, a.most = Share(least), Share(most)
	for m := range a.seen {
		var scaled, root uint64
		if !c.uvarint(&a.seen[m]) || !c.uvarint(&a.taken[m]) || !c.uvarint(&scaled) || !c.uvarint(&root) || a.taken[m] > a.seen[m] ||
			max(a.seen[m], scaled, root) > maxSampled {
			return errSampling
		}
		a.scaled[m], a.root[m] = float64(scaled), float64(root)
	}
	for _, r := range []*Rate{&a.seconds.seen, &a.seconds.taken} {
		var value []byte
		if !c.bytes(&value) {
			return errSampling
		}
		if len(value) > 0 {
			if err := r.readBinary(encoded{value: value}, start, end); err != nil {
				return err
			}
		}
	}
	return nil
}
