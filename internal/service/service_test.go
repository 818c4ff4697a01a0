//go:build unix

package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// listen returns a manager's socket and the environment that names it.
func listen(t *testing.T, path string) (receive func() string, env map[string]string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Error(err)
		}
		return string(b[:n])
	}, map[string]string{"NOTIFY_SOCKET": path}
}

func open(t *testing.T, env map[string]string) *Manager {
	t.Helper()
	m, err := Open(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestStates: each change of state is one message, on a socket with a path and on an abstract one.
func TestStates(t *testing.T) {
	paths := []string{filepath.Join(t.TempDir(), "notify")}
	if monotonicMicros() > 0 { // Linux
		paths = append(paths, "@pktvisor-service-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, path := range paths {
		receive, env := listen(t, path)
		m := open(t, env)
		if err := m.Ready("capturing eth0\nFDSTORE=1"); err != nil {
			t.Fatal(err)
		}
		if got := receive(); got != "READY=1\nSTATUS=capturing eth0; FDSTORE=1" {
			t.Errorf("ready: %q", got)
		}
		if err := m.Reload(func() {
			if got := regexp.MustCompile(`[0-9]{2,}`).ReplaceAllString(receive(), "TIME"); !strings.HasPrefix(got, "RELOADING=1") || monotonicMicros() > 0 && got != "RELOADING=1\nMONOTONIC_USEC=TIME" {
				t.Errorf("before the reload: %q", got)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if got := receive(); got != "READY=1" {
			t.Errorf("after the reload: %q", got)
		}
		m.Stopping()
		if got := receive(); got != "STOPPING=1" {
			t.Errorf("stopping: %q", got)
		}
	}
}

// TestReconnects: a manager that has made its socket anew gets the next message.
func TestReconnects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	old, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, map[string]string{"NOTIFY_SOCKET": path})
	old.Close()
	if m.Stopping() == nil {
		t.Error("no error without a manager")
	}
	os.Remove(path)
	receive, _ := listen(t, path)
	if err := m.Ready("again"); err != nil {
		t.Fatal(err)
	}
	if got := receive(); got != "READY=1\nSTATUS=again" {
		t.Errorf("got %q", got)
	}
}

// TestWatch: there is a sign of life only while the check passes. A failure is reported once.
func TestWatch(t *testing.T) {
	receive, env := listen(t, filepath.Join(t.TempDir(), "notify"))
	env["WATCHDOG_USEC"], env["WATCHDOG_PID"] = "3000", strconv.Itoa(os.Getpid())
	m := open(t, env)
	ctx, stop := context.WithCancel(t.Context())
	checks := 0
	var log bytes.Buffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)), func() error {
			switch checks++; {
			case checks == 2, checks == 3:
				return errors.New("a shard is stuck")
			case checks > 4:
				stop()
				return errors.New("the test is over")
			}
			return nil
		})
	}()
	for i, want := range []string{"WATCHDOG=1", "STATUS=a shard is stuck", "WATCHDOG=1", "STATUS=the test is over"} {
		if got := receive(); got != want {
			t.Errorf("message %d: got %q, want %q", i, got, want)
		}
	}
	<-ended
	if n := strings.Count(log.String(), `error="a shard is stuck"`); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}

// TestWithout: without a manager, or with a watchdog for another process, there is nothing to do.
func TestWithout(t *testing.T) {
	m := open(t, nil)
	if m != nil || m.Ready("x") != nil || m.Stopping() != nil {
		t.Error("a manager that is not there")
	}
	called := false
	if m.Reload(func() { called = true }); !called {
		t.Error("the reload was left out")
	}
	_, env := listen(t, filepath.Join(t.TempDir(), "notify"))
	env["WATCHDOG_USEC"], env["WATCHDOG_PID"] = "1000", "1"
	for _, m := range []*Manager{m, open(t, env)} {
		m.Watch(t.Context(), slog.New(slog.DiscardHandler), func() error { t.Error("checked"); return nil })
	}
}

// TestEnvironment: mistakes in the environment are errors that name the variable.
func TestEnvironment(t *testing.T) {
	_, good := listen(t, filepath.Join(t.TempDir(), "notify"))
	for _, c := range []struct{ socket, micros, want string }{
		{"relative", "", `NOTIFY_SOCKET "relative": neither a path nor an abstract Unix socket`},
		{"/nonexistent/notify", "", "connect to the service manager (NOTIFY_SOCKET): dial unixgram /nonexistent/notify: connect: no such file or directory"},
		{good["NOTIFY_SOCKET"], "soon", `WATCHDOG_USEC "soon": not a time in microseconds, at most a day`},
		{good["NOTIFY_SOCKET"], "0", `WATCHDOG_USEC "0": not a time in microseconds, at most a day`},
		{good["NOTIFY_SOCKET"], "86400000001", `WATCHDOG_USEC "86400000001": not a time in microseconds, at most a day`},
	} {
		env := map[string]string{"NOTIFY_SOCKET": c.socket, "WATCHDOG_USEC": c.micros}
		if _, err := Open(func(name string) string { return env[name] }); err == nil || err.Error() != c.want {
			t.Errorf("%v: got %v", c, err)
		}
	}
}
