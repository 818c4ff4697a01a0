package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/timeline"
	"pktvisor/window"
)

// twoPolicies returns the policies default, with one window, and dns, with windows of two taps and of a second handler. Each window
// has another number of packets.
func twoPolicies(t *testing.T) (list []*server.Policy, packets map[string]uint64) {
	t.Helper()
	packets = map[string]uint64{}
	windowOf := func(key, tap string, n int, handlers ...server.Handler) server.PolicyWindow {
		cfg := testkit.TinyMixed()
		cfg.Packets, cfg.Rate = n, 6
		p := summary(t, cfg)
		w := p.Window()
		packets[key] = w.Merged(5).Sections[0].Counter(0)
		return server.PolicyWindow{Tap: tap, Views: w, Tables: p.Tables(), Handlers: handlers, DeepSamplePercent: 100}
	}
	dns, net := server.Handler{Name: "my_dns", Type: "dns", Version: "1.0"}, server.Handler{Name: "my_net", Type: "net", Version: "1.0"}
	again := server.Handler{Name: "again", Type: "dns", Version: "2.0"}
	return []*server.Policy{
		{Name: "default", Description: []byte(`{"taps":{}}`), Memory: 1 << 20, Windows: []server.PolicyWindow{windowOf("default", "eth0", 700, dns, net)}},
		{Name: "dns", Windows: []server.PolicyWindow{windowOf("dns", "eth0", 800, dns), windowOf("dns/eth1", "eth1", 900, dns), windowOf("dns/eth1/again", "eth1", 1000, again)}},
	}, packets
}

// totalOf returns the number of packets in an answer with one window.
func totalOf(t *testing.T, body []byte) uint64 {
	t.Helper()
	var v map[string]struct{ Packets struct{ Total uint64 } }
	if err := json.Unmarshal(body, &v); err != nil || len(v) != 1 {
		t.Fatalf("%v: %.200s", err, body)
	}
	for _, s := range v {
		return s.Packets.Total
	}
	return 0
}

