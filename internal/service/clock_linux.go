package service

import "golang.org/x/sys/unix"

// monotonicMicros returns the time of the monotonic clock in microseconds.
func monotonicMicros() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / 1000
}
