package metric

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"pktvisor/sketch"
)

// Amplification finds the keys with the most bytes of responses, and compares these with the bytes of their queries (see
// [sketch.Amplification]).
type Amplification struct {
	*sketch.Amplification
	off  bool
	view *sketch.Amplification // what is merged into others instead, after borrow

	scaling scaling // of the bytes of responses
	slots   int
}

// MinHint is the number of queries over UDP, or of truncated responses, from which a row has hints. Fewer may have one port or
// one TTL by chance.
const MinHint = 16

// KindAmplification is the kind of [Amplification].
var KindAmplification = &Kind{
	name: "amplification", wire: 10, beside: 11, scaled: 13, each: 14, typ: reflect.TypeFor[Amplification](), maxSlots: 1 << 20,
	about: "table has the ten keys with the most bytes of responses. `queries_bytes` are the bytes of their queries, and `ratio` is the\n" +
		"  least that the quotient can be. A key without queries has no ratio. If a key may have had more, `lower` and `upper`, `queries_upper` and\n" +
		"  `ratio_upper` are the bounds. `hints` say what all queries that were counted have in common, if there are 16 or more: `one_port`, `one_ttl`,\n" +
		"  and `no_tcp_retry` after 16 or more truncated responses. A busy minute counts a sample of the messages; then each bound\n" +
		"  holds with a chance of 97.5%. Otherwise, a table is exact up to the number of distinct keys a minute given here.",
	shown: func(d *Desc) string { return fmt.Sprintf("amplification, exact up to %d", d.ExactKeys()) },
	members: func(d *Desc) []Member {
		help := fmt.Sprintf("%s Exact up to %d keys a minute.", d.Help, d.ExactKeys())
		return []Member{{Name: d.leaf(), Ref: "Amplification", Help: help, Unit: d.Unit.Name}}
	},
	memory: func(d *Desc, slots int) (open, sealed int64) {
		open, sealed = KindTop.memory(d, slots)
		const row = 32 * 3 / 4 // in bytes for each slot
		return open + row*int64(d.Slots), sealed + row*int64(min(d.Slots, slots))
	},
	families: func(d *Desc) []Family {
		return []Family{
			{
				Name: d.promName("bytes"), Help: "Lower bounds for the newest finished minute. " + d.Help + " Unit: bytes of responses. The row \"other\" sums up the rest.",
				Type: FamilyGauge, Label: d.Label, Span: LastMinute,
			},
			{
				Name: d.promName("queries", "bytes"), Help: "Bytes of the queries of the same rows, lower bounds.", Beside: "Bytes of the queries of the same rows.",
				Type: FamilyGauge, Label: d.Label, Span: LastMinute,
			},
		}
	},
}

// AddPrepared calls [sketch.Amplification.AddPrepared].
func (t *Amplification) AddPrepared(p sketch.Prepared, responses uint64, asked *sketch.Asked) {
	if !t.off {
		t.Amplification.AddPrepared(p, responses, asked)
		if t.scaling.whole != nil {
			t.scaling.whole.AddPrepared(p, t.scaling.weight(responses))
		}
	}
}

// Shed calls [sketch.Amplification.Shed]. If the table is switched off, its result does not matter.
func (t *Amplification) Shed(responses []uint64, queries func(i int) uint64) sketch.AmplificationSieve {
	if t.off {
		return sketch.AmplificationSieve{}
	}
	total, most := t.Total(), t.MaxError()
	sieve := t.Amplification.Shed(responses, queries)
	t.scaling.lose(t.Total()-total, t.MaxError()-most)
	return sieve
}

// Sampled calls [sketch.Amplification.Sampled].
func (t *Amplification) Sampled(responses, queries sketch.Thinning) {
	if !t.off {
		t.Amplification.Sampled(responses, queries)
		t.scaling.sampled(responses)
	}
}

// Merge adds the keys of o.
func (t *Amplification) Merge(o *Amplification) {
	if t.off {
		return
	}
	from := o.Amplification
	if o.view != nil {
		from = o.view
	}
	t.scaling.merge(&o.scaling, t.Total(), from.Total(), t.Responses, from.Responses)
	t.Amplification.Merge(from)
}

func (t *Amplification) init(d *Desc) {
	t.Amplification, t.slots = sketch.NewAmplification(d.Slots), d.Slots
}
func (t *Amplification) reset() { t.Amplification.Reset(); t.scaling = scaling{} }

func (t *Amplification) setFactor(factor float64)    { t.scaling.set(factor, t.Total(), t.Responses) }
func (t *Amplification) assumeFactor(factor float64) { t.scaling.factor = factor }
func (t *Amplification) sampledKeys() bool           { return true }

func (t *Amplification) disable() {
	t.Amplification, t.off = sketch.NewAmplification(minSlots), true
}

func (t *Amplification) merge(o value)                       { t.Merge(o.(*Amplification)) }
func (t *Amplification) precede(older []earlier, _, _ int64) { mergeAll(t, older) }
func (t *Amplification) idle(*Desc) bool                     { return t.Len() == 0 && t.Total() == 0 }

func (t *Amplification) seal(_, _ int64, slots int) {
	t.Trim(slots / 4 * 3)
	t.scaling.trim(slots / 4 * 3)
}

