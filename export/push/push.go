// Package push sends an agent's sealed buckets to a hub over NATS, for agents that a hub cannot reach.
//
//	window ──OnSeal──► Push ──► queue ──► one goroutine ──► JetStream: PREFIX.raw.POLICY.HOST
//	                              ▲                │
//	                              └── no answer ◄──┴──► acknowledged: removed from the queue
//
// A bucket is published as a snapshot (docs/snapshot.md). It stays in the queue until JetStream has acknowledged it, over
// any number of attempts and connections. Buckets go one after the other, oldest first. A bucket may arrive twice, for
// example if an acknowledgement is lost. Its identity says so, and its message id lets JetStream drop most duplicates.
//
// The queue holds as many buckets as the window, and refers to the window's own, so it takes no memory of its own. If it
// is full, the oldest bucket is dropped, counted and logged. A hub that asks on PREFIX.want.HOST gets buckets of the window
// again: see [Request].
//
//	p, err := push.New(push.Config{…})
//	w := window.New(window.Config{…, OnSeal: p.Push})
//	p.Start(w.Sealed)
//	…                    // until the agent stops
//	p.Close(w.Bucket(0)) // nil if a state directory keeps the live bucket
//
// Push and Status may be called from any goroutine and never wait for the network. The other methods are for the
// goroutine that starts and stops the agent.
package push

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"pktvisor/metric"
)

// Config says what is pushed where.
type Config struct {
	// Servers are NATS URLs, nats:// or tls://, of one cluster. Prefix is that of the subjects.
	Servers []string
	Prefix  string
	// Host is the name of the agent. Agent is the program and its version, for the snapshots.
	Host, Agent string
	// Most is the maximum number of buckets that wait: as many as the window has periods.
	Most int
	// Creds is a NATS credentials file, TokenFile a file with a token, and Token a token. At most one is set. The files
	// are read again at each connection.
	Creds, TokenFile, Token string
	// CA is a file with the certificates to trust, in PEM. Cert and Key are the files of a client certificate.
	CA, Cert, Key string
	Log           *slog.Logger

	// Waits, which tests shorten. Zero means the default.
	reconnect, answer, retry time.Duration
}

const (
	// reconnectWait is the mean time between two attempts to connect. answerWait is how long an acknowledgement may take.
	reconnectWait = 2 * time.Second
	answerWait    = 5 * time.Second
	// retryWait is the wait after the first failed attempt. It doubles quickTries times, and is slowWait from then on.
	retryWait  = 250 * time.Millisecond
	quickTries = 5
	slowWait   = 10 * time.Second
	// closeWait is how long Close may take.
	closeWait = 2 * time.Second
)

// Pusher pushes the buckets of one agent.
type Pusher struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	queue   []*metric.Bucket // not acknowledged yet, oldest first
	again   []*metric.Bucket // requested again, oldest first
	status  Status           // without Pending and Error
	linkErr string           // why there is no connection
	sendErr string           // why the last attempt failed, if there is a connection
	refused string           // what the server said since the last attempt, apart from answers
	closed  bool

	wake chan struct{} // receives if a field has changed that the sending goroutine waits for
	stop context.CancelFunc
	done chan struct{} // closed when the sending goroutine has ended; nil before Start
}

// Status describes the state of the pushing.
type Status struct {
	// URL has the servers. It contains no secrets.
	URL       string
	Connected bool
	// Pending counts buckets that are not acknowledged yet. Acknowledged counts the others. Dropped counts buckets that
	// were given up.
	Pending               int
	Acknowledged, Dropped uint64
	// Failed counts failed attempts. Error is why there is no connection or why the last attempt failed. It is empty if
	// there is a connection and the last attempt succeeded.
	Failed uint64
	Error  string
}

// notYet is the reason before the first attempt to connect has a result.
const notYet = "not connected yet"

// New checks the configuration. Its error names a file that cannot be used. It connects to nothing.
func New(cfg Config) (*Pusher, error) {
	if err := cfg.checkFiles(); err != nil {
		return nil, err
	}
	p := &Pusher{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1)}
	p.status.URL = strings.Join(cfg.Servers, ",")
	p.linkErr = notYet
	return p, nil
}

// Status returns the state of the pushing.
func (p *Pusher) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.status
	st.Pending, st.Error = len(p.queue), p.problem()
	return st
}

// problem returns why there is no connection, or else why the last attempt failed. The caller holds mu.
func (p *Pusher) problem() string {
	if !p.status.Connected {
		return p.linkErr
	}
	return p.sendErr
}

// Push queues a sealed bucket. If the queue is full, it drops the oldest one.
func (p *Pusher) Push(b *metric.Bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.add(b)
}

// add queues a bucket. The caller holds mu.
func (p *Pusher) add(b *metric.Bucket) {
	p.queue = append(p.queue, b)
	if len(p.queue) > max(p.cfg.Most, 1) {
		p.drop(p.queue[0], "the queue is full, and the window no longer has it")
	}
	p.wakeUp()
}

// drop gives a bucket up, if it still waits. The caller holds mu.
func (p *Pusher) drop(b *metric.Bucket, why string) {
	if i := slices.Index(p.queue, b); i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
		p.status.Dropped++
		p.log.Warn("minute not pushed: "+why, "start", b.Start, "error", p.problem())
	}
}

func (p *Pusher) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Start begins to connect and to push, in the background. It queues the buckets that the window has from an earlier
// run. sealed returns the sealed buckets of the window, oldest first.
func (p *Pusher) Start(sealed func() []*metric.Bucket) {
	for _, b := range sealed() {
		if counted(b) {
			p.Push(b)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.done = stop, make(chan struct{})
	go p.run(ctx, sealed)
}

// counted reports whether a sealed bucket was ever open. The window makes the others for minutes that its clock has
// skipped. Nobody needs to know of them.
func counted(b *metric.Bucket) bool { return b.Identity.Seq > 0 || !b.Idle() }

// Close pushes what waits and the buckets that were live at the end, which may be nil. It gives up after two seconds. What
// was not pushed by then is logged.
func (p *Pusher) Close(live ...*metric.Bucket) {
	p.mu.Lock()
	for _, b := range live {
		if b != nil && !p.closed && counted(b) {
			p.add(b)
		}
	}
	p.closed, p.again = true, nil
	p.wakeUp()
	p.mu.Unlock()
	if p.done == nil {
		return
	}
	late := time.AfterFunc(closeWait, p.stop)
	select {
	case <-p.done:
	case <-time.After(closeWait + closeWait/4): // a resolver that does not answer holds up the first connection
	}
	late.Stop()
	p.stop()
	if st := p.Status(); st.Pending > 0 {
		p.log.Warn("minutes not pushed at the end", "minutes", st.Pending, "error", st.Error)
	}
}
