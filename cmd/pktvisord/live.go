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
	"slices"
	"strings"
	"sync"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/server"
)

// isFile tells whether the target is a capture file and not something to capture on. A name
// that is both is the interface; "./eth0" is the file.
func isFile(target string) bool {
	if target == "-" {
		return true
	}
	if strings.ContainsRune(target, '/') {
		return true
	}
	if _, err := net.InterfaceByName(target); err == nil || target == "any" || target == "auto" {
		return false
	}
	if _, err := netip.ParseAddr(target); err == nil {
		return false
	}
	_, err := os.Stat(target)
	return err == nil
}

// runLive captures and serves until ctx is done.
func (o *options) runLive(ctx context.Context, log *slog.Logger) error {
	cfg, err := o.agentConfig()
	if err != nil {
		return err
	}
	live := &live{o: o, log: log, given: cfg.Hosts.Prefixes()}
	sources, err := live.open(&cfg)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sources {
			s.Close()
		}
	}()
	listener, err := net.Listen("tcp", net.JoinHostPort(o.Listen, fmt.Sprint(o.Port)))
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w: choose another address with -l and -p", err)
	}
	defer listener.Close()

	a := agent.New(cfg)
	live.sources, live.agent, live.started = sources, a, time.Now()
	srv := &http.Server{
		Handler:           server.New(live.serverConfig()).Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	log.Info("serving", "url", "http://"+listener.Addr().String()+"/")
	log.Info("capturing", "target", live.name, "shards", cfg.Shards, "hosts", hostList(a.Hosts()))
	if len(a.Hosts().Prefixes()) == 0 {
		log.Warn("no host subnets: directions are unknown; name them with -H")
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var serveErr error
	running.Go(func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			serveErr = err
			stop()
		}
	})
	if live.iface != "" && o.AutoHost {
		running.Go(func() { live.followHosts(ctx) })
	}
	err = a.RunLive(ctx, sources)
	stop()
	closing, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	srv.Shutdown(closing)
	running.Wait()
	log.Info("stopped", "packets", a.Frames())
	return errors.Join(err, serveErr)
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
}

// open opens the sources and adds the interface's addresses to the hosts.
func (l *live) open(cfg *agent.Config) ([]capture.Source, error) {
	if l.o.Replay {
		l.name = l.o.Target
		cfg.Shards = 1
		src, err := capture.OpenReplay(capture.ReplayConfig{Path: l.o.Target, Speed: l.o.ReplaySpeed, Loop: true})
		if err != nil {
			return nil, err
		}
		return []capture.Source{src}, nil
	}
	iface, err := capture.ResolveTarget(l.o.Target)
	if err != nil {
		return nil, err
	}
	l.name, l.iface = iface, iface
	if l.o.AutoHost {
		addrs, err := capture.HostAddrs(iface)
		if err != nil {
			return nil, err
		}
		cfg.Hosts = analyze.NewHosts(slices.Concat(l.given, addrs))
	}
	return capture.OpenLive(capture.LiveConfig{
		Interface: iface, Shards: cfg.Shards, RingBytes: l.o.RingMiB << 20, SnapLen: l.o.SnapLen, Promisc: l.o.Promisc,
		OnEvent: func(e capture.Event) { l.log.Warn(e.String(), "iface", iface) },
	})
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

func hostList(h analyze.Hosts) string {
	var parts []string
	for _, p := range h.Prefixes() {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ",")
}
