package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"pktvisor/access"
	"pktvisor/agent"
	"pktvisor/export/push"
	"pktvisor/hub"
	"pktvisor/hub/collect"
	"pktvisor/hub/ingest"
	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/logging"
	"pktvisor/internal/service"
	"pktvisor/internal/version"
	"pktvisor/minute"
	"pktvisor/sandbox"
	"pktvisor/server"
)

// closeWait is how long pending requests may take after the hub is told to stop.
const closeWait = 300 * time.Millisecond

// start runs the hub until ctx is done.
func (o *options) start(ctx context.Context, stderr io.Writer) error {
	log, err := logging.New(stderr, o.logFormat, o.logLevel)
	if err != nil {
		return err
	}
	manager := service.Connect(log)
	defer manager.Close()
	sources, err := o.sources()
	if err != nil {
		return err
	}
	cfg := collect.Config{Sources: sources, Version: version.String(), Log: log}
	if cfg.TLS, err = (access.Trust{CAFile: o.agentCA, CertFile: o.agentCert, KeyFile: o.agentKey, Insecure: o.insecure}).Config("--agent-ca", "--agent-cert"); err != nil {
		return err
	}
	switch {
	case o.agentToken != "":
		if cfg.Auth, err = access.BearerFile(o.agentToken); err != nil {
			return fmt.Errorf("--agent-token-file: %w", err)
		}
	case o.agentBasic != "":
		if cfg.Auth, err = access.BasicFile(o.agentBasic); err != nil {
			return fmt.Errorf("--agent-basic-file: %w", err)
		}
	}
	// The port is checked first. It is the most common mistake, and the check costs nothing.
	listener, err := server.Listen(o.listen, o.port)
	if err != nil {
		return err
	}
	defer listener.Close()
	guard, err := access.Open(access.Config{Cert: o.Cert, Key: o.Key, ClientCA: o.ClientCA, AuthFile: o.AuthFile})
	if err != nil {
		return err
	}
	var confined *sandbox.State
	if o.enter != nil {
		if confined, err = o.enter(o.sandbox, o.needs()); err != nil {
			return err
		}
		confined.Log(log)
	}
	st, err := store.Open(ctx, o.storeConfig(log))
	if err != nil {
		return err
	}
	h, err := o.newNode(ctx, log, st, cfg, guard, listener.Addr(), confined)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	where := o.natsURL
	if where == "" {
		where = o.data
	}
	log.Info("merging", "store", store.Redact(where), "version", version.String())
	if addr := st.Addr(); addr != nil {
		log.Info("accepting pushed minutes", "nats", addr)
	}
	if len(o.agents) == 0 && o.agentsFile == "" && o.agentsSRV == "" && o.natsListen == "" && o.natsURL == "" {
		log.Warn("no minutes will come: give agents with --agent, --agents-file or --agents-srv, or let them push with --nats-listen")
	}
	guard.Announce(log, listener.Addr())
	h.manager = manager
	err = h.run(ctx, log, guard.Listener(listener))
	return errors.Join(err, st.Close())
}

// needs returns what the hub does after it has opened its port. The store opens inside the sandbox.
func (o *options) needs() sandbox.Needs {
	n := sandbox.Needs{
		Read: []string{
			o.agentsFile, o.agentCA, o.agentToken, o.agentBasic, o.agentCert, o.agentKey, o.Cert, o.Key, o.ClientCA, o.AuthFile,
			o.natsTokenFile, o.natsCert, o.natsKey, o.natsCreds, o.natsCA,
		},
		// The ports of agents and of a cluster's servers are not known beforehand.
		Network: true, Resolve: true, Anywhere: true,
	}
	if o.natsURL == "" {
		n.Write = []string{o.data}
	}
	if _, port, err := net.SplitHostPort(o.natsListen); err == nil {
		if port, err := strconv.ParseUint(port, 10, 16); err == nil {
			n.Listen = []uint16{uint16(port)}
		}
	}
	if socket, unix, err := server.ParseSocket(o.listen); unix && err == nil {
		n.Remove = []string{socket.Path}
	}
	return n
}

// sources returns where the hub learns of agents.
func (o *options) sources() ([]collect.Source, error) {
	var list collect.Static
	var errs []error
	for _, a := range o.agents {
		t, err := collect.ParseTarget(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("--agent: %w", err))
			continue
		}
		list = append(list, t)
	}
	sources := []collect.Source{list}
	if o.agentsFile != "" {
		if _, err := collect.ReadFile(o.agentsFile); err != nil {
			errs = append(errs, fmt.Errorf("--agents-file: %w", err))
		}
		sources = append(sources, collect.Watch{Path: o.agentsFile})
	}
	if o.agentsSRV != "" {
		srv, err := collect.ParseSRV(o.agentsSRV)
		if err != nil {
			errs = append(errs, fmt.Errorf("--agents-srv: %w", err))
		}
		sources = append(sources, srv)
	}
	return sources, errors.Join(errs...)
}

