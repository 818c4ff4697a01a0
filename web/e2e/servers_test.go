package e2e

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/anon"
	"pktvisor/hub"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/server"
	"pktvisor/timeline"
)

// demoEnd is a second after the last packet of the capture: the time at which its agent stands still.
const demoEnd = 1709294657

// demoAgent returns the handler of an agent that has read the demo capture. Its numbers do not change.
func demoAgent(t *testing.T) http.Handler {
	t.Helper()
	file, err := os.Open("../../testdata/captures/demo.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return agentOf(t, file, "demo.pcap.gz", testkit.HostSpec, 5, demoEnd, places(t))
}

// agentOf returns the handler of an agent that has read a capture, and whose clock stands at its end.
func agentOf(t *testing.T, file io.Reader, name, hostSpec string, periods int, end int64, locate packets.Locator) http.Handler {
	t.Helper()
	return agentWith(t, file, name, hostSpec, periods, end, locate, nil)
}

// agentWith is like agentOf, for an agent that anonymises.
func agentWith(t *testing.T, file io.Reader, name, hostSpec string, periods int, end int64, locate packets.Locator, way *anon.Anonymizer) http.Handler {
	t.Helper()
	policy := testagent.Read(t, file, hostSpec, func(c *agent.Config) {
		c.Host = "ns1.example"
		one := &c.Policies[0]
		one.Topics, one.Periods, one.Anonymizer = agent.Topics(locate, 5*time.Second), periods, way
	})
	now := func() time.Time { return time.Unix(end, 0) }
	return server.New(server.Config{
		Window: policy.Window(), Tables: policy.Tables(), Sources: agent.SourceTable, Version: "1.2.3", Started: now(), DeepSamplePercent: 100, TopN: 10, Host: "ns1.example",
		Status: func() server.Status {
			return server.Status{Target: name, Hosts: []string{"192.0.2.0/24"}, LastPacket: now()}
		},
		Routes: timeline.Routes(timeline.Config{Source: timeline.NewWindow(policy.Window(), policy.Tables(), agent.Default, now), Tables: policy.Tables(), Now: now}),
	}).Handler()
}

// evil is text that must stay text. Names of rows come from the network, those of a section from a configuration.
const evil = "<img src=x onerror=\"document.title='hacked'\">"

// unheard is a section that the dashboard has no code for, whose texts are hostile.
type unheard struct {
	_ metric.Object `metric:"" title:"Unheard <b>of</b>" help:"<script>document.title = 'hacked'</script>"`

	Total metric.Counter     `metric:"total" title:"Things" unit:"things" help:"All things."`
	Hosts metric.Cardinality `metric:"cardinality.hosts" title:"Distinct hosts" unit:"hosts" help:"Distinct hosts."`
	Rate  metric.Rate        `metric:"rates.total" title:"Things a second" unit:"things/s" help:"Things a second."`
	Size  metric.Histogram   `metric:"size" title:"Size of a thing" unit:"bytes" help:"Sizes."`
	Top   metric.Top         `metric:"top_things" title:"Busiest things" unit:"things" help:"Things."`
}

// fleet is a hub with host-minutes that tests choose.
type fleet struct {
	*testfleet.Fleet
	handler http.Handler
	store   *store.Store
	last    int64 // the start of the newest finished minute
}

// startHub returns a hub whose clock stands, at every second of a minute behind the real one. Each host-minute counts Count things and messages, all of one name.
func startHub(t *testing.T) *fleet {
	t.Helper()
	tables := append(append([]*metric.Table{}, agent.Tables...), metric.Define[unheard]("unheard"))
	last := minute.Of(time.Now().Unix()) - 2*60
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), RawBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fleet{last: last, store: s, Fleet: &testfleet.Fleet{Tables: tables, Fill: func(b *metric.Bucket, m *testfleet.Minute) {
		for i, table := range tables {
			for path, add := range map[string]func(at int){
				"total":              func(at int) { *metric.At[metric.Counter](b.Sections[i], at) = metric.Counter(m.Count) },
				"wire_packets.total": func(at int) { *metric.At[metric.Counter](b.Sections[i], at) = metric.Counter(m.Count) },
				"size":               func(at int) { b.Sections[i].Histogram(at).RecordN(100, m.Count) },
				"top_things":         func(at int) { b.Sections[i].Top(at).Add([]byte(m.Name), m.Count) },
				"top_geoLoc":         func(at int) { b.Sections[i].Top(at).Add([]byte(m.Name), m.Count) },
				"os_drops":           func(at int) { *metric.At[metric.Counter](b.Sections[i], at) = metric.Counter(m.Lost) },
			} {
				if at, ok := table.Find(path); ok {
					add(at)
				}
			}
		}
	}}}
	f.Put = func(k store.Key, data []byte, revision uint64) (uint64, error) {
		return s.Put(context.Background(), k, data, revision)
	}
	f.handler = hub.New(hub.Config{
		Store: s, Tables: tables, Sources: agent.SourceTable, Name: "hub1", Boot: 7, Version: "1.2.3", TopN: 10,
		Now: func() time.Time { return time.Unix(last+70, 0) },
	}).Handler()
	return f
}

// add puts host-minutes into the store, as they are and in rollups.
func (f *fleet) add(t *testing.T, list ...testfleet.Minute) {
	t.Helper()
	first := len(f.Minutes)
	f.Add(t, list...)
	for _, m := range f.Minutes[first:] {
		if err := f.store.PutRaw(context.Background(), m.Snapshot, ""); err != nil {
			t.Fatal(err)
		}
	}
	f.RollUp(t)
}

// proxied serves a handler below a prefix, as a reverse proxy does. While down is set, it answers 502.
func proxied(t *testing.T, h http.Handler, down *atomic.Bool) string {
	t.Helper()
	backend := httptest.NewServer(h)
	t.Cleanup(backend.Close)
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(to)
	reverse.ErrorLog = log.New(io.Discard, "", 0) // tabs that are closed cancel their requests
	proxy := http.StripPrefix("/some/prefix", reverse)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down != nil && down.Load() {
			http.Error(w, "no backend", http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL + "/some/prefix/"
}

// ask decodes an answer of the API.
func ask(t *testing.T, h http.Handler, path string, into any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatal(err)
	}
}
