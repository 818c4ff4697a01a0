package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
)

// maxFile is the length of the longest file that is read: more than any snapshot has.
const maxFile = 32 << 20

// keepDamaged is how long a damaged file stays, for somebody to look at.
const keepDamaged = 24 * time.Hour

// Load returns the buckets of an earlier run that belong to a window of the given number of periods at
// the time now, oldest first: one a minute, or several where the clock was set back, and none of minutes in which nothing was
// counted. Where the agent was stopped in now's own minute, the last is of that minute, for the live bucket to continue.
//
// It never fails: what cannot be read is logged and set aside. Files from the future, of a clock that
// is wrong now or was, stay where they are until their time comes.
//
// From then on State keeps as many buckets as the window has periods, and no more of the future.
func (s *State) Load(now time.Time, periods int) []*metric.Bucket {
	s.periods = int64(periods)
	s.clean(now)
	names, err := s.names()
	if err != nil {
		s.log.Warn("buckets of the last run not read", "error", err)
	}
	current := minute.Of(now.Unix())
	var buckets []*metric.Bucket
	future := 0
	for _, n := range names {
		switch {
		case n.minute > current:
			future++
			continue
		case n.minute <= current-s.periods*minute.Seconds:
			s.remove(s.path(n))
			continue
		}
		if b := s.read(n); b != nil {
			buckets = append(buckets, b)
			if n.minute == current {
				s.resumed = &n
			}
		}
	}
	if future > 0 {
		s.log.Warn("buckets from the future not restored: the clock is wrong, or was", "buckets", future)
	}
	if len(buckets) > 0 {
		s.log.Info("buckets of the last run restored", "periods", len(buckets), "from", time.Unix(buckets[0].Start, 0).UTC())
	}
	return buckets
}

// clean removes what crashes have left, and damaged files that nobody looked at.
func (s *State) clean(now time.Time) {
	entries, _ := os.ReadDir(s.dir) // an error here is one in minutes, too
	for _, e := range entries {
		old, damaged := nameOf(e.Name(), bucketExt+damagedExt)
		if _, temp := nameOf(e.Name(), bucketExt+tempExt); temp || damaged && old.minute < now.Add(-keepDamaged).Unix() {
			s.remove(filepath.Join(s.dir, e.Name()))
		}
	}
}

// read returns the bucket of a name, or nil where its file cannot be read: then it is set aside,
// unless it is merely too new for this program.
func (s *State) read(n name) *metric.Bucket {
	path := s.path(n)
	b, err := s.readFile(path, n.minute)
	if err == nil {
		return b
	}
	var bad *metric.SnapshotError
	if !errors.As(err, &bad) || errors.Is(err, metric.ErrSnapshotVersion) {
		s.log.Warn("bucket not restored", "file", filepath.Base(path), "error", err)
		return nil
	}
	aside := path + damagedExt
	err = errors.Join(err, os.Rename(path, aside))
	s.log.Warn("damaged bucket set aside", "file", filepath.Base(aside), "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	return nil
}

func (s *State) readFile(path string, start int64) (*metric.Bucket, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	b, err := metric.ReadSnapshot(s.tables, data)
	if err != nil {
		return nil, err
	}
	if minute.Of(b.Start) != start || b.End > start+minute.Seconds {
		return nil, &metric.SnapshotError{Err: fmt.Errorf("of %d to %d, and not of its name's minute", b.Start, b.End)}
	}
	return b, nil
}

// openRegular opens a regular file for reading. It refuses all others, without waiting: a named pipe would be
// waited for until it has a writer.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("is a directory, not a regular file")
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
