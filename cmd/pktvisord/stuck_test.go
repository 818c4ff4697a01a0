package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// stuckSource is a file on a disk that stops answering after the file's frames.
type stuckSource struct {
	capture.Source
	stuck chan struct{} // closed when a read has begun that does not return
	end   chan struct{} // closed to end it
}

func (s *stuckSource) ReadBatch(b *capture.Batch) error {
	err := s.Source.ReadBatch(b)
	if err != nil {
		close(s.stuck)
		<-s.end
	}
	return err
}

// TestBuildAtOnce: agents that are built at once leave the garbage collection on.
func TestBuildAtOnce(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				p := setup{
					tap:    agent.TapConfig{Shards: 1},
					policy: agent.PolicyConfig{Topics: agent.Topics(nil, 0), Periods: 5, DeepSamplePercent: 100},
				}
				if _, err := p.build(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if after := debug.SetGCPercent(100); after != 100 {
		t.Errorf("GC percent %d, want 100", after)
	}
}

// TestStuckRead: a read that never returns does not keep the program from ending, and the counts so far can be printed.
func TestStuckRead(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 30_000, Rate: 100}) // five minutes
	for _, shards := range []int{1, 2, 6} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			file, err := capture.OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src := &stuckSource{Source: file, stuck: make(chan struct{}), end: make(chan struct{})}
			o := new(options)
			o.Periods, o.DeepSamplePercent = 5, 100
			p := setup{
				tap:    agent.TapConfig{Shards: shards},
				policy: agent.PolicyConfig{Topics: agent.Topics(nil, 0), Periods: 5, DeepSamplePercent: 100},
			}
			a, err := p.build()
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			go func() {
				<-src.stuck
				interrupt()
			}()
			start := time.Now()
			ended, err := o.readFile(ctx, a, src)
			if ended || !errors.Is(err, context.Canceled) || time.Since(start) < stuckWait {
				t.Errorf("ended %t, %v", ended, err)
			}
			b := o.result(a.Policy(agent.Default).Window(), ended)
			// All minutes except the one that was being counted are there, unless a shard still waits for its frames.
			if n := metric.Of[packets.Metrics](b.Sections[0]).Total; n == 0 || n > 30_000 {
				t.Errorf("%d of 30,000 packets", n)
			}
			close(src.end)
		})
	}
}
