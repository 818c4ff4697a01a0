package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent"
	"pktvisor/capture"
	"pktvisor/linktype"
	"pktvisor/server"
)

// pacedSource is a live source in fake time. It delays frames, as a ring does to fill a block.
type pacedSource struct {
	frames []time.Time   // when each frame passes the interface
	held   time.Duration // how long frames are held back
}

func (s *pacedSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	time.Sleep(50 * time.Millisecond)
	for len(s.frames) > 0 && !s.frames[0].Add(s.held).After(time.Now()) {
		b.Frames = append(b.Frames, capture.Frame{Data: make([]byte, 60), WireLen: 60, Link: linktype.Ethernet, Time: s.frames[0].UnixNano()})
		s.frames = s.frames[1:]
	}
	return nil
}

func (*pacedSource) Clock() capture.Clock { return capture.Arrival }
func (*pacedSource) Stats() capture.Stats { return capture.Stats{} }
func (*pacedSource) Close() error         { return nil }

// captureLive runs an agent on the sources until the test ends, and returns the handler of its server.
func captureLive(t *testing.T, ctx context.Context, sources ...capture.Source) http.Handler {
	a, err := agent.New(agent.Config{
		Taps:     []agent.TapConfig{{Shards: len(sources)}},
		Policies: []agent.PolicyConfig{{Topics: agent.Topics(nil, 0), Periods: 5, DeepSamplePercent: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx, map[string][]capture.Source{agent.Default: sources}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(running.Wait)
	return server.New(config(a.Policy(agent.Default).Window())).Handler()
}

// TestRatesOfWholeSeconds asks a capturing agent for its rates twenty times a second. Each answer is about a second
// that is over and includes all packets of that second, also from shards that are late or idle. It is not older than
// necessary.
func TestRatesOfWholeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds = 130 // crosses the end of two minutes
		start := time.Now()
		busy, rare := &pacedSource{held: 7 * time.Millisecond}, &pacedSource{held: 400 * time.Millisecond}
		want := map[int64]int{}
		for i := range seconds {
			second := start.Add(time.Duration(i) * time.Second)
			for n := range 5 + i%4 {
				busy.frames = append(busy.frames, second.Add(time.Duration(n)*110*time.Millisecond))
				want[second.Unix()]++
			}
			if i%7 < 3 { // no frames in four of seven seconds
				rare.frames = append(rare.frames, second.Add(990*time.Millisecond))
				want[second.Unix()]++
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		h := captureLive(t, ctx, busy, rare)
		seen := map[int64]bool{}
		for time.Sleep(2 * time.Second); time.Since(start) < (seconds-1)*time.Second; time.Sleep(50 * time.Millisecond) {
			var rates struct {
				Packets map[string]int
				Period  struct {
					Start  int64 `json:"start_ts"`
					Length int
				}
			}
			if err := json.Unmarshal(get(t, h, "/api/v1/metrics/rates").Body.Bytes(), &rates); err != nil {
				t.Fatal(err)
			}
			second := rates.Period.Start
			if got := rates.Packets["pps_total"]; got != want[second] || rates.Period.Length != 1 {
				t.Fatalf("at %v: %d packets in the second from %d on, want %d", time.Since(start), got, second-start.Unix(), want[second])
			}
			if age := time.Since(time.Unix(second+1, 0)); age < 0 || age > 1700*time.Millisecond {
				t.Fatalf("at %v: the rates are of a second that has been over for %v", time.Since(start), age)
			}
			seen[second] = true
		}
		if len(seen) < seconds-4 {
			t.Errorf("rates of %d seconds were shown, of %d", len(seen), seconds)
		}
		stop()
	})
}
