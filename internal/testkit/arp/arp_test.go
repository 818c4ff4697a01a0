package arp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/api"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/internal/testkit/arp"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/ui"
)

// start is a whole minute.
const start = 1_773_457_620

// packet is a frame, by default a request of the host 192.0.2.N with the hardware address 02::N. ARP has numbers for the
// addresses, because all are in one subnet: 0 is 0.0.0.0.
type packet struct {
	second, op, mac, ip, target int
	times                       int // how often it comes in its second
	each                        int // in how many seconds, one after the other
	vlan                        bool
	protocol                    uint16
	captured, wire              int
}

func (p packet) frame() []byte {
	addr := func(n int) []byte {
		if n == 0 {
			return []byte{0, 0, 0, 0}
		}
		return []byte{192, 0, 2, byte(n)}
	}
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 2, 0, 0, 0, 0, byte(p.mac))
	if p.vlan {
		b = append(b, 0x81, 0, 0, 7)
	}
	b = append(b, 8, 6, 0, 1)
	b = binary.BigEndian.AppendUint16(b, max(p.protocol, 0x800))
	b = append(b, 6, 4, 0, byte(p.op), 2, 0, 0, 0, 0, byte(p.mac))
	b = append(append(b, addr(p.ip)...), 0, 0, 0, 0, 0, 0)
	return append(append(b, addr(p.target)...), make([]byte, 18)...) // with Ethernet's padding
}

// The packets of two hosts. Those of the first add up to these numbers of its first minute: 55 packets in 39 of 60
// seconds, of these 40 requests, 6 replies, 3 gratuitous requests, 2 probes, and 4 others, one of each kind; 7 senders.
var (
	first = []packet{
		{second: 0, each: 30, op: 1, mac: 1, ip: 1, target: 10},
		{second: 30, times: 10, op: 1, mac: 2, ip: 2, target: 11},
		{second: 31, times: 5, op: 2, mac: 10, ip: 10, target: 1},
		{second: 32, times: 3, op: 1, mac: 3, ip: 3, target: 3, vlan: true},
		{second: 33, times: 2, op: 1, mac: 4, target: 44},
		{second: 34, op: 3, mac: 5, ip: 5, target: 5},
		{second: 35, op: 1, mac: 8, ip: 8, target: 9, captured: 30, wire: 60},
		{second: 36, op: 1, mac: 8, ip: 8, target: 9, captured: 30, wire: 30},
		{second: 37, op: 1, mac: 8, ip: 8, target: 9, protocol: 0x8137},
		{second: 38, op: 2, mac: 6, ip: 3, target: 1}, // claims the address of 02::3
		{second: 60, op: 1, mac: 1, ip: 1, target: 10},
	}
	second = []packet{
		{second: 30, times: 4, op: 1, mac: 2, ip: 2, target: 11},
		{second: 31, times: 2, op: 2, mac: 20, ip: 20, target: 1},
		{second: 60, op: 2, mac: 20, ip: 20, target: 1},
	}
)

