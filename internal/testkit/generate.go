package testkit

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"pktvisor/linktype"
)

// Generate writes the traffic that cfg describes to w as a pcap file, and returns the exact answers about it. On
// machines of one architecture, the bytes depend only on cfg.
func Generate(w io.Writer, cfg TrafficConfig) (*Truth, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	out, err := NewPcapWriter(w, cfg.Nano, linktype.Ethernet)
	if err != nil {
		return nil, err
	}
	g := newGenerator(cfg, out)
	if err := g.run(); err != nil {
		return nil, err
	}
	return g.count.finish(), out.Flush()
}

// generator makes conversations one after the other. Each conversation builds all its frames with their descriptions
// and puts them into a heap ordered by time. The generator writes and counts them in that order.
type generator struct {
	cfg     TrafficConfig
	rng     *rand.Rand
	out     *PcapWriter
	names   *names
	nameAt  *zipf
	clients *zipf
	count   *counter
	tick    int64 // the unit of the file's clock in nanoseconds

	queue   queue
	planned int    // frames made, written or not
	talks   uint32 // conversations begun, for distinct ports, IDs and clients

	scratch []byte // a message or payload being built
	tcp     tcpScript
}

// frame is a frame that waits to be written.
type frame struct {
	b    []byte
	note note
}

// note is what a frame counts as.
type note struct {
	v6, nonIP bool
	proto     uint8
	flags     uint8 // of TCP
	dir       direction
	peer      peer
	dns       []dnsFacts // the messages that this frame completes
}

type direction uint8

const (
	dirUnknown direction = iota
	dirIn
	dirOut
)

func newGenerator(cfg TrafficConfig, out *PcapWriter) *generator {
	g := &generator{cfg: cfg, out: out, tick: 1000, rng: rand.New(rand.NewPCG(cfg.Seed, 0x70766973))}
	if cfg.Nano {
		g.tick = 1
	}
	g.names = newNames(cfg.Names, cfg.World, cfg.Seed)
	g.nameAt = newZipf(cfg.Names, cfg.Zipf)
	g.clients = newZipf(cfg.Clients, cfg.Zipf)
	g.count = newCounter(&g.cfg, g.names)
	return g
}

func (g *generator) run() error {
	start := g.cfg.Start.UnixNano()
	at := start
	for g.planned < g.cfg.Packets {
		before := g.planned
		g.conversation(at / g.tick * g.tick)
		rate := g.cfg.Rate
		if g.cfg.RateSwing > 0 {
			rate *= 1 + g.cfg.RateSwing*math.Sin(2*math.Pi*float64(at-start)/47e9)
		}
		at += int64(g.rng.ExpFloat64() * float64(g.planned-before) / rate * 1e9)
		if err := g.emitUntil(at); err != nil {
			return err
		}
	}
	return g.emitUntil(math.MaxInt64)
}

// emitUntil writes and counts the frames before the given time.
func (g *generator) emitUntil(at int64) error {
	for len(g.queue.heap) > 0 && g.queue.heap[0].at < at {
		t, f := g.queue.pop()
		if err := g.out.Write(t, f.b); err != nil {
			return err
		}
		g.count.frame(t, len(f.b), &f.note)
	}
	return nil
}

func (g *generator) chance(share float64) bool { return share > 0 && g.rng.Float64() < share }

// micros returns a random time of 1 to n microseconds, in nanoseconds.
func (g *generator) micros(n int64) int64 { return (1 + g.rng.Int64N(n)) * 1000 }

// conversation begins the next conversation, within the number of frames that are left.
func (g *generator) conversation(at int64) {
	left := g.cfg.Packets - g.planned
	g.talks++
	switch {
	case g.chance(g.cfg.HostileShare):
		g.hostile(at)
	case left < 2 || !g.chance(g.cfg.DNSShare):
		g.other(at)
	case g.chance(g.cfg.OrphanShare):
		e := g.endpoints()
		m := g.response(g.query(&e))
		g.udpMessage(at, &e, &m)
	case left >= maxTCPFrames && g.chance(g.cfg.TCPShare):
		g.tcpConversation(at)
	default:
		g.udpConversation(at)
	}
}

