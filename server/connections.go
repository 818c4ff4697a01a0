package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"pktvisor/access"
)

// bounds limits how long a connection may last, whatever its client does. docs/operations.md lists the bounds.
type bounds struct {
	connections int           // open at once
	header      time.Duration // from the start of the connection, or the first byte of a later request, to the end of the header
	body        time.Duration // how long the server waits for the body of a request; no route reads it
	answer      time.Duration // from the end of the header to the end of the answer
	idle        time.Duration // between two requests
	age         time.Duration // after this age, the next answer is the last of the connection
}

var defaultBounds = bounds{
	connections: 256,
	header:      10 * time.Second,
	body:        time.Second,
	answer:      time.Minute,
	idle:        2 * time.Minute,
	age:         10 * time.Minute,
}

// NewHTTP returns an HTTP server for h, to serve what [Limit] accepts. It supports only HTTP/1, and each connection
// lasts for a bounded time.
func NewHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return newHTTP(h, errorLog(log), defaultBounds)
}

// errorLog logs what goes wrong in net/http. Anybody can make a TLS handshake fail, as often as they like. So failed
// handshakes are only for those who look for them.
func errorLog(to *slog.Logger) *log.Logger { return log.New(handshakes{to}, "", 0) }

type handshakes struct{ log *slog.Logger }

func (h handshakes) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	h.log.Log(context.Background(), level, string(bytes.TrimRight(line, "\n")))
	return len(line), nil
}

func newHTTP(h http.Handler, errorLog *log.Logger, b bounds) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           b.handler(h),
		ReadHeaderTimeout: b.header,
		ReadTimeout:       b.header + b.body,
		WriteTimeout:      b.answer,
		IdleTimeout:       b.idle,
		MaxHeaderBytes:    16 << 10,
		Protocols:         protocols,
		ErrorLog:          errorLog,
		// "OPTIONS *" is handled like all other requests.
		DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, c)
		},
	}
}

type connectionKey struct{}

// plain returns what a connection encrypts, or the connection itself.
func plain(c any) any {
	if secure, ok := c.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c
}

// handler answers requests without waiting for their bodies, and marks the connection while it is being answered.
func (b bounds) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// net/http reads a body that the handler did not read, and the body may never come. The deadline bounds
			// that wait. Without the wait, a client that is still sending could lose the answer to a reset.
			w.Header().Set("Connection", "close")
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(b.body)) // if this fails, ReadTimeout applies
		}
		if c, ok := plain(r.Context().Value(connectionKey{})).(*connection); ok {
			if time.Since(c.opened) >= b.age {
				w.Header().Set("Connection", "close")
			}
			c.limit.mark(c, true)
			defer c.limit.mark(c, false)
		}
		h.ServeHTTP(w, r)
	})
}

// Limit bounds the connections of a listener to 256. It accepts every new connection. If there are then too many, it
// closes one connection of the client that has the most. It prefers connections that wait for a request to connections
// that are being answered, and then the one that has been in its state for the longest time. So a client that holds
// many connections does not shut out others. A client is an IPv4 address, or the /64 of an IPv6 address.
func Limit(l net.Listener) net.Listener { return newLimit(l, defaultBounds) }

func newLimit(l net.Listener, b bounds) *limit {
	return &limit{Listener: l, most: b.connections, open: make(map[*connection]struct{}), clients: make(map[netip.Addr]int)}
}

// limit is a listener that bounds its connections.
type limit struct {
	net.Listener
	most int

	mu      sync.Mutex
	open    map[*connection]struct{}
	clients map[netip.Addr]int // open connections of each client
}

// connection is an open connection. Its limit's mutex guards the fields below opened.
type connection struct {
	net.Conn
	limit  *limit
	client netip.Addr
	opened time.Time

	closed    bool
	answering bool
	since     time.Time // when it began to wait for a request, or when its answer began
}

// Accept implements [net.Listener].
func (l *limit) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &connection{Conn: conn, limit: l, client: access.ClientOf(conn.RemoteAddr()), opened: now, since: now}
	l.mu.Lock()
	var shed *connection
	if len(l.open) >= l.most {
		shed = l.choose()
		l.remove(shed)
	}
	l.open[c] = struct{}{}
	l.clients[c.client]++
	l.mu.Unlock()
	if shed != nil {
		shed.Conn.Close() // its goroutine ends with the error
	}
	return c, nil
}

// choose returns the connection to close if there are too many.
func (l *limit) choose() *connection {
	var worst *connection
	for c := range l.open {
		if worst == nil || l.compare(c, worst) < 0 {
			worst = c
		}
	}
	return worst
}

// compare orders connections by which is closed first.
func (l *limit) compare(a, b *connection) int {
	if n := cmp.Compare(l.clients[b.client], l.clients[a.client]); n != 0 {
		return n
	}
	if a.answering != b.answering {
		if a.answering {
			return 1
		}
		return -1
	}
	return a.since.Compare(b.since)
}

// remove removes a connection from the counts.
func (l *limit) remove(c *connection) {
	if c.closed {
		return
	}
	c.closed = true
	delete(l.open, c)
	if l.clients[c.client]--; l.clients[c.client] == 0 {
		delete(l.clients, c.client)
	}
}

// mark records that the answer to a request begins or ends.
func (l *limit) mark(c *connection, answering bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.answering, c.since = answering, time.Now()
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.limit.mu.Lock()
	c.limit.remove(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite closes the sending direction and leaves the other one open. net/http calls it if it exists.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