// TestChosenPolicy: the parameters choose a policy and its window on all routes. Without them it is the policy default.
func TestChosenPolicy(t *testing.T) {
	list, packets := twoPolicies(t)
	d := newDesk(list...)
	cfg := configOf(d, false)
	first := list[0].Windows[0].Minutes()[0].Start
	cfg.Routes = timeline.PolicyRoutes(func() time.Time { return time.Unix(list[1].Windows[2].Bucket(1).End+120, 0) })
	h, check := server.New(cfg).Handler(), apicheck.New(t)
	for query, want := range map[string]string{
		"": "default", "policy=default": "default", "policy=default&tap=eth0": "default", "policy=dns": "dns", "policy=dns&tap=eth0": "dns",
		"policy=dns&tap=eth1": "dns/eth1", "policy=dns&tap=eth1&handler=again": "dns/eth1/again", "policy=dns&handler=again": "dns/eth1/again",
	} {
		w := get(t, h, "/api/v1/metrics/window/5?"+query)
		if got := totalOf(t, w.Body.Bytes()); got != packets[want] {
			t.Errorf("%q: %d packets, want %d of %s", query, got, packets[want], want)
		}
		from := strconv.FormatInt(first/60*60, 10)
		if got := totalOf(t, get(t, h, "/api/v1/metrics/range?"+query+"&from="+from).Body.Bytes()); got != packets[want] {
			t.Errorf("%q: %d packets in the range, want %d of %s", query, got, packets[want], want)
		}
		text := get(t, h, "/metrics?"+query, "Accept", acceptText).Body.String()
		labels := map[string]string{
			"dns": `{policy="dns",tap="eth0"}`, "dns/eth1": `{policy="dns",tap="eth1"}`, "dns/eth1/again": `{policy="dns",tap="eth1",handler="again"}`,
		}[want]
		if line := "\npktvisor_packets_total" + labels + " " + strconv.FormatUint(packets[want], 10) + "\n"; !strings.Contains(text, line) {
			t.Errorf("%q: /metrics has not %q", query, line)
		}
		sum, sealed := uint64(0), uint64(0)
		for rest := get(t, h, "/api/v1/snapshots?"+query).Body.Bytes(); len(rest) > 0; {
			var one []byte
			var err error
			if one, rest, err = metric.NextSnapshot(rest); err != nil {
				t.Fatal(err)
			}
			b, err := metric.ReadSnapshot(agent.Tables, one)
			if err != nil {
				t.Fatal(err)
			}
			sum += b.Sections[0].Counter(0)
		}
		for _, p := range list {
			for _, w := range p.Windows {
				if w.Views.Merged(5).Sections[0].Counter(0) == packets[want] {
					for _, m := range w.Minutes() {
						sealed += m.Bucket().Sections[0].Counter(0)
					}
				}
			}
		}
		if sum == 0 || sum != sealed {
			t.Errorf("%q: %d packets in snapshots, want %d", query, sum, sealed)
		}
	}
	names := []string{"bucket/1", "window/5", "rates", "app", "range"}
	paths := []string{"/api/v1/snapshots", "/api/v1/tables", "/api/v1/attack", "/api/v1/changes", "/api/v1/series", "/api/v1/history", "/api/v1/events", "/metrics"}
	for _, name := range names {
		paths = append(paths, "/api/v1/metrics/"+name)
	}
	for _, path := range paths {
		for query, want := range map[string]string{
			"policy=x": `{"error":"policy \"x\" does not exist: there are default, dns"}`, "policy=default&tap=eth1": `{"error":"tap \"eth1\": policy default has eth0"}`,
			"policy=dns&handler=my_net": `{"error":"handler \"my_net\": policy dns has again, my_dns"}`,
		} {
			w := get(t, h, path+"?metric=dns.wire_packets.total&table=dns.top_qname2&name=x&"+query)
			if w.Code != 404 || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("%s?%s: %d %s, want %s", path, query, w.Code, w.Body, want)
			}
			check.Check(t, path, w.Code, w.Header(), w.Body.Bytes())
		}
		for _, query := range []string{"policy=", "policy=dns&policy=default", "tap=", "host=a"} {
			if w := get(t, h, path+"?"+query); w.Code != 400 {
				t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	}
}

// TestDefaultPolicy: without a policy default, a request that names none gets the first one on all routes. The state of the agent is
// there without any policy.
func TestDefaultPolicy(t *testing.T) {
	list, packets := twoPolicies(t)
	d := newDesk(list[1])
	cfg := configOf(d, false)
	cfg.Tables = agent.Tables
	cfg.Routes = timeline.PolicyRoutes(func() time.Time { return time.Unix(list[1].Windows[0].Bucket(1).End+120, 0) })
	h, check := server.New(cfg).Handler(), apicheck.New(t)
	if got := totalOf(t, get(t, h, "/api/v1/metrics/window/5").Body.Bytes()); got != packets["dns"] {
		t.Errorf("the only policy: %d packets, want %d", got, packets["dns"])
	}
	d.policies.Store(&[]*server.Policy{list[1], {Name: "other", Windows: list[0].Windows}})
	if got := totalOf(t, get(t, h, "/api/v1/metrics/window/5").Body.Bytes()); got != packets["dns"] {
		t.Errorf("the first of two policies: %d packets, want %d", got, packets["dns"])
	}
	paths := []string{"metrics/bucket/1", "metrics/rates", "metrics/app", "metrics/range", "snapshots", "tables", "attack", "changes", "series", "history"}
	for _, path := range paths {
		w := get(t, h, "/api/v1/"+path+"?metric=dns.wire_packets.total&table=dns.top_qname2&name=x")
		check.Check(t, "/api/v1/"+path, w.Code, w.Header(), w.Body.Bytes())
		if w.Code == 404 {
			t.Errorf("%s without a policy default: %d %s", path, w.Code, w.Body)
		}
	}
	if w := get(t, h, "/"); w.Code != 200 { // the page itself needs no policy
		t.Errorf("the page: %d", w.Code)
	}
	d.policies.Store(&[]*server.Policy{})
	if w := get(t, h, "/api/v1/metrics/window/5"); w.Code != 404 || !strings.Contains(w.Body.String(), "there are no policies now") {
		t.Errorf("none: %d %s", w.Code, w.Body)
	}
	w := get(t, h, "/api/v1/metrics/app")
	if check.Check(t, "/api/v1/metrics/app", w.Code, w.Header(), w.Body.Bytes()); w.Code != 200 || !strings.Contains(w.Body.String(), `"app":{"version":`) {
		t.Errorf("the state without policies: %d %s", w.Code, w.Body)
	}
}

// TestAppPolicies: the state of the agent has the policies, and the taps with their faults.
func TestAppPolicies(t *testing.T) {
	list, _ := twoPolicies(t)
	cfg := configOf(newDesk(list...), false)
	cfg.Status = func() server.Status {
		return server.Status{Shards: 1, Taps: []server.Tap{{Name: "eth0"}, {Name: "eth1", Fault: "interface eth1 is down"}}}
	}
	h, check := server.New(cfg).Handler(), apicheck.New(t)
	w := get(t, h, "/api/v1/metrics/app")
	check.Check(t, "/api/v1/metrics/app", w.Code, w.Header(), w.Body.Bytes())
	for _, part := range []string{
		`"capturing":false,"fault":"tap eth1: interface eth1 is down"`, `"taps":[{"name":"eth0","capturing":true},{"name":"eth1","capturing":false,"fault":"interface eth1 is down"}]`,
		`"policies":[{"name":"default","memory_bytes":1048576,"windows":[{"tap":"eth0","periods":5,"sealed_periods":`,
		`"handlers":[{"name":"my_dns","type":"dns","version":"1.0"},{"name":"my_net","type":"net","version":"1.0"}]}]},{"name":"dns","windows":[{"tap":"eth0"`,
	} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("/app lacks %s\n%s", part, w.Body)
		}
	}
	for path, want := range map[string]int{"/readyz": 503, "/readyz?tap=eth0": 200, "/readyz?tap=eth1": 503, "/readyz?tap=x": 404} {
		w := get(t, h, path)
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
		check.Check(t, path, w.Code, w.Header(), w.Body.Bytes())
	}
	if text := get(t, h, "/metrics").Body.String(); !strings.Contains(text, "\npktvisor_capturing 0\n") {
		t.Error("Prometheus says that everything is captured")
	}
}

