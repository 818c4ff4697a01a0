package veth

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// records returns a capture of n frames, of 1, 2, … bytes.
func records(n int) []byte {
	b := make([]byte, HeaderLen)
	for i := range n {
		header := make([]byte, RecordLen)
		header[8] = byte(i + 1)
		b = append(append(b, header...), make([]byte, i+1)...)
	}
	return b
}

// TestPace: bursts keep the pace, and a sender that is late makes up for at most 100 ms.
func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		rate  float64
		slow  time.Duration // how long the second burst takes
		times []time.Duration
	}{
		"steady":     {100, 0, []time.Duration{0, 20, 40, 60, 80}},
		"late":       {100, 45, []time.Duration{0, 20, 65, 65, 80}},
		"far behind": {100, 500, []time.Duration{0, 20, 520, 540, 560}},
		"flat out":   {0, 0, []time.Duration{0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Duration
				frames, bytes := 0, 0
				began := time.Now()
				Pace(records(9), c.rate, 2, func(records []byte, n int) {
					times = append(times, time.Since(began)/time.Millisecond)
					if frames, bytes = frames+n, bytes+len(records); len(times) == 2 {
						time.Sleep(c.slow * time.Millisecond)
					}
				})
				if want := 9*RecordLen + 45; !slices.Equal(times, c.times) || frames != 9 || bytes != want {
					t.Errorf("%d frames in %d bytes at %d ms; want 9 in %d at %d", frames, bytes, times, want, c.times)
				}
			})
		})
	}
}
