package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/version"
	"pktvisor/ui"
)

// pktvisor runs the program and returns its output.
func pktvisor(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, strings.NewReader(""), &out)
	return out.String(), err
}

const window = `{"2m":{"period":{"start_ts":1700000000,"length":90},"packets":{"total":12345,"udp":12000},"dns":{"wire_packets":{"total":77}}}}`

// agent serves a small window and returns its URL.
func agent(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/metrics/window/2":
			_, _ = w.Write([]byte(window))
		case "/api/v1/metrics/app":
			_, _ = w.Write([]byte(`{"app":{"version":"9.9","periods":2}}`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such route"}`))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestOnceAndJSON(t *testing.T) {
	url := agent(t)
	out, err := pktvisor(t, "--once", "--utc", "--ascii", url)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Packets 12,345", "UDP  12,000 97.2%", "agent 9.9", "22:13:20-22:14:50 UTC 90s of 2m"} {
		if !strings.Contains(out, want) {
			t.Errorf("--once lacks %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("--once has escape sequences")
	}
	host := strings.TrimPrefix(url, "http://")
	for _, args := range [][]string{{"--json", url}, {"--json", host}, {"--json", "-H", "127.0.0.1", "-p", host[strings.LastIndex(host, ":")+1:]}} {
		if out, err := pktvisor(t, args...); err != nil || out != window+"\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
}

func TestUsage(t *testing.T) {
	out, err := pktvisor(t, "--help")
	if err != nil || !strings.HasPrefix(out, "Usage:\n  pktvisor [options] [URL]") || !strings.Contains(out, "--refresh") {
		t.Errorf("--help: %v\n%s", err, out)
	}
	if out, err := pktvisor(t, "--version"); err != nil || !strings.HasPrefix(out, "pktvisor "+version.Release) {
		t.Errorf("--version: %q, %v", out, err)
	}
	if out, err := pktvisor(t, "completion", "man"); err != nil || !strings.HasPrefix(out, ".TH PKTVISOR 1 ") || !strings.Contains(out, `\fB\-\-refresh\fR`) {
		t.Errorf("completion man: %q, %v", out, err)
	}
	for args, want := range map[string]string{
		"completion tcsh":          `completion "tcsh": give bash, zsh, fish or man`,
		"--no-such":                "unknown flag: --no-such",
		"-p 0":                     "--port 0: must be 1 to 65535",
		"-p x":                     `invalid argument "x"`,
		"--refresh 1ms --window 0": "--refresh 1ms: must be 0.2s to 1m\n--window 0: must be 1 to 1440",
		"--width 4 --once":         "--width 4: must be 40 to 1000",
		"a b":                      "give one URL, not 2 arguments",
		"-H x http://y":            "give a URL or -H and -p, not both",
		"ftp://x":                  "must begin with http:// or https://",
		"--host=":                  "--host: must not be empty",
		"--tag pop":                `--tag "pop": give key=value, for example pop=ams1`,
		"--tag a=1,=2 --once":      `--tag "=2": give key=value, for example pop=ams1`,
		"--tag " + strings.Repeat("a=1,", 16) + "a=1":    "--tag: 17 tags: give at most 16",
		"--node " + strings.Repeat("x", 256) + " --once": "--node, --policy, --tap and --handler: a name has at most 255 bytes",
		"--tap eth1 --once":                              "--tap: give --policy, too",
		"http://localhost:10853/top":                     "not on a terminal: use --once for text or --json for data",
	} {
		_, err := pktvisor(t, strings.Fields(args)...)
		if err == nil || !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestSelection: a hub is asked for a part of its fleet. An agent has none.
func TestSelection(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v1/metrics/") {
			asked = r.URL.RawQuery
		} else if q := r.URL.Query(); q.Get("host") != "ns1" || len(q["tag"]) != 2 {
			t.Errorf("%s is asked about another part of the fleet", r.URL)
		}
		_, _ = w.Write([]byte(`{"app":{"version":"9.9","periods":2,"fleet":{"hosts":50,"selected":12}},` + window[1:]))
	}))
	defer s.Close()
	selection := []string{"--tag", "pop=ams1,pop=fra1", "--node", "ns1", "--policy", "dns"}
	out, err := pktvisor(t, append(selection, "--once", "--utc", "--ascii", s.URL)...)
	if err != nil || asked != "host=ns1&policy=dns&tag=pop%3Dams1&tag=pop%3Dfra1" {
		t.Errorf("asked for %s: %v", asked, err)
	}
	if want := "  fleet > pop=ams1 pop=fra1 > ns1 policy dns (12 hosts)  hub 9.9 "; !strings.Contains(out, want) {
		t.Errorf("the title lacks %q: %s", want, out)
	}
	for _, mode := range []string{"--once", "--json"} {
		out, err := pktvisor(t, append(selection, mode, agent(t))...)
		if err == nil || !strings.HasSuffix(err.Error(), ": it is an agent, not a hub, so it has no hosts to select: leave out --tag and --node") || out != "" {
			t.Errorf("%s: %q, %v", mode, out, err)
		}
	}
}

// TestTokenOfEnvironment: a token that cannot be sent is reported with its name.
func TestTokenOfEnvironment(t *testing.T) {
	t.Setenv(tokenEnv, "one\ntwo")
	if _, err := pktvisor(t, "--once", agent(t)); err == nil || !strings.Contains(err.Error(), "PKTVISOR_TOKEN in the environment: give the token, in one line") {
		t.Errorf("%v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := pktvisor(t, "--once", "-H", "::1", "-p", "1")
	if err == nil || errors.Is(err, errUsage) || !strings.HasPrefix(err.Error(), "no agent at [::1]:1: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestASCIIOnly(t *testing.T) {
	for _, c := range []struct {
		term, all, lang string
		want            bool
	}{
		{"xterm-256color", "", "", false}, {"xterm", "", "en_US.UTF-8", false}, {"xterm", "C", "en_US.UTF-8", true}, {"xterm", "", "C.utf8", false},
		{"xterm", "", "POSIX", true}, {"vt100", "", "en_US.UTF-8", true},
	} {
		env := map[string]string{"TERM": c.term, "LC_ALL": c.all, "LANG": c.lang}
		if got := asciiOnly(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestOutputWidth(t *testing.T) {
	for columns, want := range map[string]int{"": 160, "80": 80, "x": 160, "7": 160, "100000": 160} {
		if got := outputWidth(func(string) string { return columns }); got != want {
			t.Errorf("COLUMNS=%s: %d, want %d", columns, got, want)
		}
	}
}

// TestHTTPS: a file names the certificates to trust, or --insecure trusts all.
func TestHTTPS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(window)) }))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	cert := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--cacert", cert}, {"--insecure"}} {
		if out, err := pktvisor(t, append(args, "--json", s.URL)...); err != nil || out != window+"\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	if _, err := pktvisor(t, "--json", s.URL); err == nil || !strings.Contains(err.Error(), "give --cacert FILE, its CA is not trusted: certificate signed by unknown authority") {
		t.Errorf("an unknown certificate: %v", err)
	}
	for _, c := range []struct{ args, want string }{
		{"--cacert /nonexistent https://x", "--cacert: open /nonexistent"},
		{"--cacert /dev/null https://x", "--cacert: read /dev/null: not a regular file"},
		{"--insecure http://x", "need an https URL"},
		{"--cert /dev/null https://x", "--cert and --key: give both"},
		{"--cert /nonexistent --key /nonexistent https://x", "--cert: open /nonexistent"},
		{"--token-file x --basic-file y", "give one of them"},
		{"--token-file /nonexistent", "--token-file: stat /nonexistent"},
		{"--basic-file /nonexistent", "--basic-file: stat /nonexistent"},
		{"unix:", "it has no path"},
		{"--insecure", "need an https URL"},
		{"--insecure --cacert /dev/null https://x", "give only one"},
		{"--theme blue", "--theme blue: must be auto, dark or light"},
	} {
		if _, err := pktvisor(t, strings.Fields(c.args)...); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

// TestLogin: a token comes from a file or the environment, and a password from a file. The agent is reached over TCP or a Unix socket.
func TestLogin(t *testing.T) {
	var sent []string
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(window))
	})
	s := httptest.NewServer(answer)
	defer s.Close()
	dir, err := os.MkdirTemp("", "sock") // the path of a socket has room for about 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	local := httptest.NewUnstartedServer(answer)
	if local.Listener, err = net.Listen("unix", dir+"/s"); err != nil {
		t.Fatal(err)
	}
	local.Start()
	defer local.Close()
	token, password := dir+"/token", dir+"/password"
	for path, text := range map[string]string{token: "t0ken\n", password: "alice:secret\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ env, args, want string }{
		{"", "--json " + s.URL, ""},
		{"", "--json --token-file " + token + " " + s.URL, "Bearer t0ken"},
		{"other", "--json --token-file " + token + " " + s.URL, "Bearer t0ken"},
		{"other", "--json " + s.URL, "Bearer other"},
		{"", "--json --basic-file " + password + " unix:" + dir + "/s", "Basic YWxpY2U6c2VjcmV0"},
		{"", "--json -H unix:" + dir + "/s", ""},
	} {
		sent = nil
		t.Setenv("PKTVISOR_TOKEN", c.env)
		if out, err := pktvisor(t, strings.Fields(c.args)...); err != nil || out != window+"\n" {
			t.Errorf("%s: %q, %v", c.args, out, err)
		}
		if len(sent) == 0 || sent[0] != c.want {
			t.Errorf("%s: sent %q, want %q", c.args, sent, c.want)
		}
	}
}

// TestTheme: an explicit theme takes precedence. COLORFGBG gives a guess.
func TestTheme(t *testing.T) {
	for _, c := range []struct {
		asked, env string
		want       ui.Theme
	}{
		{"auto", "", ui.AskTerminal}, {"auto", "15;0", ui.GuessDark}, {"auto", "0;15", ui.GuessLight}, {"auto", "0;default;15", ui.GuessLight},
		{"auto", "0;7", ui.GuessLight}, {"auto", "15;8", ui.GuessDark}, {"auto", "12;default", ui.AskTerminal}, {"auto", "1;99", ui.AskTerminal},
		{"dark", "0;15", ui.Dark}, {"light", "15;0", ui.Light},
	} {
		if got := themeOf(c.asked, c.env); got != c.want {
			t.Errorf("--theme %s, COLORFGBG=%s: %v, want %v", c.asked, c.env, got, c.want)
		}
	}
}
