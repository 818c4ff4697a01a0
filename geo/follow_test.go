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

// oneNet is a database that calls 192.0.2.0/25 by one country's name.
func oneNet(country string) []byte {
	return build("GeoLite2-City", []network6{{"192.0.2.0/25", pairs{"country", en(country)}}})
}

// overwrite writes to the file as it is, as a careless copy does.
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

// TestFollow does to the file what can be done to it. Until it is looked at, the names are the old ones; after that,
// those of the new version, or the old ones and a word about it.
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
		log    string // what is said, in part; "" for nothing
	}{
		{"nothing", func(*testing.T, string) {}, before, ""},
		{"touched", func(t *testing.T, path string) { must(t, os.Chtimes(path, time.Time{}, time.Now())) }, before, "was loaded"},
		{"truncated to nothing", func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, before, "refused"},
		{"cut in half", func(t *testing.T, path string) { must(t, os.Truncate(path, 300)) }, before, "refused"},
		{"overwritten with garbage", func(t *testing.T, path string) { overwrite(t, path, bytes.Repeat([]byte{0xa5}, 4096)) }, before, "refused"},
		{"tree overwritten with garbage", func(t *testing.T, path string) { overwrite(t, path, bytes.Repeat([]byte{0xa5}, 99)) }, before, "points nowhere"},
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
			f.look()
			if got := d.City(a); got != before {
				t.Errorf("after the first look: %s", got)
			}
			for range retryAfter + 10 {
				f.look()
			}
			clear(d.city.cache[:]) // ask the database
			if got := d.City(a); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if n := strings.Count(said.String(), "\n"); tt.log == "" && n > 0 || tt.log != "" && n != 1 || !strings.Contains(said.String(), tt.log) {
				t.Errorf("said %q, want %q, once", said.String(), tt.log)
			}
			// Whatever it was, a good version that comes later is loaded.
			os.Remove(path)
			must(t, os.Rename(write(t, "new", oneNet("Laputa")), path))
			f.look()
			f.look()
			if got := d.City(a); got != "Laputa" {
				t.Errorf("later: %s", got)
			}
		})
	}
}

// A version is not loaded while it is being written, though what is there already is one.
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
		f.look()
		if got := d.City(a); got != "Utopia" {
			t.Fatalf("after %d changes: %s", i+1, got)
		}
	}
	if n := strings.Count(said.String(), "all the time"); n != 1 {
		t.Errorf("said %d times that it changes: %s", n, &said)
	}
	f.look()
	if got := d.City(a); got != "Atlantis" {
		t.Errorf("at rest: %s", got)
	}
}

// Follow looks once a second, and ends with its context.
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

// Copies lie in TMPDIR, and in memory where there is no place; nothing is left behind.
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
