//go:build sandboxtest && linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// triedThreads is how many threads try.
const triedThreads = 4

// tried are the places that a test prepares.
type tried struct {
	Readable string // a directory that can be read
	Writable string // a directory that can be written
	Outside  string // a directory with everything allowed to everybody, with a file called file
	Allowed  int    // a TCP port on 127.0.0.1 that listens and is allowed
	Other    int    // one that is not allowed
}

// tryInside tries what the sandbox must not allow, and what it must, on several threads at once. For each try, it prints a line
// with the thread, the name and the error.
func tryInside() {
	text := os.Getenv("PKTVISOR_TRY_INSIDE")
	if text == "" {
		return
	}
	var t tried
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	var here sync.WaitGroup // so that each has a thread of its own
	here.Add(triedThreads)
	for i := range triedThreads {
		all.Go(func() {
			runtime.LockOSThread()
			here.Done()
			here.Wait()
			t.tryAll(i)
		})
	}
	all.Wait()
}

func (t *tried) tryAll(thread int) {
	say := func(name string, err error) {
		text := "ok"
		if err != nil {
			text = err.Error()
		}
		if errno, ok := err.(syscall.Errno); ok {
			text = unix.ErrnoName(errno)
		}
		fmt.Fprintf(os.Stderr, "tried %d %s %s\n", thread, name, text)
	}
	own := strconv.Itoa(thread)
	open := func(flags int, parts ...string) error {
		fd, err := unix.Open(filepath.Join(parts...), flags|unix.O_CLOEXEC, 0o600)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	say("read-inside", open(unix.O_RDONLY, t.Readable, "file"))
	say("read-new-inside", open(unix.O_RDONLY, t.Readable, "file2"))
	say("write-readable", open(unix.O_WRONLY, t.Readable, "file"))
	say("create-readable", open(unix.O_WRONLY|unix.O_CREAT, t.Readable, "new"+own))
	say("create-writable", open(unix.O_WRONLY|unix.O_CREAT, t.Writable, "new"+own))
	say("remove-writable", unix.Unlink(filepath.Join(t.Writable, "new"+own)))
	say("read-outside", open(unix.O_RDONLY, t.Outside, "file"))
	say("list-outside", open(unix.O_RDONLY|unix.O_DIRECTORY, t.Outside))
	say("write-outside", open(unix.O_WRONLY, t.Outside, "file"))
	say("create-outside", open(unix.O_WRONLY|unix.O_CREAT, t.Outside, "new"+own))
	say("mkdir-outside", unix.Mkdir(filepath.Join(t.Outside, "dir"+own), 0o700))
	say("remove-outside", unix.Unlink(filepath.Join(t.Outside, "file")))
	say("link-inside", unix.Link(filepath.Join(t.Outside, "file"), filepath.Join(t.Writable, "link"+own)))
	say("symlink", unix.Symlink(filepath.Join(t.Outside, "file"), filepath.Join(t.Writable, "link"+own)))
	say("read-shadow", open(unix.O_RDONLY, "/etc/shadow"))
	say("read-init", open(unix.O_RDONLY, "/proc/1/environ"))
	say("write-memory", open(unix.O_RDWR, "/proc/self/mem"))
	t.tryNetwork(say)
	trySystem(say)
}

func (t *tried) tryNetwork(say func(string, error)) {
	connect := func(protocol, port int) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())})
	}
	say("connect-allowed", connect(0, t.Allowed))
	say("connect-other", connect(0, t.Other))
	say("connect-mptcp", connect(262, t.Other))
	socket := func(family, kind, protocol int) (int, error) {
		return unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	}
	if fd, err := socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		say("bind", err)
	} else {
		say("bind", unix.Bind(fd, &unix.SockaddrInet4{}))
		unix.Close(fd)
	}
	for name, s := range map[string][3]int{
		"socket-packet": {unix.AF_PACKET, unix.SOCK_RAW, 0}, "socket-raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, "socket-unix": {unix.AF_UNIX, unix.SOCK_STREAM, 0},
		"socket-netfilter": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, "socket-route": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
		"socket-vsock": {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
	} {
		fd, err := socket(s[0], s[1], s[2])
		if err == nil {
			unix.Close(fd)
		}
		say(name, err)
	}
}

// trySystem makes calls that nothing in the program makes.
func trySystem(say func(string, error)) {
	call := func(name string, number uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			say(name, nil)
			return
		}
		say(name, errno)
	}
	say("exec", unix.Exec("/bin/true", []string{"true"}, nil))
	_, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
	say("fork", err)
	say("kill-parent", unix.Kill(os.Getppid(), 0))
	call("become-root", unix.SYS_SETUID)
	call("mount", unix.SYS_MOUNT)
	call("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	call("ptrace", unix.SYS_PTRACE, unix.PTRACE_TRACEME)
	call("load-bpf", unix.SYS_BPF, unix.BPF_PROG_LOAD)
	call("io_uring", unix.SYS_IO_URING_SETUP, 1)
	call("keyctl", unix.SYS_KEYCTL)
	call("memfd", unix.SYS_MEMFD_CREATE)
	call("handle", unix.SYS_OPEN_BY_HANDLE_AT)
	call("limit", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 1)
	call("executable-memory", unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0))
	call("push-input", unix.SYS_IOCTL, 0, unix.TIOCSTI)
	call("newer-kernel", 4000)
}
