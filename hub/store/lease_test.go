package store

import (
	"context"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/natstest"
)

func TestPartition(t *testing.T) {
	// FNV-1a of the empty string is 2166136261, of "a" 0xe40c292c, and of "foobar" 0xbf9cf968: see the page of the FNV hash.
	for name, want := range map[string]int{"": 2166136261 % 16, "a": 0xc, "foobar": 8} {
		if got := Partition(name); got != want {
			t.Errorf("Partition(%q) = %d, want %d", name, got, want)
		}
	}
}

// quickLease has a fifth of the times.
var quickLease = leaseTimes{ttl: 2 * time.Second, safe: 1600 * time.Millisecond, renew: 600 * time.Millisecond}

// cluster opens n stores on one server.
func cluster(t *testing.T, n int) (all []*Store) {
	url := natstest.Server(t)
	for range n {
		all = append(all, open(t, Config{URL: url, Replicas: 1, Log: quiet, RawBytes: 1 << 30, lease: quickLease}))
	}
	return all
}

// holders returns how many of the leases have each partition, and whether all have the same number of partitions, or one less or more.
func holders(leases ...*Leases) (by [Partitions]int, fair bool) {
	fair = true
	for _, l := range leases {
		own := l.All()
		fair = fair && len(own) <= (Partitions+len(leases)-1)/len(leases)
		for _, p := range own {
			by[p]++
		}
	}
	return by, fair
}

// oneEach reports whether every partition has one holder.
func oneEach(by [Partitions]int) bool {
	for _, n := range by {
		if n != 1 {
			return false
		}
	}
	return true
}

func TestLeases(t *testing.T) {
	t.Parallel()
	stores := cluster(t, 3)
	var leases []*Leases
	var stop []context.CancelFunc
	settled := func(what string, leases ...*Leases) {
		t.Helper()
		testkit.Eventually(t, what, func() bool {
			by, fair := holders(leases...)
			for p, n := range by {
				if n > 1 {
					t.Fatalf("%s: partition %d has %d holders", what, p, n)
				}
			}
			return fair && oneEach(by)
		})
	}
	for i, s := range stores {
		l := s.Leases()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		leases, stop = append(leases, l), append(stop, cancel)
		go l.Run(ctx)
		settled("hubs came", leases[:i+1]...)
	}
	// One ends in order: the others take over at once.
	stop[2]()
	began := time.Now()
	settled("one ended", leases[:2]...)
	t.Log("taken over after", time.Since(began))
	if got := leases[2].All(); len(got) > 0 {
		t.Errorf("after its end, it holds %v", got)
	}
	// One dies: the other takes over when the leases have expired.
	stores[1].nc.Close()
	began = time.Now()
	settled("one died", leases[0])
	took := time.Since(began)
	if t.Log("taken over after", took); took > 10*quickLease.ttl {
		t.Errorf("taken over after %v", took)
	}
	if got := leases[1].All(); len(got) > 0 {
		t.Errorf("after its death, it holds %v", got)
	}
}

// TestLeaseIsFenced checks that a holder without a server has nothing after 8 seconds, before another can have it.
func TestLeaseIsFenced(t *testing.T) {
	now := time.Now()
	l := &Leases{store: &Store{lease: defaultLease}, clock: func() time.Time { return now }}
	l.leases[3] = lease{revision: 5, renewed: now}
	for _, c := range []struct {
		after time.Duration
		held  bool
	}{{0, true}, {7900 * time.Millisecond, true}, {8 * time.Second, false}, {time.Hour, false}} {
		start := now
		now = now.Add(c.after)
		if got := l.Held(3); got != c.held {
			t.Errorf("after %v: held: %v", c.after, got)
		}
		now = now.Round(0) // as after a sleep in which the monotonic clock stood still
		if got := l.Held(3); got != c.held {
			t.Errorf("after %v by the wall clock: held: %v", c.after, got)
		}
		now = start
	}
	for _, p := range []int{-1, 2, Partitions} {
		if l.Held(p) {
			t.Errorf("partition %d is held", p)
		}
	}
}
