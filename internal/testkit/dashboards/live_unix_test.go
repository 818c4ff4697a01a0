//go:build unix

package dashboards

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// hosts are the host subnets of both agents.
const hosts = "192.0.2.0/24,2001:db8:53::/48"

// replayed are the captures that the second agent gets, one after the other.
var replayed = []string{"dns-udp.pcap", "dns-tcp.pcap", "unanswered.pcap"}

// live is two agents and a hub, and two Prometheus servers that scrape them: one with classic histograms, one with native ones.
// The first agent replays the demo in a loop, and the hub fetches from it. The second pushes, and gets each packet of the captures once, in one minute.
type live struct {
	ns1, ns2, hub   *testkit.Program
	classic, native *testkit.Prometheus
	// minute is the start of the minute with the packets of the second agent. at is a time at which this is the newest
	// finished minute of the agents and the hub.
	minute int64
	at     float64
}

// servers returns the Prometheus servers by name.
func (l *live) servers() map[string]*testkit.Prometheus {
	return map[string]*testkit.Prometheus{"classic": l.classic, "native": l.native}
}

// pushTo matches the address to which agents push.
var pushTo = regexp.MustCompile(`msg="accepting pushed minutes" nats=(\S+)`)

// build compiles a program of this repository.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-pgo=off", "-o", path, "pktvisor/cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// start starts everything, and returns when all of them have the minute.
func start(t *testing.T) *live {
	t.Helper()
	pktvisord, root := build(t, "pktvisord"), testkit.RepoRoot(t)
	captures := testkit.Captures(t)
	fifo := filepath.Join(t.TempDir(), "packets")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	packets, err := os.OpenFile(fifo, os.O_RDWR, 0) // not only to write, which waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	head, body := traffic(t, captures)
	if _, err := packets.Write(head); err != nil {
		t.Fatal(err)
	}
	agent := func(name, pop, target string, more ...string) *testkit.Program {
		geo := filepath.Join(root, "testdata", "geoip", "demo.mmdb")
		args := []string{"--replay", "-l", "127.0.0.1", "-p", "0", "--name", name, "--tag", "pop=" + pop, "-H", hosts, "--geo-city", geo, "--geo-asn", geo}
		return testkit.Start(t, exec.Command(pktvisord, append(append(args, more...), target)...))
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("of the test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := new(live)
	l.ns1 = agent("ns1", "ams1", filepath.Join(captures, "demo.pcap.gz"), "--state-dir", t.TempDir())
	l.hub = testkit.Start(t, exec.Command(build(t, "pktvisor-hub"), "-l", "127.0.0.1", "-p", "0", "--data", filepath.Join(t.TempDir(), "hub"),
		"--agent", l.ns1.Addr, "--nats-listen", "127.0.0.1:0", "--nats-token-file", token))
	nats := pushTo.FindStringSubmatch(l.hub.Log.String())
	if nats == nil {
		t.Fatal("the hub does not say where it accepts minutes")
	}
	l.ns2 = agent("ns2", "fra1", fifo, "--push", "nats://"+nats[1], "--push-token-file", token)
	l.classic = testkit.StartPrometheus(t, l.config(root))
	l.native = testkit.StartPrometheus(t, l.config(root), "--enable-feature=native-histograms")
	t.Cleanup(func() {
		for name, server := range l.servers() {
			if t.Failed() {
				up, err := server.Query("up", 0)
				t.Logf("%s: up: %v %v", name, up, err)
				minutes, err := server.Query("pktvisor_minute_start_time_seconds", 0)
				t.Logf("%s: minutes: %v %v, want %d", name, minutes, err, l.minute)
			}
		}
	})
	everywhere := func(query string, want float64) func() bool {
		return func() bool { return l.classic.Value(t, query) >= want && l.native.Value(t, query) >= want }
	}
	// A hub knows a tag after the first minute of a host with it. The second agent has no minute before its first packet.
	first := time.Now().Unix()/60*60 + 61
	testkit.Within(t, 2*time.Minute, "the first minute is over", func() bool { return time.Now().Unix() >= first })
	testkit.Eventually(t, "everything is scraped", everywhere(`count(count_over_time(pktvisor_build_info[2m]) >= 2)`, 4))
	testkit.Within(t, 2*time.Minute, "the minute is young enough", func() bool { s := time.Now().Unix() % 60; return 0 < s && s < 35 })
	l.minute = time.Now().Unix() / 60 * 60
	go packets.Write(body) // The end of it stays in the pipe.
	testkit.Within(t, 2*time.Minute, "the minute is over", func() bool { return time.Now().Unix() >= l.minute+61 })
	testkit.Eventually(t, "all have the minute", everywhere(fmt.Sprintf("count(pktvisor_minute_start_time_seconds == %d and count_over_time(pktvisor_start_time_seconds[30s]) >= 3)", l.minute), 5))
	l.at = float64(time.Now().UnixMilli()) / 1000
	return l
}

// config is the configuration of Prometheus, like that in docs/grafana.md.
func (l *live) config(root string) string {
	rules := filepath.Join(root, "examples", "prometheus")
	return fmt.Sprintf(`
global: {scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 3s}
rule_files: [%q, %q]
scrape_configs:
- job_name: pktvisor
  static_configs:
  - {targets: [%q], labels: {pop: ams1}}
  - {targets: [%q], labels: {pop: fra1}}
- job_name: pktvisor-hub
  static_configs: [{targets: [%[5]q]}]
- job_name: pktvisor-pop
  static_configs:
  - {targets: [%[5]q], labels: {pop: ams1, __param_tag: pop=ams1}}
  - {targets: [%[5]q], labels: {pop: fra1, __param_tag: pop=fra1}}
`, filepath.Join(rules, "pktvisor-recording.yml"), filepath.Join(rules, "pktvisor-alerts.yml"), l.ns1.Addr, l.ns2.Addr, l.hub.Addr)
}

// traffic returns the header of a capture file, and its packets: those of the captures, one capture a second after the
// other, and then frames of an hour later, which make the agent read all that come before.
func traffic(t *testing.T, captures string) (head, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := testkit.NewPcapWriter(&b, false, linktype.Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	const second = int64(time.Second)
	start, newest := 1_700_000_000*second, int64(0)
	put := func(at int64, frame []byte) {
		newest = max(newest, at)
		if err := w.Write(at, frame); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range replayed {
		file, err := os.ReadFile(filepath.Join(captures, name))
		if err != nil {
			t.Fatal(err)
		}
		first := int64(0)
		for file = file[24:]; len(file) > 0; {
			at := int64(binary.LittleEndian.Uint32(file))*second + int64(binary.LittleEndian.Uint32(file[4:]))*1000
			if first == 0 {
				first = at
			}
			n := 16 + int(binary.LittleEndian.Uint32(file[8:]))
			put(start+at-first, file[16:n])
			file = file[n:]
		}
		start = newest + second
	}
	for range 2000 {
		put(start+3600*second, make([]byte, 60))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[:24], b.Bytes()[24:]
}

// answers are the sums of what tshark says about the captures of the second agent.
func answers(t *testing.T) *testkit.Answers {
	t.Helper()
	sum := &testkit.Answers{Rcodes: make(map[string]uint64), Qtypes: make(map[string]uint64)}
	for _, name := range replayed {
		a, err := testkit.LoadAnswers(filepath.Join(testkit.Captures(t), name+".answers.json"))
		if err != nil {
			t.Fatal(err)
		}
		sum.Packets += a.Packets
		sum.Bytes += a.Bytes
		sum.UDP += a.UDP
		sum.TCP += a.TCP
		sum.IPv4 += a.IPv4
		sum.IPv6 += a.IPv6
		sum.TCPSyn += a.TCPSyn
		sum.Messages += a.Messages
		sum.Queries += a.Queries
		sum.Replies += a.Replies
		sum.DNSTCP += a.DNSTCP
		sum.EDNS += a.EDNS
		sum.ECS += a.ECS
		for name, n := range a.Rcodes {
			sum.Rcodes[name] += n
		}
		for name, n := range a.Qtypes {
			sum.Qtypes[name] += n
		}
	}
	return sum
}

// view fetches the JSON of the minute from an agent or hub. Its members are flattened to paths.
func (l *live) view(t *testing.T, p *testkit.Program, path string) map[string]any {
	t.Helper()
	r, err := http.Get("http://" + p.Addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var doc map[string]map[string]any
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]any)
	for _, summary := range doc {
		flatten(all, "", summary)
	}
	if got := all["period.start_ts"]; got != float64(l.minute) {
		t.Fatalf("%s%s is the minute %v, want %d: the machine is too slow", p.Addr, path, got, l.minute)
	}
	return all
}

func flatten(all map[string]any, prefix string, v any) {
	o, ok := v.(map[string]any)
	if !ok {
		all[prefix] = v
		return
	}
	for name, below := range o {
		path := name
		if prefix != "" {
			path = prefix + "." + name
		}
		flatten(all, path, below)
	}
}
