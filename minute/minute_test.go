package minute

import "testing"

func TestOf(t *testing.T) {
	for _, c := range []struct{ second, of, next, oldest int64 }{
		{0, 0, 60, -60}, {59, 0, 60, -60}, {60, 60, 120, 0}, {61, 60, 120, 0},
		{-1, -60, 0, -120}, {-60, -60, 0, -120}, {-61, -120, -60, -180},
		{1_700_000_039, 1_699_999_980, 1_700_000_040, 1_699_999_920}, {1_700_000_040, 1_700_000_040, 1_700_000_100, 1_699_999_980},
	} {
		if of, next, oldest := Of(c.second), Next(c.second), Oldest(c.second); of != c.of || next != c.next || oldest != c.oldest {
			t.Errorf("second %d: minute %d, next %d, oldest %d; want %d, %d, %d", c.second, of, next, oldest, c.of, c.next, c.oldest)
		}
		if Of(c.of) != c.of || Oldest(c.oldest) == c.oldest {
			t.Errorf("second %d: the minute of its minute is %d", c.second, Of(c.of))
		}
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b int64
		same bool
	}{{0, 59, true}, {59, 60, false}, {-1, -60, true}, {-1, 0, false}, {-60, -61, false}, {7, 7, true}} {
		if Same(c.a, c.b) != c.same || Same(c.b, c.a) != c.same {
			t.Errorf("seconds %d and %d: same minute %t, want %t", c.a, c.b, !c.same, c.same)
		}
	}
}

// TestWaits holds the waits to what users were promised.
func TestWaits(t *testing.T) {
	if Seconds != 60 || MaxSeconds != 86_400 || Settle.Milliseconds() != 500 || Whole.Milliseconds() != 600 || Grace != 2 || Late != 60 {
		t.Errorf("a minute of %d s, %d s at most, waits of %v, %v and %d s, late by up to %d s", Seconds, MaxSeconds, Settle, Whole, Grace, Late)
	}
}
