// Package timeline answers questions about stretches of time over HTTP: metrics in steps, the history of rows, what has
// changed, and the summary of a range. An agent answers them from its window, and a hub from its store, with the same code:
//
//	server.Config{Routes: timeline.PolicyRoutes(time.Now), …}                          // an agent
//	server.Config{Routes: timeline.Routes(timeline.Config{Source: store, Tables: tables, …})} // a hub
//
// A [Source] has the minutes. This package reads the parameters, bounds what one answer may cost, and writes the answer.
// Errors of requests are [*server.Error]. [server.Route] makes each answer at most once a second, whatever the number of
// clients.
package timeline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/server"
)

// Source has minutes. Its errors are a [*server.Error], or mean that the server is busy. Any number of goroutines may use it.
type Source interface {
	// Select returns what the parameters policy, host and tag of a request choose.
	Select(ctx context.Context, q url.Values) (Selection, error)
	// Base returns what base_host and base_tag choose, for a comparison, or nil if the request has neither.
	Base(ctx context.Context, q url.Values) (Selection, error)
	// End returns the end of the newest minute that there may be, which is a multiple of a minute, and Length the length of a
	// range whose start is not given, in seconds.
	End() int64
	Length() int64
}

// Selection is what one request is about: everything, or a part of a fleet. It serves that request only.
type Selection interface {
	// Policy returns the name of the policy.
	Policy() string
	// Steps returns a bucket with the given tables for each step, or nil for a step without minutes. The metrics of the tables
	// are some of those of the source. From and to are multiples of step, which is a multiple of a minute, in seconds. If
	// rates is false, the rates need not be right. The buckets must not be changed.
	Steps(ctx context.Context, tables []*metric.Table, from, to, step int64, rates bool) ([]*metric.Bucket, Extent, error)
	// Merge returns the minutes of a range as one bucket with the given tables, or with all tables if these are nil. The bucket
	// must not be changed. It is empty if there are no minutes.
	Merge(ctx context.Context, tables []*metric.Table, from, to int64) (*metric.Bucket, Extent, error)
	// Groups returns the parts of the selection by the values of a tag, in order, each as key=value. The key [ByHost] means its
	// hosts, each as host=name.
	Groups(ctx context.Context, key string) ([]string, error)
	// Part returns the part of some groups, which Groups has returned for one key.
	Part(groups []string) Selection
}

// ByHost is the key whose groups are hosts.
const ByHost = "host"

// Extent says what an answer is made of.
type Extent struct {
	// Minutes is the number of minutes that there are, Missing that of the others.
	Minutes, Missing int
	// Seconds is the length of the minutes, the live one as far as it has come. What was counted in them, divided by it, is the
	// rate of a fleet or an agent.
	Seconds float64
	// About is what the answer says about the selection and its range.
	About *api.Selected
}

// Config configures the routes. All fields but Fleet are required.
type Config struct {
	Source Source
	// Tables are the tables of the source's buckets.
	Tables []*metric.Table
	// Now is the clock by which times such as -1h are meant.
	Now func() time.Time
	// Fleet says that the source has hosts, so that summaries say which are in them.
	Fleet bool
}

// timeline answers requests.
type timeline struct{ Config }

// answers are the routes of agents and hubs.
var answers = [...]struct {
	path string
	make func(t *timeline, r *http.Request) ([]byte, error)
}{
	{"/api/v1/metrics/range", (*timeline).rangeView},
	{"/api/v1/series", (*timeline).series},
	{"/api/v1/history", (*timeline).history},
	{"/api/v1/changes", (*timeline).changes},
	{"/api/v1/attack", (*timeline).attack},
}

// PolicyRoutes returns the routes of an agent. Each request is about the window that its parameters policy, tap and handler choose:
// see [server.Config.Policies].
func PolicyRoutes(now func() time.Time) []server.Route {
	var routes []server.Route
	for _, a := range answers {
		routes = append(routes, server.Route{Path: a.path, Of: func(r *http.Request, sel *server.Selection) ([]byte, error) {
			source := sel.Own(func() any { return newPolicyWindow(sel, now) }).(*Window)
			return a.make(&timeline{Config{Source: source, Tables: source.tables, Now: now}}, r)
		}})
	}
	return routes
}

// newPolicyWindow makes a source of the window that a request to an agent selects.
func newPolicyWindow(sel *server.Selection, now func() time.Time) *Window {
	w := &Window{tables: sel.Window.Tables, policy: sel.Policy.Name, now: now}
	var open bool
	if w.window, open = sel.Window.Views.(live); !open {
		w.window = sealed{sel.Window.Views}
	}
	return w
}

// Routes returns the routes.
func Routes(cfg Config) []server.Route {
	t := &timeline{cfg}
	var routes []server.Route
	for _, a := range answers {
		routes = append(routes, server.Route{Path: a.path, Get: func(r *http.Request) ([]byte, error) { return a.make(t, r) }})
	}
	if cfg.Fleet {
		routes = append(routes, server.Route{Path: "/api/v1/overlap", Get: t.overlap})
	}
	return routes
}

// jsonOf returns an answer.
func jsonOf(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}

// Bad returns an error for a request that cannot be answered. It should say what to ask instead.
func Bad(format string, args ...any) error {
	return &server.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}
