//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"errors"
	"math"
	"os"
	"testing"
)

// OpenTest opens a counter. The test is skipped without the permission to do so.
func OpenTest(tb testing.TB, cfg Config) *Counter {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("needs root")
	}
	if cfg.SnapLen == 0 {
		cfg.SnapLen = 1 << 18
	}
	c, err := Open(cfg)
	if errors.Is(err, os.ErrPermission) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Run runs the program on a frame, and returns whether the frame would enter the ring.
func (c *Counter) Run(tb testing.TB, frame []byte) bool {
	tb.Helper()
	result, _, err := c.program.Test(testInput(frame))
	switch {
	case err != nil:
		tb.Fatal(err, len(frame))
	case result != 0 && result != c.conf.snapLen:
		tb.Fatalf("the program returns %d", result)
	}
	return result != 0
}

// testInput returns the input of a test run: the kernel takes the first header off.
func testInput(frame []byte) []byte {
	in := make([]byte, 14, 14+len(frame))
	in[12] = 8
	return append(in, frame...)
}

// Counted returns everything that was counted since the last call.
func (c *Counter) Counted() (sum [NumGroups]Counts) {
	c.last = 0 // so that all slots are read
	c.Read(math.MaxInt32, func(s *Second) {
		for g := range s.Groups {
			sum[g].Add(&s.Groups[g])
		}
	})
	return sum
}

// SetRaw says whether frames begin with the IP header.
func (c *Counter) SetRaw(raw bool) { c.conf.raw = flag(raw) }
