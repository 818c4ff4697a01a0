package policy

import (
	"math"
	"testing"
)

func TestScale(t *testing.T) {
	// A fixed part of 100, and a part that doubles, starting with 1024 at scale 0.
	cost := func(scale int) int64 { return 100 + int64(math.Ldexp(1024, scale)) }
	for _, c := range []struct {
		budget Budget
		scale  int
		ok     bool
	}{
		{0, 0, true}, {1124, 0, true}, {1123, -1, true}, {2147, 0, true}, {2148, 1, true}, {1 << 40, MaxScale, true},
		{116, MinScale, true}, {115, MinScale, false}, {1, MinScale, false}, {-1, MinScale, false},
	} {
		if scale, ok := c.budget.Scale(cost); scale != c.scale || ok != c.ok {
			t.Errorf("%d bytes: scale %d, %t; want %d, %t", c.budget, scale, ok, c.scale, c.ok)
		}
	}
}
