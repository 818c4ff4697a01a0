package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// A full disk is worse for JetStream than for most programs. A publish to a stream whose file could not be written gets no
// answer, also when there is space again, until the server is restarted. So the store stops before the disk is full.
// The states of the disk, by the share that is free:
const (
	roomEnough = iota
	roomLow    // below 10%: the oldest snapshots are removed
	roomFull   // below 3%: no snapshot is taken. Rollups are, so that the snapshots that wait can be merged and removed
	roomNone   // below 1%: nothing is taken
)

// keepRaw is how long snapshots are kept although the disk is low, so that late revisions of a minute can be merged again.
const keepRaw = 30 * time.Minute

// roomOf returns the state of a disk.
func roomOf(free, total uint64) int32 {
	switch {
	case total == 0 || free >= total/10:
		return roomEnough
	case free >= total/100*3:
		return roomLow
	case free >= total/100:
		return roomFull
	default:
		return roomNone
	}
}

// fit decides how many bytes of snapshots are kept if the configuration does not say. It returns an error if what the
// configuration says does not fit on the disk.
func (s *Store) fit() error {
	free, total, err := s.config.space(s.config.Dir)
	if err != nil {
		return err
	}
	used := dirSize(s.config.Dir)
	room := int64(free+used) - int64(total/10) // below 10% free, snapshots are removed
	switch {
	case total == 0: // not known
		if s.config.RawBytes == 0 {
			s.config.RawBytes = 16 << 30
		}
	case s.config.RawBytes == 0:
		s.config.RawBytes = max(int64(free+used)/2, 4*MaxRaw)
		s.keepUpTo = room
	case s.config.RawBytes > room:
		return fmt.Errorf("%d MB for snapshots do not fit on the disk of %s: %d MB are free, and a tenth of the disk must stay free: give at most %d MB",
			s.config.RawBytes>>20, s.config.Dir, free>>20, max(room, 0)>>20)
	}
	return nil
}

// dirSize returns the size in bytes of the files below dir.
func dirSize(dir string) (size uint64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read does not count
		}
		if info, err := d.Info(); err == nil {
			size += uint64(info.Size())
		}
		return nil
	})
	return size
}

// guard looks at the disk of the embedded server. It removes snapshots if it is low, and restarts the server if it has
// room but does not store.
func (s *Store) guard(ctx context.Context) {
	if s.embedded == nil {
		return
	}
	free, total, err := s.config.space(s.config.Dir)
	if err != nil {
		s.note(fmt.Errorf("free space: %w", err))
		return
	}
	room := roomOf(free, total)
	s.status.mu.Lock()
	s.status.Free, s.status.Total = free, total
	s.status.mu.Unlock()
	if before := s.room.Swap(room); before != room {
		s.log.Warn("the free space of the disk has changed", "free_mb", free>>20, "total_mb", total>>20,
			"snapshots_are_removed", room >= roomLow, "snapshots_are_refused", room >= roomFull, "rollups_are_refused", room >= roomNone)
	}
	if room >= roomLow {
		if err := s.purge(ctx, total/10-free, room); err != nil {
			s.note(fmt.Errorf("remove old snapshots: %w", err))
		}
	}
	if room < roomFull && s.stalled() && time.Since(s.restarted) > s.backoff {
		s.restart()
	}
}

// purge removes about need bytes of the oldest snapshots. It keeps those that no hub has acknowledged, and those of the
// last half hour as long as the disk is not full.
func (s *Store) purge(ctx context.Context, need uint64, room int32) error {
	info, err := s.info(ctx, 0)
	if err != nil || info.State.Msgs == 0 {
		return err
	}
	consumer, err := s.js.Consumer(ctx, s.names.stream(0), consumerName)
	if err != nil {
		return err
	}
	first := info.State.FirstSeq
	before := min(first+1+need*info.State.Msgs/max(info.State.Bytes, 1), consumer.CachedInfo().AckFloor.Stream+1)
	if room < roomFull {
		kept := time.Now().Add(-keepRaw) // the clock of JetStream
		_, err := s.direct(ctx, s.names.stream(0), directRequest{StartTime: &kept, Batch: 1}, func(m stored) error {
			before = min(before, m.seq)
			return nil
		})
		if err != nil && !errors.Is(err, errNone) {
			return err
		}
	}
	if before <= first {
		return nil
	}
	if err := s.streams[0].Purge(ctx, jetstream.WithPurgeSequence(before)); err != nil {
		return err
	}
	s.log.Warn("removed the oldest snapshots, because the disk is low", "snapshots", before-first)
	s.status.mu.Lock()
	s.status.Purged += before - first
	s.status.mu.Unlock()
	return nil
}

// hostsStream is the place of the table of hosts among the pulses of the streams, after those of the levels.
const hostsStream = rollup.Day1 + 1

// pulse says whether a stream answers those who publish.
type pulse struct {
	missed  atomic.Int64 // Unix time in nanoseconds of the first publish since the last answer that got none, or 0
	stalled atomic.Bool
}

func (p *pulse) answered() {
	p.missed.Store(0)
	p.stalled.Store(false)
}

// miss notes a publish without an answer. Two of them with a while in between, and no answer, mean that the stream has
// stalled.
func (p *pulse) miss() {
	now := time.Now().UnixNano()
	if !p.missed.CompareAndSwap(0, now) && now-p.missed.Load() > int64(attempt/2) {
		p.stalled.Store(true)
	}
}

// beat tells the pulse of a stream how a publish ended.
func (s *Store) beat(l rollup.Level, err error) {
	switch {
	case err == nil || !isNoAnswer(err):
		s.pulses[l].answered()
	case s.nc.IsConnected():
		s.pulses[l].miss()
	}
}

func (s *Store) stalled() bool {
	for l := range s.pulses {
		if s.pulses[l].stalled.Load() {
			return true
		}
	}
	return false
}

// The times between two restarts of the embedded server.
const (
	minBackoff = 10 * time.Second
	maxBackoff = 5 * time.Minute
)

// restart restarts the embedded server. The connection to it comes back by itself.
func (s *Store) restart() {
	s.log.Warn("JetStream does not store although there is room: restarting the embedded server")
	if time.Since(s.restarted) > 2*maxBackoff {
		s.backoff = minBackoff
	}
	s.backoff = min(2*s.backoff, maxBackoff)
	if err := s.embedded.restart(); err != nil {
		s.note(fmt.Errorf("restart the embedded server: %w", err))
		s.log.Error("the embedded server does not start again", "error", err)
	}
	s.restarted = time.Now()
	for l := range s.pulses {
		s.pulses[l].answered()
	}
	s.status.mu.Lock()
	s.status.Restarts++
	s.status.mu.Unlock()
}
