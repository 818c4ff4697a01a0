package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pktvisor/access"
	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/export/otlp"
	"pktvisor/export/push"
	"pktvisor/geo"
	"pktvisor/internal/memlimit"
	"pktvisor/internal/memory"
	"pktvisor/internal/service"
	"pktvisor/internal/version"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/psl"
	"pktvisor/sandbox"
	"pktvisor/server"
	"pktvisor/timeline"
)

// tapsWait is how long the agent waits at its end until its sockets are closed.
const tapsWait = 2 * time.Second

// closeWait is how long pending requests may take after the agent is told to stop.
const closeWait = 300 * time.Millisecond

// runLive captures and serves until ctx is done.
func (o *options) runLive(ctx context.Context, log *slog.Logger) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before anything else, because SIGHUP kills the program until then
	defer signal.Stop(hangups)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	manager := service.Connect(log)
	defer manager.Close()
	memory.OnDemand()
	l, err := o.newLive(log, func(city, asn string) (*geo.DB, error) { return openGeo(log, city, asn) })
	if err != nil {
		return err
	}
	l.manager, l.ctx, l.stop = manager, ctx, stop
	for _, note := range o.notes {
		log.Warn("the configuration has a key without effect", "note", note)
	}
	// The port is checked first. It is the most common mistake, and the check costs nothing.
	listener, err := server.Listen(o.Listen, o.Port)
	if err != nil {
		return err
	}
	defer listener.Close()
	if l.guard, err = access.Open(o.guardConfig()); err != nil {
		return err
	}
	first, err := l.firstChange()
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	if l.start, err = memory.FindStart(); err != nil {
		log.Debug("memory of the start stays in use", "error", err)
	}
	if o.enter != nil {
		if l.sandbox, err = o.enter(o.sandbox, o.liveNeeds()); err != nil {
			first.abandon()
			return err
		}
		l.sandbox.Log(log)
		tryInside()
	}
	l.hostName = hostName(log)
	l.agentName = cmp.Or(o.Name, l.hostName)
	keep, err := l.newAgent(first)
	if err != nil {
		l.closeTaps()
		first.abandon()
		return err
	}
	defer keep()
	api := server.New(l.serverConfig(ctx, listener.Addr()))
	l.refresh = api.Refresh
	l.guardMemory(api)
	l.startOTLP(api)
	srv := server.NewHTTP(api.Handler(), log)
	l.announce()
	l.guard.Announce(log, listener.Addr())
	return l.run(ctx, srv, l.guard.Listener(listener), hangups)
}

// newLive returns an agent that captures nothing yet. It opens the databases.
func (o *options) newLive(log *slog.Logger, openGeo func(city, asn string) (*geo.DB, error)) (*live, error) {
	l := &live{o: o, log: log, started: time.Now(), ctx: context.Background(), stop: func() {}, seed: mathrand.Uint32()} // secret: nobody can choose addresses that stay out of the tables
	var lists setup
	if err := lists.openLists(o, openGeo); err != nil {
		return nil, err
	}
	l.geo, l.suffixes = lists.geo, lists.suffixes
	l.tags, _ = metric.ParseTags(o.Tags) // Validate has checked them
	l.limit = memlimit.Find(int64(o.MemoryLimit))
	for tap := o.tapConfig(); l.room() > 0 && l.tapScale > policy.MinScale && tap.Memory(l.tapScale) > l.room()/8; {
		l.tapScale--
	}
	return l, nil
}

// firstChange returns what leads from nothing to the configuration of the start. Its taps are open.
func (l *live) firstChange() (*change, error) {
	l.wanted = newWanted(l.o)
	p, err := l.wanted.plan()
	if err != nil {
		return nil, err
	}
	l.warnOfPush(p)
	return l.prepare(p)
}

// announce says at the start what the agent does.
func (l *live) announce() {
	shards, targets, file := 0, []string{}, l.o.document != nil
	for _, t := range load(&l.taps) {
		shards += l.shardsOf(t.input)
		targets = append(targets, t.title)
		if !file && len(t.agent.Hosts().Prefixes()) == 0 {
			defer t.log.Warn("no host subnets, so directions are unknown: give them with -H")
		}
	}
	l.log.Info("capturing", "name", l.agentName, "tags", l.tags, "target", strings.Join(targets, ","), "shards", shards, "hosts", hostList(l.status().Hosts), "version", version.String())
	if file {
		l.log.Info("configuration in force", "file", l.o.configFile, "taps", len(targets), "policies", len(load(&l.policies)))
	}
	l.announceAnonymity()
}