// endpoints are the two sides of a DNS conversation.
type endpoints struct {
	client, server netip.Addr
	clientPort     uint16
	id             uint16
	in             bool // the host is the server
	peer           peer
}

func (e *endpoints) v6() bool { return e.client.Is6() }

// direction returns the direction of a frame from the client or from the server.
func (e *endpoints) direction(fromServer bool) direction {
	if e.in != fromServer {
		return dirIn
	}
	return dirOut
}

// Ports and IDs come from the number of the conversation. So two conversations with the same client have the same
// port and ID only after 2^31 conversations.
const firstPort, numPorts = 20_000, 32_768

func (g *generator) endpoints() endpoints {
	slot := g.talks % numPorts
	e := endpoints{
		in:         !g.chance(g.cfg.OutShare),
		clientPort: uint16(firstPort + slot*11_213%numPorts),
		id:         uint16(slot*40_503 + g.talks/numPorts*25_173),
	}
	six := 0
	if g.chance(g.cfg.IPv6Share) {
		six = 1
	}
	if e.in {
		e.peer = peer{clients4 + peerClass(six), g.client()}
		e.client, e.server = e.peer.addr(g.cfg.World), hostServers[six][g.rng.IntN(2)]
	} else {
		e.peer = peer{upstreams4 + peerClass(six), uint32(math.Sqrt(float64(g.rng.IntN(upstreams * upstreams))))}
		e.client, e.server = hostResolver[six], e.peer.addr(g.cfg.World)
	}
	return e
}

func (g *generator) client() uint32 {
	if g.cfg.DistinctSources {
		return g.talks
	}
	return g.clients.draw(g.rng)
}

// query decides what a client asks.
func (g *generator) query(e *endpoints) dnsFacts {
	c := &g.cfg
	m := dnsFacts{id: e.id, port: e.clientPort, name: g.nameAt.draw(g.rng), qtype: qtypeOf[g.rng.IntN(100)]}
	if g.chance(c.RandomLabelShare) {
		m.name, m.rcode = g.names.newRandom(m.name), rcodeNXDomain
	}
	m.edns = g.chance(c.EDNSShare)
	m.ecs = m.edns && g.chance(c.ECSShare)
	m.cd = m.edns && m.id&31 == 0
	m.mixedCase = g.chance(c.MixedCaseShare)
	m.aa = e.in
	return m
}

// response decides how the server responds to a query.
func (g *generator) response(m dnsFacts) dnsFacts {
	c := &g.cfg
	m.reply = true
	x := g.rng.Float64()
	for _, r := range [...]struct {
		share float64
		rcode uint8
	}{{c.ServfailShare, rcodeServfail}, {c.RefusedShare, rcodeRefused}, {c.NXDomainShare, rcodeNXDomain}, {c.NodataShare, rcodeNoError}} {
		if x < r.share {
			if m.rcode == rcodeNoError {
				m.rcode, m.nodata = r.rcode, r.rcode == rcodeNoError
			}
			break
		}
		x -= r.share
	}
	m.ad = !m.aa && m.edns && m.rcode == rcodeNoError && m.name&3 == 0
	return m
}

// latency draws a response time.
func (g *generator) latency(in bool) int64 {
	l := g.cfg.Out
	if in {
		l = g.cfg.In
	}
	const z99 = 2.3263478740 // the 0.99 quantile of the standard normal distribution
	sigma := math.Log(float64(l.P99)/float64(l.P50)) / z99
	d := float64(l.P50) * math.Exp(sigma*g.rng.NormFloat64())
	d = min(d, 0.9*float64(g.cfg.Timeout))
	return max(int64(d)/g.tick, 1) * g.tick
}

