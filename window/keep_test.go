package window

import (
	"testing"

	"pktvisor/metric"
)

// TestKeep: a window that keeps fewer minutes drops the oldest at once, and fills up again when it may keep more.
func TestKeep(t *testing.T) {
	const first = 1_700_000_040
	counted := func(before bool) (*Window, func(n int)) {
		w := newWindow(6, 1)
		if before {
			w.Keep(3)
		}
		at := int64(first)
		return w, func(n int) {
			for range n {
				add(w, 0, at, at, 1)
				at += 60
			}
			w.Finish()
		}
	}
	w, run := counted(false)
	expect := func(what string, kept, sealed int, total metric.Counter) {
		t.Helper()
		if w.Kept() != kept || len(w.Sealed()) != sealed || of(w.Merged(6)).N != total {
			t.Errorf("%s: keeps %d, has %d sealed, %d in all; want %d, %d, %d", what, w.Kept(), len(w.Sealed()), of(w.Merged(6)).N, kept, sealed, total)
		}
	}
	run(8)
	expect("all", 6, 5, 6)
	w.Keep(3)
	expect("three", 3, 2, 3)
	run(1)
	expect("three, later", 3, 2, 3)
	w.Keep(0)
	expect("the least", 2, 1, 2)
	w.Keep(100)
	expect("all again", 6, 1, 2)
	run(2)
	expect("filled up", 6, 3, 4)
	if w.Periods() != 6 || of(w.Totals()).N != 11 {
		t.Errorf("%d periods, %d in total", w.Periods(), of(w.Totals()).N)
	}
	w, run = counted(true)
	run(6)
	expect("three from the start", 3, 2, 3)
}
