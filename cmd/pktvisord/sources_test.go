package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/access"
	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/geo"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/state"
)

// testSource is a live source that has frames at given times, and fails when fail receives an error.
type testSource struct {
	frames []time.Time
	fail   <-chan error // nil for a source that does not fail
}

func (s *testSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	select {
	case err := <-s.fail:
		return err
	case <-time.After(20 * time.Millisecond):
	}
	for len(s.frames) > 0 && !s.frames[0].After(time.Now()) {
		b.Frames = append(b.Frames, capture.Frame{Data: make([]byte, 60), WireLen: 60, Link: linktype.Ethernet, Time: s.frames[0].UnixNano()})
		s.frames = s.frames[1:]
	}
	return nil
}

func (*testSource) Clock() capture.Clock { return capture.Arrival }
func (*testSource) Stats() capture.Stats { return capture.Stats{} }
func (*testSource) Close() error         { return nil }

// newLive returns what the program makes of its options, with other sources. failed is called when a source has failed.
// Call keep after the agent has stopped, to write its minutes into the state directory.
func newLive(t *testing.T, failed func(error), sources []capture.Source, args ...string) (l *live, keep func()) {
	t.Helper()
	o, err := parse(append(args, "lo"))
	if err != nil {
		t.Fatal(err)
	}
	if l, err = o.newLive(slog.New(slog.DiscardHandler), geo.Open); err != nil {
		t.Fatal(err)
	}
	l.wanted = newWanted(o)
	p, err := l.wanted.plan()
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.newRunning(p.policies[0])
	if err != nil {
		t.Fatal(err)
	}
	given, cfg := l.newTap(p.inputs[0], p)
	given.title, given.sources, cfg.Shards = "test", sources, len(sources)
	cfg.OnSourceError = func(_ int, err error) { failed(err) }
	first := &change{plan: p, add: []*running{r}, open: []*tap{given}, configs: []agent.TapConfig{cfg}}
	if err := l.fit(first); err != nil {
		t.Fatal(err)
	}
	if keep, err = l.newAgent(first); err != nil {
		t.Fatal(err)
	}
	return l, keep
}

// TestFailedSourceIsNotReady: once a source has failed, /readyz answers 503 with its error, even if other sources
// continue.
func TestFailedSourceIsNotReady(t *testing.T) {
	broken, failed := make(chan error, 1), make(chan error, 1)
	l, _ := newLive(t, func(err error) { failed <- err }, []capture.Source{&testSource{}, &testSource{fail: broken}})
	ctx, stop := context.WithCancel(t.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewHTTP(server.New(l.serverConfig(ctx, listener.Addr())).Handler(), slog.New(slog.DiscardHandler))
	if l.guard, err = access.Open(access.Config{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, srv, listener, nil) }()
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get("/readyz"); status != http.StatusOK {
		t.Errorf("before: %d %s", status, body)
	}
	gone := errors.New("the ring is gone")
	broken <- gone
	if err := <-failed; !errors.Is(err, gone) {
		t.Errorf("the agent reports %v", err)
	}
	if status, body := get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, gone.Error()) {
		t.Errorf("after: %d %s", status, body)
	}
	if status, body := get("/api/v1/metrics/app"); status != http.StatusOK || !strings.Contains(body, `"capturing":false,"fault":"`+gone.Error()) {
		t.Errorf("the agent's description of itself: %d %s", status, body)
	}
	if status, _ := get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	stop()
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("the program ends with %v", err)
	}
}

// TestShutdownSavesClosingMinute stops an agent just after the end of a minute, while that minute still waits for late
// packets. The state directory then has both that minute and the one that has begun.
func TestShutdownSavesClosingMinute(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now() // the start of a minute
		at := func(d time.Duration) time.Time { return start.Add(d) }
		src := &testSource{frames: []time.Time{at(58 * time.Second), at(59 * time.Second), at(59_900 * time.Millisecond), at(60_100 * time.Millisecond)}}
		l, keep := newLive(t, func(err error) { t.Error(err) }, []capture.Source{src}, "--state-dir", dir)
		ctx, stop := context.WithTimeout(t.Context(), 60_800*time.Millisecond)
		defer stop()
		if err := l.agent.Run(ctx, nil); err != nil {
			t.Error(err)
		}
		keep()

		s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(nil)
		type minute struct{ start, packets int64 }
		var got []minute
		for _, b := range s.Load(time.Now(), 5) {
			got = append(got, minute{b.Start - start.Unix(), int64(metric.Of[packets.Metrics](b.Sections[0]).Total)})
		}
		if want := []minute{{0, 3}, {60, 1}}; !slices.Equal(got, want) {
			t.Errorf("the directory has %v (start and packets), want %v", got, want)
		}
	})
}
