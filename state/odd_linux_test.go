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

// TestOddFiles: a file in the place of a bucket that is not a regular file is neither waited for nor read, and stays
// where it is.
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

// TestOddTemporaries: a pipe or a link to another file in the place where the next minute is written is replaced. The
// other file does not change.
func TestOddTemporaries(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	pipe, link := filepath.Join(dir, "60.pktvsnap"), filepath.Join(dir, "120.pktvsnap")
	if err := errors.Join(os.WriteFile(other, []byte("precious"), 0o600), syscall.Mkfifo(pipe+".tmp", 0o600), os.Symlink(other, link+".tmp")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link} {
		if err := replaceFile(path, []byte("minute")); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "minute" {
			t.Errorf("%q, %v", got, err)
		}
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%v, %v", info, err)
		}
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
		t.Errorf("the other file has %q, %v", got, err)
	}
}
