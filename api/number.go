package api

import (
	"math"
	"strconv"
)

// Number is a JSON number that may be missing: an agent of another version may
// not publish it, and what is not known must not be shown as zero. The zero
// value is an unknown number.
//
// Whole numbers are exact up to 2^53; beyond that they are rounded, and beyond
// 1e300 clamped, so that sums and ratios of a few stay finite.
type Number struct {
	Value float64 // 0 when not Known
	Known bool
}

// largest is the greatest Number, either sign.
const largest = 1e300

// N returns the known number v.
func N(v float64) Number { return Number{Value: v, Known: true} }

// Or returns n, or alternative when n is unknown: for a number that two
// versions of the agent call by different names.
func (n Number) Or(alternative Number) Number {
	if n.Known {
		return n
	}
	return alternative
}

// UnmarshalJSON takes any JSON value. What is not a number leaves n unknown: one
// odd field must not cost the operator the rest of the answer.
func (n *Number) UnmarshalJSON(b []byte) error {
	*n = Number{}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(v, 0) { // ±Inf is what out of range gives
		return nil
	}
	*n = N(min(max(v, -largest), largest))
	return nil
}

// MarshalJSON writes the number, or null when it is unknown.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, n.Value, 'f', -1, 64), nil
}
