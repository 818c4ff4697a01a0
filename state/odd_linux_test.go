package state

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOddFiles has something else than a regular file in the place of a bucket: it is not waited for, not read, and
// left where it is.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1_700_000_100, 0)
	pipe, dirName, link := filepath.Join(dir, "1700000040.pktvsnap"), filepath.Join(dir, "1699999980.pktvsnap"), filepath.Join(dir, "1699999920.pktvsnap")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Mkdir(dirName, 0o700), os.Symlink("/dev/zero", link), syscall.Mkfifo(filepath.Join(dir, "lock"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := Open(dir, tables, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(nil)
	if got := s.Load(now, 5); len(got) != 0 {
		t.Errorf("%d buckets", len(got))
	}
	if n := strings.Count(log.String(), `msg="bucket not restored"`); n != 3 || strings.Count(log.String(), "not a regular file") != 3 {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
	for _, path := range []string{pipe, dirName, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
