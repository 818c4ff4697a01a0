//go:build !linux

package veth

import (
	"errors"
	"os"
	"os/exec"
)

// Receiver is the end to capture on.
const Receiver = ""

// OwnNamespace fails, because network namespaces exist on Linux only.
func OwnNamespace() error { return os.ErrPermission }

// Link is a pair of interfaces. There are none on this system.
type Link struct{}

// Open fails.
func Open() (*Link, error) { return nil, errors.ErrUnsupported }

// Dial fails.
func Dial() (*Link, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Link) Close() {}

// Send does nothing.
func (*Link) Send([]byte) {}

// Dropped returns 0.
func (*Link) Dropped() uint64 { return 0 }

// SetUp fails.
func (*Link) SetUp(bool) error { return errors.ErrUnsupported }

// DieWithParent does nothing.
func DieWithParent(*exec.Cmd) {}
