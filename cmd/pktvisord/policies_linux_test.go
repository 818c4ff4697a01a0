package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/config"
	"pktvisor/internal/testkit"
)

// change sends a document, and returns the answer. It may be called from several goroutines of a test that are in its namespace.
func (p *process) change(method, path, doc string) (status int, body string) {
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return 0, err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-yaml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", method, path, len(doc), doc)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// inNamespace starts a function on a thread in the namespace of the caller's thread.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer ns.Close()
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		f()
	}()
}

// anycast returns the example with the interfaces of a test. A query waits as long as the traffic is sent.
func anycast(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/anycast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("eth0", "vrx", "eth1", "wrx", "port: 10853", "dns-timeout: "+playTimeout.String(),
		"192.0.2.0/24,2001:db8:53::/48", testkit.HostSpec).Replace(string(text))
}

// of returns the numbers of the first window of a policy, which need not have all sections of the API's document.
func (p *process) of(t *testing.T, policy string) map[string]float64 {
	t.Helper()
	status, body := p.change("GET", "/api/v1/metrics/window/3?policy="+policy, "")
	if status != http.StatusOK {
		t.Fatalf("policy %s: %d %s", policy, status, body)
	}
	return flatten(t, []byte(body))
}

// numbers returns the numbers of the first window of a policy that do not depend on the time.
func (p *process) numbers(t *testing.T, policy string) map[string]float64 {
	all := p.of(t, policy)
	for name := range all {
		if timeless.MatchString(name) || strings.Contains(name, "xact.counts") {
			delete(all, name)
		}
	}
	return all
}

// TestPoliciesEqualAgents runs the example of twelve policies over two interfaces. One policy is replaced under load. Every number
// of every other policy equals that of a separate agent with the same filter.
func TestPoliciesEqualAgents(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("nine agents with the race detector are too slow for a replay to keep its times, and responses at the edge of the timeout fall to either side")
	}
	need(t, "tcpreplay")
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Rate, cfg.Clients, cfg.Timeout = 3000, 1500, 50, time.Second
	path, truth := writeTraffic(t, cfg)
	enterNetns(t, append([]string{"link add wtx mtu 9000 type veth peer name wrx mtu 9000", "link set wtx up", "link set wrx up"}, vethPair...)...)
	doc := filepath.Join(t.TempDir(), "anycast.yaml")
	text := anycast(t)
	if err := os.WriteFile(doc, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := config.Read(doc, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	main := startProcess(t, "--config", doc, "--no-sandbox")
	compared := []string{"default", "service", "nxdomain", "failures", "customer", "others", "tcp"}
	alone := map[string]*process{}
	for i := range set.Policies {
		p := set.Policies[i]
		for _, name := range compared {
			if p.Name != name {
				continue
			}
			one := *set
			one.Policies = set.Policies[i : i+1]
			text, err := one.YAML(nil)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), name+".yaml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			alone[name] = startProcess(t, "--config", file, "--no-sandbox", "--dns-timeout", playTimeout.String(), "--no-kernel-counters")
		}
	}
	var playing []*exec.Cmd
	for _, iface := range []string{"vtx", "wtx"} {
		c := exec.Command("tcpreplay", "-q", "-i", iface, path)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		playing = append(playing, c)
	}
	const other = "policies: {slow: {taps: [backbone], filter: {queries: true}, analyzers: dns, periods: 3}}"
	for range 2 { // the second one changes nothing
		if status, body := main.change("PUT", "/api/v1/policies/slow", other); status != http.StatusOK {
			t.Errorf("PUT: %d %s", status, body)
		}
	}
	for _, c := range playing {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "all packets are counted", func() bool {
		return main.of(t, "default")["packets.total"] >= float64(truth.Total.Packets)
	})
	for _, name := range compared {
		var got, want map[string]float64
		differ := func() (text string) {
			got, want = main.numbers(t, name), alone[name].numbers(t, name)
			for n, v := range want {
				if math.Abs(got[n]-v) > 1e-9 {
					text += fmt.Sprintf("%s: %v, and alone %v\n", n, got[n], v)
				}
			}
			if len(got) != len(want) || len(got) < 20 {
				text += fmt.Sprintf("%d numbers, and alone %d\n", len(got), len(want))
			}
			return text
		}
		for end := time.Now().Add(10 * time.Second); differ() != "" && time.Now().Before(end); {
			time.Sleep(200 * time.Millisecond)
		}
		if text := differ(); text != "" {
			t.Errorf("policy %s: %s", name, text)
		}
		if name != "customer" && got["dns.wire_packets.total"] == 0 {
			t.Errorf("policy %s counted nothing", name)
		}
	}
	if n := main.of(t, "slow"); n["dns.wire_packets.replies"] != 0 {
		t.Errorf("the policy that was replaced counts %v replies", n["dns.wire_packets.replies"])
	}
}

// TestChangesLeaveNothing: a hundred clients add, replace and remove the same policies and taps at once. Each gets an answer that says what
// happened. In the end nothing is left of what was removed: no goroutine, no socket.
func TestChangesLeaveNothing(t *testing.T) {
	enterNetns(t, vethPair...)
	p := startProcess(t, "--admin-api", "--no-kernel-counters", "vrx")
	files := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := files()
	answers := make(chan string, 300)
	for i := range 30 {
		inNamespace(t, func() {
			name := string(rune('a' + i%3))
			for _, c := range [][3]string{
				{"POST", "/api/v1/taps", "taps: {more: vtx}"},
				{"POST", "/api/v1/policies", "policies: {" + name + ": {taps: more, periods: 2}}"},
				{"PUT", "/api/v1/policies/" + name, "policies: {" + name + ": {periods: 3}}"},
				{"DELETE", "/api/v1/policies/" + name, ""},
				{"DELETE", "/api/v1/taps/more", ""},
			} {
				status, body := p.change(c[0], c[1], c[2])
				if !strings.HasPrefix(body, "{") || status >= 500 && status != http.StatusServiceUnavailable {
					answers <- fmt.Sprintf("%v: %d %s", c, status, body)
				} else {
					answers <- ""
				}
			}
		})
	}
	for range 150 {
		if a := <-answers; a != "" {
			t.Error(a)
		}
	}
	for _, path := range []string{"policies/a", "policies/b", "policies/c", "taps/more"} {
		p.change("DELETE", "/api/v1/"+path, "")
	}
	if _, body := p.get(t, "/api/v1/policies"); bytes.Contains(body, []byte(`"a":{"`)) || !bytes.Contains(body, []byte(`"default":{`)) {
		t.Errorf("policies in the end: %.300s", body)
	}
	testkit.Eventually(t, "no socket is left of the taps that are gone", func() bool { return files() <= before+2 })
}