// TestTwoLives: a policy that was removed and added again under its name, with the same content, has other tags. Nothing of the old
// one is kept: neither its answers nor its window.
func TestTwoLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(emptyPolicy("default", nil), emptyPolicy("a", nil))
		cfg := configOf(d, false)
		cfg.Routes = timeline.PolicyRoutes(time.Now)
		s := server.New(cfg)
		h := s.Handler()
		paths := []string{
			"/api/v1/metrics/window/5?policy=a", "/api/v1/metrics/bucket/0?policy=a", "/metrics?policy=a", "/api/v1/tables?policy=a", "/api/v1/snapshots?policy=a",
			"/api/v1/series?policy=a&metric=dns.wire_packets.total", "/api/v1/policies/a/metrics/bucket/0", "/api/v1/policies/a/metrics/window/2",
		}
		tags := map[string]string{}
		for _, path := range paths {
			w := get(t, h, path)
			tags[path] = w.Header().Get("ETag")
			other := get(t, h, strings.NewReplacer("=a", "=default", "/a/", "/default/").Replace(path))
			if w.Code != 200 || other.Code != 200 || tags[path] == "" || tags[path] == other.Header().Get("ETag") {
				t.Errorf("%s: %d, tag %q; that of another policy %q", path, w.Code, tags[path], other.Header().Get("ETag"))
			}
			if again := get(t, h, path, "If-None-Match", tags[path]); again.Code != 304 && !strings.HasPrefix(path, "/metrics?") {
				t.Errorf("%s again: %d", path, again.Code)
			}
		}
		old := weak.Make(d.Policies()[1].Windows[0].Views.(*window.Window))
		if err := d.Remove(t.Context(), server.APolicy, "a"); err != nil {
			t.Fatal(err)
		}
		s.Refresh()
		runtime.GC()
		if old.Value() != nil {
			t.Error("the window of a policy that is gone is still in memory")
		}
		for _, path := range paths {
			if w := get(t, h, path); w.Code != 404 {
				t.Errorf("%s of a policy that is gone: %d", path, w.Code)
			}
		}
		list := append(d.Policies(), emptyPolicy("a", nil))
		d.policies.Store(&list)
		for _, path := range paths {
			if w := get(t, h, path, "If-None-Match", tags[path]); w.Code != 200 || w.Header().Get("ETag") == tags[path] {
				t.Errorf("%s of a new life: %d, tag %q as before", path, w.Code, w.Header().Get("ETag"))
			}
		}
	})
}

