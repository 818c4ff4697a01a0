package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
	"pktvisor/sandbox"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
}

// state returns what the program says about its sandbox.
func (p *process) state(t *testing.T) (s sandbox.State) {
	t.Helper()
	var app struct {
		App struct{ Sandbox sandbox.State }
	}
	_, body := p.get(t, "/api/v1/metrics/app")
	if err := json.Unmarshal(body, &app); err != nil {
		t.Fatal(err)
	}
	return app.App.Sandbox
}

// needSandbox skips the test unless this kernel has every part of a sandbox.
func needSandbox(t *testing.T, s sandbox.State) {
	t.Helper()
	if !s.NoNewPrivs || !s.Seccomp || !s.TCP {
		t.Skipf("this test needs Landlock with TCP, and seccomp: %+v", s)
	}
}

// buildInside builds the program with what tries the sandbox from within. Its packages are those that tests use.
func buildInside(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pktvisord")
	build := exec.Command("go", "build", "-pgo=off", "-tags", "sandboxtest", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// listenHere listens on a free port of the loopback address.
func listenHere(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// openDir returns a directory that every user can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // it belongs to this test too
		t.Fatal(err)
	}
	return dir
}

// openCapture returns a capture that every user can read.
func openCapture(t *testing.T) string {
	t.Helper()
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 100, Rate: 500})
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// file writes a file that everybody may read or write.
func file(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.WriteFile(path, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// inside is what each try from within gives.
var inside = map[string]string{
	"read-inside": "ok", "read-new-inside": "ok", "create-writable": "ok", "remove-writable": "ok", "connect-allowed": "ok", "socket-packet": "ok", "socket-route": "ok",
	// Either Landlock or the permissions of a file deny this.
	"write-readable": "EACCES", "create-readable": "EACCES", "read-outside": "EACCES", "list-outside": "EACCES", "write-outside": "EACCES", "create-outside": "EACCES",
	"mkdir-outside": "EACCES", "remove-outside": "EACCES", "read-shadow": "EACCES", "read-init": "EACCES", "write-memory": "EACCES", "connect-other": "EACCES", "bind": "EACCES",
	// seccomp.
	"link-inside": "EPERM", "symlink": "EPERM", "connect-mptcp": "EPERM", "socket-raw": "EPERM", "socket-unix": "EPERM", "socket-netfilter": "EPERM", "socket-vsock": "EPERM",
	"exec": "EPERM", "fork": "EPERM", "kill-parent": "EPERM", "become-root": "EPERM", "mount": "EPERM", "unshare": "EPERM", "ptrace": "EPERM", "load-bpf": "EPERM",
	"io_uring": "EPERM", "keyctl": "EPERM", "memfd": "EPERM", "handle": "EPERM", "limit": "EPERM", "executable-memory": "EPERM", "push-input": "EPERM",
	"newer-kernel": "ENOSYS",
}

// TestSandboxInside: an attacker who has taken the process over cannot do what the process does not need, from any thread.
func TestSandboxInside(t *testing.T) {
	if testing.Short() {
		t.Skip("this test builds a program")
	}
	needRoot(t)
	program := buildInside(t)
	readable, outside, state := openDir(t), openDir(t), filepath.Join(openDir(t), "deep", "state")
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	list := file(t, readable, "file")
	file(t, readable, "file2")
	file(t, outside, "file")
	try := map[string]any{"Readable": readable, "Writable": state, "Outside": outside, "Allowed": listenHere(t), "Other": listenHere(t)}
	text, err := json.Marshal(try)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-l", "127.0.0.1", "-p", "0", "--no-kernel-counters", "--state-dir", state, "--public-suffix-list", suffixes(t, list), "--push", fmt.Sprintf("nats://127.0.0.1:%d", try["Allowed"]), "lo")
	cmd.Env = append(os.Environ(), "PKTVISOR_TRY_INSIDE="+string(text))
	p := &process{Program: testkit.Start(t, cmd)}
	needSandbox(t, sandboxOf(p.Log.String()))
	tried := map[string][]string{} // what each thread got
	for _, m := range regexp.MustCompile(`(?m)^tried (\d) (\S+) (.*)$`).FindAllStringSubmatch(p.Log.String(), -1) {
		tried[m[2]] = append(tried[m[2]], m[3])
	}
	for name, want := range inside {
		if got := tried[name]; !slices.Equal(got, []string{want, want, want, want}) {
			t.Errorf("%s: %q, want %s on each of four threads", name, got, want)
		}
	}
	for name := range tried {
		if inside[name] == "" {
			t.Errorf("%s is not expected", name)
		}
	}
	if got, err := os.ReadFile(filepath.Join(outside, "file")); err != nil || string(got) != "# nothing\n" {
		t.Errorf("the file outside is %q, %v", got, err)
	}
}

// sandboxOf returns what a log says about the sandbox.
func sandboxOf(log string) (s sandbox.State) {
	line := regexp.MustCompile(`(?m)^.*msg="sandbox .*$`).FindString(log)
	s.NoNewPrivs, s.TCP, s.Seccomp = strings.Contains(line, "no_new_privs=true"), strings.Contains(line, "tcp=true"), strings.Contains(line, "seccomp=true")
	return s
}

// suffixes writes a public suffix list into a file.
func suffixes(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("// ===BEGIN ICANN DOMAINS===\ncom\n// ===END ICANN DOMAINS===\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// owner returns the ID of the user who owns a file.
func owner(t *testing.T, path string) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid)
}

// TestSandboxUser: root becomes nobody, and gives it the state directory that it makes. It stays root, without capabilities, if an
// existing directory of root would be lost to it.
func TestSandboxUser(t *testing.T) {
	needRoot(t)
	capture := openCapture(t)
	replay := func(args ...string) []string { return append(args, "--replay", "-H", testkit.HostSpec, capture) }
	t.Run("new directory", func(t *testing.T) {
		dir := filepath.Join(openDir(t), "a", "state")
		p := startProcess(t, replay("--state-dir", dir)...)
		s := p.state(t)
		if s.User != "nobody" || len(s.Capabilities) != 0 || owner(t, dir) == 0 || owner(t, filepath.Join(dir, "lock")) != owner(t, dir) {
			t.Errorf("%+v, the directory belongs to %d", s, owner(t, dir))
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
		uid := owner(t, dir)
		if want := fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", uid); err != nil || !strings.Contains(string(status), want) || !strings.Contains(string(status), "\nGroups:\t \n") {
			t.Errorf("%v\n%s", err, status)
		}
		if took, code := p.Stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d after %v", code, took)
		}
		if files, err := filepath.Glob(filepath.Join(dir, "*.pktvsnap")); err != nil || len(files) == 0 {
			t.Errorf("no minute is in %s: %v", dir, err)
		}
		if p = startProcess(t, replay("--state-dir", dir)...); p.state(t).User != "nobody" {
			t.Errorf("at the next start: %+v", p.state(t))
		}
	})
	old := openDir(t) // belongs to root
	t.Run("directory of root", func(t *testing.T) {
		p := startProcess(t, replay("--state-dir", old)...)
		s := p.state(t)
		want := "the user stays root, because user nobody cannot write " + old + ": chown -R nobody: " + old
		if s.User != "root" || len(s.Capabilities) != 0 || len(s.Missing) == 0 || !strings.HasPrefix(s.Missing[0], want) {
			t.Errorf("%+v, want %s", s, want)
		}
		if took, code := p.Stop(t, syscall.SIGTERM); code != 0 || p.Log.String() == "" {
			t.Errorf("exit code %d after %v", code, took)
		}
		if files, err := filepath.Glob(filepath.Join(old, "*.pktvsnap")); err != nil || len(files) == 0 {
			t.Errorf("no minute is in %s: %v", old, err)
		}
	})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"required":        {replay("--state-dir", old, "--require-sandbox"), "pktvisord: --require-sandbox: the user stays root, because user nobody cannot write "},
		"given":           {replay("--state-dir", old, "--user", "nobody"), "pktvisord: --user nobody: that user cannot write " + old + ": chown -R nobody: " + old + "\n"},
		"unknown":         {replay("--user", "no.such.user"), "pktvisord: --user no.such.user: that user does not exist: create it with useradd --system --no-create-home no.such.user\n"},
		"contradiction":   {replay("--no-sandbox", "--require-sandbox"), "pktvisord: --no-sandbox and --require-sandbox: give one of them\n"},
		"off with a user": {replay("--no-sandbox", "--user", "nobody"), "pktvisord: --user: not with --no-sandbox\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(testkit.Named(t, "pktvisord"), append([]string{"-l", "127.0.0.1", "-p", "0"}, c.args...)...).CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), c.want) {
				t.Errorf("%v, %s\nwant %s", err, out, c.want)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		p := startProcess(t, replay("--no-sandbox")...)
		if s := p.state(t); !s.Off || s.User != "root" || s.NoNewPrivs || !strings.Contains(p.Log.String(), `msg="sandbox is switched off"`) {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a number", func(t *testing.T) {
		p := startProcess(t, replay("--user", "61234")...)
		if s := p.state(t); s.User != "61234" || owner(t, fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid)) != 0 { // not dumpable, so that it belongs to root
			t.Errorf("%+v", s)
		}
	})
}

