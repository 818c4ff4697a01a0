// Package state keeps an agent's sealed buckets in a directory, so that its window survives a restart, an upgrade or a
// crash.
//
// Each bucket is one file with a snapshot in full (docs/snapshot.md). Its name is its minute, followed by a number from
// the second bucket of the same minute on, which exists if the clock was set back. The file is written under another
// name, synced and renamed, so that it is either complete or missing. A file that is damaged anyway is set aside with a
// warning. Minutes in which nothing was counted have no file.
//
// A failed write is retried every ten seconds, as long as a window has the bucket.
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
// run continues it if it starts within the same minute. After a crash that bucket is missing.
//
// Save may be called from any goroutine and never waits for the disk. The other methods are for the goroutine that
// starts and stops the agent.
package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	lock    *os.File
	periods int64 // the number of buckets to keep; 0 before Load

	anonymity metric.Anonymity // of the buckets to restore

	mu      sync.Mutex
	waiting []*waiting // for the disk, in the order of the attempts
	added   uint64     // the number of buckets that have ever waited
	resumed *name      // the file that the first bucket continues, if it is of the same minute
	status  Status
	closed  bool

	wake chan struct{} // something waits to be written, or Close was called
	done chan struct{}
}

// waiting is a bucket that is not on the disk.
type waiting struct {
	bucket  *metric.Bucket
	number  uint64 // in the order in which they came
	resumes *name  // the file that it replaces
	name    *name  // of its file, once a write was attempted
	failed  bool
}

// Status describes how the writing of buckets is going.
type Status struct {
	Waiting int    // buckets that are not on the disk yet, including those whose write failed and is retried
	Failed  uint64 // failed attempts to write a bucket
	Dropped uint64 // buckets that were given up
	Error   string // of the last attempt, "" if it succeeded
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
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockName))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("state directory %s: another pktvisord uses it: stop that one, or give this one a different directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &State{
		dir: dir, tables: tables, log: log.With("state_dir", dir), lock: lock,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go s.write()
	return s, nil
}

// Require sets the anonymity of the buckets that [State.Load] restores. If it is not "", Load removes all others: a minute that
// is not anonymised, or not in this way, has no place in a window that is. Call it before Load.
func (s *State) Require(a metric.Anonymity) { s.anonymity = a }

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

// add queues a bucket for the disk. The caller holds mu. A bucket without events is left out, because a missing bucket
// is restored as an empty one.
func (s *State) add(b *metric.Bucket) {
	resumed := s.resumed
	s.resumed = nil
	if b.Idle() {
		return
	}
	if resumed != nil && resumed.minute != minute.Of(b.Start) {
		resumed = nil
	}
	s.added++
	s.waiting = append(s.waiting, &waiting{bucket: b, number: s.added, resumes: resumed})
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
	s.lock.Close()
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
	err := s.keep(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiting, w)
	if err == nil {
		s.status.Error = ""
		if at >= 0 { // it was not given up meanwhile
			s.waiting = slices.Delete(s.waiting, at, at+1)
		}
		return true
	}
	w.failed = true
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
	if held, err := s.lock.Stat(); err == nil {
		if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
			return nil
		}
	}
	lock, err := takeLock(path)
	if errors.Is(err, errLocked) {
		return errors.New("another pktvisord has locked the directory since its lock file was removed: stop that one")
	}
	if err != nil {
		return err
	}
	s.lock.Close()
	s.lock = lock
	s.log.Warn("the lock file had been removed and was created again")
	return nil
}

// keep writes a bucket to its file.
func (s *State) keep(w *waiting) error {
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
		w.name = names.free(minute.Of(w.bucket.Start))
	}
	data := w.bucket.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1})
	if err := replaceFile(s.path(*w.name), data); err != nil {
		return err
	}
	s.prune(w.name.minute)
	return nil
}

// prune removes the buckets that are too old for a window whose newest minute is the given one. A wrong clock may have
// left minutes that are later than that, or a right one before it was wrong. Of these, prune leaves as many as a window
// has.
func (s *State) prune(newest int64) {
	names, err := s.names()
	if err != nil {
		s.log.Warn("old buckets not removed", "error", err)
		return
	}
	if s.periods == 0 {
		return
	}
	later := len(names)
	for later > 0 && names[later-1].minute > newest {
		later--
	}
	for i, n := range names[:later] {
		if n.minute <= newest-s.periods*minute.Seconds || int64(later-i) > s.periods {
			s.remove(s.path(n))
		}
	}
	for i, n := range names[later:] {
		if int64(i) >= s.periods {
			s.remove(s.path(n))
		}
	}
}

func (s *State) remove(path string) {
	if err := os.Remove(path); err != nil {
		s.log.Warn("old file not removed", "error", err)
	}
}

// name identifies a bucket's file: the bucket's minute, and the number of earlier buckets of that minute.
type name struct{ minute, n int64 }

// nameList is sorted, oldest first.
type nameList []name

// free returns a name for another bucket of a minute. It comes after all existing names of that minute.
func (all nameList) free(start int64) *name {
	n := &name{minute: start}
	for _, other := range all {
		if other.minute == start {
			n.n = other.n + 1
		}
	}
	return n
}

func (n name) String() string {
	if n.n == 0 {
		return strconv.FormatInt(n.minute, 10)
	}
	return fmt.Sprintf("%d.%d", n.minute, n.n)
}

func (s *State) path(n name) string { return filepath.Join(s.dir, n.String()+bucketExt) }

// names returns the names of all buckets that have files.
func (s *State) names() (nameList, error) {
	entries, err := os.ReadDir(s.dir)
	var all nameList
	for _, e := range entries {
		if n, ok := nameOf(e.Name(), bucketExt); ok {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b name) int { return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.n, b.n)) })
	return all, err
}

// nameOf returns the name in a file name with the given extension.
func nameOf(file, ext string) (name, bool) {
	text, ok := strings.CutSuffix(file, ext)
	start, number, _ := strings.Cut(text, ".")
	m, err := strconv.ParseInt(start, 10, 64)
	n := name{minute: m}
	if number != "" && err == nil {
		n.n, err = strconv.ParseInt(number, 10, 32)
	}
	return n, ok && err == nil && n.n >= 0 && m == minute.Of(m) && text == n.String()
}

// replaceFile replaces the content of the file at path with data. If that fails or the machine stops, the file keeps
// its old content.
func replaceFile(path string, data []byte) error {
	temp := path + tempExt
	// Anything that has the name, even a pipe or a link to another place, is removed and not opened.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
		os.Remove(temp) // if this fails, the next start removes it
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
