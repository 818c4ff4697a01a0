package policy

// Budget bounds the memory of a policy's counts, in bytes: the tables of its analyzers on all shards, and its window. 0
// means as much as the default sizes take.
//
// Only a flood of long keys reaches the bound. Most traffic takes a small part of it. The capture ring, the server's
// cached answers and the program itself come on top.
type Budget int64

// Tables grow and shrink by powers of two. Each table has its own least and greatest size.
const (
	MinScale = -6
	MaxScale = 6
)

// Scale returns the greatest scale at which the tables fit the budget. Scale 0 has the default sizes, and each step
// doubles them. cost returns how many bytes they take at a scale, and must not fall as the scale rises. Scale returns
// false if the tables do not fit even at [MinScale].
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
