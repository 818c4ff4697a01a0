package chain

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/state"
)

// programs are the programs of this module, built once.
var programs = map[string]string{}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chain")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"pktvisord", "pktvisor-hub"} {
		programs[name] = filepath.Join(dir, name)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a program of this module, unless another test has, and returns its path.
func build(t *testing.T, name string) string {
	t.Helper()
	path := programs[name]
	if _, err := os.Stat(path); err != nil {
		if out, err := exec.Command("go", "build", "-pgo=off", "-o", path, "pktvisor/cmd/"+name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return path
}

// start starts a program of this module.
func start(t *testing.T, name string, args ...string) *testkit.Program {
	t.Helper()
	return testkit.Start(t, exec.Command(build(t, name), append([]string{"-l", "127.0.0.1", "-p", "0"}, args...)...))
}

// hostileNames are keys that the tables of a minute get besides those of the traffic. Names of the DNS are printed with escapes
// (RFC 1035, 5.1); names of places come from a database and are UTF-8.
var hostileNames = []string{
	strings.Repeat(`\255`, 247) + ".x", `a\000b\010\032.example`, `\"quoted\".\\back\\.example`, `<script>alert(1)<\/script>.example`, `a,b=c\ d.example`,
	`${HOME}.{{host}}.example`, "Zürich/東京", "tab\tand\nline", `9999999999999999999999`, `2026-11-30`,
}

// busyMinute is a minute of generated traffic, with hostile names in two tables, that starts at start.
func busyMinute(t testing.TB, start int64) *metric.Bucket {
	t.Helper()
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate, cfg.Packets = time.Unix(start, 0), 100, 5000
	b := testagent.Traffic(t, cfg, nil).Window().Merged(5)
	b.Start, b.End, b.Lost = start, start+minute.Seconds, 7
	for i, name := range hostileNames {
		for _, place := range []struct{ section, path string }{{"dns", "top_qname3"}, {"packets", "top_geoLoc"}} {
			s, _ := b.Section(place.section)
			at, _ := s.Table.Find(place.path)
			s.Top(at).Add([]byte(name), uint64(1_000_000-i))
		}
	}
	s, _ := b.Section("dns")
	at, _ := s.Table.Find("top_nxdomain")
	for i := range 30_000 { // more keys than the table holds, so that its rows have bounds
		s.Top(at).Add(fmt.Appendf(nil, "n%d.example", i), uint64(1+i%10))
	}
	b.Seal(8192)
	return b
}

// startAgent starts an agent that plays the demo capture and has finished the given minutes.
func startAgent(t *testing.T, finished []*metric.Bucket, args ...string) *testkit.Program {
	t.Helper()
	dir := t.TempDir()
	s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range finished {
		s.Save(b)
	}
	s.Close(nil)
	args = append(args, "--replay", "--state-dir", dir, "-H", testkit.HostSpec, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))
	return start(t, "pktvisord", args...)
}

// tries is how often a test starts over because the minute ended while it ran.
const tries = 5

// whileNewest starts an agent whose newest finished minute is busyMinute, and calls use with it and the start of the minute. If
// another minute is the newest one afterwards, it does so again, with a new agent: use must not judge what it saw.
func whileNewest(t *testing.T, use func(p *testkit.Program, last int64)) {
	t.Helper()
	for range tries {
		last := minute.Of(time.Now().Unix()) - minute.Seconds
		p := startAgent(t, []*metric.Bucket{busyMinute(t, last)})
		use(p, last)
		if s := readSummary(t, get(t, "http://"+p.Addr+"/api/v1/metrics/bucket/1")); s.start == last {
			return
		}
		p.Stop(t, os.Interrupt)
	}
	t.Fatalf("in %d tries, a minute ended each time", tries)
}

// get returns the body of a successful answer.
func get(t testing.TB, address string) []byte {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %v %.300s", address, r.StatusCode, err, body)
	}
	return body
}

// recorded is a proxy for a program that records its answers.
func recorded(t testing.TB, addr string) *Recorder {
	t.Helper()
	return &Recorder{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})}
}

// summary is what the API says about a minute: all numbers by path, and the rows of the tables by path.
type summary struct {
	start   int64
	numbers map[string]float64
	tables  map[string][]map[string]any
}

// readSummary reads an answer of bucket/N.
func readSummary(t testing.TB, body []byte) summary {
	t.Helper()
	var views map[string]any
	if err := json.Unmarshal(body, &views); err != nil || len(views) != 1 {
		t.Fatalf("%v: %.300s", err, body)
	}
	s := summary{numbers: map[string]float64{}, tables: map[string][]map[string]any{}}
	for _, view := range views {
		s.add("", view)
	}
	s.start = int64(s.numbers["period.start_ts"])
	delete(s.numbers, "period.start_ts")
	return s
}

func (s *summary) add(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			s.add(strings.TrimPrefix(path+"."+name, "."), member)
		}
	case float64:
		s.numbers[path] = v
	case []any:
		for _, row := range v {
			if row, ok := row.(map[string]any); ok && row["estimate"] != nil {
				s.tables[path] = append(s.tables[path], row)
			}
		}
	}
}

// key identifies a document by its minute and tags.
func key(start int64, tags map[string]string) string {
	return fmt.Sprint(start, " ", tags) // maps print in the order of their keys
}
