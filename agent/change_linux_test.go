package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
	"pktvisor/metric"
)

// openVeth captures on one end of a pair of interfaces in a new network namespace, with a counter in the kernel if counted is
// true. It returns the other end. Only the thread of the test can open sockets in the namespace: so the agent must not spread
// frames by itself.
func openVeth(t *testing.T, tap *TapConfig, counted bool) (*veth.Link, []capture.Source) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (Debian: iproute2)")
	}
	runtime.LockOSThread() // for the rest of the test: the thread ends with it, and the namespace too
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	link, err := veth.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	cfg := capture.LiveConfig{
		Interface: veth.Receiver, Shards: tap.Shards, OnDemand: true,
		RingBytes: 16 << 20, // that of the first ring, so that a shard never opens a larger one
	}
	if counted {
		tap.Counter, err = count.Open(count.Config{
			Ports: tap.DNSPorts, Tunnels: decode.TunnelPorts(), SnapLen: capture.DefaultSnapLen, Split: capture.MarksSuperFrames(),
			Hosts: tap.Hosts.Prefixes(), Seed: 7, Threshold: analyze.Threshold(metric.Percent(10)),
		})
		if err != nil {
			t.Skipf("the kernel does not count: %v", err)
		}
		t.Cleanup(func() { tap.Counter.Close() })
		cfg.Counter = tap.Counter
	}
	sources, err := capture.OpenLive(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range sources {
			s.Close()
		}
	})
	if open, most := capture.Rings(sources); open < most {
		thread := unix.Gettid()
		tap.Spread = func(n int) error {
			if unix.Gettid() != thread {
				return errors.New("not by itself")
			}
			return capture.Spread(sources, n)
		}
	}
	return link, sources
}

// TestLiveChanges: a hundred changes of policies on a real interface, while frames arrive. A policy that stays counts every frame,
// and the generations of one that is replaced while nothing is sent count every frame together. So does a policy that samples while
// the kernel counts for it, and one for which the kernel must hand over everything. No frame is dropped.
func TestLiveChanges(t *testing.T) {
	const changes, generations = 100, 5
	file, _ := traffic(t, testkit.TinyMixed(), 2000, 1)
	frames := dealOut(t, file, 1)[0].frames
	for name, counted := range map[string]bool{"counted by the agent": false, "counted by the kernel": true} {
		t.Run(name, func(t *testing.T) {
			tap := twoTaps(t, 2)[0]
			link, sources := openVeth(t, &tap, counted)
			sampled := PolicyConfig{Name: "stays", Topics: Topics(nil, time.Second), Periods: 3, DeepSamplePercent: 10, SampleSeed: 7}
			a, err := New(Config{Taps: []TapConfig{tap}, Policies: []PolicyConfig{sampled}})
			if err != nil {
				t.Fatal(err)
			}
			goroutines := runtime.NumGoroutine()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx, map[string][]capture.Source{"one": sources}) }()
			c := &liveChanges{t: t, a: a, random: rand.New(rand.NewPCG(3, 4)), link: link, frames: frames}
			c.replaced = sampled
			c.replaced.Name, c.replaced.OnSeal = "replaced", c.sums.add
			for i := range generations {
				c.generation(changes/generations, 1+(i+1)%2)
			}
			if _, started := a.Tap("one").Shards(); started != 2 {
				t.Errorf("%d shards were started", started)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			c.check()
			if n := len(a.Policies()); n != 1 {
				t.Errorf("%d policies are left", n)
			}
			testkit.Eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
			var lost uint64
			for _, s := range sources {
				stats := s.Stats()
				lost += stats.Lost()
			}
			if d := link.Dropped(); lost > 0 || d > 0 {
				t.Errorf("%d frames lost, %d dropped before", lost, d)
			}
		})
	}
}

// liveChanges changes the policies of a live capture.
type liveChanges struct {
	t        *testing.T
	a        *Agent
	random   *rand.Rand
	link     *veth.Link
	frames   []capture.Frame
	sent     int
	replaced PolicyConfig
	sums     sums
	took     []time.Duration // of adding a policy, and of removing one
}

func (c *liveChanges) add(cfg PolicyConfig) {
	began := time.Now()
	if _, err := c.a.AddPolicy(cfg); err != nil {
		c.t.Error(err)
	}
	c.took = append(c.took, time.Since(began))
}

func (c *liveChanges) remove(name string) {
	began := time.Now()
	if err := c.a.RemovePolicy(name); err != nil {
		c.t.Error(err)
	}
	c.took = append(c.took, time.Since(began))
}

// generation adds the policy that is replaced, makes changes while frames are sent, and removes it when all frames are counted. In
// between, the frames are spread over another number of shards, if they can be.
func (c *liveChanges) generation(changes, shards int) {
	c.add(c.replaced)
	var over atomic.Bool
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := 0; !over.Load(); i++ {
			c.link.Send(c.frames[i%len(c.frames)].Data)
			if c.sent++; i%100 == 99 {
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
	for range changes {
		time.Sleep(time.Duration(c.random.IntN(30)) * time.Millisecond)
		name := fmt.Sprint("p", c.random.IntN(4))
		if c.a.Policy(name) != nil {
			c.remove(name)
			continue
		}
		cfg := c.replacedAs(name)
		cfg.DeepSamplePercent, cfg.Partial = 1+c.random.IntN(100), c.random.IntN(3) == 0
		c.add(cfg)
	}
	if tap := c.a.Tap("one"); tap.cfg.Spread != nil {
		if err := tap.spread(shards); err != nil && !errors.Is(err, capture.ErrChanging) {
			c.t.Error(err)
		}
	}
	for range 5 {
		c.add(c.replacedAs("last"))
		c.remove("last")
	}
	over.Store(true)
	sending.Wait()
	stays := c.a.Policy("stays").Window()
	testkit.Eventually(c.t, "every frame counts", func() bool { return packetsOf(stays.Totals()) == c.sent })
	for _, p := range slices.Clone(c.a.Policies()) {
		if p.cfg.Name != "stays" {
			c.remove(p.cfg.Name)
		}
	}
}

// replacedAs returns the configuration of the policy that is replaced, for another one.
func (c *liveChanges) replacedAs(name string) PolicyConfig {
	cfg := c.replaced
	cfg.Name, cfg.OnSeal = name, nil
	return cfg
}

func (c *liveChanges) check() {
	if got := packetsOf(c.a.Policy("stays").Window().Totals()); got != c.sent {
		c.t.Errorf("%d packets of %d", got, c.sent)
	}
	if got := int(c.sums.packets); got != c.sent {
		c.t.Errorf("the generations have %d packets of %d", got, c.sent)
	}
	slices.Sort(c.took)
	c.t.Logf("%d changes while %d frames came; a change took %v, at most %v", len(c.took), c.sent, c.took[len(c.took)/2], c.took[len(c.took)-1])
	if median := c.took[len(c.took)/2]; median > 50*time.Millisecond && !testkit.RaceEnabled {
		c.t.Errorf("a change took %v", median)
	}
}
