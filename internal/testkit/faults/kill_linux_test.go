package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/internal/testkit"
)

// TestKill kills an agent at random moments. With --state-sync, the next run has all that was written, which is not older than
// the time that the agent gave, and nothing twice. It says from when on counts are lost.
func TestKill(t *testing.T) {
	t.Parallel()
	dir, kills := t.TempDir(), 3
	if long {
		kills = 100
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	before := 0 // packets of the runs before
	for run := range kills {
		p := startWithState(t, dir, "--periods", "60")
		if a := p.app(t); run > 0 && !a.State.Crashed || run == 0 && a.State.Crashed {
			t.Errorf("run %d: %+v", run, a.State)
		}
		if got := p.packets(t, 60); got < before {
			t.Errorf("run %d: %d packets, and %d were written before", run, got, before)
		}
		time.Sleep(time.Duration(rng.IntN(1100)) * time.Millisecond) // any moment, also within a write
		kept := p.packets(t, 60)
		written := time.Now().Unix()
		testkit.Eventually(t, "it is written", func() bool { return p.app(t).State.Synced > written })
		most := p.packets(t, 60)
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		p.kill(t)
		killed := time.Now()
		next := startAgent(t, "--state-dir", dir, "--periods", "60")
		a := next.app(t).State
		if !a.Crashed || a.LostFrom < written-60 || a.LostFrom > killed.Unix() || !strings.Contains(next.Log.String(), "the last run did not end by itself") {
			t.Errorf("run %d, written at %d, killed at %d: %+v", run, written, killed.Unix(), a)
		}
		left := inDirectory(t, dir)
		slack := int(2*time.Since(killed).Seconds()+3) * rate // what came after the last answer
		if left < kept || left > most+slack {
			t.Errorf("run %d: %d packets are left, %d were written, at most %d were counted", run, left, kept, most+slack)
		}
		next.kill(t)
		before = left
	}
	p := startAgent(t, "--state-dir", dir)
	p.stops(t)
	if p = startAgent(t, "--state-dir", dir); p.app(t).State.Crashed || strings.Contains(p.Log.String(), "did not end by itself") {
		t.Errorf("a run that ended by itself counts as a crash: %s", &p.Log)
	}
}

// TestForeignState: an agent starts on a directory with all kinds of files that are not its own, or not of this version, says what
// it cannot read, and leaves alone what it does not know.
func TestForeignState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startWithState(t, dir)
	p.stops(t)
	own, err := filepath.Glob(filepath.Join(dir, "*.pktvsnap"))
	if err != nil || len(own) == 0 {
		t.Fatal(own, err)
	}
	data, err := os.ReadFile(own[0])
	if err != nil {
		t.Fatal(err)
	}
	newer := append([]byte{}, data...)
	newer[8]++ // the version
	last := time.Now().Unix() / 60 * 60
	minute := func(ago int64) string { return fmt.Sprintf("%d.pktvsnap", last-60*ago) }
	files := map[string][]byte{
		"README": []byte("mine"), ".hidden": nil, "notes.pktvsnap": []byte("x"), "core": make([]byte, 1<<20),
		minute(10): data[:len(data)/2], minute(11): newer, minute(12): []byte("not a snapshot"), minute(13): nil,
		minute(14) + ".tmp": data[:10],
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do(t, "mkfifo", filepath.Join(dir, minute(15)))
	do(t, "mkdir", filepath.Join(dir, minute(16)))
	do(t, "ln", "-s", "/dev/zero", filepath.Join(dir, minute(17)))

	p = startWithState(t, dir, "--periods", "60")
	log := p.Log.String()
	for text, n := range map[string]int{
		"damaged bucket set aside": 3, "bucket not restored": 4, "newer format": 1, "is a directory": 1, "buckets of the last run restored": 1,
	} {
		if got := strings.Count(log, text); got != n {
			t.Errorf("%d times %q, want %d:\n%s", got, text, n, log)
		}
	}
	// The sandbox does not let the agent look at what the link leads to.
	if n := strings.Count(log, "not a regular file") + strings.Count(log, "permission denied"); n != 3 {
		t.Errorf("%d files are not regular, want 3:\n%s", n, log)
	}
	for _, name := range []string{"README", ".hidden", "notes.pktvsnap", "core", minute(11), minute(15), minute(16), minute(17), minute(10) + ".damaged"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	p.stops(t)
}
