//go:build !linux || !(amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le)

package count

import (
	"errors"
	"net/netip"
	"runtime"

	"golang.org/x/net/bpf"
)

// DefaultPinned is where [Pin] leaves the program by default.
const DefaultPinned = "/sys/fs/bpf/pktvisor"

// Counter counts frames in the kernel. There is none on this system.
type Counter struct{}

func unsupported() error {
	return errors.New("it needs Linux on a 64-bit little-endian CPU, and this is " + runtime.GOOS + "/" + runtime.GOARCH)
}

// Open fails on this system.
func Open(Config) (*Counter, error) { return nil, unsupported() }

// Pin fails on this system.
func Pin(string, int, int) error { return unsupported() }

// Note returns nothing.
func (*Counter) Note() string { return "" }

// Close does nothing.
func (*Counter) Close() error { return nil }

// SetThreshold does nothing.
func (*Counter) SetThreshold(uint32) {}

// Threshold returns [All].
func (*Counter) Threshold() uint32 { return All }

// Attach fails on this system.
func (*Counter) Attach(int, []bpf.RawInstruction, bool, bool) error { return unsupported() }

// PrepareHandOver fails on this system.
func (*Counter) PrepareHandOver() error { return unsupported() }

// HandOver fails on this system.
func (*Counter) HandOver([]int, []int, []bpf.RawInstruction, bool, bool) error { return unsupported() }

// Disable does nothing.
func (*Counter) Disable(error) {}

// Disabled returns why there is no counter.
func (*Counter) Disabled() error { return unsupported() }

// Read does nothing.
func (*Counter) Read(int64, func(*Second)) {}

// Total returns nothing.
func (*Counter) Total() (total [NumGroups]Counts) { return total }

// SetHosts does nothing.
func (*Counter) SetHosts([]netip.Prefix) error { return nil }
