package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// scripted is a live source that hands over each frame at its time, in the fake time of a test.
type scripted struct {
	arriving
	frames []capture.Frame
	fail   error // the error after the last frame
	// skew is the error of the clock that stamps the frame with the same index.
	skew map[int]time.Duration
	next int
	read atomic.Uint64 // next, for Stats
}

// ReadBatch implements [capture.Source].
func (s *scripted) ReadBatch(b *capture.Batch) error {
	defer func() { s.read.Store(uint64(s.next)) }()
	b.Frames = b.Frames[:0]
	for ; s.next < len(s.frames) && len(b.Frames) < 64; s.next++ {
		wait := s.frames[s.next].Time - time.Now().UnixNano()
		if wait > 0 && len(b.Frames) == 0 {
			time.Sleep(min(time.Duration(wait), 100*time.Millisecond))
			wait = s.frames[s.next].Time - time.Now().UnixNano()
		}
		if wait > 0 {
			return nil
		}
		f := s.frames[s.next]
		f.Time += int64(s.skew[s.next])
		b.Frames = append(b.Frames, f)
	}
	if s.next == len(s.frames) && len(b.Frames) == 0 {
		if s.fail != nil {
			return s.fail
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// Stats implements [capture.Source].
func (s *scripted) Stats() capture.Stats { return capture.Stats{Received: s.read.Load()} }

// Close implements [capture.Source].
func (s *scripted) Close() error { return nil }

// liveAgent is an agent with a source for each shard.
func liveAgent(t *testing.T, sources []*scripted, change func(*setup)) (*only, []capture.Source) {
	hosts, _ := analyze.ParseHosts(testkit.HostSpec)
	cfg := setup{
		TapConfig:    TapConfig{Shards: len(sources), Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second},
		PolicyConfig: PolicyConfig{Periods: 10, DeepSamplePercent: 100},
	}
	if change != nil {
		change(&cfg)
	}
	var all []capture.Source
	for _, s := range sources {
		all = append(all, s)
	}
	return cfg.start(t), all
}

// dealOut reads a capture and deals its frames to n sources. All frames between two addresses go to the same source.
func dealOut(t *testing.T, file []byte, n int) []*scripted {
	t.Helper()
	sources := make([]*scripted, n)
	for i := range sources {
		sources[i] = new(scripted)
	}
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var b capture.Batch
	var d decode.Decoder
	var p decode.Packet
	for err == nil {
		err = src.ReadBatch(&b)
		for _, f := range b.Frames {
			f.Data = slices.Clone(f.Data)
			d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			to := 0
			if p.Kind == decode.KindIP {
				to = int(p.PairHash() % uint32(n))
			}
			sources[to].frames = append(sources[to].frames, f)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return sources
}

// bubbleStart is the start of the fake time of every test: a whole minute.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestLiveMinutes: with live sources, each bucket has exactly the packets of its minute, whatever the number of shards.
func TestLiveMinutes(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Start = bubbleStart.Add(20 * time.Second)
	file, truth := traffic(t, cfg, 6000, 1)
	if len(truth.Minutes) < 3 {
		t.Fatalf("%d minutes of traffic: too few to test with", len(truth.Minutes))
	}
	for _, shards := range []int{1, 3} {
		sources := dealOut(t, file, shards)
		synctest.Test(t, func(t *testing.T) {
			a, all := liveAgent(t, sources, nil)
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := a.RunLive(ctx, all); err != nil {
					t.Error(err)
				}
			})
			end := time.Unix(0, truth.Minutes[len(truth.Minutes)-1].Start).Add(time.Minute)
			time.Sleep(time.Until(end.Add(10 * time.Second)))
			stop()
			running.Wait()
			n := len(truth.Minutes)
			for i, minute := range truth.Minutes {
				b := a.Window().Bucket(n - i)
				if b == nil {
					t.Fatalf("no bucket %d of %d", n-i, n)
				}
				p, d := metric.Of[packets.Metrics](b.Sections[0]), metric.Of[dns.Metrics](b.Sections[1])
				if b.Start%60 != 0 && i > 0 || b.End != minute.Start/1e9+60 || uint64(p.Total) != minute.Packets || uint64(p.In) != minute.In || uint64(d.Total) != minute.DNSMessages || uint64(d.Xacts) != minute.XactIn+minute.XactOut {
					t.Errorf("%d shards, minute %d, %d to %d: %d packets, %d in, %d messages, %d transactions; want %d, %d, %d, %d", shards, i,
						b.Start, b.End, p.Total, p.In, d.Total, d.Xacts, minute.Packets, minute.In, minute.DNSMessages, minute.XactIn+minute.XactOut)
				}
			}
			total := metric.Of[packets.Metrics](a.Window().Totals().Sections[0]).Total
			if uint64(total) != truth.Total.Packets {
				t.Errorf("%d shards: %d packets in all, want %d", shards, total, truth.Total.Packets)
			}
			timeouts := metric.Of[dns.Metrics](a.Window().Totals().Sections[1]).Timeouts
			if want := truth.Total.TimeoutsIn + truth.Total.TimeoutsOut + truth.Total.PendingIn + truth.Total.PendingOut; uint64(timeouts) != want {
				t.Errorf("%d shards: %d timeouts, want %d", shards, timeouts, want)
			}
		})
	}
}

// ping is a frame at an offset from the bubble's start.
func ping(at time.Duration) capture.Frame {
	return capture.Frame{Data: make([]byte, 60), WireLen: 60, Link: linktype.Ethernet, Time: bubbleStart.Add(at).UnixNano()}
}

// runScript runs frames through one shard for some time, stops the agent and returns it.
func runScript(t *testing.T, length time.Duration, frames ...capture.Frame) *only {
	t.Helper()
	a, all := liveAgent(t, []*scripted{{frames: frames}}, nil)
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	if err := a.RunLive(ctx, all); err != nil {
		t.Error(err)
	}
	return a
}

func packetsOf(b *metric.Bucket) int {
	return int(metric.Of[packets.Metrics](b.Sections[0]).Total)
}

// TestLiveQuiet: time passes and buckets rotate even if there are no packets.
func TestLiveQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := runScript(t, 4*time.Minute+30*time.Second, ping(10*time.Second), ping(3*time.Minute+5*time.Second))
		start := bubbleStart.Unix()
		for n, want := range []struct{ start, length, packets int64 }{
			{240, 30, 0}, {180, 60, 1}, {120, 60, 0}, {60, 60, 0}, {0, 60, 1},
		} {
			b := a.Window().Bucket(n)
			// The end of the live bucket lags by the time that a shard waits before a second counts as over.
			length := b.End - b.Start
			if b.Start-start != want.start || length != want.length && (n > 0 || length < want.length-2) || int64(packetsOf(b)) != want.packets {
				t.Errorf("bucket %d: from %d, %d s, %d packets; want %+v", n, b.Start-start, length, packetsOf(b), want)
			}
		}
		if a.Window().Bucket(5) != nil {
			t.Error("there is a bucket from before the start")
		}
		if last := a.LastPacket().Sub(bubbleStart); last != 3*time.Minute+5*time.Second {
			t.Errorf("the last packet was at %v", last)
		}
	})
}

