package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent"
	"pktvisor/metric"
	"pktvisor/window"
)

// fleet is the views of a hub that has one sealed minute and no live one.
type fleet struct{ minute *metric.Bucket }

func (f fleet) Periods() int { return 6 }
func (f fleet) Bucket(n int) *metric.Bucket {
	if n != 1 {
		return nil
	}
	return f.minute
}
func (f fleet) Minutes() []window.Minute {
	return []window.Minute{{Start: f.minute.Start, End: f.minute.End, Version: f.minute, Bucket: func() *metric.Bucket { return f.minute }}}
}
func (f fleet) Merged(int) *metric.Bucket                   { return f.minute }
func (f fleet) Second(_ int64, read func(b *metric.Bucket)) { read(nil) }
func (f fleet) Totals() *metric.Bucket                      { return f.minute }

// fleetOf returns the views of one minute with a number of packets.
func fleetOf(total uint64) fleet {
	b := metric.NewBucket(agent.Tables)
	b.Start, b.End = 6000, 6060
	i, _ := b.Sections[0].Table.Find("total")
	*metric.At[metric.Counter](b.Sections[0], i) = metric.Counter(total)
	return fleet{b}
}

// TestSelections: each answer is about the hosts that its request selects, also from the cache. An error is not kept.
func TestSelections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		parts := map[string]fleet{"": fleetOf(30), "pop=a": fleetOf(10), "pop=b": fleetOf(20)}
		h := New(Config{
			Tables: agent.Tables, Version: "1", Started: time.Now(), Status: func() Status { return Status{} },
			Select: func(_ context.Context, q url.Values) (*Selection, error) {
				part, ok := parts[q.Get("tag")]
				if !ok {
					return nil, &Error{http.StatusBadRequest, "no such tag"}
				}
				return &Selection{
					Views: part, Key: q.Get("tag"), Failed: func() error { return failure },
					Extra: func() []metric.ExtraSection { return []metric.ExtraSection{{Name: "fleet", Value: q.Get("tag")}} },
					Fleet: func() any { return q.Get("tag") },
				}, nil
			},
			Metrics: []OwnMetric{{Type: metric.FamilyGauge, Name: "pktvisor_hub_test", Help: "x", Values: func(send func(float64, ...string)) { send(7) }}},
		}).Handler()
		paths := []string{"/api/v1/metrics/bucket/1?", "/api/v1/metrics/window/2?", "/metrics?"}
		for range 2 {
			for tag, total := range map[string]int{"": 30, "pop=a": 10, "pop=b": 20} {
				for _, path := range paths {
					got := ask(h, path+"tag="+url.QueryEscape(tag))
					body := got.Body.String()
					want := fmt.Sprintf(`"packets":{"total":%d,`, total)
					if path == "/metrics?" {
						want = fmt.Sprintf("\npktvisor_packets_total %d\n", total)
					}
					if got.Code != 200 || !strings.Contains(body, want) {
						t.Errorf("%s of %q: %d, without %s", path, tag, got.Code, want)
					}
					if path != "/metrics?" && !strings.Contains(body, fmt.Sprintf(`"fleet":%q`, tag)) {
						t.Errorf("%s of %q does not say what it is about", path, tag)
					}
				}
			}
		}
		metrics := ask(h, "/metrics").Body.String()
		if !strings.Contains(metrics, "\npktvisor_hub_test 7\n") || strings.Contains(metrics, "pktvisor_capturing") || !strings.Contains(metrics, "\npktvisor_periods 6\n") {
			t.Error("/metrics of a hub lacks its own metrics, or has those of a capture")
		}
		if app := ask(h, "/api/v1/metrics/app?tag=pop%3Da").Body.String(); !strings.Contains(app, `"fleet":"pop=a"`) {
			t.Errorf("app: %s", app)
		}
		if got := ask(h, "/api/v1/metrics/bucket/1?tag=x"); got.Code != 400 || got.Body.String() != "{\"error\":\"no such tag\"}\n" {
			t.Errorf("an unknown tag: %d %s", got.Code, got.Body)
		}
		time.Sleep(time.Second)
		failure = &Error{http.StatusServiceUnavailable, "the store is away"}
		for _, path := range append(paths, "/api/v1/metrics/rates", "/api/v1/metrics/app", "/api/v1/snapshots", "/metrics?name[]=pktvisor_packets_total") {
			if got := ask(h, path); got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "the store is away") {
				t.Errorf("%s: %d %s", path, got.Code, got.Body)
			}
		}
		failure = nil
		for _, path := range paths {
			if got := ask(h, path); got.Code != 200 {
				t.Errorf("%s after the failure: %d %s", path, got.Code, got.Body)
			}
		}
	})
}

// TestAgentHasNoHosts: an agent does not answer a question about a part of a fleet with its own packets.
func TestAgentHasNoHosts(t *testing.T) {
	s, _ := ofMinutes(6000)
	for _, path := range []string{"/api/v1/metrics/window/1", "/api/v1/metrics/bucket/1", "/api/v1/metrics/rates", "/api/v1/metrics/app", "/api/v1/snapshots", "/metrics"} {
		for _, parameter := range []string{"?host=ns1", "?tag=pop%3Dams1"} {
			if got := ask(s.Handler(), path+parameter); got.Code != 400 || !strings.Contains(got.Body.String(), "hub") {
				t.Errorf("%s: %d %s", path+parameter, got.Code, got.Body)
			}
		}
		if got := ask(s.Handler(), path+"?hosts=x&policy=y"); got.Code == 400 {
			t.Errorf("%s with unknown parameters: %d %s", path, got.Code, got.Body)
		}
	}
}

// TestRoute: an answer of another route is made once a second for the same parameters, in whatever order they come.
func TestRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		h := New(Config{
			Window: fleetOf(1), Tables: agent.Tables, Status: func() Status { return Status{} },
			Routes: []Route{
				{Path: "/api/v1/extra", Get: func(r *http.Request) ([]byte, error) {
					made++
					switch r.URL.Query().Get("fail") {
					case "own":
						return nil, &Error{http.StatusTeapot, "no coffee"}
					case "other":
						return nil, errors.New("busy")
					}
					return fmt.Appendf(nil, "%d", made), nil
				}},
				{Path: "/api/v1/stream", Serve: func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("data")) }},
			},
		}).Handler()
		for _, c := range []struct {
			path, want string
			status     int
		}{
			{"/api/v1/extra?a=1&b=2", "1", 200}, {"/api/v1/extra?b=2&a=1", "1", 200}, {"/api/v1/extra/?a=1&b=2", "1", 200}, {"/api/v1/extra?a=1", "2", 200},
			{"/api/v1/extra?fail=own", "{\"error\":\"no coffee\"}\n", 418}, {"/api/v1/extra?fail=other", "{\"error\":\"busy\"}\n", 503},
			{"/api/v1/stream", "data", 200}, {"/api/v1/tables/", "", 200},
		} {
			if got := ask(h, c.path); got.Code != c.status || c.want != "" && got.Body.String() != c.want {
				t.Errorf("%s: %d %s, want %d %s", c.path, got.Code, got.Body, c.status, c.want)
			}
		}
		time.Sleep(time.Second)
		if got := ask(h, "/api/v1/extra?a=1&b=2").Body.String(); got != "5" {
			t.Errorf("after a second: %s, want a new answer", got)
		}
		if got := ask(h, "/api/v1/extra", "Accept", "text/html;q=1, application/json;q=0, */*;q=0"); got.Code != 406 {
			t.Errorf("an answer that the client refuses: %d", got.Code)
		}
	})
}