// TestSandboxUserNamespace: root of a user namespace without other users keeps its number, and is confined.
func TestSandboxUserNamespace(t *testing.T) {
	capture := openCapture(t)
	cmd := exec.Command(testkit.Named(t, "pktvisord"), "-l", "127.0.0.1", "-p", "0", "--replay", "-H", testkit.HostSpec, capture)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := exec.Command("unshare", "-U", "true").Run(); err != nil {
		t.Skipf("this test needs user namespaces: %v", err)
	}
	p := &process{Program: testkit.Start(t, cmd)}
	s := sandboxOf(p.Log.String())
	needSandbox(t, s)
	if log := p.Log.String(); !strings.Contains(log, `missing="the user stays root: become user nobody: `) || !strings.Contains(log, "capabilities=none") {
		t.Errorf("%s", log)
	}
}

// TestSandboxFileCapabilities: an ordinary user with CAP_NET_RAW on the program captures, confined, and all parts are in place.
func TestSandboxFileCapabilities(t *testing.T) {
	need(t, "setcap")
	enterNetns(t, vethPair...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(openDir(t), "pktvisord")
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("setcap", "cap_net_raw+ep", program).CombinedOutput(); err != nil {
		t.Skipf("this test needs file capabilities: %v %s", err, out)
	}
	cmd := exec.Command(program, "-l", "127.0.0.1", "-p", "0", "vrx")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61234, Gid: 61234}}
	p := &process{Program: testkit.Start(t, cmd)}
	needSandbox(t, sandboxOf(p.Log.String()))
	want := `msg="sandbox is in place" user=61234 capabilities=cap_net_raw `
	if !strings.Contains(p.Log.String(), want) {
		t.Errorf("the log does not have %s:\n%s", want, p.Log.String())
	}
	do(t, "ip", "link", "del", "vtx")
	testkit.Eventually(t, "the interface is gone", func() bool { return strings.Contains(p.Log.String(), "interface vrx is gone") })
	for _, c := range vethPair {
		do(t, "ip", strings.Fields(c)...)
	}
	testkit.Eventually(t, "it captures again", func() bool { return strings.Contains(p.Log.String(), `msg="interface is up" iface=vrx`) })
}

