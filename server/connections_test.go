package server

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/access"
)

// pipes is a listener whose connections are pipes, so that a test can use the fake clock of a bubble. Each connection
// comes from the address given to dial.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

type pipeEnd struct {
	net.Conn
	from net.Addr
}

func (p pipeEnd) RemoteAddr() net.Addr { return p.from }

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p.conns <- pipeEnd{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}
	return client
}

// serveBounded starts a server with small answers and, at /big, one of a megabyte.
func serveBounded(t *testing.T, b bounds) (*pipes, *limit) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<20)) })
	p := newPipes()
	l := newLimit(p, b)
	srv := newHTTP(mux, log.New(io.Discard, "", 0), b)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close(); synctest.Wait() })
	return p, l
}

// ended returns how long it takes until the server closes the connection. With read, it reads everything that the
// server sends.
func ended(t *testing.T, c net.Conn, read bool) time.Duration {
	start := time.Now()
	if read {
		io.Copy(io.Discard, c)
		return time.Since(start)
	}
	for { // a closed pipe accepts no byte
		c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Write([]byte("x")); err == io.ErrClosedPipe {
			return time.Since(start)
		}
		time.Sleep(100 * time.Millisecond)
		if time.Since(start) > time.Hour {
			t.Error("still open after an hour")
			return time.Since(start)
		}
	}
}

// TestConnectionsEnd: each connection ends within its bound, whatever its client does.
func TestConnectionsEnd(t *testing.T) {
	for _, c := range []struct {
		name, send string
		read       bool
		most       time.Duration
	}{
		{"nothing is sent", "", true, 10 * time.Second},
		{"the header does not end", "GET / HTTP/1.1\r\nHo", true, 10 * time.Second},
		{"idle", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, 2 * time.Minute},
		{"idle after some bytes", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGE", true, 2 * time.Minute},
		{"the second header does not end", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", true, 10 * time.Second},
		{"the body never comes", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true, 2 * time.Second},
		{"the body of a POST never comes", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true, 2 * time.Second},
		{"a long body never comes", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000000\r\n\r\n", true, 2 * time.Second},
		{"no chunk ever comes", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", true, 2 * time.Second},
		{"the last chunk never comes", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", true, 2 * time.Second},
		{"100-continue", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", true, 2 * time.Second},
		{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", true, 2 * time.Minute},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true, 2 * time.Second},
		{"upgrade", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, 2 * time.Minute},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true, 2 * time.Minute},
		{"no answer is read", "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", false, time.Minute + time.Second},
		{"requests one after the other, no answer is read", strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 3), false, time.Minute + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, l := serveBounded(t, defaultBounds)
				conn := p.dial("192.0.2.1")
				defer conn.Close()
				go io.WriteString(conn, c.send)
				if took := ended(t, conn, c.read); took > c.most {
					t.Errorf("open for %v, want at most %v", took, c.most)
				}
				synctest.Wait()
				if len(l.open) != 0 || len(l.clients) != 0 {
					t.Errorf("%d connections of %d clients are left", len(l.open), len(l.clients))
				}
			})
		})
	}
}

// TestConnectionAge: a client that sends one request after another, or a header byte by byte, also has its connection
// for a bounded time only.
func TestConnectionAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := serveBounded(t, defaultBounds)
		start := time.Now()
		conn := p.dial("192.0.2.1")
		defer conn.Close()
		for br := bufio.NewReader(conn); ; {
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			if res.Close {
				break
			}
			time.Sleep(time.Second)
		}
		if age := time.Since(start); age != 10*time.Minute {
			t.Errorf("the last answer after %v, want 10m", age)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p, _ := serveBounded(t, defaultBounds)
		conn := p.dial("192.0.2.1")
		defer conn.Close()
		var sending sync.WaitGroup
		sending.Go(func() {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: ")
			for {
				if _, err := conn.Write([]byte("y")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if took := ended(t, conn, true); took > 10*time.Second {
			t.Errorf("open for %v", took)
		}
		sending.Wait()
	})
}

// asks sends a request and returns the status of the answer.
func asks(t *testing.T, conn net.Conn, path string) int {
	t.Helper()
	go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestNobodyIsShutOut: whatever the open connections do, the next client gets an answer. So do other clients whose
// connections were there before.
func TestNobodyIsShutOut(t *testing.T) {
	for name, send := range map[string]string{
		"nothing sent":        "",
		"half a header":       "GET / HTTP/1.1\r\nHo",
		"idle":                "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a body that is late": "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"answers unread":      "GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for _, from := range []string{"192.0.2.1", "198.51.100.1"} { // the same client, and another one
			synctest.Test(t, func(t *testing.T) {
				b := defaultBounds
				b.connections = 16
				p, l := serveBounded(t, b)
				early := p.dial("198.51.100.7")
				defer early.Close()
				for range 100 {
					c := p.dial("192.0.2.1")
					defer c.Close()
					go io.WriteString(c, send)
					if name == "idle" {
						go io.Copy(io.Discard, c)
					}
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if n := len(l.open); n > 16 {
					t.Errorf("%s: %d connections", name, n)
				}
				late := p.dial(from)
				defer late.Close()
				if asks(t, late, "/healthz") != 200 || asks(t, early, "/healthz") != 200 {
					t.Errorf("%s: no answer", name)
				}
			})
		}
	}
}

// TestClients: one host cannot count as many clients.
func TestClients(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::",
	} {
		if got := access.ClientOf(&net.TCPAddr{IP: net.ParseIP(a)}).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}
