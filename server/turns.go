package server

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// maxWait is how long a request waits for its turn before it gets 503.
const maxWait = 5 * time.Second

// errBusy is the error of a request for which the agent has no room or no turn.
var errBusy = errors.New("the agent is busy with other answers: try again in a few seconds, or ask for less")

// errShort is the error of a request for which there is no memory.
var errShort = errors.New("the agent is short of memory and makes no answers of this kind: see memory in /api/v1/metrics/app")

// failBusy answers a request that failed with err, such as errBusy, unless the client is gone.
func failBusy(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	w.Header().Set("Retry-After", "5")
	fail(w, http.StatusServiceUnavailable, "%v", err)
}

// lock is a lock with a bounded wait. Its capacity is the number of goroutines that may hold it.
type lock chan struct{}

// take acquires the lock in order of arrival. It fails when ctx is done, or with errBusy after [maxWait].
func (l lock) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(maxWait)
	defer late.Stop()
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return errBusy
	}
}

func (l lock) release() { <-l }

// turns bounds how many answers are made at once: as many as there are cores, and half as many large ones. So large
// answers never keep small ones waiting.
type turns struct{ all, large lock }

func newTurns() turns {
	cores := runtime.GOMAXPROCS(0)
	return turns{all: make(lock, cores), large: make(lock, max(cores/2, 1))}
}

// do waits for a turn and calls f.
func (t turns) do(ctx context.Context, large bool, f func()) error {
	if large {
		if err := t.large.take(ctx); err != nil {
			return err
		}
		defer t.large.release()
	}
	if err := t.all.take(ctx); err != nil {
		return err
	}
	defer t.all.release()
	f()
	return nil
}

const (
	// maxSending bounds the bytes of long answers that are held for clients that have not read them yet.
	maxSending = 32 << 20
	// longAnswer is the length in bytes from which an answer counts as long. Each connection holds at most one shorter
	// answer, so the bound on connections also bounds these.
	longAnswer = 64 << 10
)

// sending counts the bytes of long answers that are being sent. A page that is sent to many clients counts once.
type sending struct {
	mu    sync.Mutex
	bytes int
	pages map[*page]int // how many requests are sending it
}

// begin reports whether a page may be sent. If so, the caller must call end when it has been sent.
func (s *sending) begin(p *page) bool {
	if p.size() < longAnswer {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages[p] == 0 {
		if s.bytes > 0 && s.bytes+p.size() > maxSending {
			return false
		}
		s.bytes += p.size()
	}
	if s.pages == nil {
		s.pages = make(map[*page]int)
	}
	s.pages[p]++
	return true
}

func (s *sending) end(p *page) {
	if p.size() < longAnswer {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages[p]--; s.pages[p] == 0 {
		delete(s.pages, p)
		s.bytes -= p.size()
	}
}
