// Package otlp pushes the metrics of an agent's windows to an OpenTelemetry collector, by OTLP over HTTP.
//
//	windows ──Totals, Second, Minutes──► encoder ──protobuf, gzip──► POST URL
//	             ▲                                                     │
//	             └──── again, with newer numbers ◄── no answer ◄───────┘
//
// A push has the present state: counters as cumulative sums, distributions as exponential histograms, states and the tables of
// finished minutes as gauges. Names, texts and labels are those of /metrics. Nothing is queued. If a push fails, the next one has
// all that it had, except for finished minutes beyond the newest five.
//
// The encoder writes the wire format itself: see wire.go. The tests read it with the official message types. How exact a
// histogram is, histogram.go says.
//
//	e, err := otlp.New(otlp.Config{…})
//	e.Start(nil)
//	…         // until the agent stops
//	e.Close() // pushes once more
//
// Status may be called from any goroutine and never waits. The other methods are for the goroutine that starts and stops the
// agent. One goroutine of the package calls the functions of the configuration.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Config says what is pushed where.
type Config struct {
	// URL is where to post: http or https, with a path.
	URL string
	// Interval is the time from one push to the next.
	Interval time.Duration
	// Headers are added to each request. HeadersFile has more, each name=value on a line of its own; it is read again for each
	// push. A value from the file wins.
	Headers     []Attribute
	HeadersFile string
	// CA is a file with the certificates to trust, in PEM. Cert and Key are the files of a client certificate. They are read
	// again at each connection.
	CA, Cert, Key string
	// Plain sends bodies without gzip.
	Plain bool
	// Scale is the resolution of histograms, 0 to [MaxScale]: 2^Scale buckets an octave.
	Scale int
	// Rows is the number of rows of a top table that are sent, without "other"; 0 means no tables.
	Rows int
	// DisableGroups lists the groups of metrics that are not sent.
	DisableGroups []string
	// Resource are the attributes of the agent. Version is its version.
	Resource []Attribute
	Version  string
	// Started is when the agent began to count its own metrics.
	Started time.Time
	// Windows returns the windows to send. They may differ from push to push.
	Windows func() []Window
	Log     *slog.Logger

	// dial connects instead of TCP, in tests.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	// answerWait is how long an attempt may take, closeWait the last one.
	answerWait = 10 * time.Second
	closeWait  = 2 * time.Second
	// firstWait bounds the wait for the first push, so that a fleet that was started at once does not push at once.
	firstWait = 10 * time.Second
	// retryWait is the mean wait after the first failed attempt. It doubles up to slowWait.
	retryWait = time.Second
	slowWait  = time.Minute
	// maxRetryAfter bounds what a server may ask for with Retry-After.
	maxRetryAfter = 15 * time.Minute
)

// Exporter pushes the metrics of one agent.
type Exporter struct {
	cfg     Config
	log     *slog.Logger
	encoder encoder
	body    []byte // compressed; kept for the next push
	own     func() []Own

	mu       sync.Mutex
	status   Status
	rejected string // why points were rejected, as it was logged

	stop   context.CancelFunc
	finish chan struct{} // closed to make the last push
	done   chan struct{} // closed when the goroutine has ended; nil before Start
}

// Status describes the state of the pushing.
type Status struct {
	// URL is where it is pushed, without its query.
	URL string
	// Pushes counts pushes that the receiver has taken, Failed attempts that failed, and Rejected the points that the receiver
	// has not taken in pushes that it has.
	Pushes, Failed, Rejected uint64
	// LastPush is the time of the last push that was taken, or zero. Bytes is its size as it was sent, and Points the number of
	// its points.
	LastPush      time.Time
	Bytes, Points int
	// Error is why the last attempt failed, or empty if it succeeded.
	Error string
}

