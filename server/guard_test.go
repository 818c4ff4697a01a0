package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/access"
	"pktvisor/agent"
	"pktvisor/window"
)

// socketPath returns the path of a socket, which the system limits to about 100 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// TestListenUnix: a server listens on a socket that only its user and group can use. It replaces the socket of a dead
// process, and nothing else.
func TestListenUnix(t *testing.T) {
	path := socketPath(t)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen("unix:"+path, 1)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	srv := NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fail(w, 418, "%s", r.RemoteAddr) }), slog.New(slog.DiscardHandler))
	go srv.Serve(l)
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	if res, err := c.Get("http://localhost/"); err != nil || res.StatusCode != 418 {
		t.Errorf("%v, %v", res, err)
	}
	if _, err := Listen("unix:"+path, 1); err == nil || !strings.Contains(err.Error(), "another program listens on "+path) {
		t.Errorf("a socket in use: %v", err)
	}
	srv.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	l, err = Listen("unix:"+path, 1)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Close() // the file at its path is not its socket
	if _, err := Listen("unix:"+path, 1); err == nil || !strings.Contains(err.Error(), path+" is not a socket: choose another path with -l") {
		t.Errorf("a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
	for _, path := range []string{"", "@abstract"} {
		if _, err := Listen("unix:"+path, 1); err == nil || !strings.Contains(err.Error(), "unix:"+path+" has no path") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestSocketOptions: a socket has the mode and the group that are given, and never more than these.
func TestSocketOptions(t *testing.T) {
	path := socketPath(t)
	for options, want := range map[string]os.FileMode{"": 0o660, ",mode=0600": 0o600, ",mode=666": 0o666, fmt.Sprintf(",group=%d,mode=0640", os.Getgid()): 0o640} {
		l, err := Listen("unix:"+path+options, 1)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", options, info.Mode(), err, want)
		}
		l.Close()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%q: the socket is left: %v", options, err)
		}
	}
	for host, want := range map[string]string{
		"unix:/a,mode=888": "give permissions", "unix:/a,mode=0": "give permissions", "unix:/a,mode=7777": "give permissions", "unix:/a,group=": "give a name or a number",
		"unix:/a,owner=x": `"owner" is not known`, "unix:,mode=0600": "has no path", "unix:/a,group=no such group,mode=0600": "there is no group",
	} {
		if l, err := Listen(host, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", host, l, err, want)
		}
	}
	for host, want := range map[string]Socket{
		"unix:/a,b": {"/a,b", 0o660, ""}, "unix:/a,x=1/b": {"/a,x=1/b", 0o660, ""}, "unix:rel,group=adm": {"rel", 0o660, "adm"}, "unix:/a,c,mode=0600": {"/a,c", 0o600, ""},
	} {
		if got, unix, err := ParseSocket(host); got != want || !unix || err != nil {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if _, unix, err := ParseSocket("localhost"); unix || err != nil {
		t.Errorf("localhost: %v, %v", unix, err)
	}
}

// TestGuarded: errors of the guard have the form of all errors, and the headers that clients act on.
func TestGuarded(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(auth, []byte("read a sha256:"+strings.Repeat("0", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := access.Open(access.Config{AuthFile: auth})
	if err != nil {
		t.Fatal(err)
	}
	s := guarded(g, http.NotFoundHandler())
	ask := func(authorization string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", authorization)
		s.ServeHTTP(w, r)
		return w
	}
	w := ask("Bearer guess")
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || !strings.HasPrefix(w.Body.String(), `{"error":"wrong token`) {
		t.Errorf("a guess: %d %v %s", w.Code, w.Header(), w.Body)
	}
	for range 10 {
		w = ask("Bearer guess")
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "6" {
		t.Errorf("after ten guesses: %d %v", w.Code, w.Header())
	}
}

// TestLimited: what is refused for its host, and what a browser asks before a request, counts in the limit of requests.
func TestLimited(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"another host": func(r *http.Request) { r.Host = "attacker.example" },
		"before a request": func(r *http.Request) {
			r.Method = http.MethodOptions
			r.Header.Set("Origin", "https://grafana.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
		},
	} {
		g, err := access.Open(access.Config{})
		if err != nil {
			t.Fatal(err)
		}
		h := New(Config{
			Window: window.New(window.Config{Tables: agent.Tables, Periods: 2, Shards: 1}), Tables: agent.Tables, Status: func() Status { return Status{} },
			Hosts: NewHosts(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}), Access: g, Origins: []string{"https://grafana.example"},
		}).Handler()
		codes := map[int]int{}
		for range 1500 {
			r, w := httptest.NewRequest("GET", "/healthz", nil), httptest.NewRecorder()
			r.RemoteAddr, r.Host = "192.0.2.1:1", "localhost"
			change(r)
			h.ServeHTTP(w, r)
			codes[w.Code]++
		}
		if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusTooManyRequests] > 500 || len(codes) != 2 {
			t.Errorf("%s: %v, want at most 500 times 429", name, codes)
		}
	}
}

// TestStillAllowed: a request that takes long learns that its token is not valid any more.
func TestStillAllowed(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(auth, fmt.Appendf(nil, "# %s\nread a sha256:%x\n", token, sha256.Sum256([]byte(token))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	synctest.Test(t, func(t *testing.T) {
		g, err := access.Open(access.Config{AuthFile: auth})
		if err != nil {
			t.Fatal(err)
		}
		go g.Follow(t.Context(), slog.New(slog.DiscardHandler))
		var streams Streams
		h := guarded(g, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { streams.Serve(w, r, nil, nil) }))
		r, w := httptest.NewRequest("GET", "/api/v1/events", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer one")
		ended := make(chan time.Time, 1)
		go func() {
			h.ServeHTTP(w, r)
			ended <- time.Now()
		}()
		time.Sleep(10*Heartbeat + time.Second)
		write("another")
		removed := time.Now()
		if lasted := (<-ended).Sub(removed); lasted > Heartbeat {
			t.Errorf("the stream lasts %v after its token was removed, want at most %v", lasted, Heartbeat)
		}
		if n := strings.Count(w.Body.String(), "still here"); n < 10 {
			t.Errorf("%d heartbeats, want 10 or more", n)
		}
	})
}

// TestCrossOrigin: pages of other sites cannot read the answers, unless their origin is given.
func TestCrossOrigin(t *testing.T) {
	ask := func(origins []string, method, origin string) http.Header {
		r, w := httptest.NewRequest(method, "/", nil), httptest.NewRecorder()
		r.Header.Set("Origin", origin)
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "GET")
		}
		crossOrigin(origins, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
		h := w.Result().Header
		h.Set("Status", http.StatusText(w.Code))
		return h
	}
	const grafana = "https://grafana.example"
	if h := ask(nil, "GET", grafana); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "" {
		t.Errorf("without origins: %v", h)
	}
	if h := ask([]string{grafana}, "GET", "https://evil.example"); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
		t.Errorf("another origin: %v", h)
	}
	if h := ask([]string{"https://a.example", grafana}, "GET", grafana); h.Get("Access-Control-Allow-Origin") != grafana || h.Get("Status") != "I'm a teapot" {
		t.Errorf("the origin: %v", h)
	}
	if h := ask([]string{grafana}, "OPTIONS", grafana); h.Get("Access-Control-Allow-Headers") != "Authorization, If-None-Match" || h.Get("Status") != "No Content" {
		t.Errorf("before a request: %v", h)
	}
	if h := ask([]string{grafana}, "OPTIONS", "null"); h.Get("Status") != "I'm a teapot" {
		t.Errorf("before a request from elsewhere: %v", h)
	}
	for text, ok := range map[string]bool{
		grafana: true, "http://a.example:3000": true, "http://[2001:db8::1]": true, "*": false, "null": false, "grafana.example": false, grafana + "/": false,
		"https://Grafana.example": false, "ftp://a": false, "": false,
	} {
		if err := CheckOrigin(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestHandshakes: failed handshakes, which anybody can make, do not fill the log. Other errors are in it.
func TestHandshakes(t *testing.T) {
	var out bytes.Buffer
	logger := errorLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	logger.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
	logger.Print("http: panic serving")
	if out.String() != "level=WARN msg=\"http: panic serving\"\n" {
		t.Errorf("%q", &out)
	}
}

// TestPlain: a connection is bounded with TLS as it is without.
func TestPlain(t *testing.T) {
	c := &connection{}
	if got := plain(tls.Server(c, nil)); got != any(c) {
		t.Errorf("%T", got)
	}
	if got := plain(c); got != any(c) {
		t.Errorf("%T", got)
	}
}
