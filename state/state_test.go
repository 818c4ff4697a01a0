package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

type counts struct {
	Total metric.Counter     `metric:"total" unit:"packets" help:"x"`
	Names metric.Cardinality `metric:"names" unit:"names" help:"x"`
	Rate  metric.Rate        `metric:"rate" unit:"packets/s" help:"x"`
	Top   metric.Top         `metric:"top" unit:"packets" label:"name" help:"x"`
}

var tables = []*metric.Table{metric.Define[counts]("packets")}

// noon is 2024-03-01 12:00:00 UTC.
const noon = 1_709_294_400

func add(b *metric.Bucket, second int64, n int) {
	c := metric.Of[counts](b.Sections[0])
	for i := range n {
		name := fmt.Appendf(nil, "name%d", i*i%97+int(second%7))
		c.Total++
		c.Names.Add(name)
		c.Top.Add(name, 1)
	}
	c.Rate.Add(second, uint64(n))
}

// keep writes a bucket immediately.
func keep(t *testing.T, s *State, b *metric.Bucket) {
	t.Helper()
	if err := s.keep(&waiting{bucket: b}, b); err != nil {
		t.Fatal(err)
	}
}

// bucket returns a sealed minute with n packets.
func bucket(start int64, n int) *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Start, b.End = start, start+60-(start%60)
	if n > 0 {
		add(b, start, n)
	}
	b.Seal(8192)
	return b
}

func total(b *metric.Bucket) int { return int(metric.Of[counts](b.Sections[0]).Total) }

