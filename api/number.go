package api

import (
	"math"
	"strconv"
)

// Number is a JSON number that may be missing. An agent of another version may not publish it, and an unknown number
// must not be shown as zero. The zero value is an unknown number.
//
// Whole numbers are exact up to 2^53. Beyond that they are rounded, and beyond 1e300 clamped, so that sums and ratios
// of a few numbers stay finite.
type Number struct {
	Value float64 // 0 unless Known
	Known bool
}

// largest is the greatest absolute value of a Number.
const largest = 1e300

// N returns the known number v.
func N(v float64) Number { return Number{Value: v, Known: true} }

// Or returns n, or alternative if n is unknown. Use it for a number that two versions of the agent name differently.
func (n Number) Or(alternative Number) Number {
	if n.Known {
		return n
	}
	return alternative
}

// UnmarshalJSON accepts any JSON value. A value that is not a number leaves n unknown, so that one odd field does not
// make the rest of the answer unreadable.
func (n *Number) UnmarshalJSON(b []byte) error {
	*n = Number{}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(v, 0) { // ParseFloat returns ±Inf for a number out of range
		return nil
	}
	*n = N(min(max(v, -largest), largest))
	return nil
}

// MarshalJSON writes the number, or null if it is unknown.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, n.Value, 'f', -1, 64), nil
}
