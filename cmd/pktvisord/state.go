package main

import (
	"cmp"
	"context"
	"time"

	"pktvisor/server"
	"pktvisor/state"
)

// syncAfter is how long after the beginning of a second the live minute is written. By then, the shards have flushed what
// they counted in the second before.
const syncAfter = 200 * time.Millisecond

// syncState writes the live minute of a window to its directory again and again, until ctx is done, if that is wanted.
func (w *watched) syncState(ctx context.Context, every time.Duration) {
	if every == 0 {
		return
	}
	for {
		wait := time.NewTimer(untilSync(time.Now(), every))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
			w.agent.Window().Checkpoint(w.state.Checkpoint)
		}
	}
}

// untilSync returns how long after now the next write is due: syncAfter after a multiple of the given time.
func untilSync(now time.Time, every time.Duration) time.Duration {
	return every - now.Add(-syncAfter).Sub(now.Add(-syncAfter).Truncate(every))
}

// stateStatus returns the state of the directories of all windows together, or nil if there is none.
func (l *live) stateStatus() (st *server.State) {
	for _, r := range load(&l.policies) {
		for _, w := range r.windows {
			if w.state == nil {
				continue
			}
			if st == nil {
				st = new(server.State)
			}
			addState(st, w.state.Status())
		}
	}
	return st
}

func addState(st *server.State, s state.Status) {
	st.Waiting += s.Waiting
	st.Failed += s.Failed
	st.Dropped += s.Dropped
	st.Error = cmp.Or(st.Error, s.Error)
	st.Crashed = st.Crashed || s.Lost
	if !s.Synced.IsZero() && (st.SyncedTS == 0 || s.Synced.Unix() < st.SyncedTS) {
		st.SyncedTS = s.Synced.Unix()
	}
	if !s.LostFrom.IsZero() && (st.LostFromTS == 0 || s.LostFrom.Unix() < st.LostFromTS) {
		st.LostFromTS = s.LostFrom.Unix()
	}
}
