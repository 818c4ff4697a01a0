package access

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/internal/testkit"

	"golang.org/x/crypto/bcrypt"
)

// write writes a file of a test and returns its path.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sha(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func hash(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// guard returns a guard with an auth file of the given text.
func guard(t testing.TB, text string) *Guard {
	t.Helper()
	g, err := Open(Config{AuthFile: write(t, filepath.Join(t.TempDir(), "auth"), text)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// request returns a request from a client with a header Authorization, unless it is empty.
func request(method, path, from, authorization string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = from
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

func basic(name, password string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// status returns the status that a guard gives a request; 200 if it is allowed.
func status(g *Guard, r *http.Request) int {
	if d := g.Check(r); d != nil {
		return d.Status
	}
	return http.StatusOK
}

func TestCheck(t *testing.T) {
	g := guard(t, "# users\n\nread prometheus "+hash(t, "pass word")+"\nadmin alice "+sha("t0ken")+"\nread alice "+hash(t, "old")+"\n")
	for _, c := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", "/metrics", "", 401},
		{"GET", "/metrics", basic("prometheus", "pass word"), 200},
		{"HEAD", "/metrics", basic("prometheus", "pass word"), 200},
		{"GET", "/metrics", basic("prometheus", "pass"), 401},
		{"GET", "/metrics", basic("alice", "pass word"), 401},
		{"GET", "/metrics", basic("prometheu", "spass word"), 401}, // the name's end is part of what is remembered
		{"POST", "/x", basic("prometheus", "pass word"), 403},
		{"GET", "/x", "Bearer t0ken", 200},
		{"DELETE", "/x", "bearer  t0ken", 200},
		{"POST", "/x", basic("alice", "t0ken"), 200}, // a browser only has a field for a password
		{"POST", "/x", basic("alice", "old"), 403},
		{"GET", "/x", "Bearer t0kem", 401},
		{"GET", "/x", "Bearer", 401},
		{"GET", "/x", "Bearer " + strings.Repeat("x", 9000), 401},
		{"GET", "/x", "Basic !!!", 401},
		{"GET", "/healthz", "", 200},
		{"GET", "/readyz", "", 200},
		{"GET", "/healthz/", "", 401},
	} {
		g.failures = newBuckets(failedRate, failedBurst)
		for range 2 { // the second time, a right password is remembered
			if got := status(g, request(c.method, c.path, "192.0.2.1:1234", c.authorization)); got != c.want {
				t.Errorf("%s %s %.40q: %d, want %d", c.method, c.path, c.authorization, got, c.want)
			}
		}
	}
	if d := g.Check(request("GET", "/", "192.0.2.1:1", "")); d == nil || !strings.Contains(d.Challenge, "Basic ") || !strings.Contains(d.Challenge, "Bearer ") {
		t.Errorf("the challenge of %+v", d)
	}
	if open, err := Open(Config{}); err != nil || status(open, request("POST", "/", "192.0.2.1:1", "")) != 200 {
		t.Errorf("without an auth file: %v", err)
	}
}

func TestParseUsers(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "it has no user",
		"# none\n":               "it has no user",
		"read a":                 "line 1: 2 words",
		"write a " + sha("x"):    `line 1: "write" is not a role`,
		"\nread a:b " + sha("x"): `line 2: "a:b" is not a name`,
		"read a sha256:00":       "line 1: the hash of a: give the 64",
		"read a " + sha(""):      "line 1: the hash of a is that of an empty token",
		"read a secret":          "line 1: the hash of a is neither",
		"read a $2y$31$" + strings.Repeat("a", 53): "has cost 31",
		strings.Repeat("read a "+sha("x")+"\n", 5): "line 5: more than 4 lines for a",
		"x\ny": "line 2: 1 words",
	} {
		_, err := ParseUsers([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v repeats a secret", err)
		}
	}
	if _, err := ParseUsers([]byte(strings.Repeat("x\n", 5000))); err == nil || strings.Count(err.Error(), "\n") != maxMistakes {
		t.Errorf("many mistakes: %.200v", err)
	}
	var many strings.Builder
	for i := range maxUsers + 1 {
		fmt.Fprintf(&many, "read n%d %s\n", i, sha("x"))
	}
	if _, err := ParseUsers([]byte(many.String())); err == nil || !strings.Contains(err.Error(), "more than 4096 users") {
		t.Errorf("many users: %v", err)
	}
	if u, err := ParseUsers([]byte("read a " + sha("x") + "\nadmin b " + sha("x"))); err != nil || u.token("x") != Admin || u.remembered("a", "x") != Read {
		t.Errorf("one token of two users: %v", err)
	}
}

// TestGuesses: a client that guesses has ten tries, and then one in six seconds. It does not shut out others, nor those of its own
// address who know their password.
func TestGuesses(t *testing.T) {
	g := guard(t, "read a "+hash(t, "right"))
	now := time.Unix(1_800_000_000, 0)
	g.now = func() time.Time { return now }
	guess := func(from, password string) int { return status(g, request("GET", "/", from, basic("a", password))) }
	if got := guess("192.0.2.1:1", "right"); got != 200 {
		t.Fatal(got)
	}
	for i := range 10 {
		if got := guess("192.0.2.1:1", fmt.Sprint(i)); got != 401 {
			t.Errorf("guess %d: %d", i, got)
		}
	}
	if d := g.Check(request("GET", "/", "192.0.2.1:9", "Bearer x")); d == nil || d.Status != 429 || d.Wait.Round(time.Millisecond) != 6*time.Second {
		t.Errorf("the next guess: %+v", d)
	}
	if got := guess("192.0.2.1:1", "right"); got != 200 {
		t.Errorf("who has logged in before: %d", got)
	}
	if got := guess("192.0.2.2:1", "wrong"); got != 401 {
		t.Errorf("another client: %d", got)
	}
	now = now.Add(6*time.Second + time.Millisecond)
	if a, b := guess("192.0.2.1:1", "x"), guess("192.0.2.1:1", "y"); a != 401 || b != 429 {
		t.Errorf("after six seconds: %d, %d; want 401, 429", a, b)
	}
}

// TestGuessesAtOnce: guesses that come at once do not all pass.
func TestGuessesAtOnce(t *testing.T) {
	g := guard(t, "read a "+hash(t, "right"))
	now := time.Unix(1_800_000_000, 0)
	g.now = func() time.Time { return now }
	var all sync.WaitGroup
	var wrong atomic.Int32
	for i := range 60 {
		all.Go(func() {
			if status(g, request("GET", "/", "192.0.2.1:1", basic("a", fmt.Sprint(i)))) == 401 {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() > failedBurst {
		t.Errorf("%d guesses were checked, want at most %d", wrong.Load(), failedBurst)
	}
	// A right password costs nothing.
	g = guard(t, "read a "+hash(t, "right"))
	g.now = func() time.Time { return now }
	for i := range 30 {
		g.users.Load().known = map[[sha256.Size]byte]Role{} // as if it were new
		if got := status(g, request("GET", "/", "192.0.2.1:1", basic("a", "right"))); got != 200 {
			t.Errorf("log-in %d: %d", i, got)
		}
	}
}

// TestRequests: a client may send a number of requests at once, and then some a second. Clients on this host are not counted.
func TestRequests(t *testing.T) {
	g, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	g.now = func() time.Time { return now }
	allowed := func(from func(i int) string, n int) (k int) {
		for i := range n {
			if g.Limit(request("GET", "/", from(i), "")) == nil {
				k++
			}
		}
		return k
	}
	one := func(int) string { return "192.0.2.1:1" }
	if got := allowed(one, 3000); got != requestBurst {
		t.Errorf("%d of 3000 requests at once, want %d", got, requestBurst)
	}
	now = now.Add(time.Second)
	if got := allowed(one, 3000); got != requestRate {
		t.Errorf("%d a second later, want %d", got, requestRate)
	}
	now = now.Add(-time.Hour) // the clock was set back
	if got := allowed(one, 1); got != 0 {
		t.Error("a clock that is set back gives more requests")
	}
	if got := allowed(func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i) }, 3000); got != requestBurst {
		t.Errorf("%d of 3000 requests of a /64, want %d", got, requestBurst)
	}
	for _, local := range []string{"127.0.0.1:1", "[::1]:1", "@", ""} {
		if got := allowed(func(int) string { return local }, 3000); got != 3000 {
			t.Errorf("%d of 3000 requests from %q", got, local)
		}
	}
	allowed(func(i int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff) }, 3*maxClients)
	if n := len(g.requests.clients); n > maxClients {
		t.Errorf("%d clients are known", n)
	}
}

func TestClient(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::", "fe80::1%eth0": "fe80::",
	} {
		if got := Client(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

// TestTLS: a server speaks TLS, asks for a certificate of the client, and takes a new certificate of its own for new
// connections. A key that does not fit leaves the old pair.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	root, ca, _ := (*testkit.Authority)(nil).Issue(t, dir, "root")
	other, _, _ := (*testkit.Authority)(nil).Issue(t, dir, "other")
	_, cert1, key1 := root.Issue(t, dir, "one")
	_, cert2, key2 := root.Issue(t, dir, "two")
	_, clientCert, clientKey := root.Issue(t, dir, "client")
	_, strangerCert, strangerKey := other.Issue(t, dir, "stranger")
	replace := func(file, by string) {
		b, err := os.ReadFile(by)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(b))
	}
	replace(at("cert"), cert1)
	replace(at("key"), key1)
	g, err := Open(Config{Cert: at("cert"), Key: at("key"), ClientCA: ca})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if got := g.URL(inner.Addr()); got != "https://"+inner.Addr().String()+"/" {
		t.Errorf("URL %s", got)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go s.Serve(g.Listener(inner))
	defer s.Close()
	name := func(cert, key string) string {
		secure, err := Trust{CAFile: ca, CertFile: cert, KeyFile: key}.Config("ca", "cert")
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
		defer c.CloseIdleConnections()
		res, err := c.Get("https://" + inner.Addr().String())
		if err != nil {
			return "refused"
		}
		res.Body.Close()
		return fmt.Sprint(res.TLS.PeerCertificates[0].Subject.CommonName, " ", res.TLS.Version >= tls.VersionTLS12, " ", res.Proto)
	}
	for _, c := range []struct{ who, cert, key, want string }{
		{"without a certificate", "", "", "refused"}, {"a stranger", strangerCert, strangerKey, "refused"}, {"a client", clientCert, clientKey, "one true HTTP/1.1"},
	} {
		if got := name(c.cert, c.key); got != c.want {
			t.Errorf("%s: %s, want %s", c.who, got, c.want)
		}
	}
	replace(at("cert"), cert2)
	if err := g.load(); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("a certificate with another key: %v", err)
	}
	if got := name(clientCert, clientKey); got != "one true HTTP/1.1" {
		t.Errorf("after a wrong certificate: %s", got)
	}
	replace(at("key"), key2)
	if err := g.load(); err != nil {
		t.Error(err)
	}
	if got := name(clientCert, clientKey); got != "two true HTTP/1.1" {
		t.Errorf("after the key: %s", got)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(b))
	return len(b), nil
}

// all returns the lines so far.
func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

// TestFollow: a changed file is read within five seconds. A wrong one changes nothing, is logged once, and is tried again.
func TestFollow(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "auth"), "read a "+sha("one"))
	synctest.Test(t, func(t *testing.T) {
		g, err := Open(Config{AuthFile: path})
		if err != nil {
			t.Fatal(err)
		}
		var log lines
		go g.Follow(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		valid := func() (tokens []string) {
			time.Sleep(followInterval)
			synctest.Wait()
			for _, token := range []string{"one", "two", "three"} {
				if g.users.Load().token(token) != 0 {
					tokens = append(tokens, token)
				}
			}
			return tokens
		}
		for i, c := range []struct {
			text string
			want string
			logs int
		}{
			{"", "one", 0}, {"read a " + sha("two"), "two", 1}, {"nonsense", "two", 2}, {"", "two", 2}, {"read a " + sha("three"), "three", 3}, {"", "three", 3},
		} {
			if c.text != "" {
				write(t, path, c.text)
				os.Chtimes(path, time.Time{}, time.Unix(int64(1000+i), 0)) // however coarse the clock of the file system is
			}
			if got := valid(); !slices.Equal(got, []string{c.want}) || len(log.all()) != c.logs {
				t.Errorf("%d: %q are valid, want %s; %d lines, want %d: %q", i, got, c.want, len(log.all()), c.logs, log.all())
			}
		}
		os.Remove(path)
		for looks, lines := range []int{3, 4, 4} {
			if got := valid(); !slices.Equal(got, []string{"three"}) || len(log.all()) != lines {
				t.Errorf("without the file, look %d: %q, %q", looks, got, log.all())
			}
		}
	})
}

func TestAnnounce(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 80} }
	for _, c := range []struct {
		addr net.Addr
		cfg  Config
		want string
	}{
		{tcp("127.0.0.1"), Config{}, ""},
		{tcp("::1"), Config{AuthFile: "f"}, ""},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, Config{}, ""},
		{tcp("192.0.2.1"), Config{}, "everybody who can reach"},
		{tcp("0.0.0.0"), Config{Cert: "c"}, "everybody who can reach"},
		{tcp("::"), Config{AuthFile: "f"}, "without encryption"},
		{tcp("192.0.2.1"), Config{AuthFile: "f", Cert: "c"}, ""},
		{tcp("192.0.2.1"), Config{ClientCA: "f", Cert: "c"}, ""},
	} {
		var log lines
		(&Guard{cfg: c.cfg}).Announce(slog.New(slog.NewTextHandler(&log, nil)), c.addr)
		text := strings.Join(log.all()[1:], "")
		if !strings.Contains(log.all()[0], "serving") || !strings.Contains(text, c.want) || (text == "") != (c.want == "") {
			t.Errorf("%v %+v: %q, want %q", c.addr, c.cfg, log.all(), c.want)
		}
	}
	if got := (&Guard{}).URL(&net.UnixAddr{Name: "/run/x", Net: "unix"}); got != "unix:/run/x" {
		t.Error(got)
	}
}

// TestAuth: the file of a client's token is read again after ten seconds. If it is gone, the last value stays.
func TestAuth(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "token"), "one\n")
	synctest.Test(t, func(t *testing.T) {
		token, err := BearerFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sent := func(a *Auth) string {
			h := http.Header{}
			if err := a.Set(h); err != nil {
				t.Error(err)
			}
			return h.Get("Authorization")
		}
		write(t, path, "another")
		if got := sent(token); got != "Bearer one" {
			t.Errorf("at once: %s", got)
		}
		time.Sleep(authInterval)
		if got := sent(token); got != "Bearer another" {
			t.Errorf("later: %s", got)
		}
		write(t, path, "user:secret")
		password, err := BasicFile(path)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		time.Sleep(authInterval)
		if got := sent(password); got != "Basic dXNlcjpzZWNyZXQ=" {
			t.Errorf("without the file: %s", got)
		}
		if given, err := Bearer(" x\n"); err != nil || sent(given) != "Bearer x" {
			t.Errorf("a token: %v", err)
		}
		for _, text := range []string{"", " \n", "a\nb", "a\x00"} {
			if _, err := Bearer(text); err == nil || err.Error() != "give the token, in one line" {
				t.Errorf("the token %q: %v", text, err)
			}
		}
		if got := sent(nil); got != "" {
			t.Error(got)
		}
	})
	for text, want := range map[string]string{"": "it is empty", "a\nb": "one line", strings.Repeat("a", 9000): "more than 8192 bytes", "x": "USER:PASSWORD"} {
		write(t, path, text)
		if _, err := BasicFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	for _, o := range []Trust{{CAFile: path}, {CAFile: path + "/none"}, {CertFile: path, KeyFile: path}} {
		if _, err := o.Config("--ca", "--cert"); err == nil || !strings.HasPrefix(err.Error(), "--c") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add([]byte("read a " + sha("x") + "\nadmin b $2y$05$" + strings.Repeat("a", 53) + "\n# x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if u, err := ParseUsers(text); err == nil && len(u.names) == 0 {
			t.Error("no users and no error")
		}
	})
}

