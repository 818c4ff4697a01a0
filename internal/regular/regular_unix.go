//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package regular

import "syscall"

// NonBlocking is the flag that opens a file without waiting for the other end of a pipe.
const NonBlocking = syscall.O_NONBLOCK
