//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isStandIn reports whether f is the file that Go's runtime opens for a standard stream that is closed at the start:
// /dev/null, opened for reading and writing, for this stream only. A shell opens /dev/null only for writing. Daemons,
// and programs that start others without any output, open it once for several streams.
func isStandIn(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null) && !sharesDescription(int(f.Fd()), []int{0, 1, 2})
}

// sharesDescription reports whether at least one of the others is a duplicate of the file descriptor fd, which must be
// open on /dev/null. Duplicates share their flags. There is a system call for this, but only on Linux, and not
// everywhere.
func sharesDescription(fd int, others []int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return false
	}
	for _, other := range others {
		before, err := unix.FcntlInt(uintptr(other), unix.F_GETFL, 0)
		if other == fd || err != nil || before != flags {
			continue
		}
		// /dev/null behaves the same with and without this flag.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags^unix.O_APPEND); err != nil {
			return false
		}
		after, err := unix.FcntlInt(uintptr(other), unix.F_GETFL, 0)
		unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
		if err == nil && after != before {
			return true
		}
	}
	return false
}
