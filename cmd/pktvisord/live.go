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
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"

	"pktvisor/access"
	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/export/otlp"
	"pktvisor/export/push"
	"pktvisor/geo"
	"pktvisor/internal/memlimit"
	"pktvisor/internal/memory"
	"pktvisor/internal/service"
	"pktvisor/internal/version"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/psl"
	"pktvisor/sandbox"
	"pktvisor/server"
	"pktvisor/state"
	"pktvisor/timeline"
)

// closeWait is how long pending requests may take after the agent is told to stop.
const closeWait = 300 * time.Millisecond

// runLive captures and serves until ctx is done.
func (o *options) runLive(ctx context.Context, log *slog.Logger) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before anything else, because SIGHUP kills the program until then
	defer signal.Stop(hangups)
	manager := service.Connect(log)
	defer manager.Close()
	memory.OnDemand()
	p, err := o.setup(func(city, asn string) (*geo.DB, error) { return openGeo(log, city, asn) })
	if err != nil {
		return err
	}
	l := &live{o: o, log: log, manager: manager, given: p.tap.Hosts.Prefixes(), started: time.Now(), moved: make(chan struct{}, 1)}
	// The port is checked first. It is the most common mistake, and the check costs nothing.
	listener, err := server.Listen(o.Listen, o.Port)
	if err != nil {
		return err
	}
	defer listener.Close()
	if l.guard, err = access.Open(o.guardConfig()); err != nil {
		return err
	}
	p.policy.SampleSeed = mathrand.Uint32() // secret: nobody can choose addresses that stay out of the tables
	if err := l.open(ctx, &p); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	l.fitMemory(&p)
	if l.start, err = memory.FindStart(); err != nil {
		log.Debug("memory of the start stays in use", "error", err)
	}
	if o.enter != nil {
		if l.sandbox, err = o.enter(o.sandbox, o.liveNeeds()); err != nil {
			l.close()
			return err
		}
		l.sandbox.Log(log)
		tryInside()
	}
	p.tap.OnSample = l.sampleChanged
	p.tap.OnSourceError = func(shard int, err error) { log.Error("source failed", "source", l.name, "shard", shard, "error", err) }
	l.hostName = hostName(log)
	p.name, p.boot = cmp.Or(o.Name, l.hostName), newBoot()
	p.tags, _ = metric.ParseTags(o.Tags) // Validate has checked them
	l.agentName, l.tags, l.anonymity = p.name, p.tags, p.policy.Anonymizer.Anonymity()
	keep, err := l.newAgent(p)
	if err != nil {
		l.close()
		return err
	}
	defer keep()
	l.setHosts(l.tap.Hosts())
	api := server.New(l.serverConfig(ctx, listener.Addr()))
	l.guardMemory(api)
	l.startOTLP(api)
	srv := server.NewHTTP(api.Handler(), log)
	log.Info("capturing", "name", l.agentName, "tags", l.tags, "target", l.name, "shards", p.tap.Shards, "hosts", hostList(*l.hosts.Load()), "version", version.String())
	if l.anonymity != "" {
		log.Info("anonymised: what leaves the agent", "how", l.anonymity)
	}
	if o.Anonymize && o.AnonymizeKeyFile == "" {
		log.Warn("the key of the pseudonyms is new: they differ from those of other hosts and of the last run; give a key with --anonymize-key-file")
	}
	if len(l.tap.Hosts().Prefixes()) == 0 {
		log.Warn("no host subnets, so directions are unknown: give them with -H")
	}
	l.guard.Announce(log, listener.Addr())
	return l.run(ctx, srv, l.guard.Listener(listener), hangups, p)
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