// file returns a capture of the packets, and of four DNS queries in the first minute.
func file(t *testing.T, packets []packet) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := testkit.NewPcapWriter(&b, true, linktype.Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	write := func(second int, frame []byte, wire int) {
		at := b.Len()
		if err := w.Write(int64(start+second)*1e9, frame); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if wire > 0 {
			binary.LittleEndian.PutUint32(b.Bytes()[at+12:], uint32(wire))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	query := testkit.Packet{
		Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("192.0.2.53"), Proto: testkit.ProtoUDP, SrcPort: 4000, DstPort: 53,
		Payload: append(testkit.AppendName([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "www.example"), 0, 1, 0, 1),
	}
	for range 4 {
		write(0, query.AppendFrame(nil), 0)
	}
	for _, p := range packets {
		frame := p.frame()
		if p.captured > 0 {
			frame = frame[:p.captured]
		}
		for second := range max(p.each, 1) {
			for range max(p.times, 1) {
				write(p.second+second, frame, p.wire)
			}
		}
	}
	return b.Bytes()
}

// policy returns what an agent makes of the packets. Its policy has the topics of the product, and this one.
func policy(t *testing.T, host string, shards int, packets []packet, topic analyze.Topic) *agent.Policy {
	t.Helper()
	hosts, err := analyze.ParseHosts("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Host:     host,
		Taps:     []agent.TapConfig{{Shards: shards, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second}},
		Policies: []agent.PolicyConfig{{Topics: append(agent.Topics(nil, 5*time.Second), topic), Periods: 5, DeepSamplePercent: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	src, err := capture.OpenReader(bytes.NewReader(file(t, packets)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := a.Run(t.Context(), map[string][]capture.Source{agent.Default: {src}}); err != nil {
		t.Fatal(err)
	}
	return a.Policy(agent.Default)
}

// handler serves what an agent made of the packets.
func handler(p *agent.Policy) http.Handler {
	return server.New(server.Config{
		Window: p.Window(), Tables: p.Tables(), Sources: agent.SourceTable, Version: "1.2.3", Started: time.Now(), DeepSamplePercent: 100, TopN: 10,
		Status: func() server.Status { return server.Status{Target: "eth0", Shards: 1, Hosts: []string{"192.0.2.0/24"}} },
	}).Handler()
}

// get returns the answer of a route, which must be a success.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w
}

// has fails the test for each text that is missing.
func has(t *testing.T, what, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("%s lacks %s", what, text)
		}
	}
	if t.Failed() {
		t.Logf("%s: %.20000s", what, body)
	}
}

// The rows of the tables in the first minute.
const (
	targets = `"top_targets":[{"name":"192.0.2.10","estimate":30},{"name":"192.0.2.11","estimate":10},{"name":"192.0.2.44","estimate":2}]`
	senders = `"top_senders":[{"name":"02:00:00:00:00:01","estimate":30},{"name":"02:00:00:00:00:02","estimate":10},{"name":"02:00:00:00:00:0a","estimate":5},` +
		`{"name":"02:00:00:00:00:03","estimate":3},{"name":"02:00:00:00:00:04","estimate":2},{"name":"02:00:00:00:00:05","estimate":1},{"name":"02:00:00:00:00:06","estimate":1}]`
	counts = `"requests":40,"replies":6,"gratuitous":3,"probes":2,"other_ops":1,"foreign":1,"malformed":1,"cut":1,"conflicts":1`
)

// TestJSON: the section is in minutes, windows, the rates of a second and the state, whatever the number of shards.
func TestJSON(t *testing.T) {
	for _, shards := range []int{1, 3} {
		h := handler(policy(t, "ns1", shards, first, arp.Topic()))
		// Of 60 seconds, 21 have no packet, 35 have one, and four have 2, 3, 5 and 10.
		has(t, "the minute", get(t, h, "/api/v1/metrics/bucket/1").Body.String(), `"packets":{"total":59,`,
			`"arp":{"total":55,`+counts+`,"cardinality":{"senders":7,"senders_error":0},"rates":{"packets":{"p50":1,"p90":1,"p95":2,"p99":10`, targets, senders)
		has(t, "the window", get(t, h, "/api/v1/metrics/window/5").Body.String(),
			`"arp":{"total":56,`+strings.Replace(counts, "40", "41", 1)+`,"cardinality":{"senders":7,"senders_error":0},"rates":{"packets":{"p50":1,"p90":1,"p95":2,"p99":10`,
			strings.Replace(targets, "30", "31", 1), strings.Replace(senders, "30", "31", 1))
		has(t, "the state", get(t, h, "/api/v1/metrics/app").Body.String(), `"arp":{"conflicts":1}`)
		has(t, "the rates", get(t, h, "/api/v1/metrics/rates").Body.String(), `"arp":{"packets":`)
	}
}

// TestPrometheus: each metric has its family.
func TestPrometheus(t *testing.T) {
	var want []string
	for name, n := range map[string]int{
		"total": 56, "requests_total": 41, "replies_total": 6, "gratuitous_total": 3, "probes_total": 2, "other_ops_total": 1, "foreign_total": 1,
		"malformed_total": 1, "cut_total": 1, "conflicts": 1, "cardinality_senders": 7, "cardinality_senders_error_ratio": 0,
		`rates_packets_minute{stat="p95"}`: 2, `rates_packets_minute{stat="max"}`: 10,
		`top_targets{ipv4="192.0.2.10"}`: 30, `top_targets{ipv4="192.0.2.11"}`: 10, `top_targets{ipv4="192.0.2.44"}`: 2, `top_targets{ipv4="other"}`: 0,
		`top_senders{hardware_address="02:00:00:00:00:01"}`: 30, `top_senders{hardware_address="02:00:00:00:00:0a"}`: 5,
	} {
		want = append(want, fmt.Sprintf("\npktvisor_arp_%s %d\n", name, n))
	}
	h := handler(policy(t, "ns1", 1, first, arp.Topic()))
	has(t, "/metrics", get(t, h, "/metrics").Body.String(), append(want,
		"# HELP pktvisor_arp_probes_total Probes: the sender has no IPv4 address yet, and asks whether one is in use. Unit: packets.\n",
		"# TYPE pktvisor_arp_conflicts gauge\n")...)
}

// minute returns the first minute of the packets as a hub reads it.
func minute(t *testing.T, host string, packets []packet, topic analyze.Topic, tables []*metric.Table) *metric.Bucket {
	t.Helper()
	body := get(t, handler(policy(t, host, 1, packets, topic)), "/api/v1/snapshots").Body.Bytes()
	one, _, err := metric.NextSnapshot(body)
	if err != nil {
		t.Fatal(err)
	}
	info, err := metric.ReadSnapshotInfo(one)
	if err != nil || info.Identity.Host != host || info.Start != start {
		t.Fatalf("%+v, %v", info, err)
	}
	b, err := metric.ReadSnapshot(tables, one)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rows returns the rows of a top table.
func rows(top *metric.Top) map[string]uint64 {
	all := map[string]uint64{}
	for key, n := range top.All() {
		all[string(key)] = n
	}
	return all
}

// TestSnapshot: a hub that has the table reads the minutes of two hosts, and merges them.
func TestSnapshot(t *testing.T) {
	tables := []*metric.Table{arp.Table}
	b := minute(t, "ns1", first, arp.Topic(), tables)
	b.Merge(minute(t, "ns2", second, arp.Topic(), tables))
	m := metric.Of[arp.Metrics](b.Sections[0])
	want := arp.Counters{Total: 61, Requests: 44, Replies: 8, Gratuitous: 3, Probes: 2, OtherOps: 1, Foreign: 1, Malformed: 1, Cut: 1}
	if m.Counters != want || m.Conflicts != 1 || m.Senders.Estimate() != 8 {
		t.Errorf("%+v, %d in conflict, %v senders; want %+v, 1 and 8", m.Counters, m.Conflicts, m.Senders.Estimate(), want)
	}
	if got := [3]uint64{m.Rate.At(start), m.Rate.At(start + 30), m.Rate.At(start + 31)}; got != [3]uint64{1, 14, 7} {
		t.Errorf("rates of three seconds are %d, want 1, 14 and 7", got)
	}
	if diff := cmp.Diff(map[string]uint64{"192.0.2.10": 30, "192.0.2.11": 14, "192.0.2.44": 2}, rows(&m.TopTargets)); diff != "" {
		t.Errorf("targets: %s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{
		"02:00:00:00:00:01": 30, "02:00:00:00:00:02": 14, "02:00:00:00:00:03": 3, "02:00:00:00:00:04": 2, "02:00:00:00:00:05": 1,
		"02:00:00:00:00:06": 1, "02:00:00:00:00:0a": 5, "02:00:00:00:00:14": 2,
	}, rows(&m.TopSenders)); diff != "" {
		t.Errorf("senders: %s", diff)
	}
}

// TestSelect: a policy that switches the group off has its metrics neither in the JSON nor in snapshots, and all others.
func TestSelect(t *testing.T) {
	topic := arp.Topic()
	topic.Table = arp.Table.Select(func(d *metric.Desc) bool { return d.Group != "arp" })
	h := handler(policy(t, "ns1", 1, first, topic))
	body := get(t, h, "/api/v1/metrics/bucket/1").Body.String()
	has(t, "the minute", body, `"arp":{"total":55,`+counts+`,"rates":{"packets":{"p50":1,`)
	tables := get(t, h, "/api/v1/tables").Body.String()
	has(t, "the declaration", tables, `"name":"arp"`)
	for _, off := range []string{"top_targets", "top_senders", `"senders`, "02:00:00"} {
		if strings.Contains(body+tables, off) {
			t.Errorf("%s is in the JSON", off)
		}
	}
	m := metric.Of[arp.Metrics](minute(t, "ns1", first, topic, []*metric.Table{arp.Table}).Sections[0])
	if m.Total != 55 || m.Conflicts != 1 || m.Senders.Estimate() != 0 || m.TopSenders.Total() != 0 || m.TopTargets.Total() != 0 {
		t.Errorf("the snapshot has %d packets, %d conflicts, %v senders, tables of %d and %d", m.Total, m.Conflicts, m.Senders.Estimate(),
			m.TopSenders.Total(), m.TopTargets.Total())
	}
}

// TestDeclaration: the route of the tables declares the section.
func TestDeclaration(t *testing.T) {
	tables, err := api.ParseTables(get(t, handler(policy(t, "ns1", 1, first, arp.Topic())), "/api/v1/tables").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range tables.Sections {
		names = append(names, s.Name)
	}
	if strings.Join(names, " ") != "packets dns arp pcap" {
		t.Errorf("sections %v", names)
	}
	s, ok := tables.Find("arp")
	if !ok || s.Title != "ARP" || len(s.Metrics) != len(arp.Table.Descs) {
		t.Fatalf("section %+v", s)
	}
	want := api.Metric{
		Path: "top_senders", Kind: api.Top, Unit: "packets", Title: "Senders", Help: "Hardware addresses of the senders of most ARP packets.",
		Group: "arp", Label: "hardware_address", Slots: 1024, Exact: 768,
	}
	got, ok := s.Find("top_senders")
	if !ok {
		t.Fatal("no table of senders")
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

// TestOpenAPI: the document that is generated for these tables describes the answers. That of the product does not.
func TestOpenAPI(t *testing.T) {
	p := policy(t, "ns1", 1, first, arp.Topic())
	h := handler(p)
	own, product := apicheck.NewFrom(t, apicheck.Document(t, p.Tables(), agent.SourceTable)), apicheck.New(t)
	for path, has := range map[string]bool{
		"/api/v1/metrics/window/5": true, "/api/v1/metrics/bucket/1": true, "/api/v1/metrics/bucket/0": true, "/api/v1/metrics/app": true,
		"/api/v1/metrics/rates": true, "/api/v1/tables": false,
	} {
		got := get(t, h, path)
		own.Check(t, path, got.Code, got.Header(), got.Body.Bytes())
		if err := product.Mismatch(path, got.Code, got.Header(), got.Body.Bytes()); (err != nil) != has {
			t.Errorf("%s and the product's document: %v", path, err)
		}
		if !has {
			continue
		}
		var body any
		if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		changed := []byte(strings.Replace(got.Body.String(), `"arp":{"`, `"arp":{"unheard_of`, 1))
		if own.Mismatch(path, got.Code, got.Header(), changed) == nil {
			t.Errorf("%s: a metric without its name matches", path)
		}
	}
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// screen returns the terminal UI's view of sections without their own screen.
func screen(t *testing.T, base string, w, h int, want string) string {
	t.Helper()
	client, err := api.NewClient(base, 5*time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m tea.Model = ui.New(t.Context(), ui.Options{Agent: client, Zone: time.UTC, Theme: ui.Dark, Refresh: time.Millisecond})
	m, _ = m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	commands := []tea.Cmd{m.Init()}
	text := ""
	for n := 0; n < 300 && len(commands) > 0; n++ {
		command := commands[0]
		commands = commands[1:]
		if command == nil {
			continue
		}
		msg := command()
		if batch, ok := msg.(tea.BatchMsg); ok {
			commands = append(commands, batch...)
			continue
		}
		var next tea.Cmd
		m, next = m.Update(msg)
		commands = append(commands, next)
		text = sgr.ReplaceAllString(m.(ui.Model).View().Content, "")
		if strings.Contains(text, want) {
			return text
		}
		if !strings.Contains(text, "  other ") && strings.Contains(text, "● live") {
			m, next = m.Update(tea.KeyPressMsg{Code: 'a', Text: "a"})
			commands = append(commands, next)
		}
	}
	t.Fatalf("no %q on the screen:\n%s", want, text)
	return ""
}

// TestTerminal: the UI has the section's title, all its numbers if there is room, its rates and its tables.
func TestTerminal(t *testing.T) {
	s := httptest.NewServer(handler(policy(t, "ns1", 1, first, arp.Topic())))
	defer s.Close()
	large := screen(t, s.URL, 160, 50, "ARP ─")
	for _, line := range []string{
		`Packets +56 packets`, `Requests +41 packets`, `Replies +6 packets`, `Gratuitous +3 packets`, `Probes +2 packets`, `Other operations +1 packets`,
		`Foreign +1 packets`, `Malformed +1 packets`, `Cut +1 packets`, `In conflict +1 addresses`, `Senders +7 addresses`,
		`ARP: rates ─+ +now +p95 +p99`, `ARP: Asked for ─`, `ARP: Senders ─`, `192\.0\.2\.10 +31 +72\.1%`, `192\.0\.2\.44 +2 +4\.7%`,
		`02:00:00:00:00:01 +31 +58\.5%`, `02:00:00:00:00:0a +5 +9\.4%`,
	} {
		if !regexp.MustCompile(line).MatchString(large) {
			t.Errorf("the screen lacks %s", line)
		}
	}
	if t.Failed() {
		t.Log(large)
	}
	if strings.Contains(large, "more") || strings.Contains(large, "NO DIRECTION") {
		t.Errorf("something is hidden, or wrong:\n%s", large)
	}
	has(t, "the small screen", screen(t, s.URL, 80, 24, "ARP ─"), "+2 more", "ARP: rates", "ARP: Asked for", "ARP: Senders")
}
