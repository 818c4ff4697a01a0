//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package state

import (
	"errors"
	"os"
)

// errLocked is never returned on these systems, which have no such locks.
var errLocked = errors.New("locked")

// takeLock opens the file at path without a lock. The directory is for live capture, which needs Linux anyway.
func takeLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
