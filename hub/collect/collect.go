// Package collect pulls the minutes of agents over HTTP, and puts each into a store.
//
// Each agent is asked once a minute, just after it has sealed the minute by its own clock, for the minutes that are not
// stored yet. [Source] says which agents there are, and a lease which of them this hub asks. An agent that does not answer
// is asked again less and less often, and when it is back, for everything that it still has. [Collector.Refetch] asks for
// one minute again.
//
// Agents are not trusted. A snapshot that cannot be stored is refused and counted with its [Reason], and the rest of the
// answer counts. Answers are bounded in bytes, snapshots and time. Agents that are slow or away share a part of the
// requests that run at once, so that they do not hold up the others. The bodies of snapshots are not read here.
//
// [New] makes a collector and starts nothing. Run pulls until its context ends. The other methods may be called by any
// goroutine.
package collect

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"pktvisor/access"
)

// Config says from whom to pull, and where to put what they deliver. Only Sink must be set.
type Config struct {
	Sink    Sink
	Sources []Source
	// Leased reports whether this hub pulls the agents of a partition, and Partition returns that of a URL. If one of them is
	// nil, the hub pulls from all.
	Leased    func(partition int) bool
	Partition func(url string) int
	// Moved receives when the hub has got or lost partitions. It may be nil; then an agent that the hub gets is pulled with
	// its next minute.
	Moved <-chan struct{}
	// Newest returns the start of the newest minute of a host that is stored, or 0. If it is set, a target that this hub has
	// not asked before is first asked for its oldest minute, which says whose minutes it has. Otherwise it is asked for all
	// its minutes. Several goroutines call it.
	Newest func(ctx context.Context, host string) int64
	// Concurrency is how many requests run at once; 0 means 64. Eight times as many are for agents that are slow or away,
	// which mostly wait.
	Concurrency int
	// Self is the number of this hub's store; 0 means that loops of hubs are not noticed. See [Collector.Hubs].
	Self uint64
	// Version is the hub's version, for the User-Agent header.
	Version string
	// TLS says which agents to trust over https; nil means those that the system trusts. Auth may be nil.
	TLS  *tls.Config
	Auth *access.Auth
	// Log gets few lines, whatever agents do.
	Log *slog.Logger

	transport http.RoundTripper // replaces the network, in tests
}

const (
	defaultConcurrency = 64
	slowShare          = 8 // requests of slow agents for each of the others
)

// Collector pulls from agents.
type Collector struct {
	cfg    Config
	puller puller
	wake   chan struct{}
	log    logger

	mu     sync.Mutex // guards all below
	agents map[string]*agent
	hosts  map[string]map[*agent]claim
	hubs   map[uint64]time.Time // when minutes of another hub came last
	queue  schedule
	slots  [2]int // requests that run
}

// New makes a collector.
func New(cfg Config) *Collector {
	cfg.Concurrency = cmp.Or(cfg.Concurrency, defaultConcurrency)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.transport == nil {
		cfg.transport = newTransport(cfg.TLS)
	}
	return &Collector{
		cfg:  cfg,
		wake: make(chan struct{}, 1),
		log:  logger{log: cfg.Log},
		puller: puller{
			self:   cfg.Self,
			client: &http.Client{Transport: cfg.transport, CheckRedirect: sameOrigin},
			sink:   committer{sink: cfg.Sink}, auth: cfg.Auth,
			header: http.Header{"Accept": {typeSnapshot}, "User-Agent": {"pktvisor-hub/" + cmp.Or(cfg.Version, "0")}},
			bufs:   sync.Pool{New: func() any { return new(bytes.Buffer) }},
		},
		agents: map[string]*agent{},
		hosts:  map[string]map[*agent]claim{},
		hubs:   map[uint64]time.Time{},
	}
}

// event is news for the goroutine of Run.
type event struct {
	agent *agent
	job   uint64 // the number of the agent's request
	done  bool   // the request has ended, with o; otherwise it is slow
	o     outcome
}

// Run pulls until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	updates, events := make(chan []Target), make(chan event)
	wg.Go(func() {
		runSources(ctx, c.cfg.Log, c.cfg.Sources, func(targets []Target) {
			select {
			case updates <- targets:
			case <-ctx.Done():
			}
		})
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		jobs, next := c.due(time.Now())
		for _, a := range jobs {
			wg.Go(func() { c.pull(ctx, a, events) })
		}
		timer.Reset(max(time.Until(next), 0))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-c.wake:
		case <-c.cfg.Moved:
			c.takeOver(time.Now())
		case targets := <-updates:
			c.update(targets, time.Now())
		case e := <-events:
			c.handle(e, time.Now())
		}
	}
}