// replaceBy replaces a file as programs do that renew it.
func replaceBy(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// certificate returns a certificate of its own for 127.0.0.1, and its key.
func certificate(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// TestSandboxReload: certificates, users and databases are read again inside the sandbox, also a key that only root can read. A
// directory is a link that moves, as those of certificates often are.
func TestSandboxReload(t *testing.T) {
	needRoot(t)
	dir, capture := openDir(t), openCapture(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	list := suffixes(t, at("list"))
	replaceBy(t, list, []byte("com\n"), 0o644)
	geo := testkit.GeoIP{Type: "test City", Built: 1, Networks: []testkit.Network{{Prefix: "192.0.2.0/24", Record: testkit.Pairs{"city", testkit.Pairs{"names", testkit.Pairs{"en", "One"}}}}}}
	replaceBy(t, at("city.mmdb"), geo.Bytes(), 0o644)
	one := sha256.Sum256([]byte("one"))
	replaceBy(t, at("users"), fmt.Appendf(nil, "read a sha256:%x\n", one), 0o600)
	for _, version := range []string{"first", "second"} {
		cert, key := certificate(t, version)
		if err := os.Mkdir(at(version), 0o755); err != nil {
			t.Fatal(err)
		}
		replaceBy(t, filepath.Join(at(version), "cert"), cert, 0o644)
		replaceBy(t, filepath.Join(at(version), "key"), key, 0o600)
	}
	if err := os.Symlink("first", at("tls")); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, "--tls-cert", at("tls/cert"), "--tls-key", at("tls/key"), "--auth-file", at("users"),
		"--geo-city", at("city.mmdb"), "--public-suffix-list", list, capture)
	needSandbox(t, sandboxOf(p.Log.String()))
	if want := "user nobody cannot read " + at("tls/key"); !strings.Contains(p.Log.String(), want) || !strings.Contains(p.Log.String(), "user=nobody capabilities=cap_dac_read_search ") {
		t.Errorf("the log does not say that %s:\n%s", want, p.Log.String())
	}
	ask := func(token string) (status int, name string) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		req, err := http.NewRequest(http.MethodGet, "https://"+p.Addr+"/api/v1/metrics/app", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.TLS.PeerCertificates[0].Subject.CommonName
	}
	if status, name := ask("one"); status != 200 || name != "first" {
		t.Errorf("%d from %s", status, name)
	}
	two := sha256.Sum256([]byte("two"))
	replaceBy(t, at("users"), fmt.Appendf(nil, "read a sha256:%x\n", two), 0o600)
	if err := os.Symlink("second", at("tls.new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at("tls.new"), at("tls")); err != nil {
		t.Fatal(err)
	}
	geo.Built = 1_700_000_000
	replaceBy(t, at("city.mmdb"), geo.Bytes(), 0o644)
	testkit.Eventually(t, "the new users and certificate are in use", func() bool {
		status, name := ask("two")
		return status == 200 && name == "second"
	})
	testkit.Eventually(t, "the new database is in use", func() bool {
		return strings.Contains(p.Log.String(), `msg="GeoIP database has changed and was loaded"`)
	})
	replaceBy(t, list, []byte("com\norg\n"), 0o644)
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "both are reloaded", func() bool {
		return strings.Contains(p.Log.String(), `msg="hangup: public suffix list reloaded" rules=2`) && strings.Contains(p.Log.String(), `msg="hangup: GeoIP databases reloaded"`)
	})
	if strings.Contains(p.Log.String(), "level=ERROR") {
		t.Errorf("%s", p.Log.String())
	}
}

// TestSandboxFile: a file is summarised, and a report written, with the rights of another user where that is possible.
func TestSandboxFile(t *testing.T) {
	needRoot(t)
	capture := openCapture(t)
	private := filepath.Join(t.TempDir(), "private.pcap") // only for root
	content, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(private, content, 0o600); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(openDir(t), "report.html")
	run := func(args ...string) ([]byte, error) {
		return exec.Command(testkit.Named(t, "pktvisord"), append(args, "-H", testkit.HostSpec)...).CombinedOutput()
	}
	for _, path := range []string{capture, private} {
		out, err := run("--summary", path)
		if err != nil || summaryOf(t, out) != 100 {
			t.Errorf("%s: %v, %s", path, err, out)
		}
	}
	key := filepath.Join(t.TempDir(), "key") // only for root, and in another directory
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 48)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("--summary", "--anonymize", "--anonymize-key-file", key, capture); err != nil || summaryOf(t, out) != 100 {
		t.Errorf("with a key: %v, %s", err, out)
	}
	if out, err := run("--summary", "--require-sandbox", capture); err != nil {
		t.Skipf("this test needs Landlock with TCP, and seccomp: %v %s", err, out)
	}
	if out, err := run("--summary", "--require-sandbox", private); err == nil || !strings.HasPrefix(string(out), "pktvisord: --require-sandbox: user nobody cannot read "+private) {
		t.Errorf("%v, %s", err, out)
	}
	if out, err := run("report", "--base", private, "-o", report, capture); err != nil || owner(t, report) != 0 {
		t.Errorf("%v, %s", err, out)
	}
}

// TestSandboxCounters: a ring with a filter that is opened again inside the sandbox is counted in the kernel as before, although no
// program can be loaded any more.
func TestSandboxCounters(t *testing.T) {
	enterNetns(t, vethPair...)
	p := startProcess(t, "-b", "udp or tcp", "--shards", "2", "vrx")
	counting := func() bool {
		_, app := p.get(t, "/api/v1/metrics/app")
		return strings.Contains(string(app), `"kernel":{"counting":true}`)
	}
	if !counting() {
		t.Skip("this test needs counters in the kernel")
	}
	needSandbox(t, sandboxOf(p.Log.String()))
	do(t, "ip", "link", "del", "vtx")
	testkit.Eventually(t, "the interface is gone", func() bool { return strings.Contains(p.Log.String(), "interface vrx is gone") })
	for _, c := range vethPair {
		do(t, "ip", strings.Fields(c)...)
	}
	testkit.Eventually(t, "it captures again", func() bool { return strings.Contains(p.Log.String(), `msg="interface is up" iface=vrx`) })
	if s := p.state(t); !counting() || s.User != "nobody" || !slices.Equal(s.Capabilities, []string{"cap_net_raw"}) {
		t.Errorf("counting: %v, %+v\n%s", counting(), s, p.Log.String())
	}
}