// TestManyLives: what is kept for policies that come and go does not grow.
func TestManyLives(t *testing.T) {
	d := newDesk(emptyPolicy("default", nil))
	h := server.New(configOf(d, false)).Handler()
	cached := func() int {
		var v struct {
			App struct{ Memory struct{ Cache_bytes int } }
		}
		if err := json.Unmarshal(get(t, h, "/api/v1/metrics/app").Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		return v.App.Memory.Cache_bytes
	}
	for i := range 50 {
		d.set(server.APolicy, "a", []byte(strconv.Itoa(i)))
		for _, path := range []string{"/api/v1/metrics/window/5?policy=a", "/metrics?policy=a", "/api/v1/tables?policy=a"} {
			if w := get(t, h, path); w.Code != 200 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if err := d.Remove(t.Context(), server.APolicy, "a"); err != nil {
			t.Fatal(err)
		}
		if n := cached(); n != 0 {
			t.Fatalf("after %d policies: %d bytes are kept", i+1, n)
		}
	}
}

// TestEventsOfPolicies: a client gets the events of its policy only. Its stream ends when the policy is removed.
func TestEventsOfPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(emptyPolicy("default", nil), emptyPolicy("a", nil))
		s := server.New(configOf(d, false))
		h := s.Handler()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan string, 2)
		open := func(name string) *reader {
			r := &reader{header: http.Header{}}
			go func() {
				h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/api/v1/events?policy="+name, nil).WithContext(ctx))
				ended <- name
			}()
			synctest.Wait()
			return r
		}
		a, other := open("a"), open("default")
		push := func(name string, n int64) { // a minute is finished
			for _, p := range d.Policies() {
				if p.Name == name {
					b := metric.NewBucket(agent.Tables)
					b.Start, b.End, b.Identity.Policy = n*60, n*60+60, name
					p.Windows[0].Views.(*window.Window).Restore([]*metric.Bucket{b}, n*60+60)
				}
			}
		}
		push("a", time.Now().Unix()/60-1)
		time.Sleep(10 * time.Second)
		if got := a.events("minute"); len(got) != 1 {
			t.Errorf("the minutes of a: %q", got)
		}
		if got := other.events("minute"); len(got) != 0 {
			t.Errorf("the minutes of default: %q", got)
		}
		if n, m := len(a.events("second")), len(other.events("second")); n < 8 || m < 8 {
			t.Errorf("%d and %d seconds", n, m)
		}
		if err := d.Remove(t.Context(), server.APolicy, "a"); err != nil {
			t.Fatal(err)
		}
		s.Refresh()
		if name := <-ended; name != "a" {
			t.Errorf("the stream of %s has ended", name)
		}
		n := len(other.events("second"))
		time.Sleep(10 * time.Second)
		if len(other.events("second")) < n+8 {
			t.Error("the stream of the other policy ends too")
		}
		stop()
		time.Sleep(2 * time.Second)
	})
}

