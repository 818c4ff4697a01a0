// Package state keeps an agent's sealed buckets in a directory, so that its window outlives it: a
// restart, an upgrade, a crash.
//
// Each bucket is one file, a snapshot in full (docs/snapshot.md) named by its minute. It is written
// under another name, synced and renamed, so that a file is whole or not there. One that is damaged
// all the same is set aside with a warning. Minutes in which nothing was counted have no file.
//
//	s, err := state.Open(dir, tables, log)
//	w := window.New(window.Config{…, OnSeal: s.Save})
//	w.Restore(s.Load(time.Now(), periods))
//	…                          // until the agent stops
//	w.Finish()
//	s.Close(w.Bucket(0))
//
// The directory belongs to one agent at a time: it is locked. The bucket that was live at Close is kept
// too, and continued if the agent is back within its minute; after a crash it is missing.
//
// Save may be called from any goroutine and never waits for the disk; the other methods are for the one
// that starts and stops the agent.
package state

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pktvisor/metric"
	"pktvisor/window"
)

const (
	bucketExt  = ".pktvsnap"
	tempExt    = ".tmp"
	damagedExt = ".damaged"
	lockName   = "lock"
)

// queueLen is how many buckets may wait for the disk. There is one a minute.
const queueLen = 8

// State is a directory of buckets.
type State struct {
	dir     string
	tables  []*metric.Table
	log     *slog.Logger
	lock    *os.File
	periods int64 // how many are kept; 0 before Load

	mu     sync.Mutex
	queue  chan *metric.Bucket
	closed bool
	done   chan struct{}
}

// Open takes possession of a directory, which it makes if it is not there. The tables are those that
// the buckets are made of.
func Open(dir string, tables []*metric.Table, log *slog.Logger) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockName))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("state directory %s: another pktvisord uses it: stop that one, or give this one a directory of its own", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &State{
		dir: dir, tables: tables, log: log.With("state_dir", dir), lock: lock,
		queue: make(chan *metric.Bucket, queueLen), done: make(chan struct{}),
	}
	go s.write()
	return s, nil
}

// Save keeps a sealed bucket. It returns at once; what cannot be written is logged.
func (s *State) Save(b *metric.Bucket) {
	if idle(b) {
		return // it will be restored as one that is missing: empty
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.queue <- b:
	default:
		s.log.Warn("bucket not kept: the disk is too slow", "start", b.Start)
	}
}

// Close keeps the bucket that was live at the end, which may be nil, waits until all is written, and lets go
// of the directory.
func (s *State) Close(live *metric.Bucket) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.done
	if live != nil && !idle(live) {
		s.keep(live)
	}
	s.lock.Close()
}

// write keeps what is queued.
func (s *State) write() {
	defer close(s.done)
	for b := range s.queue {
		s.keep(b)
	}
}

func (s *State) keep(b *metric.Bucket) {
	minute := minuteOf(b.Start)
	data := b.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1})
	if err := replaceFile(s.path(minute), data); err != nil {
		s.log.Error("bucket not kept", "start", b.Start, "error", err)
		return
	}
	s.prune(minute)
}

// prune removes the buckets that a window whose newest minute is the given one has no more. Of minutes
// still to come, which a wrong clock has left or a right one before it was wrong, it leaves as many
// as a window has.
func (s *State) prune(newest int64) {
	minutes, err := s.minutes()
	if err != nil {
		s.log.Warn("old buckets not removed", "error", err)
		return
	}
	later := int64(0)
	for _, m := range minutes {
		if m > newest {
			later++
		}
		if s.periods > 0 && (m <= newest-s.periods*window.PeriodSeconds || later > s.periods) {
			s.remove(s.path(m))
		}
	}
}

func (s *State) remove(path string) {
	if err := os.Remove(path); err != nil {
		s.log.Warn("old file not removed", "error", err)
	}
}

func (s *State) path(minute int64) string {
	return filepath.Join(s.dir, strconv.FormatInt(minute, 10)+bucketExt)
}

// minutes returns the minutes of which there are files, in their order.
func (s *State) minutes() ([]int64, error) {
	entries, err := os.ReadDir(s.dir)
	var minutes []int64
	for _, e := range entries {
		if m, ok := minuteIn(e.Name(), bucketExt); ok {
			minutes = append(minutes, m)
		}
	}
	slices.Sort(minutes)
	return minutes, err
}

// minuteIn returns the minute that a file name has before its extension.
func minuteIn(name, ext string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, ext)
	m, err := strconv.ParseInt(digits, 10, 64)
	return m, ok && err == nil && m == minuteOf(m) && digits == strconv.FormatInt(m, 10)
}

// minuteOf is the start of the bucket that a second (Unix time) belongs to.
func minuteOf(second int64) int64 {
	m := second - second%window.PeriodSeconds
	if m > second {
		m -= window.PeriodSeconds
	}
	return m
}

// idle tells whether nothing was counted or lost in a bucket.
func idle(b *metric.Bucket) bool {
	for _, s := range b.Sections {
		for i := range s.Table.Descs {
			if s.Table.Descs[i].Kind == metric.KindCounter && s.Counter(i) > 0 {
				return false
			}
		}
	}
	return b.Lost == 0
}

// replaceFile makes data the content of the file at path: all of it or, where that fails or the machine
// stops, what it was.
func replaceFile(path string, data []byte) error {
	temp := path + tempExt
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp) // or the next start does
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes sure that the names in a directory are on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
