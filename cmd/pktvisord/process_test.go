package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
)

// process is a running pktvisord.
type process struct {
	*testkit.Program
	check *apicheck.Checker
}

// startProcess starts pktvisord on any free port and waits until it serves. The process is stopped when the test ends.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(testkit.Named(t, "pktvisord"), append([]string{"-l", "127.0.0.1", "-p", "0"}, args...)...)
	return &process{testkit.Start(t, cmd), apicheck.New(t)}
}

// get requests a path and checks the answer against the API's document. The calling goroutine makes the connection,
// because its thread may be in a separate network namespace.
func (p *process) get(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	p.check.Check(t, path, res.StatusCode, res.Header, body)
	return res.StatusCode, body
}

// summary returns the numbers of a path, usually the window of two minutes, by flat names.
func (p *process) summary(t *testing.T, path string) map[string]float64 {
	t.Helper()
	status, body := p.get(t, path)
	if status != 200 {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	return flatten(t, body)
}

// flatten lists the numbers of a JSON document by their path. It leaves out the key of a summary.
func flatten(t *testing.T, body []byte) map[string]float64 {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				walk(at+"."+name, member)
			}
		case []any: // a top table
			for i, row := range v {
				if row, ok := row.(map[string]any); ok && row["estimate"] != nil {
					walk(fmt.Sprintf("%s[%v]", at, row["name"]), row["estimate"])
				} else {
					walk(fmt.Sprintf("%s[%d]", at, i), v[i])
				}
			}
		case float64:
			all[strings.TrimPrefix(regexp.MustCompile(`^\.[0-9]+m\.`).ReplaceAllString(at, ""), ".")] = v
		}
	}
	walk("", v)
	return all
}

// stopLimit is how long the program may take to end: a second, and another second on a busy machine.
const stopLimit = 2 * time.Second

// writeTraffic writes generated traffic into a file.
func writeTraffic(t *testing.T, cfg testkit.TrafficConfig) (path string, truth *testkit.Truth) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "traffic.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if truth, err = testkit.Generate(f, cfg); err != nil {
		t.Fatal(err)
	}
	return path, truth
}

// TestReplay: a file is played as if it were live, in a loop, and the answers are as documented.
func TestReplay(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Rate = 600, 300
	path, truth := writeTraffic(t, cfg)
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, "--prom-disable", "geo", "--name", "ns1 a", "--tag", "pop=ams1,country=nl", path)
	testkit.Eventually(t, "it plays the file a second time", func() bool {
		return p.summary(t, "/api/v1/metrics/window/2")["packets.total"] > float64(truth.Total.Packets)
	})
	for _, path := range []string{
		"/", "/api/docs", "/api/v1/openapi.yaml", "/healthz", "/readyz", "/metrics", "/api/v1/metrics/app", "/api/v1/metrics/rates",
		"/api/v1/metrics/bucket/0", "/api/v1/metrics/window/5",
	} {
		if status, body := p.get(t, path); status != 200 {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	app := p.summary(t, "/api/v1/metrics/app")
	if app["app.sources[0].received"] <= float64(truth.Total.Packets) || app["app.memory.resident_bytes"] == 0 {
		t.Errorf("app: %v", app)
	}
	if _, body := p.get(t, "/api/v1/metrics/app"); !strings.Contains(string(body), `"host":"ns1 a","tags":["country=nl","pop=ams1"],`) {
		t.Errorf("the name and the tags are not in %s", body)
	}
	if !strings.Contains(p.Log.String(), `msg=capturing name="ns1 a" tags="country=nl,pop=ams1" target=`) {
		t.Errorf("the log does not have the name and the tags:\n%s", p.Log.String())
	}
	// Over the whole time, because a single second of a busy machine may have any number.
	if r := app["app.sources[0].received"] / app["app.uptime_s"]; r < 100 || r > 400 {
		t.Errorf("%v packets a second, recorded at about 300", r)
	}
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != 0 {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	if !strings.Contains(p.Log.String(), "msg=stopped received=") {
		t.Errorf("it does not log that it stopped:\n%s", p.Log.String())
	}
}

// TestSignals: SIGINT stops the program even while clients are connected. SIGHUP does not stop it.
func TestSignals(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 1000, Rate: 500})
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, path)
	idle, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	fmt.Fprint(idle, "GET /api/v1/metrics/app HTTP/1.1\r\n") // and never the rest
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it logs the hangup", func() bool { return strings.Contains(p.Log.String(), "hangup") })
	if status, _ := p.get(t, "/healthz"); status != 200 {
		t.Errorf("after SIGHUP: %d", status)
	}
	if took, code := p.Stop(t, syscall.SIGINT); took > stopLimit || code != 0 {
		t.Errorf("SIGINT: took %v, exit code %d", took, code)
	}
}

// TestConnections: every client gets an answer, even if other clients hold the maximum number of connections. To make
// room, the oldest connections that are not being answered are closed.
func TestConnections(t *testing.T) {
	const most, more = 256, 20
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 1000, Rate: 500})
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, path)
	conns := make([]net.Conn, most+more)
	for i := range conns {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") // the connection stays open
		c.SetReadDeadline(time.Now().Add(time.Minute))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("connection %d got no answer: %v", i, err)
		}
		io.Copy(io.Discard, res.Body)
	}
	for i, c := range conns[:more] {
		if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d: %d bytes, %v; want it closed", i, n, err)
		}
	}
	for i, c := range conns[more:] {
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("connection %d was closed: %v", more+i, err)
		}
	}
}

// TestBusyPort: a busy port gives a one-line error.
func TestBusyPort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 10})
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"--replay", "-l", "127.0.0.1", "-p", port, path}, nil, io.Discard, &stderr)
	want := "pktvisord: serve HTTP: listen tcp 127.0.0.1:" + port + ": bind: address already in use: choose another address with -l and -p\n"
	if code != 1 || stderr.String() != want {
		t.Errorf("exit code %d, %q\nwant 1, %q", code, stderr.String(), want)
	}
}

// TestHTTPHost: the agent answers only to its names.
func TestHTTPHost(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 1000, Rate: 500})
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, "--http-host", "stats.example,Alias.example", path)
	for host, want := range map[string]int{
		p.Addr: 200, "localhost": 200, "stats.example": 200, "alias.example:443": 200, "attacker.example": 421, "example": 421,
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+p.Addr+"/api/v1/metrics/window/5", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, res.StatusCode, want)
		}
	}
}
