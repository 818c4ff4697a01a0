package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pktvisor/internal/testkit/apicheck"
	"pktvisor/server"
)

// TestKeys: a key that is followed has a summary of its own on all routes. One that is not is 404 with the keys of now. What was kept for a key that
// ended is released.
func TestKeys(t *testing.T) {
	list, packets := twoPolicies(t)
	whole, own := list[0], list[1].Windows[1] // of 700 and of 900 packets
	own.Tap, own.Started = "eth0", time.Unix(1_700_000_000, 0)
	policy := func(keys ...server.KeyWindow) *server.Policy {
		p := *whole
		w := p.Windows[0]
		w.Keys = keys
		p.Windows, p.ForEach = []server.PolicyWindow{w}, &server.ForEach{Top: "dns.top_qname2", Most: 3}
		return &p
	}
	d := newDesk(policy(server.KeyWindow{Key: "example.com", PolicyWindow: own}), list[1])
	cfg := configOf(d, false)
	s := server.New(cfg)
	h, check := s.Handler(), apicheck.New(t)
	for query, want := range map[string]string{"": "default", "key=example.com": "dns/eth1", "key=.example.com": "dns/eth1", "policy=default&tap=eth0&key=example.com": "dns/eth1"} {
		if got := totalOf(t, get(t, h, "/api/v1/metrics/window/5?"+query).Body.Bytes()); got != packets[want] {
			t.Errorf("%q: %d packets, want %d", query, got, packets[want])
		}
	}
	w := get(t, h, "/api/v1/metrics/app?key=example.com")
	check.Check(t, "/api/v1/metrics/app", w.Code, w.Header(), w.Body.Bytes())
	if want := `"for_each":{"top":"dns.top_qname2","most":3},"keys":[{"key":"example.com","tap":"eth0","since_ts":1700000000,"sealed_periods":`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("/app lacks %s\n%s", want, w.Body)
	}
	if text := get(t, h, "/metrics", "Accept", acceptText).Body.String(); strings.Contains(text, `key="`) {
		t.Error("/metrics has a key that was not asked for")
	}
	if text := get(t, h, "/metrics?key=example.com", "Accept", acceptText).Body.String(); !strings.Contains(text, "\npktvisor_packets_total{policy=\"default\",tap=\"eth0\",key=\"example.com\"} 900\n") && packets["dns/eth1"] == 900 {
		t.Errorf("/metrics of a key: %.1000s", text)
	}
	for query, want := range map[string]string{
		"key=other.com":              `{"error":"key \"other.com\": policy default follows now example.com"}`,
		"policy=dns&key=example.com": `{"error":"key \"example.com\": policy dns follows no keys: give it for_each in the configuration"}`,
	} {
		for _, path := range []string{"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/snapshots", "/api/v1/tables", "/api/v1/events", "/metrics"} {
			w := get(t, h, path+"?"+query)
			if w.Code != http.StatusNotFound || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("%s?%s: %d %s, want %s", path, query, w.Code, w.Body, want)
			}
		}
	}
	for _, query := range []string{"key=", "key=a&key=b"} {
		if w := get(t, h, "/api/v1/metrics/window/5?"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	old := get(t, h, "/api/v1/metrics/window/5?key=example.com").Header().Get("ETag")
	if old == get(t, h, "/api/v1/metrics/window/5").Header().Get("ETag") {
		t.Error("a key has the tag of its policy")
	}
	d.policies.Store(&[]*server.Policy{policy(), list[1]})
	s.Refresh()
	if w := get(t, h, "/api/v1/metrics/window/5?key=example.com"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "policy default follows now none") {
		t.Errorf("a key that ended: %d %s", w.Code, w.Body)
	}
}
