//go:build !linux

package memory

import "runtime/debug"

// ReleaseStart returns to the system the garbage of the start of the program.
func ReleaseStart() error {
	debug.FreeOSMemory()
	return nil
}