// open opens a directory, and returns its log too.
func open(t *testing.T, dir string) (*State, *testkit.Log) {
	t.Helper()
	logged := new(testkit.Log)
	s, err := Open(dir, tables, slog.New(slog.NewTextHandler(logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, logged
}

// fillDir makes a directory with buckets of n minutes from noon on, with 1, 2, 3… packets.
func fillDir(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Load(time.Unix(noon, 0), 100)
	for i := range n {
		keep(t, s, bucket(noon+60*int64(i), i+1))
	}
	s.Close(nil)
	return dir
}

// load opens a directory at the given second. It returns the packets of each minute of a window, from the first on.
func load(t *testing.T, dir string, second int64, periods int) (first int64, packets []int, logged string) {
	t.Helper()
	s, log := open(t, dir)
	w := window.New(window.Config{Tables: tables, Periods: periods, Shards: 1, DeepSamplePercent: 100})
	w.Restore(s.Load(time.Unix(second, 0), periods), second)
	s.Close(nil)
	w.Advance(minute.Next(second), second) // no packet continues the last bucket
	for i, b := range w.Sealed() {
		if i == 0 {
			first = b.Start
		}
		if minute.Of(b.Start) != minute.Of(first)+60*int64(i) {
			t.Fatalf("bucket %d is of %d, which is not the minute after the previous one", i, b.Start)
		}
		packets = append(packets, total(b))
	}
	return first, packets, log.String()
}

func expectPackets(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: minutes have %v packets, want %v", what, got, want)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// TestRestart runs a window by the clock, stops it in every way, and checks what the next run restores.
func TestRestart(t *testing.T) {
	testkit.NoLeaks(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // starts at 00:00:00
		const periods = 6
		var w *window.Window
		run := func(seconds int) *State {
			s, _ := open(t, dir)
			w = window.New(window.Config{Tables: tables, Periods: periods, Shards: 1, DeepSamplePercent: 100, OnSeal: s.Save})
			now := time.Now()
			w.Restore(s.Load(now, periods), now.Unix())
			for range seconds {
				now := time.Now().Unix()
				w.Update(0, now, now, func(b *metric.Bucket, second int64) { add(b, second, 10) })
				time.Sleep(time.Second)
			}
			return s
		}
		stop := func(s *State) {
			w.Finish()
			s.Close(w.Bucket(0))
		}
		expect := func(what string, packets ...int) {
			t.Helper()
			var got []int
			for i := range len(w.Sealed()) + 1 {
				got = append(got, total(w.Bucket(i)))
			}
			expectPackets(t, what, got, packets...)
		}
		stop(run(150)) // until 02:30
		expect("first run", 300, 600, 600)
		before := w.Merged(periods).AppendJSON(nil, metric.JSONOptions{Key: "6m", Rows: 100})

		time.Sleep(5 * time.Second)
		s := run(1) // at 02:35
		expect("back within the minute", 310, 600, 600)
		if len(w.Merged(periods).Sections) != 1 || bytes.Equal(before, w.Merged(periods).AppendJSON(nil, metric.JSONOptions{Key: "6m", Rows: 100})) {
			t.Error("the second run changed nothing")
		}
		stop(s)
		stop(run(30)) // until 03:06
		expect("back a third time", 60, 300+10+240, 600, 600)

		time.Sleep(200 * time.Second)
		s = run(120) // from 06:26 to 08:26
		expect("after a gap", 260, 600, 340, 0, 0, 60)
		crash(s) // without the live bucket
		time.Sleep(20 * time.Second)
		stop(run(10)) // from 08:46 to 08:56
		expect("after a crash", 100, 600, 340, 0, 0, 60)

		time.Sleep(time.Hour)
		stop(run(1))
		expect("after an hour", 10)
	})
}

// crash leaves the directory as a killed process does.
func crash(s *State) {
	s.mu.Lock()
	s.closed = true
	s.wakeUp()
	s.mu.Unlock()
	<-s.done
	s.lock.Close()
}

// TestRestored compares the restored window with the original, including estimates.
func TestRestored(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Load(time.Unix(noon, 0), 5)
	b := bucket(noon, 50_000)
	b.Lost, b.DeepSamplePercent = 3, 50
	s.Save(b)
	s.Close(nil)
	s, _ = open(t, dir)
	defer s.Close(nil)
	got := s.Load(time.Unix(noon+70, 0), 5)
	if len(got) != 1 {
		t.Fatalf("%d buckets", len(got))
	}
	o := metric.JSONOptions{Key: "1m", Rows: 1000}
	if g, w := got[0].AppendJSON(nil, o), b.AppendJSON(nil, o); !bytes.Equal(g, w) {
		t.Errorf("restored %s, want %s", g, w)
	}
}

// TestCrashWhileWriting stops the writing of a file after every byte.
func TestCrashWhileWriting(t *testing.T) {
	dir := fillDir(t, 3)
	whole, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.pktvsnap", noon+120)))
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, fmt.Sprintf("%d.pktvsnap", noon+180))
	for n := range len(whole) + 1 {
		// Before the rename.
		if err := os.WriteFile(next+tempExt, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		first, packets, logged := load(t, dir, noon+200, 10)
		expectPackets(t, "not renamed", packets, 1, 2, 3)
		if first != noon || strings.Contains(logged, "WARN") || strings.Contains(names(t, dir), tempExt) {
			t.Fatalf("%d bytes: from %d, %s, left %s", n, first, logged, names(t, dir))
		}
		// A disk that kept the new name but not the content of the file.
		if n == len(whole) {
			break
		}
		if err := os.WriteFile(next, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		_, packets, logged = load(t, dir, noon+250, 10)
		expectPackets(t, "cut short", packets, 1, 2, 3, 0)
		if strings.Count(logged, "damaged bucket set aside") != 1 || !strings.HasSuffix(names(t, dir), ".damaged lock") {
			t.Fatalf("%d bytes: %s, left %s", n, logged, names(t, dir))
		}
	}
	if _, _, logged := load(t, dir, noon+180+25*3600, 2000); strings.Contains(names(t, dir), damagedExt) {
		t.Errorf("a damaged file is still there a day later: %s", logged)
	}
}

func TestDamaged(t *testing.T) {
	file := func(minute int64) string { return fmt.Sprintf("%d.pktvsnap", minute) }
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		log    string
		aside  bool
	}{
		{"empty", func(t *testing.T, path string) { write(t, path, nil) }, "not a snapshot", true},
		{"a bit", func(t *testing.T, path string) {
			b, _ := os.ReadFile(path)
			b[len(b)/2] ^= 4
			write(t, path, b)
		}, "checksum", true},
		{"another minute", func(t *testing.T, path string) {
			b, _ := os.ReadFile(filepath.Join(filepath.Dir(path), file(noon)))
			write(t, path, b)
		}, "not the minute of its name", true},
		{"a newer version", func(t *testing.T, path string) {
			b, _ := os.ReadFile(path)
			b[8]++
			write(t, path, b)
		}, "newer format", false},
		{"a directory", func(t *testing.T, path string) {
			os.Remove(path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fillDir(t, 3)
			c.damage(t, filepath.Join(dir, file(noon+60)))
			_, packets, logged := load(t, dir, noon+185, 10)
			expectPackets(t, c.name, packets, 1, 0, 3)
			if !strings.Contains(logged, "level=WARN") || !strings.Contains(logged, c.log) {
				t.Errorf("logged %s", logged)
			}
			if aside := strings.Contains(names(t, dir), file(noon+60)+damagedExt); aside != c.aside {
				t.Errorf("left %s", names(t, dir))
			}
		})
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestClock starts at times before, within and after those of the files.
func TestClock(t *testing.T) {
	for _, c := range []struct {
		name        string
		now         int64
		periods     int
		first       int64
		want        []int
		left        int
		warnsFuture bool
	}{
		{"right after", noon + 300, 10, noon, []int{1, 2, 3, 4, 5}, 5, false},
		{"in the last minute", noon + 299, 10, noon, []int{1, 2, 3, 4, 5}, 5, false},
		{"fewer periods", noon + 299, 3, noon + 120, []int{3, 4, 5}, 3, false},
		{"a gap", noon + 480, 10, noon, []int{1, 2, 3, 4, 5, 0, 0, 0}, 5, false},
		{"almost all too old", noon + 240 + 9*60, 10, noon + 240, []int{5, 0, 0, 0, 0, 0, 0, 0, 0}, 1, false},
		{"all too old", noon + 240 + 10*60, 10, 0, nil, 0, false},
		{"years later", noon + 1e9, 10, 0, nil, 0, false},
		{"set back a little", noon + 150, 10, noon, []int{1, 2, 3}, 5, true},
		{"set back to 1970", 0, 10, 0, nil, 5, true},
		{"before 1970", -30, 10, 0, nil, 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fillDir(t, 5)
			first, packets, logged := load(t, dir, c.now, c.periods)
			expectPackets(t, c.name, packets, c.want...)
			if first != c.first || strings.Contains(logged, "future") != c.warnsFuture {
				t.Errorf("from %d, logged %s", first, logged)
			}
			if n := strings.Count(names(t, dir), bucketExt); n != c.left {
				t.Errorf("%d files left, want %d", n, c.left)
			}
		})
	}
}

// TestPrune: there are never more files than a window has periods, whatever the clock does.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Load(time.Unix(noon, 0), 4)
	for i := range int64(10) {
		keep(t, s, bucket(noon+60*i, 1))
	}
	if n := strings.Count(names(t, dir), bucketExt); n != 4 {
		t.Errorf("%d files, want 4", n)
	}
	keep(t, s, bucket(noon+60*8, 1)) // a minute back: the later ones may be right
	if n := strings.Count(names(t, dir), bucketExt); n != 5 {
		t.Errorf("%d files, want 4, and the minute after them", n)
	}
	const past = noon - 600_000
	keep(t, s, bucket(past, 1)) // far back: the clock may be wrong now, or was wrong before
	if n := strings.Count(names(t, dir), bucketExt); n != 5 {
		t.Errorf("%d files, want 4 and 1", n)
	}
	for i := range int64(100) {
		keep(t, s, bucket(past-6000*i, 1))
	}
	if n := strings.Count(names(t, dir), bucketExt); n != 5 {
		t.Errorf("%d files, want 4 of later times and 1", n)
	}
	s.Close(nil)
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	s, _ := open(t, dir)
	if _, err := Open(dir, tables, slog.Default()); err == nil || !strings.Contains(err.Error(), "another pktvisord uses it") {
		t.Errorf("opened twice: %v", err)
	}
	s.Close(nil)
	s, _ = open(t, dir)
	s.Close(nil)
	s.Close(nil)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	if _, err := Open(file, tables, slog.Default()); err == nil || !strings.HasPrefix(err.Error(), "state directory: ") {
		t.Errorf("opened a file: %v", err)
	}
}

// TestSaveWhileClosing saves from several goroutines before, during and after Close.
func TestSaveWhileClosing(t *testing.T) {
	testkit.NoLeaks(t)
	s, _ := open(t, t.TempDir())
	s.Load(time.Unix(noon, 0), 4)
	b := bucket(noon, 10)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 100 {
				s.Save(b)
			}
		})
	}
	s.Close(b)
	running.Wait()
	s.Save(b)
}
