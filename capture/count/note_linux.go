//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import "golang.org/x/sys/unix"

// capPerfmon is CAP_PERFMON (linux/capability.h).
const capPerfmon = 38

// Note says what makes counting slow, or is empty. Without CAP_PERFMON, the kernel guards the program against Spectre with
// barriers.
func (c *Counter) Note() string {
	if c.lock != nil {
		return "" // loaded by root
	}
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if unix.Capget(&header, &data[0]) != nil || data[capPerfmon/32].Effective&(1<<(capPerfmon%32)) != 0 {
		return ""
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return ""
	}
	return "without the capability CAP_PERFMON, the kernel makes it take about 0.3 µs a frame more; add cap_perfmon, or use pktvisord load-bpf"
}
