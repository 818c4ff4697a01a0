package rollup

import (
	"testing"
	"time"
)

func TestLevels(t *testing.T) {
	at := time.Date(2026, 11, 29, 13, 47, 33, 0, time.UTC)
	for _, c := range []struct {
		level        Level
		name         string
		length       time.Duration
		start        time.Time
		below, above Level
	}{
		{Minute1, "1m", time.Minute, time.Date(2026, 11, 29, 13, 47, 0, 0, time.UTC), 0, Minute5},
		{Minute5, "5m", 5 * time.Minute, time.Date(2026, 11, 29, 13, 45, 0, 0, time.UTC), Minute1, Hour1},
		{Hour1, "1h", time.Hour, time.Date(2026, 11, 29, 13, 0, 0, 0, time.UTC), Minute5, Day1},
		{Day1, "1d", 24 * time.Hour, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), Hour1, 0},
	} {
		if got := c.level.String(); got != c.name {
			t.Errorf("name of %v: %s", c.name, got)
		}
		if got, err := ParseLevel(c.name); got != c.level || err != nil {
			t.Errorf("ParseLevel(%s) = %v, %v", c.name, got, err)
		}
		if got := c.level.Seconds(); got != int64(c.length/time.Second) || !c.level.Valid() {
			t.Errorf("%s: %d seconds, valid: %v", c.name, got, c.level.Valid())
		}
		start := c.start.Unix()
		for _, at := range []int64{start, at.Unix(), start + c.level.Seconds() - 1} {
			if got := c.level.Of(at); got != start {
				t.Errorf("%s: start of %d is %d, want %d", c.name, at, got, start)
			}
		}
		if got := c.level.Of(-1); got != -c.level.Seconds() {
			t.Errorf("%s: start of -1 is %d", c.name, got)
		}
		if c.level.Below() != c.below || c.level.Above() != c.above {
			t.Errorf("%s: below %v, above %v", c.name, c.level.Below(), c.level.Above())
		}
	}
}

func TestNotALevel(t *testing.T) {
	for _, l := range []Level{-1, 0, Day1 + 1} {
		if l.Valid() || l.Seconds() != 0 || l.Below() != 0 || l.Above() != 0 || l.String() == "" {
			t.Errorf("%d: valid: %v, %d seconds, below %d, above %d", int(l), l.Valid(), l.Seconds(), l.Below(), l.Above())
		}
	}
	for _, name := range []string{"", "1M", "60", "1m "} {
		if l, err := ParseLevel(name); err == nil || l != 0 {
			t.Errorf("ParseLevel(%q) = %v, %v", name, l, err)
		}
	}
}