// TestHandshakes: the handshakes of a client are limited, and those of all together. Clients on this host are not counted.
func TestHandshakes(t *testing.T) {
	g, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	g.now = func() time.Time { return now }
	from := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	allowed := func(n int, from func(i int) net.Addr) (k int) {
		for i := range n {
			if g.mayShakeHands(from(i)) {
				k++
			}
		}
		return k
	}
	if got := allowed(300, func(int) net.Addr { return from("192.0.2.1") }); got != handshakeBurst {
		t.Errorf("%d of 300 at once, want %d", got, handshakeBurst)
	}
	now = now.Add(time.Second)
	if got := allowed(300, func(int) net.Addr { return from("192.0.2.1") }); got != handshakeRate {
		t.Errorf("%d a second later, want %d", got, handshakeRate)
	}
	now = now.Add(time.Hour)
	if got := allowed(3000, func(i int) net.Addr { return from(fmt.Sprintf("198.51.%d.%d", i/250, i%250)) }); got != handshakesBurst {
		t.Errorf("%d of 3000 clients at once, want %d", got, handshakesBurst)
	}
	for _, local := range []net.Addr{from("127.0.0.1"), from("::1"), &net.UnixAddr{}} {
		if got := allowed(1000, func(int) net.Addr { return local }); got != 1000 {
			t.Errorf("%d of 1000 from %v", got, local)
		}
	}
}
