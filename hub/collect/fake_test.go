package collect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/server"
	"pktvisor/window"
)

// counts is a table of one counter.
type counts struct {
	_ metric.Object  `metric:"" title:"Fruit" help:"Fruit."`
	N metric.Counter `metric:"n" unit:"packets" help:"Pieces."`
}

var tables = []*metric.Table{metric.Define[counts]("fruit")}

// fake is an agent: the API server of this project over minutes that the test seals.
type fake struct {
	host   string
	boot   uint64
	clock  time.Duration // its clock minus ours
	policy []string
	server http.Handler

	mu        sync.Mutex
	minutes   []*metric.Bucket
	seq       uint64
	down      error
	requests  []string // the queries, in order
	unchanged int
}

func newFake(host string) *fake {
	f := &fake{host: host, boot: 1, policy: []string{"default"}}
	f.server = server.New(server.Config{Window: f, Tables: tables, Version: "1", Started: time.Now(), Status: func() server.Status { return server.Status{} }}).Handler()
	return f
}

func (f *fake) Periods() int                       { return 1440 }
func (f *fake) Bucket(int) *metric.Bucket          { return nil }
func (f *fake) Merged(int) *metric.Bucket          { return nil }
func (f *fake) Totals() *metric.Bucket             { return metric.NewBucket(tables) }
func (f *fake) Second(int64, func(*metric.Bucket)) {}

func (f *fake) Minutes() (list []window.Minute) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.minutes {
		list = append(list, window.Minute{Start: b.Start, End: b.End, Version: b, Bucket: func() *metric.Bucket { return b }})
	}
	return list
}

// set changes the agent.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// now returns the time by the agent's clock.
func (f *fake) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.clock)
}

// seal adds a bucket for the minute that begins at start, for each policy.
func (f *fake) seal(start int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	for _, policy := range f.policy {
		b := metric.NewBucket(tables)
		b.Identity = metric.Identity{Host: f.host, Policy: policy, Boot: f.boot, Seq: f.seq}
		b.Cover(start, start+minute.Seconds)
		metric.Of[counts](b.Sections[0]).N = metric.Counter(start)
		b.Seal(64)
		f.minutes = append(f.minutes, b)
	}
}

// run seals each minute that it sees the beginning of, when the agent's clock is after past the minute's end, until ctx ends.
func (f *fake) run(ctx context.Context, after time.Duration) {
	for start := minute.Next(f.now().Unix() - 1); ; start += minute.Seconds {
		if !sleep(ctx, time.Unix(start+minute.Seconds, 0).Add(after).Sub(f.now())) {
			return
		}
		f.seal(start)
	}
}

// network is a transport that calls the handlers of agents.
type network map[string]*fake

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	f := n[r.URL.Hostname()]
	f.mu.Lock()
	down := f.down
	f.requests = append(f.requests, r.URL.RawQuery)
	f.mu.Unlock()
	if down != nil {
		return nil, down
	}
	w := httptest.NewRecorder()
	w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	// A zstd encoder has a channel. One that a bubble has made must not be used in another.
	plain := r.Clone(r.Context())
	plain.URL.RawQuery = strings.Replace(r.URL.RawQuery, "&body=zstd", "", 1)
	f.server.ServeHTTP(w, plain)
	res := w.Result()
	if res.StatusCode == http.StatusNotModified {
		f.mu.Lock()
		f.unchanged++
		f.mu.Unlock()
	}
	return res, nil
}

// arrival is a stored minute.
type arrival struct {
	host, policy        string
	boot, seq, revision uint64
	start               int64
	tags                metric.Tags
	at                  time.Time
}

// shelf is a sink that keeps what it gets.
type shelf struct {
	mu   sync.Mutex
	got  []arrival
	fail error
	slow time.Duration
}

func (s *shelf) PutRaws(ctx context.Context, puts []store.Put) (errs []error) {
	for _, p := range puts {
		errs = append(errs, s.putRaw(ctx, p.Data, p.Extra))
	}
	return errs
}

