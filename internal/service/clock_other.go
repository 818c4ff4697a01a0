//go:build !linux

package service

// monotonicMicros returns 0: only systemd asks for the monotonic clock, and it runs only on Linux.
func monotonicMicros() int64 { return 0 }
