package metric

import (
	"reflect"

	"pktvisor/sketch"
)

// Kind is how a metric is measured, merged and shown. Each kind is one file of this package. The other files walk the
// table and call the kind. To add a kind, write such a file and add the kind to [Kinds].
type Kind struct {
	// name is the kind's name in the documentation. about is the rest of a Markdown sentence that begins with the name.
	name, about string
	// wire is the kind's code in a snapshot. It is part of the format and never changes.
	wire byte
	// beside is the code of more bytes about a value, which are beside it under the same path, or 0. An older reader skips
	// them.
	beside byte
	// scaled is the code of what a value of a sample stands for, under the same path, or 0.
	scaled byte
	// each is the code of what a message of a sample stands for at most, under the same path, or 0: see each.go.
	each byte
	// typ is the type of a field of the kind. A pointer to such a field is a value.
	typ reflect.Type
	// maxSlots is the most slots of a value that is a table of keys. It is 0 for the other kinds.
	maxSlots int
	// sinceStart says that the window also keeps the sum of the values of all buckets since the start of the process.
	sinceStart bool
	// shown returns the name of one metric's kind for the documentation. If shown is nil, the name is used.
	shown func(d *Desc) string
	// members returns the JSON members that print a metric. families returns its Prometheus families.
	members  func(d *Desc) []Member
	families func(d *Desc) []Family
	// memory returns the maximum memory of a value in bytes, in a bucket that is being filled, and in a sealed bucket whose top
	// tables keep the given number of slots. Without it, a value takes at most 1 KiB.
	memory func(d *Desc, slots int) (open, sealed int64)
	// stats are the numbers that a chart of the metric over time shows. A kind whose values are no numbers has none.
	stats []Stat
}

// Kinds returns all kinds, in the order of the documentation.
func Kinds() []*Kind {
	return []*Kind{KindCounter, KindGauge, KindRate, KindHistogram, KindCardinality, KindTop, KindDistinct, KindAmplification}
}

// PerKey reports whether a value of the kind is a table of keys.
func (k *Kind) PerKey() bool { return k.maxSlots > 0 }

// String returns the kind's name in the documentation.
func (k *Kind) String() string { return k.name }

// kindOf returns the kind whose fields have the given type, or nil.
func kindOf(typ reflect.Type) *Kind {
	if typ == reflect.TypeFor[uint64]() {
		return KindCounter
	}
	for _, k := range Kinds() {
		if k.typ == typ {
			return k
		}
	}
	return nil
}

// value is the value of a metric in a section. Its zero value is empty. Methods that take another value require one of
// the same kind, and do not change it.
type value interface {
	// init prepares an empty value of the metric d.
	init(d *Desc)
	// reset empties the value. It may keep memory for what comes next.
	reset()
	// disable makes an empty value ignore everything that is added to it.
	disable()
	// merge adds the value of another shard or host.
	merge(o value)
	// precede adds the values that were counted before, newest first. Together they cover the seconds from start to end
	// (Unix time). end is the start of this value's bucket.
	precede(older []earlier, start, end int64)
	// seal completes the value of a bucket from start to end. It frees memory that is no longer needed, and keeps at
	// most slots slots of a sketch, a power of two.
	seal(start, end int64, slots int)
	// idle reports whether nothing was counted for the metric d.
	idle(d *Desc) bool
	// appendJSON writes the members of the metric d.
	appendJSON(w *writer, d *Desc, name string)
	// appendBinary appends to e the value of the metric d in a bucket that begins at start. It appends nothing for an empty
	// value.
	appendBinary(e *encoded, d *Desc, start int64, o SnapshotOptions)
	// readBinary replaces an empty value with the one that appendBinary wrote for a bucket from start to end.
	readBinary(e encoded, start, end int64) error
	// borrow is like readBinary, but it replaces any value of the metric d that it has read before, and reuses its memory.
	// If e has no value, it is empty then. It may refer to e, and is only good to be merged into others.
	borrow(e encoded, d *Desc, start, end int64, scratch *sketch.Scratch) error
	// sample calls emit with the samples of the metric d's families that have the given span. It does not set Sample.Metric;
	// its caller does.
	sample(d *Desc, span Span, o SampleOptions, emit func(Sample))
}

// encoded is a value in the form of a snapshot: the bytes of its kind, those beside them, and those of what it stands for, if it
// was sampled by address pairs, and what a message stands for, if it was sampled by messages. The bytes are nil if there are none.
type encoded struct{ value, beside, scaled, each []byte }

// earlier is a value that was counted before another one. Its seconds are shifted by shift when they are added.
type earlier struct {
	value
	shift int64
}

// mergeAll implements precede for kinds whose values simply add up over time.
func mergeAll(v value, older []earlier) {
	for _, o := range older {
		v.merge(o.value)
	}
}
