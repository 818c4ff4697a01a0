package metric

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"pktvisor/sketch"
)

// defaultSlots is the size of a table of keys if the declaration does not give one.
const defaultSlots = 8192

// Top finds the keys with the greatest weight (see [sketch.Frequent]).
type Top struct {
	*sketch.Frequent
	off     bool
	view    *sketch.FrequentView // what is merged into others instead, after borrow
	scaling scaling
	slots   int
}

// KindTop is the kind of [Top].
var KindTop = &Kind{
	name: "top", wire: 5, beside: 7, scaled: 13, each: 14, typ: reflect.TypeFor[Top](), maxSlots: 1 << 20,
	about: "table has the ten keys with the greatest weight. `estimate` is the least that a key can have had. If it may have had more,\n" +
		"  `lower` and `upper` are the bounds. A table of clients counts a sample of the messages of a busy minute; then each bound holds with a\n" +
		"  chance of 97.5%. Otherwise, a table is exact up to the number of distinct keys a minute given here.",
	shown: func(d *Desc) string { return fmt.Sprintf("top, exact up to %d", d.ExactKeys()) },
	members: func(d *Desc) []Member {
		help := fmt.Sprintf("%s Exact up to %d keys a minute.", d.Help, d.ExactKeys())
		return []Member{{Name: d.leaf(), Ref: "Top", Help: help, Unit: d.Unit.Name}}
	},
	memory: func(d *Desc, slots int) (open, sealed int64) {
		const ( // in bytes
			slot  = 12 // entries: 16 bytes each, three for four slots
			index = 8
			keys  = 64  // on average over a table; the sketch enforces it
			long  = 255 // on average over the keys that a smaller sealed table keeps, at most
		)
		all, kept := int64(d.Slots), int64(min(d.Slots, slots))
		return all * (slot + index + keys), kept*slot + min(all*keys, kept/4*3*long)
	},
	families: func(d *Desc) []Family {
		return []Family{{
			Name: d.promName(), Help: "Lower bounds for the newest finished minute. " + d.Help + d.unitHelp() + " The row \"other\" sums up the rest.",
			Type: FamilyGauge, Label: d.Label, Span: LastMinute,
		}}
	},
}

// ExactKeys returns the number of distinct keys a minute up to which a top table of the metric is exact, or of distinct pairs
// up to which a distinct table is. It is 0 for the other kinds.
func (d *Desc) ExactKeys() int { return d.Slots / 4 * 3 }

// Add adds weight to a key.
func (t *Top) Add(key []byte, weight uint64) {
	if !t.off {
		t.AddPrepared(sketch.Prepare(key), weight)
	}
}

// AddPrepared calls [sketch.Frequent.AddPrepared].
func (t *Top) AddPrepared(p sketch.Prepared, weight uint64) {
	if !t.off {
		t.Frequent.AddPrepared(p, weight)
		if t.scaling.whole != nil {
			t.scaling.whole.AddPrepared(p, t.scaling.weight(weight))
		}
	}
}

// AddBatch calls [sketch.Frequent.AddBatch].
func (t *Top) AddBatch(keys []sketch.Prepared, rows []sketch.Weighted) {
	if !t.off {
		t.Frequent.AddBatch(keys, rows)
		t.scaling.add(keys, rows)
	}
}

// Shed calls [sketch.Frequent.Shed]. If the table is switched off, the sieve lets every key pass.
func (t *Top) Shed(weights []uint64) sketch.Sieve {
	if t.off {
		return sketch.Sieve{}
	}
	total, most := t.Total(), t.MaxError()
	sieve := t.Frequent.Shed(weights)
	t.scaling.lose(t.Total()-total, t.MaxError()-most)
	return sieve
}

// Sampled calls [sketch.Frequent.Sampled].
func (t *Top) Sampled(by sketch.Thinning) {
	if !t.off {
		t.Frequent.Sampled(by)
		t.scaling.sampled(by)
	}
}

// Merge adds the keys of o.
func (t *Top) Merge(o *Top) {
	switch {
	case t.off:
	case o.view != nil:
		t.scaling.merge(&o.scaling, t.Total(), o.view.Total(), t.own, func() *sketch.Frequent { return o.view.Sketch(o.slots) })
		t.Frequent.MergeView(o.view)
	default:
		t.scaling.merge(&o.scaling, t.Total(), o.Total(), t.own, o.own)
		t.Frequent.Merge(o.Frequent)
	}
}

func (t *Top) init(d *Desc) { t.Frequent, t.slots = sketch.NewFrequent(d.Slots), d.Slots }
func (t *Top) reset()       { t.Frequent.Reset(); t.scaling = scaling{} }
func (t *Top) disable()     { t.Frequent, t.off = new(sketch.Frequent), true }

func (t *Top) setFactor(factor float64) { t.scaling.set(factor, t.Total(), t.own) }
func (t *Top) assumeFactor(f float64)   { t.scaling.factor = f }
func (t *Top) own() *sketch.Frequent    { return t.Frequent }
func (t *Top) sampledKeys() bool        { return true }

func (t *Top) merge(o value)                       { t.Merge(o.(*Top)) }
func (t *Top) precede(older []earlier, _, _ int64) { mergeAll(t, older) }
func (t *Top) idle(*Desc) bool                     { return t.Total() == 0 }

func (t *Top) seal(_, _ int64, slots int) {
	keep := slots / 4 * 3
	if t.Len() > keep {
		t.Trim(keep)
	}
	t.Compact()
	t.scaling.trim(keep)
}

