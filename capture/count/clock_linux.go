//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wall returns the wall clock's time.
func wall() time.Time { return time.Now() }

// setClock tells the program the difference between its clock and Unix time. It is called about once a second.
//
// With CLOCK_TAI the difference is a whole number of seconds, and the program follows a wall clock that is set by itself. The
// monotonic clock of older kernels is followed to some ten nanoseconds, and a wall clock that is set from the next call on.
func (c *Counter) setClock() {
	clock := int32(unix.CLOCK_MONOTONIC)
	if c.tai {
		clock = unix.CLOCK_TAI
	}
	offset, narrowest := int64(0), int64(math.MaxInt64)
	for range 8 {
		a, b, d := nanos(clock), nanos(unix.CLOCK_REALTIME), nanos(clock)
		if width := d - a; width >= 0 && width < narrowest {
			offset, narrowest = b-a-width/2, width
		}
	}
	if c.tai {
		offset = int64(math.Round(float64(offset)/1e9)) * 1e9
	}
	if old := atomic.SwapInt64(&c.conf.offset, offset); old != offset && (c.tai || abs(old-offset) > int64(time.Millisecond)) {
		atomic.StoreUint64(&c.conf.window, 0) // the clock was set
	}
}

func abs(x int64) int64 { return max(x, -x) }

func nanos(clock int32) int64 {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return t.Nano()
}
