package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/hub/collect"
	"pktvisor/hub/ingest"
	"pktvisor/hub/query"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

// The places of the metrics that the hosts of the tests count.
type place struct{ section, at int }

func find(t testing.TB, section, path string) place {
	t.Helper()
	for i, table := range agent.Tables {
		if k, ok := table.Find(path); ok && table.Section == section {
			return place{i, k}
		}
	}
	t.Fatalf("no metric %s.%s", section, path)
	return place{}
}

// fleetOf is a fleet of agents whose hosts send Count packets of DNS in each minute, all for one name and from one address.
func fleetOf(t testing.TB) *testfleet.Fleet {
	packets, messages := find(t, "packets", "total"), find(t, "dns", "wire_packets.total")
	addresses, names, size := find(t, "packets", "cardinality.src_ips_in"), find(t, "dns", "top_qname2"), find(t, "packets", "size")
	pps := find(t, "packets", "rates.pps_total")
	return &testfleet.Fleet{Tables: agent.Tables, Fill: func(b *metric.Bucket, m *testfleet.Minute) {
		*metric.At[metric.Counter](b.Sections[packets.section], packets.at) = metric.Counter(m.Count)
		*metric.At[metric.Counter](b.Sections[messages.section], messages.at) = metric.Counter(m.Count)
		b.Sections[addresses.section].Cardinality(addresses.at).Add([]byte(m.Name))
		b.Sections[names.section].Top(names.at).Add([]byte(m.Name), m.Count)
		b.Sections[size.section].Histogram(size.at).RecordN(100, m.Count)
		b.Sections[pps.section].Rate(pps.at).Add(m.Start+testfleet.Second, m.Count)
	}}
}

// a hub with a store, and a client that checks the form of each answer.
type testHub struct {
	*Hub
	*testfleet.Fleet
	t     testing.TB
	now   time.Time
	last  int64 // the start of the newest finished minute
	check *apicheck.Checker
	store *store.Store
}

// start starts a hub with an embedded store. Its clock stands, ten seconds after the end of a minute, and at every second of a minute
// behind the real one, by which the store goes.
func start(t testing.TB, change func(*Config)) *testHub {
	t.Helper()
	last := minute.Of(time.Now().Unix()) - 2*60
	h := &testHub{Fleet: fleetOf(t), t: t, now: time.Unix(last+60+10, 0), last: last, check: apicheck.New(t)}
	var err error
	h.store, err = store.Open(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), RawBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	h.Put = func(k store.Key, data []byte, revision uint64) (uint64, error) {
		return h.store.Put(context.Background(), k, data, revision)
	}
	cfg := Config{
		Store: h.store, Tables: agent.Tables, Sources: agent.SourceTable, Name: "hub1", Tags: "site=hq", Boot: 7, Version: "1.2.3", TopN: 10, Now: func() time.Time { return h.now },
		Ingest:  func() ingest.Status { return ingest.Status{Received: 12, Lag: 3} },
		Targets: func() []collect.Status { return nil },
		Started: time.Unix(last, 0),
	}
	if change != nil {
		change(&cfg)
	}
	h.Hub = New(cfg)
	return h
}

// get returns an answer after it has checked its form.
func (h *testHub) get(path string) *httptest.ResponseRecorder {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	h.check.Check(h.t, path, w.Code, w.Header(), w.Body.Bytes())
	return w
}

