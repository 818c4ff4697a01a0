package faults

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	notifRecv = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifSend = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND

	waitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: no signal interrupts a call that is being answered
)

// installFilter puts this thread under a filter, and returns its listener.
func installFilter(filter *unix.SockFprog) (listener int, err error) {
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|waitKillable, uintptr(unsafe.Pointer(filter)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

func receive(listener int, n *notification) error {
	return ioctl(listener, notifRecv, unsafe.Pointer(n))
}

func send(listener int, r *response) error { return ioctl(listener, notifSend, unsafe.Pointer(r)) }

func ioctl(fd int, request uintptr, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(p)); errno != 0 {
		return errno
	}
	return nil
}
