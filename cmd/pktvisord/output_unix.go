//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isStandIn reports whether f is what Go's runtime opens in the place of a standard stream that is closed at the
// start: /dev/null, for reading and writing, for this stream alone. A shell opens it for writing alone; daemons, and those who
// start a program without any output, open it once for several streams.
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

// sharesDescription reports whether one of the others, or several, are duplicates of the file descriptor fd, which must be of
// /dev/null: the flags of one are those of all then. There is a system call that says so, but on Linux alone, and not everywhere.
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
		// /dev/null does the same with this flag and without.
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
