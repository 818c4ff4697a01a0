package metric

import (
	"encoding/binary"
	"errors"
	"reflect"

	"pktvisor/sketch"
)

// Gauge is a state, for example how many queries wait for their response. It may be negative.
//
// Each flush of a shard adds the change of the shard's part of the state since the last flush, so that the parts of all
// shards add up. In a bucket that is being filled, the gauge is therefore a change. The sum over all buckets since the
// start is the present state. When a bucket is sealed, its gauge is set to the state at the bucket's end (see
// [Bucket.SetGauges]).
//
// A merge over hosts adds their states. A merge over time keeps the newest state. A minute that the clock has skipped
// has no state, and its gauges are 0.
type Gauge int64

// KindGauge is the kind of [Gauge].
var KindGauge = &Kind{
	stats: []Stat{{"value", func(s *Section, i int) (float64, bool) { return float64(s.Gauge(i)), true }}},

	name: "gauge", wire: 6, typ: reflect.TypeFor[Gauge](), sinceStart: true,
	about: "is a state. Minutes and windows have the state at their end, `/api/v1/metrics/app` and Prometheus the present one. A gauge\n" +
		"  that is marked *now* has only the present state.",
	shown: func(d *Desc) string {
		if d.ShowNow {
			return "gauge, now"
		}
		return "gauge"
	},
	members: func(d *Desc) []Member {
		return []Member{{Name: d.leaf(), Ref: "Gauge", Help: d.Help, Unit: d.Unit.Name}}
	},
	families: func(d *Desc) []Family {
		return []Family{{Name: d.promName(), Help: d.Help, Type: FamilyGauge, Span: SinceStart}}
	},
}

func (g *Gauge) init(*Desc) {}
func (g *Gauge) reset()     { *g = 0 }
func (g *Gauge) disable()   {} // nothing reads it

func (g *Gauge) merge(o value)                           { *g += *o.(*Gauge) }
func (g *Gauge) precede([]earlier, int64, int64)         {} // this one is the newest
func (g *Gauge) seal(_, _ int64, _ int)                  {}
func (g *Gauge) idle(d *Desc) bool                       { return *g == 0 || d.ShowNow }
func (g *Gauge) appendJSON(w *writer, _ *Desc, n string) { w.int(n, int64(*g)) }

func (g *Gauge) appendBinary(e *encoded, d *Desc, _ int64, _ SnapshotOptions) {
	if *g != 0 && !d.ShowNow {
		e.value = binary.AppendVarint(e.value, int64(*g))
	}
}

func (g *Gauge) borrow(e encoded, _ *Desc, start, end int64, _ *sketch.Scratch) error {
	if e.value == nil {
		*g = 0
		return nil
	}
	return g.readBinary(e, start, end)
}

func (g *Gauge) readBinary(e encoded, _, _ int64) error {
	in := cursor{b: e.value}
	if !in.varint((*int64)(g)) || len(in.b) > 0 {
		return errors.New("want exactly one number")
	}
	return nil
}

func (g *Gauge) sample(_ *Desc, span Span, _ SampleOptions, emit func(Sample)) {
	if span == SinceStart {
		emit(Sample{Value: float64(*g)})
	}
}

// SetGauges sets each gauge of b to the sum over parts. Each part is nil or a bucket of the same tables; b may be one
// of them. A window uses it to turn the changes in all buckets up to the end of b into the state at that time.
func (b *Bucket) SetGauges(parts ...*Bucket) {
	for i, s := range b.Sections {
		for _, k := range s.Table.gauges {
			sum := Gauge(0)
			for _, part := range parts {
				if part != nil {
					sum += *At[Gauge](part.Sections[i], k)
				}
			}
			*At[Gauge](s, k) = sum
		}
	}
}

// Gauge returns the value of the gauge that is metric i of the table.
func (s *Section) Gauge(i int) int64 { return int64(*At[Gauge](s, i)) }

// AppendState appends to a JSON object that is open at the end of dst one member for each section with gauges: the
// gauges, under the section's name. To get the present state, b must be the totals of a window.
func (b *Bucket) AppendState(dst []byte) []byte {
	w := writer{b: dst}
	for _, s := range b.Sections {
		if len(s.Table.gauges) > 0 {
			w.open(s.Table.Section)
			w.members(s, s.Table.state)
			w.close()
		}
	}
	return w.b
}
