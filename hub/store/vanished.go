package store

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// goneFor is how many looks in a row must miss a stream before it is made again.
const goneFor = 5

// vanished makes the streams again if err says that one does not exist any more: its NATS has lost its disk, or somebody has
// deleted it. What it had is lost. The handles of streams have only names, so they work with the new ones.
func (s *Store) vanished(ctx context.Context, l rollup.Level, err error) {
	if !hasCode(err, jetstream.JSErrCodeStreamNotFound) {
		return
	}
	s.status.mu.Lock()
	s.status.Gone = s.names.stream(l)
	s.status.mu.Unlock()
	if s.gone++; s.gone < goneFor {
		return
	}
	s.gone = 0
	s.log.Error("a stream does not exist any more: what it had is lost. Making it again", "stream", s.names.stream(l))
	for l := rollup.Level(0); l <= rollup.Day1; l++ {
		if _, err := s.js.Stream(ctx, s.names.stream(l)); !hasCode(err, jetstream.JSErrCodeStreamNotFound) {
			continue
		}
		if _, err := s.js.CreateStream(ctx, s.streamConfig(l)); err != nil {
			s.note(s.explain("create stream "+s.names.stream(l), err))
			return
		}
		s.seen[l].Store(0) // the numbers begin again
	}
	s.note(s.ensureBuckets(ctx))
	s.note(s.ensureConsumer(ctx, false))
	s.groups.forget()
}
