package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// process is a program that chaos has started. Its standard error goes to a file.
type process struct {
	cmd  *exec.Cmd
	log  string
	from int64 // where the log of this run begins
	done chan struct{}
	err  error // after done
}

// startProcess starts a program. Its output is appended to a file.
func startProcess(log string, cmd *exec.Cmd) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = f
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, from: info.Size(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill ends the program as kill -9 does, and waits for its end.
func (p *process) kill() {
	if p == nil {
		return
	}
	p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}

// wait returns how the program ended.
func (p *process) wait(timeout time.Duration) error {
	select {
	case <-p.done:
	default: // of two cases that are ready, the one below might be taken
		select {
		case <-p.done:
		case <-time.After(timeout):
			return fmt.Errorf("%s has not ended after %v: see %s", p.cmd.Path, timeout, p.log)
		}
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: see %s", p.cmd.Path, p.err, p.log)
	}
	return nil
}

// logged waits until the program has logged text that matches, and returns the first submatch.
func (p *process) logged(pattern *regexp.Regexp, timeout time.Duration) (match string, err error) {
	err = eventually(timeout, func() error {
		data, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if m := pattern.FindSubmatch(data[min(p.from, int64(len(data))):]); m != nil {
			match = string(m[1])
			return nil
		}
		select {
		case <-p.done:
			return permanent{fmt.Errorf("%s has ended: %v: see %s", p.cmd.Path, p.err, p.log)}
		default:
			return fmt.Errorf("%s has not logged %q: see %s", p.cmd.Path, pattern, p.log)
		}
	})
	if err != nil {
		p.cmd.Process.Signal(syscall.SIGQUIT) // its log then says what it waits for
		p.wait(2 * time.Second)
	}
	return match, err
}

// permanent is an error that does not go away.
type permanent struct{ error }

// eventually calls f until it succeeds or the time is over. It returns the last error.
func eventually(timeout time.Duration, f func() error) error {
	for end := time.Now().Add(timeout); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		if p := (permanent{}); errors.As(err, &p) || time.Now().After(end) {
			return err
		}
	}
}
