package metric

import (
	"errors"
	"reflect"

	"pktvisor/sketch"
)

// Cardinality counts distinct keys (see [sketch.Distinct]).
type Cardinality struct {
	sketch.Distinct
	off bool
}

// KindCardinality is the kind of [Cardinality].
var KindCardinality = &Kind{
	name: "cardinality", wire: 4, typ: reflect.TypeFor[Cardinality](),
	about: "is an estimate of the number of distinct keys. `NAME_error` beside it is half the width of the 95% interval\n" +
		"  as a share of the estimate. It is 0 if the number is exact.",
	memory: func(*Desc, int) (open, sealed int64) { return 20 << 10, 20 << 10 },
	members: func(d *Desc) []Member {
		name := d.leaf()
		return []Member{
			{Name: name, Ref: "Cardinality", Help: d.Help, Unit: d.Unit.Name},
			{Name: name + errorSuffix, Ref: "RelativeError", Help: "Half the width of the 95% interval of " + name + ", as a share of it. 0 if it is exact.", Unit: "ratio"},
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

// Merge adds the keys of o.
func (c *Cardinality) Merge(o *Cardinality) {
	if !c.off {
		c.Distinct.Merge(&o.Distinct)
	}
}

func (c *Cardinality) init(*Desc) {}
func (c *Cardinality) disable()   { c.off = true }

func (c *Cardinality) merge(o value)                       { c.Merge(o.(*Cardinality)) }
func (c *Cardinality) precede(older []earlier, _, _ int64) { mergeAll(c, older) }
func (c *Cardinality) seal(_, _ int64, _ int)              { c.Compact() }
func (c *Cardinality) idle(*Desc) bool                     { return c.Estimate() == 0 }

func (c *Cardinality) appendJSON(w *writer, _ *Desc, name string) {
	w.uint(name, uint64(c.Estimate()+0.5))
	w.float(name+errorSuffix, c.RelativeError())
}

func (c *Cardinality) appendBinary(dst []byte, _ *Desc, _ int64, _ SnapshotOptions) []byte {
	if c.Estimate() > 0 {
		dst = c.AppendBinary(dst)
	}
	return dst
}

// precision is log2 of the number of registers of a cardinality's sketch, read from its place in the binary form.
var precision = sketch.NewDistinct().AppendBinary(nil)[3]

func (c *Cardinality) readBinary(data []byte, _, _ int64) error {
	// Merging with a lower precision would lower that of the merge. No host may do that to the others.
	if len(data) > 3 && data[3] < precision {
		return errors.New("the precision is too low")
	}
	if err := c.UnmarshalBinary(data); err != nil {
		return err
	}
	c.Compact()
	return nil
}

func (c *Cardinality) sample(span Span, _ SampleOptions, emit func(Sample)) {
	if span == LastMinute {
		emit(Sample{Value: c.Estimate()})
		emit(Sample{Family: 1, Value: c.RelativeError()})
	}
}
