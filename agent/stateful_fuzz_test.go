package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/analyze"
	"pktvisor/anon"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/policy"
)

// world is a plain model of an agent: what a careful reader of the documentation would count by hand. It is also the source of the
// agent's frames, and asks the agent for views and changes its settings between two batches.
type world struct {
	recorded
	t     *testing.T
	c     *testkit.Choices
	agent *only
	now   int64 // nanoseconds
	frame []capture.Frame

	packets, ipv4, ipv6, udp, tcp, other, nonIP, in, out, unknown int
	messages, queries, replies, overTCP                           int
	rcodes                                                        map[uint16]int
	names, clients                                                map[string]int // messages by name, queries by client
	asked                                                         []askedQuery
	xacts, orphans                                                int
	back                                                          bool // the clock went back, so pairs depend on its steps
}

// askedQuery is a query that was sent, and when it was answered.
type askedQuery struct {
	client   netip.AddrPort
	server   netip.AddrPort
	id       uint16
	name     string
	at       int64
	answered bool
}

const second = int64(1e9)

var (
	worldHosts   = []string{"192.0.2.53", "2001:db8:53::53"}
	worldClients = []string{"198.51.100.7", "198.51.100.8", "203.0.113.9", "2001:db8:c::7", "2001:db8:d::8"}
	worldNames   = []string{"www.example.com", "a.example.org", "b.c.example.net", "example.com", "host.co.uk"}
)

// pass lets time pass: mostly milliseconds, sometimes minutes, and rarely it goes back.
func (w *world) pass() {
	step := testkit.Pick[int64](w.c, 1_000_000, 7_000_000, 130_000_000, 1_300_000_000, 17_000_000, 2_000_000, 6_100_000_000, 61_000_000_000)
	if w.c.Chance(64) {
		w.back = true
		step = -step
	}
	w.now += step
}

// put adds a packet to the batch and counts it.
func (w *world) put(p testkit.Packet) {
	b := p.AppendFrame(nil)
	w.frame = append(w.frame, capture.Frame{Data: b, Time: w.now, WireLen: uint32(len(b)), Link: linktype.Ethernet})
	w.packets++
	if p.Src.Is4() {
		w.ipv4++
	} else {
		w.ipv6++
	}
	switch p.Proto {
	case testkit.ProtoUDP:
		w.udp++
	case testkit.ProtoTCP:
		w.tcp++
	default:
		w.other++
	}
	host := func(a netip.Addr) bool { return a.String() == worldHosts[0] || a.String() == worldHosts[1] }
	switch {
	case host(p.Dst):
		w.in++
	case host(p.Src):
		w.out++
	default:
		w.unknown++
	}
}

// message puts a DNS message, over UDP or in a connection of its own.
func (w *world) message(from, to netip.AddrPort, id, flags uint16, name string, tcp bool) {
	m := testkit.AppendDNS(nil, id, flags, name, 1)
	w.messages++
	w.names[name]++
	p := testkit.Packet{Src: from.Addr(), Dst: to.Addr(), SrcPort: from.Port(), DstPort: to.Port(), Proto: testkit.ProtoUDP, Payload: m}
	if tcp {
		w.overTCP++
		p.Proto, p.Flags, p.Seq, p.Payload = testkit.ProtoTCP, testkit.TCPSyn, uint32(id)<<16, nil
		w.put(p)
		p.Flags, p.Seq, p.Payload = testkit.TCPAck|testkit.TCPPsh, p.Seq+1, append([]byte{byte(len(m) >> 8), byte(len(m))}, m...)
	}
	w.put(p)
}

// query puts a query of a client to the host.
func (w *world) query() {
	v := w.c.IntN(len(worldClients))
	client, server := netip.MustParseAddr(worldClients[v]), netip.MustParseAddr(worldHosts[v/3])
	n := len(w.asked)
	q := askedQuery{
		client: netip.AddrPortFrom(client, uint16(1024+n)), server: netip.AddrPortFrom(server, 53), id: uint16(n), name: testkit.Pick(w.c, worldNames...), at: w.now,
	}
	w.message(q.client, q.server, q.id, 0x0100, q.name, false)
	w.queries++
	w.clients[client.String()]++
	w.asked = append(w.asked, q)
}

