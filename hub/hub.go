// Package hub publishes a fleet over HTTP: what an agent publishes, for all hosts or a part of them, and in addition its
// history, its hosts and what its parts have in common and how they differ.
//
//	h := hub.New(hub.Config{Store: s, Tables: agent.Tables, …})
//	go h.Run(ctx)
//	server.NewHTTP(h.Handler(), log).Serve(listener)
//
// Everything is read from the store when it is asked for, so that any hub of a store gives the same answers, also just after
// its start. The cost of all clients is bounded as for an agent: see [server.Server].
//
// Any number of goroutines may call the handler.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pktvisor/access"
	"pktvisor/hub/collect"
	"pktvisor/hub/ingest"
	"pktvisor/hub/query"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/sandbox"
	"pktvisor/server"
	"pktvisor/timeline"
)

// Store is what a hub needs of a [store.Store].
type Store interface {
	query.Store
	Changes(ctx context.Context) <-chan store.Key
	Status() store.Status
}

// Config configures a hub. Store, Tables and Version are required.
type Config struct {
	Store  Store
	Tables []*metric.Table
	// Sources is the table of an agent's sources, of which a hub has none.
	Sources *metric.Table
	// Name and Tags are those of the hub. Boot is a number that stays as long as the store does: see [Boot]. They tell
	// another hub whose minutes it gets.
	Name string
	Tags metric.Tags
	Boot uint64
	// Version is the version of the product. Started is when the hub was started.
	Version string
	Started time.Time
	// Ingest and Targets return the state of the ingester and of the agents that are pulled. They may be nil.
	Ingest  func() ingest.Status
	Targets func() []collect.Status
	// Hubs returns which hubs' minutes are in those of this one, for [collect.HubsHeader]. It may be nil.
	Hubs func() string
	// Query has the defaults of the reader that are not given here.
	Query query.Config
	// Hosts are the names that the hub answers to; nil means any. TopN, Series and DisableGroups are those of [server.Config].
	Hosts *server.Hosts
	// Access and Origins are those of [server.Config].
	Access  *access.Guard
	Origins []string
	// Sandbox is that of [server.Config].
	Sandbox *sandbox.State
	// Memory returns the state of the limit of memory. It may be nil, and so may be what it returns.
	Memory        func() *server.Memory
	TopN          int
	Series        int
	DisableGroups []string
	// Now is the clock. The default is [time.Now].
	Now func() time.Time
}

// Hub publishes a fleet.
type Hub struct {
	cfg    Config
	reader *query.Reader
	server *server.Server
	events server.Streams
}

// delay is how long after its end a second is published. By then its minute ended at least four seconds ago, and is stored.
const delay = 64 * time.Second

// New makes a hub.
func New(cfg Config) *Hub {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Started.IsZero() {
		cfg.Started = cfg.Now()
	}
	q := cfg.Query
	q.Store, q.Tables, q.Now = cfg.Store, cfg.Tables, cfg.Now
	q.Identity = metric.Identity{Host: cfg.Name, Tags: cfg.Tags, Boot: cfg.Boot}
	h := &Hub{cfg: cfg, reader: query.New(q)}
	h.server = server.New(server.Config{
		Select: h.choose, Delay: delay, Tables: cfg.Tables, Sources: cfg.Sources, Version: cfg.Version, Started: cfg.Started, Host: cfg.Name, DeepSamplePercent: 100,
		Status: h.status, Hosts: cfg.Hosts, Access: cfg.Access, Origins: cfg.Origins, Sandbox: cfg.Sandbox, TopN: cfg.TopN, Series: cfg.Series, DisableGroups: cfg.DisableGroups,
		Snapshots:      metric.SnapshotOptions{Agent: "pktvisor-hub " + cfg.Version, TopKeys: 1024, NoiseShare: 65536},
		SnapshotHeader: h.nameHubs,
		Metrics:        h.metrics(),
		Routes: append(timeline.Routes(timeline.Config{Source: source{h}, Tables: cfg.Tables, Now: cfg.Now, Fleet: true}),
			server.Route{Path: "/api/v1/fleet", Get: h.fleet},
			server.Route{Path: "/api/v1/events", Serve: h.serveEvents},
		),
	})
	return h
}