// announceAnonymity says what is anonymised.
func (l *live) announceAnonymity() {
	if how := l.anonymity(); how != "" {
		l.log.Info("anonymised: what leaves the agent", "how", how)
	}
	anonymize := slices.ContainsFunc(load(&l.policies), func(r *running) bool { return r.Anonymize })
	if anonymize && l.o.AnonymizeKeyFile == "" {
		l.log.Warn("the key of the pseudonyms is new: they differ from those of other hosts and of the last run; give a key with --anonymize-key-file")
	}
}

// anonymity returns how the policy is anonymised that routes answer for without a name.
func (l *live) anonymity() metric.Anonymity {
	if r := l.primary(); r != nil && len(r.windows) > 0 {
		return r.windows[0].cfg.Anonymizer.Anonymity()
	}
	return ""
}

// openGeo opens the GeoIP databases. A file that is there but not a good database does not end the agent: a service manager would
// start it again and again, and nothing would be captured until somebody mends the file.
func openGeo(log *slog.Logger, city, asn string) (*geo.DB, error) {
	db, err := geo.Open(city, asn)
	if path := (*fs.PathError)(nil); err == nil || errors.As(err, &path) {
		return db, err
	}
	log.Error("GeoIP database was refused: there are no names from it until a good version is there", "error", err)
	return geo.OpenLater(city, asn), nil
}

// hostName returns the name of the host, or "" if the system has none that can be sent.
func hostName(log *slog.Logger) string {
	name, err := os.Hostname()
	if err != nil {
		log.Warn("the name of this host is not known: give the agent a name with --name", "error", err)
	}
	return name
}

// newBoot returns a random number that distinguishes this run from all others. It is not 0.
func newBoot() uint64 {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// live is a running agent: what belongs to the program. See tap and watched for what belongs to a tap and to a window.
type live struct {
	engine
	o         *options
	log       *slog.Logger
	manager   *service.Manager // nil without one that waits for messages
	agentName string           // by which a hub distinguishes agents
	hostName  string           // of the system; empty if it has none
	tags      metric.Tags
	started   time.Time
	seed      uint32             // of the sample of all policies
	ctx       context.Context    // of the program, for sources that are opened while it runs
	stop      context.CancelFunc // ends the program

	wanted   *wanted     // which taps and policies there are to be; guarded by changing
	began    bool        // the start is over; guarded by changing
	geo      *geo.DB     // nil without databases
	suffixes *psl.Source // nil for the embedded list
	agent    *agent.Agent
	guard    *access.Guard
	start    *memory.Start  // what can be released after the start; nil if it is not known
	sandbox  *sandbox.State // nil if the process is not the agent's own
	push     *push.Pusher   // nil without a hub to push to
	otlp     *otlp.Exporter // nil without a receiver of OTLP
	kept     sync.Once      // the last buckets are kept
	tapScale int            // of the tables of all taps
	refresh  func()         // tells the server that windows are gone

	limit       memlimit.Limit  // of memory
	memoryGuard *memlimit.Guard // nil without a limit
}

// locator returns what finds the place of an address; nil without databases.
func (l *live) locator() packets.Locator { return locatorOf(l.geo) }

// newAgent makes the agent with its first taps and policies, which have the buckets of their last run if there is a state
// directory. It starts to push buckets if there is a hub. Call keep after the agent has stopped.
func (l *live) newAgent(first *change) (keep func(), err error) {
	if l.push, err = l.newPusher(first.plan); err != nil {
		return nil, err
	}
	if l.otlp, err = l.newOTLP(); err != nil {
		return nil, err
	}
	if l.agent, err = agent.New(agent.Config{Host: l.agentName, Tags: l.tags, Boot: newBoot(), Endless: l.o.document != nil}); err != nil {
		return nil, err
	}
	// There is no garbage yet, but as the heap grows from zero, three or four collections would look for it.
	collection.Lock()
	defer collection.Unlock()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	l.changing.Lock()
	defer l.changing.Unlock()
	if err := l.commit(first); err != nil {
		return nil, err
	}
	l.began = true
	if l.push != nil {
		l.push.Start(l.pushedBuckets)
	}
	return l.keep, nil
}

// run captures, serves and handles signals until ctx is done or the capture or the server has failed. Then it closes
// the sources.
func (l *live) run(ctx context.Context, srv *http.Server, listener net.Listener, hangups <-chan os.Signal) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var serveErr error
	running.Go(func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			serveErr = fmt.Errorf("serve HTTP: %w", err)
			stop()
		}
	})
	db := l.geo
	defer db.Close()
	running.Go(func() { l.followHangups(ctx, hangups) }) // even without databases, so that the signal does not kill the program
	running.Go(func() { db.Follow(ctx, l.log) })
	running.Go(func() { l.guard.Follow(ctx, l.log) })
	running.Go(func() { l.releaseStart(ctx) })
	running.Go(func() { l.followMemory(ctx) })
	running.Go(func() { l.followKeys(ctx) })
	running.Go(func() { l.manager.Watch(ctx, l.log, l.alive) })
	l.ready()
	err := l.agent.Run(ctx, nil)
	stop()
	l.manager.Stopping()
	l.end()
	closed := make(chan struct{})
	go func() { defer close(closed); l.closeTaps() }()
	l.keep() // first, because the kernel takes its time to close hundreds of sockets
	closing, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close() // close connections of clients that are too slow
	}
	running.Wait()
	select {
	case <-closed:
	case <-time.After(tapsWait): // the end of the process closes the rest
	}
	var received, drops uint64
	for _, t := range load(&l.taps) {
		t.closeCounter()
		for _, s := range t.sources {
			st := s.Stats()
			received, drops = received+st.Received, drops+st.Lost()
		}
	}
	l.log.Info("stopped", "received", received, "drops", drops, "uptime", time.Since(l.started).Round(time.Second))
	return errors.Join(err, serveErr)
}

