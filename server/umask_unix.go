//go:build unix

package server

import "syscall"

// privateFiles makes new files those of the user only, until restore is called. It concerns the whole process.
func privateFiles() (restore func()) {
	old := syscall.Umask(0o177)
	return func() { syscall.Umask(old) }
}
