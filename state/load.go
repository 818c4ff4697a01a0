package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pktvisor/internal/regular"
	"pktvisor/metric"
	"pktvisor/minute"
)

// maxFile bounds the files that are read, in bytes. No snapshot is as long.
const maxFile = 32 << 20

// keepDamaged is how long a damaged file is kept for inspection.
const keepDamaged = 24 * time.Hour

// Load returns the buckets of an earlier run that belong to a window of the given number of periods at the time now,
// oldest first. There is one bucket for each minute, or several if the clock was set back, and none for a minute in
// which nothing was counted. If the agent was stopped in now's own minute, the last bucket is of that minute, for the
// live bucket to continue.
//
// Load never fails. It logs files that cannot be read and sets damaged ones aside. Files from the future, left by a
// clock that is wrong or was wrong, stay where they are until their time comes. Files that are too old stay until as many newer
// ones as the window has periods are written.
//
// From then on, State keeps at most as many buckets as the window has periods, and at most as many from the future.
func (s *State) Load(now time.Time, periods int) []*metric.Bucket {
	s.periods = int64(periods)
	s.clean(now)
	s.removeOthers()
	names, err := s.names()
	if err != nil {
		s.log.Warn("cannot read the buckets of the last run", "error", err)
	}
	current := minute.Of(now.Unix())
	var buckets []*metric.Bucket
	future := 0
	for _, n := range names {
		switch {
		case n.minute > current:
			future++
			continue
		case n.minute <= current-s.periods*minute.Seconds: // not removed, because the clock may be ahead
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
		s.log.Warn("buckets from the future not restored: the clock is wrong or was wrong", "buckets", future)
	}
	s.tellLoss(buckets)
	if len(buckets) > 0 {
		s.log.Info("buckets of the last run restored", "periods", len(buckets), "from", time.Unix(buckets[0].Start, 0).UTC())
	}
	return buckets
}

// clean removes files that crashes have left, and damaged files that are older than keepDamaged, or may not be anonymised.
func (s *State) clean(now time.Time) {
	entries, _ := os.ReadDir(s.dir) // names returns the same error and reports it
	for _, e := range entries {
		old, damaged := nameOf(e.Name(), bucketExt+damagedExt)
		aged := old.minute < now.Add(-keepDamaged).Unix() || s.anonymity != ""
		if _, temp := nameOf(e.Name(), bucketExt+tempExt); temp || damaged && aged {
			s.remove(filepath.Join(s.dir, e.Name()))
		}
	}
}

// removeOthers removes the buckets that are not anonymised as they must be, whatever their time is. What cannot be read stays.
func (s *State) removeOthers() {
	if s.anonymity == "" {
		return
	}
	names, _ := s.names() // Load reports the error
	removed := 0
	for _, n := range names {
		data, err := regular.Read(s.path(n), maxFile)
		if err != nil {
			continue // read says what is wrong
		}
		if info, err := metric.ReadSnapshotInfo(data); err == nil && info.Anonymity != s.anonymity {
			s.remove(s.path(n))
			removed++
		}
	}
	if removed > 0 {
		s.log.Warn("buckets of another run removed: they are not anonymised as those of this run", "buckets", removed)
	}
}

// read returns the bucket of a name, or nil if its file cannot be read. It sets a damaged file aside, but not a file
// that is only too new for this program.
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
	f, err := regular.Open(path)
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
	if b.Anonymity != s.anonymity {
		return nil, fmt.Errorf("it is anonymised (%s), and this run is not: its pseudonyms have no place beside addresses", b.Anonymity)
	}
	if minute.Of(b.Start) != start || b.End > start+minute.Seconds {
		return nil, &metric.SnapshotError{Err: fmt.Errorf("it covers %d to %d, which is not the minute of its name", b.Start, b.End)}
	}
	return b, nil
}
