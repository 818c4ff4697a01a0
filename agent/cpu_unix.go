//go:build unix

package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// processCPU returns the CPU time of the process, of all its threads.
func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
