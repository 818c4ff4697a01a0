// Package state keeps an agent's sealed buckets in a directory, so that its window survives a restart, an upgrade or a
// crash.
//
// Each bucket is one file with a snapshot in full (docs/snapshot.md). Its name is its minute, followed by a number from
// the second bucket of the same minute on, which exists if the clock was set back. The file is written under another
// name, synced and renamed, so that it is either complete or missing. A file that is damaged anyway is set aside with a
// warning. Minutes in which nothing was counted have no file.
//
// A failed write is retried every ten seconds, as long as a window has the bucket. A directory that cannot be written at the
// start, because its disk is full, read-only or broken, is used from the moment when it can be.
//
// [State.Checkpoint] writes the buckets that are still open, each to the file that it will have once it is sealed. So a
// crash loses only what came after the last checkpoint, and no bucket has two files.
//
//	s, err := state.Open(dir, tables, log)
//	w := window.New(window.Config{…, OnSeal: s.Save})
//	w.Restore(s.Load(now, periods), now.Unix())
//	…                          // until the agent stops
//	w.Finish()
//	s.Close(w.Bucket(0))
//
// The directory belongs to one agent at a time, which holds a lock on a file in it. If the lock file is removed, the
// agent locks it again within ten seconds, or stops writing. The bucket that was live at Close is also kept. The next
// run continues it if it starts within the same minute. After a crash that bucket is missing, or as its last checkpoint has
// it. While an agent runs, the lock file says so: that is how the next run recognises a crash.
//
// Save and Checkpoint may be called from any goroutine and never wait for the disk. The other methods are for the goroutine that
// starts and stops the agent.
package state

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
)

const (
	bucketExt  = ".pktvsnap"
	tempExt    = ".tmp"
	damagedExt = ".damaged"
	lockName   = "lock"
)

// retryEvery is the time between attempts to write buckets whose write failed.
const retryEvery = 10 * time.Second

// State is a directory of buckets.
type State struct {
	dir     string
	tables  []*metric.Table
	log     *slog.Logger
	periods int64 // the number of buckets to keep; 0 before Load

	anonymity metric.Anonymity // of the buckets to restore
	// Of the goroutine that writes, while it runs.
	lock  *os.File  // nil while the directory cannot be locked
	pause time.Time // no checkpoint is attempted before

	mu      sync.Mutex
	waiting []*waiting // for the disk, in the order of the attempts
	added   uint64     // the number of buckets that have ever waited
	resumed *name      // the file that the first bucket continues, if it is of the same minute
	open    []*waiting // open buckets with a checkpoint, each of another minute
	status  Status
	closed  bool

	wake chan struct{} // something is to be written, or Close was called
	done chan struct{}
}

// waiting is a bucket that is not on the disk, or not as it is now.
type waiting struct {
	bucket  *metric.Bucket // guarded by mu; an open one is replaced by its next copy
	number  uint64         // in the order in which they came
	resumes *name          // the file that it replaces
	name    *name          // of its file, once a write was attempted
	failed  bool
	written bool      // the bucket, as it is now
	copied  time.Time // of an open bucket: when
}

// Status describes how the writing of buckets is going.
type Status struct {
	Waiting int    // buckets that are not on the disk yet, including those whose write failed and is retried
	Failed  uint64 // failed attempts to write a bucket
	Dropped uint64 // buckets that were given up
	Error   string // of the last attempt, "" if it succeeded
	// Synced is the time of the last checkpoint that is on the disk, zero if there is none.
	Synced time.Time
	// Lost is set if the last run did not end by itself. What it counted from LostFrom on is lost. LostFrom is zero if that
	// is not known.
	Lost     bool
	LostFrom time.Time
}

// Status returns how the writing of buckets is going. Any goroutine may call it.
func (s *State) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Waiting = len(s.waiting)
	return st
}

