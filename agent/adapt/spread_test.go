package adapt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSpreader: shards are added when one is not enough, and closed when half of them are.
func TestSpreader(t *testing.T) {
	for name, c := range map[string]struct {
		work   func(second int) float64 // of all shards, in cores
		fill   float64
		maxCPU float64
		fails  int // the first attempts
		want   []string
	}{
		"calm":           {work: func(int) float64 { return 0.5 }},
		"two are enough": {work: func(int) float64 { return 0.7 }, want: []string{"1s 1-2"}},
		"three at most":  {work: func(int) float64 { return 9 }, want: []string{"1s 1-2", "2s 2-3"}},
		"a second attempt": {work: func(int) float64 { return 0.7 }, fails: 2,
			want: []string{"3s 1-2"}},
		"behind": {work: func(int) float64 { return 0.5 }, fill: 0.3, want: []string{"500ms 1-2"}},
		"a burst": {work: func(second int) float64 {
			if second >= 2 && second < 5 {
				return 1
			}
			return 0.3
		}, want: []string{"3s 1-2", "1m5s 2-1"}},
		"a budget": {work: func(int) float64 { return 0.95 }, maxCPU: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var got []string
				shards, began, fails := 1, time.Now(), c.fails
				busy := make([]time.Duration, 3)
				second := func() int { return int(time.Since(began)+interval/2) / int(interval) }
				s := NewSpreader(SpreadConfig{
					Most: 3, MaxCPU: c.maxCPU,
					Load: func() Load {
						mu.Lock()
						defer mu.Unlock()
						l := Load{Busy: slices.Clone(busy), Fill: c.fill}
						for _, b := range busy {
							l.CPU += b
						}
						return l
					},
					Spread: func(n int) error {
						if fails--; fails >= 0 {
							return errors.New("not now")
						}
						mu.Lock()
						defer mu.Unlock()
						shards = n
						return nil
					},
					Changed: func(from, to int) { got = append(got, fmt.Sprintf("%v %d-%d", time.Since(began), from, to)) },
				})
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { s.Run(ctx) })
				if c.fill > 0 {
					time.Sleep(500 * time.Millisecond)
					s.Behind()
				}
				time.Sleep(900*time.Millisecond - time.Since(began))
				for time.Since(began) < 100*time.Second { // in the middle between two measurements
					mu.Lock()
					for i := range shards {
						busy[i] += time.Duration(min(c.work(second()-1)/float64(shards), 1) * float64(time.Second))
					}
					mu.Unlock()
					time.Sleep(time.Second)
				}
				stop()
				running.Wait()
				if !slices.Equal(got, c.want) {
					t.Errorf("changes %q, want %q", got, c.want)
				}
			})
		})
	}
}
