//go:build amd64 || arm64 || riscv64 || loong64

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// always are the system calls that every program of ours and Go's runtime make at any time, the most frequent first. Calls whose
// arguments are looked at are in [plan.checked].
var always = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PPOLL, unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD,
	unix.SYS_GETRUSAGE, unix.SYS_MADVISE, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE, unix.SYS_OPENAT, unix.SYS_FSTAT,
	unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_LSEEK, unix.SYS_FCNTL, unix.SYS_GETDENTS64, unix.SYS_READLINKAT, unix.SYS_GETCWD,
	unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_FADVISE64,
	// Files are written and removed where Landlock and the permissions allow it.
	unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_MKDIRAT, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC,
	unix.SYS_FLOCK, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT,
	// Memory, threads, signals and clocks.
	unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK, unix.SYS_MEMBARRIER, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_GETCPU,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
	unix.SYS_GETGROUPS, unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_CAPGET,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	// Waiting, pipes and copies between files.
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT2, unix.SYS_PSELECT6, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_DUP, unix.SYS_DUP3,
	unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_COPY_FILE_RANGE,
}

// sockets are the calls for sockets, except for socket itself. In file mode there are none.
var sockets = []uint32{
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT,
}

// ioctls are the requests of ioctl: what a terminal is, how much waits to be read, and the state of interfaces.
var ioctls = []uint32{
	unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCINQ, unix.SIOCGIFNAME, unix.SIOCGIFFLAGS, unix.SIOCGIFINDEX, unix.SIOCGIFHWADDR, unix.SIOCETHTOOL,
}

// prctls are the options of prctl: the names of threads, and of memory for people who look at it.
var prctls = []uint32{unix.PR_SET_VMA, unix.PR_SET_NAME, unix.PR_GET_NAME}

// bpfCommands change maps that are open. Nothing can be loaded.
var bpfCommands = []uint32{unix.BPF_MAP_LOOKUP_ELEM, unix.BPF_MAP_UPDATE_ELEM, unix.BPF_MAP_DELETE_ELEM}

// firstUnknown is the number of the first system call that x/sys did not know when the lists were written. Programs expect
// ENOSYS from a kernel that does not have a call, and then do without it.
const firstUnknown = 472

var (
	allowed = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	refused = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	unknown = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
)

const (
	x32       = 1 << 30 // on amd64, the bit of calls of another ABI
	offNumber = 0       // in struct seccomp_data
	offArch   = 4
	offArgs   = 16
	typeMask  = 0xf // of the type of a socket; the other bits are flags
)

// filter is a program of seccomp, in parts.
type filter struct{ out []bpf.Instruction }

// load loads the lower 32 bits of an argument. The kernel looks at no more of those that are checked here.
func load(arg int) bpf.Instruction { return bpf.LoadAbsolute{Off: uint32(offArgs + 8*arg), Size: 4} }

// loadHigh loads the upper 32 bits.
func loadHigh(arg int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(offArgs + 8*arg + 4), Size: 4}
}

// equal ends the filter if the loaded value is one of the values.
func equal(end bpf.RetConstant, values ...uint32) (out []bpf.Instruction) {
	for _, v := range values {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, end)
	}
	return out
}

// call adds what to do for one call. The loaded value is its number. If the instructions do not end the filter, the call is
// refused.
func (f *filter) call(number uint32, then ...bpf.Instruction) {
	then = append(then, refused)
	f.out = append(f.out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: number, SkipFalse: uint8(len(then))})
	f.out = append(f.out, then...)
}

// program returns the filter for what is needed.
func (p *plan) program() *filter {
	f := new(filter)
	// Another architecture's calls have other numbers.
	f.out = append(f.out, bpf.LoadAbsolute{Off: offArch, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1}, refused,
		bpf.LoadAbsolute{Off: offNumber, Size: 4})
	f.out = append(f.out, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1}, refused,
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstUnknown, SkipTrue: 1}, unknown)
	f.out = append(f.out, equal(allowed, slices.Concat(always, ofArch)...)...)
	if p.needs.Network {
		f.out = append(f.out, equal(allowed, sockets...)...)
	}
	p.checked(f)
	f.out = append(f.out, refused)
	return f
}

// checked adds the calls whose arguments are looked at.
func (p *plan) checked(f *filter) {
	// New memory cannot be executed.
	noExec := []bpf.Instruction{load(2), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: unix.PROT_EXEC, SkipTrue: 1}, allowed}
	f.call(unix.SYS_MMAP, noExec...)
	f.call(unix.SYS_MPROTECT, noExec...)
	// A thread, but no process. glibc tries clone3 first, whose flags are in memory, and does without it.
	f.call(unix.SYS_CLONE, load(0), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: unix.CLONE_THREAD, SkipFalse: 1}, allowed)
	f.call(unix.SYS_CLONE3, unknown)
	// Signals to the threads of this process. Go interrupts them for the collection of garbage.
	f.call(unix.SYS_TGKILL, append([]bpf.Instruction{load(0)}, equal(allowed, uint32(os.Getpid()))...)...)
	f.call(unix.SYS_IOCTL, append([]bpf.Instruction{load(1)}, equal(allowed, ioctls...)...)...)
	f.call(unix.SYS_PRCTL, append([]bpf.Instruction{load(0)}, equal(allowed, prctls...)...)...)
	// Limits are read, not set.
	f.call(unix.SYS_PRLIMIT64, load(2), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 3}, loadHigh(2), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1}, allowed)
	if p.needs.Capture {
		f.call(unix.SYS_BPF, append([]bpf.Instruction{load(0)}, equal(allowed, bpfCommands...)...)...)
	}
	if p.needs.Network {
		f.call(unix.SYS_SOCKET, p.families()...)
	}
}

// families allows TCP and UDP sockets, those for the list of interfaces, and packet sockets. It forbids raw IP sockets, and
// Multipath TCP, which Landlock does not confine.
func (p *plan) families() (out []bpf.Instruction) {
	out = append(out, load(0))
	if p.needs.Capture {
		out = append(out, equal(allowed, unix.AF_PACKET)...)
	}
	if os.Getenv("NOTIFY_SOCKET") != "" { // systemd's, for what a service tells it
		out = append(out, equal(allowed, unix.AF_UNIX)...)
	}
	protocol := append([]bpf.Instruction{load(2)}, equal(allowed, 0, unix.IPPROTO_TCP, unix.IPPROTO_UDP)...)
	ip := []bpf.Instruction{load(1), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: typeMask},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_STREAM, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_DGRAM, SkipFalse: uint8(len(protocol))}}
	ip = append(append(ip, protocol...), refused)
	netlink := append([]bpf.Instruction{load(2)}, equal(allowed, unix.NETLINK_ROUTE)...)
	out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET6, SkipFalse: uint8(len(ip))})
	out = append(out, ip...)
	out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_NETLINK, SkipFalse: uint8(len(netlink) + 1)})
	return append(append(out, netlink...), refused)
}

// seccomp confines the system calls of all threads.
func (p *plan) seccomp() error {
	raw, err := bpf.Assemble(p.program().out)
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	program := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		program[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	// Refused calls are logged. A filter shall not make the processor slower: before Linux 5.16 it switches off a part of
	// speculative execution without SPEC_ALLOW.
	err = setFilter(program, unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_LOG|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	if errors.Is(err, unix.EINVAL) { // before Linux 4.17
		err = setFilter(program, unix.SECCOMP_FILTER_FLAG_TSYNC)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return errors.New("the kernel has none")
	}
	return err
}
