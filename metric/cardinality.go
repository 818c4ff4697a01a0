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
	about: "is how many distinct keys there were; beside it, `NAME_error` is half the width of the 95% interval\n" +
		"  as a share of the estimate: 0 where the number is exact.",
	members: func(d *Desc) []Member {
		name := d.leaf()
		return []Member{
			{Name: name, Ref: "Cardinality", Help: d.Help, Unit: d.Unit.Name},
			{Name: name + errorSuffix, Ref: "RelativeError", Help: "Half the width of the 95% interval of " + name + ", as a share of it; 0 where it is exact.", Unit: "ratio"},
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

// errorSuffix makes the name of the member that has a cardinality's error.
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

// precision is log2 of the registers of a cardinality's sketch, at the place where its binary form
// has it.
var precision = sketch.NewDistinct().AppendBinary(nil)[3]

func (c *Cardinality) readBinary(data []byte, _, _ int64) error {
	// Merging with a lesser precision lowers that of the merge: no host may do that to the others.
	if len(data) > 3 && data[3] < precision {
		return errors.New("less precise than it must be")
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
