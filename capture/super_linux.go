package capture

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// tellsSuperFrames reports whether the kernel can mark frames that carry several packets (PACKET_VNET_HDR) without
// loss. Linux before 6.2 cannot describe the kind of frame that UDP_SEGMENT makes, and drops it from a ring that asks
// for marks.
var tellsSuperFrames = sync.OnceValue(func() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	return atLeast(unix.ByteSliceToString(name.Release[:]), 6, 2)
})

// MarksSuperFrames reports whether live sources mark frames that stand for several packets: see [Batch.Supers].
func MarksSuperFrames() bool { return tellsSuperFrames() }

// atLeast reports whether a kernel's release, such as "6.18.44-generic", is at least the given version.
func atLeast(release string, major, minor int) bool {
	a, rest, _ := strings.Cut(release, ".")
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		rest = rest[:end]
	}
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(rest)
	return err == nil && err2 == nil && (x > major || x == major && y >= minor)
}
