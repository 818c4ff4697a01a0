package main

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
)

// These tests run the program in separate network namespaces, which end with the tests.

// enterNetns moves the test into a new network namespace and runs the given ip commands there. The test stays on one
// thread. The thread ends with the test, and the namespace ends with the thread. Commands and connections that the test
// starts itself are in the namespace.
func enterNetns(t *testing.T, commands ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
	need(t, "ip")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	// IPv6 is off, so that no neighbour discovery mixes with the test's frames.
	for _, conf := range []string{"all", "default"} {
		os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/disable_ipv6", []byte("1"), 0)
	}
	for _, c := range append([]string{"link set lo up"}, commands...) {
		do(t, "ip", strings.Fields(c)...)
	}
	// The kernel detects the carrier a little later, and drops what is sent before.
	testkit.Eventually(t, "interfaces that are up have a carrier", func() bool {
		up, err := net.Interfaces()
		return err == nil && !slices.ContainsFunc(up, func(i net.Interface) bool {
			return i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning == 0
		})
	})
}

// vethPair lists the commands for two connected interfaces: what vtx sends, vrx receives.
var vethPair = []string{"link add vtx mtu 9000 type veth peer name vrx mtu 9000", "link set vtx up", "link set vrx up"}

func need(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			t.Skipf("this test needs the command %s", c)
		}
	}
}

// do runs a command and returns its output.
func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// timeless matches the fields in which live capture and the file mode may differ for the same packets. They depend on
// when the packets came, and on how a query without a response ends.
var timeless = regexp.MustCompile(`^period\.|^pcap\.|\.rates\.|quantiles|top_slow|timeout|xact\.counts\.open$|\.live$`)

// playTimeout is the timeout of queries for playInTime.
const playTimeout = 12 * time.Second

// playInTime sends two seconds of traffic. In the file, responses come within a second. It reports whether no response
// can have come later than playTimeout.
func playInTime(t *testing.T, path string, begun time.Time) bool {
	t.Helper()
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	return time.Since(begun) < playTimeout
}

// TestLiveEqualsFile: a live capture, by one shard or several, gives the same counters and tables as the file mode.
func TestLiveEqualsFile(t *testing.T) {
	need(t, "tcpreplay")
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Rate, cfg.Clients = 3000, 1500, 50
	cfg.Timeout = time.Second // for playInTime: no response comes later
	path, truth := writeTraffic(t, cfg)
	for _, shards := range []string{"1", "3"} {
		t.Run(shards, func(t *testing.T) {
			enterNetns(t, vethPair...)
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), []string{"--periods", "3", "-H", testkit.HostSpec, "--dns-timeout", playTimeout.String(), path}, nil, &stdout, &stderr); code != 0 {
				t.Fatalf("file mode: %d %s", code, stderr.String())
			}
			want := flatten(t, stdout.Bytes())
			p := startProcess(t, "--shards", shards, "--no-auto-host", "-H", testkit.HostSpec, "--periods", "3", "--dns-timeout", playTimeout.String(), "vrx")
			if begun := time.Now(); !playInTime(t, path, begun) {
				// Responses that the sender delayed came after their queries had timed out, so they do not match the
				// file's.
				t.Skipf("the machine is too busy: to send %d packets took %v", truth.Total.Packets, time.Since(begun))
			}
			unanswered := want["dns.xact.counts.open"] + want["dns.xact.counts.timeouts"]
			var got map[string]float64
			const orphans = "dns.xact.counts.orphans"
			testkit.Eventually(t, "all packets are counted, and all queries and responses paired or given up", func() bool {
				got = p.summary(t, "/api/v1/metrics/window/3")
				return got["packets.total"] >= float64(truth.Total.Packets) && got["dns.xact.counts.timeouts"] >= unanswered && got[orphans] >= want[orphans]
			})
			compared := 0
			for name, v := range want {
				if timeless.MatchString(name) {
					continue
				}
				compared++
				if math.Abs(got[name]-v) > 1e-9 {
					t.Errorf("%s: %v, want %v", name, got[name], v)
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok && !timeless.MatchString(name) {
					t.Errorf("%s: %v, but it is not in the file's summary", name, got[name])
				}
			}
			if compared < 100 {
				t.Errorf("only %d numbers were compared", compared)
			}
			if n := got["dns.xact.counts.timeouts"]; n != unanswered {
				t.Errorf("%v timeouts, want %v", n, unanswered)
			}
			if got["pcap.received"] != float64(truth.Total.Packets) || got["pcap.os_drops"] != 0 || got["period.lost"] != 0 {
				t.Errorf("received %v, dropped %v, lost %v", got["pcap.received"], got["pcap.os_drops"], got["period.lost"])
			}
		})
	}
}