// TestSuccessorRoutes: the routes of the successor have its forms, statuses and texts.
func TestSuccessorRoutes(t *testing.T) {
	list, _ := twoPolicies(t)
	young := emptyPolicy("young", nil)
	both := &server.Policy{Name: "both", Windows: []server.PolicyWindow{list[0].Windows[0]}}
	both.Windows[0].Tap, both.Windows[0].Views = "", summary(t, testkit.TinyMixed()).Window()
	d := newDesk(list[0], list[1], young, both)
	h, check := server.New(configOf(d, false)).Handler(), apicheck.New(t)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/api/v1/taps", 200, "{}\n"},
		{"/api/v1/taps/x", 404, `{"error":"tap does not exist: there is no \"x\", but none"}`},
		{"/api/v1/policies/x", 404, `{"error":"policy does not exist: there is no \"x\", but both, default, dns, young"}`},
		{"/api/v1/policies/default", 200, `{"default":{"taps":{}}}`},
		{"/api/v1/policies", 200, `{"both":{},"default":{"taps":{}},"dns":{},"young":{}}`},
		{"/api/v1/policies/x/metrics/bucket/1", 404, `{"error":"policy does not exist`},
		{"/api/v1/policies/default/metrics/bucket/5", 425, `{"error":"invalid metrics period, specify [0, 4]"}`},
		{"/api/v1/policies/default/metrics/bucket/99999999999999999999", 425, `{"error":"invalid metrics period, specify [0, 4]"}`},
		{"/api/v1/policies/default/metrics/window/1", 425, `{"error":"invalid metrics period, specify [2, 5]"}`},
		{"/api/v1/policies/default/metrics/window/6", 425, `{"error":"invalid metrics period, specify [2, 5]"}`},
		{"/api/v1/policies/young/metrics/bucket/1", 425, `{"error":"requested metrics period has not yet accumulated, current range is [0, 0]"}`},
		{"/api/v1/policies/default/metrics/bucket/x", 404, `{"error":"there is nothing at `},
		{"/api/v1/policies/default/metrics/bucket/-1", 404, `{"error":"there is nothing at `},
		{"/api/v1/policies/__all/metrics/bucket/5", 200, "{}\n"},
		{"/api/v1/policies/young/metrics/window/5", 200, `{"young":{"young-eth0-my_dns":{"dns":{"period":{"start_ts":0,"length":0}`},
		{"/api/v1/policies/default/metrics/bucket/1", 200, `{"default":{"default-eth0-my_dns":{"dns":{"period":{"start_ts":`},
		{"/api/v1/policies/both/metrics/window/2", 200, `{"both":{"dns_merged":{"dns":{"period":{"start_ts":`},
		{"/api/v1/policies/x/metrics/prometheus", 404, `{"error":"policy does not exist`},
		{"/api/v1/policies/default/metrics/prometheus", 200, "# HELP "},
	} {
		w := get(t, h, c.path)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), strings.TrimSuffix(c.body, "\n")) || strings.HasSuffix(c.body, "\n") && w.Body.String() != c.body {
			t.Errorf("%s: %d %.200s, want %d %s", c.path, w.Code, w.Body, c.status, c.body)
		}
		check.Check(t, c.path, w.Code, w.Header(), w.Body.Bytes())
	}
	var all map[string]map[string]map[string]any
	body := get(t, h, "/api/v1/policies/__all/metrics/bucket/1").Body.Bytes()
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	if len(all) != 3 || all["young"] != nil { // which does not have the minute yet
		t.Errorf("__all has %d policies", len(all))
	}
	for _, name := range []string{"dns-eth0-my_dns", "dns-eth1-my_dns", "dns-eth1-again"} {
		if all["dns"][name]["dns"] == nil {
			t.Errorf("dns has no %s: %v", name, all["dns"][name])
		}
	}
	if all["default"]["default-eth0-my_net"]["packets"] == nil {
		t.Error("default has no net")
	}
	text := get(t, h, "/api/v1/policies/__all/metrics/prometheus").Body.Bytes()
	if n := bytes.Count(text, []byte("# TYPE dns_wire_packets_total ")); n != 1 || !contains(string(text), `handler="my_dns",policy="dns",tap="eth1"`, `handler="my_dns",policy="default",tap="eth0"`) {
		t.Errorf("Prometheus declares a family %d times", n)
	}
	if w := get(t, h, "/api/v1/policies/default/metrics/bucket/0", "Accept", "text/html"); w.Code != 200 { // says nothing about JSON
		t.Errorf("%d", w.Code)
	}
	if w := get(t, h, "/api/v1/policies/default/metrics/bucket/0", "Accept", "*/*;q=0"); w.Code != 406 {
		t.Errorf("%d", w.Code)
	}
}