// appendJSON writes the heaviest keys. The estimate is the lower bound, so a name is never shown with more than it
// certainly had.
func (t *Top) appendJSON(w *writer, d *Desc, name string) {
	w.rows = t.scaling.rows(w.rows[:0], w.o.Rows, t.Frequent)
	w.fold = d.Fold
	var scaled func(row *sketch.Row)
	if c, ok := w.scaleBy(d, t.scaling.total(t.Total())); ok {
		scaled = func(row *sketch.Row) {
			low, high := t.scaling.bounds(row.Key, row.Lower, row.Upper)
			w.appendScaled(&c, row.Lower, row.Upper, low, high)
		}
	}
	w.appendRows(name, scaled)
	w.fold = ""
}

// foldedNames returns how many names a row stands for, by the tables in w.fold, or 0.
func (w *writer) foldedNames(key string) (most uint64) {
	zone, ok := strings.CutPrefix(key, "*.")
	if !ok || w.fold == "" || w.section == nil {
		return 0
	}
	for path := range strings.SplitSeq(w.fold, ",") {
		if i, ok := w.section.Table.Find(path); ok {
			if t := w.section.Distinct(i); t != nil {
				with, _ := t.Bounds([]byte(key[1:])) // the tables of the last labels have the dot
				without, _ := t.Bounds([]byte(zone))
				most = max(most, with, without)
			}
		}
	}
	return most
}

// appendRows writes w.rows as a member. scaled, if it is not nil, writes what a row stands for.
func (w *writer) appendRows(name string, scaled func(row *sketch.Row)) {
	w.name(name)
	w.b = append(w.b, '[')
	for i, row := range w.rows {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.name("name")
		w.string(string(row.Key))
		w.uint("estimate", row.Lower)
		if row.Upper != row.Lower {
			w.uint("lower", row.Lower)
			w.uint("upper", row.Upper)
		}
		if scaled != nil {
			scaled(&w.rows[i])
		}
		if names := w.foldedNames(row.Key); names > 0 {
			w.uint("names", names)
		}
		w.close()
	}
	w.b = append(w.b, ']')
}

func (t *Top) appendBinary(e *encoded, d *Desc, _ int64, o SnapshotOptions) {
	if t.Total() > 0 {
		few := t.trimmed(d.Slots, o)
		e.value, e.beside = few.AppendBinary(e.value), few.AppendBounds(e.beside)
		e.scaled = t.scaling.appendBinary(e.scaled, few.Len(), few, &o)
		e.each = appendThinnings(e.each, t.SampledBy(), t.scaling.thinning(t.SampledBy()))
	}
}

const (
	// noiseShare is the default of [SnapshotOptions.NoiseShare]. With it, a flood of keys that occur once each does not
	// increase what a fleet sends.
	noiseShare = 8192
	// meanKeyLen bounds the average length of a table's keys in bytes, over the number of keys that it may keep. If the
	// keys are longer, fewer are kept.
	meanKeyLen = 32
)

// trimmed returns a sketch with only the keys that a snapshot keeps: that of the table itself, or a copy.
func (t *Top) trimmed(slots int, o SnapshotOptions) *sketch.Frequent {
	keys := o.TopKeys
	if keys < 0 {
		return t.Frequent
	}
	if keys == 0 {
		keys = DefaultTopKeys
	}
	keys = max(min(keys*slots/defaultSlots, keys), keys/4)
	noise := t.Total() / cmp.Or(o.NoiseShare, noiseShare)
	n, size := 0, 0
	for key, weight := range t.All() {
		if weight > noise {
			n++
			size += len(key)
		}
	}
	few := t.Frequent
	if n = min(n, keys); n < few.Len() {
		few = few.Trimmed(n)
		size = keyBytes(few)
	}
	for ; size > keys*meanKeyLen; size = keyBytes(few) {
		n = min(n-1, n*keys*meanKeyLen/size)
		few = few.Trimmed(n)
	}
	return few
}

func keyBytes(f *sketch.Frequent) int {
	n := 0
	for key := range f.All() {
		n += len(key)
	}
	return n
}

func (t *Top) readBinary(e encoded, _, _ int64) error {
	if err := t.UnmarshalBounds(e.value, e.beside); err != nil {
		return err
	}
	by, err := readThinnings(e.each, 2)
	if err != nil {
		return err
	}
	t.Frequent.Sampled(by[0])
	t.Compact()
	return t.scaling.readBinary(e.scaled, t.slots, by[1])
}

// emptyTop is the binary form of an empty sketch.
var emptyTop = new(sketch.Frequent).AppendBinary(nil)

func (t *Top) borrow(e encoded, d *Desc, _, _ int64, scratch *sketch.Scratch) error {
	if t.view == nil {
		t.view = new(sketch.FrequentView)
	}
	if e.value == nil {
		e = encoded{value: emptyTop}
	}
	by, err := readThinnings(e.each, 2)
	if err != nil {
		return err
	}
	if err := t.scaling.readBinary(e.scaled, d.Slots, by[1]); err != nil {
		return err
	}
	err = t.view.Open(e.value, e.beside, d.Slots, scratch)
	t.view.Sampled(by[0])
	return err
}

// OtherRow is the value of the label of the row that sums up what a top table's rows leave out. A key of that name has no row
// and is part of the sum.
const OtherRow = "other"

func (t *Top) sample(_ *Desc, span Span, o SampleOptions, emit func(Sample)) {
	if span != LastMinute || t.Total() == 0 || o.Rows == 0 { // keys are not locked in the other spans
		return
	}
	rest := t.Total()
	emitRows(t.Top(nil, o.Rows), rest, emit)
}