// into reads the answer of a route, which must not be an error.
func into[T any](h *testHub, path string) (v T) {
	h.t.Helper()
	w := h.get(path)
	if w.Code != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		h.t.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// summary is what the tests read of a summary.
type summary struct {
	Period struct {
		Start  int64  `json:"start_ts"`
		Length int64  `json:"length"`
		Lost   uint64 `json:"lost"`
	} `json:"period"`
	Packets struct {
		Total uint64
		Rates *struct {
			Total struct{ P99, Live uint64 } `json:"pps_total"`
		}
	}
	DNS struct {
		Top []struct {
			Name     string
			Estimate uint64
		} `json:"top_qname2"`
	}
	Fleet api.Selected
}

// of returns the only member of an answer.
func of(h *testHub, path string) (key string, s summary) {
	h.t.Helper()
	all := into[map[string]summary](h, path)
	if len(all) != 1 {
		h.t.Fatalf("GET %s: %d members", path, len(all))
	}
	for key, s = range all {
	}
	return key, s
}

// three adds a minute of each of three hosts.
func (h *testHub) three(start int64) {
	h.Add(h.t,
		testfleet.Minute{Host: "ns1", Tags: "country=nl,pop=ams1", Start: start, Boot: 1, Seq: uint64(start), Count: 100, Name: "a.example", Delay: 2, Lost: 5},
		testfleet.Minute{Host: "ns2", Tags: "country=nl,pop=ams2", Start: start, Boot: 2, Seq: uint64(start), Count: 20, Name: "b.example", Delay: 3},
		testfleet.Minute{Host: "ns3", Tags: "country=jp,pop=nrt1", Start: start, Boot: 3, Seq: uint64(start), Count: 3, Name: "a.example", Delay: 2},
	)
}

// TestSelectedViews: the agent's routes are about the api.Selected hosts, and say about whom.
func TestSelectedViews(t *testing.T) {
	h := start(t, nil)
	if got := h.get("/api/v1/metrics/bucket/1"); got.Code != 404 {
		t.Errorf("an empty store: %d %s", got.Code, got.Body)
	}
	if _, s := of(h, "/api/v1/metrics/window/5"); s.Packets.Total != 0 {
		t.Errorf("an empty store: %+v", s)
	}
	for i := range int64(8) {
		h.three(h.last - 60*i)
		h.now = h.now.Add(time.Nanosecond)
	}
	h.RollUp(t)
	h.Hub = New(h.Hub.cfg) // without the answers of a moment ago
	for _, c := range []struct {
		query string
		total uint64 // of a minute
		hosts int
	}{
		{"", 123, 3}, {"policy=default", 123, 3}, {"tag=pop%3Dams1", 100, 1}, {"tag=pop=ams1,pop=ams2", 120, 2}, {"tag=pop%3Dams1&tag=pop%3Dnrt1", 103, 2},
		{"tag=country=nl", 120, 2},
	} {
		key, one := of(h, "/api/v1/metrics/bucket/1?"+c.query)
		if key != "1m" || one.Packets.Total != c.total || one.Period.Start != h.last || one.Period.Length != 60 || one.Fleet.Count != c.hosts || one.Fleet.HostMinutes != uint64(c.hosts) {
			t.Errorf("%s: minute %+v", c.query, one)
		}
		key, five := of(h, "/api/v1/metrics/window/5?rows=1&"+c.query)
		if key != "5m" || five.Packets.Total != 5*c.total || five.Period.Length != 300 || five.Fleet.Minutes != 5 || five.Fleet.MissingMinutes != 0 || len(five.DNS.Top) != 1 {
			t.Errorf("%s: window %+v", c.query, five)
		}
		key, all := of(h, fmt.Sprintf("/api/v1/metrics/range?from=%d&to=%d&%s", h.last-420, h.last+60, c.query))
		if key != "8m" || all.Packets.Total != 8*c.total || all.Fleet.From != h.last-420 || all.Fleet.To != h.last+60 || all.Packets.Rates == nil {
			t.Errorf("%s: range %s %+v", c.query, key, all)
		}
		metrics := h.get("/metrics?" + c.query).Body.String()
		if !strings.Contains(metrics, "\npktvisor_hub_ingest_received_total 12\n") || strings.Contains(metrics, "pktvisor_capturing") ||
			!strings.Contains(metrics, fmt.Sprintf("\npktvisor_hub_hosts{state=%q} 3\n", "up")) {
			t.Errorf("%s: /metrics lacks something", c.query)
		}
		rates := into[struct{ Period struct{ Length int } }](h, "/api/v1/metrics/rates?"+c.query)
		if rates.Period.Length != 1 {
			t.Errorf("%s: rates %+v", c.query, rates)
		}
		app := into[struct {
			App struct {
				Periods, Capturing any
				Fleet              fleetCounts
			}
		}](h, "/api/v1/metrics/app?"+c.query)
		if app.App.Fleet.Hosts != 3 || app.App.Fleet.Selected != c.hosts || app.App.Fleet.Policy != "default" {
			t.Errorf("%s: app %+v", c.query, app)
		}
	}
	if _, live := of(h, "/api/v1/metrics/bucket/0"); live.Packets.Total != 0 || live.Period.Start != h.last+60 || live.Period.Length != 0 {
		t.Errorf("bucket 0: %+v", live)
	}
	if got := h.get("/readyz"); got.Code != 200 || got.Body.String() != "{\"status\":\"ready\"}\n" {
		t.Errorf("/readyz: %d %s", got.Code, got.Body)
	}
}

// TestHubOfHub: another hub gets the minutes as snapshots whose keys stay, with revisions that grow.
func TestHubOfHub(t *testing.T) {
	h := start(t, nil)
	h.three(h.last - 60)
	h.three(h.last)
	read := func(path string) (infos []metric.SnapshotInfo) {
		got := h.get(path)
		for rest := got.Body.Bytes(); len(rest) > 0; {
			one, more, err := metric.NextSnapshot(rest)
			if err != nil {
				t.Fatal(err)
			}
			info, err := metric.ReadSnapshotInfo(one)
			if err != nil {
				t.Fatal(err)
			}
			infos, rest = append(infos, info), more
		}
		return infos
	}
	before := read("/api/v1/snapshots?since=0")
	tag := h.get("/api/v1/snapshots?since=0").Header().Get("ETag")
	h.Add(t, testfleet.Minute{Host: "late", Start: h.last, Boot: 9, Seq: 1, Count: 1000, Name: "late"})
	after := read("/api/v1/snapshots?since=0")
	if h.get("/api/v1/snapshots?since=0").Header().Get("ETag") == tag {
		t.Error("a late minute does not change the ETag")
	}
	if len(before) != 2 || len(after) != 2 {
		t.Fatalf("%d and %d snapshots", len(before), len(after))
	}
	for i, a := range after {
		b := before[i]
		want := metric.Identity{Host: "hub1", Tags: "site=hq", Policy: "default", Boot: 7, Seq: uint64(a.Start / 60), Revision: a.Identity.Revision}
		if a.Identity != want || a.Start != h.last-60+int64(i)*60 || a.End != a.Start+60 || a.Start != b.Start || a.Agent != "pktvisor-hub 1.2.3" {
			t.Errorf("snapshot %d: %+v", i, a)
		}
		if changed := i == 1; (a.Identity.Revision > b.Identity.Revision) != changed || !changed && a.Identity.Revision != b.Identity.Revision {
			t.Errorf("snapshot %d: revision %d after %d", i, a.Identity.Revision, b.Identity.Revision)
		}
		if covered := uint64(180 + 60*i); a.Covered != covered {
			t.Errorf("snapshot %d covers %d s, want %d", i, a.Covered, covered)
		}
	}
}

// TestRangeErrors: wrong parameters are answered with 400 and what to give instead.
func TestRangeErrors(t *testing.T) {
	h := start(t, nil)
	h.three(h.last)
	long := strings.Repeat("x", 5000)
	for _, path := range []string{
		"/api/v1/metrics/range?from=x", "/api/v1/metrics/range?from=now&to=-1h", "/api/v1/metrics/range?from=1&from=2", "/api/v1/metrics/range?from=",
		"/api/v1/metrics/range?rows=0", "/api/v1/metrics/range?rows=x", "/api/v1/metrics/range?tag=pop=mars", "/api/v1/metrics/range?tag=pop", "/api/v1/metrics/range?tag=,",
		"/api/v1/metrics/range?policy=x", "/api/v1/metrics/range?host=ns1&from=-7d", "/api/v1/metrics/range?from=-99999999w", "/api/v1/metrics/range?from=-1x", "/api/v1/metrics/range?from=9223372036854775807",
		"/api/v1/metrics/range?tag=" + long, "/api/v1/metrics/range?host=" + long, "/api/v1/metrics/range?from=1970-01-01T00:00:00Z",
		"/api/v1/series", "/api/v1/series?metric=x", "/api/v1/series?metric=dns.top_qname2", "/api/v1/series?metric=dns.wire_packets.total&step=61", "/api/v1/series?metric=dns.wire_packets.total&step=0",
		"/api/v1/series?metric=dns.wire_packets.total&step=-5m", "/api/v1/series?metric=dns.wire_packets.total&step=1m&from=-30d", "/api/v1/series?metric=dns.wire_packets.total&by=planet",
		"/api/v1/series?metric=dns.wire_packets.total&by=pop&host=ns1", "/api/v1/series?metric=dns.wire_packets.total&by=host&from=-7d", "/api/v1/history?table=dns.top_qname2&name=x&by=planet", "/api/v1/history?table=dns.top_qname2&name=x&by=", "/api/v1/series?metric=dns.wire_packets.total&by=pop&tag=country=nl",
		"/api/v1/series?metric=dns.xact.counts.open.x", "/api/v1/series?metric=." + "&metric=dns.", "/api/v1/series?metric=" + long,
		"/api/v1/series?" + strings.Repeat("metric=dns.wire_packets.total&", 21),
		"/api/v1/changes?rows=0", "/api/v1/changes?measure=x", "/api/v1/changes?base_from=x", "/api/v1/changes?base_from=now&base_to=-2h", "/api/v1/changes?base_tag=pop=mars", "/api/v1/changes?base_tag=,",
		"/api/v1/overlap", "/api/v1/overlap?metric=packets.cardinality.src_ips_in", "/api/v1/overlap?metric=packets.total&by=pop", "/api/v1/overlap?metric=packets.cardinality.src_ips_in&by=planet",
		"/api/v1/fleet?limit=-1", "/api/v1/fleet?limit=x", "/api/v1/fleet?state=x", "/api/v1/fleet?policy=x", "/api/v1/fleet?policy=",
		"/api/v1/events?tag=,", "/api/v1/events?host=x", "/api/v1/events?policy=a&policy=b",
		"/api/v1/metrics/window/99", "/api/v1/metrics/window/5?tag=pop=mars", "/api/v1/metrics/bucket/61", "/metrics?tag=x", "/api/v1/snapshots?tag=x", "/api/v1/metrics/rates?tag=x", "/api/v1/metrics/app?tag=x",
	} {
		got := h.get(path)
		var e struct{ Error string }
		if err := json.Unmarshal(got.Body.Bytes(), &e); got.Code != 400 || err != nil || e.Error == "" || len(e.Error) > 1000 {
			t.Errorf("GET %.120s: %d %.300s", path, got.Code, got.Body)
		}
	}
}

// TestStoreIsAway: while the store does not answer, the hub says so with 503.
func TestStoreIsAway(t *testing.T) {
	h := start(t, func(c *Config) { c.Query = query.Config{Minutes: 5} })
	h.three(h.last)
	h.store.Close()
	for _, path := range []string{
		"/api/v1/metrics/bucket/1", "/api/v1/metrics/window/5", "/api/v1/metrics/range", "/api/v1/fleet", "/api/v1/series?metric=dns.wire_packets.total", "/api/v1/changes",
		"/api/v1/overlap?metric=packets.cardinality.src_ips_in&by=pop", "/api/v1/snapshots", "/metrics", "/api/v1/metrics/app", "/readyz",
	} {
		if got := h.get(path); got.Code != 503 {
			t.Errorf("GET %s: %d %.200s", path, got.Code, got.Body)
		}
	}
}

// TestUnknownHost: a host that does not exist is a clear error on every route that has a selection, and not a fleet of nothing. A host
// that exists but was away in the range, and one beside another that does not exist, are answered.
func TestUnknownHost(t *testing.T) {
	h := start(t, nil)
	h.three(h.last)
	for _, path := range []string{
		"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/metrics/app", "/api/v1/metrics/range", "/api/v1/series?metric=dns.wire_packets.total",
		"/api/v1/series?metric=dns.wire_packets.total&by=host", "/api/v1/history?table=dns.top_qname2&name=x", "/api/v1/changes", "/api/v1/attack",
	} {
		with := path + map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "host="
		if got, want := h.get(with+"n%1B"), `{"error":"host \"n\\x1b\": there is no such host with policy default: /api/v1/fleet lists the hosts"}`+"\n"; got.Code != 404 || got.Body.String() != want {
			t.Errorf("GET %s: %d %.300s, want %s", with, got.Code, got.Body, want)
		}
		if got := h.get(with + "ns1&host=none"); got.Code != 200 && !strings.Contains(path, "bucket") { // there is no finished minute yet
			t.Errorf("GET %sns1&host=none: %d %.300s", with, got.Code, got.Body)
		}
	}
	if got := h.get(fmt.Sprintf("/api/v1/metrics/range?host=ns1&from=%d&to=%d", h.last-1200, h.last-600)); got.Code != 200 {
		t.Errorf("before it was there: %d %.300s", got.Code, got.Body)
	}
}
