package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/state"
)

// process is a running hub or agent.
type process struct{ *testkit.Program }

func start(t *testing.T, cmd *exec.Cmd) process {
	t.Helper()
	return process{testkit.Start(t, cmd)}
}

func (p process) get(t *testing.T, path string) (int, []byte) {
	t.Helper()
	r, err := http.Get("http://" + p.Addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body
}

// packets returns packets.total of a minute, of the hosts that a query selects. It is 0 if the hub has nothing of them.
func (p process) packets(t *testing.T, from int64, query string) uint64 {
	t.Helper()
	status, body := p.get(t, fmt.Sprintf("/api/v1/metrics/range?from=%d&to=%d%s", from, from+60, query))
	var views map[string]struct{ Packets struct{ Total uint64 } }
	if err := json.Unmarshal(body, &views); status == 200 && err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	for _, view := range views {
		return view.Packets.Total
	}
	return 0
}

// hubCommand is the test program as pktvisor-hub.
func hubCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(testkit.Named(t, "pktvisor-hub"), args...)
}

// finishedMinute is a state directory of an agent that has counted packets in the minute from start on.
func finishedMinute(t *testing.T, start int64, count uint64) string {
	t.Helper()
	dir := t.TempDir()
	s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := metric.NewBucket(agent.Tables)
	b.Start, b.End = start, start+60
	section, _ := b.Section("packets")
	metric.Of[packets.Metrics](section).Total += metric.Counter(count)
	b.Seal(8192)
	s.Save(b)
	s.Close(nil)
	return dir
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHub runs a hub and two agents, as their users do. The hub fetches from one of them, and the other pushes. Each has a
// finished minute in its state directory. The agent that is fetched from has TLS, and asks for a certificate and a token. The sums are exact, also after the hub was restarted without the agents.
func TestHub(t *testing.T) {
	if testing.Short() {
		t.Skip("builds pktvisord")
	}
	pktvisord := filepath.Join(t.TempDir(), "pktvisord")
	if out, err := exec.Command("go", "build", "-pgo=off", "-o", pktvisord, "pktvisor/cmd/pktvisord").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	from := time.Now().Unix()/60*60 - 60
	startAgent := func(name string, count uint64, env string, args ...string) process {
		args = append([]string{"--replay", "-l", "127.0.0.1", "-p", "0", "--name", name, "--state-dir", finishedMinute(t, from, count), "-H", testkit.HostSpec}, args...)
		cmd := exec.Command(pktvisord, append(args, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))...)
		cmd.Env = append(os.Environ(), env)
		return start(t, cmd)
	}
	dir := t.TempDir()
	authority, ca, _ := (*testkit.Authority)(nil).Issue(t, dir, "authority")
	_, cert, key := authority.Issue(t, dir, "ns1")
	_, hubCert, hubKey := authority.Issue(t, dir, "hub1")
	users := write(t, "users", fmt.Sprintf("read hub1 sha256:%x\n", sha256.Sum256([]byte("t0ken"))))
	ns1 := startAgent("ns1", 1003, "", "--tag", "role=auth", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca, "--auth-file", users)

	data := filepath.Join(t.TempDir(), "data")
	config := write(t, "hub.yaml", "listen: 127.0.0.1\nport: 0\nname: hub1\ndata: "+data+"\nagent:\n  - https://"+ns1.Addr+",pop=fra1\n"+
		"agent-ca: "+ca+"\nagent-cert: "+hubCert+"\nagent-key: "+hubKey+"\nagent-token-file: "+write(t, "agent-token", "t0ken")+"\n"+
		"nats-listen: 127.0.0.1:0\nnats-token-file: "+write(t, "token", "s3cret\n")+"\nkeep: {raw: 12h, 1m: 72h}\nmemory-limit: 1GiB\n")
	hub := start(t, hubCommand(t, "--config", config))
	nats := regexp.MustCompile(`msg="accepting pushed minutes" nats=(\S+)`).FindStringSubmatch(hub.Log.String())
	if nats == nil {
		t.Fatal("the hub does not say where it accepts minutes")
	}
	startAgent("ns2", 2005, "PKTVISOR_PUSH_TOKEN=s3cret", "--tag", "pop=ams1", "--push", "nats://"+nats[1])
	stranger := startAgent("ns3", 4000, "PKTVISOR_PUSH_TOKEN=wrong", "--push", "nats://"+nats[1])

	sums := map[string]uint64{"": 3008, "&tag=pop=fra1": 1003, "&tag=role=auth": 1003, "&tag=pop=ams1": 2005, "&host=ns1": 1003, "&host=ns2": 2005, "&host=ns3": 0}
	testkit.Eventually(t, "the minutes of both agents count", func() bool { return hub.packets(t, from, "") >= 3008 })
	check := func(when string) {
		t.Helper()
		for query, want := range sums {
			if got := hub.packets(t, from, query); got != want {
				t.Errorf("%s: %q has %d packets, want %d", when, query, got, want)
			}
		}
		if status, body := hub.get(t, "/readyz"); status != 200 {
			t.Errorf("%s: /readyz: %d %s", when, status, body)
		}
	}
	check("at first")
	if _, body := hub.get(t, "/api/v1/fleet"); !strings.Contains(string(body), `"ns1"`) || !strings.Contains(string(body), `"ns2"`) || strings.Contains(string(body), `"ns3"`) {
		t.Errorf("/api/v1/fleet: %s", body)
	}
	if _, body := hub.get(t, "/api/v1/metrics/app"); !strings.Contains(string(body), `"limit_bytes":1073741824`) {
		t.Errorf("--memory-limit: %s", body)
	}
	if _, body := stranger.get(t, "/api/v1/metrics/app"); strings.Contains(string(body), `"connected":true`) || strings.Contains(hub.Log.String(), "s3cret") {
		t.Error("an agent with another token is let in, or the token is in the log")
	}

	second := hubCommand(t, "-l", "127.0.0.1", "-p", "0", "--data", data)
	if out, err := second.CombinedOutput(); second.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "pktvisor-hub: ") {
		t.Errorf("a second hub on the same directory: %v: %s", err, out)
	}
	check("after a second hub was refused")

	if _, code := hub.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	hub = start(t, hubCommand(t, "-l", "127.0.0.1", "-p", "0", "--data", data, "--keep", "raw=12h,1m=72h"))
	check("after a restart")
	if _, code := hub.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}