func (g *generator) udpConversation(at int64) {
	e := g.endpoints()
	q := g.query(&e)
	if x := g.rng.Float64(); x < g.cfg.UnansweredShare {
		q.noReply = true
		g.udpMessage(at, &e, &q)
		return
	} else if x < g.cfg.UnansweredShare+g.cfg.LateShare {
		r := g.response(q)
		q.noReply = true
		g.udpMessage(at, &e, &q)
		g.udpMessage(at+int64(g.cfg.Timeout)+g.latency(e.in)+int64(time.Second), &e, &r)
		return
	}
	r := g.response(q)
	r.queryAt = at
	if g.chance(g.cfg.TruncatedShare) {
		r.truncated, r.nodata = true, false
	}
	g.udpMessage(at, &e, &q)
	g.udpMessage(at+g.latency(e.in), &e, &r)
}

func (g *generator) udpMessage(at int64, e *endpoints, m *dnsFacts) {
	g.scratch = g.appendMessage(g.scratch[:0], m)
	p := Packet{Src: e.client, Dst: e.server, Proto: ProtoUDP, SrcPort: e.clientPort, DstPort: 53, Payload: g.scratch}
	if m.reply {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	f := g.push(at)
	f.b = p.AppendFrame(f.b)
	f.note = note{v6: e.v6(), proto: ProtoUDP, dir: e.direction(m.reply), peer: e.peer, dns: append(f.note.dns, *m)}
}

// push queues an empty frame for the given time, and returns it to be filled in.
func (g *generator) push(at int64) *frame {
	g.planned++
	return g.queue.push(at)
}

// other makes a frame that is not DNS.
func (g *generator) other(at int64) {
	six := 0
	if g.chance(g.cfg.IPv6Share) {
		six = 1
	}
	pr := peer{clients4 + peerClass(six), g.client()}
	far, host := pr.addr(g.cfg.World), hostServers[six][g.rng.IntN(2)]
	port := uint16(firstPort + g.rng.IntN(numPorts))
	g.scratch = append(g.scratch[:0], signature[:8+g.rng.IntN(200)]...)
	p := Packet{Src: far, Dst: host, Proto: ProtoTCP, SrcPort: port, DstPort: 443, Seq: g.rng.Uint32(), Flags: TCPAck, Payload: g.scratch}
	n := note{v6: six == 1, dir: dirIn, peer: pr}
	if g.rng.IntN(2) == 0 {
		p.Src, p.Dst, p.SrcPort, p.DstPort, n.dir = p.Dst, p.Src, p.DstPort, p.SrcPort, dirOut
	}
	if g.chance(g.cfg.VLANShare) {
		p.VLAN = [][]uint16{{100}, {200, 7}}[g.rng.IntN(2)]
	}
	f := g.push(at)
	switch g.pick() {
	case 0:
		p.Flags |= TCPPsh
	case 1:
		p.Flags, p.Payload = TCPSyn, nil
	case 2:
		p.Proto = ProtoUDP
	case 3:
		p.Proto = ProtoICMP
		p.Payload[0], p.Payload[1] = 8, 0 // echo request
		if six == 1 {
			p.Proto, p.Payload[0] = ProtoICMPv6, 128
		}
	case 4: // between two other hosts
		p.Src, p.Dst, p.Proto = far, peer{pr.class, pr.i ^ 1}.addr(g.cfg.World), ProtoUDP
		n.dir, n.peer.class = dirUnknown, noPeer
	case 5:
		f.b = AppendARP(f.b, hostServers[0][0], hostServers[0][1])
		f.note = note{nonIP: true, peer: peer{class: noPeer}, dns: f.note.dns}
		return
	}
	f.b = p.AppendFrame(f.b)
	n.proto, n.flags, n.dns = p.Proto, p.Flags, f.note.dns
	f.note = n
}

// pick draws the number of a field of Mix by its weight.
func (g *generator) pick() int {
	m := g.cfg.Mix
	weights := [...]int{m.TCPData, m.TCPSyn, m.UDP, m.ICMP, m.Transit, m.ARP}
	total := 0
	for _, w := range weights {
		total += w
	}
	x := g.rng.IntN(total)
	for i, w := range weights {
		if x < w {
			return i
		}
		x -= w
	}
	return 0
}
