package store

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"pktvisor/hub/rollup"
)

// Status is the state of the store. It is at most a few seconds old.
type Status struct {
	// Server is the name of the NATS server, Version its version. Embedded says that it runs in this process.
	Server, Version     string
	Embedded, Connected bool
	// Reconnects counts how often the connection was lost and came back. Restarts counts how often the embedded server
	// was restarted because it had stopped storing.
	Reconnects, Restarts uint64
	// Free and Total are the bytes of the embedded store's file system. Total is 0 if that is not known.
	Free, Total uint64
	// Full says that the store refuses snapshots, because less than 3% are free.
	Full bool
	// Streams are the stream of snapshots first, and those of the rollups.
	Streams []StreamStatus
	// Waiting counts the snapshots that no hub has got yet, Unacknowledged those that hubs hold.
	Waiting, Unacknowledged uint64
	// Lost counts messages that have vanished from the streams without having been removed, for example in a damaged
	// block. Purged counts snapshots that were removed because less than 10% are free.
	Lost, Purged uint64
	// Refused counts the snapshots that were refused, by reason.
	Refused map[Reason]uint64
	// Gone says which stream does not exist any more, or is "".
	Gone string
	// Error is the last error, and ErrorAt when it was. Errors counts them.
	Error   string
	ErrorAt time.Time
	Errors  uint64
}

// StreamStatus is the state of a stream.
type StreamStatus struct {
	Name string
	// Level is 0 for the stream of snapshots.
	Level           rollup.Level
	Messages, Bytes uint64
	// MaxBytes and MaxAge are the stream's bounds. 0 means none.
	MaxBytes uint64
	MaxAge   time.Duration
	// First and Last are when the oldest and the newest message arrived. They are zero if there is none.
	First, Last       time.Time
	FirstSeq, LastSeq uint64
	Replicas          int
	// Missing counts the messages between the first and the last that do not exist. Rollups leave such gaps when they are
	// replaced.
	Missing uint64
}

// statusKeeper gathers the status.
type statusKeeper struct {
	mu sync.Mutex
	Status
}

// note remembers an error.
func (s *Store) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	s.status.Error, s.status.ErrorAt = err.Error(), s.config.Now()
	s.status.Errors++
}

// refuse counts a snapshot that was refused.
func (k *statusKeeper) refuse(err error) {
	var r *RefusedError
	if !errors.As(err, &r) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Refused == nil {
		k.Refused = map[Reason]uint64{}
	}
	k.Refused[r.Reason]++
}

// Status returns the state of the store.
func (s *Store) Status() Status {
	s.status.mu.Lock()
	status := s.status.Status
	status.Refused = maps.Clone(status.Refused)
	s.status.mu.Unlock()
	status.Embedded = s.embedded != nil
	status.Full = s.room.Load() >= roomFull
	status.Connected = s.nc.IsConnected()
	status.Server, status.Version = s.nc.ConnectedServerName(), s.nc.ConnectedServerVersion()
	status.Reconnects = s.nc.Statistics.Reconnects
	return status
}

// watchEvery is how often the store looks at its disk and its streams.
const watchEvery = 2 * time.Second

// watch keeps the status up to date until ctx ends.
func (s *Store) watch(ctx context.Context) {
	for {
		s.guard(ctx)
		s.look(ctx)
		if !pause(ctx, watchEvery) {
			return
		}
	}
}

// look reads the state of the streams.
func (s *Store) look(ctx context.Context) {
	s.looking.Lock()
	defer s.looking.Unlock()
	ctx, cancel := within(ctx)
	defer cancel()
	streams := make([]StreamStatus, 0, rollup.Day1+1)
	var lost uint64
	for l := rollup.Level(0); l <= rollup.Day1; l++ {
		info, err := s.info(ctx, l)
		if err != nil {
			s.note(err)
			s.vanished(ctx, l, err)
			return
		}
		st := StreamStatus{Name: info.Config.Name, Level: l, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: uint64(max(info.Config.MaxBytes, 0)),
			MaxAge: info.Config.MaxAge, FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq, Replicas: info.Config.Replicas,
			Missing: uint64(info.State.NumDeleted)}
		if st.Messages > 0 {
			st.First, st.Last = info.State.FirstTime, info.State.LastTime
		}
		if l == 0 {
			lost += st.Missing // its messages are only removed from the front
			lost += s.findHoles(ctx, st.FirstSeq, st.Missing)
		} else if info.State.Lost != nil {
			lost += uint64(len(info.State.Lost.Msgs))
		}
		streams = append(streams, st)
	}
	consumer, err := s.js.Consumer(ctx, s.names.stream(0), consumerName)
	s.gone = 0
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	s.status.Gone = ""
	s.status.Streams, s.status.Lost = streams, lost
	if err == nil {
		info := consumer.CachedInfo()
		s.status.Waiting, s.status.Unacknowledged = info.NumPending, uint64(info.NumAckPending)
	}
}
