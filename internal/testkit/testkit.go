// Package testkit is what the tests and benchmarks of the other packages share: packets and capture files made by
// hand, a traffic generator that knows the exact answers about its traffic, golden files, leak checks, and the
// comparison of a summary with what other programs say about the same capture.
//
// It imports no other package of this module, so that it can check all of them and their tests can import it.
//
// The generator ([Generate]) streams: it holds the packets in flight and the counts, never the whole capture. The
// same [TrafficConfig] always gives the same bytes and the same [Truth].
//
// Functions that take a [testing.TB] end the test on failure, so there is no error to check. Nothing here is safe for
// concurrent use unless it says so.
package testkit

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// RepoRoot returns the directory that holds the module's go.mod.
func RepoRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

// Corpus returns the folder of captures that other projects made, ../shared/corpus beside the repository. It skips
// the test if there is no such folder.
func Corpus(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(RepoRoot(tb), "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		tb.Skip("no corpus beside the repository (../shared/corpus)")
	}
	return dir
}

// Captures returns the folder of the project's own captures, testdata/captures.
func Captures(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(RepoRoot(tb), "testdata", "captures")
}

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// Golden compares got with the file at path, relative to the test's package, and fails with a line by line
// difference. With -update it writes the file instead.
func Golden(tb testing.TB, path string, got []byte) {
	tb.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("%v (run with -update to make it)", err)
	}
	if bytes.Equal(want, got) {
		return
	}
	diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n"))
	tb.Errorf("%s differs (-want +got; run with -update to accept):\n%s", path, diff)
}

// NoAllocs fails the test if f allocates, on average over runs calls after a first call that is not counted. Under
// the race detector, which allocates itself, it only runs f.
func NoAllocs(tb testing.TB, what string, runs int, f func()) {
	tb.Helper()
	if RaceEnabled {
		f()
		return
	}
	if n := testing.AllocsPerRun(runs, f); n != 0 {
		tb.Errorf("%s: %v allocations a call, want 0", what, n)
	}
}

// NoLeaks fails the test if goroutines that did not run when NoLeaks was called still run at the test's end. It waits
// about two seconds for goroutines that are ending. Do not use it in parallel tests.
func NoLeaks(tb testing.TB) {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		var err error
		for range 5 { // each waits for 0.4 s
			if err = goleak.Find(before); err == nil {
				return
			}
		}
		tb.Errorf("%v", err)
	})
}
