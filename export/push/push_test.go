package push

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// TestKept: buckets are kept while the server is away, before and after it was there, and all go in their order.
func TestKept(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	p, logged := start(t, Config{Servers: []string{urlOf(port)}}, bucket(1))
	p.Push(bucket(2))
	p.Push(bucket(3))
	testkit.Eventually(t, "the reason is known", func() bool { return strings.Contains(p.Status().Error, "connection refused") })
	if st := p.Status(); st.Connected || st.Pending != 3 || st.Acknowledged != 0 || st.Dropped != 0 || st.URL != urlOf(port) {
		t.Errorf("without a server: %+v", st)
	}
	_, stop := startServer(t, server.Options{}, port, dir)
	hub := openStore(t, urlOf(port))
	hub.create(t, rawStream)
	acknowledged(t, p, 3)
	hub.expect(t, "at first", 1, 2, 3)
	for i, m := range hub.messages(t) {
		if got, want := m.Header.Get("Nats-Msg-Id"), "default/ns1%2Eexample/7/"+[]string{"1709294460/1/0", "1709294520/2/0", "1709294580/3/0"}[i]; got != want {
			t.Errorf("message id %s, want %s", got, want)
		}
	}
	if st := p.Status(); !st.Connected || st.Pending != 0 || st.Error != "" {
		t.Errorf("with a server: %+v", st)
	}

	stop()
	testkit.Eventually(t, "it knows that the server is gone", func() bool { return !p.Status().Connected })
	for n := 4; n <= 9; n++ {
		p.Push(bucket(n))
	}
	startServer(t, server.Options{}, port, dir)
	acknowledged(t, p, 9)
	testkit.Eventually(t, "the other client is back", hub.conn.IsConnected)
	hub.expect(t, "after the server was away", 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if n := strings.Count(logged.String(), "connection refused"); n == 0 || n > 2 {
		t.Errorf("the reason is logged %d times", n)
	}
}

// TestDuplicate: a bucket that is pushed twice, for example by the next run, is acknowledged and in the stream once.
func TestDuplicate(t *testing.T) {
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	hub.create(t, rawStream)
	for range 2 {
		p, _ := start(t, Config{Servers: []string{s.ClientURL()}}, bucket(1), bucket(2))
		acknowledged(t, p, 2)
		p.Close(nil)
	}
	hub.expect(t, "twice", 1, 2)
}

// TestFull: a full queue drops its oldest buckets, which are counted and logged.
func TestFull(t *testing.T) {
	port := freePort(t)
	p, logged := start(t, Config{Servers: []string{urlOf(port)}, Most: 3})
	for n := 1; n <= 5; n++ {
		p.Push(bucket(n))
	}
	if st := p.Status(); st.Pending != 3 || st.Dropped != 2 || strings.Count(logged.String(), "minute not pushed: the queue is full") != 2 {
		t.Errorf("%+v", st)
	}
	startServer(t, server.Options{}, port, t.TempDir())
	hub := openStore(t, urlOf(port))
	hub.create(t, rawStream)
	acknowledged(t, p, 3)
	hub.expect(t, "the newest ones", 3, 4, 5)
}

// TestDroppedMeanwhile: a bucket that is dropped while it is tried is not sent in the place of the next one.
func TestDroppedMeanwhile(t *testing.T) {
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	p, _ := start(t, Config{Servers: []string{s.ClientURL()}, Most: 1}, bucket(1))
	testkit.Eventually(t, "an attempt has failed", func() bool { return p.Status().Failed >= 1 })
	p.Push(bucket(2))
	hub.create(t, rawStream)
	p.wakeUp()
	testkit.Eventually(t, "nothing waits", func() bool { return p.Status().Pending == 0 })
	if p.Status().Acknowledged == 2 { // an attempt with the dropped one was under way, and came after the stream
		hub.expect(t, "both", 1, 2)
	} else {
		hub.expect(t, "the one that was not dropped", 2)
	}
	if st := p.Status(); st.Dropped != 1 || st.Pending != 0 {
		t.Errorf("%+v", st)
	}
}

// TestStream: without a stream, or with a full one, nothing is lost. The reason is logged once.
func TestStream(t *testing.T) {
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	p, logged := start(t, Config{Servers: []string{s.ClientURL()}}, bucket(1), bucket(2))
	testkit.Eventually(t, "three attempts have failed", func() bool { return p.Status().Failed >= 3 })
	const missing = "no stream takes pv.raw.>: start the hub, or create the stream"
	if st := p.Status(); !st.Connected || st.Pending != 2 || st.Error != missing || strings.Count(logged.String(), missing) != 1 {
		t.Errorf("without a stream: %+v", st)
	}
	full := rawStream
	full.MaxMsgs, full.Discard = 1, jetstream.DiscardNew
	hub.create(t, full)
	p.wakeUp() // instead of ten seconds
	acknowledged(t, p, 1)
	failed := p.Status().Failed
	testkit.Eventually(t, "three more have failed", func() bool { return p.Status().Failed >= failed+3 })
	if st := p.Status(); st.Pending != 1 || st.Dropped != 0 || !strings.Contains(st.Error, "maximum messages exceeded") || strings.Count(logged.String(), "maximum messages exceeded") != 1 {
		t.Errorf("with a full stream: %+v", st)
	}
	hub.create(t, rawStream)
	p.wakeUp()
	acknowledged(t, p, 2)
	hub.expect(t, "at last", 1, 2)
	if st := p.Status(); st.Error != "" || strings.Count(logged.String(), "pushing again") != 2 {
		t.Errorf("at last: %+v", st)
	}
}

// TestTooLarge: a bucket that the server never accepts does not hold up the others.
func TestTooLarge(t *testing.T) {
	s, _ := startServer(t, server.Options{MaxPayload: 600}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	hub.create(t, rawStream)
	large := bucket(1)
	large.Identity.Host = strings.Repeat("x", 255)
	large.Identity.Tap = strings.Repeat("y", 255)
	large.Identity.Policy = strings.Repeat("z", 255)
	p, logged := start(t, Config{Servers: []string{s.ClientURL()}}, large, bucket(2))
	acknowledged(t, p, 1)
	if st := p.Status(); st.Pending != 0 || st.Dropped != 1 || !strings.Contains(logged.String(), "maximum payload exceeded") {
		t.Errorf("%+v", st)
	}
	hub.expect(t, "the other one", 2)
}

// TestClose: what waits and the live bucket are pushed at the end. Without a server, Close gives up.
func TestClose(t *testing.T) {
	s, stop := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	hub.create(t, rawStream)
	p, _ := start(t, Config{Servers: []string{s.ClientURL()}}, bucket(1))
	p.Push(bucket(2))
	p.Close(bucket(3))
	hub.expect(t, "at the end", 1, 2, 3)
	p.Push(bucket(4)) // too late
	if st := p.Status(); st.Pending != 0 || st.Acknowledged != 3 {
		t.Errorf("closed: %+v", st)
	}
	stop()
	p, logged := start(t, Config{Servers: []string{s.ClientURL()}}, bucket(5))
	p.Close(bucket(6))
	if st := p.Status(); st.Pending != 2 || !strings.Contains(logged.String(), `msg="minutes not pushed at the end" minutes=2`) {
		t.Errorf("without a server: %+v", st)
	}
}

// TestSilent: a server that accepts connections and says nothing holds up neither Push nor Close.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := start(t, Config{Servers: []string{"nats://" + l.Addr().String()}})
	for n := 1; n <= 200; n++ {
		p.Push(bucket(n))
	}
	p.Close(bucket(201))
	if st := p.Status(); st.Connected || st.Pending != 100 || st.Dropped != 101 {
		t.Errorf("%+v", st)
	}
}

// TestSkipped: minutes that the clock has skipped, and a live bucket without packets, are not pushed. A minute in which a
// clock ran and nothing came is.
func TestSkipped(t *testing.T) {
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	hub.create(t, rawStream)
	skipped, idle, part := bucket(0), bucket(0), bucket(3)
	idle.Identity.Seq, part.Identity.Seq = 1, 0
	p, _ := start(t, Config{Servers: []string{s.ClientURL()}}, skipped, idle, part)
	acknowledged(t, p, 2)
	p.Close(skipped)
	if n := len(hub.messages(t)); n != 2 {
		t.Errorf("%d minutes arrived, want 2", n)
	}
}

// TestToken: a wrong token is reported without the token, once. The file is read again, so a new token needs no restart.
func TestToken(t *testing.T) {
	s, _ := startServer(t, server.Options{Authorization: "r1ght"}, -1, t.TempDir())
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "wr0ng\n")
	hub := openStore(t, s.ClientURL(), nats.Token("r1ght"))
	hub.create(t, rawStream)
	p, logged := start(t, Config{Servers: []string{s.ClientURL()}, TokenFile: file}, bucket(1))
	testkit.Eventually(t, "it is refused several times", func() bool {
		about, err := s.Varz(nil)
		if err != nil {
			t.Fatal(err)
		}
		return about.TotalConnections >= 1+4 && strings.EqualFold(p.Status().Error, "Authorization Violation")
	})
	write(t, file, "r1ght\n")
	acknowledged(t, p, 1)
	hub.expect(t, "with the right token", 1)
	if text := logged.String() + p.Status().URL; strings.Contains(text, "r1ght") || strings.Contains(text, "wr0ng") || strings.Count(strings.ToLower(text), "authorization violation") != 1 {
		t.Errorf("logged %s", text)
	}
	p, _ = start(t, Config{Servers: []string{s.ClientURL()}, Token: "r1ght"}, bucket(2))
	acknowledged(t, p, 1)
	hub.expect(t, "with the token itself", 1, 2)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRights: a user who may not publish is told so.
func TestRights(t *testing.T) {
	user := &server.User{Username: "u", Password: "p", Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{"pv.raw.>"}}, Subscribe: &server.SubjectPermission{Deny: []string{"pv.want.>"}},
	}}
	s, _ := startServer(t, server.Options{Users: []*server.User{user}}, -1, t.TempDir())
	url := strings.Replace(s.ClientURL(), "://", "://u:p@", 1) // policy.Push has no such URLs
	p, logged := start(t, Config{Servers: []string{url}, answer: 300 * time.Millisecond}, bucket(1))
	testkit.Eventually(t, "two attempts have failed", func() bool { return p.Status().Failed >= 2 })
	if st := p.Status(); !st.Connected || st.Pending != 1 || !strings.Contains(st.Error, `Permissions Violation for Publish to "pv.raw.default.ns1%2Eexample"`) {
		t.Errorf("%+v", st)
	}
	if !strings.Contains(logged.String(), `Permissions Violation for Subscription to \"pv.want.ns1%2Eexample\"`) {
		t.Error("the missing right to answer requests is not logged")
	}
}

