package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/window"
)

// twoTaps returns the configurations of two taps with the given shards each.
func twoTaps(t *testing.T, shards int) []TapConfig {
	t.Helper()
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		t.Fatal(err)
	}
	one := TapConfig{Name: "one", Shards: shards, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second}
	other := one
	other.Name = "other"
	return []TapConfig{one, other}
}

// asSources returns sources as an agent takes them.
func asSources[S capture.Source](all []S) (sources []capture.Source) {
	for _, s := range all {
		sources = append(sources, s)
	}
	return sources
}

// sums adds up the counters of sealed buckets.
type sums struct {
	packets  metric.Counter
	messages metric.Counter
	xacts    metric.Counter
}

func (s *sums) add(b *metric.Bucket) {
	for _, section := range b.Sections {
		switch section.Table.Section {
		case "packets":
			s.packets += metric.Of[packets.Metrics](section).Total
		case "dns":
			m := metric.Of[dns.Metrics](section)
			s.messages += m.Total
			s.xacts += m.Xacts
		}
	}
}

// TestChanges: while policies come and go at random on two taps, a policy that stays has exactly the content that it has alone,
// the queries that wait included. A policy that is replaced again and again has counted everything in the end, with the buckets
// that its generations have announced.
func TestChanges(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate = bubbleStart.Add(20*time.Second), 40
	file, truth := traffic(t, cfg, 6000, 1)
	stays := PolicyConfig{Name: "stays", Topics: Topics(nil, 5*time.Second), Periods: 10, DeepSamplePercent: 100}
	for _, shards := range []int{1, 3} {
		run := func(t *testing.T, during func(*Agent, time.Time)) (image string) {
			synctest.Test(t, func(t *testing.T) {
				a, err := New(Config{Taps: twoTaps(t, shards), Policies: []PolicyConfig{stays}})
				if err != nil {
					t.Fatal(err)
				}
				dealt := dealOut(t, file, 2*shards)
				end := bubbleStart.Add(time.Duration(len(truth.Minutes))*time.Minute + 30*time.Second)
				ctx, stop := context.WithDeadline(t.Context(), end)
				defer stop()
				var running sync.WaitGroup
				running.Go(func() {
					err := a.Run(ctx, map[string][]capture.Source{"one": asSources(dealt[:shards]), "other": asSources(dealt[shards:])})
					if err != nil {
						t.Error(err)
					}
				})
				if during != nil {
					during(a, end)
				}
				running.Wait()
				image = images(a.Policy("stays"))
			})
			return image
		}
		alone := run(t, nil)
		var replaced sums
		changes := 0
		with := run(t, func(a *Agent, end time.Time) { changes = change(t, a, end, &replaced) })
		if changes < 100 {
			t.Fatalf("%d shards: only %d changes", shards, changes)
		}
		if alone != with {
			t.Errorf("%d shards: with changes\n%.3000s\nalone\n%.3000s", shards, with, alone)
		}
		if replaced.packets != metric.Counter(truth.Total.Packets) || replaced.messages != metric.Counter(truth.Total.DNSMessages) {
			t.Errorf("%d shards: generations have %d packets with %d messages; want %d with %d", shards, replaced.packets, replaced.messages, truth.Total.Packets, truth.Total.DNSMessages)
		}
		if replaced.xacts == 0 {
			t.Errorf("%d shards: generations have no transactions", shards)
		}
	}
}

// change adds and removes policies at random until shortly before the end. It returns the number of changes.
func change(t *testing.T, a *Agent, end time.Time, replaced *sums) (changes int) {
	random := rand.New(rand.NewPCG(1, 2))
	all := Topics(nil, 5*time.Second)
	next := PolicyConfig{Name: "replaced", Topics: all, Periods: 3, DeepSamplePercent: 100, OnSeal: replaced.add}
	add := func(c PolicyConfig) {
		if _, err := a.AddPolicy(c); err != nil {
			t.Error(err)
		}
		changes++
	}
	remove := func(name string) {
		if err := a.RemovePolicy(name); err != nil {
			t.Error(err)
		}
		changes++
	}
	synctest.Wait()
	add(next)
	for time.Until(end) > 3*time.Second {
		time.Sleep(time.Duration(random.Int64N(3e9)) + 1) // not at the time of a frame
		synctest.Wait()
		switch name := fmt.Sprint("p", random.IntN(5)); {
		case random.IntN(3) == 0:
			remove("replaced")
			add(next)
		case a.Policy(name) != nil:
			remove(name)
		default:
			c := PolicyConfig{Name: name, Periods: 2, DeepSamplePercent: 10 + random.IntN(90), MinDeepSamplePercent: random.IntN(10)}
			c.Topics = [][]analyze.Topic{all, all[:1], all[1:]}[random.IntN(3)]
			c.Taps = [][]string{nil, {"one"}, {"other"}}[random.IntN(3)]
			add(c)
		}
	}
	for _, p := range slices.Clone(a.Policies()) {
		if p.cfg.Name != "stays" {
			remove(p.cfg.Name)
		}
	}
	for _, tap := range a.Taps() {
		if n := len(tap.policies.all()); n != 1 {
			t.Errorf("tap %s has %d policies", tap.cfg.Name, n)
		}
	}
	return changes
}

