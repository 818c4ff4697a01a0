package main

import (
	"context"
	"time"

	"pktvisor/server"
)

// syncAfter is how long after the beginning of a second the live minute is written. By then, the shards have flushed what
// they counted in the second before.
const syncAfter = 200 * time.Millisecond

// syncState writes the live minute to the state directory again and again, until ctx is done, if that is wanted.
func (l *live) syncState(ctx context.Context) {
	every := l.o.StateSync
	if every == 0 {
		return
	}
	w := l.policy.Window()
	for {
		wait := time.NewTimer(untilSync(time.Now(), every))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
			w.Checkpoint(l.state.Checkpoint)
		}
	}
}

// untilSync returns how long after now the next write is due: syncAfter after a multiple of the given time.
func untilSync(now time.Time, every time.Duration) time.Duration {
	return every - now.Add(-syncAfter).Sub(now.Add(-syncAfter).Truncate(every))
}

// stateStatus returns the state of the state directory, or nil if there is none.
func (l *live) stateStatus() *server.State {
	if l.state == nil {
		return nil
	}
	s := l.state.Status()
	st := &server.State{Waiting: s.Waiting, Failed: s.Failed, Dropped: s.Dropped, Error: s.Error, Crashed: s.Lost}
	if !s.Synced.IsZero() {
		st.SyncedTS = s.Synced.Unix()
	}
	if !s.LostFrom.IsZero() {
		st.LostFromTS = s.LostFrom.Unix()
	}
	return st
}
