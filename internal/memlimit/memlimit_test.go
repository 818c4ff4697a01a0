package memlimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// world is a program of which each step frees some memory.
type world struct {
	need, frees int64
	parts       int // how often the second step has something to shed
	collected   int
	log         bytes.Buffer
	did         []string
}

func (w *world) step(name string, parts *int) Step {
	return Step{Name: name, Shed: func() bool {
		w.did = append(w.did, "shed "+name)
		w.need -= w.frees
		if parts == nil {
			return false
		}
		*parts--
		return *parts > 0
	}, Restore: func() { w.did = append(w.did, "restore "+name) }}
}

// newWorld makes a guard with a limit of 1000 bytes.
func newWorld(t *testing.T) (*world, *Guard) {
	t.Helper()
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	w := &world{frees: 50, parts: 2}
	g := New(Config{
		Advice: "raise the limit",
		Limit:  Limit{1000, fromRuntime}, Steps: []Step{w.step("a", nil), w.step("b", &w.parts), w.step("c", nil)},
		Log:  slog.New(slog.NewTextHandler(&w.log, nil)),
		Read: func() int64 { return w.need }, Collect: func() { w.collected++ },
	})
	return w, g
}

// TestSheds: steps are taken in order, only as many as are necessary, each with all its parts, and are taken back in reverse.
func TestSheds(t *testing.T) {
	w, g := newWorld(t)
	now := time.Unix(0, 0)
	look := func(after time.Duration, need int64, want ...string) {
		t.Helper()
		w.did = nil
		now = now.Add(after)
		w.need = need
		g.look(now)
		if fmt.Sprint(w.did) != fmt.Sprint(want) {
			t.Errorf("at %v with %d: %q, want %q", now.Sub(time.Unix(0, 0)), need, w.did, want)
		}
	}
	look(interval, 750)
	look(interval, 751, "shed a")
	look(interval, 790, "shed b")
	look(interval, 820, "shed b", "shed c")
	if s := g.State(); s.Needed != 720 || s.Sheds != 4 || strings.Join(s.Shed, ",") != "a,b,c" || w.collected != 4 {
		t.Errorf("%+v, collected %d times", s, w.collected)
	}
	look(interval, 900)
	look(interval, 900)
	if n := strings.Count(w.log.String(), "nothing is left to shed"); n != 1 {
		t.Errorf("said %d times that nothing is left:\n%s", n, &w.log)
	}
	look(interval, 400)
	look(firstHold-interval, 400)
	look(interval, 501) // not calm
	look(interval, 500)
	look(firstHold, 500, "restore c")
	look(firstHold-1, 500)
	look(1, 500, "restore b")
	w.parts = 2
	look(firstHold/2, 800, "shed b") // soon after it was taken back: wait twice as long
	look(interval, 400)
	look(2*firstHold-1, 400)
	look(1, 400, "restore b")
	look(2*firstHold, 400, "restore a")
	look(10*firstHold, 400)
	if s := g.State(); len(s.Shed) != 0 || s.Needed != 400 || s.Limit != 1000 {
		t.Errorf("%+v", s)
	}
}

// TestNeeded: garbage does not count, and what is alive does.
func TestNeeded(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory()
	before := needed()
	alive := make([]byte, size)
	debug.FreeOSMemory()
	with := needed()
	alive[0] = 1
	alive = nil
	debug.FreeOSMemory()
	if after := needed(); before <= 0 || with-before < size*9/10 || after-before > size/10 {
		t.Errorf("%d, with %d more %d, then %d", before, size, with, after)
	}
}

// TestCollectorLimit: the collector works harder before the guard's limit is reached.
func TestCollectorLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	New(Config{Limit: Limit{1_000_000_000_000, fromOption}})
	if got := debug.SetMemoryLimit(-1); got != 900_000_000_000 {
		t.Errorf("the collector's limit is %d", got)
	}
}

// TestFind: an option comes before the environment, and this before the cgroup, of which the least limit above the process
// counts.
func TestFind(t *testing.T) {
	const v1 = "34 30 0:30 / /sys/fs/cgroup/memory rw,relatime shared:1 - cgroup cgroup rw,memory\n"
	const v2 = "35 30 0:31 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
	const part = "36 30 0:31 /pods/x /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
	for _, c := range []struct {
		name          string
		given         int64
		runtime       int64
		cgroup, mount string
		files         map[string]string
		want          Limit
	}{
		{"nothing", 0, math.MaxInt64, "", "", nil, Limit{}},
		{"off", -1, 5000, "0::/a\n", v2, map[string]string{"sys/fs/cgroup/a/memory.max": "1000"}, Limit{}},
		{"option", 7000, 5000, "", "", nil, Limit{7000, "--memory-limit"}},
		{"environment", 0, 5000, "0::/a\n", v2, map[string]string{"sys/fs/cgroup/a/memory.max": "1000"}, Limit{5000, "GOMEMLIMIT"}},
		{"version 2", 0, math.MaxInt64, "0::/a/b\n", v2, map[string]string{"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, Limit{900, "cgroup"}},
		{"no limit", 0, math.MaxInt64, "0::/a\n", v2, map[string]string{"sys/fs/cgroup/a/memory.max": "max\n"}, Limit{}},
		{"container", 0, math.MaxInt64, "0::/pods/x/y\n", part, map[string]string{"sys/fs/cgroup/y/memory.max": "3000", "sys/fs/cgroup/memory.max": "2000"}, Limit{1800, "cgroup"}},
		{"own namespace", 0, math.MaxInt64, "0::/\n", v2, map[string]string{"sys/fs/cgroup/memory.max": "2000"}, Limit{1800, "cgroup"}},
		{"version 1", 0, math.MaxInt64, "9:cpu:/z\n8:memory,hugetlb:/a\n", v1, map[string]string{"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, Limit{3600, "cgroup"}},
		{"version 1 without a limit", 0, math.MaxInt64, "8:memory:/a\n", v1, map[string]string{"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, Limit{}},
		{"both", 0, math.MaxInt64, "8:memory:/a\n0::/b\n", v1 + strings.Replace(v2, "/sys/fs/cgroup ", "/sys/fs/cgroup/unified ", 1), map[string]string{"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000\n"}, Limit{3600, "cgroup"}},
		{"damaged", 0, math.MaxInt64, "x\n0::\n8:memory\n", "\n-\n - cgroup2\n", nil, Limit{}},
	} {
		root := t.TempDir()
		files := map[string]string{"proc/self/cgroup": c.cgroup, "proc/self/mountinfo": c.mount}
		for name, text := range c.files {
			files[name] = text
		}
		for name, text := range files {
			name = filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := find(c.given, c.runtime, root); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
