package metric

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"pktvisor/sketch"
)

// Distinct finds the keys with the most distinct items (see [sketch.Spread]).
type Distinct struct {
	*sketch.Spread
	off  bool
	view *sketch.SpreadView // what is merged into others instead, after borrow
}

// KindDistinct is the kind of [Distinct].
var KindDistinct = &Kind{
	name: "distinct", wire: 8, typ: reflect.TypeFor[Distinct](), maxSlots: 1 << 15,
	about: "table has the ten keys with the most distinct items. What several hosts or minutes saw counts once.\n" +
		"  `estimate` is the lower bound of a sample. If the sample does not have all items, `lower` and `upper` are the bounds, each of which\n" +
		"  holds with a chance of 97.5%. A client has at most as many names as queries. A table is exact up to the number of distinct pairs of a key and an item a minute given here.",
	shown: func(d *Desc) string { return fmt.Sprintf("distinct, exact up to %d", d.ExactKeys()) },
	members: func(d *Desc) []Member {
		help := fmt.Sprintf("%s Exact up to %d pairs of a key and an item a minute.", d.Help, d.ExactKeys())
		return []Member{{Name: d.leaf(), Ref: "Top", Help: help, Unit: d.Unit.Name}}
	},
	memory: func(d *Desc, slots int) (open, sealed int64) {
		const ( // in bytes for each slot
			pair  = 2 * 12 // twice: a table that lowers its thresholds needs a second array
			index = 2 * 2 * 4
			key   = 24
			text  = 32 // on average over a table; the sketch enforces it
		)
		all, kept := int64(d.Slots), int64(min(d.Slots, slots))
		return all * (pair + index + key + text), kept / 4 * 3 * (pair/2 + key + text)
	},
	families: func(d *Desc) []Family {
		return []Family{{
			Name: d.promName(), Help: "Lower bounds for the newest finished minute. " + d.Help + d.unitHelp() + " The row \"other\" estimates the rest.",
			Type: FamilyGauge, Label: d.Label, Span: LastMinute,
		}}
	},
}

// Add adds an item to a key: see [sketch.Spread.Add].
func (t *Distinct) Add(key []byte, item uint64, weight uint32) {
	if !t.off {
		t.Spread.Add(key, item, weight)
	}
}

// AddPair calls [sketch.Spread.AddPair].
func (t *Distinct) AddPair(key []byte, hash, weight uint32) {
	if !t.off {
		t.Spread.AddPair(key, hash, weight)
	}
}

// AddLimited calls [sketch.Spread.AddLimited]. If the table is switched off, the bound does not matter.
func (t *Distinct) AddLimited(key []byte, hash uint32) (bound uint64) {
	if t.off {
		return 1
	}
	return t.Spread.AddLimited(key, hash)
}

// Pass calls [sketch.Spread.Pass].
func (t *Distinct) Pass(weight uint64) {
	if !t.off {
		t.Spread.Pass(weight)
	}
}

// Threshold calls [sketch.Spread.Threshold]. If the table is switched off, it is 0: no item is below it.
func (t *Distinct) Threshold() uint64 {
	if t.off {
		return 0
	}
	return t.Spread.Threshold()
}

// Limit calls [sketch.Spread.Limit]. If the table is switched off, it is 0.
func (t *Distinct) Limit(key []byte) uint64 {
	if t.off {
		return 0
	}
	return t.Spread.Limit(key)
}

// Merge adds the items of o.
func (t *Distinct) Merge(o *Distinct) {
	switch {
	case t.off:
	case o.view != nil:
		t.Spread.MergeView(o.view)
	default:
		t.Spread.Merge(o.Spread)
	}
}

func (t *Distinct) init(d *Desc) { t.Spread = sketch.NewSpread(d.Slots) }
func (t *Distinct) reset()       { t.Spread.Reset() }
func (t *Distinct) disable()     { t.Spread, t.off = new(sketch.Spread), true }

func (t *Distinct) merge(o value)                       { t.Merge(o.(*Distinct)) }
func (t *Distinct) precede(older []earlier, _, _ int64) { mergeAll(t, older) }
func (t *Distinct) idle(*Desc) bool                     { return t.Added() == 0 }

func (t *Distinct) seal(_, _ int64, slots int) {
	n := min(slots/4*3, t.Capacity())
	t.Trim(n, n*keyBytesPerPair)
	t.Compact()
}

const (
	// keyBytesPerPair bounds the bytes of keys in a sealed minute and in a snapshot, for each pair that it may keep.
	keyBytesPerPair = 32
	// slotsPerPair is how many slots a table has for each pair that a snapshot keeps by default.
	slotsPerPair = 16
)

// appendJSON writes the keys with the most distinct items. If an item comes from many address pairs, one of them is likely in the
// sample, so what a row of the sample stands for is between its estimate and its bound.
func (t *Distinct) appendJSON(w *writer, d *Desc, name string) {
	w.rows = t.topWithin(w.rows[:0], w.o.Rows, w.section.within(d))
	var scaled func(row *sketch.Row)
	if c, ok := w.scaleBy(d, 0); ok {
		mean, most := w.section.sampling.factors()
		scaled = func(row *sketch.Row) { w.appendDistinct("", &c, row.Lower, row.Upper, mean, most) }
	}
	w.appendRows(name, scaled)
}

// appendBinary keeps 512 pairs of a table with 8192 slots, or as many more or less as the options keep keys of a top table.
func (t *Distinct) appendBinary(e *encoded, d *Desc, _ int64, o SnapshotOptions) {
	if t.Added() == 0 {
		return
	}
	few := t.Spread
	if o.TopKeys >= 0 {
		n := max(d.Slots/slotsPerPair*cmp.Or(o.TopKeys, DefaultTopKeys)/DefaultTopKeys, 1)
		few = few.Trimmed(n, n*keyBytesPerPair)
	}
	e.value = few.AppendBinary(e.value)
}

func (t *Distinct) readBinary(e encoded, _, _ int64) error {
	if err := t.UnmarshalBinary(e.value); err != nil {
		return err
	}
	t.Compact()
	return nil
}

// emptyDistinct is the binary form of an empty sketch.
var emptyDistinct = new(sketch.Spread).AppendBinary(nil)

func (t *Distinct) borrow(e encoded, d *Desc, _, _ int64, scratch *sketch.Scratch) error {
	if t.view == nil {
		t.view = new(sketch.SpreadView)
	}
	if e.value == nil {
		e.value = emptyDistinct
	}
	return t.view.Open(e.value, d.Slots, scratch)
}

func (t *Distinct) sample(_ *Desc, span Span, o SampleOptions, emit func(Sample)) {
	if span != LastMinute || t.Added() == 0 || o.Rows == 0 {
		return
	}
	emitRows(t.topWithin(nil, o.Rows, o.within), uint64(t.Estimate()+0.5), emit)
}

// emitRows emits a sample for each row, and one for the rest of the total.
func emitRows(rows []sketch.Row, rest uint64, emit func(Sample)) {
	seen := map[string]bool{OtherRow: true}
	for _, row := range rows {
		name := strings.ToValidUTF8(row.Key, "\ufffd")
		if seen[name] {
			continue
		}
		seen[name] = true
		emit(Sample{Value: float64(row.Lower), Label: name})
		rest -= min(rest, row.Lower)
	}
	emit(Sample{Value: float64(rest), Label: OtherRow})
}