// live is a running capture.
type live struct {
	o         *options
	log       *slog.Logger
	manager   *service.Manager // nil without one that waits for messages
	agentName string           // by which a hub distinguishes agents
	hostName  string           // of the system; empty if it has none
	tags      metric.Tags
	anonymity metric.Anonymity

	name    string                 // of the first captured interface or file, for people
	iface   atomic.Pointer[string] // the interface that is captured now; nil if a file is replayed
	moved   chan struct{}          // receives if another interface is captured, or its name has changed
	given   []netip.Prefix
	hosts   atomic.Pointer[[]string] // the host subnets as text
	sources []capture.Source
	// unspread is why the frames could not be spread over more shards, as it was logged.
	unspread string
	agent    *agent.Agent
	tap      *agent.Tap    // the only one
	policy   *agent.Policy // the only one
	started  time.Time
	guard    *access.Guard
	start    *memory.Start          // what can be released after the start; nil if it is not known
	sandbox  *sandbox.State         // nil if the process is not the agent's own
	state    *state.State           // nil without a state directory
	push     *push.Pusher           // nil without a hub to push to
	otlp     *otlp.Exporter         // nil without a receiver of OTLP
	limit    memlimit.Limit         // of memory
	memory   *memlimit.Guard        // nil without a limit
	fault    atomic.Pointer[string] // what is wrong with the interface, if anything

	counter   *count.Counter // in the kernel; nil if there is none
	uncounted error          // why there is none
}

// newAgent makes the agent, with the buckets of its last run if there is a state directory. It starts to push buckets
// if there is a hub. Call keep after the agent has stopped.
func (l *live) newAgent(p setup) (keep func(), err error) {
	if l.push, err = l.newPusher(); err != nil {
		return nil, err
	}
	if l.otlp, err = l.newOTLP(); err != nil {
		return nil, err
	}
	if l.o.StateDir != "" {
		if l.state, err = state.Open(l.o.StateDir, agent.Tables, l.log); err != nil {
			return nil, err
		}
		l.state.Require(p.policy.Anonymizer.Anonymity())
	}
	p.policy.OnSeal = l.onSeal()
	if l.agent, err = p.build(); err != nil {
		return nil, err
	}
	l.tap, l.policy = l.agent.Tap(agent.Default), l.agent.Policy(agent.Default)
	w := l.policy.Window()
	if l.state != nil {
		now := time.Now()
		w.Restore(l.state.Load(now, p.policy.Periods), now.Unix())
	}
	if l.push != nil {
		l.push.Start(w.Sealed)
	}
	return l.keep, nil
}

// open opens the sources, and adds the interface's addresses to the hosts.
func (l *live) open(ctx context.Context, p *setup) error {
	cfg := &p.tap
	if l.o.Replay {
		if err := l.o.checkFilter(); err != nil {
			return err
		}
		l.name = l.o.Target
		cfg.Shards = 1
		src, err := capture.OpenReplay(ctx, capture.ReplayConfig{Path: l.o.Target, Speed: l.o.ReplaySpeed, Loop: true})
		if err != nil {
			return err
		}
		l.sources = []capture.Source{l.o.filterFile(src)}
		return nil
	}
	iface, err := capture.ResolveTarget(l.o.Target)
	if err != nil {
		if !isInterface(l.o.Target) {
			return fmt.Errorf("there is no file %q, and %w", l.o.Target, err)
		}
		return err
	}
	l.name = iface
	l.iface.Store(&iface)
	if l.o.AutoHost {
		addrs, err := capture.HostAddrs(iface)
		if err != nil {
			return err
		}
		cfg.Hosts = analyze.NewHosts(slices.Concat(l.given, addrs))
	}
	l.openCounter(p)
	l.sources, err = capture.OpenLive(capture.LiveConfig{
		Interface: l.o.Target, Shards: cfg.Shards, RingBytes: l.o.RingMiB << 20, SnapLen: l.o.SnapLen, Promisc: l.o.Promisc,
		Filter: func(link linktype.Type) ([]bpf.RawInstruction, error) {
			return l.o.kernelFilter(*l.iface.Load(), link)
		},
		OnEvent: l.interfaceChanged,
		Copies:  l.o.AnyCopies,
		Decap:   l.o.Decap,
		Addrs:   addrsOf,
		Counter: l.counter, OnDemand: true,
	})
	if err != nil {
		l.closeCounter()
		return err
	}
	l.checkCounter(p)
	if open, most := capture.Rings(l.sources); open < most {
		cfg.Spread = l.spread
		cfg.OnSpread = l.shardsChanged
	}
	return nil
}

