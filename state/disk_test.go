package state

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/metric"
)

// TestDiskFails: a bucket whose write failed is retried, other buckets do not wait for it, and the failure is reported.
func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, logged := open(t, dir)
		s.Load(time.Unix(noon, 0), 4)
		blocked := filepath.Join(dir, fmt.Sprintf("%d.pktvsnap.tmp", noon))
		if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		s.Save(bucket(noon, 1))
		s.Save(bucket(noon+60, 2))
		synctest.Wait()
		if st := s.Status(); st.Waiting != 1 || st.Failed != 1 || st.Dropped != 0 || !strings.Contains(names(t, dir), fmt.Sprint(noon+60, ".pktvsnap ")) {
			t.Errorf("%+v, left %s", st, names(t, dir))
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Waiting != 1 || st.Failed != 3 || st.Error == "" || strings.Count(logged.String(), "bucket not written yet") != 1 {
			t.Errorf("%+v, logged %s", st, logged)
		}
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Waiting != 0 || st.Failed != 3 || st.Error != "" || !strings.Contains(logged.String(), "bucket written after a retry") {
			t.Errorf("%+v, logged %s", st, logged)
		}
		s.Close(nil)
		_, packets, _ := load(t, dir, noon+120, 4)
		expectPackets(t, "tried again", packets, 1, 2)
	})
}

// TestDirectoryGone: while the directory is missing, as many buckets as the window has are kept. They are written when
// it is back.
func TestDirectoryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		s, logged := open(t, dir)
		s.Load(time.Unix(noon, 0), 4)
		if err := os.Rename(dir, dir+"-away"); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			s.Save(bucket(noon+60*int64(i), i+1))
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if st := s.Status(); st.Waiting != 4 || st.Dropped != 2 || strings.Count(logged.String(), "bucket given up") != 2 {
			t.Errorf("%+v, logged %s", st, logged)
		}
		if err := os.Rename(dir+"-away", dir); err != nil {
			t.Fatal(err)
		}
		s.Close(bucket(noon+360, 7))
		_, packets, _ := load(t, dir, noon+370, 8)
		expectPackets(t, "written at the end", packets, 4, 5, 6, 7)
	})
}

// TestLockFileGone: if the lock file was removed, or the whole directory was removed and created again, the directory
// is locked again before anything is written. While another agent has the lock, nothing is written.
func TestLockFileGone(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		t.Skip("this system has no locks")
	}
	for _, what := range []string{"lock", "."} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s, logged := open(t, dir)
			s.Load(time.Unix(noon, 0), 4)
			gone := func() {
				if err := os.RemoveAll(filepath.Join(dir, what)); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			gone()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if other, err := Open(dir, tables, slog.New(slog.DiscardHandler)); err == nil {
				other.Close(nil)
				t.Errorf("%s removed: another agent can have the directory", what)
			}
			gone()
			other, err := Open(dir, tables, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			s.Save(bucket(noon, 1))
			synctest.Wait()
			if st := s.Status(); st.Waiting != 1 || !strings.Contains(st.Error, "another pktvisord has locked the directory") {
				t.Errorf("%s removed, and another agent has the directory: %+v", what, st)
			}
			if left := names(t, dir); strings.Contains(left, "pktvsnap") {
				t.Errorf("%s removed: still written: %s", what, left)
			}
			other.Close(nil)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if st := s.Status(); st.Waiting != 0 || st.Error != "" || strings.Count(logged.String(), "was created again") != 2 {
				t.Errorf("%s removed: %+v, logged %s", what, st, logged)
			}
			s.Close(nil)
		})
	}
}

// TestClosedWithoutWriting: Close logs the buckets that are lost.
func TestClosedWithoutWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, logged := open(t, dir)
	s.Load(time.Unix(noon, 0), 4)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.Close(bucket(noon, 1))
	if !strings.Contains(logged.String(), "buckets not written") {
		t.Errorf("logged %s", logged)
	}
}

// TestTwoOfAMinute: after the clock was set back there are two buckets of a minute. Both are kept, and so is an
// existing file with the same name. A bucket that continues an earlier run's bucket replaces it.
func TestTwoOfAMinute(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Load(time.Unix(noon, 0), 5)
	for _, b := range []*metric.Bucket{bucket(noon, 1000), bucket(noon+60, 1000), bucket(noon+2, 10), bucket(noon+1, 1)} {
		s.Save(b)
	}
	s.Close(bucket(noon+61, 5))
	if want := fmt.Sprintf("%d.1.pktvsnap %d.2.pktvsnap %d.pktvsnap %d.1.pktvsnap %d.pktvsnap lock", noon, noon, noon, noon+60, noon+60); names(t, dir) != want {
		t.Errorf("left %s, want %s", names(t, dir), want)
	}
	s, _ = open(t, dir)
	restored := s.Load(time.Unix(noon+70, 0), 5)
	var packets []int
	for _, b := range restored {
		packets = append(packets, total(b))
	}
	expectPackets(t, "restored", packets, 1000, 10, 1, 1000, 5)
	s.Save(bucket(noon+61, 50)) // continues the last of them
	s.Save(bucket(noon+62, 3))  // another bucket of its minute
	s.Close(nil)
	s, _ = open(t, dir)
	packets = nil
	for _, b := range s.Load(time.Unix(noon+120, 0), 10) {
		packets = append(packets, total(b))
	}
	expectPackets(t, "continued", packets, 10, 1, 1000, 50, 3)
	s.Close(nil)
}
