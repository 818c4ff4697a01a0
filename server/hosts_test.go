package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/server"
)

func listens(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 10853} }

// TestHosts: the names that a server answers to depend on where it listens.
func TestHosts(t *testing.T) {
	loopback := server.NewHosts(listens("127.0.0.1"), "ns1.test", "")
	public := server.NewHosts(listens("192.0.2.1"), "proxy.example:443", "")
	public.AddOwn(cancelled(), "ns1.example.net")
	loopback.AddOwn(cancelled(), "ns2.example.net") // adds nothing
	for _, c := range []struct {
		host             string
		loopback, public bool
	}{
		{"", true, true}, // HTTP/1.0
		{"localhost", true, true},
		{"localhost:10853", true, true},
		{"localhost:8080", true, true}, // a forwarded port
		{"LocalHost.", true, true},
		{"localhost.:80", true, true},
		{"app.localhost", true, true},
		{"127.0.0.1:10853", true, true},
		{"127.9.9.9", true, true},
		{"[::1]:10853", true, true},
		{"[::1]", true, true},
		{"::1", true, true},
		{"[::ffff:127.0.0.1]:1", true, true},
		{"ns1.test", true, false}, // the -l name
		{"NS1.TEST.:99", true, false},
		{"192.0.2.1", false, true},
		{"198.51.100.7:10853", false, true}, // the address of a pod, or forwarded
		{"[2001:db8::1]:10853", false, true},
		{"[fe80::1%eth0]", false, true},
		{"0.0.0.0", false, true},
		{"ns1.example.net:10853", false, true},
		{"ns1", false, true},
		{"ns2.example.net", false, false},
		{"proxy.example", false, true},
		{"proxy.example.:80", false, true},

		{"attacker.example", false, false},
		{"attacker.example:10853", false, false},
		{"localhost.attacker.example", false, false},
		{"127.0.0.1.attacker.example", false, false},
		{"evillocalhost", false, false},
		{"localhost@attacker.example", false, false},
		{"localhost:80@attacker.example", false, false},
		{"localhost:80:attacker.example", false, false},
		{"attacker.example:localhost", false, false},
		{"[localhost]", false, false},
		{"[::1", false, false},
		{"[::1]attacker.example", false, false},
		{"localhost..", false, false},
		{"2130706433", false, false}, // no browser sends 127.0.0.1 in this form
		{"*", false, false},
		{".", false, false},
		{":10853", false, false},
	} {
		if got := loopback.Served(c.host); got != c.loopback {
			t.Errorf("on loopback, %q: %v, want %v", c.host, got, c.loopback)
		}
		if got := public.Served(c.host); got != c.public {
			t.Errorf("on 192.0.2.1, %q: %v, want %v", c.host, got, c.public)
		}
	}
	if !server.NewHosts(listens("::1"), "*").Served("any.example") {
		t.Error("* does not match every name")
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCheckHostName(t *testing.T) {
	for name, want := range map[string]bool{
		"a.example": true, "A.example.": true, "a.example:443": true, "192.0.2.1": true, "[2001:db8::1]": true, "*": true,
		"": false, "http://a.example": false, "a.example/x": false, "*.example": false, "a b": false, "a:b": false, "u@a": false,
	} {
		if err := server.CheckHostName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestRebinding sends requests to a real server as a web page would whose name resolves to the server's address.
func TestRebinding(t *testing.T) {
	cfg := config(summary(t, testkit.TinyMixed()).Window())
	cfg.Hosts = server.NewHosts(listens("127.0.0.1"))
	s := httptest.NewServer(server.New(cfg).Handler())
	defer s.Close()
	check := apicheck.New(t)
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
		{"GET %s HTTP/1.0\r\n\r\n", 200},
		{"GET http://localhost:1%s HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 200}, // the target decides (RFC 9112, 3.2.2)
		{"GET http://attacker.example%s HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
		{"GET %s HTTP/1.1\r\nHost: attacker.example:10853\r\nOrigin: http://attacker.example:10853\r\n\r\n", 421},
		{"GET %s HTTP/1.1\r\nHost: attacker.example\r\nX-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\n\r\n", 421},
		{"GET %s HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n", 400},
		{"GET %s HTTP/1.1\r\n\r\n", 400},
	} {
		for _, path := range []string{"/", "/api/v1/metrics/window/5", "/api/v1/metrics/app", "/api/v1/snapshots", "/metrics", "/readyz"} {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, c.request, path)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status {
				t.Errorf(c.request+"%d, want %d", path, res.StatusCode, c.status)
			}
			conn.Close()
		}
	}
	h := server.New(cfg).Handler()
	w := get(t, h, "/api/v1/metrics/window/5", "Host", "ignored") // httptest uses example.com
	if w.Code != 421 || !strings.Contains(w.Body.String(), `does not answer to the name \"example.com\": use localhost, or start it with --http-host`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	check.Check(t, "/api/v1/metrics/window/5", w.Code, w.Header(), w.Body.Bytes())
	if w := get(t, h, "/healthz"); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
}
