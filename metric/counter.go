package metric

import (
	"encoding/binary"
	"errors"
	"reflect"

	"pktvisor/sketch"
)

// Counter is a number that only grows. A field of type uint64 is also a counter.
type Counter uint64

// KindCounter is the kind of [Counter].
var KindCounter = &Kind{
	stats: []Stat{{"count", func(s *Section, i int) (float64, bool) { return float64(s.Counter(i)), true }}},

	name: "counter", wire: 1, beside: 12, typ: reflect.TypeFor[Counter](), sinceStart: true,
	about: `is exact. In JSON it covers one minute or window. In Prometheus it grows from the start of the process.`,
	members: func(d *Desc) []Member {
		return []Member{{Name: d.leaf(), Ref: "Counter", Help: d.Help, Unit: d.Unit.Name}}
	},
	families: func(d *Desc) []Family {
		return []Family{{Name: d.promCounter(), Help: d.Help + d.unitHelp(), Type: FamilyCounter, Span: SinceStart}}
	},
}

func (c *Counter) init(*Desc) {}
func (c *Counter) reset()     { *c = 0 }
func (c *Counter) disable()   {} // nothing reads it

func (c *Counter) merge(o value)                           { *c += *o.(*Counter) }
func (c *Counter) precede(older []earlier, _, _ int64)     { mergeAll(c, older) }
func (c *Counter) seal(_, _ int64, _ int)                  {}
func (c *Counter) idle(*Desc) bool                         { return *c == 0 }
func (c *Counter) appendJSON(w *writer, _ *Desc, n string) { w.uint(n, uint64(*c)) }

func (c *Counter) appendBinary(e *encoded, _ *Desc, _ int64, _ SnapshotOptions) {
	if *c > 0 {
		e.value = binary.AppendUvarint(e.value, uint64(*c))
	}
}

func (c *Counter) borrow(e encoded, _ *Desc, start, end int64, _ *sketch.Scratch) error {
	if e.value == nil {
		*c = 0
		return nil
	}
	return c.readBinary(e, start, end)
}

func (c *Counter) readBinary(e encoded, _, _ int64) error {
	in := cursor{b: e.value}
	if !in.uvarint((*uint64)(c)) || len(in.b) > 0 {
		return errors.New("want exactly one number")
	}
	return nil
}

func (c *Counter) sample(_ *Desc, span Span, _ SampleOptions, emit func(Sample)) {
	if span == SinceStart {
		emit(Sample{Value: float64(*c)})
	}
}
