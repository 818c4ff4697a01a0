//go:build linux && !(amd64 || arm64 || riscv64 || loong64)

package sandbox

import (
	"errors"
	"runtime"
)

// seccomp returns an error: the list of system calls is not made for this architecture.
func (p *plan) seccomp() error {
	return errors.New("there is no list of system calls for " + runtime.GOARCH)
}
