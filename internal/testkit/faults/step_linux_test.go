package faults

import (
	"syscall"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/minute"
)

// TestClockSteps: whatever the wall clock does, each packet counts once, the minutes are those of the clock, and no time is
// negative.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startWithClock(t, 0, nil, "--periods", "60", "--state-dir", dir, "--state-sync")
	p.counts(t)
	for _, by := range []time.Duration{
		time.Minute, -time.Minute, 10 * time.Minute, -10 * time.Minute, 48 * time.Hour, -48 * time.Hour, -20 * time.Minute, 20 * time.Minute, -2 * time.Second,
	} {
		c.step(by)
		p.counts(t)
		testkit.Eventually(t, "the live minute is that of the clock", func() bool {
			live, ok := p.view(t, "bucket/0")
			return ok && live.Period.Start <= c.now().Unix() && live.Period.Start > c.now().Add(-2*time.Minute).Unix()
		})
		if a := p.app(t); a.UptimeS < 0 || a.UptimeS > 600 || a.LastAge < 0 || !a.Capturing {
			t.Errorf("after a step of %v: %+v", by, a)
		}
		for _, b := range p.buckets(t) {
			if b.Period.Length < 0 || b.Period.Length > minute.Seconds || b.Period.Start%minute.Seconds+b.Period.Length > minute.Seconds {
				t.Errorf("after a step of %v: bucket %+v", by, b)
			}
		}
		if w, _ := p.view(t, "window/60"); w.Period.Length < 0 || w.Period.Length > 60*minute.Seconds {
			t.Errorf("after a step of %v: window %+v", by, w)
		}
	}
	p.stops(t)
	p.keptAll(t, dir)
}

// TestSuspend: a machine sleeps for two hours. The minutes between are empty, and nothing is lost or counted twice.
func TestSuspend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startWithClock(t, 0, nil, "--periods", "300", "--state-dir", dir, "--state-sync")
	p.counts(t)
	for range 2 {
		if err := p.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		c.step(2 * time.Hour)
		if err := p.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		p.counts(t)
	}
	testkit.Eventually(t, "the window has the hours of sleep", func() bool { return p.app(t).Sealed >= 240 })
	empty := 0
	for _, b := range p.buckets(t) {
		if b.Packets.Total == 0 {
			empty++
		}
	}
	if a := p.app(t); empty < 230 || a.UptimeS > 600 || a.LastAge > 600 {
		t.Errorf("%d empty minutes, %+v", empty, a)
	}
	p.stops(t)
	p.keptAll(t, dir)
}

// TestTimeZone: minutes are those of UTC, also while the clocks of the zone go back, and in zones whose time is not in whole hours.
func TestTimeZone(t *testing.T) {
	for _, c := range []struct {
		zone string
		from string // some seconds before the zone's time changes
	}{
		{"Europe/Berlin", "2026-10-25T00:59:56Z"},
		{"Australia/Lord_Howe", "2026-04-04T14:59:56Z"}, // by half an hour
		{"Asia/Kathmandu", "2026-06-01T00:14:56Z"},      // 5:45
	} {
		t.Run(c.zone, func(t *testing.T) {
			t.Parallel()
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			p, clock := startWithClock(t, time.Until(from), []string{"TZ=" + c.zone}, "--state-dir", dir, "--state-sync")
			p.counts(t)
			next := minute.Next(from.Unix())
			if d := time.Until(time.Unix(next, 0)) - time.Duration(clock.offset.Load()); d < -time.Hour {
				t.Fatal("the clock is wrong")
			}
			testkit.Eventually(t, "the next minute is sealed", func() bool { b, ok := p.view(t, "bucket/1"); return ok && b.Period.Start < next })
			live, _ := p.view(t, "bucket/0")
			sealed, _ := p.view(t, "bucket/1")
			if live.Period.Start != next || sealed.Period.Start < from.Unix() || sealed.Period.Start+sealed.Period.Length != next {
				t.Errorf("sealed %+v, live %+v; want the minutes before and from %d", sealed, live, next)
			}
			p.stops(t)
			p.keptAll(t, dir)
		})
	}
}
