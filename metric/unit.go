package metric

import (
	"errors"
	"strings"
)

// Dimension is the kind of quantity that a unit measures.
type Dimension uint8

// The dimensions.
const (
	Count Dimension = iota // things that are counted: packets, messages, addresses
	Information
	Time
	Ratio
)

// Unit is what a metric counts or measures. Make one with [ParseUnit].
type Unit struct {
	// Name is the unit as people and the API write it: "packets", "bits/s", "us".
	Name string
	// Dimension is the dimension of the unit. For a unit per second, it is the dimension of the amount in each second.
	Dimension Dimension
	// PerSecond says that the unit is something per second.
	PerSecond bool
	// Base is the base unit as Prometheus names it, for example "seconds". One unit is Scale base units.
	Base  string
	Scale float64
	// First and Last are exponents of powers of two. The classic Prometheus buckets of a histogram are bounded by its stored
	// integers from 2^First to 2^Last: see [Desc.Bounds].
	First, Last int
}

// String returns the name.
func (u Unit) String() string { return u.Name }

// maxUnit bounds the name of a unit in bytes. Names in the Prometheus text contain the words of units.
const maxUnit = 32

// measured lists the units that do not just count things.
var measured = [...]Unit{
	{Name: "bytes", Dimension: Information, Base: "bytes", Scale: 1, First: 5, Last: 16}, // 32 to 65,536
	{Name: "bits", Dimension: Information, Base: "bits", Scale: 1, First: 8, Last: 19},   // 256 to 524,288
	{Name: "us", Dimension: Time, Base: "seconds", Scale: 1e-6, First: 5, Last: 23},      // 32 µs to 8.4 s
	{Name: "ratio", Dimension: Ratio, Base: "ratio", Scale: 1, First: 7, Last: 17},       // in thousandths: 0.128 to 131
}

// ParseUnit returns the unit of the given name. A name that ends in "/s" is a unit per second. A name that is not in
// the list of measures names things that are counted. It must be made of letters, digits and underscores.
func ParseUnit(name string) (Unit, error) {
	what, perSecond := strings.CutSuffix(name, "/s")
	if len(name) > maxUnit || !isWord(what) {
		return Unit{}, errors.New("a unit is a word of at most 32 letters, digits and underscores, and may end in /s")
	}
	u := Unit{Dimension: Count, Base: what, Scale: 1, First: 7, Last: 17}
	for _, m := range measured {
		if m.Name == what {
			u = m
		}
	}
	u.Name, u.PerSecond = name, perSecond
	return u, nil
}

// isWord reports whether s is made of ASCII letters, digits and underscores, and starts with a letter.
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