// TestFiles: files that cannot be used are errors that name them.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, "\n")
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{TokenFile: none}, "NATS token " + none + ": no such file or directory"},
		{Config{TokenFile: empty}, "NATS token " + empty + ": it is empty"},
		{Config{TokenFile: dir}, "NATS token " + dir + ": is a directory, not a regular file"},
		{Config{CA: none}, "NATS certificates " + none + ": no such file or directory"},
		{Config{CA: empty}, "NATS certificates " + empty + ": the file has no certificate in PEM form"},
		{Config{Creds: none}, "NATS credentials " + none + ": no such file or directory"},
		{Config{Creds: empty}, "NATS credentials " + empty + ": "},
		{Config{Cert: none, Key: empty}, "NATS client certificate " + none + " with key " + empty + ": no such file or directory"},
		{Config{Cert: empty, Key: empty}, "NATS client certificate " + empty + " with key " + empty + ": "},
	} {
		if _, err := New(c.cfg); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestWant: a hub may ask for minutes again, even if JetStream remembers their message ids. Wrong requests are refused.
func TestWant(t *testing.T) {
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	hub := openStore(t, s.ClientURL())
	hub.create(t, rawStream)
	window := []*metric.Bucket{bucket(1), bucket(2), bucket(3), bucket(4)}
	p, _ := start(t, Config{Servers: []string{s.ClientURL()}}, window...)
	acknowledged(t, p, 4)
	ask := func(request string) (a Answer) {
		t.Helper()
		m, err := hub.conn.Request("pv.want.ns1%2Eexample", []byte(request), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if err := hub.stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if a := ask(`{"policy":"default","from":1709294520,"to":1709294640}`); a != (Answer{Buckets: 2}) {
		t.Errorf("answer %+v", a)
	}
	acknowledged(t, p, 6)
	if err := hub.stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{5, 6} {
		m, err := hub.stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := metric.ReadSnapshot(tables, m.Data); err != nil || b.Identity != window[seq-4].Identity {
			t.Errorf("message %d: %v", seq, err)
		}
	}
	for request, want := range map[string]string{
		`{"policy":"other","from":0,"to":9999999999}`: "", `{"policy":"default","from":5,"to":5}`: "",
		`x`: "not a request", ``: "not a request", `[]`: "not a request", `{"from":"x"}`: "not a request",
		strings.Repeat(" ", maxRequest+1): "at most 4096",
	} {
		if a := ask(request); a.Buckets != 0 || !strings.Contains(a.Error, want) || (want == "") != (a.Error == "") {
			t.Errorf("%.30q: %+v", request, a)
		}
	}
	p.mu.Lock()
	p.again = window[:1]
	p.mu.Unlock()
	if a := ask(`{"policy":"default","from":0,"to":9999999999}`); a.Buckets != 0 || !strings.Contains(a.Error, "1 minutes of an earlier request still wait") {
		t.Errorf("a second request: %+v", a)
	}
}
