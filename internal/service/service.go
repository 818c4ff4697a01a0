// Package service tells the service manager that started a program how the program is, by the protocol of systemd's
// sd_notify(3): datagrams to the Unix socket in NOTIFY_SOCKET. Other managers, such as s6 and podman, understand it too.
//
// Open the [Manager] early: it connects at once, so that it still works when the program has given up its rights. A program that
// no manager waits for has a nil Manager, whose methods do nothing. All methods are safe to call at once.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sendWait bounds how long a message may take. A manager that is busy must not hold up the program.
const sendWait = time.Second

// Manager is the connection to the service manager.
type Manager struct {
	address  *net.UnixAddr
	watchdog time.Duration // the manager ends the program after this time without a sign of life; 0 if it never does

	mu   sync.Mutex
	conn *net.UnixConn
}

// Open connects to the manager that the environment names: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Without
// NOTIFY_SOCKET, the result is nil.
func Open(env func(string) string) (*Manager, error) {
	name := env("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET %q: neither a path nor an abstract Unix socket", name)
	}
	m := &Manager{address: &net.UnixAddr{Name: name, Net: "unixgram"}}
	if pid := env("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		micros, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
		if env("WATCHDOG_USEC") != "" && (err != nil || micros <= 0 || micros > int64(24*time.Hour/time.Microsecond)) {
			return nil, fmt.Errorf("WATCHDOG_USEC %q: not a time in microseconds, at most a day", env("WATCHDOG_USEC"))
		}
		m.watchdog = time.Duration(micros) * time.Microsecond
	}
	var err error
	if m.conn, err = net.DialUnix("unixgram", nil, m.address); err != nil {
		return nil, fmt.Errorf("connect to the service manager (NOTIFY_SOCKET): %w", err)
	}
	return m, nil
}

// Connect connects to the manager that this process's environment names. If it cannot, it logs why and returns nil: the manager
// then knows that the program runs, but not how it is.
func Connect(log *slog.Logger) *Manager {
	m, err := Open(os.Getenv)
	if err != nil {
		log.Warn("the service manager hears nothing of this program", "error", err)
	}
	return m
}

// Close ends the connection.
func (m *Manager) Close() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn.Close()
}

// Ready says that the program serves. Status is a line for people.
func (m *Manager) Ready(status string) error { return m.send("READY=1", "STATUS="+line(status)) }

// Stopping says that the program ends.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// Reload says that the program reads its configuration again, calls do, and says that the program is ready again.
func (m *Manager) Reload(do func()) error {
	started := []string{"RELOADING=1"}
	if now := monotonicMicros(); now > 0 {
		started = append(started, fmt.Sprintf("MONOTONIC_USEC=%d", now)) // systemd requires it of Type=notify-reload
	}
	err := m.send(started...)
	do()
	return errors.Join(err, m.send("READY=1"))
}

// Watch gives the manager a sign of life three times in each interval of its watchdog, as long as check returns nil, until ctx is
// done. If check fails or does not return, there is no sign, and the manager ends the program. Without a watchdog, it returns at
// once.
func (m *Manager) Watch(ctx context.Context, log *slog.Logger, check func() error) {
	if m == nil || m.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(m.watchdog / 3)
	defer ticker.Stop()
	failed := false
	for {
		switch err := check(); {
		case err != nil && !failed:
			failed = true
			log.Error("no sign of life to the service manager, which will restart the program", "error", err)
			m.send("STATUS=" + line(err.Error()))
		case err == nil:
			failed = false
			if err := m.send("WATCHDOG=1"); err != nil {
				log.Warn("the service manager does not take signs of life", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// send sends variables in one message. If the manager has made its socket anew, it connects again.
func (m *Manager) send(variables ...string) error {
	if m == nil {
		return nil
	}
	message := []byte(strings.Join(variables, "\n"))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn.SetWriteDeadline(time.Now().Add(sendWait))
	_, err := m.conn.Write(message)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	conn, dialErr := net.DialUnix("unixgram", nil, m.address)
	if dialErr != nil {
		return err
	}
	m.conn.Close()
	m.conn = conn
	conn.SetWriteDeadline(time.Now().Add(sendWait))
	_, err = conn.Write(message)
	return err
}

// line returns text as one line, because the next line of a message would be a variable.
func line(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
