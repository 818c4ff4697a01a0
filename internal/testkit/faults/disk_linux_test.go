package faults

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
)

// mount mounts a file system in a directory of the test.
func mount(t *testing.T, args ...string) (at string) {
	t.Helper()
	at = filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", append(args, at)...).CombinedOutput(); err != nil {
		t.Skipf("this test needs to mount a file system: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", at).Run() })
	return at
}

// disk makes and mounts a file system of 16 MiB on a block device. It returns the name of the device, such as loop0.
func disk(t *testing.T) (at, device string) {
	t.Helper()
	needRoot(t, "mkfs.ext4", "losetup")
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	do(t, "mkfs.ext4", "-q", "-F", image)
	at = mount(t, "-o", "loop,errors=remount-ro", image)
	out, err := exec.Command("losetup", "-j", image, "-O", "NAME", "-n").Output()
	if err != nil {
		t.Fatal(err)
	}
	return at, filepath.Base(string(bytes.TrimSpace(out)))
}

// fill leaves no space on the disk of a file.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

// fails waits until the agent says that it cannot write, and why.
func (p program) fails(t *testing.T, why string) {
	t.Helper()
	testkit.Eventually(t, "writes fail: "+why, func() bool {
		s := p.app(t).State
		return s.Failed > 0 && strings.Contains(s.Error, why)
	})
	p.counts(t)
}

// TestDiskFull: while the disk is full, the agent counts and says so. When there is space, it writes everything: nothing is lost.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	needRoot(t)
	at := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	dir := filepath.Join(at, "state")
	p := startWithState(t, dir)
	full := filepath.Join(at, "full")
	fill(t, full)
	p.fails(t, "no space left on device")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	p.synced(t)
	if s := p.app(t).State; s.Error != "" || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	p.stops(t)
	p.keptAll(t, dir)
}

// TestDiskFullAtStart: an agent whose directory cannot even be made starts, and writes when it can.
func TestDiskFullAtStart(t *testing.T) {
	t.Parallel()
	needRoot(t)
	at := mount(t, "-t", "tmpfs", "-o", "size=1m,nr_inodes=1", "tmpfs")
	dir := filepath.Join(at, "state")
	p := startAgent(t, "--state-dir", dir, "--state-sync")
	p.sees(t, "nothing can be written for now")
	p.fails(t, "no space left on device")
	do(t, "mount", "-o", "remount,nr_inodes=1000", at)
	p.synced(t)
	p.stops(t)
	p.keptAll(t, dir)
}

// TestReadOnly: a file system that an error has made read-only does not end the agent, and an agent that starts on it reads the
// minutes that are there, and counts.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	at, device := disk(t)
	dir := filepath.Join(at, "state")
	p := startWithState(t, dir)
	if err := os.WriteFile("/sys/fs/ext4/"+device+"/trigger_fs_error", []byte("1"), 0); err != nil {
		t.Skipf("cannot break the file system: %v", err)
	}
	p.fails(t, "read-only file system")
	p.kill(t)
	next := startAgent(t, "--state-dir", dir, "--state-sync")
	next.sees(t, "nothing can be written for now")
	next.sees(t, "buckets of the last run restored")
	next.fails(t, "read-only file system")
	next.stops(t)
	next.sees(t, "buckets not written")
}

// The requests that stop and continue a file system (linux/fs.h).
const fiFreeze, fiThaw = 0xc0045877, 0xc0045878

// TestDiskStuck: while the disk does not answer, the agent counts and answers. A signal ends it, though not in silence.
func TestDiskStuck(t *testing.T) {
	t.Parallel()
	at, _ := disk(t)
	dir := filepath.Join(at, "state")
	p := startWithState(t, dir)
	f, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	freeze := func(on bool) {
		request := uint(fiFreeze)
		if !on {
			request = fiThaw
		}
		if err := unix.IoctlSetInt(int(f.Fd()), request, 0); err != nil && on {
			t.Fatal(err)
		}
	}
	freeze(true)
	defer freeze(false)
	before := p.app(t).State.Synced
	for range 3 {
		p.counts(t)
	}
	freeze(false)
	testkit.Eventually(t, "the disk answers, and the minute is written", func() bool { return p.app(t).State.Synced > before+1 })

	freeze(true)
	p.counts(t)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.sees(t, "did not end within 10s after a signal")
	freeze(false) // until then, the kernel does not let go of the thread that waits for the disk
	select {
	case <-p.Exited:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if next := startAgent(t, "--state-dir", dir); !next.app(t).State.Crashed {
		t.Error("the next run does not say that minutes may be lost")
	}
}
