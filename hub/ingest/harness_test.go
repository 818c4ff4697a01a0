package ingest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/fleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

var quiet = slog.New(slog.DiscardHandler)

// shared is the one real store of this test binary. Each case uses policies of its own.
var shared *store.Store

// noon is 12:03 of the last day of which that was at least three hours ago. It lies in the past, because the store finds raw
// host-minutes by their arrival, and always at the same time of day, so that a test does not depend on the time at which it
// runs. It is the fourth of its five minutes, so that a few minutes are in two rollups of five.
var noon = rollup.Day1.Of(time.Now().Unix()-15*3600) + 12*3600 + 180

func TestMain(m *testing.M) { os.Exit(testAll(m)) }

func testAll(m *testing.M) int {
	flag.Parse()
	if testing.Short() && !set("rapid.checks") {
		checks := "25"
		if testkit.RaceEnabled {
			checks = "6" // each takes ten times as long
		}
		flag.Set("rapid.checks", checks)
	}
	dir, err := os.MkdirTemp("", "ingest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if shared, err = store.Open(context.Background(), store.Config{Dir: dir, Log: quiet, RawBytes: 1 << 30}); err != nil {
		panic(err)
	}
	defer shared.Close()
	return m.Run()
}

// set reports whether a flag is on the command line.
func set(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

var errDead = errors.New("the hub is dead")

// view is the shared store as one ingester sees it: only one policy, and with faults.
type view struct {
	*store.Store
	policy string
	before func(k store.Key) error // called before each write; may be nil
}

func (v *view) Groups(ctx context.Context) (map[string][]string, error) {
	all, err := v.Store.Groups(ctx)
	return map[string][]string{v.policy: all[v.policy]}, err
}

func (v *view) Put(ctx context.Context, k store.Key, data []byte, revision uint64) (uint64, error) {
	if v.before != nil {
		if err := v.before(k); err != nil {
			return 0, err
		}
	}
	return v.Store.Put(ctx, k, data, revision)
}

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var policies struct {
	mu sync.Mutex
	n  int
}

// newPolicy returns the name of a policy that no other case uses.
func newPolicy() string {
	policies.mu.Lock()
	defer policies.mu.Unlock()
	policies.n++
	return fmt.Sprint("p", policies.n)
}

// newIngester makes an ingester of the view. Gaps are not checked unless a test does so.
func newIngester(v *view, c *clock, change func(*Config)) *Ingester {
	cfg := Config{Store: v, Tables: fleet.Tables, Agent: "hub test", Now: c.now, Retention: 96 * time.Hour, Log: quiet}
	if change != nil {
		change(&cfg)
	}
	g := New(cfg)
	g.gaps.next = 1 << 40
	g.levels.budget = time.Hour // however busy the machine is
	return g
}

// tb is what testing and rapid have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// put stores a host-minute in the raw stream.
func put(t tb, b *metric.Bucket) {
	t.Helper()
	if err := shared.PutRaw(context.Background(), fleet.Snapshot(b), ""); err != nil {
		t.Fatal(err)
	}
}

// consume takes n deliveries from the raw stream.
func consume(t tb, n int) (list []store.Delivery) {
	t.Helper()
	for tries := 0; len(list) < n; tries++ {
		more, err := shared.Consume(context.Background(), n-len(list))
		if err != nil || tries > n+20 {
			t.Fatalf("%d of %d deliveries, error %v", len(list), n, err)
		}
		list = append(list, more...)
	}
	return list
}

// id is the identity of a host's bucket.
func id(policy, host string, tags metric.Tags, boot uint64) metric.Identity {
	return metric.Identity{Host: host, Policy: policy, Tags: tags, Boot: boot, Seq: 1}
}

// read reads a rollup that must be there.
func read(t tb, k store.Key) (rollup.Rollup, *metric.Bucket) {
	t.Helper()
	data, _, err := shared.Get(context.Background(), k)
	if err != nil {
		t.Fatalf("%v: %v", k, err)
	}
	r, err := rollup.Decode(data)
	if err != nil {
		t.Fatalf("%v: %v", k, err)
	}
	b, err := metric.ReadSnapshot(fleet.Tables, r.Snapshot)
	if err != nil {
		t.Fatalf("%v: %v", k, err)
	}
	return r, b
}

// total returns the number of events in a rollup, or -1 if there is none.
func total(t tb, k store.Key) int {
	t.Helper()
	if _, _, err := shared.Get(context.Background(), k); errors.Is(err, store.ErrNotFound) {
		return -1
	}
	_, b := read(t, k)
	return int(metric.Of[fleet.Values](b.Sections[0]).Total)
}

// finish lets the ingester write all that it holds, and compute all levels that are due within a minute.
func finish(t tb, g *Ingester, c *clock) {
	t.Helper()
	for range 100 {
		c.pass(15 * time.Second)
		g.step(context.Background())
		if len(g.pending) == 0 && len(g.levels.ready(c.now().Add(time.Minute))) == 0 {
			return
		}
	}
	t.Fatalf("not finished: %+v", g.Status())
}

// events makes n events of a minute.
func events(start int64, n int, name string) (list []fleet.Event) {
	for i := range n {
		list = append(list, fleet.Event{Second: start + int64(i)%minute.Seconds, Name: fmt.Sprint(name, i%7), Size: uint64(i)})
	}
	return list
}
