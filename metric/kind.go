package metric

import "reflect"

// Kind is how a metric is measured, merged and shown. Each kind is one file of this package, which has all that there is
// to know of it; the other files walk the table and ask the kind. To add one is to write such a file and to name it in
// [Kinds].
type Kind struct {
	// name is the kind in the words of the documentation, about a paragraph of it in Markdown.
	name, about string
	// wire is the kind's code in a snapshot. It is part of the format and never changes.
	wire byte
	// typ is the type of a field of the kind. A pointer to it is a value.
	typ reflect.Type
	// sinceStart says that the values of all buckets together, from the start of the process, are kept as well.
	sinceStart bool
	// shown describes one metric of the kind, if the name is not enough.
	shown func(d *Desc) string
	// members are the JSON members that print a metric; families are its Prometheus families.
	members  func(d *Desc) []Member
	families func(d *Desc) []Family
}

// Kinds returns all kinds, in the order of the documentation.
func Kinds() []*Kind {
	return []*Kind{KindCounter, KindGauge, KindRate, KindHistogram, KindCardinality, KindTop}
}

// String is the kind in the words of the documentation.
func (k *Kind) String() string { return k.name }

// kindOf returns the kind whose fields have the given type, or nil.
func kindOf(typ reflect.Type) *Kind {
	for _, k := range Kinds() {
		if k.typ == typ {
			return k
		}
	}
	return nil
}

// value is the value of a metric in a section. Its zero value is empty. The methods that take another value
// take one of the same kind, and leave it as it was.
type value interface {
	// init prepares an empty value of the metric d.
	init(d *Desc)
	// disable makes all that is added to an empty value vanish, at no cost.
	disable()
	// merge adds what somebody else has counted in the same time, or at least beside it: another shard or host.
	merge(o value)
	// precede adds what was counted before, newest first. All of them together begin at the second start (Unix time),
	// and end at the second end, where the value began.
	precede(older []earlier, start, end int64)
	// seal ends the value of a bucket from start to end. It gives back memory that is no longer needed, and keeps no
	// more than slots slots of a sketch, a power of two.
	seal(start, end int64, slots int)
	// idle reports whether nothing was counted of the metric d.
	idle(d *Desc) bool
	// appendJSON writes the members of the metric d.
	appendJSON(w *writer, d *Desc, name string)
	// appendBinary appends the value of the metric d in a bucket that begins at start. It appends nothing for an
	// empty value.
	appendBinary(dst []byte, d *Desc, start int64, o SnapshotOptions) []byte
	// readBinary replaces an empty value by the one that appendBinary wrote for a bucket from start to end.
	readBinary(data []byte, start, end int64) error
	// sample calls emit with the samples of the kind's families that are of the given span. It fills in all but
	// Sample.Metric.
	sample(span Span, o SampleOptions, emit func(Sample))
}

// earlier is a value that was counted before another one. Its seconds are that many seconds later than they say.
type earlier struct {
	value
	shift int64
}

// mergeAll is precede for kinds that need no more than to be added up, whatever the time.
func mergeAll(v value, older []earlier) {
	for _, o := range older {
		v.merge(o.value)
	}
}
