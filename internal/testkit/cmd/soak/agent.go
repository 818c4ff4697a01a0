package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
)

// agent is the process under test.
type agent struct {
	path   string
	args   []string
	url    string
	log    string
	cmd    *exec.Cmd
	pid    atomic.Int64
	exited chan struct{}
	// epoch is odd while the agent is stopped on purpose, and has a new value after each restart.
	epoch atomic.Int64
}

func newAgent(o *options, dir, target string) (*agent, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	a := &agent{path: o.agent, url: "http://127.0.0.1:" + port, log: filepath.Join(dir, "agent.log")}
	a.epoch.Store(1)
	a.args = []string{"-l", "127.0.0.1", "-p", port, "-H", testkit.HostSpec, "--no-auto-host", "--shards", strconv.Itoa(o.shards)}
	help, err := exec.Command(o.agent, "--help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --help: %w", o.agent, err)
	}
	if bytes.Contains(help, []byte("--state-dir")) {
		a.args = append(a.args, "--state-dir", filepath.Join(dir, "state"))
	}
	if o.replay {
		a.args = append(a.args, "--replay")
	}
	a.args = append(a.args, target)
	return a, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// start starts the agent and waits until it captures.
func (a *agent) start(ctx context.Context) error {
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	a.cmd = exec.Command(a.path, a.args...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	veth.DieWithParent(a.cmd)
	if err := a.cmd.Start(); err != nil {
		return err
	}
	a.pid.Store(int64(a.cmd.Process.Pid))
	exited := make(chan struct{})
	a.exited = exited
	go func(cmd *exec.Cmd) { cmd.Wait(); close(exited) }(a.cmd)
	if !a.eventually(ctx, 10*time.Second, func() bool { return a.status(ctx, "/readyz") == http.StatusOK }) {
		return fmt.Errorf("the agent does not get ready:\n%s", a.logTail())
	}
	a.epoch.Add(1)
	return nil
}

// eventually waits until f returns true. It gives up after limit, or when the agent has ended.
func (a *agent) eventually(ctx context.Context, limit time.Duration, f func() bool) bool {
	deadline := time.After(limit)
	for !f() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-a.exited:
			return false
		case <-deadline:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// stop stops the agent. It returns how long that took, and the agent's last counts of received and lost frames.
func (a *agent) stop() (took time.Duration, received, lost uint64, err error) {
	a.epoch.Add(1)
	began := time.Now()
	if err := a.signal(syscall.SIGTERM); err != nil {
		return 0, 0, 0, err
	}
	select {
	case <-a.exited:
	case <-time.After(20 * time.Second):
		a.kill()
		return time.Since(began), 0, 0, errors.New("the agent does not stop")
	}
	took = time.Since(began)
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		return took, 0, 0, fmt.Errorf("exit code %d:\n%s", code, a.logTail())
	}
	last := a.logTail()
	at := strings.LastIndex(last, "msg=stopped")
	if at < 0 {
		return took, 0, 0, fmt.Errorf("the log does not say that it stopped:\n%s", last)
	}
	if _, err := fmt.Sscanf(last[at:], "msg=stopped received=%d drops=%d", &received, &lost); err != nil {
		return took, 0, 0, fmt.Errorf("log: %w:\n%s", err, last)
	}
	return took, received, lost, nil
}

func (a *agent) signal(sig os.Signal) error { return a.cmd.Process.Signal(sig) }

func (a *agent) kill() {
	a.cmd.Process.Kill() // it may have ended already
	<-a.exited
}

func (a *agent) running() bool {
	select {
	case <-a.exited:
		return false
	default:
		return true
	}
}

func (a *agent) logTail() string {
	b, _ := os.ReadFile(a.log) // without a log there is nothing to report
	return string(b[max(0, len(b)-2000):])
}

// client makes the requests of the phases. It does not reuse connections, so that it cannot keep the agent from ending.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// status requests a path and returns the HTTP status, or 0 if there was no answer.
func (a *agent) status(ctx context.Context, path string) int {
	status, _, _ := a.get(ctx, path)
	return status
}

func (a *agent) get(ctx context.Context, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// metrics returns the values in /metrics that have no labels.
func (a *agent) metrics(ctx context.Context) (map[string]uint64, error) {
	status, body, err := a.get(ctx, "/metrics")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d, %w", status, err)
	}
	m := make(map[string]uint64)
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && v >= 0 {
			m[name] = uint64(v)
		}
	}
	return m, nil
}
