package metric

import (
	"errors"
	"math"
	"math/bits"
	"reflect"

	"pktvisor/sketch"
)

// Cardinality counts distinct keys (see [sketch.Distinct]).
type Cardinality struct {
	sketch.Distinct
	registers int // 0: as many as the sketch has by default
	off       bool
}

// KindCardinality is the kind of [Cardinality].
var KindCardinality = &Kind{
	stats: []Stat{{"estimate", func(s *Section, i int) (float64, bool) { return math.Round(s.Cardinality(i).Estimate()), true }}},

	name: "cardinality", wire: 4, typ: reflect.TypeFor[Cardinality](),
	about: "is an estimate of the number of distinct keys. `NAME_error` beside it is half the width of the 95% interval\n" +
		"  as a share of the estimate. It is 0 if the number is exact.",
	memory: func(d *Desc, _ int) (open, sealed int64) {
		n := 20 << 10
		if d.Registers > 0 {
			n = d.Registers + 4<<10 // with the indexes and coupons that grow to it
		}
		return int64(n), int64(n)
	},
	members: func(d *Desc) []Member {
		name := d.leaf()
		return []Member{
			{Name: name, Ref: "Cardinality", Help: d.Help, Unit: d.Unit.Name},
			{Name: name + errorSuffix, Ref: "RelativeError", Help: "Half the width of the 95% interval of " + name + ", as a share of it. 0 if it is exact.", Unit: "ratio"},
			{Name: name + "_scaled", Ref: "Counter", Help: "What " + name + " of the sample stands for, if each key comes from one address pair.", Unit: d.Unit.Name, Sampled: true},
			{Name: name + "_scaled_lower", Ref: "Counter", Help: "Its lower bound, at 97.5%.", Unit: d.Unit.Name, Sampled: true},
			{Name: name + "_scaled_upper", Ref: "Counter", Help: "Its upper bound, at 97.5%, wherever the keys come from.", Unit: d.Unit.Name, Sampled: true},
		}
	},
	families: func(d *Desc) []Family {
		name := d.promName()
		return []Family{
			{Name: name, Help: "In the newest finished minute. " + d.Help + d.unitHelp(), Type: FamilyGauge, Span: LastMinute},
			{
				Name: name + "_error_ratio", Help: "Half the width of the 95% interval of " + name + ", as a share of it.", Type: FamilyGauge,
				Span: LastMinute, Beside: "Half the width of its 95% interval, as a share of it.",
			},
		}
	},
}

// errorSuffix is the suffix of the member that holds a cardinality's error.
const errorSuffix = "_error"

// Add counts a key.
func (c *Cardinality) Add(key []byte) {
	if !c.off {
		c.Distinct.Add(key)
	}
}

// AddHashed counts keys.
func (c *Cardinality) AddHashed(keys []sketch.Hashed) {
	if !c.off {
		c.Distinct.AddHashed(keys)
	}
}

// AddWords counts keys.
func (c *Cardinality) AddWords(hashes []uint64) {
	if !c.off {
		c.Distinct.AddWords(hashes)
	}
}

// Merge adds the keys of o.
func (c *Cardinality) Merge(o *Cardinality) {
	if !c.off {
		c.Distinct.Merge(&o.Distinct)
	}
}

func (c *Cardinality) init(d *Desc) { c.registers = d.Registers; c.reset() }
func (c *Cardinality) reset()       { c.Distinct = sketch.DistinctOf(c.registers) }
func (c *Cardinality) disable()     { c.off = true }

func (c *Cardinality) merge(o value)                       { c.Merge(o.(*Cardinality)) }
func (c *Cardinality) precede(older []earlier, _, _ int64) { mergeAll(c, older) }
func (c *Cardinality) seal(_, _ int64, _ int)              { c.Compact() }
func (c *Cardinality) idle(*Desc) bool                     { return c.Estimate() == 0 }

func (c *Cardinality) appendJSON(w *writer, d *Desc, name string) {
	n, off := c.Estimate(), c.RelativeError()
	w.uint(name, uint64(n+0.5))
	w.float(name+errorSuffix, off)
	if sc, ok := w.scaleBy(d, 0); ok {
		mean, most := w.section.sampling.factors()
		w.appendDistinct(name+"_", &sc, uint64(n*(1-off)+0.5), uint64(n*(1+off)+0.5), mean, most)
	}
}

func (c *Cardinality) appendBinary(e *encoded, _ *Desc, _ int64, _ SnapshotOptions) {
	if c.Estimate() > 0 {
		e.value = c.AppendBinary(e.value)
	}
}

// emptyCardinality is the binary form of an empty sketch. Its fourth byte is log2 of the number of registers.
var emptyCardinality = sketch.NewDistinct().AppendBinary(nil)

// checkPrecision rejects a lower precision: a merge with it would have it too. No host may do that to the others. registers is their
// number in the declaration, or 0.
func checkPrecision(data []byte, registers int) error {
	least := emptyCardinality[3]
	if registers > 0 {
		least = min(least, byte(bits.Len(uint(registers))-1))
	}
	if len(data) > 3 && data[3] < least {
		return errors.New("the precision is too low")
	}
	return nil
}

func (c *Cardinality) readBinary(e encoded, _, _ int64) error {
	if err := checkPrecision(e.value, c.registers); err != nil {
		return err
	}
	if err := c.UnmarshalBinary(e.value); err != nil {
		return err
	}
	c.Compact()
	return nil
}

func (c *Cardinality) borrow(e encoded, d *Desc, _, _ int64, _ *sketch.Scratch) error {
	if e.value == nil {
		return c.Borrow(emptyCardinality)
	}
	if err := checkPrecision(e.value, d.Registers); err != nil {
		return err
	}
	return c.Borrow(e.value)
}

func (c *Cardinality) sample(_ *Desc, span Span, _ SampleOptions, emit func(Sample)) {
	if span == LastMinute {
		emit(Sample{Value: c.Estimate()})
		emit(Sample{Family: 1, Value: c.RelativeError()})
	}
}
