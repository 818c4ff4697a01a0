// Package state keeps an agent's sealed buckets in a directory, so that its window outlives it: a
// restart, an upgrade, a crash.
//
// Each bucket is one file, a snapshot in full (docs/snapshot.md) named by its minute, and by a number from
// the second bucket of one minute on, which a clock that was set back has left. It is written
// under another name, synced and renamed, so that a file is whole or not there. One that is damaged
// all the same is set aside with a warning. Minutes in which nothing was counted have no file.
//
// What cannot be written is tried again, every ten seconds, as long as a window has it.
//
//	s, err := state.Open(dir, tables, log)
//	w := window.New(window.Config{…, OnSeal: s.Save})
//	w.Restore(s.Load(now, periods), now.Unix())
//	…                          // until the agent stops
//	w.Finish()
//	s.Close(w.Bucket(0))
//
// The directory belongs to one agent at a time: it is locked, and where the lock file is gone, locked again within ten seconds or
// not written to. The bucket that was live at Close is kept
// too, and continued if the agent is back within its minute; after a crash it is missing.
//
// Save may be called from any goroutine and never waits for the disk; the other methods are for the one
// that starts and stops the agent.
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

// retryEvery is how long after a failure what could not be written is tried again.
const retryEvery = 10 * time.Second

// State is a directory of buckets.
type State struct {
	dir     string
	tables  []*metric.Table
	log     *slog.Logger
	lock    *os.File
	periods int64 // how many are kept; 0 before Load

	mu      sync.Mutex
	waiting []*waiting // for the disk, in the order in which they are tried
	added   uint64     // buckets that have ever waited
	resumed *name      // of the file that the first bucket goes on with, if that is of its minute
	status  Status
	closed  bool

	wake chan struct{} // there is something to write, or the end has come
	done chan struct{}
}

// waiting is a bucket that is not on the disk.
type waiting struct {
	bucket  *metric.Bucket
	number  uint64 // in the order in which they came
	resumes *name  // the file that it takes the place of
	name    *name  // of its file, once that was tried
	failed  bool
}

// Status is how the writing of buckets is doing.
type Status struct {
	Waiting int    // buckets that are not on the disk yet, or could not be written and are tried again
	Failed  uint64 // attempts to write a bucket that failed
	Dropped uint64 // buckets that were given up
	Error   string // of the last attempt, "" where that was well
}

// Status returns how the writing of buckets is doing. Any goroutine may call it.
func (s *State) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Waiting = len(s.waiting)
	return st
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
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go s.write()
	return s, nil
}

// Save keeps a sealed bucket. It returns at once; what cannot be written is logged and tried again.
func (s *State) Save(b *metric.Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.add(b)
	s.wakeUp()
}

// add lets a bucket wait for the disk, under mu. One in which nothing happened will be restored as one that is missing.
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

// drop gives a bucket up, under mu.
func (s *State) drop(w *waiting) {
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.status.Dropped++
		s.log.Warn("bucket given up: the window has it no more, and it could not be written", "start", w.bucket.Start)
	}
}

func (s *State) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close keeps the bucket that was live at the end, which may be nil, waits until all is written that can be, and lets go
// of the directory.
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
		s.log.Error("buckets not kept", "buckets", n, "error", s.Status().Error)
	}
	s.lock.Close()
}

// write keeps what waits, until the end.
func (s *State) write() {
	defer close(s.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-s.wake:
			s.writeNew()
		case <-retry.C:
			s.holdLock() // where that fails, what is to be written next says so
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

// next returns a bucket that waits and that was tried before, or was not, nil where there is none.
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

// writeNew tries each bucket that was not tried before.
func (s *State) writeNew() {
	for w := s.next(false); w != nil; w = s.next(false) {
		if !s.try(w) {
			s.log.Error("bucket not kept yet", "start", w.bucket.Start, "error", s.Status().Error)
		}
	}
}

// writeAgain tries the others, up to one that still cannot be written.
func (s *State) writeAgain() {
	for w := s.next(true); w != nil; w = s.next(true) {
		if !s.try(w) {
			return
		}
		s.log.Info("bucket kept after all", "start", w.bucket.Start)
	}
}

// try writes a bucket, and reports whether it need not be tried again.
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
	if at >= 0 { // the others are not to wait for one that never can be written
		s.waiting = append(slices.Delete(s.waiting, at, at+1), w)
	}
	return false
}

// holdLock makes sure that the lock is that of the directory which is there now. Where the directory or its lock file was
// removed and made again, somebody else may have it.
func (s *State) holdLock() error {
	path := filepath.Join(s.dir, lockName)
	if held, err := s.lock.Stat(); err == nil {
		if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
			return nil
		}
	}
	lock, err := takeLock(path)
	if errors.Is(err, errLocked) {
		return errors.New("another pktvisord uses the directory, since its lock file was removed: stop that one")
	}
	if err != nil {
		return err
	}
	s.lock.Close()
	s.lock = lock
	s.log.Warn("the lock file was removed, and is there again")
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

// prune removes the buckets that a window whose newest minute is the given one has no more. Of minutes
// still to come, which a wrong clock has left or a right one before it was wrong, it leaves as many
// as a window has.
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

// name is that of a bucket's file: its minute, and how many buckets of that minute there were before.
type name struct{ minute, n int64 }

// nameList is sorted: oldest first.
type nameList []name

// free returns a name of a minute that comes after all that there are.
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

// names returns the names of the buckets of which there are files.
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

// nameOf returns the name that a file name has before its extension.
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

// replaceFile makes data the content of the file at path: all of it or, where that fails or the machine
// stops, what it was.
func replaceFile(path string, data []byte) error {
	temp := path + tempExt
	// What has the name, be it a pipe or a link to elsewhere, is not opened.
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
