// Package sketch holds bounded summaries of unbounded streams: [Distinct] says how many
// different keys there were, [Frequent] which keys were the heaviest, [Histogram] how values
// are distributed. [DenseHistogram] is the histogram that a packet may touch.
//
// Every kind merges (over minutes, cores, hosts): associative, commutative, and within the
// bound that it states itself. Nothing depends on a clock, on randomness or on the order of a
// map: the same stream gives the same answer and the same bytes everywhere. The zero value of
// every kind is empty and ready.
//
// A sketch copies what it keeps of a key. It is not safe for concurrent use; methods that only
// read (including the argument of Merge) may run at once. Sketches hold no pointers besides a
// few slices, and start tiny. Compact releases the slack of one that will not grow again: it
// may still be read, merged and, at the cost of unpacking, written.
//
// AppendBinary appends a sketch's binary form to a slice, UnmarshalBinary reads it: from a
// hostile peer, too. It returns a [*DecodeError] for anything else than a whole and consistent
// blob and leaves the receiver as it was. Memory is bounded by the blob's own length or by the
// kind's bound, never by a number written in it. docs/sketches.md describes the forms, which
// other DataSketches libraries read and write (Distinct: HLL; Frequent: frequent items).
package sketch

import (
	"math/bits"
	"slices"
)

// DecodeError says why UnmarshalBinary rejected a blob.
type DecodeError struct {
	Kind   string // what was to be read: "distinct", "frequent" or "histogram"
	Reason string // what is wrong with it
}

// Error implements error.
func (e *DecodeError) Error() string { return "sketch: " + e.Kind + ": " + e.Reason }

// Reasons that several kinds give.
const (
	reasonShort    = "cut short"
	reasonTrailing = "bytes after the end"
	reasonHeader   = "unknown format or version"
	reasonCount    = "a count of zero or beyond its range"
)

// addSaturating returns a+b, or the greatest uint64 where that does not fit.
func addSaturating(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return s | -carry
}

// fitted returns a copy of s without spare capacity, so that the original can be freed.
func fitted[T any](s []T) []T {
	if len(s) == 0 {
		return nil // slices.Clone would keep hold of the array
	}
	return slices.Clone(s)
}