// TestLiveClockSteps: packets whose time jumps ahead and back again all count, the window stays bounded, and nothing hangs.
func TestLiveClockSteps(t *testing.T) {
	for _, skew := range []time.Duration{time.Second, time.Minute, time.Hour, 30 * 24 * time.Hour} {
		for _, sign := range []time.Duration{1, -1} {
			synctest.Test(t, func(t *testing.T) {
				var frames []capture.Frame
				for i := range 100 {
					frames = append(frames, ping(time.Duration(i)*time.Second))
				}
				skewed := map[int]time.Duration{30: sign * skew, 31: sign * skew, 50: -sign * skew, 70: sign * skew}
				a, all := liveAgent(t, []*scripted{{frames: frames, skew: skewed}}, nil)
				ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
				defer stop()
				if err := a.RunLive(ctx, all); err != nil {
					t.Error(err)
				}
				if got := packetsOf(a.Window().Totals()); got != len(frames) {
					t.Errorf("%v: %d packets in all, want %d", sign*skew, got, len(frames))
				}
				if n := len(a.Window().Sealed()); n > 9 {
					t.Errorf("%v: %d sealed buckets in a window of 10", sign*skew, n)
				}
				for _, b := range a.Window().Sealed() {
					if length := b.End - b.Start; length < 0 || length > 60 || length > 0 && b.Start/60 != (b.End-1)/60 {
						t.Errorf("%v: a bucket from %d to %d", sign*skew, b.Start, b.End)
					}
				}
			})
		}
	}
}