// Open locks a directory, which it creates if necessary. The tables are those of the buckets.
func Open(dir string, tables []*metric.Table, log *slog.Logger) (*State, error) {
	s := &State{dir: dir, tables: tables, log: log.With("state_dir", dir), wake: make(chan struct{}, 1), done: make(chan struct{})}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		s.lock, err = takeLock(filepath.Join(dir, lockName))
	}
	switch {
	case errors.Is(err, errLocked):
		return nil, fmt.Errorf("state directory %s: another pktvisord uses it: stop that one, or give this one a different directory", dir)
	case err != nil && !mayPass(err):
		return nil, fmt.Errorf("state directory: %w", err)
	case err != nil:
		s.status.Error = err.Error()
		s.log.Error("nothing can be written for now: it is tried again", "error", err)
	default:
		s.status.LostFrom, s.status.Lost = s.lastRun()
		s.beginRun()
	}
	go s.write()
	return s, nil
}

// Require sets the anonymity of the buckets that [State.Load] restores. If it is not "", Load removes all others: a minute that
// is not anonymised, or not in this way, has no place in a window that is. Call it before Load.
func (s *State) Require(a metric.Anonymity) { s.anonymity = a }

// mayPass reports whether an error is due to a disk, or to a lack of something, and not to how the agent was started. An
// agent that ended for such a reason would be started again and again, and would not capture meanwhile.
func mayPass(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
	}, func(passing error) bool { return errors.Is(err, passing) })
}

// Save writes a sealed bucket. It returns at once. A failed write is logged and retried.
func (s *State) Save(b *metric.Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.add(b)
	s.wakeUp()
}

// Checkpoint writes copies of the buckets that are not sealed yet: see [window.Window.Checkpoint]. It returns at once. Of
// several copies of a bucket, it may write only the last. If a write fails, the next checkpoints are left out for ten seconds.
func (s *State) Checkpoint(open []*metric.Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, b := range open {
		if b.Idle() {
			continue
		}
		w := s.openOf(b)
		if w == nil {
			w = &waiting{resumes: s.takeResumed(b)}
			s.open = append(s.open, w)
		}
		w.bucket, w.written, w.copied = b, false, time.Now()
	}
	s.wakeUp()
}

// openOf returns the entry of an open bucket, or nil if it has had no checkpoint. The caller holds mu.
func (s *State) openOf(b *metric.Bucket) *waiting {
	for _, w := range s.open {
		if minute.Same(w.bucket.Start, b.Start) {
			return w
		}
	}
	return nil
}

// takeResumed returns the file that a bucket continues, or nil. Only the first bucket can continue one. The caller holds mu.
func (s *State) takeResumed(b *metric.Bucket) *name {
	resumed := s.resumed
	s.resumed = nil
	if resumed != nil && resumed.minute != minute.Of(b.Start) {
		resumed = nil
	}
	return resumed
}

// add queues a bucket for the disk. The caller holds mu. A bucket without events is left out, because a missing bucket
// is restored as an empty one.
func (s *State) add(b *metric.Bucket) {
	w := s.openOf(b)
	if w != nil { // the file of its checkpoints becomes that of the bucket
		s.open = slices.DeleteFunc(s.open, func(o *waiting) bool { return o == w })
	} else {
		w = &waiting{resumes: s.takeResumed(b)}
	}
	if b.Idle() {
		return
	}
	s.added++
	w.bucket, w.number, w.written, w.failed = b, s.added, false, false
	s.waiting = append(s.waiting, w)
	if most := int(s.periods); most > 0 && len(s.waiting) > most {
		s.drop(slices.MinFunc(s.waiting, func(a, b *waiting) int { return cmp.Compare(a.number, b.number) }))
	}
}

// drop gives a bucket up. The caller holds mu.
func (s *State) drop(w *waiting) {
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.status.Dropped++
		s.log.Warn("bucket given up: it could not be written, and the window no longer has it", "start", w.bucket.Start)
	}
}

func (s *State) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close writes the bucket that was live at the end, which may be nil. It waits until every bucket that can be written
// is written, and releases the directory.
func (s *State) Close(live *metric.Bucket) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if live != nil {
		s.add(live)
	}
	s.wakeUp()
	s.mu.Unlock()
	<-s.done
	if n := s.Status().Waiting; n > 0 {
		s.log.Error("buckets not written", "buckets", n, "error", s.Status().Error)
	}
	if s.lock != nil {
		s.endRun()
		s.lock.Close()
	}
}