// ShedCaches drops all cached answers and merges, and keeps none until it is called with false.
func (h *Hub) ShedCaches(on bool) {
	h.server.ShedCaches(on)
	h.reader.ShedCache(on)
}

// ShedViews is [server.Server.ShedViews].
func (h *Hub) ShedViews(on bool) { h.server.ShedViews(on) }

// Handler returns the handler of all routes.
func (h *Hub) Handler() http.Handler { return h.server.Handler() }

// nameHubs says which hubs fetch the same agents.
func (h *Hub) nameHubs(header http.Header) {
	if h.cfg.Hubs != nil {
		header.Set(collect.HubsHeader, h.cfg.Hubs())
	}
}

// Run passes the store's changes on to the clients of /api/v1/events until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	h.passOn(h.cfg.Store.Changes(ctx))
	return nil
}

// status returns what /app and /readyz say about the hub.
func (h *Hub) status() server.Status {
	s := h.cfg.Store.Status()
	st := server.Status{Target: "fleet"}
	if h.cfg.Memory != nil {
		st.Memory = h.cfg.Memory()
	}
	switch {
	case s.Full:
		st.Fault = "the store is full: make room on its disk"
	case !s.Connected:
		st.Fault = cmp.Or(s.Error, "the store is not connected")
	case s.Gone != "":
		st.Fault = "the stream " + s.Gone + " does not exist any more"
	}
	return st
}

// choose returns what a request is about.
func (h *Hub) choose(ctx context.Context, q url.Values) (*server.Selection, error) {
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	v, err := h.reader.Views(ctx, sel)
	if err != nil {
		return nil, failure(err)
	}
	if len(sel.Hosts) > 0 && v.Bucket(1) == nil {
		if err := h.checkHosts(ctx, v.Policy(), sel.Hosts); err != nil {
			return nil, err
		}
	}
	return &server.Selection{
		Views: v, Key: sel.Key(),
		Failed: func() error { return failure(v.Err()) },
		Extra: func() []metric.ExtraSection {
			return []metric.ExtraSection{{Name: "fleet", Value: h.describe(v.Policy(), sel, v.Info())}}
		},
		Fleet: func() any { return h.counts(ctx, v, sel) },
	}, nil
}

// fleetCounts is the member fleet of /app.
type fleetCounts struct {
	Hosts    int      `json:"hosts"`
	Selected int      `json:"selected"`
	Policy   string   `json:"policy"`
	Policies []string `json:"policies"`
}

// counts returns how many hosts there are in the newest minute, and how many of them are selected.
func (h *Hub) counts(ctx context.Context, v *query.Views, sel query.Selection) *fleetCounts {
	c := &fleetCounts{Policy: v.Policy(), Policies: []string{}}
	if policies, err := h.reader.Policies(ctx); err == nil && policies != nil {
		c.Policies = policies
	}
	hosts := func(v *query.Views) int {
		if v.Bucket(1) == nil {
			return 0
		}
		return v.Info().Hosts
	}
	c.Selected = hosts(v)
	c.Hosts = c.Selected
	if len(sel.Hosts) > 0 || len(sel.Tags) > 0 {
		if all, err := h.reader.Views(ctx, query.Selection{Policy: sel.Policy}); err == nil {
			c.Hosts = hosts(all)
		}
	}
	return c
}

// failure returns the error of a reader as one for clients.
func failure(err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*query.UsageError](err); ok {
		return &server.Error{Status: http.StatusBadRequest, Text: u.Text}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &server.Error{Status: http.StatusServiceUnavailable, Text: fmt.Sprintf("the store: %v", err)}
}

// bootName is the name under which the table of hosts has the number of a store. No host is called so, because the name
// cannot be printed.
const bootName = "hub\x00boot"

// Boot returns the number of a store. The first hub that asks chooses it at random.
func Boot(ctx context.Context, hosts *store.HostTable) (uint64, error) {
	entry, err := hosts.Get(ctx, bootName)
	if errors.Is(err, store.ErrNotFound) {
		if err = hosts.Put(ctx, bootName, strconv.AppendUint(nil, rand.Uint64()|1, 16)); err == nil {
			entry, err = hosts.Get(ctx, bootName) // that of another hub, if it was later
		}
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(entry.Value), 16, 64)
}
