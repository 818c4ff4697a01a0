package faults

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"pktvisor/internal/testkit"
)

// city is a database in which all addresses of the traffic are in one city.
func city(name string) []byte {
	record := testkit.Pairs{"city", testkit.Pairs{"names", testkit.Pairs{"en", name}}}
	return testkit.GeoIP{Type: "GeoLite2-City", Built: uint64(time.Now().Unix()), Networks: []testkit.Network{
		{Prefix: "0.0.0.0/1", Record: record}, {Prefix: "128.0.0.0/1", Record: record},
	}}.Bytes()
}

// TestGeoGarbage: garbage in the place of a GeoIP database changes no name and ends no agent, neither a running one nor one that
// starts, and the next good version is used.
func TestGeoGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "city.mmdb")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func(p program, city string) {
		t.Helper()
		testkit.Eventually(t, "addresses are in "+city, func() bool {
			return strings.Contains(string(p.get(t, "/api/v1/metrics/bucket/0")), city) || strings.Contains(string(p.get(t, "/api/v1/metrics/window/5")), city)
		})
	}
	write(city("Oldtown"))
	p := startAgent(t, "--geo-city", path)
	names(p, "Oldtown")
	write([]byte(strings.Repeat("garbage ", 10_000)))
	p.sees(t, "GeoIP database was refused: the names of its last version stay in use")
	p.counts(t)
	names(p, "Oldtown")

	late := startAgent(t, "--geo-city", path)
	late.sees(t, "GeoIP database was refused: there are no names from it until a good version is there")
	late.counts(t)
	write(city("Newtown"))
	names(p, "Newtown")
	names(late, "Newtown")
	p.stops(t)
	late.stops(t)
}

// TestLogClosed: programs whose log nobody reads any more work on, and end with success.
func TestLogClosed(t *testing.T) {
	t.Parallel()
	served := regexp.MustCompile(`msg=serving url=https?://([^/]+)/`)
	for name, args := range map[string][]string{
		"pktvisord":    agentArgs("--log-level", "debug"),
		"pktvisor-hub": {"--listen", "127.0.0.1", "--port", "0", "--data", filepath.Join(t.TempDir(), "data"), "--agent", "127.0.0.1:1", "--log-level", "debug"},
	} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(binaries, name), args...)
		cmd.Stderr, cmd.Stdout = write, write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		write.Close()
		defer cmd.Process.Kill()
		p := program{&testkit.Program{Cmd: cmd}}
		for lines := bufio.NewScanner(read); p.Addr == "" && lines.Scan(); {
			if m := served.FindStringSubmatch(lines.Text()); m != nil {
				p.Addr = m[1]
			}
		}
		read.Close()
		if p.Addr == "" {
			t.Fatalf("%s does not serve", name)
		}
		for range 20 {
			if name == "pktvisord" { // which logs each; the hub logs that it does not reach its agent
				if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
			}
			p.get(t, "/healthz")
		}
		p.get(t, "/api/v1/metrics/app")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