// response answers one of the queries, or one that was never sent.
func (w *world) response() {
	rcode := testkit.Pick(w.c, uint16(0), 3, 2, 5, 9)
	if len(w.asked) == 0 || w.c.Chance(8) {
		w.message(netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("198.51.100.7:999"), uint16(w.replies), 0x8180|rcode, "never.example.com", false)
		w.orphans++
	} else {
		q := &w.asked[len(w.asked)-1-w.c.IntN(min(len(w.asked), 200))]
		age := w.now - q.at
		if q.answered || age > 5*second-second/100 && age < 8*second || w.now < q.at {
			return // whether it counts depends on more than this model knows
		}
		if age > 5*second {
			w.orphans++
		} else {
			w.xacts++
			q.answered = true
		}
		w.message(q.server, q.client, q.id, 0x8180|rcode, q.name, false)
	}
	w.replies++
	w.rcodes[rcode]++
}

// other puts a packet that is not DNS over UDP.
func (w *world) elsewhere() {
	a, b := netip.MustParseAddr(testkit.Pick(w.c, worldClients...)), netip.MustParseAddr(testkit.Pick(w.c, worldHosts...))
	if a.Is4() != b.Is4() {
		b = netip.MustParseAddr(worldClients[3-3*one(a.Is4())])
	}
	switch w.c.IntN(4) {
	case 0: // over TCP, always a new connection
		n := uint16(20000 + w.overTCP)
		w.message(netip.AddrPortFrom(a, n), netip.AddrPortFrom(b, 53), n, 0x0100, "tcp.example.com", true)
		w.queries++
		w.clients[a.String()]++
	case 1:
		w.put(testkit.Packet{Src: a, Dst: b, Proto: testkit.ProtoICMP, Payload: w.c.Bytes(40)})
	case 2:
		w.put(testkit.Packet{Src: b, Dst: a, Proto: testkit.ProtoTCP, SrcPort: 443, DstPort: 50000, Flags: testkit.TCPAck, Payload: w.c.Bytes(40)})
	default:
		f := testkit.AppendARP(nil, netip.MustParseAddr(worldHosts[0]), netip.MustParseAddr(worldClients[0]))
		w.frame = append(w.frame, capture.Frame{Data: f, Time: w.now, WireLen: uint32(len(f)), Link: linktype.Ethernet})
		w.packets, w.other, w.nonIP, w.unknown = w.packets+1, w.other+1, w.nonIP+1, w.unknown+1
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ReadBatch returns the frames of some steps.
func (w *world) ReadBatch(b *capture.Batch) error {
	w.frame = w.frame[:0]
	for range 1 + w.c.IntN(20) {
		if !w.c.More() {
			break
		}
		switch w.c.IntN(8) {
		case 0, 1, 2:
			w.query()
		case 3, 4:
			w.response()
		case 5:
			w.elsewhere()
		case 6:
			w.look()
		default:
			hosts, _ := analyze.ParseHosts(strings.Join(worldHosts, ",") + fmt.Sprintf(",10.%d.0.0/16", w.c.Byte()))
			w.agent.SetHosts(hosts) // more hosts, of which there are no packets
		}
		w.pass()
	}
	b.Frames = append(b.Frames[:0], w.frame...)
	if len(b.Frames) == 0 {
		if w.c.More() {
			return w.ReadBatch(b)
		}
		return io.EOF
	}
	return nil
}

func (w *world) Stats() capture.Stats { return capture.Stats{} }
func (w *world) Close() error         { return nil }

// look asks for a view. Whatever was flushed by now, it is well-formed and has no more than was sent.
func (w *world) look() {
	n := w.c.IntN(6)
	var b *metric.Bucket
	if w.c.Chance(2) {
		b = w.agent.Window().Merged(1 + n)
	} else {
		b = w.agent.Window().Bucket(n)
	}
	if b == nil {
		return
	}
	w.wellFormed(b)
	if p := packetMetrics(b); int(p.Total) > w.packets {
		w.t.Errorf("%d packets of %d", p.Total, w.packets)
	}
}

// wellFormed checks the JSON and the snapshot of a bucket.
func (w *world) wellFormed(b *metric.Bucket) {
	o := metric.JSONOptions{Key: "1m", Rows: 100}
	text := b.AppendJSON(nil, o)
	if !json.Valid(text) {
		w.t.Fatalf("not JSON: %s", text)
	}
	read, err := metric.ReadSnapshot(w.agent.Tables(), b.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1}))
	if err != nil {
		w.t.Fatal(err)
	}
	if again := read.AppendJSON(nil, o); string(again) != string(text) {
		w.t.Errorf("from a snapshot: %s\nwant %s", again, text)
	}
}

