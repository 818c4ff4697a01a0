package testkit

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// Log is a log that can be read while it is written. It may be used by any number of goroutines.
type Log struct {
	mu     sync.Mutex
	logged bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logged.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logged.String()
}

// Eventually waits up to a minute until a condition is true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, time.Minute, what, ok)
}

// Within waits up to the given time until a condition is true. What comes with the end of a minute takes more than a minute.
func Within(t testing.TB, most time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", most, what)
		}
	}
}

// Named returns the path of a link with the given name to the running test binary, which then acts as that program: see
// [testscript.Main].
func Named(t testing.TB, name string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(exe, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Program is a running program that serves HTTP.
type Program struct {
	Cmd *exec.Cmd
	// Addr is the address that it serves. Log is its standard error. Exited is closed when it has ended.
	Addr   string
	Log    Log
	Exited chan struct{}
}

var servingLine = regexp.MustCompile(`msg=serving url=https?://([^/]+)/`)

// Start starts a program and waits until it serves. It is killed when the test ends.
func Start(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{Cmd: cmd, Exited: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serves := make(chan string, 1)
	go func() {
		defer close(p.Exited)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.Log.Write(append(lines.Bytes(), '\n'))
			if m := servingLine.FindStringSubmatch(lines.Text()); m != nil {
				serves <- m[1]
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.Exited
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(cmd.Path), &p.Log)
		}
	})
	select {
	case p.Addr = <-serves:
	case <-p.Exited:
		t.Fatalf("%s ended: %s", filepath.Base(cmd.Path), &p.Log)
	case <-time.After(time.Minute):
		t.Fatalf("%s does not serve: %s", filepath.Base(cmd.Path), &p.Log)
	}
	return p
}

// Stop sends a signal. It returns how long the program took to end, and its exit code.
func (p *Program) Stop(t testing.TB, sig os.Signal) (time.Duration, int) {
	t.Helper()
	began := time.Now()
	if err := p.Cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	return time.Since(began), p.Cmd.ProcessState.ExitCode()
}
