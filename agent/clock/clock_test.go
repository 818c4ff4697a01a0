package clock

import "testing"

const start = 1_700_000_040 // a whole minute

func TestSecond(t *testing.T) {
	for at, want := range map[int64]int64{0: 0, 1: 0, Nanos - 1: 0, Nanos: 1, -1: -1, -Nanos: -1, -Nanos - 1: -2} {
		if got := Second(at); got != want {
			t.Errorf("second of %d ns: %d, want %d", at, got, want)
		}
	}
}

// TestLate: packets of the newest minute and the one before count as late, up to the newest second.
func TestLate(t *testing.T) {
	var c Clock
	if c.Late(start) || c.Has(start*Nanos) {
		t.Error("a clock that has not started has late packets")
	}
	c.Enter(start + 10)
	for second, late := range map[int64]bool{start + 11: false, start + 10: true, start: true, start - 60: true, start - 61: false} {
		if c.Late(second) != late {
			t.Errorf("second %d: late %t, want %t", second-start, !late, late)
		}
	}
	if from, to := c.Span(); from != (start-60)*Nanos || to != (start+11)*Nanos {
		t.Errorf("packets from %d to %d do not move the clock, relative to the start", from/Nanos-start, to/Nanos-start)
	}
	c.Count(start - 5)
	if c.Newest != start+10 || c.Second != start-5 || !c.Has((start-5)*Nanos) || !c.Has((start-4)*Nanos-1) || c.Has((start-4)*Nanos) || c.Has((start+10)*Nanos) {
		t.Errorf("after a late second: %+v", c)
	}
}

// TestSetBack: a packet keeps its age when the clock goes back, and its time when the clock goes forward.
func TestSetBack(t *testing.T) {
	var c Clock
	const packet = (start + 9) * Nanos
	if got := c.SetBack(packet, start-1000); got != packet {
		t.Errorf("clock that has not started: %d", got)
	}
	c.Enter(start + 10)
	for second, want := range map[int64]int64{start + 10: packet, start + 99: packet, start - 990: packet - 1000*Nanos} {
		if got := c.SetBack(packet, second); got != want {
			t.Errorf("to %d: %d, want %d", second-start, got, want)
		}
	}
	if got := c.SetBack(Never, start-1000); got != Never {
		t.Errorf("no packet so far: %d", got)
	}
}
