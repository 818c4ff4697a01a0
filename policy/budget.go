package policy

// Budget is how much memory a policy may take for what it counts: the tables of its analyzers on all shards, and its
// window. In bytes; 0 is as much as the default sizes take.
//
// It is a bound, which only a flood of long keys reaches; most traffic takes a small part of it. The capture ring, answers
// that the server keeps and what every program needs come on top.
type Budget int64

// Tables are made larger or smaller by powers of two. Each has its own least and greatest size.
const (
	MinScale = -6
	MaxScale = 6
)

// Scale returns the greatest scale at which the tables take no more than the budget: 0 is that of the default sizes, and each
// step doubles them. cost returns how many bytes they take at a scale, and must not fall as the scale rises. It
// reports false if they take more even at [MinScale].
func (b Budget) Scale(cost func(scale int) int64) (scale int, ok bool) {
	if b == 0 {
		return 0, true
	}
	for scale := MaxScale; scale >= MinScale; scale-- {
		if cost(scale) <= int64(b) {
			return scale, true
		}
	}
	return MinScale, false
}