// addrsOf returns the addresses of a frame.
func addrsOf(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool) {
	var d decode.Decoder
	a, b, ok := d.Addrs(frame, wireLen, link)
	return a.Netip(), b.Netip(), ok
}

// close closes all sources concurrently. The kernel waits for other cores before it releases a ring, which takes tens
// of milliseconds on a busy machine. One after the other, that would add up.
func (l *live) close() {
	var closing sync.WaitGroup
	for _, s := range l.sources {
		closing.Go(func() {
			if err := s.Close(); err != nil {
				l.log.Warn("close", "source", l.name, "error", err)
			}
		})
	}
	closing.Wait()
}

// interfaceChanged records a change of the interface's state.
func (l *live) interfaceChanged(e capture.Event) {
	if e.State == capture.InterfaceUp {
		l.fault.Store(nil)
		if e.Interface != *l.iface.Load() {
			l.iface.Store(&e.Interface)
			select {
			case l.moved <- struct{}{}:
			default: // the reader has not received the last change yet
			}
		}
		l.log.Info("interface is up", "iface", e.Interface)
		return
	}
	fault := e.String()
	l.fault.Store(&fault)
	l.log.Warn("not capturing: "+fault, "iface", e.Interface)
}

// run captures, serves and handles signals until ctx is done or the capture or the server has failed. Then it closes
// the sources.
func (l *live) run(ctx context.Context, srv *http.Server, listener net.Listener, hangups <-chan os.Signal, p setup) error {
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
	if l.iface.Load() != nil && l.o.AutoHost {
		running.Go(func() { l.followHosts(ctx) })
	}
	db := p.geo
	defer db.Close()
	running.Go(func() { l.followHangups(ctx, hangups, db, p.suffixes) }) // even without databases, so that the signal does not kill the program
	running.Go(func() { db.Follow(ctx, l.log) })
	running.Go(func() { l.guard.Follow(ctx, l.log) })
	running.Go(func() { l.releaseStart(ctx) })
	running.Go(func() { l.syncState(ctx) })
	running.Go(func() { l.followMemory(ctx) })
	running.Go(func() { l.manager.Watch(ctx, l.log, l.alive) })
	l.ready()
	err := l.agent.Run(ctx, map[string][]capture.Source{agent.Default: l.sources})
	stop()
	l.manager.Stopping()
	running.Go(l.close)
	closing, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close() // close connections of clients that are too slow
	}
	running.Wait()
	l.closeCounter()
	var received, drops uint64
	for _, s := range l.sources {
		st := s.Stats()
		received, drops = received+st.Received, drops+st.Lost()
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

// followHosts applies changes of the interface's addresses until ctx is done.
func (l *live) followHosts(ctx context.Context) {
	for ctx.Err() == nil {
		iface := *l.iface.Load()
		watched, stop := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { l.watchHosts(watched, iface) })
		select {
		case <-ctx.Done():
		case <-l.moved:
		}
		stop()
		watching.Wait()
	}
}

// watchHosts applies changes of one interface's addresses until ctx is done.
func (l *live) watchHosts(ctx context.Context, iface string) {
	err := capture.WatchAddrs(ctx, iface, func(addrs []netip.Prefix) {
		h := analyze.NewHosts(slices.Concat(l.given, addrs))
		if !slices.Equal(h.Prefixes(), l.tap.Hosts().Prefixes()) {
			l.tap.SetHosts(h)
			l.setHosts(h)
			l.log.Info("host subnets changed", "iface", iface, "hosts", hostList(*l.hosts.Load()))
		}
	})
	if err != nil && ctx.Err() == nil {
		l.log.Warn("cannot follow changes of addresses", "iface", iface, "error", err)
	}
}

