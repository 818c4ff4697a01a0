package ingest

import (
	"sync"
	"time"

	"pktvisor/minute"
)

// Status says what the ingester has done since it was started, and how far it is.
type Status struct {
	// Received counts deliveries. Each is counted once more below, as stored or by the reason for which it did not count.
	Received uint64 `json:"received"`
	// Stored counts host-minutes that are in all of their rollups. Late counts those of them that came after the first
	// rollup of their minute was stored.
	Stored uint64 `json:"stored"`
	Late   uint64 `json:"late"`
	// Duplicate counts deliveries of a host-minute that was there already, Replaced those with a higher revision.
	Duplicate uint64 `json:"duplicate"`
	Replaced  uint64 `json:"replaced"`
	// Future and TooOld count host-minutes refused because of their time, Damaged and Version those that could not be
	// read. Refused counts the others that were refused: not a minute, too many policies, hosts or restarts, or a
	// replacement for which the raw host-minutes are gone.
	Future  uint64 `json:"future"`
	TooOld  uint64 `json:"too_old"`
	Damaged uint64 `json:"damaged"`
	Version uint64 `json:"version"`
	Refused uint64 `json:"refused"`
	// Overflow counts how often a host-minute was left out of the group of a tag, because the policy has too many groups.
	Overflow uint64 `json:"overflow"`
	// Conflicts counts writes that another hub was faster with. Retries counts minutes that could not be stored and are
	// tried again.
	Conflicts uint64 `json:"conflicts"`
	Retries   uint64 `json:"retries"`
	// Flushes counts minutes that were written, Rollups the rollups of all levels.
	Flushes uint64 `json:"flushes"`
	Rollups uint64 `json:"rollups"`
	// Missing counts host-minutes that were reported missing, Restored those that were found again in the raw stream.
	// Vanished counts rollups that are gone from the store. Kept counts longer rollups that were not computed again,
	// because they hold more than what is left of the level below.
	Missing  uint64 `json:"missing"`
	Restored uint64 `json:"restored"`
	Vanished uint64 `json:"vanished"`
	Kept     uint64 `json:"kept"`

	// Newest is the start of the newest finished minute with a rollup, in Unix seconds, or 0. Lag is the time in seconds
	// since its end.
	Newest int64   `json:"newest"`
	Lag    float64 `json:"lag"`
	// Pending and PendingBytes are the host-minutes that wait for their rollups to be written.
	Pending      int   `json:"pending"`
	PendingBytes int64 `json:"pending_bytes"`
	// Dirty is the number of longer rollups that are to be computed.
	Dirty int `json:"dirty"`
	// LastError is the newest error of the store, LastErrorAt its Unix time in seconds.
	LastError   string `json:"last_error,omitempty"`
	LastErrorAt int64  `json:"last_error_at,omitempty"`
}

// counters is a Status that several goroutines change.
type counters struct {
	mu     sync.Mutex
	s      Status
	logged map[string]time.Time // the last warning of each kind
}

// update changes the status.
func (c *counters) update(f func(s *Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.s)
}

// mayLog reports whether the last warning of a kind is 10 seconds old.
func (c *counters) mayLog(kind string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.logged[kind]
	if age := now.Sub(last); ok && age >= 0 && age < 10*time.Second {
		return false
	}
	if c.logged == nil || len(c.logged) > 100 {
		c.logged = make(map[string]time.Time)
	}
	c.logged[kind] = now
	return true
}

// Status returns the present status. It may be called from any goroutine.
func (g *Ingester) Status() Status {
	dirty := g.levels.size()
	g.counts.mu.Lock()
	defer g.counts.mu.Unlock()
	s := g.counts.s
	s.Dirty = dirty
	if s.Newest != 0 {
		s.Lag = max(g.cfg.Now().Sub(time.Unix(s.Newest+minute.Seconds, 0)).Seconds(), 0)
	}
	return s
}
