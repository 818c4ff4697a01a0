package faults

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
)

// long makes the tests take their time: see make faults.
var long = os.Getenv("FAULTS") != ""

// binaries is the directory of the programs that are tested.
var binaries string

func TestMain(m *testing.M) {
	if os.Getenv(clockSocket) != "" {
		fmt.Fprintln(os.Stderr, "faults:", runWithClock(os.Args[1:]))
		os.Exit(1)
	}
	flag.Parse()
	flag.Set("test.parallel", "16") // they wait most of the time
	dir, err := os.MkdirTemp("", "pktvisor-faults-")
	if err == nil {
		binaries = dir
		build := exec.Command("go", "build", "-trimpath", "-o", dir, "pktvisor/cmd/pktvisord", "pktvisor/cmd/pktvisor-hub")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, failed := build.CombinedOutput(); failed != nil {
			err = fmt.Errorf("%w: %s", failed, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults: build the programs:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func needRoot(t *testing.T, commands ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			t.Skipf("this test needs the command %s", c)
		}
	}
}

// do runs a command.
func do(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// agentArgs are the arguments of an agent that replays traffic, at 250 packets a second.
func agentArgs(args ...string) []string {
	return append(append([]string{"-l", "127.0.0.1", "-p", "0", "--replay", "-H", testkit.HostSpec, "--name", "ns1"}, args...), traffic())
}

// rate is the rate of the traffic, in packets a second.
const rate = 250

// traffic returns the path of a capture of ten minutes.
var traffic = sync.OnceValue(func() string {
	path := filepath.Join(binaries, "traffic.pcap")
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := testkit.Generate(f, testkit.TrafficConfig{Packets: 600 * rate, Rate: rate, DNSShare: 1}); err != nil {
		panic(err)
	}
	return path
})

// answerLimit is how long an answer may take, on a busy machine.
const answerLimit = 10 * time.Second

// program is a running program.
type program struct{ *testkit.Program }

// startAgent starts an agent that replays traffic.
func startAgent(t *testing.T, args ...string) program {
	t.Helper()
	return program{testkit.Start(t, exec.Command(filepath.Join(binaries, "pktvisord"), agentArgs(args...)...))}
}

// try requests a path. The calling goroutine makes the connection, because its thread may be in another network namespace.
func (p program) try(path string) (status int, body []byte, err error) {
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerLimit))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// get requests a path, which must succeed.
func (p program) get(t *testing.T, path string) []byte {
	t.Helper()
	status, body, err := p.try(path)
	if err != nil || status != 200 {
		t.Fatalf("GET %s: %d %.200s, %v", path, status, body, err)
	}
	return body
}

// appState is a part of /api/v1/metrics/app.
type appState struct {
	UptimeS   int64 `json:"uptime_s"`
	StartTS   int64 `json:"start_ts"`
	Capturing bool
	Hosts     []string
	Fault     string
	LastAge   float64 `json:"last_packet_age_s"`
	Sealed    int     `json:"sealed_periods"`
	Sources   []struct{ Received int }
	State     struct {
		Waiting, Failed, Dropped int
		Error                    string
		Synced                   int64 `json:"synced_ts"`
		Crashed                  bool
		LostFrom                 int64 `json:"lost_from_ts"`
	}
	Memory struct {
		Limit  int `json:"limit_bytes"`
		Needed int `json:"needed_bytes"`
		Shed   []string
		Sheds  int
	}
}

func (p program) app(t *testing.T) (a appState) {
	t.Helper()
	var v struct{ App *appState }
	v.App = &a
	if err := json.Unmarshal(p.get(t, "/api/v1/metrics/app"), &v); err != nil {
		t.Fatal(err)
	}
	return a
}

// bucket is a part of the answer for a bucket or a window.
type bucket struct {
	Period struct {
		Start  int64 `json:"start_ts"`
		Length int64
	}
	Packets struct{ Total, In int }
}

// view returns a bucket or a window. ok is false if there is no such bucket yet.
func (p program) view(t *testing.T, path string) (b bucket, ok bool) {
	t.Helper()
	status, body, err := p.try("/api/v1/metrics/" + path)
	if err != nil || status != 200 && status != 404 {
		t.Fatalf("GET %s: %d %.200s, %v", path, status, body, err)
	}
	var v map[string]bucket
	if err := json.Unmarshal(body, &v); status == 200 && err != nil {
		t.Fatal(err)
	}
	for _, b := range v {
		return b, status == 200
	}
	return b, false
}

// buckets returns all buckets, the oldest first, the live one last.
func (p program) buckets(t *testing.T) (all []bucket) {
	t.Helper()
	for n := 0; ; n++ {
		b, ok := p.view(t, "bucket/"+strconv.Itoa(n))
		if !ok {
			return all
		}
		all = append([]bucket{b}, all...)
	}
}

// packets returns the packets of the whole window.
func (p program) packets(t *testing.T, periods int) int {
	t.Helper()
	b, _ := p.view(t, fmt.Sprintf("window/%d", periods))
	return b.Packets.Total
}

// sees waits until the log has a text.
func (p program) sees(t *testing.T, text string) {
	t.Helper()
	testkit.Eventually(t, "the log has "+text, func() bool { return strings.Contains(p.Log.String(), text) })
}

// stops ends the program by a signal and expects success.
func (p program) stops(t *testing.T) {
	t.Helper()
	if took, code := p.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d after %v", code, took)
	}
}

// kill ends the program as kill -9 does.
func (p program) kill(t *testing.T) {
	t.Helper()
	p.Stop(t, syscall.SIGKILL)
}

// counts waits until the agent has counted more packets.
func (p program) counts(t *testing.T) {
	t.Helper()
	before := p.app(t).Sources[0].Received
	testkit.Eventually(t, "packets count", func() bool {
		return p.app(t).Sources[0].Received > before && p.packets(t, 2) > 0
	})
}

// startWithState starts an agent that writes its unfinished minute every second, and waits until it has.
func startWithState(t *testing.T, dir string, args ...string) program {
	t.Helper()
	p := startAgent(t, append([]string{"--state-dir", dir, "--state-sync"}, args...)...)
	p.synced(t)
	return p
}

// synced waits until what is counted now is in the state directory.
func (p program) synced(t *testing.T) {
	t.Helper()
	p.counts(t)
	now := time.Now().Unix()
	testkit.Eventually(t, "the minute is written", func() bool { return p.app(t).State.Synced > now })
}

// keptAll checks that a directory has all packets that a program has received, each once. The program has ended by itself.
func (p program) keptAll(t *testing.T, dir string) {
	t.Helper()
	m := regexp.MustCompile(`msg=stopped received=(\d+)`).FindStringSubmatch(p.Log.String())
	if m == nil {
		t.Fatal("it has not ended by itself")
	}
	received, _ := strconv.Atoi(m[1])
	if kept := inDirectory(t, dir); kept != received || received == 0 {
		t.Errorf("the state directory has %d packets, and %d were received", kept, received)
	}
}

// inDirectory returns the packets of all minutes in a state directory.
func inDirectory(t *testing.T, dir string) (packets int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pktvsnap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := metric.ReadSnapshot(agent.Tables, data)
		if err != nil {
			t.Fatal(err)
		}
		if start, err := strconv.ParseInt(strings.Split(filepath.Base(name), ".")[0], 10, 64); err != nil || minute.Of(b.Start) != start || start%60 != 0 {
			t.Errorf("%s starts at %d", name, b.Start)
		}
		i, _ := b.Sections[0].Table.Find("total")
		packets += int(b.Sections[0].Counter(i))
	}
	return packets
}