// write writes the waiting buckets until Close.
func (s *State) write() {
	defer close(s.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-s.wake:
			s.writeNew()
			s.writeOpen()
		case <-retry.C:
			s.holdLock() // if this fails, the next write reports it
			s.writeAgain()
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			s.writeNew()
			s.writeAgain()
			return
		}
	}
}

// next returns a waiting bucket whose write has failed before, or has not been attempted, as given. It returns nil if
// there is none.
func (s *State) next(failed bool) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		if w.failed == failed {
			return w
		}
	}
	return nil
}

// writeNew attempts to write each bucket that was not attempted before.
func (s *State) writeNew() {
	for w := s.next(false); w != nil; w = s.next(false) {
		if !s.try(w) {
			s.log.Error("bucket not written yet", "start", w.bucket.Start, "error", s.Status().Error)
		}
	}
}

// writeOpen writes the checkpoints that are due.
func (s *State) writeOpen() {
	for time.Now().After(s.pause) {
		s.mu.Lock()
		i := slices.IndexFunc(s.open, func(w *waiting) bool { return !w.written })
		var w *waiting
		if i >= 0 && !s.closed {
			w = s.open[i]
		}
		s.mu.Unlock()
		if w == nil {
			return
		}
		if !s.try(w) {
			s.pause = time.Now().Add(retryEvery)
			s.log.Error("live minute not written: tried again in ten seconds", "error", s.Status().Error)
		}
	}
}

// writeAgain retries the other buckets, up to the first one that still cannot be written.
func (s *State) writeAgain() {
	for w := s.next(true); w != nil; w = s.next(true) {
		if !s.try(w) {
			return
		}
		s.log.Info("bucket written after a retry", "start", w.bucket.Start)
	}
}

// try writes a bucket, and reports whether it succeeded.
func (s *State) try(w *waiting) bool {
	s.mu.Lock()
	b, copied := w.bucket, w.copied
	s.mu.Unlock()
	err := s.keep(w, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiting, w)
	if err == nil {
		s.status.Error = ""
		w.written = w.bucket == b
		switch {
		case slices.Contains(s.open, w):
			s.status.Synced = copied
		case at >= 0 && w.written: // it was not given up, and it was not open until now
			s.waiting = slices.Delete(s.waiting, at, at+1)
		}
		return true
	}
	w.failed = at >= 0
	s.status.Failed++
	s.status.Error = err.Error()
	if at >= 0 { // move it to the end, so that the others do not wait for one that can never be written
		s.waiting = append(slices.Delete(s.waiting, at, at+1), w)
	}
	return false
}

// holdLock makes sure that the agent holds the lock of the directory that exists now. If the directory or its lock file
// was removed and created again, another process may have the lock.
func (s *State) holdLock() error {
	path := filepath.Join(s.dir, lockName)
	if s.lock != nil {
		if held, err := s.lock.Stat(); err == nil {
			if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
				return nil
			}
		}
	} else if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := takeLock(path)
	if errors.Is(err, errLocked) {
		return errors.New("another pktvisord has locked the directory since its lock file was removed: stop that one")
	}
	if err != nil {
		return err
	}
	if s.lock != nil {
		s.lock.Close()
		s.log.Warn("the lock file had been removed and was created again")
	} else {
		s.log.Info("the directory can be written")
	}
	s.lock = lock
	s.beginRun()
	return nil
}

// writing bounds how many windows of a program write at once. A thousand of them would take the disk, and the CPU for a thousand
// snapshots, from everything else.
var writing = make(chan struct{}, 4)

// keep writes a bucket, as it is in b, to the file of w.
func (s *State) keep(w *waiting, b *metric.Bucket) error {
	if err := s.holdLock(); err != nil {
		return err
	}
	names, err := s.names()
	if err != nil {
		return err
	}
	if w.name == nil {
		w.name = w.resumes
	}
	if w.name == nil {
		w.name = names.free(minute.Of(b.Start))
	}
	writing <- struct{}{}
	defer func() { <-writing }()
	if err := replaceFile(s.path(*w.name), b.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1})); err != nil {
		return err
	}
	s.prune(w.name.minute)
	return nil
}
