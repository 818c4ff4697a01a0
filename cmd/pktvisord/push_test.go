package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/natstest"
	"pktvisor/metric"
)

// hub is a NATS server with the stream to which agents push.
type hub struct {
	url    string
	stream jetstream.Stream
	stop   func()
}

func startHub(t *testing.T, token string) *hub {
	t.Helper()
	s, stop := natstest.Start(t, func(o *server.Options) { o.Authorization = token })
	h := &hub{url: s.ClientURL(), stop: stop}
	conn, err := nats.Connect(h.url, nats.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if h.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PV_RAW", Subjects: []string{"fleet.pv.raw.>"}}); err != nil {
		t.Fatal(err)
	}
	return h
}

// buckets returns the buckets that have arrived, and checks that they are of the agent ns1.
func (h *hub) buckets(t *testing.T) (all []*metric.Bucket) {
	t.Helper()
	info, err := h.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		m, err := h.stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := metric.ReadSnapshot(agent.Tables, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if id := b.Identity; id.Host != "ns1" || m.Subject != "fleet.pv.raw.default.ns1" {
			t.Errorf("%s has a bucket of %+v", m.Subject, id)
		}
		all = append(all, b)
	}
	return all
}

func packetsIn(b *metric.Bucket) uint64 {
	i, _ := b.Sections[0].Table.Find("total")
	return uint64(b.Sections[0].Counter(i))
}

// TestPush: an agent without a state directory pushes its live bucket at the end. One with a state directory leaves it to
// the next run, and pushes the minutes of the run before.
func TestPush(t *testing.T) {
	t.Setenv(pushTokenEnv, "s3cret")
	h := startHub(t, "s3cret")
	args := []string{"--replay", "--name", "ns1", "--tag", "pop=ams1", "--push", h.url, "--push-prefix", "fleet.pv", "-H", testkit.HostSpec}
	capture := filepath.Join(testkit.Captures(t), "demo.pcap.gz")

	p := startProcess(t, append(args, capture)...)
	testkit.Eventually(t, "it has packets and a connection", func() bool {
		_, body := p.get(t, "/api/v1/metrics/app")
		return strings.Contains(string(body), `"push":{"url":"`+h.url+`","connected":true,"pending":0,`) &&
			p.summary(t, "/api/v1/metrics/window/1")["packets.total"] > 0
	})
	if _, metrics := p.get(t, "/metrics"); !strings.Contains(string(metrics), "\npktvisor_push_connected 1\n") {
		t.Error("it is not in Prometheus that there is a connection")
	}
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != 0 || strings.Contains(p.Log.String(), "s3cret") {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	first := h.buckets(t)
	if len(first) == 0 {
		t.Fatal("nothing was pushed at the end")
	}
	live := first[len(first)-1]
	if id := live.Identity; id.Boot == 0 || id.Seq != 0 || id.Tags != "pop=ams1" || packetsIn(live) == 0 {
		t.Errorf("the live bucket has %+v and %d packets", id, packetsIn(live))
	}

	p = startProcess(t, append(args, "--state-dir", stateOfOneMinute(t), capture)...)
	testkit.Eventually(t, "the minute of the last run is acknowledged", func() bool {
		return p.summary(t, "/api/v1/metrics/app")["app.push.acknowledged"] >= 1 && p.summary(t, "/api/v1/metrics/window/1")["packets.total"] > 0
	})
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != 0 {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	second := h.buckets(t)[len(first):]
	if len(second) == 0 || packetsIn(second[0]) != 1<<63+3 || second[0].Identity.Tags != "pop=ams1" {
		t.Fatalf("%d buckets of the second run", len(second))
	}
	for _, b := range second[1:] { // if a minute ended meanwhile
		if b.Identity.Seq == 0 {
			t.Errorf("a live bucket was pushed, although the next run continues it: %+v", b.Identity)
		}
	}
}

// TestPushNowhere: without a server, an agent runs, says so, and ends in time.
func TestPushNowhere(t *testing.T) {
	h := startHub(t, "")
	h.stop()
	p := startProcess(t, "--replay", "--push", h.url, "-H", testkit.HostSpec, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))
	testkit.Eventually(t, "it reports no connection", func() bool {
		_, body := p.get(t, "/api/v1/metrics/app")
		return strings.Contains(string(body), `connection refused"`) && p.summary(t, "/api/v1/metrics/window/1")["packets.total"] > 0
	})
	if status, _ := p.get(t, "/readyz"); status != 200 {
		t.Errorf("/readyz: %d", status)
	}
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit+3*time.Second || code != 0 {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	if !strings.Contains(p.Log.String(), `msg="minutes not pushed at the end" minutes=1`) {
		t.Errorf("the log does not say that a minute is lost:\n%s", p.Log.String())
	}
}