// TestLiveDrops: every packet that a stopped process misses is reported.
func TestLiveDrops(t *testing.T) {
	need(t, "tcpreplay")
	enterNetns(t, vethPair...)
	path, truth := writeTraffic(t, testkit.TrafficConfig{Packets: 60_000, DNSShare: 1})
	p := startProcess(t, "--shards", "1", "--ring-size", "1", "--no-auto-host", "-H", testkit.HostSpec, "vrx")
	if err := p.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	do(t, "tcpreplay", "-q", "--topspeed", "-i", "vtx", path)
	if err := p.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var got map[string]float64
	sent := float64(truth.Total.Packets)
	testkit.Eventually(t, "all that was sent is either counted or reported as dropped", func() bool {
		got = p.summary(t, "/api/v1/metrics/window/2")
		return got["packets.total"]+got["pcap.os_drops"] >= sent
	})
	if got["pcap.os_drops"] == 0 || got["packets.total"]+got["pcap.os_drops"] != sent || got["pcap.received"] != got["packets.total"] {
		t.Errorf("%v sent, %v received, %v counted, %v dropped", sent, got["pcap.received"], got["packets.total"], got["pcap.os_drops"])
	}
	if got["period.lost"] != got["pcap.os_drops"] {
		t.Errorf("lost %v, dropped %v", got["period.lost"], got["pcap.os_drops"])
	}
	app := p.summary(t, "/api/v1/metrics/app")
	if app["app.drops.os_drops"] != got["pcap.os_drops"] || app["app.drops.total"] != got["pcap.os_drops"] || app["app.sources[0].freezes"] == 0 {
		t.Errorf("app says %v dropped, %v in all, %v freezes", app["app.drops.os_drops"], app["app.drops.total"], app["app.sources[0].freezes"])
	}
	_, metrics := p.get(t, "/metrics")
	if want := fmt.Sprintf("\npktvisor_lost_packets_total %v\n", got["period.lost"]); !strings.Contains(string(metrics), want) {
		t.Errorf("/metrics does not have %q", want)
	}
	if _, code := p.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestLiveInterface: the program survives and reports that the interface goes down, disappears and comes back. It
// follows changes of the addresses.
func TestLiveInterface(t *testing.T) {
	need(t, "tcpreplay")
	enterNetns(t, vethPair...)
	do(t, "ip", "addr", "add", "192.0.2.53/24", "dev", "vrx")
	path, truth := writeTraffic(t, testkit.TrafficConfig{Packets: 200, Rate: 2000, DNSShare: 1})
	p := startProcess(t, "-H", "198.51.100.0/24", "vrx")
	hosts := func() string { _, body := p.get(t, "/api/v1/metrics/app"); return string(body) }
	if !strings.Contains(hosts(), `"hosts":["198.51.100.0/24","192.0.2.53/32"]`) {
		t.Errorf("hosts are not -H and the interface's own: %s", hosts())
	}
	do(t, "ip", "addr", "add", "192.0.2.54/24", "dev", "vrx")
	testkit.Eventually(t, "a new address is a host", func() bool { return strings.Contains(hosts(), `"192.0.2.54/32"`) })
	do(t, "ip", "addr", "del", "192.0.2.54/24", "dev", "vrx")
	testkit.Eventually(t, "a removed address is not a host", func() bool { return !strings.Contains(hosts(), `"192.0.2.54/32"`) })

	ready := func(want int) func() bool {
		return func() bool { status, _ := p.get(t, "/readyz"); return status == want }
	}
	testkit.Eventually(t, "it is ready", ready(200))
	do(t, "ip", "link", "set", "vrx", "down")
	testkit.Eventually(t, "it reports that the interface is down", ready(503))
	do(t, "ip", "link", "set", "vrx", "up")
	testkit.Eventually(t, "it captures again", ready(200))
	total := func() float64 { return p.summary(t, "/api/v1/metrics/window/2")["packets.total"] }
	before := total()
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	want := float64(truth.Total.Packets)
	testkit.Eventually(t, "it counts again", func() bool { return total() >= before+want })

	do(t, "ip", "link", "del", "vtx")
	testkit.Eventually(t, "it reports that the interface is gone", ready(503))
	for _, c := range append(vethPair, "addr add 192.0.2.53/24 dev vrx") {
		do(t, "ip", strings.Fields(c)...)
	}
	testkit.Eventually(t, "it captures on the new interface with the name", ready(200))
	before = total()
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	testkit.Eventually(t, "it counts there", func() bool { return total() >= before+want })
	for _, line := range []string{"is down", "is gone", "interface is up", "host subnets changed"} {
		if !strings.Contains(p.Log.String(), line) {
			t.Errorf("the log does not have %q:\n%s", line, p.Log.String())
		}
	}
}

// TestLivePermission: without CAP_NET_RAW, a one-line error names it.
func TestLivePermission(t *testing.T) {
	need(t, "setpriv")
	enterNetns(t)
	name := testkit.Named(t, "pktvisord")
	cmd := exec.Command("setpriv", "--bounding-set=-net_raw", name, "-p", "0", "lo")
	out, _ := cmd.CombinedOutput()
	want := "pktvisord: capture on lo: no permission: it needs the capability CAP_NET_RAW; run as root or: setcap cap_net_raw,cap_bpf,cap_perfmon+ep pktvisord\n"
	if code := cmd.ProcessState.ExitCode(); code != 1 || string(out) != want {
		t.Errorf("exit code %d, %q\nwant 1, %q", code, out, want)
	}
}

// TestUnreadableFile: an unreadable file gives a one-line error. Root first has to give up the right to read
// everything.
func TestUnreadableFile(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 10})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	name := testkit.Named(t, "pktvisord")
	cmd := exec.Command(name, path)
	if os.Getuid() == 0 {
		need(t, "setpriv")
		cmd = exec.Command("setpriv", "--bounding-set=-dac_override,-dac_read_search", name, path)
	}
	out, _ := cmd.CombinedOutput()
	want := "pktvisord: open " + path + ": permission denied: make it readable, or run as a user who may read it\n"
	if code := cmd.ProcessState.ExitCode(); code != 1 || string(out) != want {
		t.Errorf("exit code %d, %q\nwant 1, %q", code, out, want)
	}
}