// takeOver lets the agents that this hub has got from another be pulled at once.
func (c *Collector) takeOver(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.agents {
		if a.status.State == Elsewhere && c.leased(a.URL) {
			a.regular = now
			c.queue.reschedule(a, now)
		}
	}
}

// slowAfter is how long a request may take before it counts as slow.
const slowAfter = 500 * time.Millisecond

// pull runs the job of an agent, and sends its outcome to events.
func (c *Collector) pull(ctx context.Context, a *agent, events chan<- event) {
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	late := event{agent: a, job: a.jobs}
	slow := time.AfterFunc(slowAfter, func() { send(late) })
	defer slow.Stop()
	p := a.progress
	j := a.job
	if !j.again && j.since == 0 {
		j.since = p.ask()
		if j.since != a.etagSince {
			j.etag = ""
		}
	}
	a.asked = j.since
	var o outcome
	if !p.fresh && c.cfg.Newest != nil {
		o = c.learn(ctx, &j, p)
	}
	if o.err == nil && o.storeErr == nil {
		p.fresh = true
		learnt := o
		o = c.puller.run(ctx, j, p)
		o.add(&learnt)
	}
	send(event{a, late.job, true, o})
}

// learn asks an agent for its oldest minute, looks up which of the host's minutes are stored, and lets the job ask for the
// minutes after these.
func (c *Collector) learn(ctx context.Context, j *job, p *progress) outcome {
	first := *j
	first.limit, first.again = 1, true
	o := c.puller.run(ctx, first, p)
	newest := int64(0)
	for host := range o.hosts {
		if stored := c.cfg.Newest(ctx, host); newest == 0 || stored < newest {
			newest = stored
		}
	}
	p.known = max(p.known, newest-overlap)
	j.since = max(j.since, p.known)
	return o
}

// update replaces the targets.
func (c *Collector) update(targets []Target, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := make(map[string]bool, len(targets))
	for _, t := range targets {
		wanted[t.URL] = true
		if a := c.agents[t.URL]; a != nil {
			a.Tags = t.Tags
			continue
		}
		a, err := newAgent(t, now)
		if err != nil { // the sources check URLs
			c.cfg.Log.Error("cannot pull from an agent", "url", t.URL, "err", err)
			continue
		}
		c.agents[t.URL] = a
		c.queue.add(a, now)
	}
	for url, a := range c.agents {
		if wanted[url] {
			continue
		}
		delete(c.agents, url)
		c.queue.remove(a)
		for host := range a.hosts {
			c.forget(a, host)
		}
		a.gone = true
	}
}

// forget removes a target's claim of a host.
func (c *Collector) forget(a *agent, host string) {
	delete(a.hosts, host)
	delete(c.hosts[host], a)
	if len(c.hosts[host]) == 0 {
		delete(c.hosts, host)
	}
}

var (
	// ErrUnknown says that no agent that this hub pulls from has delivered the host lately.
	ErrUnknown = errors.New("no agent of this host is pulled here")
	// ErrBusy says that too many minutes of the host's agents are asked for again already.
	ErrBusy = errors.New("too many minutes are being fetched again")
)

// Refetch asks the agents of a host once more for a policy's minute that begins at start. The minutes of the host's other
// policies come with it. It returns before the agents have answered.
func (c *Collector) Refetch(host, _ string, start int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := ErrUnknown
	for a := range c.hosts[host] {
		if len(a.wants) >= maxWants && !slices.Contains(a.wants, start) {
			return ErrBusy
		}
		if err = nil; !slices.Contains(a.wants, start) {
			a.wants = append(a.wants, start)
			c.queue.reschedule(a, time.Now())
		}
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return err
}

// Status returns the state of each target, in the order of the URLs.
func (c *Collector) Status() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	all := make([]Status, 0, len(c.agents))
	for _, a := range c.agents {
		all = append(all, a.describe(now))
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.URL, b.URL) })
	return all
}

// leased reports whether this hub pulls from a target.
func (c *Collector) leased(url string) bool {
	return c.cfg.Leased == nil || c.cfg.Partition == nil || c.cfg.Leased(c.cfg.Partition(url))
}
