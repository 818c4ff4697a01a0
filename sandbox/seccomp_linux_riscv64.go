package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_RISCV64

// ofArch are calls that not all architectures have. Go asks for the features of the processor.
var ofArch = []uint32{unix.SYS_RISCV_HWPROBE, unix.SYS_RISCV_FLUSH_ICACHE}