// TestLiveSourceFails: the shards of the other sources continue. The error is reported at once, and returned at the end.
func TestLiveSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("poll: bad file descriptor")
		told := 0
		a, all := liveAgent(t, []*scripted{
			{frames: []capture.Frame{ping(time.Second)}, fail: broken},
			{frames: []capture.Frame{ping(time.Second), ping(10 * time.Second), ping(20 * time.Second)}},
		}, func(c *setup) {
			c.OnSourceError = func(shard int, err error) {
				told++
				if shard != 0 || !errors.Is(err, broken) {
					t.Errorf("error of shard %d: %v", shard, err)
				}
			}
		})
		ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
		defer stop()
		if err := a.RunLive(ctx, all); !errors.Is(err, broken) {
			t.Errorf("returned %v", err)
		}
		if got := packetsOf(a.Window().Totals()); got != 4 || told != 1 {
			t.Errorf("%d packets, error reported %d times", got, told)
		}
		if link, err := a.Source(0); link != "EN10MB" || !errors.Is(err, broken) {
			t.Errorf("source 0: %q, %v", link, err)
		}
		if _, err := a.Source(1); err != nil {
			t.Errorf("source 1: %v", err)
		}
	})
}

// TestLiveStop: everything is in the window when RunLive returns, soon after the context ends.
func TestLiveStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frames []capture.Frame
		for i := range 1000 {
			frames = append(frames, ping(time.Duration(i)*time.Millisecond))
		}
		a, all := liveAgent(t, []*scripted{{frames: frames}, {}}, nil)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(999*time.Millisecond, stop)
		if err := a.RunLive(ctx, all); err != nil {
			t.Error(err)
		}
		if took := time.Since(bubbleStart); took > 1200*time.Millisecond {
			t.Errorf("it took %v to stop", took-999*time.Millisecond)
		}
		if got := packetsOf(a.Window().Bucket(0)); got < 999 {
			t.Errorf("%d packets in the window", got)
		}
		if err := a.RunLive(ctx, all[:1]); err == nil {
			t.Error("one source for two shards is no error")
		}
	})
}

// asked is a live source that counts how often it is asked for its counters.
type asked struct {
	scripted
	stats func() capture.Stats
}

func (s *asked) Stats() capture.Stats { return s.stats() }

// TestLiveStatsWithoutLocks: the window is not locked while a source is asked for its counters, and a thousand readers cause no
// more requests than one.
func TestLiveStatsWithoutLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := liveAgent(t, []*scripted{{}}, nil)
		var asks atomic.Int64
		var slow atomic.Bool
		src := &asked{stats: func() capture.Stats {
			n := asks.Add(1)
			a.Window().Bucket(0) // would wait forever if the window were locked
			if slow.Load() {
				time.Sleep(10 * time.Second)
			}
			return capture.Stats{Received: uint64(n), IfDrops: 7}
		}}
		if got := a.SourceStats(0); got != (capture.Stats{}) {
			t.Errorf("before it runs: %+v", got)
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		done := make(chan error)
		go func() { done <- a.RunLive(ctx, []capture.Source{src}) }()
		time.Sleep(5250 * time.Millisecond)
		before := asks.Load()
		for range 1000 {
			if got := a.SourceStats(0); got.IfDrops != 7 || got.Received != uint64(before+1) {
				t.Fatalf("after %d asks: %+v", asks.Load(), got)
			}
		}
		if n := asks.Load(); n != before+1 {
			t.Errorf("1000 readers: the source was asked %d times", n-before)
		}
		if before < 4 || before > 6 {
			t.Errorf("in 5 seconds without readers the source was asked %d times", before)
		}
		time.Sleep(statsEvery)
		slow.Store(true)
		go a.SourceStats(0)
		synctest.Wait()
		begun := time.Now()
		a.SourceStats(0)
		if took := time.Since(begun); took != 0 {
			t.Errorf("a reader waited %v for the request of another reader", took)
		}
		slow.Store(false)
		if err := <-done; err != nil {
			t.Error(err)
		}
		b := a.Window().Totals()
		if m := metric.Of[sourceMetrics](b.Sections[len(b.Sections)-1]); m.IfDrops != 7 || b.Lost != 7 {
			t.Errorf("%d if_drops and %d lost in the window", m.IfDrops, b.Lost)
		}
	})
}
