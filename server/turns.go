package server

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// maxWait is how long a request waits for others before it gets 503.
const maxWait = 5 * time.Second

// errBusy is the error of a request that the agent has no room or turn for.
var errBusy = errors.New("the agent is busy with other answers: ask again in a few seconds, or ask for less")

// failBusy answers a request that failed with err, such as errBusy, unless its client has gone.
func failBusy(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	w.Header().Set("Retry-After", "5")
	fail(w, http.StatusServiceUnavailable, "%v", err)
}

// lock is a mutex with a bounded wait. It is locked while it holds a value.
type lock chan struct{}

// take takes a place of the lock, in order of arrival. It fails when ctx is done, or with errBusy after
// [maxWait].
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

// turns bound the answers that are made at once: as many as there are cores, and half as many large ones, so
// that large answers never keep small ones waiting.
type turns struct{ all, large lock }

func newTurns() turns {
	cores := runtime.GOMAXPROCS(0)
	return turns{all: make(lock, cores), large: make(lock, max(cores/2, 1))}
}

// do calls f in its turn.
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
	// maxSending is how many bytes of long answers are held for clients that have not read them yet.
	maxSending = 32 << 20
	// longAnswer is from how many bytes on an answer counts as long: the others, one of each connection,
	// are bounded by the connections.
	longAnswer = 64 << 10
)

// sending counts the bytes of long answers that are being sent. A page that many clients get counts once.
type sending struct {
	mu    sync.Mutex
	bytes int
	pages map[*page]int // how many send it
}

// begin reports whether a page may be sent. If so, end must be called when it was.
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
