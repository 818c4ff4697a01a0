package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/geo"
	"pktvisor/internal/version"
	"pktvisor/server"
	"pktvisor/state"
)

// closeWait is how long requests under way may take when the agent is told to stop.
const closeWait = 300 * time.Millisecond

// runLive captures and serves until ctx is done.
func (o *options) runLive(ctx context.Context, log *slog.Logger) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // first of all: until then, it kills
	defer signal.Stop(hangups)
	cfg, err := o.agentConfig()
	if err != nil {
		return err
	}
	l := &live{o: o, log: log, given: cfg.Hosts.Prefixes(), started: time.Now()}
	// The port first: it is the commonest thing to be wrong, and costs nothing to try.
	listener, err := net.Listen("tcp", net.JoinHostPort(o.Listen, strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("serve HTTP: %w: choose another address with -l and -p", err)
	}
	listener = server.Limit(listener)
	defer listener.Close()
	if err := l.open(&cfg); err != nil {
		return err
	}
	cfg.OnSourceError = func(shard int, err error) { log.Error("source failed", "source", l.name, "shard", shard, "error", err) }
	keep, err := l.newAgent(cfg)
	if err != nil {
		l.close()
		return err
	}
	defer keep()
	srv := server.NewHTTP(server.New(l.serverConfig(ctx, listener.Addr())).Handler(), slog.NewLogLogger(log.Handler(), slog.LevelWarn))
	log.Info("capturing", "target", l.name, "shards", cfg.Shards, "hosts", hostList(l.agent.Hosts()), "version", version.String())
	if len(l.agent.Hosts().Prefixes()) == 0 {
		log.Warn("no host subnets, directions are unknown: name them with -H")
	}
	log.Info("serving", "url", "http://"+listener.Addr().String()+"/")
	return l.run(ctx, srv, listener, hangups, cfg.Locate)
}

// live is a capture that runs.
type live struct {
	o       *options
	log     *slog.Logger
	name    string // of what is captured, for people
	iface   string // "" where a file is replayed
	given   []netip.Prefix
	sources []capture.Source
	agent   *agent.Agent
	started time.Time
	fault   atomic.Pointer[string] // what is wrong with the interface, if anything
}

// newAgent makes the agent, with the buckets of its last run if there is a directory for them. To call keep,
// once it has stopped, leaves those of this run there.
func (l *live) newAgent(cfg agent.Config) (keep func(), err error) {
	if l.o.stateDir == "" {
		l.agent = buildAgent(cfg)
		return func() {}, nil
	}
	dir, err := state.Open(l.o.stateDir, agent.Tables, l.log)
	if err != nil {
		return nil, err
	}
	cfg.OnSeal = dir.Save
	l.agent = buildAgent(cfg)
	w := l.agent.Window()
	w.Restore(dir.Load(time.Now(), cfg.Periods))
	return func() {
		w.Finish()
		dir.Close(w.Bucket(0))
	}, nil
}

// open opens the sources, and adds the interface's addresses to the hosts.
func (l *live) open(cfg *agent.Config) error {
	if l.o.Replay {
		l.name = l.o.Target
		cfg.Shards = 1
		src, err := capture.OpenReplay(capture.ReplayConfig{Path: l.o.Target, Speed: l.o.ReplaySpeed, Loop: true})
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
	l.name, l.iface = iface, iface
	if l.o.AutoHost {
		addrs, err := capture.HostAddrs(iface)
		if err != nil {
			return err
		}
		cfg.Hosts = analyze.NewHosts(slices.Concat(l.given, addrs))
	}
	l.sources, err = capture.OpenLive(capture.LiveConfig{
		Interface: iface, Shards: cfg.Shards, RingBytes: l.o.RingMiB << 20, SnapLen: l.o.SnapLen, Promisc: l.o.Promisc,
		Filter:  l.o.kernelFilter,
		OnEvent: l.interfaceChanged,
	})
	return err
}

// close closes the sources, all at once: the kernel waits for other cores before it lets go of a
// ring, tens of milliseconds on a busy machine, and one after the other that adds up.
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

// interfaceChanged takes note of what became of the interface.
func (l *live) interfaceChanged(e capture.Event) {
	if e.State == capture.InterfaceUp {
		l.fault.Store(nil)
		l.log.Info("interface is up", "iface", e.Interface)
		return
	}
	fault := e.String()
	l.fault.Store(&fault)
	l.log.Warn("not capturing: "+fault, "iface", e.Interface)
}

// run captures, serves and minds signals until ctx is done or the capture or the server has failed.
// Then it closes the sources.
func (l *live) run(ctx context.Context, srv *http.Server, listener net.Listener, hangups <-chan os.Signal, locate any) error {
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
	if l.iface != "" && l.o.AutoHost {
		running.Go(func() { l.followHosts(ctx) })
	}
	db, _ := locate.(*geo.DB) // a nil one has nothing to open again; the signal must not kill all the same
	defer db.Close()
	running.Go(func() { l.followHangups(ctx, hangups, db) })
	err := l.agent.RunLive(ctx, l.sources)
	stop()
	running.Go(l.close)
	closing, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close() // readers that are too slow
	}
	running.Wait()
	var received, drops uint64
	for _, s := range l.sources {
		st := s.Stats()
		received, drops = received+st.Received, drops+st.OSDrops+st.IfDrops
	}
	l.log.Info("stopped", "received", received, "drops", drops, "uptime", time.Since(l.started).Round(time.Second))
	return errors.Join(err, serveErr)
}

