package store

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is the NATS server in this process. It can be replaced while the connection to it lives: the connection then
// reconnects to the new one.
type embedded struct {
	options server.Options
	door    door // of which each server gets a copy
	log     *slog.Logger

	mu     sync.Mutex
	server *server.Server
	lines  *natsLog // of the server
}

// The bounds of the embedded server. Memory streams hold only leases.
const (
	maxPayload  = 8 << 20
	maxMemory   = 32 << 20
	maxConns    = 20_000
	startWithin = 5 * time.Minute // a store of 10 GB starts in 3 to 30 s
)

// newEmbedded returns the server for a configuration, and the token by which this process is known to it.
func newEmbedded(c *Config) (*embedded, string, error) {
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return nil, "", err
	}
	secret := rand.Text()
	e := &embedded{log: c.Log.With("part", "nats")}
	e.options = server.Options{
		ServerName: "pktvisor-hub",
		DontListen: c.Listen == "",
		NoSigs:     true,
		MaxConn:    maxConns,
		MaxPayload: maxPayload,

		JetStream:              true,
		StoreDir:               c.Dir,
		SyncAlways:             true,
		DisableJetStreamBanner: true,
		JetStreamMaxMemory:     maxMemory,
		// The streams have their own bounds, and the store watches the free space. The server would take 75% of what
		// is free at its start for a bound, and keep it when the disk grows.
		JetStreamMaxStore: 1 << 60,
	}
	e.door = door{secret: secret, prefix: c.Prefix}
	if c.Listen != "" {
		if err := e.listen(c, &e.door); err != nil {
			return nil, "", err
		}
	}
	return e, secret, nil
}

// listen prepares the listener for agents.
func (e *embedded) listen(c *Config, d *door) error {
	var err error
	e.options.Host, e.options.Port, _ = c.listen()
	if e.options.Port == 0 {
		e.options.Port = server.RANDOM_PORT
	}
	if d.token, err = c.token(); err != nil {
		return err
	}
	if e.options.TLSConfig, err = c.TLS.load(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	if t := e.options.TLSConfig; t != nil {
		if len(t.Certificates) == 0 {
			return fmt.Errorf("TLS on %s: give a certificate and its key", c.Listen)
		}
		e.options.TLS, e.options.TLSTimeout = true, 5
		e.options.TLSVerify = t.ClientCAs != nil
	}
	if d.token == "" && !e.options.TLSVerify && !loopback(e.options.Host) {
		c.Log.Warn("everybody who reaches this address can push snapshots: give a token file, or a CA for the agents' certificates", "listen", c.Listen)
	}
	return nil
}

// loopback reports whether only this host can reach a listener on host.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// start starts the server. It returns once JetStream has recovered its streams.
func (e *embedded) start() error {
	o, d := e.options, e.door // the server changes its options
	d.ready = make(chan struct{})
	o.CustomClientAuthentication = &d
	s, err := server.NewServer(&o)
	if err != nil {
		return err
	}
	lines := &natsLog{log: e.log}
	s.SetLoggerV2(lines, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startWithin) {
		s.Shutdown()
		return fmt.Errorf("the embedded NATS server does not start within %v", startWithin)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return fmt.Errorf("the embedded NATS server has no JetStream: see its log")
	}
	if err := d.open(s); err != nil {
		s.Shutdown()
		return fmt.Errorf("the embedded NATS server: %w", err)
	}
	e.mu.Lock()
	e.server, e.lines = s, lines
	e.mu.Unlock()
	return nil
}

// starved reports whether the server could not write to its disk since it was started.
func (e *embedded) starved() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lines != nil && e.lines.starved.Load()
}

// stop stops the server and waits until its files are closed.
func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// restart replaces the server. The port that the listener got stays.
func (e *embedded) restart() error {
	if addr, ok := e.addr().(*net.TCPAddr); ok && !e.options.DontListen {
		e.options.Port = addr.Port
	}
	e.stop()
	return e.start()
}

// addr returns the address of the listener, or nil.
func (e *embedded) addr() net.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil || e.options.DontListen {
		return nil
	}
	return e.server.Addr()
}

// InProcessConn connects to the current server.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("the embedded NATS server is down")
	}
	return s.InProcessConn()
}

// isWriteError reports whether a line in the log of the server says that it could not write to its disk. It then does not
// answer those who publish, and nothing else says so: agents that push publish without the store.
func isWriteError(line string) bool {
	return strings.Contains(line, "ritical write error") || strings.Contains(line, "failed to store a msg")
}

// natsLog writes the log of the server. Its notices are debugging to us. Agents can cause errors, so of these at most
// logBurst are written in each logPeriod.
type natsLog struct {
	log *slog.Logger

	starved atomic.Bool // the server could not write

	mu             sync.Mutex
	since          time.Time
	lines, dropped int
}

const (
	logBurst  = 20
	logPeriod = 10 * time.Second
)

// warn writes a line at the level of warnings, or counts it.
func (l *natsLog) warn(format string, a []any) {
	if isWriteError(fmt.Sprintf(format, a...)) {
		l.starved.Store(true)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.since) > logPeriod {
		if l.dropped > 0 {
			l.log.Warn("more lines of the NATS server were left out", "lines", l.dropped)
		}
		l.since, l.lines, l.dropped = now, 0, 0
	}
	if l.lines++; l.lines > logBurst {
		l.dropped++
		return
	}
	l.log.Warn(fmt.Sprintf(format, a...))
}

func (l *natsLog) Noticef(format string, a ...any) { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *natsLog) Debugf(string, ...any)           {} // not asked for
func (l *natsLog) Tracef(string, ...any)           {}
func (l *natsLog) Warnf(format string, a ...any)   { l.warn(format, a) }
func (l *natsLog) Errorf(format string, a ...any)  { l.warn(format, a) }
func (l *natsLog) Fatalf(format string, a ...any)  { l.log.Error(fmt.Sprintf(format, a...)) }