func (s *shelf) putRaw(_ context.Context, data []byte, extra metric.Tags) error {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	info, err := metric.ReadSnapshotInfo(data)
	if err != nil {
		return err
	}
	id := info.Identity
	s.got = append(s.got, arrival{id.Host, id.Policy, id.Boot, id.Seq, id.Revision, info.Start, extra, time.Now()})
	return nil
}

// set makes the sink fail, or work again.
func (s *shelf) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *shelf) all() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// world runs a collector over fake agents, in a bubble of fake time that begins at a full minute.
type world struct {
	t     *testing.T
	ctx   context.Context
	net   network
	shelf *shelf
	c     *Collector
	begun time.Time
}

// inWorld runs a test. The agents seal by themselves if they are in running, by the given times after each minute's end.
func inWorld(t *testing.T, cfg Config, agents []*fake, running time.Duration, test func(w *world)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &world{t: t, ctx: ctx, net: network{}, shelf: &shelf{}, begun: time.Now()}
	var targets Static
	var wg sync.WaitGroup
	for _, f := range agents {
		w.net[f.host] = f
		targets = append(targets, Target{URL: "http://" + f.host + ":10853"})
		if running > 0 {
			wg.Go(func() { f.run(ctx, running) })
		}
	}
	cfg.transport = w.net
	cfg.Sink = w.shelf
	if cfg.Sources == nil {
		cfg.Sources = []Source{targets}
	}
	w.c = New(cfg)
	wg.Go(func() { w.c.Run(ctx) })
	test(w)
	cancel()
	wg.Wait()
}

// wait lets the time pass.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// once checks that each agent's minutes from the given one are stored, each once, and returns the greatest time between a
// minute's end and its arrival.
func (w *world) once(minutes int) (worst time.Duration) {
	w.t.Helper()
	count := map[string]int{}
	for _, a := range w.shelf.all() {
		count[fmt.Sprint(a.host, a.policy, a.boot, a.seq, a.start)]++
		f := w.net[a.host]
		worst = max(worst, a.at.Add(f.clock).Sub(time.Unix(a.start+minute.Seconds, 0)))
	}
	for host, f := range w.net {
		if len(f.minutes) != minutes {
			w.t.Errorf("%s has sealed %d minutes, want %d", host, len(f.minutes), minutes)
		}
		for _, b := range f.minutes {
			key := fmt.Sprint(host, b.Identity.Policy, b.Identity.Boot, b.Identity.Seq, b.Start)
			if count[key] != 1 {
				w.t.Errorf("%s is stored %d times", key, count[key])
			}
			delete(count, key)
		}
	}
	if len(count) > 0 {
		w.t.Errorf("stored, but of no agent: %v", count)
	}
	return worst
}

func (w *world) status(host string) Status {
	w.t.Helper()
	for _, s := range w.c.Status() {
		if s.URL == "http://"+host+":10853" {
			return s
		}
	}
	w.t.Fatalf("no target %s", host)
	return Status{}
}

var errDown = errors.New("connection refused")

// snapshotOf returns the snapshot of a bucket that edit may change.
func snapshotOf(edit func(b *metric.Bucket)) []byte {
	b := metric.NewBucket(tables)
	b.Identity = metric.Identity{Host: "ns1", Policy: "default", Boot: 1, Seq: 1}
	start := minute.Of(time.Now().Unix()) - minute.Seconds
	b.Cover(start, start+minute.Seconds)
	metric.Of[counts](b.Sections[0]).N = 7
	if edit != nil {
		edit(b)
	}
	b.Seal(64)
	return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "test"})
}

// endless is a body that repeats a pattern forever.
type endless struct {
	pattern []byte
	at      int
}

func (e *endless) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		k := copy(p[n:], e.pattern[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.pattern)
	}
	return n, nil
}
