package memlimit

import (
	"bufio"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Limit is a limit of memory in bytes, and what it is from. Bytes is 0 if there is none.
type Limit struct {
	Bytes int64
	From  string
}

const (
	fromOption  = "--memory-limit"
	fromRuntime = "GOMEMLIMIT"
	fromCgroup  = "cgroup"
)

// cgroupShare is the part of a cgroup's limit that is left for the program: the kernel's own memory for it counts there too.
const cgroupShare = 0.9

// Find returns the limit of the program: the given one, in bytes. If that is 0, it is that of the environment variable
// GOMEMLIMIT, and otherwise 90% of that of the program's cgroup or one above it, of either version. If it is negative, there is
// no limit.
func Find(given int64) Limit { return find(given, debug.SetMemoryLimit(-1), "/") }

func find(given, runtime int64, root string) Limit {
	switch {
	case given < 0:
		return Limit{}
	case given > 0:
		return Limit{given, fromOption}
	case runtime > 0 && runtime != math.MaxInt64:
		return Limit{runtime, fromRuntime}
	}
	if n := cgroupLimit(root); n > 0 {
		return Limit{int64(cgroupShare * float64(n)), fromCgroup}
	}
	return Limit{}
}

// noLimit is the least limit of a cgroup that means none: version 1 has the greatest number of pages.
const noLimit = 1 << 50

// cgroupLimit returns the least limit of the process's cgroup and those above it, or 0 if there is none. The formats are those of
// proc_pid_cgroup(5) and proc_pid_mountinfo(5).
func cgroupLimit(root string) int64 {
	least := int64(noLimit)
	for line := range lines(path.Join(root, "proc/self/cgroup")) {
		f := strings.SplitN(line, ":", 3) // number, controllers, path
		if len(f) < 3 {
			continue
		}
		kind, file := "cgroup2", "memory.max"
		if f[1] != "" {
			kind, file = "cgroup", "memory.limit_in_bytes"
			if !hasWord(f[1], "memory") {
				continue
			}
		}
		for line := range lines(path.Join(root, "proc/self/mountinfo")) {
			top, at, ok := cgroupMount(line, kind)
			if !ok {
				continue
			}
			// The mount may show only a part of the tree, such as that of a container.
			below := f[2]
			if top != "/" {
				below = strings.TrimPrefix(below, top)
			}
			for dir := path.Clean("/" + below); ; dir = path.Dir(dir) {
				text, err := os.ReadFile(path.Join(root, at, dir, file))
				if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && n > 0 {
					least = min(least, n)
				}
				if dir == "/" {
					break
				}
			}
		}
	}
	if least == noLimit {
		return 0
	}
	return least
}

// cgroupMount reads a line of mountinfo. ok is false if it is not that of a cgroup's file system of the kind.
func cgroupMount(line, kind string) (top, at string, ok bool) {
	mount, fs, _ := strings.Cut(line, " - ")
	f, g := strings.Fields(mount), strings.Fields(fs)
	if len(f) < 5 || len(g) < 3 || g[0] != kind || kind == "cgroup" && !hasWord(g[2], "memory") {
		return "", "", false
	}
	return f[3], f[4], true
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// lines yields the lines of a file, or none if it cannot be read.
func lines(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		f, err := os.Open(name)
		if err != nil {
			return
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if !yield(s.Text()) {
				return
			}
		}
	}
}
