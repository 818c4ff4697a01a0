package state

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// TestCheckpoint kills an agent at some seconds, among them those around the end of a minute. It counts 10 packets a second. With a checkpoint every second,
// the next run has every second that was counted, once, and the identity of a minute is the one that it had or would have had
// when it was sealed.
func TestCheckpoint(t *testing.T) {
	for _, end := range []int{1, 2, 30, 59, 60, 61, 62, 63, 64, 119, 120, 121, 123} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) { // starts at 00:00:00
			sealed := map[int64]metric.Identity{}
			s, _ := open(t, dir)
			w := window.New(window.Config{Tables: tables, Periods: 5, Shards: 1, DeepSamplePercent: 100, Identity: metric.Identity{Boot: 7}, OnSeal: func(b *metric.Bucket) {
				sealed[minute.Of(b.Start)] = b.Identity
				s.Save(b)
			}})
			w.Restore(s.Load(time.Now(), 5), time.Now().Unix())
			for second := range end {
				now := time.Now().Unix()
				w.Update(0, now, now, func(b *metric.Bucket, second int64) { add(b, second, 10) })
				time.Sleep(time.Second)
				w.Advance(time.Now().Unix(), time.Now().Unix())
				if second >= end-4 { // earlier ones are replaced anyway
					w.Checkpoint(s.Checkpoint)
				}
				synctest.Wait()
			}
			if st := s.Status(); !st.Synced.Equal(time.Now()) || st.Lost {
				t.Errorf("after %d s: %+v", end, st)
			}
			crash(s)

			s, logged := open(t, dir)
			left := s.Load(time.Now(), 5)
			defer s.Close(nil)
			packets := 0
			for i, b := range left {
				packets += total(b)
				if id, ok := sealed[b.Start]; ok && b.Identity != id {
					t.Errorf("after %d s, minute %d is %+v, and was sealed as %+v", end, i, b.Identity, id)
				}
				if want := uint64(i + 1); b.Identity.Seq != want || b.Identity.Boot != 7 {
					t.Errorf("after %d s, minute %d is %+v, want number %d", end, i, b.Identity, want)
				}
			}
			if want := (end + 59) / 60; packets != 10*end || len(left) != want {
				t.Errorf("after %d s: %d packets in %d minutes, want %d in %d", end, packets, len(left), 10*end, want)
			}
			if st := s.Status(); !st.Lost || !st.LostFrom.Equal(time.Now()) || strings.Count(logged.String(), "the last run did not end by itself") != 1 {
				t.Errorf("after %d s: %+v, logged %s", end, st, logged)
			}
		})
	}
}

// TestCheckpointContinues: runs that are killed within one minute leave one file, and each continues the last.
func TestCheckpointContinues(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Unix()
		for run := range 3 {
			s, _ := open(t, dir)
			w := window.New(window.Config{Tables: tables, Periods: 5, Shards: 1, DeepSamplePercent: 100, OnSeal: s.Save})
			w.Restore(s.Load(time.Now(), 5), time.Now().Unix())
			for range 10 {
				now := time.Now().Unix()
				w.Update(0, now, now, func(b *metric.Bucket, second int64) { add(b, second, 10) })
				w.Checkpoint(s.Checkpoint)
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if got, want := total(w.Bucket(0)), 100*(run+1); got != want {
				t.Errorf("run %d: %d packets, want %d", run, got, want)
			}
			if run < 2 {
				crash(s)
				continue
			}
			w.Finish()
			s.Close(w.Bucket(0))
		}
		if got, want := names(t, dir), fmt.Sprintf("%d.pktvsnap lock", start); got != want {
			t.Errorf("left %s, want %s", got, want)
		}
		s, logged := open(t, dir)
		defer s.Close(nil)
		if left := s.Load(time.Now(), 5); len(left) != 1 || total(left[0]) != 300 {
			t.Errorf("%d minutes", len(left))
		}
		if s.Status().Lost || strings.Contains(logged.String(), "did not end by itself") {
			t.Errorf("a run that ended by itself counts as a crash: %s", logged)
		}
	})
}

// TestCheckpointFails: a checkpoint that cannot be written is not tried again at each second, and the sealed bucket takes over its
// file.
func TestCheckpointFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, logged := open(t, dir)
		s.Load(time.Unix(noon, 0), 4)
		blocked := filepath.Join(dir, fmt.Sprintf("%d.pktvsnap.tmp", noon))
		if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		checkpoint := func(seconds int) {
			for range seconds {
				s.Checkpoint([]*metric.Bucket{bucket(noon, 5)})
				time.Sleep(time.Second)
				synctest.Wait()
			}
		}
		checkpoint(25)
		if st := s.Status(); st.Failed != 3 || st.Waiting != 0 || st.Error == "" || !st.Synced.IsZero() || strings.Count(logged.String(), "live minute not written") != 3 {
			t.Errorf("%+v, logged %s", st, logged)
		}
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		checkpoint(11)
		if st := s.Status(); st.Failed != 3 || st.Error != "" || st.Synced.IsZero() {
			t.Errorf("%+v, logged %s", st, logged)
		}
		s.Save(bucket(noon, 9))
		s.Save(bucket(noon+1, 3)) // another bucket of the minute, after the clock was set back
		s.Close(nil)
		if got, want := names(t, dir), fmt.Sprintf("%d.1.pktvsnap %d.pktvsnap lock", noon, noon); got != want {
			t.Errorf("left %s, want %s", got, want)
		}
		s, _ = open(t, dir)
		defer s.Close(nil)
		if left := s.Load(time.Unix(noon+60, 0), 4); len(left) != 2 || total(left[0]) != 9 || total(left[1]) != 3 {
			t.Errorf("%d minutes", len(left))
		}
	})
}

// TestSealedWhileWritten: a bucket that is sealed while its checkpoint is being written is written again.
func TestSealedWhileWritten(t *testing.T) {
	const minutes = 40
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Load(time.Unix(noon, 0), 2*minutes)
	for i := range int64(minutes) {
		half, whole := bucket(noon+60*i, 1), bucket(noon+60*i, 2)
		s.Checkpoint([]*metric.Bucket{half})
		if i%2 == 0 {
			for range 1000 {
				runtime.Gosched() // the other goroutine begins to write
			}
		}
		s.Save(whole)
	}
	s.Close(nil)
	_, packets, _ := load(t, dir, noon+60*minutes, 2*minutes)
	for i, n := range packets {
		if n != 2 {
			t.Errorf("minute %d has %d packets, want 2", i, n)
		}
	}
	if len(packets) != minutes {
		t.Errorf("%d minutes", len(packets))
	}
}