// endless is a live source that always has frames, until it is stopped.
type endless struct {
	arriving
	frames []capture.Frame
	sent   atomic.Uint64
	over   atomic.Bool
}

// ReadBatch implements [capture.Source].
func (s *endless) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	if s.over.Load() {
		time.Sleep(time.Millisecond)
		return nil
	}
	now := time.Now().UnixNano()
	for _, f := range s.frames {
		f.Time = now
		b.Frames = append(b.Frames, f)
	}
	s.sent.Add(uint64(len(s.frames)))
	runtime.Gosched()
	return nil
}

// Stats implements [capture.Source].
func (s *endless) Stats() capture.Stats { return capture.Stats{Received: s.sent.Load()} }

// Close implements [capture.Source].
func (s *endless) Close() error { return nil }

// newEndless returns a source of the frames of generated traffic.
func newEndless(t *testing.T) *endless {
	file, _ := traffic(t, testkit.TinyMixed(), 200, 1)
	return &endless{frames: dealOut(t, file, 1)[0].frames}
}

// TestChangesUnderLoad: several goroutines add and remove policies and taps while shards work without a pause. A policy that
// stays counts every frame. Afterwards there are no more goroutines than before, and nothing keeps the windows of removed policies
// in memory.
func TestChangesUnderLoad(t *testing.T) {
	const rounds, changers = 25, 4
	goroutines := runtime.NumGoroutine()
	sources := []*endless{newEndless(t), newEndless(t)}
	tap := twoTaps(t, 2)[0]
	a, err := New(Config{Taps: []TapConfig{tap}, Policies: []PolicyConfig{{Name: "stays", Topics: Topics(nil, time.Second), Periods: 3, DeepSamplePercent: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	stays := a.Policy("stays")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, map[string][]capture.Source{"one": asSources(sources)}) }()
	var windows [changers * rounds]weak.Pointer[window.Window]
	var changing sync.WaitGroup
	for c := range changers {
		changing.Go(func() {
			own := tap
			own.Name, own.Shards = fmt.Sprint("tap of ", c), 1
			for i := range rounds {
				src := newEndless(t)
				if err := errors.Join(a.AddTap(own, []capture.Source{src})); err != nil {
					t.Error(err)
				}
				name := fmt.Sprint("policy of ", c)
				var got metric.Counter
				p, err := a.AddPolicy(PolicyConfig{
					Name: name, Taps: [][]string{{"one", own.Name}, {own.Name}, {"one"}}[i%3], Topics: Topics(nil, time.Second), Scale: -6,
					Periods: 2, DeepSamplePercent: 100, OnSeal: func(b *metric.Bucket) { got += packetMetrics(b).Total },
				})
				if err != nil {
					t.Error(err)
					return
				}
				windows[c*rounds+i] = weak.Make(p.Window())
				if err := a.RemoveTap(own.Name); i%3 < 2 && (err == nil || !strings.Contains(err.Error(), `"`+name+`"`)) {
					t.Errorf("a tap in use was removed: %v", err)
				}
				testkit.Eventually(t, "the policy counts", func() bool { return packetMetrics(p.Window().Totals()).Total > 0 || i%5 > 0 })
				before := packetMetrics(p.Window().Totals()).Total
				if err := a.RemovePolicy(name); err != nil {
					t.Error(err)
				}
				if got < before || got != packetMetrics(p.Window().Totals()).Total {
					t.Errorf("%d packets were announced, and the window has %d", got, packetMetrics(p.Window().Totals()).Total)
				}
				if err := a.RemoveTap(own.Name); err != nil && i%3 < 2 {
					t.Error(err)
				}
			}
		})
	}
	changing.Wait()
	for _, s := range sources {
		s.over.Store(true)
	}
	sent := func() uint64 { return sources[0].sent.Load() + sources[1].sent.Load() }
	testkit.Eventually(t, "every frame counts", func() bool { return uint64(packetsOf(stays.Window().Totals())) == sent() })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := uint64(packetsOf(stays.Window().Totals())); got != sent() {
		t.Errorf("%d packets of %d", got, sent())
	}
	if n := len(a.Taps()) + len(a.Policies()); n != 2 {
		t.Errorf("%d taps and policies are left", n)
	}
	testkit.Eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	testkit.Eventually(t, "the windows are released", func() bool {
		runtime.GC()
		return !slices.ContainsFunc(windows[:], func(w weak.Pointer[window.Window]) bool { return w.Value() != nil })
	})
	runtime.KeepAlive(a)
}

// TestRemovedReader: messages are read as long as a policy takes them, by one reader for all.
func TestRemovedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agentOf(t, 1, PolicyConfig{Name: "packets", Topics: Topics(nil, time.Second)[:1], Periods: 2, DeepSamplePercent: 100})
		f := a.Tap("tap").fronts[0]
		src := new(fakeSource)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := a.Run(ctx, map[string][]capture.Source{"tap": {src}}); err != nil {
				t.Error(err)
			}
		})
		var got [2]sums
		add := func(i int) {
			_, err := a.AddPolicy(PolicyConfig{
				Name: fmt.Sprint(i), Topics: Topics(nil, time.Second)[1:], Periods: 2, DeepSamplePercent: 100,
				OnSeal: got[i].add,
			})
			if err != nil {
				t.Error(err)
			}
		}
		put := func() {
			src.put(oneQuery)
			time.Sleep(2 * fakeWait)
			synctest.Wait()
		}
		if put(); f.reader != nil {
			t.Error("there is a reader, and no policy takes messages")
		}
		add(0)
		first := f.reader
		put()
		add(1)
		if put(); f.reader != first || first == nil {
			t.Error("the second policy has its own reader")
		}
		if err := a.RemovePolicy("0"); err != nil || f.reader != first {
			t.Errorf("the reader of the second policy is gone, or %v", err)
		}
		put()
		if err := a.RemovePolicy("1"); err != nil || f.reader != nil {
			t.Errorf("the reader is still there, or %v", err)
		}
		put()
		stop()
		running.Wait()
		if got[0].messages != 2 || got[1].messages != 2 {
			t.Errorf("%+v, want 2 messages each", got)
		}
		if n := packetsOf(a.Policy("packets").Window().Totals()); n != 5 {
			t.Errorf("%d packets, want 5", n)
		}
	})
}