// New checks the configuration. Its error names a file that cannot be used. It connects to nothing.
func New(cfg Config) (*Exporter, error) {
	e := &Exporter{cfg: cfg, log: cfg.Log}
	if cfg.Scale < 0 || cfg.Scale > MaxScale {
		return nil, fmt.Errorf("OTLP: histogram scale %d: give a number from 0 to %d", cfg.Scale, MaxScale)
	}
	if err := e.checkFiles(); err != nil {
		return nil, err
	}
	e.cfg.Resource = nil
	for _, a := range cfg.Resource {
		if a.Value != "" {
			e.cfg.Resource = append(e.cfg.Resource, Attribute{a.Key, strings.ToValidUTF8(a.Value, "\ufffd")})
		}
	}
	if e.cfg.dial == nil {
		e.cfg.dial = (&net.Dialer{Timeout: answerWait, KeepAlive: 30 * time.Second}).DialContext
	}
	e.encoder.cfg = &e.cfg
	e.status.URL, _, _ = strings.Cut(cfg.URL, "?")
	return e, nil
}

// Status returns the state of the pushing.
func (e *Exporter) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Start begins to push, in the background. own returns the metrics about the agent itself. It may be nil.
func (e *Exporter) Start(own func() []Own) {
	e.own = own
	ctx, stop := context.WithCancel(context.Background())
	e.stop, e.finish, e.done = stop, make(chan struct{}), make(chan struct{})
	go e.run(ctx)
}

// Close pushes once more and ends the pushing. It gives up after two seconds. If nothing was started, it does nothing.
func (e *Exporter) Close() {
	if e.done == nil {
		return
	}
	e.stop()
	close(e.finish)
	<-e.done
	e.done = nil
}

// run pushes until ctx is done, and once more after that.
func (e *Exporter) run(ctx context.Context) {
	defer close(e.done)
	tries := 0
	due := time.Now().Add(rand.N(min(e.cfg.Interval, firstWait)))
	for wait(ctx, time.Until(due)) {
		err := e.push(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil || !err.again:
			tries = 0
			// The time of a push does not add up, and a clock that jumps does not matter: due is monotonic.
			now := time.Now()
			for due = due.Add(e.cfg.Interval); due.Before(now); due = due.Add(e.cfg.Interval) {
			}
		default:
			tries++
			due = time.Now().Add(max(min(e.backoff(tries), e.cfg.Interval), err.after))
		}
	}
	<-e.finish
	last, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if err := e.push(last); err != nil {
		e.log.Warn("the last numbers were not pushed by OTLP", "url", e.status.URL, "error", err)
	}
}

// backoff returns how long to wait after a number of failed attempts: half of the mean to one and a half.
func (e *Exporter) backoff(tries int) time.Duration {
	mean := slowWait
	if tries < 7 {
		mean = retryWait << (tries - 1)
	}
	return mean/2 + rand.N(mean)
}

// wait waits. It reports whether ctx is not done.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// push makes one attempt, and records its result.
func (e *Exporter) push(ctx context.Context) *pushError {
	now := time.Now()
	var own []Own
	if e.own != nil {
		own = e.own()
	}
	message := e.encoder.encode(now, e.cfg.Windows(), own)
	answer, size, err := e.send(ctx, message)
	switch {
	case err == nil:
		e.encoder.accepted()
	case errors.Is(ctx.Err(), context.Canceled):
		return err // Close has interrupted it, and pushes again
	}
	e.record(now, answer, size, err)
	return err
}

// record records the result of an attempt. It logs each reason once.
func (e *Exporter) record(now time.Time, answer partial, size int, err *pushError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.status.Failed++
		if why := err.Error(); why != e.status.Error {
			e.status.Error = why
			e.log.Warn("cannot push by OTLP: "+why, "url", e.status.URL)
		}
		return
	}
	if e.status.Error != "" {
		e.log.Info("pushing by OTLP again", "url", e.status.URL)
	}
	e.status.Error = ""
	e.status.Pushes++
	e.status.LastPush, e.status.Bytes, e.status.Points = now, size, e.encoder.count
	// No push has more points than were sent, whatever the receiver says.
	e.status.Rejected += min(answer.rejected, uint64(e.encoder.count))
	if answer.message == "" && answer.rejected == 0 {
		e.rejected = ""
		return
	}
	if why := fmt.Sprint(answer.message, answer.rejected > 0); why != e.rejected {
		e.rejected = why
		e.log.Warn("the OTLP receiver does not take all points: "+answer.message, "url", e.status.URL, "rejected", answer.rejected, "points", e.encoder.count)
	}
}
