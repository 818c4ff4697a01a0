package access

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// arrived returns a request that has come to an address of this host.
func arrived(at net.Addr, from string, header ...string) *http.Request {
	r := request("POST", "/", from, "")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
}

// TestFromHere: only a Unix socket and loopback at both ends are of this host, and no proxy.
func TestFromHere(t *testing.T) {
	loopback, away := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	socket := &net.UnixAddr{Name: "/run/x", Net: "unix"}
	for name, c := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"loopback":                    {arrived(loopback, "127.0.0.1:5"), true},
		"IPv6":                        {arrived(&net.TCPAddr{IP: net.IPv6loopback}, "[::1]:5"), true},
		"IPv4 in IPv6":                {arrived(loopback, "[::ffff:127.0.0.9]:5"), true},
		"a socket":                    {arrived(socket, "@"), true},
		"a socket without a name":     {arrived(socket, ""), true},
		"a proxy on a socket":         {arrived(socket, "@", "X-Forwarded-For", "192.0.2.7"), false},
		"no address, not of a socket": {arrived(loopback, ""), false},
		"the host by its own address": {arrived(away, "192.0.2.1:5"), false},
		"loopback to another address": {arrived(away, "127.0.0.1:5"), false},
		"another host":                {arrived(away, "192.0.2.7:5"), false},
		"another host to loopback":    {arrived(loopback, "192.0.2.7:5"), false}, // with route_localnet
		"a proxy":                     {arrived(loopback, "127.0.0.1:5", "X-Forwarded-For", "127.0.0.1"), false},
		"a proxy like Envoy":          {arrived(loopback, "127.0.0.1:5", "X-Envoy-External-Address", "192.0.2.7"), false},
		"a proxy that rewrites":       {arrived(loopback, "127.0.0.1:5", "X-Original-Forwarded-For", "192.0.2.7"), false},
		"a proxy, lower case":         {arrived(loopback, "127.0.0.1:5", "x-real-ip", "127.0.0.1"), false},
	} {
		if got := FromHere(c.r); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestMayChange: without a token, only this host may change something. Guesses are limited.
func TestMayChange(t *testing.T) {
	const here, away, token = "127.0.0.1:1", "192.0.2.7:1", "0123456789abcdef"
	if d := (*Guard)(nil).MayChange(request("POST", "/", here, "")); d != nil {
		t.Errorf("without a guard, from here: %v", d)
	}
	for _, g := range []*Guard{nil, {}} {
		if d := g.MayChange(request("POST", "/", away, "Bearer "+token)); d == nil || d.Status != 403 || !strings.Contains(d.Reason, "--admin-token-file") {
			t.Errorf("without a token: %v", d)
		}
	}
	g, err := Open(Config{AdminToken: write(t, filepath.Join(t.TempDir(), "token"), token+"\n")})
	if err != nil {
		t.Fatal(err)
	}
	if d := g.MayChange(request("POST", "/", away, "Bearer "+token)); d != nil {
		t.Errorf("with the token: %v", d)
	}
	for range 10 {
		if d := g.MayChange(request("POST", "/", away, "Bearer guess")); d == nil || d.Status != 401 || d.Challenge != bearerOnly {
			t.Errorf("a guess: %+v", d)
		}
	}
	if d := g.MayChange(request("POST", "/", away, "Bearer guess")); d == nil || d.Status != 429 || d.Wait == 0 {
		t.Errorf("after ten guesses: %+v", d)
	}
	if d := g.MayChange(request("POST", "/", away, "Bearer "+token)); d != nil {
		t.Errorf("the token after guesses of others: %v", d)
	}
	if d := g.Check(request("GET", "/", away, "")); d != nil {
		t.Errorf("reading needs the token: %v", d)
	}
	for text, want := range map[string]string{"": "it is empty", "short": "has 5 bytes: give 16 to 72", "two words and more": "without spaces", "0123456789abcdef\nb": "in one line", strings.Repeat("x", 73): "has 73 bytes"} {
		if _, err := Open(Config{AdminToken: write(t, filepath.Join(t.TempDir(), "token"), text)}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--admin-token-file") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestNewToken: the token can be replaced without a restart, and a file that is bad changes nothing.
func TestNewToken(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "token"), "0123456789abcdef")
	synctest.Test(t, func(t *testing.T) {
		g, err := Open(Config{AdminToken: path})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go g.Follow(ctx, slog.New(slog.DiscardHandler))
		may := func(token string) bool {
			return g.MayChange(request("POST", "/", "192.0.2.7:1", "Bearer "+token)) == nil
		}
		write(t, path, "bad")
		time.Sleep(2 * followInterval)
		if !may("0123456789abcdef") {
			t.Error("a bad file has removed the token")
		}
		write(t, path, "fedcba9876543210+")
		time.Sleep(2 * followInterval)
		if may("0123456789abcdef") || !may("fedcba9876543210+") {
			t.Error("the token was not replaced")
		}
	})
}
