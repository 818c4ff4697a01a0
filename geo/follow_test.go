package geo

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// oneNet returns a database in which 192.0.2.0/25 is in one country.
func oneNet(country string) []byte {
	return build("GeoLite2-City", []network6{{"192.0.2.0/25", pairs{"country", en(country)}}})
}

// overwrite writes to the existing file, as a careless copy does.
func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// TestFollow changes the file in every way. Until the follower checks the file, the names are the old ones. After
// that, they are those of the new version, or the old ones and a log message.
func TestFollow(t *testing.T) {
	const before, after = "Utopia", "Atlantis"
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		want   string
		log    string // part of the log message; "" if there is none
	}{
		{"nothing", func(*testing.T, string) {}, before, ""},
		{"touched", func(t *testing.T, path string) { must(t, os.Chtimes(path, time.Time{}, time.Now())) }, before, "was loaded"},
		{"truncated to nothing", func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, before, "refused"},
		{"cut in half", func(t *testing.T, path string) { must(t, os.Truncate(path, 300)) }, before, "refused"},
		{"overwritten with garbage", func(t *testing.T, path string) { overwrite(t, path, bytes.Repeat([]byte{0xa5}, 4096)) }, before, "refused"},
		{"tree overwritten with garbage", func(t *testing.T, path string) { overwrite(t, path, bytes.Repeat([]byte{0xa5}, 99)) }, before, "an invalid pointer"},
		{"data overwritten with garbage", func(t *testing.T, path string) {
			overwrite(t, path, bytes.Replace(oneNet(before), []byte("country"), []byte("\x00\x00\x00\x00\x00\x00\x00"), 1))
		}, before, "refused"},
		{"overwritten with a new version", func(t *testing.T, path string) { overwrite(t, path, oneNet(after)) }, after, "was loaded"},
		{"its time put back", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			overwrite(t, path, bytes.ReplaceAll(oneNet(before), []byte(before), []byte("Erewho")))
			must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, "Erewho", "was loaded"},
		{"replaced by renaming", func(t *testing.T, path string) { must(t, os.Rename(write(t, "new", oneNet(after)), path)) }, after, "was loaded"},
		{"replaced by the wrong database", func(t *testing.T, path string) {
			must(t, os.Rename(write(t, "new", build("GeoLite2-ASN", asnNets)), path))
		}, before, "want a City or Country"},
		{"removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }, before, "no such file"},
		{"a directory", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }, before, "not a regular file"},
		{"a FIFO", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, syscall.Mkfifo(path, 0o600)) }, before, "not a regular file"},
		{"a link to it", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Symlink(write(t, "new", oneNet(after)), path))
		}, after, "was loaded"},
		{"a link to nothing", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Symlink("nothing", path)) }, before, "no such file"},
		{"a link to itself", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Symlink(path, path)) }, before, "too many levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "city", oneNet(before))
			d := open(t, path, "")
			var said bytes.Buffer
			f := newFollower(d.city, slog.New(slog.NewTextHandler(&said, nil)))
			a := netip.MustParseAddr("192.0.2.1")
			tt.change(t, path)
			if got := d.City(a); got != before {
				t.Errorf("at once: %s", got)
			}
			f.check()
			if got := d.City(a); got != before {
				t.Errorf("after the first check: %s", got)
			}
			for range retryAfter + 10 {
				f.check()
			}
			clear(d.city.cache[:]) // so that the database is asked
			if got := d.City(a); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if n := strings.Count(said.String(), "\n"); tt.log == "" && n > 0 || tt.log != "" && n != 1 || !strings.Contains(said.String(), tt.log) {
				t.Errorf("said %q, want %q, once", said.String(), tt.log)
			}
			// Whatever happened, a good version that comes later is loaded.
			os.Remove(path)
			must(t, os.Rename(write(t, "new", oneNet("Laputa")), path))
			f.check()
			f.check()
			if got := d.City(a); got != "Laputa" {
				t.Errorf("later: %s", got)
			}
		})
	}
}

// TestFollowWaits: a version is not loaded while it is being written, even if the written part is a database.
func TestFollowWaits(t *testing.T) {
	path := write(t, "city", oneNet("Utopia"))
	d := open(t, path, "")
	var said bytes.Buffer
	f := newFollower(d.city, slog.New(slog.NewTextHandler(&said, nil)))
	a := netip.MustParseAddr("192.0.2.1")
	for i := range slowAfter + 5 {
		if err := os.Rename(write(t, "new", oneNet("Atlantis")), path); err != nil {
			t.Fatal(err)
		}
		f.check()
		if got := d.City(a); got != "Utopia" {
			t.Fatalf("after %d changes: %s", i+1, got)
		}
	}
	if n := strings.Count(said.String(), "keeps changing"); n != 1 {
		t.Errorf("logged %d times that the file keeps changing: %s", n, &said)
	}
	f.check()
	if got := d.City(a); got != "Atlantis" {
		t.Errorf("at rest: %s", got)
	}
}

// TestFollowRuns: Follow checks once a second, and ends with its context.
func TestFollowRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		city, asn := write(t, "city", oneNet("Utopia")), write(t, "asn", build("GeoLite2-ASN", asnNets))
		d := open(t, city, asn)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Follow(ctx, slog.New(slog.DiscardHandler)); close(done) }()
		if err := os.Rename(write(t, "new", oneNet("Atlantis")), city); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*followEvery + 1)
		synctest.Wait()
		if got := d.City(netip.MustParseAddr("192.0.2.1")); got != "Atlantis" {
			t.Error(got)
		}
		cancel()
		<-done
	})
	(*DB)(nil).Follow(t.Context(), nil) // returns
}

// TestCopyPlaces: copies are in TMPDIR, or in memory if that is not possible, and nothing is left behind.
func TestCopyPlaces(t *testing.T) {
	dir := t.TempDir()
	for _, place := range []string{dir, filepath.Join(dir, "missing")} {
		t.Setenv("TMPDIR", place)
		path := filepath.Join(dir, "city")
		if err := os.WriteFile(path, oneNet("Utopia"), 0o600); err != nil {
			t.Fatal(err)
		}
		d := open(t, path, "")
		overwrite(t, path, make([]byte, 4096))
		if got := d.City(netip.MustParseAddr("192.0.2.1")); got != "Utopia" {
			t.Errorf("copy in %s: %s", place, got)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Errorf("left behind: %v, %v", files, err)
		}
	}
}
