package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pktvisor/minute"
)

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