// check compares everything with the model at the end.
func (w *world) check(hidden bool) {
	if w.packets == 0 {
		return
	}
	all := w.agent.Window().Merged(1440)
	w.wellFormed(all)
	p, d := packetMetrics(w.agent.Window().Totals()), dnsMetrics(w.agent.Window().Totals())
	got := fmt.Sprint(p.Total, p.IPv4, p.IPv6, p.UDP, p.TCP, p.OtherL4, p.NonIP, p.In, p.Out, p.UnknownDir, d.Total, d.Queries, d.Replies, d.TCP,
		d.NoError, d.NXDomain, d.ServFail, d.Refused, d.OtherRcode)
	want := fmt.Sprint(w.packets, w.ipv4, w.ipv6, w.udp, w.tcp, w.other, w.nonIP, w.in, w.out, w.unknown, w.messages, w.queries, w.replies, w.overTCP,
		w.rcodes[0], w.rcodes[3], w.rcodes[2], w.rcodes[5], w.rcodes[9])
	if got != want {
		w.t.Errorf("counters %s\n    want %s", got, want)
	}
	if !w.back && (int(d.Xacts) != w.xacts || int(d.Orphans) != w.orphans) {
		w.t.Errorf("%d transactions and %d orphans, want %d and %d", d.Xacts, d.Orphans, w.xacts, w.orphans)
	}
	if w.back {
		return // the window may have dropped minutes that were ahead
	}
	names, sum := dnsMetrics(all), 0
	for name, n := range w.names {
		sum += n
		if low, high := names.TopQname2.Bounds([]byte(lastTwo(name))); !hidden && (int(low) < n || low != high) {
			w.t.Errorf("%s: %d to %d messages, want at least %d", name, low, high, n)
		}
	}
	if int(names.TopQname2.Total()) != sum || names.Qnames.Estimate() > float64(len(w.names)) {
		w.t.Errorf("%d messages with names, want %d; %v distinct ones of %d", names.TopQname2.Total(), sum, names.Qnames.Estimate(), len(w.names))
	}
	for client, n := range w.clients {
		low, high := names.TopClients.Bounds([]byte(client))
		if hidden && low != 0 || !hidden && (int(low) != n || int(high) != n) {
			w.t.Errorf("%s: %d to %d queries, want %d", client, low, high, n)
		}
	}
}

// lastTwo returns the last two labels of a name, as the table of them has it.
func lastTwo(name string) string {
	labels := strings.Split(name, ".")
	if len(labels) <= 2 {
		return name
	}
	return "." + strings.Join(labels[len(labels)-2:], ".")
}

// fixedKey returns a key with which no client of the model is its own pseudonym. With random keys, one in 15,000 is.
func fixedKey(f *testing.F) *anon.Key {
	path := filepath.Join(f.TempDir(), "key")
	if err := os.WriteFile(path, []byte("hex:"+strings.Repeat("c3", anon.KeyLen)), 0o600); err != nil {
		f.Fatal(err)
	}
	key, err := anon.ReadKey(path, anon.DefaultSalt)
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// FuzzAgent compares the whole agent with a plain model: random packets, clocks, views and changes of settings, with and without
// pseudonyms.
func FuzzAgent(f *testing.F) {
	f.Add([]byte{1})
	f.Add([]byte("\x13\x00\x00\x00\x00\x01\x03\x00\x00\x00\x01\x00\x01\x01\x00\x07\x06\x01\x02\x05\x00\x00\x00\x05\x01\x00\x01\x05\x02\x01\x01\x05\x03\x00\x01"))
	f.Add([]byte(strings.Repeat("\x13\x00\x01\x02\x03\x04\x05\x06\x07", 40)))
	f.Add([]byte("\x00" + strings.Repeat("\x13\x00\x01\x02\x03\x04\x05\x06\x07", 40)))
	f.Add([]byte("\x00" + strings.Repeat("\x13\x00\x02\x01\x00\x01\x03\x00\x01\x00\x01\x01\x05\x03\x00\x02\x02", 30)))
	key := fixedKey(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &world{t: t, c: testkit.NewChoices(b), now: 1_700_000_000 * second, rcodes: map[uint16]int{}, names: map[string]int{}, clients: map[string]int{}}
		hidden := w.c.Chance(4)
		w.agent = newAgent(t, func(c *setup) {
			c.Single, c.Periods = false, 1440
			c.TapConfig.Scale, c.PolicyConfig.Scale = policy.MinScale, policy.MinScale // a hundred times as many executions
			c.Hosts, _ = analyze.ParseHosts(strings.Join(worldHosts, ","))
			if hidden {
				names, _ := anon.ParseNames("domain")
				c.Anonymizer = anon.New(anon.Config{Key: key, Names: names})
			}
		})
		if err := w.agent.RunFile(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		w.check(hidden)
	})
}
