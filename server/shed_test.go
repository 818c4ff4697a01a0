package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/server"
)

// TestShed: without caches every answer is made again, and without views there is only what describes the agent.
func TestShed(t *testing.T) {
	s := server.New(config(summary(t, testkit.TinyMixed()).Window()))
	h := s.Handler()
	views := []string{"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/snapshots"}
	others := []string{"/api/v1/metrics/app", "/healthz", "/readyz", "/metrics", "/", "/api/v1/tables"}
	expect := func(what string, status int, cached bool) {
		t.Helper()
		for _, path := range views {
			w := get(t, h, path)
			if w.Code != status || status == 503 && (w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "short of memory")) {
				t.Errorf("%s: %s: %d %.100s", what, path, w.Code, w.Body)
			}
		}
		for _, path := range others {
			if w := get(t, h, path); w.Code != 200 {
				t.Errorf("%s: %s: %d", what, path, w.Code)
			}
		}
		var app struct {
			App struct {
				Memory struct {
					CacheBytes int `json:"cache_bytes"`
				}
			}
		}
		if err := json.Unmarshal(get(t, h, "/api/v1/metrics/app").Body.Bytes(), &app); err != nil {
			t.Fatal(err)
		}
		if n := app.App.Memory.CacheBytes; (n > 0) != cached {
			t.Errorf("%s: %d bytes are cached", what, n)
		}
	}
	expect("before", 200, true)
	s.ShedCaches(true)
	expect("without caches", 200, false)
	s.ShedViews(true)
	expect("without views", 503, false)
	s.ShedViews(false)
	s.ShedCaches(false)
	expect("after", 200, true)
}
