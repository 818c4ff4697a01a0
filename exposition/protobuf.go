package exposition

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Field numbers of metrics.proto (github.com/prometheus/client_model).
const (
	familyName, familyHelp, familyType, familyMetric, familyUnit = 1, 2, 3, 4, 5

	metricLabel, metricGauge, metricCounter, metricSummary, metricHistogram = 1, 2, 3, 4, 7

	labelName, labelValue = 1, 2

	valueNumber, counterCreated = 1, 3

	distributionCount, distributionSum = 1, 2 // also of a summary

	summaryQuantile, summaryCreated = 3, 4
	quantileRank, quantileValue     = 1, 2

	histogramBucket, histogramSchema, histogramZeroThreshold, histogramZeros = 3, 5, 6, 7
	histogramSpan, histogramDelta, histogramCreated                          = 12, 13, 15
	bucketCount, bucketBound                                                 = 1, 2
	spanOffset, spanLength                                                   = 1, 2

	timeSeconds, timeNanos = 1, 2
)

// Wire types.
const (
	varint  = 0
	fixed64 = 1
	length  = 2
)

func appendTag(dst []byte, field, wire int) []byte {
	return binary.AppendUvarint(dst, uint64(field<<3|wire))
}

func appendUint(dst []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(appendTag(dst, field, varint), v)
}

// appendSigned appends a sint32 or sint64, which are in zigzag.
func appendSigned(dst []byte, field int, v int64) []byte {
	return binary.AppendVarint(appendTag(dst, field, varint), v)
}

func appendDouble(dst []byte, field int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, fixed64), math.Float64bits(v))
}

func appendBytes[T string | []byte](dst []byte, field int, v T) []byte {
	return append(binary.AppendUvarint(appendTag(dst, field, length), uint64(len(v))), v...)
}

func (f *Family) protobufHead() []byte {
	b := appendBytes(nil, familyName, f.name)
	b = appendBytes(b, familyHelp, f.help)
	b = appendUint(b, familyType, uint64(f.typ))
	if u := f.unit(); u != "" {
		b = appendBytes(b, familyUnit, u)
	}
	return b
}

// close ends the family that is being written, after which nothing more can be added to it.
func (e *Encoder) close() {
	if e.format == Protobuf && e.begun {
		e.dst = append(binary.AppendUvarint(e.dst, uint64(len(e.open))), e.open...)
	}
	e.begun = false
}

// add appends a sample to the open family: its labels, and its value as a message that is a field of the sample.
func (e *Encoder) add(field int, value []byte, labels []Label) {
	e.metric = e.metric[:0]
	for _, l := range labels {
		v := l.Value
		if !utf8.ValidString(v) {
			v = strings.ToValidUTF8(v, "\ufffd")
		}
		n := sizeOf(l.Name) + sizeOf(v)
		e.metric = binary.AppendUvarint(appendTag(e.metric, metricLabel, length), uint64(n))
		e.metric = appendBytes(appendBytes(e.metric, labelName, l.Name), labelValue, v)
	}
	e.metric = appendBytes(e.metric, field, value)
	e.open = appendBytes(e.open, familyMetric, e.metric)
}

// sizeOf returns the size in bytes of a string as a field with a number below 16.
func sizeOf(s string) int {
	n := 2 + len(s)
	for rest := len(s) >> 7; rest > 0; rest >>= 7 {
		n++
	}
	return n
}

func (e *Encoder) protobufValue(v float64, created time.Time, labels []Label) {
	e.part = appendDouble(e.part[:0], valueNumber, v)
	if e.family.typ == Counter {
		e.part = appendTime(e.part, counterCreated, created)
		e.add(metricCounter, e.part, labels)
		return
	}
	e.add(metricGauge, e.part, labels)
}

func (e *Encoder) protobufSummary(count uint64, sum float64, quantiles []Quantile, created time.Time, labels []Label) {
	b := appendUint(e.part[:0], distributionCount, count)
	b = appendDouble(b, distributionSum, sum)
	for _, q := range quantiles {
		b = append(appendTag(b, summaryQuantile, length), 18) // two doubles with their tags
		b = appendDouble(appendDouble(b, quantileRank, q.Quantile), quantileValue, q.Value)
	}
	e.part = appendTime(b, summaryCreated, created)
	e.add(metricSummary, e.part, labels)
}

func (e *Encoder) protobufDistribution(d *Distribution, created time.Time, labels []Label) {
	b := appendUint(e.part[:0], distributionCount, d.Count)
	b = appendDouble(b, distributionSum, d.Sum)
	for _, c := range d.Buckets {
		var m [2 * binary.MaxVarintLen64]byte
		bucket := appendDouble(appendUint(m[:0], bucketCount, c.Count), bucketBound, c.Bound)
		b = appendBytes(b, histogramBucket, bucket)
	}
	b = appendSigned(b, histogramSchema, int64(d.Schema))
	b = appendDouble(b, histogramZeroThreshold, 0)
	b = appendUint(b, histogramZeros, d.Zeros)
	for _, s := range d.Spans {
		b = appendSpan(b, s)
	}
	if len(d.Spans) == 0 { // an empty span distinguishes an empty native histogram from a classic one
		b = appendSpan(b, Span{})
	}
	for _, v := range d.Deltas {
		b = appendSigned(b, histogramDelta, v)
	}
	e.part = appendTime(b, histogramCreated, created)
	e.add(metricHistogram, e.part, labels)
}

func appendSpan(dst []byte, s Span) []byte {
	var m [2 * (1 + binary.MaxVarintLen32)]byte
	return appendBytes(dst, histogramSpan, appendUint(appendSigned(m[:0], spanOffset, int64(s.Offset)), spanLength, uint64(s.Length)))
}

// appendTime appends a google.protobuf.Timestamp, unless the time is zero.
func appendTime(dst []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	var m [2 * (1 + binary.MaxVarintLen64)]byte
	at := appendUint(m[:0], timeSeconds, uint64(t.Unix()))
	return appendBytes(dst, field, appendUint(at, timeNanos, uint64(t.Nanosecond())))
}
