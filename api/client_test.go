package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve returns a client of a server that answers with f.
func serve(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := NewClient(s.URL+"/prefix/", 2*time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSelection: what is selected of a fleet is in every request.
func TestSelection(t *testing.T) {
	var asked []string
	all := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path[strings.LastIndex(r.URL.Path, "v1/")+3:]+"?"+r.URL.RawQuery)
		_, _ = w.Write([]byte(`{"5m":{},"app":{"fleet":{"hosts":50,"selected":12}},"period":{"start_ts":7}}`))
	})
	ctx := t.Context()
	part := all.Of(Selection{Tags: []string{"pop=ams1", "pop=Zürich/2"}, Host: "ns1 &?", Policy: "dns"})
	for _, c := range []*Client{part, all} {
		_, _ = c.Window(ctx, 5, 10)
		_, _ = c.Bucket(ctx, 1, 100)
		_, _ = c.Tables(ctx)
		if r, err := c.Rates(ctx); err != nil || r.Start != N(7) {
			t.Errorf("rates of %v, %v", r.Start, err)
		}
		if a, err := c.App(ctx); err != nil || *a.Fleet != (Fleet{N(50), N(12)}) {
			t.Errorf("%+v, %v", a.Fleet, err)
		}
	}
	const query = "host=ns1+%26%3F&policy=dns&"
	const tags = "tag=pop%3Dams1&tag=pop%3DZ%C3%BCrich%2F2"
	want := []string{
		"metrics/window/5?" + query + tags, "metrics/bucket/1?" + query + "rows=100&" + tags, "tables?" + query + tags, "metrics/rates?" + query + tags, "metrics/app?" + query + tags,
		"metrics/window/5?", "metrics/bucket/1?rows=100", "tables?", "metrics/rates?", "metrics/app?",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for\n%v, want\n%v", asked, want)
	}
}

func TestClientRoutes(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch {
		case strings.HasSuffix(r.URL.Path, "/rates"):
			_, _ = w.Write([]byte(`{"packets":{"in":3,"out":4}}`))
		case strings.HasSuffix(r.URL.Path, "/app"):
			_, _ = w.Write([]byte(`{"app":{"version":"1.2","periods":7}}`))
		default:
			_, _ = w.Write([]byte(`{"7m":{"packets":{"total":42}}}`))
		}
	})
	ctx := t.Context()
	s, err := c.Window(ctx, 7, 10)
	if err != nil || s.Key != "7m" || s.Packets.Total != N(42) {
		t.Errorf("Window: %+v, %v", s.Packets.Total, err)
	}
	if _, err := c.Bucket(ctx, 3, 10); err != nil {
		t.Errorf("Bucket: %v", err)
	}
	r, err := c.Rates(ctx)
	if err != nil || r != (Rates{PPSIn: N(3), PPSOut: N(4), PPSTotal: N(7)}) {
		t.Errorf("Rates: %+v, %v", r, err)
	}
	a, err := c.App(ctx)
	if err != nil || a.Version != "1.2" || a.Periods != N(7) {
		t.Errorf("App: %+v, %v", a, err)
	}
	want := "/prefix/api/v1/metrics/window/7 /prefix/api/v1/metrics/bucket/3 /prefix/api/v1/metrics/rates /prefix/api/v1/metrics/app"
	if got := strings.Join(asked, " "); got != want {
		t.Errorf("asked for\n%s, want\n%s", got, want)
	}
}

func TestClientErrors(t *testing.T) {
	cases := []struct {
		name   string
		answer http.HandlerFunc
		kind   Kind
		status int
		text   string // part of the error
	}{
		{"status with a reason", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte(`{"error":"only 5 periods"}`))
		}, Status, 404, "HTTP 404 Not Found: only 5 periods"},
		{"status without", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, Status, 503, "HTTP 503 Service Unavailable"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, BadAnswer, 200, "unexpected answer: not a summary"},
		{"another JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"a":{}}`)) }, BadAnswer, 200, `no key like "5m"`},
		{"a list", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[1]`)) }, BadAnswer, 200, "not a summary"},
		{"a text for a window", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"5m":"x"}`)) }, BadAnswer, 200, "not a summary"},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"5m":`))
		}, Unreachable, 0, "unexpected EOF"},
		{"without end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, maxAnswer+100))
		}, BadAnswer, 0, "larger than 8 MB"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := serve(t, c.answer).Window(t.Context(), 5, 10)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v is not an *Error", err)
			}
			if e.Kind != c.kind || e.Status != c.status || !strings.Contains(err.Error(), c.text) {
				t.Errorf("kind %d status %d: %v; want kind %d status %d: %s", e.Kind, e.Status, err, c.kind, c.status, c.text)
			}
		})
	}
}

func TestClientNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := NewClient("http://"+addr, time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Window(t.Context(), 5, 10)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != Unreachable || e.Reason() != "connection refused" {
		t.Errorf("error %v, reason %q", err, e.Reason())
	}
}

func TestClientTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c, err := NewClient(s.URL, 20*time.Millisecond, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.App(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	for base, want := range map[string]string{
		"localhost:10853":  "must begin with http:// or https://",
		"ftp://example":    "must begin with http:// or https://",
		"http://":          "has no host",
		"http://[::1":      "missing ']'",
		"http://host:port": "invalid port",
	} {
		if _, err := NewClient(base, time.Second, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", base, err, want)
		}
	}
	c, err := NewClient("http://[2001:db8::1]:10853", time.Second, nil, nil)
	if err != nil || c.Host() != "[2001:db8::1]:10853" {
		t.Errorf("IPv6: %v", err)
	}
}
