//go:build !linux

package memory

import "runtime/debug"

// Start is what only the start of the program needs.
type Start struct{}

// FindStart finds nothing on this system.
func FindStart() (*Start, error) { return nil, nil }

// Release returns to the system the garbage of the start of the program.
func (*Start) Release() error {
	debug.FreeOSMemory()
	return nil
}
