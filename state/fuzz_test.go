package state

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// FuzzLoad starts on a directory that has a good file and a file of any name and content. Whatever that file is, the
// restored buckets are in order, and the agent runs and stops.
func FuzzLoad(f *testing.F) {
	good := bucket(noon, 100).AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1})
	for _, file := range []string{
		"1709294400.pktvsnap", "1709294400.1.pktvsnap", "1709294460.pktvsnap", "1709294460.2.pktvsnap", "1709294400.pktvsnap.tmp",
		"1709294400.pktvsnap.damaged", "-60.pktvsnap", "1709294400.-1.pktvsnap", "1709294400.01.pktvsnap", "99999999999999999999.pktvsnap",
		"9223372036854775800.pktvsnap", "lock", ".pktvsnap", "1709294460.2147483647.pktvsnap",
	} {
		f.Add(file, good)
		f.Add(file, good[:len(good)/2])
	}
	f.Fuzz(func(t *testing.T, file string, data []byte) {
		if filepath.Base(file) != file || len(file) > 100 {
			return
		}
		dir := t.TempDir()
		if os.WriteFile(filepath.Join(dir, file), data, 0o600) != nil {
			return
		}
		if _, err := os.Stat(filepath.Join(dir, "1709294520.pktvsnap")); err != nil {
			if err := os.WriteFile(filepath.Join(dir, "1709294520.pktvsnap"), bucket(noon+120, 7).AppendSnapshot(nil, metric.SnapshotOptions{}), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir, tables, slog.New(slog.DiscardHandler))
		if err != nil {
			return // the file replaced the lock
		}
		const periods = 5
		w := window.New(window.Config{Tables: tables, Periods: periods, Shards: 1, DeepSamplePercent: 100, OnSeal: s.Save})
		restored := s.Load(time.Unix(noon+190, 0), periods)
		for i := 1; i < len(restored); i++ {
			if a, b := minute.Of(restored[i-1].Start), minute.Of(restored[i].Start); b < a {
				t.Fatalf("minute %d after %d", b, a)
			}
		}
		w.Restore(restored, noon+190)
		for second := int64(noon + 190); second < noon+320; second += 10 {
			w.Update(0, second, second, func(b *metric.Bucket, second int64) { add(b, second, 1) })
			if n := len(w.Sealed()); n > periods-1 {
				t.Fatalf("%d sealed", n)
			}
		}
		w.Finish()
		s.Close(w.Bucket(0))
		if st := s.Status(); st.Waiting != 0 || st.Failed != 0 {
			t.Errorf("%+v", st)
		}
	})
}
