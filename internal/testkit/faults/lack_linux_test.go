package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
)

// TestNoHandles: an agent that gets no more file handles counts on, and writes and answers again as soon as it gets them. The log
// does not grow with each attempt.
func TestNoHandles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startWithState(t, dir)
	limit := func(n int) {
		t.Helper()
		if err := unix.Prlimit(p.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: 4096}, nil); err != nil {
			t.Skipf("cannot limit the handles: %v", err)
		}
	}
	limit(3) // those that are open stay so
	p.sees(t, "live minute not written")
	limit(1024)
	p.synced(t)
	if s := p.app(t).State; s.Failed == 0 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(p.Log.String(), "\n"); n > 40 {
		t.Errorf("%d lines were logged:\n%s", n, &p.Log)
	}
	p.stops(t)
	p.keptAll(t, dir)
}

// memoryGroup makes a cgroup with a limit of memory, of either version. It returns the file that takes processes.
func memoryGroup(t *testing.T, bytes int) string {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("pktvisor-faults-%d", os.Getpid())
	var last error
	for _, version := range []struct{ dir, file, swap string }{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
	} {
		dir := filepath.Join(version.dir, name)
		if last = os.Mkdir(dir, 0o755); last != nil {
			continue
		}
		t.Cleanup(func() {
			testkit.Eventually(t, "the cgroup is removed", func() bool { return os.Remove(dir) == nil })
		})
		if _, last = os.Stat(filepath.Join(dir, version.file)); last != nil {
			continue // not a cgroup's file system, or without this controller
		}
		if last = os.WriteFile(filepath.Join(dir, version.file), []byte(strconv.Itoa(bytes)), 0); last == nil {
			swap := "0"
			if version.swap == "memory.memsw.limit_in_bytes" {
				swap = strconv.Itoa(bytes)
			}
			os.WriteFile(filepath.Join(dir, version.swap), []byte(swap), 0) // there may be no swap
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	t.Skipf("cannot limit memory: %v", last)
	return ""
}

// TestMemoryLimit: in a cgroup in which the kernel would kill it, an agent under a flood of names, with readers that ask for whole
// tables, finds the limit, sheds, says so, and lives.
func TestMemoryLimit(t *testing.T) {
	if !long {
		t.Skip("this test loads all cores: run make faults")
	}
	procs := memoryGroup(t, 60<<20)
	path := filepath.Join(t.TempDir(), "flood.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := testkit.Generate(f, testkit.TrafficConfig{Packets: 200_000, DNSShare: 1, RandomLabelShare: 1, DistinctSources: true, IPv6Share: 0.5}); err != nil {
		t.Fatal(err)
	}
	flood := func(args ...string) program {
		args = append([]string{"-c", `echo $$ > "$0" && exec "$@"`, procs, filepath.Join(binaries, "pktvisord"),
			"-l", "127.0.0.1", "-p", "0", "--replay", "--replay-speed", "0", "--shards", "1", "-H", testkit.HostSpec}, args...)
		return program{testkit.Start(t, exec.Command("sh", append(args, path)...))}
	}
	// read asks for whole tables until the program has ended, or until enough.
	read := func(p program, enough func() bool) {
		var readers sync.WaitGroup
		for i := range 6 {
			readers.Go(func() {
				for n := 0; !enough(); n++ {
					select {
					case <-p.Exited:
						return
					default:
						p.try(fmt.Sprintf("/api/v1/metrics/window/%d?rows=%d", i%5+1, 8000+n%192))
					}
				}
			})
		}
		readers.Wait()
	}

	p := flood("--memory-limit", "off") // to show that there is something to be saved from
	read(p, func() bool { return false })
	if p.Cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("the kernel does not kill it: %v", p.Cmd.ProcessState)
	}
	p = flood()
	if limit := fmt.Sprintf("limit=%d from=cgroup", 60<<20*9/10); !strings.Contains(p.Log.String(), limit) {
		t.Errorf("the log does not have %s", limit)
	}
	read(p, func() bool {
		return strings.Contains(p.Log.String(), "memory is short, shed: cached answers")
	})
	received := p.app(t).Sources[0].Received
	read(p, func() bool { return p.app(t).Sources[0].Received > received+400_000 })
	if m := p.app(t).Memory; m.Limit != 60<<20*9/10 || m.Sheds == 0 || len(m.Shed) == 0 || m.Shed[0] != "cached answers" || m.Needed > m.Limit {
		t.Errorf("%+v", m)
	}
	p.stops(t)
}
