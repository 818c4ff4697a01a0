package push

import (
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/natstest"
	"pktvisor/metric"
)

type counts struct {
	Total metric.Counter `metric:"total" unit:"packets" help:"x"`
}

var tables = []*metric.Table{metric.Define[counts]("packets")}

const noon = 1_709_294_400 // 2024-03-01 12:00:00 UTC

// bucket returns the nth bucket of an agent, with n packets.
func bucket(n int) *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Start, b.End = noon+60*int64(n), noon+60*int64(n)+60
	b.Identity = metric.Identity{Host: "ns1.example", Tap: "default", Policy: "default", Tags: "pop=ams1", Boot: 7, Seq: uint64(n)}
	metric.Of[counts](b.Sections[0]).Total = metric.Counter(n)
	b.Seal(64)
	return b
}

// startServer starts a NATS server with JetStream in a directory. Port -1 means any free one.
func startServer(t *testing.T, o server.Options, port int, dir string) (s *server.Server, stop func()) {
	t.Helper()
	return natstest.Start(t, func(all *server.Options) {
		all.Port, all.StoreDir, all.SyncAlways = port, dir, false
		all.MaxPayload = o.MaxPayload // 0 is the server's default
		all.Authorization, all.Users = o.Authorization, o.Users
		all.TLS, all.TLSVerify, all.TLSTimeout, all.TLSConfig = o.TLS, o.TLSVerify, o.TLSTimeout, o.TLSConfig
		all.TrustedOperators, all.SystemAccount, all.AccountResolver = o.TrustedOperators, o.SystemAccount, o.AccountResolver
	})
}

func urlOf(port int) string { return "nats://127.0.0.1:" + strconv.Itoa(port) }

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// rawStream is the stream of a hub.
var rawStream = jetstream.StreamConfig{Name: "PV_RAW", Subjects: []string{"pv.raw.>"}, Duplicates: 2 * time.Minute}

// inspector is a client of a server that looks at the stream.
type inspector struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

func openStore(t *testing.T, url string, o ...nats.Option) *inspector {
	t.Helper()
	conn, err := nats.Connect(url, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &inspector{conn: conn, js: js}
}

func (s *inspector) create(t *testing.T, cfg jetstream.StreamConfig) {
	t.Helper()
	var err error
	if s.stream, err = s.js.CreateOrUpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// messages returns all messages of the stream.
func (s *inspector) messages(t *testing.T) (all []*jetstream.RawStreamMsg) {
	t.Helper()
	info, err := s.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := s.stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// expect checks the packets of the snapshots in the stream, in their order.
func (s *inspector) expect(t *testing.T, what string, packets ...int) {
	t.Helper()
	var got []int
	for _, m := range s.messages(t) {
		b, err := metric.ReadSnapshot(tables, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		n := int(metric.Of[counts](b.Sections[0]).Total)
		if want := bucket(n); b.Identity != want.Identity || b.Start != want.Start || m.Subject != "pv.raw.default.ns1%2Eexample" {
			t.Errorf("%s: %s has %+v from %d, want %+v from %d", what, m.Subject, b.Identity, b.Start, want.Identity, want.Start)
		}
		got = append(got, n)
	}
	if len(got) != len(packets) {
		t.Fatalf("%s: minutes with %v packets arrived, want %v", what, got, packets)
	}
	for i := range got {
		if got[i] != packets[i] {
			t.Fatalf("%s: minutes with %v packets arrived, want %v", what, got, packets)
		}
	}
}

// start starts a pusher with short waits. Its window has the given buckets.
func start(t *testing.T, c Config, window ...*metric.Bucket) (*Pusher, *testkit.Log) {
	t.Helper()
	logged := new(testkit.Log)
	c.Prefix, c.Host, c.Agent, c.Log = "pv", "ns1.example", "pktvisord 1.2.3", slog.New(slog.NewTextHandler(logged, nil))
	if c.Most == 0 {
		c.Most = 100
	}
	c.reconnect, c.retry = 20*time.Millisecond, 5*time.Millisecond
	if c.answer == 0 {
		c.answer = 5 * time.Second
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Start(func() []*metric.Bucket { return window })
	t.Cleanup(func() {
		p.stop()
		p.Close(nil)
		if t.Failed() {
			t.Logf("%+v, log:\n%s", p.Status(), logged)
		}
	})
	return p, logged
}

// acknowledged waits until n buckets are acknowledged.
func acknowledged(t *testing.T, p *Pusher, n int) {
	t.Helper()
	testkit.Eventually(t, strconv.Itoa(n)+" acknowledged", func() bool { return p.Status().Acknowledged >= uint64(n) })
}