// TestLateTaps: an agent without taps runs until its context is done. Taps that are added run at once; one that fails is no
// reason to stop, and its windows continue with the other taps.
func TestLateTaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx, nil) }()
		synctest.Wait()
		sources := []*fakeSource{new(fakeSource), new(fakeSource)}
		failed := ""
		for i, c := range twoTaps(t, 1) {
			c.OnSourceError = func(_ int, err error) { failed = c.Name + ": " + err.Error() }
			if err := a.AddTap(c, []capture.Source{sources[i]}); err != nil {
				t.Fatal(err)
			}
		}
		p, err := a.AddPolicy(PolicyConfig{Topics: Topics(nil, time.Second), Periods: 5, DeepSamplePercent: 100})
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for i := range 200 {
			if i < 100 {
				sources[0].put(oneQuery)
				sent++
			}
			sources[1].put(oneQuery)
			sent++
			time.Sleep(time.Second)
			if i == 100 {
				sources[0].fail(errors.New("gone"))
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("the run has ended: %v", err)
		default:
		}
		if failed != "one: gone" || p.Window().Bucket(3) == nil {
			t.Errorf("failed %q; bucket %v", failed, p.Window().Bucket(3))
		}
		if err := a.RemovePolicy(Default); err != nil {
			t.Error(err)
		}
		if err := a.RemoveTap("one"); err == nil || err.Error() != "gone" {
			t.Errorf("the error of the source: %v", err)
		}
		if err := a.RemoveTap("other"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the run has ended without taps: %v", err)
		default:
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := packetsOf(p.Window().Totals()); got != sent {
			t.Errorf("%d packets of %d", got, sent)
		}
	})
}

// TestChangeErrors: a change that does not fit is refused, and changes nothing.
func TestChangeErrors(t *testing.T) {
	policy := func(name string, taps ...string) PolicyConfig {
		return PolicyConfig{Name: name, Taps: taps, Topics: Topics(nil, 0)[:1], Periods: 2}
	}
	a, err := New(Config{Taps: []TapConfig{{Name: "eth0", Shards: 2}}, Policies: []PolicyConfig{policy("a", "eth0"), policy("b", "eth0"), policy("c"), policy("d"), policy("e"), policy("f"), policy("g")}})
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]error{
		`there are two taps "eth0"`:                a.AddTap(TapConfig{Name: "eth0", Shards: 1}, []capture.Source{new(fakeSource)}),
		`tap default: 1 sources for 2 shards`:      a.AddTap(TapConfig{Shards: 2}, []capture.Source{new(fakeSource)}),
		`tap "eth1" does not exist`:                a.RemoveTap("eth1"),
		`policy "x" does not exist`:                a.RemovePolicy("x"),
		`there are two policies "a"`:               errorOf(a.AddPolicy(policy("a"))),
		`policy "x": tap "eth1" is not configured`: errorOf(a.AddPolicy(policy("x", "eth0", "eth1"))),
		`tap "eth0" is in use: remove the policies that use it first: "a", "b", "c", "d", "e" and 2 more`: a.RemoveTap("eth0"),
	} {
		if got == nil || got.Error() != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	if len(a.Taps()) != 1 || len(a.Policies()) != 7 || len(a.Tap("eth0").policies.all()) != 7 {
		t.Errorf("%d taps, %d policies, %d of the tap", len(a.Taps()), len(a.Policies()), len(a.Tap("eth0").policies.all()))
	}
}

func errorOf[T any](_ T, err error) error { return err }