// followHangups reloads the GeoIP databases and the public suffix list at each SIGHUP, until ctx is done.
func (l *live) followHangups(ctx context.Context, hangups <-chan os.Signal, db *geo.DB, suffixes *psl.Source) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			l.manager.Reload(func() { l.reload(db, suffixes) })
		}
	}
}

func (l *live) serverConfig(ctx context.Context, listens net.Addr) server.Config {
	hosts := server.NewHosts(listens, append(l.o.HTTPHosts, l.o.Listen)...)
	go hosts.AddOwn(ctx, l.hostName) // in the background, because the resolver may not answer
	return server.Config{
		Host:   l.agentName,
		Window: l.policy.Window(), Tables: l.policy.Tables(), Sources: agent.SourceTable, Version: version.String(), Started: l.started,
		DeepSamplePercent: l.o.DeepSamplePercent, Status: l.status, Sandbox: l.sandbox,
		Hosts: hosts, Access: l.guard, Origins: l.o.Origins, TopN: l.o.PromTopN, Series: l.o.PromSeries, SuccessorNames: l.o.PromCompat, SuccessorInstance: l.o.successor.instance, DisableGroups: l.o.PromDisable,
		Routes: timeline.PolicyRoutes(time.Now),
	}
}

// guardConfig returns the files that protect the API.
func (o *options) guardConfig() access.Config {
	return access.Config{Cert: o.Access.Cert, Key: o.Access.Key, ClientCA: o.ClientCA, AuthFile: o.AuthFile}
}

// status returns the state of the capture. It makes no system calls, so its cost does not depend on the number of
// interfaces, and it does not disturb the shards.
func (l *live) status() server.Status {
	shards, started := l.tap.Shards()
	st := server.Status{
		Tags: l.tags, Target: l.o.Target, Filter: l.o.Filter, Shards: shards, Hosts: *l.hosts.Load(),
		LastPacket: l.tap.LastPacket(), Anonymity: l.anonymity,
	}
	if fault := l.fault.Load(); fault != nil {
		st.Fault = *fault
	}
	st.Memory = l.memoryStatus()
	st.State, st.Push, st.Sample, st.Kernel = l.stateStatus(), l.pushStatus(), l.sampleStatus(), l.kernelStatus()
	st.OTLP = l.otlpStatus()
	name, kind := l.name, "replay"
	if iface := l.iface.Load(); iface != nil {
		name, kind = *iface, "interface"
	}
	for i := range started {
		n := l.tap.SourceStats(i)
		out := server.Source{Name: name, Kind: kind, Shard: i, Counts: metric.With(agent.SourceTable, n), Lost: n.Lost()}
		var err error
		if out.Link, err = l.tap.Source(i); err != nil {
			out.Error = err.Error()
			st.Fault = out.Error
		}
		st.Sources = append(st.Sources, out)
	}
	for _, d := range capture.Devices(l.sources) {
		st.Devices = append(st.Devices, server.Device{Name: d.Name, Frames: d.Frames, Copies: d.Copies})
	}
	return st
}

// setHosts stores the host subnets as text, once for all readers.
func (l *live) setHosts(h analyze.Hosts) {
	names := []string{}
	for _, p := range h.Prefixes() {
		names = append(names, p.String())
	}
	if l.counter != nil {
		if err := l.counter.SetHosts(h.Prefixes()); err != nil {
			l.log.Warn("packets are no longer counted in the kernel", "reason", err)
		}
	}
	l.hosts.Store(&names)
}

// maxListed is the maximum number of host subnets in a line of the log. The API has all of them.
const maxListed = 32

func hostList(hosts []string) string {
	if len(hosts) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(hosts[:maxListed], ","), len(hosts)-maxListed)
	}
	return strings.Join(hosts, ",")
}
