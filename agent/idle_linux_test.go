package agent

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/capture"
	"pktvisor/internal/memory"
	"pktvisor/internal/testkit"
)

// TestTablesOnDemand: analyzers that make their tables with the first event count what others count.
func TestTablesOnDemand(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate = bubbleStart.Add(20*time.Second), 40
	file, truth := traffic(t, cfg, 3000, 1)
	run := func() (all string) {
		synctest.Test(t, func(t *testing.T) {
			a := agentOf(t, 2, policies()...)
			ctx, stop := context.WithTimeout(t.Context(), time.Duration(len(truth.Minutes))*time.Minute+30*time.Second)
			defer stop()
			var running sync.WaitGroup
			running.Go(func() {
				if err := a.Run(ctx, map[string][]capture.Source{"tap": asSources(dealOut(t, file, 2))}); err != nil {
					t.Error(err)
				}
			})
			running.Wait()
			for _, p := range a.Policies() {
				all += images(p)
			}
		})
		return all
	}
	before := run()
	memory.OnDemand()
	if after := run(); after != before {
		t.Errorf("with tables on demand\n%.3000s\nbefore\n%.3000s", after, before)
	}
}

// resident returns the resident memory of the process in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	var size, pages int64
	if _, err2 := fmt.Sscan(string(b), &size, &pages); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return pages * int64(os.Getpagesize())
}

// TestIdlePolicies: a policy that has seen no packet takes less than a megabyte, of the system and by the runtime's account. One
// that is removed takes nothing.
func TestIdlePolicies(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	memory.OnDemand()
	const n, most = 30, 1_000_000
	a, err := New(Config{Taps: twoTaps(t, 1)[:1]})
	if err != nil {
		t.Fatal(err)
	}
	policy := func(name string) PolicyConfig {
		return PolicyConfig{Name: name, Topics: Topics(nil, time.Second), Periods: 5, DeepSamplePercent: 100}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, map[string][]capture.Source{"one": {new(fakeSource)}}) }()
	if _, err := a.AddPolicy(policy("first")); err != nil { // the reader of messages comes with it
		t.Fatal(err)
	}
	testkit.Eventually(t, "time passes", func() bool { return a.Policy("first").Window().Bucket(0) != nil })
	for range 2 {
		debug.FreeOSMemory()
		before, beforeRSS := int64(heap()), resident(t)
		for i := range n {
			if _, err := a.AddPolicy(policy(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Eventually(t, "time passes in all", func() bool { return a.Policy(fmt.Sprint(n-1)).Window().Bucket(0) != nil })
		debug.FreeOSMemory()
		took, tookRSS := (int64(heap())-before)/n, (resident(t)-beforeRSS)/n
		t.Logf("an idle policy takes %d kB of the heap, %d kB resident", took/1000, tookRSS/1000)
		if took > most || tookRSS > most {
			t.Errorf("an idle policy takes %d bytes of the heap, %d resident; want at most %d", took, tookRSS, most)
		}
		for i := range n {
			if err := a.RemovePolicy(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		debug.FreeOSMemory()
		if left := int64(heap()) - before; left > most {
			t.Errorf("%d removed policies leave %d bytes", n, left)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(a)
}
