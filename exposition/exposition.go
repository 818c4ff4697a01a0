// Package exposition writes metrics in the formats that Prometheus reads: its text format 0.0.4, OpenMetrics text 1.0, and
// delimited Protocol Buffers (io.prometheus.client.MetricFamily), which also carry native histograms.
//
// An [Encoder] appends families to a byte slice. It keeps nothing else, needs no registry and starts nothing. The caller gives
// the samples of a family one after the other, each with labels of its own, and each family once. [AppendProcess] appends the
// metrics about the Go runtime and the process, under the names of Prometheus' own library.
//
// The package does not know metric tables or windows. It was written because the library for this costs a stripped program
// 2.6 MB and a scrape thirty times its CPU: see docs/decisions/0052.
package exposition

import (
	"strings"
	"time"
)

// Type is the type of a family.
type Type uint8

// The types, with the numbers of the protocol.
const (
	Counter Type = iota
	Gauge
	Summary
	_ // untyped
	Histogram
)

// String returns the type as the text formats write it.
func (t Type) String() string {
	return [...]string{"counter", "gauge", "summary", "untyped", "histogram"}[t]
}

// Label is a label of a sample. Bytes that are not UTF-8 are replaced when it is written.
type Label struct{ Name, Value string }

// Family is what the samples of one name have in common. Make one with [NewFamily].
type Family struct {
	name, help string
	typ        Type
	base       string          // the name in OpenMetrics: without the suffix of a counter
	unknown    bool            // OpenMetrics does not get the type
	head       [formats][]byte // what comes before the samples
}

// total is the suffix of each counter's name.
const total = "_total"

// units are the base units that OpenMetrics states where a name ends in one.
var units = [...]string{"seconds", "bytes", "bits", "ratio"}

// NewFamily makes a family. The name must be one that Prometheus accepts; that of a counter ends in _total. A name that ends in
// a base unit has that unit.
func NewFamily(name, help string, typ Type) *Family {
	f := &Family{name: name, help: strings.ToValidUTF8(help, "\ufffd"), typ: typ, base: name}
	if typ == Counter {
		f.base = strings.TrimSuffix(name, total)
	}
	f.head[Text] = f.textHead()
	f.head[OpenMetrics] = f.openMetricsHead()
	f.head[Protobuf] = f.protobufHead()
	return f
}

// newUnknown makes a counter whose type OpenMetrics does not get, because there the name without _total is that of another family.
func newUnknown(name, help string) *Family {
	f := NewFamily(name, help, Counter)
	f.base, f.unknown = name, true
	f.head[OpenMetrics] = f.openMetricsHead()
	return f
}

// Name returns the name of the family, including the suffix of a counter.
func (f *Family) Name() string { return f.name }

// Type returns the type.
func (f *Family) Type() Type { return f.typ }

// unit returns the base unit in which the name ends, or "".
func (f *Family) unit() string {
	for _, u := range units {
		if strings.HasSuffix(f.base, "_"+u) {
			return u
		}
	}
	return ""
}

// Distribution is the value of a histogram: classic buckets, and those of a native histogram.
type Distribution struct {
	Count uint64
	Sum   float64
	// Buckets are the classic buckets by ascending bound, without that of +Inf.
	Buckets []Bucket
	// Schema says that a native bucket is 2^(2^-Schema) times as wide as the one before. Zeros are the values that are 0.
	Schema int32
	Zeros  uint64
	// Spans and Deltas are the native buckets: how many in a row have counts, and by how much each count differs from the
	// one before.
	Spans  []Span
	Deltas []int64
}

// Bucket is a classic bucket: the number of values up to and including a bound.
type Bucket struct {
	Bound float64
	Count uint64
}

// Span is a row of native buckets. Offset is the distance from the end of the span before; the first one's is an index.
type Span struct {
	Offset int32
	Length uint32
}

// Quantile is a quantile of a summary, from 0 to 1.
type Quantile struct{ Quantile, Value float64 }

// Series returns how many series a scraper makes at most of a sample: in OpenMetrics text, where each counter, histogram and
// summary also has its time of creation, and the buckets are classic.
func Series(t Type, buckets int) int {
	switch t {
	case Counter:
		return 2
	case Histogram:
		return buckets + 4 // +Inf, sum, count, created
	case Summary:
		return buckets + 3
	}
	return 1
}

// An Encoder appends families in a format. Its zero value is not usable: see [NewEncoder].
type Encoder struct {
	format Format
	dst    []byte
	only   func(name string) bool

	family *Family
	skip   bool
	begun  bool // the head of the family is written
	series int
	open   []byte // the family that is being encoded, without its length; only in Protocol Buffers
	metric []byte // the sample that is being encoded, and a part of it
	part   []byte
}

// NewEncoder returns an encoder that appends to dst. If only is not nil, it reports which families to write.
func NewEncoder(dst []byte, format Format, only func(name string) bool) *Encoder {
	return &Encoder{format: format, dst: dst, only: only}
}

// Family begins a family. A family without samples is not written.
func (e *Encoder) Family(f *Family) {
	e.close()
	e.family, e.begun = f, false
	e.skip = e.only != nil && !e.only(f.name)
}

// Series returns how many series a scraper makes at most of the samples, also of those that were not chosen: see [Series].
func (e *Encoder) Series() int { return e.series }

// Bytes ends the last family and returns everything that was written, with what was there before.
func (e *Encoder) Bytes() []byte {
	e.close()
	return e.dst
}

// Value writes a sample of a counter or gauge. created is when a counter began at 0; a zero time is not written.
func (e *Encoder) Value(v float64, created time.Time, labels ...Label) {
	if !e.begin(0) {
		return
	}
	if e.format == Protobuf {
		e.protobufValue(v, created, labels)
		return
	}
	e.text("", v, labels, Label{})
	if e.family.typ == Counter {
		e.created(created, labels)
	}
}

// Distribution writes a sample of a histogram.
func (e *Encoder) Distribution(d *Distribution, created time.Time, labels ...Label) {
	if !e.begin(len(d.Buckets)) {
		return
	}
	if e.format == Protobuf {
		e.protobufDistribution(d, created, labels)
		return
	}
	for _, b := range d.Buckets {
		e.textBucket(b.Bound, b.Count, labels)
	}
	e.textInf(d.Count, labels)
	e.text("_sum", d.Sum, labels, Label{})
	e.text("_count", float64(d.Count), labels, Label{})
	e.created(created, labels)
}

// Summary writes a sample of a summary.
func (e *Encoder) Summary(count uint64, sum float64, quantiles []Quantile, created time.Time, labels ...Label) {
	if !e.begin(len(quantiles)) {
		return
	}
	if e.format == Protobuf {
		e.protobufSummary(count, sum, quantiles, created, labels)
		return
	}
	for _, q := range quantiles {
		e.text("", q.Value, labels, Label{"quantile", string(e.bound(nil, q.Quantile))})
	}
	e.text("_sum", sum, labels, Label{})
	e.text("_count", float64(count), labels, Label{})
	e.created(created, labels)
}

// begin reports whether to write a sample with this many buckets or quantiles, and writes the head of the family before the first.
func (e *Encoder) begin(buckets int) bool {
	if e.family.unknown {
		e.series++
	} else {
		e.series += Series(e.family.typ, buckets)
	}
	if e.skip {
		return false
	}
	if !e.begun {
		e.begun = true
		if e.format == Protobuf {
			e.open = append(e.open[:0], e.family.head[Protobuf]...)
		} else {
			e.dst = append(e.dst, e.family.head[e.format]...)
		}
	}
	return true
}
