package collect

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/access"
)

// logged is a log that a test can read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// urls are the last targets that a source has published.
type urls struct {
	mu   sync.Mutex
	list []string
	n    int // how often it has published
}

func (u *urls) publish(targets []Target) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n++
	u.list = nil
	for _, t := range targets {
		u.list = append(u.list, t.URL)
	}
}

func (u *urls) want(t *testing.T, n int, list ...string) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n != n || !slices.Equal(u.list, list) {
		t.Errorf("published %d times, %q, want %d times, %q", u.n, u.list, n, list)
	}
}

// TestWatch: a file that changes is read again; a bad version and a missing file leave the old targets, with one line in
// the log each.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agents.yaml")
	// The file system's clock is real, and that of the test is not.
	written := 0
	write := func(text string) {
		t.Helper()
		written++
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(int64(written), 0)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got urls
		var log logged
		done := make(chan bool)
		go func() {
			Watch{Path: path}.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), got.publish)
			done <- true
		}()
		wait := func() { time.Sleep(3 * time.Second); synctest.Wait() }
		wait()
		got.want(t, 1)
		if text := log.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "no such file") {
			t.Errorf("logged %q", text)
		}
		write("agents: [a, b]")
		wait()
		got.want(t, 2, "http://a:10853", "http://b:10853")
		write("agents:\n- a\n- b c")
		wait()
		got.want(t, 2, "http://a:10853", "http://b:10853")
		if text := log.take(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "line 3") || !strings.Contains(text, path) {
			t.Errorf("logged %q", text)
		}
		os.Remove(path)
		wait()
		got.want(t, 2, "http://a:10853", "http://b:10853")
		log.take()
		write("agents: [c]")
		wait()
		got.want(t, 3, "http://c:10853")
		log.take()
		wait()
		if text := log.take(); text != "" {
			t.Errorf("logged %q without a change", text)
		}
		cancel()
		<-done
	})
}

// TestSRV: an SRV name is looked up again and again, and a failure leaves the old targets.
func TestSRV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		answers := []struct {
			records []*net.SRV
			err     error
		}{
			{err: errors.New("no DNS yet")},
			{records: []*net.SRV{{Target: "NS1.example.net.", Port: 10853}, {Target: "2001:db8::1.", Port: 1}, {Target: ".", Port: 0}, {Target: "a b.", Port: 5}}},
			{err: errors.New("no DNS")},
			{err: errors.New("no DNS")},
			{records: []*net.SRV{{Target: "ns2.example.net.", Port: 80}}},
			{},
		}
		asked := 0
		srv, err := ParseSRV("_pktvisor._tcp.example.net")
		if err != nil {
			t.Fatal(err)
		}
		srv.Lookup = func(_ context.Context, name string) ([]*net.SRV, error) {
			if name != "_pktvisor._tcp.example.net" {
				t.Errorf("asked for %q", name)
			}
			a := answers[asked]
			asked++
			return a.records, a.err
		}
		var got urls
		var log logged
		done := make(chan bool)
		go func() {
			srv.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), got.publish)
			done <- true
		}()
		wait := func() { time.Sleep(lookupInterval); synctest.Wait() }
		time.Sleep(time.Second)
		got.want(t, 1)
		wait()
		got.want(t, 2, "http://ns1.example.net:10853", "http://[2001:db8::1]:1")
		log.take()
		wait()
		wait()
		got.want(t, 2, "http://ns1.example.net:10853", "http://[2001:db8::1]:1")
		if text := log.take(); strings.Count(text, "\n") != 1 {
			t.Errorf("logged %q, want one line", text)
		}
		wait()
		got.want(t, 3, "http://ns2.example.net")
		wait()
		got.want(t, 4)
		cancel()
		<-done
	})
	for in, want := range map[string]SRV{
		"_pktvisor._tcp.example.net":         {Scheme: "http", Name: "_pktvisor._tcp.example.net"},
		"https://_pktvisor._tcp.example.net": {Scheme: "https", Name: "_pktvisor._tcp.example.net"},
	} {
		if got, err := ParseSRV(in); err != nil || got.Scheme != want.Scheme || got.Name != want.Name {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a b", "ftp://a", "https://"} {
		if _, err := ParseSRV(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

// TestSources: the targets of several sources are merged, the first one with a URL counts.
func TestSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []Target
		change := make(changing)
		done := make(chan bool)
		go func() {
			runSources(ctx, slog.New(slog.DiscardHandler), []Source{change, Static{{"http://b", "x=2"}, {"http://c", ""}}}, func(t []Target) { got = t })
			done <- true
		}()
		synctest.Wait()
		if want := []Target{{"http://b", "x=2"}, {"http://c", ""}}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		change <- []Target{{"http://d", ""}, {"http://b", "x=1"}}
		synctest.Wait()
		if want := []Target{{"http://b", "x=1"}, {"http://c", ""}, {"http://d", ""}}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		change <- nil
		synctest.Wait()
		if want := []Target{{"http://b", "x=2"}, {"http://c", ""}}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		cancel()
		<-done
	})
}

// TestTLS: an agent over https is trusted by its authority or without any, and gets the token, which can change.
func TestTLS(t *testing.T) {
	var authorization []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization = append(authorization, r.Header.Get("Authorization"))
		sendAll(snapshotOf(nil))(w, r)
	}))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	pull := func(o access.Trust, auth *access.Auth) outcome {
		t.Helper()
		secure, err := o.Config("ca", "cert")
		if err != nil {
			t.Fatal(err)
		}
		c := New(Config{Sink: &shelf{}, TLS: secure, Auth: auth})
		a, err := newAgent(Target{URL: s.URL}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c.puller.run(t.Context(), job{url: a.base}, a.progress)
	}
	auth, err := access.Bearer("one")
	if err != nil {
		t.Fatal(err)
	}
	if o := pull(access.Trust{}, auth); o.err == nil || !strings.Contains(o.err.Error(), "unknown authority") || len(authorization) != 0 {
		t.Errorf("an unknown authority: %v, sent %q", o.err, authorization)
	}
	if o := pull(access.Trust{CAFile: ca}, auth); o.err != nil || o.stored != 1 {
		t.Errorf("with the authority: %v", o.err)
	}
	if o := pull(access.Trust{Insecure: true}, nil); o.err != nil || o.stored != 1 {
		t.Errorf("insecure: %v", o.err)
	}
	if want := []string{"Bearer one", ""}; !slices.Equal(authorization, want) {
		t.Errorf("sent %q, want %q", authorization, want)
	}
}