// followHosts takes over changes of the interface's addresses until ctx is done.
func (l *live) followHosts(ctx context.Context) {
	err := capture.WatchAddrs(ctx, l.iface, func(addrs []netip.Prefix) {
		h := analyze.NewHosts(slices.Concat(l.given, addrs))
		if hostList(h) != hostList(l.agent.Hosts()) {
			l.agent.SetHosts(h)
			l.log.Info("host subnets changed", "iface", l.iface, "hosts", hostList(h))
		}
	})
	if err != nil && ctx.Err() == nil {
		l.log.Warn("address changes are not followed", "iface", l.iface, "error", err)
	}
}

// followHangups opens the GeoIP databases again at each SIGHUP, until ctx is done.
func (l *live) followHangups(ctx context.Context, hangups <-chan os.Signal, db *geo.DB) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := db.Reload(); err != nil {
				l.log.Error("GeoIP databases stay as they were", "error", err)
				continue
			}
			l.log.Info("hangup: GeoIP databases opened again")
		}
	}
}

// resolveWait is how long the full name of the host is asked for.
const resolveWait = 10 * time.Second

func (l *live) serverConfig(ctx context.Context, listens net.Addr) server.Config {
	host, err := os.Hostname()
	if err != nil {
		l.log.Warn("snapshots will not say whose they are", "error", err)
	}
	hosts := server.NewHosts(listens, append(l.o.httpHosts, l.o.Listen)...)
	go func() { // a resolver that does not answer must not keep the agent waiting
		ctx, cancel := context.WithTimeout(ctx, resolveWait)
		defer cancel()
		hosts.AddOwn(ctx, host)
	}()
	return server.Config{
		Host:   host,
		Window: l.agent.Window(), Tables: agent.Tables, Version: version.String(), Started: l.started,
		DeepSamplePercent: l.o.DeepSamplePercent, Status: l.status,
		Hosts: hosts, TopN: l.o.promTopN, DisableGroups: l.o.promGroups,
	}
}

// status says how the capture is doing.
func (l *live) status() server.Status {
	st := server.Status{
		Target: l.o.Target, Filter: l.o.Filter, Shards: len(l.sources),
		LastPacket: l.agent.LastPacket(), OpenTransactions: l.agent.OpenTransactions(),
	}
	for _, p := range l.agent.Hosts().Prefixes() {
		st.Hosts = append(st.Hosts, p.String())
	}
	if fault := l.fault.Load(); fault != nil {
		st.Fault = *fault
	}
	kind := "interface"
	if l.iface == "" {
		kind = "replay"
	}
	for i, src := range l.sources {
		n := src.Stats()
		out := server.Source{Name: l.name, Kind: kind, Shard: i, Counts: server.Counts{
			Received: n.Received, OSDrops: n.OSDrops, IfDrops: n.IfDrops, Freezes: n.Freezes, Discarded: n.Discarded,
		}}
		var err error
		if out.Link, err = l.agent.Source(i); err != nil {
			out.Error = err.Error()
			st.Fault = out.Error
		}
		st.Sources = append(st.Sources, out)
	}
	return st
}

func hostList(h analyze.Hosts) string {
	var parts []string
	for _, p := range h.Prefixes() {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ",")
}
