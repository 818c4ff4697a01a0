//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package state

import (
	"errors"
	"os"
)

// nonBlocking is nothing here: files do not wait.
const nonBlocking = 0

// errLocked is never returned here: this system has no such locks.
var errLocked = errors.New("locked")

// takeLock opens the file at path: live capture, for which a directory is kept, needs Linux anyway.
func takeLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