func (o *options) storeConfig(log *slog.Logger) store.Config {
	c := store.Config{
		Prefix: o.prefix, TokenFile: o.natsTokenFile, RawAge: o.keepFor["raw"], RawBytes: o.rawBytes,
		Age: map[rollup.Level]time.Duration{}, Log: log,
	}
	for _, l := range []rollup.Level{rollup.Minute1, rollup.Minute5, rollup.Hour1, rollup.Day1} {
		c.Age[l] = o.keepFor[l.String()]
	}
	if o.natsURL == "" {
		c.Dir, c.Listen = o.data, o.natsListen
		c.TLS = store.TLS{Cert: o.natsCert, Key: o.natsKey}
		return c
	}
	c.URL, c.Creds, c.Replicas = o.natsURL, o.natsCreds, o.natsReplicas
	c.TLS = store.TLS{CA: o.natsCA, Cert: o.natsCert, Key: o.natsKey}
	return c
}

// node is a running hub.
type node struct {
	store   *store.Store
	leases  *store.Leases
	collect *collect.Collector
	ingest  *ingest.Ingester
	hub     *hub.Hub
	guard   *access.Guard
	manager *service.Manager // nil without one that waits for messages
}

// newNode connects the parts of a hub.
func (o *options) newNode(ctx context.Context, log *slog.Logger, st *store.Store, cfg collect.Config, guard *access.Guard, listens net.Addr, confined *sandbox.State) (*node, error) {
	host, err := os.Hostname()
	if err != nil {
		log.Warn("the hub does not know the name of this host", "error", err)
	}
	boot, err := hub.Boot(ctx, st.Hosts())
	if err != nil {
		return nil, err
	}
	n := &node{store: st, leases: st.Leases(), guard: guard}
	cfg.Sink, cfg.Leased, cfg.Partition, cfg.Moved = st, n.leases.Held, store.Partition, n.leases.Changed()
	cfg.Newest, cfg.Self = st.Newest, boot
	n.collect = collect.New(cfg)
	n.ingest = ingest.New(ingest.Config{
		Store: st, Tables: agent.Tables, Agent: "pktvisor-hub " + version.String(), Leased: n.leases.Held, Log: log,
		Retention: o.keepFor["1m"], Missing: n.fetchAgain,
	})
	hosts := server.NewHosts(listens, append(o.httpHosts, o.listen)...)
	go hosts.AddOwn(ctx, host) // in the background, because the resolver may not answer
	n.hub = hub.New(hub.Config{
		Store: st, Tables: agent.Tables, Sources: agent.SourceTable, Name: cmp.Or(o.name, host), Tags: o.tags, Boot: boot, Version: version.String(), Started: time.Now(),
		Ingest: n.ingest.Status, Targets: n.collect.Status, Hubs: n.collect.Hubs, Query: query.Config{Minutes: o.periods, RawAge: o.keepFor["raw"], MinuteAge: o.keepFor["1m"], FiveAge: o.keepFor["5m"]},
		Hosts: hosts, Access: guard, Origins: o.Origins, Sandbox: confined, TopN: o.promTopN, DisableGroups: o.promDisable,
	})
	return n, nil
}

// fetchAgain asks for a minute that did not come: over HTTP if the agent of the host is pulled, and over NATS in any case,
// where an agent that pushes listens.
func (n *node) fetchAgain(policy, host string, start int64) {
	_ = n.collect.Refetch(host, policy, start) // fails if no agent of that name is pulled
	request, err := json.Marshal(push.Request{Policy: policy, From: start, To: start + minute.Seconds})
	if err == nil {
		_ = n.store.Ask(host, request) // asked again if the minute is still missing
	}
}

// run serves and merges until ctx is done or a part has failed.
func (n *node) run(ctx context.Context, log *slog.Logger, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	srv := server.NewHTTP(n.hub.Handler(), log)
	var running sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	start := func(run func(ctx context.Context) error) {
		running.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			stop() // one part without the others would look like a hub that works
		})
	}
	start(func(context.Context) error {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	start(func(ctx context.Context) error { n.leases.Run(ctx); return nil })
	start(n.collect.Run)
	start(n.ingest.Run)
	start(n.hub.Run)
	start(func(ctx context.Context) error { n.guard.Follow(ctx, log); return ctx.Err() })
	start(func(ctx context.Context) error {
		n.manager.Watch(ctx, log, n.alive)
		<-ctx.Done()
		return ctx.Err()
	})
	if err := n.manager.Ready("serving"); err != nil {
		log.Warn("the service manager does not know that the hub is ready", "error", err)
	}
	<-ctx.Done()
	n.manager.Stopping()
	closing, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close() // close connections of clients that are too slow
	}
	running.Wait()
	log.Info("stopped")
	return errors.Join(errs...)
}

// alive does not return if a part of the hub keeps its lock.
func (n *node) alive() error {
	n.ingest.Status()
	n.collect.Status()
	return nil
}
