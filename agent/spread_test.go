package agent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/capture"
	"pktvisor/metric"
)

// spreading hands over frames at their times to as many sources as it is told, by their pairs of addresses.
type spreading struct {
	mu     sync.Mutex
	pairs  []*scripted // the frames of each class of pairs
	spread int
}

// spreadSource is one of the sources of a spreading.
type spreadSource struct {
	scripted
	of    *spreading
	shard int
}

func (s *spreading) Spread(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spread = n
	return nil
}

// ReadBatch implements [capture.Source]: it returns the frames of a class of pairs that are due.
func (s *spreadSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	s.of.mu.Lock()
	now := time.Now().UnixNano()
	for i, class := range s.of.pairs {
		if i%s.of.spread != s.shard || len(b.Frames) > 0 {
			continue
		}
		for class.next < len(class.frames) && class.frames[class.next].Time <= now {
			b.Frames = append(b.Frames, class.frames[class.next])
			class.next++
		}
	}
	s.of.mu.Unlock()
	if len(b.Frames) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// TestSpread: shards get frames and lose them again between queries and their responses. Counters stay exact, shards start when they
// are needed, and no change makes a timeout or an orphan. While nothing changes, a query without a response times out.
func TestSpread(t *testing.T) {
	const clients, length = 100, 60 // seconds
	s := &script{t: t}
	start, lost := bubbleStart.UnixNano(), metric.Counter(0)
	for second := range int64(length) {
		for i := range int64(clients) {
			at := start + second*1e9 + i*1e9/clients
			client := fmt.Sprintf("10.1.%d.%d:%d", i>>8, i&255, 1024+second)
			s.udp(at, client, server, dnsQuery(uint16(second), "www.example"))
			if i == 0 && second >= 30 && second < 40 { // long after the last change, and before the next
				lost++
				continue
			}
			s.udp(at+300e6, server, client, dnsResponse(uint16(second), 0, "www.example"))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		dealt := &spreading{pairs: dealOut(t, s.file(), 12), spread: 1}
		shards := make([]*scripted, 4)
		a, _ := liveAgent(t, shards, func(c *setup) { c.Spread = dealt.Spread })
		var sources []capture.Source
		for i := range shards {
			sources = append(sources, &spreadSource{of: dealt, shard: i})
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := a.RunLive(ctx, sources); err != nil {
				t.Error(err)
			}
		})
		for _, c := range []struct {
			at      float64 // seconds
			shards  int
			started int
		}{{2.1, 2, 2}, {4.2, 4, 4}, {10.15, 1, 4}, {20.1, 3, 4}, {52.3, 2, 4}} {
			time.Sleep(time.Until(bubbleStart.Add(time.Duration(c.at * 1e9))))
			synctest.Wait()
			if err := a.spread(c.shards); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if _, started := a.Shards(); started != c.started {
				t.Errorf("%d shards have been started, want %d", started, c.started)
			}
		}
		for _, f := range a.fronts {
			if len(f.backs) == 0 {
				t.Errorf("shard %d has no back half", f.id)
			}
		}
		time.Sleep(time.Until(bubbleStart.Add((length + 10) * time.Second)))
		stop()
		running.Wait()
		b := a.Window().Merged(10)
		d, p := dnsMetrics(b), packetMetrics(b)
		if want := 2*clients*length - lost; d.Total != want || p.Total != want {
			t.Errorf("%d messages in %d packets, want %d", d.Total, p.Total, want)
		}
		if d.Timeouts != lost || d.Orphans != 0 || d.Evicted != 0 || d.ResponseRepeats != 0 {
			t.Errorf("%d timeouts, want %d; %d orphans, %d evicted, %d repeats", d.Timeouts, lost, d.Orphans, d.Evicted, d.ResponseRepeats)
		}
		if d.Xacts < clients*length*8/10 {
			t.Errorf("%d transactions of %d", d.Xacts, clients*length)
		}
	})
}