// number finds a number in a report.
func number(t *testing.T, report, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("no %s in:\n%s", pattern, report)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLiveDNS: real queries to a real server give the transactions that the client reports, seen from the server (in)
// and from the client (out).
func TestLiveDNS(t *testing.T) {
	need(t, "named", "dnsperf", "dig", "nsenter", "unshare", "sleep")
	enterNetns(t)
	// The client has a separate namespace, which lives as long as this process.
	client := exec.Command("unshare", "--net", "sleep", "300")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Process.Kill(); client.Wait() })
	pid := strconv.Itoa(client.Process.Pid)
	own, _ := os.Readlink("/proc/thread-self/ns/net")
	testkit.Eventually(t, "the client has its namespace", func() bool {
		theirs, err := os.Readlink("/proc/" + pid + "/ns/net")
		return err == nil && theirs != own
	})
	inClient := func(args ...string) string { return do(t, "nsenter", append([]string{"-t", pid, "-n"}, args...)...) }
	do(t, "ip", "link", "add", "srv0", "type", "veth", "peer", "name", "cli0")
	do(t, "ip", "link", "set", "cli0", "netns", pid)
	do(t, "ip", "addr", "add", "10.53.0.1/24", "dev", "srv0")
	do(t, "ip", "link", "set", "srv0", "up")
	inClient("ip", "addr", "add", "10.53.0.2/24", "dev", "cli0")
	inClient("ip", "link", "set", "cli0", "up")
	startNamed(t)
	testkit.Eventually(t, "the server answers", func() bool {
		return exec.Command("nsenter", "-t", pid, "-n", "dig", "+time=1", "+tries=1", "@10.53.0.1", "www.example.test").Run() == nil
	})

	p := startProcess(t, "srv0")
	outside := startProcess(t, "--no-auto-host", "-H", "10.53.0.2", "srv0") // as if it ran on the client
	queries := filepath.Join(t.TempDir(), "queries")
	if err := os.WriteFile(queries, []byte("www.example.test A\nmail.example.test A\nnothing.example.test A\nwww.example.test AAAA\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	report := inClient("dnsperf", "-s", "10.53.0.1", "-d", queries, "-n", "500", "-c", "4", "-q", "20")
	completed := number(t, report, `Queries completed: +([0-9]+)`)
	sent := number(t, report, `Queries sent: +([0-9]+)`)
	reportTCP := inClient("dnsperf", "-m", "tcp", "-s", "10.53.0.1", "-d", queries, "-n", "100", "-c", "4", "-q", "20")
	completedTCP := number(t, reportTCP, `Queries completed: +([0-9]+)`)
	const digs = 3
	for range digs {
		if out := inClient("dig", "@10.53.0.1", "nothing.example.test", "TXT"); !strings.Contains(out, "NXDOMAIN") {
			t.Errorf("dig: %s", out)
		}
	}
	if sent != 2000 || completedTCP != 400 {
		t.Logf("dnsperf: %v sent, %v completed, %v over TCP", sent, completed, completedTCP)
	}
	want := completed + completedTCP + digs
	for _, c := range []struct {
		p         *process
		direction string
	}{{p, "in"}, {outside, "out"}} {
		var got map[string]float64
		testkit.Eventually(t, "all transactions are counted", func() bool {
			got = c.p.summary(t, "/api/v1/metrics/window/2")
			return got["dns.xact.counts.total"] >= want
		})
		for name, v := range map[string]float64{
			"dns.xact.counts.total": want, "dns.xact." + c.direction + ".total": want, "dns.xact.counts.orphans": 0,
			"dns.wire_packets.queries": sent + completedTCP + digs, "dns.wire_packets.replies": want,
			"dns.wire_packets.tcp": 2 * completedTCP, "dns.wire_packets.nxdomain": (completed+completedTCP)/4 + digs,
			"dns.top_qtype[TXT]": 2 * digs, "dns.xact." + c.direction + ".quantiles_us.count": want, "pcap.os_drops": 0, "dns.tcp.gaps": 0,
		} {
			if got[name] != v {
				t.Errorf("%s: %s: %v, want %v", c.direction, name, got[name], v)
			}
		}
	}
}

// startNamed starts a name server with one zone on all addresses.
func startNamed(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"named.conf": `options { directory "` + dir + `"; listen-on { any; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; rate-limit { responses-per-second 0; }; tcp-clients 1000; };
controls { };
zone "example.test" { type primary; file "zone"; };
`,
		"zone": "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 300\n@ IN NS ns\nns IN A 10.53.0.1\nwww IN A 10.53.0.80\nmail IN A 10.53.0.25\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	named := exec.Command("named", "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	var log bytes.Buffer
	named.Stdout, named.Stderr = &log, &log
	if err := named.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		named.Process.Kill()
		named.Wait()
		if t.Failed() {
			t.Logf("log of named:\n%s", log.String())
		}
	})
}
