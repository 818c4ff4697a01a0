// Package logging makes the loggers of the programs that run as services.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// New makes the logger of a service. The format is text or json, and the level is debug, info, warn or error. Messages of one
// kind are limited to ten a minute, so that traffic from the network cannot fill a disk. A message's kind is its text up
// to a colon.
func New(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	switch level {
	case "debug", "info", "warn", "error":
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("--log-level %s: give debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(&limitedHandler{Handler: slog.NewTextHandler(w, opts), limiter: new(logLimiter)}), nil
	case "json":
		return slog.New(&limitedHandler{Handler: slog.NewJSONHandler(w, opts), limiter: new(logLimiter)}), nil
	}
	return nil, fmt.Errorf("--log-format %s: give text or json", format)
}

// At most logBurst messages of one kind are logged in logPeriod. The rest is counted. Traffic from the network must not
// be able to fill a disk.
const (
	logBurst  = 10
	logPeriod = time.Minute
)

// limitedHandler drops messages that are logged too often.
type limitedHandler struct {
	slog.Handler
	limiter *logLimiter
}

// Handle implements [slog.Handler].
func (h *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	suppressed, ok := h.limiter.allow(r)
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitedHandler{h.Handler.WithAttrs(attrs), h.limiter}
}

// WithGroup implements [slog.Handler].
func (h *limitedHandler) WithGroup(name string) slog.Handler {
	return &limitedHandler{h.Handler.WithGroup(name), h.limiter}
}

// logLimiter counts messages by their kind, which is their text up to a colon. The text after it may come from the
// network.
type logLimiter struct {
	mu    sync.Mutex
	kinds map[string]*logKind
}

type logKind struct {
	began              time.Time
	logged, suppressed int
}

// allow reports whether to log a record, and how many records of its kind were suppressed before it.
func (l *logLimiter) allow(r slog.Record) (suppressed int, ok bool) {
	kind, _, _ := strings.Cut(r.Message, ":")
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		if l.kinds == nil || len(l.kinds) >= 100 {
			l.kinds = make(map[string]*logKind)
		}
		k = &logKind{began: r.Time}
		l.kinds[kind] = k
	}
	if r.Time.Sub(k.began) >= logPeriod {
		suppressed = k.suppressed
		*k = logKind{began: r.Time}
	}
	if k.logged == logBurst {
		k.suppressed++
		return 0, false
	}
	k.logged++
	return suppressed, true
}
