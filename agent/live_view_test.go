package agent

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/metric"
)

// fakeSource is a live source under synctest's clock. It waits as a ring does, and hands over the frames that a test puts in.
type fakeSource struct {
	arriving
	mu     sync.Mutex
	frames []capture.Frame
	err    error
	stats  capture.Stats
}

const fakeWait = 50 * time.Millisecond

// ReadBatch returns the frames that have arrived, after a short wait if there are none.
func (f *fakeSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	f.mu.Lock()
	if len(f.frames) == 0 && f.err == nil {
		f.mu.Unlock()
		time.Sleep(fakeWait)
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	b.Frames = append(b.Frames, f.frames...)
	f.frames = f.frames[:0]
	if len(b.Frames) == 0 {
		return f.err
	}
	return nil
}

// Stats returns the counters that the test has set.
func (f *fakeSource) Stats() capture.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close does nothing.
func (f *fakeSource) Close() error { return nil }

// put makes a frame arrive now.
func (f *fakeSource) put(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames = append(f.frames, capture.Frame{Data: frame, Time: time.Now().UnixNano(), WireLen: uint32(len(frame)), Link: 1})
	f.stats.Received++
}

func (f *fakeSource) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// lives runs an agent with some shards in a bubble. It passes test the agent, its sources, and a function that ends the agent
// and returns its error.
func lives(t *testing.T, shards int, change func(*setup), test func(a *only, sources []*fakeSource, end func() error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, func(c *setup) {
			c.Single, c.Shards = false, shards
			if change != nil {
				change(c)
			}
		})
		var sources []*fakeSource
		var opened []capture.Source
		for range shards {
			s := new(fakeSource)
			sources, opened = append(sources, s), append(opened, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.RunLive(ctx, opened) }()
		ended := false
		end := func() error {
			ended = true
			cancel()
			return <-done
		}
		test(a, sources, end)
		if !ended {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}

var oneQuery = packetOf(17, client, server, 0, 0, dnsQuery(1, "a.example"))

// TestLiveRotates: minutes end even if no packets arrive.
func TestLiveRotates(t *testing.T) {
	var sealed []int64
	note := func(c *setup) {
		c.OnSeal = func(b *metric.Bucket) { sealed = append(sealed, b.Start, b.End) }
	}
	lives(t, 2, note, func(a *only, sources []*fakeSource, end func() error) {
		start := time.Now().Unix() // a whole minute: the bubble's clock starts at midnight
		time.Sleep(20 * time.Second)
		sources[0].put(oneQuery)
		time.Sleep(3*time.Minute + 5*time.Second)
		synctest.Wait()
		w := a.Window()
		for n, want := range [][3]int64{{180, 0, 0}, {120, 60, 0}, {60, 60, 0}, {0, 60, 1}} {
			b := w.Bucket(n)
			if b == nil || b.Start != start+want[0] || n > 0 && b.End-b.Start != want[1] || int64(packetMetrics(b).Total) != want[2] {
				t.Errorf("bucket %d: %+v, want %v after the start", n, b, want)
			}
		}
		// A second counts when it is over and settled, so the running one of the 25 s does not.
		if live := w.Bucket(0); live.End-live.Start < 24 || live.End-live.Start > 25 {
			t.Errorf("the live bucket has %d s of 25", live.End-live.Start)
		}
		if want := []int64{start, start + 60, start + 60, start + 120, start + 120, start + 180}; !slices.Equal(sealed, want) {
			t.Errorf("sealed %v, want %v", sealed, want)
		}
		if d := dnsMetrics(w.Bucket(3)); d.Timeouts != 1 {
			t.Errorf("%d timeouts without any packet after the query, want 1", d.Timeouts)
		}
	})
}

// TestLiveShows: a packet is in the window within two seconds, whether others follow or not.
func TestLiveShows(t *testing.T) {
	lives(t, 1, nil, func(a *only, sources []*fakeSource, end func() error) {
		time.Sleep(10*time.Second + 300*time.Millisecond)
		sources[0].put(oneQuery)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b := a.Window().Bucket(0)
		if p, d := packetMetrics(b), dnsMetrics(b); p.Total != 1 || d.Queries != 1 || p.TopIPv4.Total() != 1 || d.TopQname2.Total() != 1 {
			t.Errorf("%d packets, %d queries, %d addresses, %d names", p.Total, d.Queries, p.TopIPv4.Total(), d.TopQname2.Total())
		}
		if openTransactions(a) != 1 {
			t.Errorf("%d open transactions, want 1", openTransactions(a))
		}
		if since := time.Since(a.LastPacket()); since < 2*time.Second || since > 2200*time.Millisecond {
			t.Errorf("the newest packet is %v old", since)
		}
	})
}

// TestLiveEnds: the agent ends when all its sources have ended, and not before.
func TestLiveEnds(t *testing.T) {
	lives(t, 2, nil, func(a *only, sources []*fakeSource, end func() error) {
		sources[0].put(oneQuery)
		sources[0].fail(io.EOF)
		time.Sleep(3 * time.Minute)
		sources[1].put(oneQuery)
		sources[1].fail(io.EOF)
		time.Sleep(time.Second)
		if err := end(); err != nil {
			t.Error(err)
		}
		if total := packetMetrics(a.Window().Totals()).Total; total != 2 {
			t.Errorf("%d packets, want 2", total)
		}
	})
}

// TestLiveDrops: the drops of the sources are in the section of the source and in the period's "lost".
func TestLiveDrops(t *testing.T) {
	lives(t, 2, nil, func(a *only, sources []*fakeSource, end func() error) {
		for i, s := range sources {
			s.put(oneQuery)
			s.mu.Lock()
			s.stats.OSDrops, s.stats.IfDrops, s.stats.Freezes, s.stats.Discarded = uint64(10*(i+1)), 1, 2, 3
			s.mu.Unlock()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b := a.Window().Merged(2)
		m := *metric.Of[sourceMetrics](b.Sections[len(b.Sections)-1])
		if want := (sourceMetrics{Stats: capture.Stats{Received: 2, OSDrops: 30, IfDrops: 2, Freezes: 4, Discarded: 6}}); m != want || b.Lost != 32 {
			t.Errorf("%+v and %d lost, want %+v and 32", m, b.Lost, want)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if lost := a.Window().Merged(2).Lost; lost != 0 {
			t.Errorf("%d lost two minutes later, because the drops counted again", lost)
		}
		if lost := a.Window().Totals().Lost; lost != 32 {
			t.Errorf("%d lost in all", lost)
		}
	})
}

// TestSetHosts: when the host subnets change while the agent runs, the directions of later packets follow the new ones.
func TestSetHosts(t *testing.T) {
	lives(t, 1, nil, func(a *only, sources []*fakeSource, end func() error) {
		sources[0].put(oneQuery)
		time.Sleep(2 * time.Second)
		other, err := analyze.ParseHosts("198.51.100.0/24")
		if err != nil {
			t.Fatal(err)
		}
		a.SetHosts(other)
		time.Sleep(2 * time.Second)
		sources[0].put(oneQuery)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p := packetMetrics(a.Window().Merged(2)); p.In != 1 || p.Out != 1 {
			t.Errorf("%d in, %d out, want one each", p.In, p.Out)
		}
		if got := a.Hosts().Prefixes(); len(got) != 1 || got[0].String() != "198.51.100.0/24" {
			t.Errorf("hosts are %v", got)
		}
	})
}

// TestLiveLate: frames that a ring hands over after the end of their minute count in that minute.
func TestLiveLate(t *testing.T) {
	lives(t, 2, nil, func(a *only, sources []*fakeSource, end func() error) {
		time.Sleep(59*time.Second + 800*time.Millisecond)
		late := time.Now()
		sources[0].put(oneQuery)
		time.Sleep(400 * time.Millisecond) // less than minute.Settle
		sources[1].mu.Lock()
		sources[1].frames = append(sources[1].frames, capture.Frame{Data: oneQuery, Time: late.UnixNano(), WireLen: uint32(len(oneQuery)), Link: 1})
		sources[1].mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if last, live := packetMetrics(a.Window().Bucket(1)), packetMetrics(a.Window().Bucket(0)); last.Total != 2 || live.Total != 0 {
			t.Errorf("%d packets in the minute before, %d in the live one; want 2 and 0", last.Total, live.Total)
		}
	})
}

// askedPlaces is a Locator that signals when it is asked for a place.
type askedPlaces struct {
	places
	asked func()
}

// City implements packets.Locator.
func (p askedPlaces) City(a netip.Addr) string {
	p.asked()
	return p.places.City(a)
}

// TestStuck: a shard that does not finish its frames is reported as stuck. One that waits for frames is not.
func TestStuck(t *testing.T) {
	working := func() {}
	lives(t, 2, func(c *setup) { c.Locate = askedPlaces{asked: func() { working() }} }, func(a *only, sources []*fakeSource, end func() error) {
		began, times := &a.fronts[1].state.began, 0
		working = func() {
			if times++; began.Load() == 0 {
				t.Error("a shard that works counts as waiting")
			}
		}
		sources[1].put(oneQuery)
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range 2 {
			if _, err := a.Source(i); err != nil || times == 0 {
				t.Errorf("shard %d waits for frames after %d requests for places: %v", i, times, err)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, func(c *setup) { c.Shards = 2 })
		time.Sleep(time.Minute)
		a.fronts[1].state.began.Store(int64(time.Minute))
		time.Sleep(stuckAfter)
		if _, err := a.Source(1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := a.Source(1); err == nil || !strings.Contains(err.Error(), "shard 1 has worked on the same frames for 11s") {
			t.Errorf("a stuck shard: %v", err)
		}
		if _, err := a.Source(0); err != nil {
			t.Error(err)
		}
	})
}
