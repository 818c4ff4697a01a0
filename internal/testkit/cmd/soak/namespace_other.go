//go:build !linux

package main

import (
	"errors"
	"os"
	"os/exec"
)

const agentInterface = ""

// ownNamespace fails, because network namespaces exist on Linux only.
func ownNamespace() error { return os.ErrPermission }

type link struct{}

func openLink() (*link, error)    { return nil, errors.ErrUnsupported }
func (*link) close()              {}
func (*link) dropped() uint64     { return 0 }
func (*link) setUp(bool) error    { return errors.ErrUnsupported }
func dieWithParent(cmd *exec.Cmd) {}

func (*link) sendPaced([]byte, float64, func(int)) {}