func (t *Amplification) appendJSON(w *writer, d *Desc, name string) {
	c, sampled := w.scaleBy(d, t.scaling.total(t.Total()))
	w.name(name)
	w.b = append(w.b, '[')
	for i, row := range t.Top(nil, w.o.Rows) {
		if row.Lower == 0 { // only queries
			break
		}
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.appendAmplification(&row)
		if sampled {
			low, high := t.scaling.bounds(row.Key, row.Lower, row.Upper)
			w.appendScaled(&c, row.Lower, row.Upper, low, high)
		}
		w.close()
	}
	w.b = append(w.b, ']')
}

// appendAmplification opens the object of a row, and writes its members.
func (w *writer) appendAmplification(row *sketch.AmplificationRow) {
	w.b = append(w.b, '{')
	w.name("name")
	w.string(row.Key)
	w.uint("estimate", row.Lower)
	exact := row.Upper == row.Lower && row.QueriesUpper == row.Bytes
	if row.Upper != row.Lower {
		w.uint("lower", row.Lower)
		w.uint("upper", row.Upper)
	}
	w.uint("queries_bytes", row.Bytes)
	if row.QueriesUpper != row.Bytes {
		w.uint("queries_upper", row.QueriesUpper)
	}
	if row.QueriesUpper > 0 {
		w.float("ratio", float64(row.Lower)/float64(row.QueriesUpper))
	}
	if !exact && row.Bytes > 0 {
		w.float("ratio_upper", float64(row.Upper)/float64(row.Bytes))
	}
	if hints := Hints(&row.Asked); len(hints) > 0 {
		w.name("hints")
		w.b = append(w.b, `["`+strings.Join(hints, `","`)+`"]`...)
	}
}

// Hints returns what all queries of a row have in common that speaks for forged senders: one_port, one_ttl, no_tcp_retry.
func Hints(a *sketch.Asked) (hints []string) {
	if a.Queries >= MinHint {
		if a.Flags&sketch.PortsDiffer == 0 {
			hints = append(hints, "one_port")
		}
		if a.Flags&sketch.TTLsDiffer == 0 && a.TTL != 0 {
			hints = append(hints, "one_ttl")
		}
	}
	if a.Truncated >= MinHint && a.Flags&sketch.AskedTCP == 0 {
		hints = append(hints, "no_tcp_retry")
	}
	return hints
}

func (t *Amplification) appendBinary(e *encoded, d *Desc, _ int64, o SnapshotOptions) {
	if t.idle(d) {
		return
	}
	few := t.trimmed(d.Slots, o)
	e.value, e.beside = few.AppendBinary(e.value), few.AppendQueries(e.beside)
	if o.mixed || t.scaling.whole != nil {
		e.scaled = t.scaling.appendBinary(e.scaled, few.Len(), few.Responses(), &o)
	}
	responses, queries := t.SampledBy()
	e.each = appendThinnings(e.each, responses, queries, t.scaling.thinning(responses))
}

// trimmed returns a sketch with only the keys that a snapshot keeps, as for a top table: that of the table itself, or a copy. Keys
// without responses stay as long as there is space and nothing is noise.
func (t *Amplification) trimmed(slots int, o SnapshotOptions) *sketch.Amplification {
	if o.TopKeys < 0 {
		return t.Amplification
	}
	keys := cmp.Or(o.TopKeys, DefaultTopKeys)
	keys = max(min(keys*slots/defaultSlots, keys), keys/4)
	noise := t.Total() / cmp.Or(o.NoiseShare, noiseShare)
	n, size := 0, 0
	for key, weight := range t.All() {
		if weight > noise || noise == 0 {
			n++
			size += len(key)
		}
	}
	few := t.Amplification
	if n = min(n, keys); n < few.Len() {
		few = few.Trimmed(n)
		size = few.KeyBytes()
	}
	for ; size > keys*meanKeyLen; size = few.KeyBytes() {
		n = min(n-1, n*keys*meanKeyLen/size)
		few = few.Trimmed(n)
	}
	return few
}

func (t *Amplification) readBinary(e encoded, _, _ int64) error {
	if err := t.UnmarshalBinary(e.value, e.beside); err != nil {
		return err
	}
	by, err := readThinnings(e.each, 3)
	if err != nil {
		return err
	}
	t.Amplification.Sampled(by[0], by[1])
	t.Compact()
	return t.scaling.readBinary(e.scaled, t.slots, by[2])
}

func (t *Amplification) borrow(e encoded, d *Desc, _, _ int64, _ *sketch.Scratch) error {
	if t.view == nil {
		t.view = sketch.NewAmplification(d.Slots)
	}
	by, err := readThinnings(e.each, 3)
	if err != nil {
		return err
	}
	if err := t.scaling.readBinary(e.scaled, d.Slots, by[2]); err != nil {
		return err
	}
	if e.value == nil {
		t.view.Reset()
		return nil
	}
	err = t.view.Load(e.value, e.beside)
	t.view.Sampled(by[0], by[1])
	return err
}

func (t *Amplification) sample(_ *Desc, span Span, o SampleOptions, emit func(Sample)) {
	if span != LastMinute || t.Total() == 0 || o.Rows == 0 { // keys are not locked in the other spans
		return
	}
	rest := t.Total()
	seen := map[string]bool{OtherRow: true}
	for _, row := range t.Top(nil, o.Rows) {
		name := strings.ToValidUTF8(row.Key, "\ufffd")
		if seen[name] || row.Lower == 0 {
			continue
		}
		seen[name] = true
		emit(Sample{Value: float64(row.Lower), Label: name})
		emit(Sample{Family: 1, Value: float64(row.Bytes), Label: name})
		rest -= min(rest, row.Lower)
	}
	emit(Sample{Value: float64(rest), Label: OtherRow})
}
