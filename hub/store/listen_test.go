package store

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
	"pktvisor/internal/testkit"
	"pktvisor/subject"
)

// agent connects to the listener of a store.
func agent(t *testing.T, s *Store, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+s.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// push publishes as an agent does.
func push(t *testing.T, nc *nats.Conn, subj, id string, data []byte, tags string) error {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(subj)
	m.Data = data
	if tags != "" {
		m.Header.Set(tagsHeader, tags)
	}
	var options []jetstream.PublishOpt
	if id != "" {
		options = append(options, jetstream.WithMsgID(id))
	}
	_, err = js.PublishMsg(t.Context(), m, options...)
	return err
}

// TestAgentsPush pushes what an honest agent does, and what others might.
func TestAgentsPush(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	s := open(t, c)
	nc := agent(t, s)
	start := lastMinute()
	id := identity("ns1", 1)
	good := snapshot(id, start)
	raw := subject.Raw("pv", "default", "ns1")
	for range 2 {
		if err := push(t, nc, raw, subject.MsgID(id, start), good, "pop=ams1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := push(t, nc, raw, "", make([]byte, 1<<20+1), ""); err == nil || !strings.Contains(err.Error(), "exceeds maximum") {
		t.Errorf("1 MiB: %v", err)
	}
	bad := []struct {
		subject string
		data    []byte
		tags    string
		want    Reason
	}{
		{raw, nil, "", ReasonDamaged},
		{raw, []byte("hello"), "", ReasonDamaged},
		{raw, good, "pop=a=b", ReasonTags},
		{raw, good, "pop=a,pop=b", ReasonTags},
		{subject.Raw("pv", "default", "ns2"), good, "", ReasonSubject},
		{subject.Raw("pv", "other", "ns1"), good, "", ReasonSubject},
		{"pv.raw.default.%6Es1", good, "", ReasonSubject}, // the n need not be escaped
		{raw, snapshot(identity("ns1", 2), start+3*3600), "", ReasonFuture},
		{raw, pad(good, MaxRaw+1), "", ReasonSize},
	}
	for _, b := range bad {
		if err := push(t, nc, b.subject, "", b.data, b.tags); err != nil {
			t.Fatal(b.want, err)
		}
	}
	got := consume(t, s, 1+len(bad))
	if d := got[0]; d.Err != nil || d.Info.Identity != id || d.Tags != "pop=ams1" {
		t.Errorf("%+v", d)
	}
	for i, b := range bad {
		d := got[i+1]
		var r *RefusedError
		if !errors.As(d.Err, &r) || r.Reason != b.want {
			t.Errorf("%d: %v, want %s", i, d.Err, b.want)
		}
		d.Term(string(b.want))
	}
}

// TestAgentsMayOnlyPush tries what agents must not do.
func TestAgentsMayOnlyPush(t *testing.T) {
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	s := open(t, c)
	violations := make(chan error, 100)
	nc := agent(t, s, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	violated := func(what string) {
		t.Helper()
		select {
		case err := <-violations:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is allowed", what)
		}
	}
	for _, subj := range []string{"$JS.API.STREAM.DELETE.PV_RAW", "$JS.API.STREAM.INFO.PV_RAW", "$JS.API.DIRECT.GET.PV_RAW", "$KV.pv_hosts.x", "pv.roll.1m.a.b.60", "pv.changed.1m.a.b.60",
		"$JS.ACK.PV_RAW.hub.1.1.1.1.1", "pv.raw.a", "pv.raw.a.b.c", "_INBOX.x", "_HUB_x"} {
		if err := nc.PublishRequest(subj, nats.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
		violated("publish to " + subj)
	}
	for _, subj := range []string{">", "pv.>", "pv.raw.*.*", "pv.changed.>", "$JS.>", "$SYS.>", "_HUB_>", "*.>"} {
		if _, err := nc.SubscribeSync(subj); err != nil {
			t.Fatal(err)
		}
		nc.Flush()
		violated("subscribe to " + subj)
	}
	// What the hub reads must not come by the agents' inboxes.
	spy, err := nc.SubscribeSync("_INBOX.>")
	if err != nil {
		t.Fatal(err)
	}
	nc.Flush()
	k := Key{1, "default", all, 60}
	if _, err := s.Put(t.Context(), k, []byte("secret"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Hosts().All(t.Context()); err != nil || len(all) > 0 {
		t.Fatal(all, err)
	}
	nc.Flush()
	if n, _, _ := spy.Pending(); n > 0 {
		t.Errorf("an agent sees %d messages of the hub", n)
	}
}

// TestAnswersReachOnlyAgents publishes snapshots whose answers would go to the subjects of the hub. The server sends an answer
// with its own permissions, not with those of the agent.
func TestAnswersReachOnlyAgents(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	s := open(t, c)
	hosts := s.Hosts()
	if err := hosts.Put(t.Context(), "ns1", []byte("known")); err != nil {
		t.Fatal(err)
	}
	k := Key{1, "default", all, 60}
	if _, err := s.Put(t.Context(), k, []byte("rollup"), 0); err != nil {
		t.Fatal(err)
	}
	nc := agent(t, s)
	for _, reply := range []string{s.names.roll(k), "$KV.pv_hosts." + keyOf("ns1"), "$KV.pv_hosts." + keyOf("ns2"), "$JS.API.STREAM.PURGE.PV_RAW", "pv.changed.1m.default.all.60"} {
		if err := nc.PublishRequest("pv.raw.default.ns1", reply, snapshot(identity("ns1", 1), lastMinute())); err != nil {
			t.Fatal(err)
		}
	}
	if err := push(t, nc, "pv.raw.default.ns1", "", snapshot(identity("ns1", 2), lastMinute()), ""); err != nil { // all before are answered
		t.Fatal(err)
	}
	if data, _, err := s.Get(t.Context(), k); err != nil || string(data) != "rollup" {
		t.Errorf("an agent has changed a rollup: %q, %v", data, err)
	}
	if all, err := hosts.All(t.Context()); err != nil || len(all) != 1 || string(all["ns1"].Value) != "known" {
		t.Errorf("an agent has changed the hosts: %v, %v", all, err)
	}
	if got := len(consume(t, s, 6)); got != 6 {
		t.Errorf("%d snapshots", got)
	}
	// What the hub asks for comes to the agent nevertheless.
	asked, err := nc.SubscribeSync(subject.Want("pv", "ns1"))
	if err == nil {
		err = nc.Flush()
	}
	if err == nil {
		err = s.Ask("ns1", []byte("a minute"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if m, err := asked.NextMsg(5 * time.Second); err != nil || string(m.Data) != "a minute" {
		t.Errorf("asked: %v, %v", m, err)
	}
}

func TestTokens(t *testing.T) {
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	c.TokenFile = filepath.Join(c.Dir, "token")
	if _, err := Open(t.Context(), c); err == nil {
		t.Error("opened without the token file")
	}
	if err := os.WriteFile(c.TokenFile, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty token file: %v", err)
	}
	if err := os.WriteFile(c.TokenFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	for _, token := range []string{"", "s3cre", "s3cret\n", "S3cret"} {
		if nc, err := nats.Connect("nats://"+s.Addr().String(), nats.Token(token)); !errors.Is(err, nats.ErrAuthorization) {
			nc.Close()
			t.Errorf("token %q: %v", token, err)
		}
	}
	if err := push(t, agent(t, s, nats.Token("s3cret")), "pv.raw.default.ns1", "", snapshot(identity("ns1", 1), lastMinute()), ""); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	_, serverCert, serverKey := (*testkit.Authority)(nil).Issue(t, dir, "server")
	_, agentCert, agentKey := (*testkit.Authority)(nil).Issue(t, dir, "agent")
	_, otherCert, otherKey := (*testkit.Authority)(nil).Issue(t, dir, "other")
	c := testConfig(t)
	c.Listen, c.TLS = "127.0.0.1:0", TLS{CA: agentCert, Cert: serverCert, Key: serverKey}
	s := open(t, c)
	url := "tls://" + s.Addr().String()
	if _, err := nats.Connect(url, nats.RootCAs(serverCert)); err == nil {
		t.Error("connected without a certificate")
	}
	if _, err := nats.Connect(url, nats.RootCAs(serverCert), nats.ClientCert(otherCert, otherKey)); err == nil {
		t.Error("connected with the certificate of another CA")
	}
	nc := agent(t, s, nats.RootCAs(serverCert), nats.ClientCert(agentCert, agentKey), nats.Secure())
	if err := push(t, nc, "pv.raw.default.ns1", "", snapshot(identity("ns1", 1), lastMinute()), ""); err != nil {
		t.Error(err)
	}
	s.Close()
	c.TLS.Cert, c.TLS.Key = "", ""
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "give a certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestOpenListenerWarns(t *testing.T) {
	t.Parallel()
	for listen, warns := range map[string]bool{"0.0.0.0:0": true, ":0": true, "127.0.0.1:0": false, "[::1]:0": false, "localhost:0": false} {
		var log bytes.Buffer
		c := testConfig(t)
		c.Listen, c.Log = listen, slog.New(slog.NewTextHandler(&log, nil))
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Log(listen, err) // no IPv6
			continue
		}
		s.Close()
		if got := strings.Contains(log.String(), "everybody who reaches"); got != warns {
			t.Errorf("%s: warns: %v", listen, got)
		}
	}
}

func TestConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"no store":                  {},
		"both":                      {Dir: "x", URL: "y"},
		"both an embedded":          {URL: "y", Listen: ":4222"},
		"credentials are":           {Dir: "x", Creds: "y"},
		"3 replicas in an embedded": {Dir: "x", Replicas: 3},
		"2 replicas":                {URL: "y", Replicas: 2},
		"host:port":                 {Dir: "x", Listen: "4222"},
		"needs its key":             {Dir: "x", TLS: TLS{Cert: "y"}},
		"give at least 20m":         {Dir: "x", RawAge: time.Minute},
		"bytes for snapshots":       {Dir: "x", RawBytes: 1000},
		"prefix":                    {Dir: "x", Prefix: "a b"},
		"rollups of 1m":             {Dir: "x", Age: map[rollup.Level]time.Duration{1: time.Second}},
	} {
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for in, want := range map[string]string{"nats://a:1,b": "nats://a:1,b", "nats://u:p@a:1,u:p@b": "nats://***@a:1,nats://***@b"} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%s) = %s", in, got)
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	var log bytes.Buffer
	l := &natsLog{log: slog.New(slog.NewTextHandler(&log, nil))}
	for i := range 100 {
		l.Errorf("error %d", i)
	}
	l.since = l.since.Add(-time.Hour)
	l.Warnf("warning %d", 7)
	if got := log.String(); strings.Count(got, "\n") != logBurst+2 || !strings.Contains(got, "lines=80") || !strings.Contains(got, "warning 7") {
		t.Error(got)
	}
}

// TestStarved: the lines are those of nats-server 2.15.2 (stream.go, filestore.go, raft.go, jetstream_cluster.go).
func TestStarved(t *testing.T) {
	for line, want := range map[string]bool{
		"JetStream failed to store a msg on stream 'A > PV_RAW': no space left on device":     true,
		"Filestore [PV_RAW] Critical write error: write msgs/1.blk: no space left on device":  true,
		"JetStream stream 'A > PV_RAW' critical write error: no space left on device":         true,
		"JetStream consumer 'A > PV_RAW > hub' critical write error: no space left on device": true,
		"JetStream cluster meta group critical write error: no space left on device":          true,
		"JetStream resource limits exceeded for server":                                       false,
		"10.0.0.1:4222 - cid:7 - authentication error":                                        false,
		"JetStream stream could not be recovered: critical":                                   false,
	} {
		for level, write := range map[string]func(l *natsLog){
			"warning": func(l *natsLog) { l.Warnf("%s", line) },
			"error":   func(l *natsLog) { l.Errorf("%s", line) },
		} {
			l := &natsLog{log: slog.New(slog.DiscardHandler)}
			e := &embedded{lines: l}
			for range logBurst + 1 { // the line counts also if it is not written
				l.Errorf("another error")
			}
			if e.starved() {
				t.Fatal("starved because of another error")
			}
			write(l)
			l.Errorf("another error")
			if e.starved() != want {
				t.Errorf("%s %q: starved %v, want %v", level, line, e.starved(), want)
			}
		}
	}
	if (&embedded{}).starved() {
		t.Error("starved before it was started")
	}
}
