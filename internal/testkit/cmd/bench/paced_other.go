//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// pin fails: only on Linux can one process ask for another's CPU time.
func pin(int) (unpin func(), err error) { return nil, errors.ErrUnsupported }

func startOn(*exec.Cmd, int) error { return errors.ErrUnsupported }

func used(int) (spent, error) { return spent{}, errors.ErrUnsupported }

func softirq(int) time.Duration { return 0 }

func enlargePipe(*os.File) {}

func openTerminal(*exec.Cmd) (io.Closer, error) { return nil, errors.ErrUnsupported }