// releaseAfter is when what only the start needed is released. The agent is then at rest.
const releaseAfter = 2 * time.Second

// releaseStart returns the memory of the start to the system, once.
func (l *live) releaseStart(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(releaseAfter):
		if err := l.start.Release(); err != nil {
			l.log.Debug("memory of the start stays in use", "error", err)
		}
	}
}

// followHangups reloads the configuration, the GeoIP databases and the public suffix list at each SIGHUP, until ctx is done.
func (l *live) followHangups(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			l.manager.Reload(func() { l.reload(ctx) })
		}
	}
}

func (l *live) serverConfig(ctx context.Context, listens net.Addr) server.Config {
	hosts := server.NewHosts(listens, append(l.o.HTTPHosts, l.o.Listen)...)
	go hosts.AddOwn(ctx, l.hostName) // in the background, because the resolver may not answer
	cfg := server.Config{
		Host: l.agentName, Policies: func() []*server.Policy { return load(&l.public) }, Taps: l.tapsJSON,
		Tables: agent.Tables, Sources: agent.SourceTable, Version: version.String(), Started: l.started,
		DeepSamplePercent: l.o.DeepSamplePercent, Status: l.status, Sandbox: l.sandbox,
		Hosts: hosts, Access: l.guard, Origins: l.o.Origins, TopN: l.o.PromTopN, Series: l.o.PromSeries, SuccessorNames: l.o.PromCompat, SuccessorInstance: l.o.successor.instance, DisableGroups: l.o.PromDisable,
		Routes: timeline.PolicyRoutes(time.Now),
	}
	if l.o.adminAPI {
		cfg.Control = &control{l}
	}
	return cfg
}

// guardConfig returns the files that protect the API.
func (o *options) guardConfig() access.Config {
	return access.Config{Cert: o.Access.Cert, Key: o.Access.Key, ClientCA: o.ClientCA, AuthFile: o.AuthFile, AdminToken: o.adminToken}
}

// maxListed is the maximum number of host subnets in a line of the log. The API has all of them.
const maxListed = 32

func hostList(hosts []string) string {
	if len(hosts) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(hosts[:maxListed], ","), len(hosts)-maxListed)
	}
	return strings.Join(hosts, ",")
}
