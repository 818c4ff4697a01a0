package faults

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
)

// A clock gives a program its own wall clock. Namespaces cannot: a time namespace shifts only the monotonic clocks.
//
// The program is the real one except for one string: it no longer finds the function of the vDSO that reads the clocks, and makes a
// system call instead, as on machines that have no vDSO. A seccomp filter hands those for the wall clock to the test
// (seccomp_unotify(2)), which answers with its own time. The monotonic clock is the kernel's: as in reality, it does not step
// when the wall clock does.
type clock struct{ offset atomic.Int64 }

// step sets the clock forward, or back.
func (c *clock) step(by time.Duration) { c.offset.Add(int64(by)) }

// now returns the time of the clock.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// clockSocket, in the environment, says that the test's binary is to put a program under a clock. Its value is the number of the
// socket over which the test gets the listener of the filter.
const clockSocket = "PKTVISOR_FAULTS_CLOCK"

// The kernel's structures (linux/seccomp.h).
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr, arch   uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// withoutVDSO returns the path of a copy of a program that makes system calls to read the clocks.
var withoutVDSO = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile(filepath.Join(binaries, "pktvisord"))
	if err != nil {
		return "", err
	}
	found := 0
	for _, name := range []string{"__vdso_clock_gettime", "__kernel_clock_gettime"} {
		found += bytes.Count(b, []byte(name))
		b = bytes.ReplaceAll(b, []byte(name), bytes.ReplaceAll([]byte(name), []byte("clock"), []byte("CLOCK")))
	}
	if found == 0 {
		return "", errors.New("the program does not look for the clocks of the vDSO")
	}
	path := filepath.Join(binaries, "pktvisord-without-vdso")
	return path, os.WriteFile(path, b, 0o700)
})

// startWithClock starts an agent under a clock that is ahead of the real one.
func startWithClock(t *testing.T, ahead time.Duration, env []string, args ...string) (program, *clock) {
	t.Helper()
	path, err := withoutVDSO()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := new(clock)
	c.step(ahead)
	cmd := exec.Command(exe, append([]string{path}, agentArgs(args...)...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(append(os.Environ(), clockSocket+"=3"), env...)
	failed := make(chan error, 1)
	go func() { failed <- c.serve(ours) }()
	p := program{testkit.Start(t, cmd)}
	t.Cleanup(func() {
		p.Cmd.Process.Kill()
		<-p.Exited
		if err := <-failed; err != nil {
			t.Errorf("clock: %v", err)
		}
	})
	return p, c
}

// runWithClock replaces this process by a program under a clock. It returns only if that fails.
func runWithClock(command []string) error {
	runtime.LockOSThread()     // the filter is that of the thread
	read := []unix.SockFilter{ // struct seccomp_data: nr at 0, args[0] at 16
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLOCK_GETTIME, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.CLOCK_REALTIME, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(read)), Filter: &read[0]}
	fd, err := installFilter(&filter)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return fmt.Errorf("send the listener: %w", err)
	}
	unix.CloseOnExec(3)
	unix.CloseOnExec(fd)
	return unix.Exec(command[0], command, os.Environ())
}

// serve answers the program until it has ended.
func (c *clock) serve(socket *os.File) error {
	conn, err := net.FileConn(socket)
	socket.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return fmt.Errorf("the program ended before it was under the clock: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	listener := fds[0]
	defer unix.Close(listener)
	var memory *os.File
	for {
		var n notification
		switch err := receive(listener, &n); {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT):
			if gone(listener) {
				return nil
			}
			continue
		case err != nil:
			return nil // the program has ended
		}
		if memory == nil {
			if memory, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", n.pid), os.O_WRONLY, 0); err != nil {
				return err
			}
			defer memory.Close()
		}
		now := c.now()
		at := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, uint64(now.Unix())), uint64(now.Nanosecond()))
		answer := response{id: n.id}
		if _, err := memory.WriteAt(at, int64(n.args[1])); err != nil {
			answer.err = -int32(syscall.EFAULT)
		}
		send(listener, &answer) // fails if the thread has ended
	}
}

// gone reports whether no process has the filter any more.
func gone(listener int) bool {
	fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	unix.Poll(fds, 0)
	return fds[0].Revents&unix.POLLHUP != 0
}
