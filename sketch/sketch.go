// Package sketch holds bounded summaries of unbounded streams. [Distinct] estimates how many different keys there
// were, [Frequent] which keys were the heaviest, [Spread] which had the most distinct items, and [Histogram] how values are
// distributed. [DenseHistogram] is the
// only one that is fast enough to update for each packet.
//
// Every kind can be merged, over minutes, cores and hosts. Merging is associative and commutative within the error
// bound that the kind states. Nothing depends on a clock, on randomness or on the order of a map: the same stream
// gives the same answer and the same bytes everywhere. The zero value of every kind is empty and ready to use.
//
// A sketch copies what it keeps of a key. It is not safe for concurrent use, but methods that only read, including
// the argument of Merge, may run at the same time. Sketches hold no pointers other than a few slices, and start
// small. Compact frees the unused memory of a sketch that will not grow again. It can still be read, merged and,
// after unpacking itself, written.
//
// AppendBinary appends a sketch's binary form to a slice. UnmarshalBinary reads it, even from a hostile peer. It
// returns a [*DecodeError] for anything other than a whole and consistent blob, and leaves the receiver as it was.
// Its memory is bounded by the blob's own length or by the kind's bound, never by a number in the blob.
// docs/sketches.md describes the forms, which other DataSketches libraries read and write (Distinct: HLL; Frequent:
// frequent items).
package sketch

import (
	"math/bits"
	"slices"
)

// DecodeError says why UnmarshalBinary rejected a blob.
type DecodeError struct {
	Kind   string // what UnmarshalBinary tried to read: "distinct", "frequent", "spread" or "histogram"
	Reason string // what is wrong with it
}

// Error implements error.
func (e *DecodeError) Error() string { return "sketch: " + e.Kind + ": " + e.Reason }

// Reasons that several kinds give.
const (
	reasonShort    = "cut short"
	reasonTrailing = "bytes after the end"
	reasonHeader   = "unknown format or version"
	reasonCount    = "a count is zero or out of range"
)

// addSaturating returns a+b, or the greatest uint64 if the sum does not fit.
func addSaturating(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return s | -carry
}

// fitted returns a copy of s without spare capacity, so that the original can be freed.
func fitted[T any](s []T) []T {
	if len(s) == 0 {
		return nil // slices.Clone would keep the array alive
	}
	return slices.Clone(s)
}
