//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package sandbox

import (
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter for a call.
func verdict(t *testing.T, n Needs, arch, number uint32, args ...uint64) int {
	t.Helper()
	program := (&plan{needs: n}).program().out
	if raw, err := bpf.Assemble(program); err != nil || len(raw) > 4096 {
		t.Fatalf("%d instructions: %v", len(raw), err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	// The machine reads numbers in network order, and the kernel in its own.
	data := binary.BigEndian.AppendUint32(nil, number)
	data = binary.BigEndian.AppendUint32(data, arch)
	data = append(data, make([]byte, 8)...)
	for i := range 6 {
		var a uint64
		if i < len(args) {
			a = args[i]
		}
		data = binary.BigEndian.AppendUint32(data, uint32(a))
		data = binary.BigEndian.AppendUint32(data, uint32(a>>32))
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFilter(t *testing.T) {
	allow, eperm, enosys := unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO|int(unix.EPERM), unix.SECCOMP_RET_ERRNO|int(unix.ENOSYS)
	file, live := Needs{}, Needs{Network: true, Capture: true}
	hub := Needs{Network: true}
	pid := uint64(os.Getpid())
	for _, c := range []struct {
		name   string
		needs  Needs
		number uint32
		args   []uint64
		want   int
	}{
		{"read", file, unix.SYS_READ, nil, allow},
		{"execve", live, unix.SYS_EXECVE, nil, eperm},
		{"execveat", live, unix.SYS_EXECVEAT, nil, eperm},
		{"a thread", file, unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND}, allow},
		{"a process", file, unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK}, eperm},
		{"a namespace", file, unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"clone3", file, unix.SYS_CLONE3, nil, enosys},
		{"a newer kernel", file, firstUnknown, nil, enosys},
		{"the last known", file, firstUnknown - 1, nil, eperm},
		{"another ABI", file, x32 | unix.SYS_READ, nil, eperm},
		{"memory", file, unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allow},
		{"code", file, unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, eperm},
		{"memory as code", file, unix.SYS_MPROTECT, []uint64{0, 4096, unix.PROT_EXEC}, eperm},
		{"a signal to itself", file, unix.SYS_TGKILL, []uint64{pid}, allow},
		{"a signal to another", file, unix.SYS_TGKILL, []uint64{pid + 1}, eperm},
		{"kill", file, unix.SYS_KILL, []uint64{pid}, eperm},
		{"reads a limit", file, unix.SYS_PRLIMIT64, []uint64{0, 7, 0, 1}, allow},
		{"sets a limit", file, unix.SYS_PRLIMIT64, []uint64{0, 7, 1 << 32, 0}, eperm},
		{"sets a limit, low", file, unix.SYS_PRLIMIT64, []uint64{0, 7, 16, 0}, eperm},
		{"terminal", file, unix.SYS_IOCTL, []uint64{1, unix.TCGETS}, allow},
		{"types into a terminal", file, unix.SYS_IOCTL, []uint64{1, unix.TIOCSTI}, eperm},
		{"names memory", file, unix.SYS_PRCTL, []uint64{unix.PR_SET_VMA}, allow},
		{"seccomp", file, unix.SYS_PRCTL, []uint64{unix.PR_SET_SECCOMP}, eperm},
		{"no sockets for a file", file, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM}, eperm},
		{"nor accept", file, unix.SYS_ACCEPT4, nil, eperm},
		{"accept", live, unix.SYS_ACCEPT4, nil, allow},
		{"TCP", hub, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, allow},
		{"TCP over IPv6", hub, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allow},
		{"UDP", hub, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, allow},
		{"MPTCP", hub, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, eperm},
		{"SCTP", hub, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_SEQPACKET, 0}, eperm},
		{"raw IP", live, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, eperm},
		{"raw IP, no protocol", live, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, 0}, eperm},
		{"the interfaces", hub, unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, allow},
		{"netfilter", live, unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, eperm},
		{"a ring", live, unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW}, allow},
		{"a ring of a hub", hub, unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW}, eperm},
		{"a Unix socket", live, unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, eperm},
		{"a map", live, unix.SYS_BPF, []uint64{unix.BPF_MAP_UPDATE_ELEM}, allow},
		{"a map of a hub", hub, unix.SYS_BPF, []uint64{unix.BPF_MAP_UPDATE_ELEM}, eperm},
		{"a program", live, unix.SYS_BPF, []uint64{unix.BPF_PROG_LOAD}, eperm},
	} {
		t.Setenv("NOTIFY_SOCKET", "")
		if got := verdict(t, c.needs, auditArch, c.number, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
		if got := verdict(t, c.needs, auditArch^1, c.number, c.args...); got != eperm {
			t.Errorf("%s of another architecture: %#x", c.name, got)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	if got := verdict(t, live, auditArch, unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_DGRAM); got != allow {
		t.Errorf("systemd's socket: %#x", got)
	}
}
