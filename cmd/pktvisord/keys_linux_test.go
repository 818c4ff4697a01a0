package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"pktvisor/access"
	"pktvisor/geo"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/server"
	"pktvisor/window"
)

// drilled is a running agent whose tables the test looks at by itself, at times of its choice.
type drilled struct {
	*live
	handler http.Handler
	played  int // packets
}

// startDrilled starts an agent with a document. It captures from vrx in a namespace of its own.
func startDrilled(t *testing.T, doc string) *drilled {
	t.Helper()
	enterNetns(t, vethPair...)
	o, err := parse([]string{"--config", inFile(t, doc), "--no-kernel-counters", "--shards", "2", "--admin-api"})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := o.newLive(log, func(string, string) (*geo.DB, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if l.guard, err = access.Open(o.guardConfig()); err != nil {
		t.Fatal(err)
	}
	first, err := l.firstChange()
	if err != nil {
		t.Fatal(err)
	}
	keep, err := l.newAgent(first)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := server.Listen("localhost", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	api := server.New(l.serverConfig(t.Context(), listener.Addr()))
	l.refresh = api.Refresh
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.agent.Run(ctx, nil) }()
	t.Cleanup(func() {
		stop()
		<-ended
		l.end()
		l.closeTaps()
		keep()
	})
	return &drilled{live: l, handler: api.Handler()}
}

// get asks the agent.
func (d *drilled) get(path string) (status int, body string) {
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// numbers returns the numbers of a selection that do not depend on the time.
func (d *drilled) numbers(t *testing.T, query string) map[string]float64 {
	t.Helper()
	status, body := d.get("/api/v1/metrics/window/5?" + query)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, body)
	}
	all := flatten(t, []byte(body))
	for name := range all {
		if timeless.MatchString(name) {
			delete(all, name)
		}
	}
	return all
}

// play sends queries for names and their responses, and waits until the policy zones has counted them.
func (d *drilled) play(t *testing.T, names []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "play.pcap")
	var file bytes.Buffer
	w, err := testkit.NewPcapWriter(&file, false, linktype.Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	client, srv := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("192.0.2.53")
	for i, name := range names {
		id, port := uint16(d.played+i), uint16(1024+(d.played+i)%60000)
		q := testkit.Packet{Src: client, Dst: srv, Proto: testkit.ProtoUDP, SrcPort: port, DstPort: 53, Payload: testkit.AppendDNS(nil, id, testkit.DNSRD, name, 1)}
		a := testkit.Packet{Src: srv, Dst: client, Proto: testkit.ProtoUDP, SrcPort: 53, DstPort: port, Payload: testkit.AppendDNS(nil, id, testkit.DNSResponse|uint16(i%2*3), name, 1)}
		for k, p := range []*testkit.Packet{&q, &a} {
			if err := w.Write(int64(2*i+k)*20_000, p.AppendFrame(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	d.played += len(names)
	testkit.Eventually(t, "all messages are counted, and all pairs found", func() bool {
		n := d.numbers(t, "policy=zones")
		return n["dns.wire_packets.total"] == float64(2*d.played) && n["dns.xact.counts.total"] == float64(d.played)
	})
}

// keys returns the followed keys as one text.
func (d *drilled) keys() string {
	var all []string
	for _, k := range load(&d.policies)[0].windows[0].keys.all() {
		all = append(all, k.key)
	}
	return strings.Join(all, " ")
}

// below returns n names below a zone.
func below(zone string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("w%d.%s", i%7, zone))
	}
	return names
}

// same compares two selections.
func (d *drilled) same(t *testing.T, key, policy string) {
	t.Helper()
	differ := func() (text string) {
		got, want := d.numbers(t, "policy=zones&key="+key), d.numbers(t, "policy="+policy)
		for n, v := range want {
			if math.Abs(got[n]-v) > 1e-9 {
				text += fmt.Sprintf("%s: %v, and alone %v\n", n, got[n], v)
			}
		}
		if len(got) != len(want) || len(got) < 20 || got["dns.wire_packets.total"] == 0 {
			text += fmt.Sprintf("%d numbers, and alone %d, of %v messages\n", len(got), len(want), got["dns.wire_packets.total"])
		}
		return text
	}
	for end := time.Now().Add(10 * time.Second); differ() != "" && time.Now().Before(end); {
		runtime.Gosched()
	}
	if text := differ(); text != "" {
		t.Errorf("key %s: %s", key, text)
	}
}

const drillDoc = `
agent: {dns-timeout: 60s}
taps: {a: {target: vrx}}
policies: {zones: {periods: 5, analyzers: dns, for_each: {top: dns.top_qname2, most: 2}}}
`

// TestForEach: each followed zone has the summary that a policy of its own has from the same moment. When the heaviest zones change, so do those that are followed,
// after their time. A flood of random zones changes nothing. What ended has released its memory.
func TestForEach(t *testing.T) {
	need(t, "tcpreplay")
	d := startDrilled(t, drillDoc)
	now := time.Now()
	add := func(policy, zone string) {
		t.Helper()
		doc := fmt.Sprintf("policies: {%s: {filter: {qname_suffix: %s}, periods: 5, analyzers: dns}}", policy, zone)
		if _, err := (&control{d.live}).Add(t.Context(), []byte(doc), server.APolicy, "", false); err != nil {
			t.Fatal(err)
		}
	}
	d.play(t, slices.Concat(below("aaa.test", 300), below("bbb.test", 200), below("ccc.test", 10), []string{"test"}))
	d.lookAtKeys(now)
	if got := d.keys(); got != "aaa.test bbb.test" {
		t.Fatalf("followed: %s", got)
	}
	add("a", "aaa.test")
	add("b", "bbb.test")
	d.play(t, slices.Concat(below("aaa.test", 150), []string{"aaa.test"}, below("bbb.test", 70), below("ccc.test", 1500)))
	d.same(t, "aaa.test", "a")
	d.same(t, "bbb.test", "b")
	d.lookAtKeys(now.Add(5 * time.Second))
	if got := d.keys(); got != "aaa.test bbb.test" {
		t.Errorf("after five seconds: %s", got)
	}
	old := weak.Make(load(&d.policies)[0].windows[0].keys.all()[1].agent.Window())
	d.lookAtKeys(now.Add(61 * time.Second))
	if got := d.keys(); got != "aaa.test ccc.test" {
		t.Fatalf("after a minute: %s", got)
	}
	if status, body := d.get("/api/v1/metrics/window/5?policy=zones&key=bbb.test"); status != http.StatusNotFound || !strings.Contains(body, "policy zones follows now aaa.test, ccc.test") {
		t.Errorf("the key that ended: %d %s", status, body)
	}
	released(t, old)
	add("c", "ccc.test")
	d.play(t, slices.Concat(below("aaa.test", 20), below("ccc.test", 30)))
	d.same(t, "aaa.test", "a")
	d.same(t, "ccc.test", "c")
	d.flood(t, now.Add(2*time.Minute))
	d.snapshotIdentity(t)
	own := weak.Make(load(&d.policies)[0].windows[0].keys.all()[0].agent.Window())
	if err := (&control{d.live}).Remove(t.Context(), server.APolicy, "zones"); err != nil {
		t.Fatal(err)
	}
	if n := len(d.agent.Policies()); n != 3 {
		t.Errorf("%d policies of the agent without zones, want 3", n)
	}
	d.get("/api/v1/policies")
	released(t, own)
}

// flood sends random zones, and looks at the table for two minutes.
func (d *drilled) flood(t *testing.T, now time.Time) {
	t.Helper()
	var random []string
	for i := range 3000 {
		random = append(random, fmt.Sprintf("x.zone%d.test", i))
	}
	before, policies := d.keys(), len(d.agent.Policies())
	d.play(t, random)
	for i := range 24 {
		d.lookAtKeys(now.Add(time.Duration(i) * lookEvery))
	}
	if got := d.keys(); got != before || len(d.agent.Policies()) != policies {
		t.Errorf("a flood: %s with %d policies, before it %s with %d", got, len(d.agent.Policies()), before, policies)
	}
}

// snapshotIdentity: the open minute of a key does not have the identity of the policy.
func (d *drilled) snapshotIdentity(t *testing.T) {
	t.Helper()
	w := load(&d.policies)[0].windows[0]
	if got := w.keys.all()[0].agent.Window().Bucket(0).Identity; got.Policy != "zones/aaa.test" || got.Tap != "a" {
		t.Errorf("the identity of a key: %+v", got)
	}
	if got := w.agent.Window().Bucket(0).Identity; got.Policy != "zones" {
		t.Errorf("the identity of the policy: %+v", got)
	}
	if status, body := d.get("/api/v1/metrics/app?policy=zones&key=aaa.test"); status != http.StatusOK || !strings.Contains(body, `"for_each":{"top":"dns.top_qname2","most":2},"keys":[{"key":"aaa.test","tap":"a","since_ts":`) {
		t.Errorf("/app: %d %s", status, body)
	}
	if _, text := d.get("/metrics"); strings.Contains(text, `key="`) {
		t.Error("Prometheus has keys that nobody asked for")
	}
	if _, text := d.get("/metrics?policy=zones&key=aaa.test"); !strings.Contains(text, `pktvisor_dns_wire_packets_total{policy="zones",tap="a",key="aaa.test"} `) {
		t.Errorf("Prometheus has not the key that was asked for: %.2000s", text)
	}
}

// released waits until nothing refers to a window.
func released(t *testing.T, w weak.Pointer[window.Window]) {
	t.Helper()
	testkit.Eventually(t, "the window of a key that ended is garbage", func() bool {
		runtime.GC()
		return w.Value() == nil
	})
}

// TestForEachMistakes: what cannot be followed is refused with what to do.
func TestForEachMistakes(t *testing.T) {
	for doc, want := range map[string]string{
		"for_each: {top: dns.top_qname2, most: 2}":                        "",
		"for_each: {top: dns.top_qnam2}":                                  `policies.p.for_each.top: "dns.top_qnam2" is unknown: did you mean dns.top_qname2?`,
		"for_each: {top: dns.top_rcode}":                                  `policies.p.for_each.top: "dns.top_rcode" is unknown`,
		"for_each: {most: 3}":                                             "no table: give top, such as dns.top_qname2",
		"for_each: {top: dns.top_qname2, most: 0}":                        "policies.p.for_each.most",
		"analyzers: packets, for_each: {top: dns.top_qname2}":             "for_each follows dns.top_qname2, and no analyzer of the policy has that table: add dns to its analyzers",
		"anonymize: true, for_each: {top: dns.top_qname2}":                "those of an anonymised policy are pseudonyms",
		"memory: 200MiB, analyzers: dns, for_each: {top: dns.top_qname2}": "for_each keeps a summary of 5 minutes for each of 10 keys, which does not fit into its share of the memory, 100.0 MiB: give memory: ",
		"memory: 2GiB, analyzers: dns, for_each: {top: dns.top_zones}":    "",
		"analyzers: packets, for_each: {top: packets.top_ASN, most: 100}": "",
	} {
		var stderr bytes.Buffer
		path := inFile(t, "taps: {a: lo}\npolicies: {p: {"+doc+"}}")
		code := run(t.Context(), []string{"check", path, "--memory-limit", "off"}, nil, io.Discard, &stderr)
		if (code == 0) != (want == "") || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %d, %s; want %q", doc, code, stderr.String(), want)
		}
	}
}
