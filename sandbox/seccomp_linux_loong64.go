package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_LOONGARCH64

// ofArch are calls that not all architectures have.
var ofArch []uint32
