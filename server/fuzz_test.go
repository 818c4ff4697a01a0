package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/server"
)

// FuzzRequest: every request, however malformed, is answered with 200, 304 or an error in JSON.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{"/", "/metrics", "/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/snapshots?since=0", "/nope", "//", "/%2e%2e/"} {
		f.Add("GET", path, "gzip;q=0.5, *", `W/"x", *`, "application/vnd.pktvisor.snapshot;q=1")
	}
	h := server.New(config(summary(f, testkit.TinyMixed()).Window())).Handler()
	f.Fuzz(func(t *testing.T, method, path, encoding, match, accept string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") || method == http.MethodConnect {
			return // the library rejects it
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL = method, u
		r.Header.Set("Accept-Encoding", encoding)
		r.Header.Set("If-None-Match", match)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200, 304, 301, 307:
		case 400, 404, 405, 406:
			var body struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == "" {
				t.Errorf("%s %q: %d %q", method, path, w.Code, w.Body)
			}
		default:
			t.Errorf("%s %q: %d %q", method, path, w.Code, w.Body)
		}
	})
}
