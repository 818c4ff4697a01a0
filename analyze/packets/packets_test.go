package packets

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

var (
	host4, host6 = netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::53")
	far4, far6   = netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:99::7")
)

// bench is an analyzer and the section that it flushes into.
type bench struct {
	*Analyzer
	section *metric.Section
	hosts   analyze.Hosts
	flushes int
	group   [1]analyze.Packet
}

func newBench(t testing.TB, percent int, locate Locator) *bench {
	t.Helper()
	hosts, err := analyze.ParseHosts("192.0.2.0/24,2001:db8:53::/48")
	if err != nil {
		t.Fatal(err)
	}
	seed := seedhash.New()
	b := &bench{section: Table.New(), hosts: hosts}
	b.Analyzer = New(Config{Seed: &seed, Sampler: analyze.NewSampler(percent), Locate: locate, Flush: func() {
		b.flushes++
		b.FlushCounts(b.section, 0)
		b.FlushKeys(false, b)
	}})
	return b
}

// frame decodes a frame and counts it, as a shard does.
func (b *bench) frame(frame []byte, wireLen int, link linktype.Type) {
	var d decode.Decoder
	p := &b.group[0]
	*p = analyze.Packet{Frame: frame}
	d.Decode(&p.Packet, frame, uint32(wireLen), link, 1e9)
	if p.Kind == decode.KindIP {
		p.Direction = b.hosts.Direction(p.Src, p.Dst)
	}
	b.Packets(b.group[:])
}

func (b *bench) Lock() *metric.Section { return b.section }
func (b *bench) Unlock()               {}

// flush flushes everything and returns the metrics.
func (b *bench) flush(second int64) *Metrics {
	b.FlushCounts(b.section, second)
	b.FlushKeys(true, b)
	return metric.Of[Metrics](b.section)
}

func udp(src, dst netip.Addr, payload int) []byte {
	p := testkit.Packet{Src: src, Dst: dst, Proto: testkit.ProtoUDP, SrcPort: 1000, DstPort: 2000, Payload: make([]byte, payload)}
	return p.AppendFrame(nil)
}

func tcp(src, dst netip.Addr, flags uint8, payload int) []byte {
	p := testkit.Packet{Src: src, Dst: dst, Proto: testkit.ProtoTCP, SrcPort: 1000, DstPort: 2000, Flags: flags, Payload: make([]byte, payload)}
	return p.AppendFrame(nil)
}

func other(src, dst netip.Addr, proto uint8) []byte {
	p := testkit.Packet{Src: src, Dst: dst, Proto: proto, Payload: make([]byte, 16)}
	return p.AppendFrame(nil)
}

// asFragment turns an unfragmented IPv4 frame into a fragment.
func asFragment(frame []byte, offset int, more bool) []byte {
	v := uint16(offset / 8)
	if more {
		v |= 0x2000
	}
	binary.BigEndian.PutUint16(frame[14+6:], v)
	return frame
}

// TestCounters counts one frame at a time, and lists every counter that must change.
func TestCounters(t *testing.T) {
	type want map[string]uint64
	for _, c := range []struct {
		name  string
		frame []byte
		cut   int // captured bytes; 0 means all
		link  linktype.Type
		want  want
	}{
		{"UDP in", udp(far4, host4, 100), 0, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "bytes.total": 142, "bytes.in": 142}},
		{"UDP out", udp(host4, far4, 100), 0, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "out": 1, "deep_samples": 1, "bytes.total": 142, "bytes.out": 142}},
		{"between two of the host's", udp(host4, netip.MustParseAddr("192.0.2.54"), 0), 0, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "bytes.total": 42, "bytes.in": 42}},
		{"between two elsewhere", udp(far4, netip.MustParseAddr("203.0.113.5"), 0), 0, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "unknown_dir": 1, "deep_samples": 1, "bytes.total": 42}},
		{"IPv6 UDP in", udp(far6, host6, 10), 0, 1, want{
			"total": 1, "udp": 1, "ipv6": 1, "in": 1, "deep_samples": 1, "bytes.total": 72, "bytes.in": 72}},
		{"captured in part", udp(far4, host4, 1000), 60, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "bytes.total": 1042, "bytes.in": 1042}},
		{"SYN", tcp(far4, host4, testkit.TCPSyn, 0), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "protocol.tcp.syn": 1, "bytes.total": 54, "bytes.in": 54}},
		{"SYN with data", tcp(far4, host4, testkit.TCPSyn|testkit.TCPPsh, 20), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "protocol.tcp.syn": 1, "bytes.total": 74, "bytes.in": 74}},
		{"SYN and ACK", tcp(host6, far6, testkit.TCPSyn|testkit.TCPAck, 0), 0, 1, want{
			"total": 1, "tcp": 1, "ipv6": 1, "out": 1, "deep_samples": 1, "protocol.tcp.syn_ack": 1, "bytes.total": 74, "bytes.out": 74}},
		{"RST", tcp(host4, far4, testkit.TCPRst|testkit.TCPAck, 0), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "out": 1, "deep_samples": 1, "protocol.tcp.rst": 1, "bytes.total": 54, "bytes.out": 54}},
		{"data", tcp(host4, far4, testkit.TCPAck|testkit.TCPPsh, 5), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "out": 1, "deep_samples": 1, "bytes.total": 59, "bytes.out": 59}},
		{"ICMP", other(far4, host4, testkit.ProtoICMP), 0, 1, want{
			"total": 1, "other_l4": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "bytes.total": 50, "bytes.in": 50}},
		{"ICMPv6", other(far6, host6, testkit.ProtoICMPv6), 0, 1, want{
			"total": 1, "other_l4": 1, "ipv6": 1, "in": 1, "deep_samples": 1, "bytes.total": 70, "bytes.in": 70}},
		{"ARP", testkit.AppendARP(nil, host4, far4), 0, 1, want{
			"total": 1, "other_l4": 1, "non_ip": 1, "unknown_dir": 1, "bytes.total": 42}},
		{"IP header cut", udp(far4, host4, 100), 30, 1, want{
			"total": 1, "other_l4": 1, "malformed": 1, "unknown_dir": 1, "bytes.total": 142}},
		{"link header cut", udp(far4, host4, 100), 13, 1, want{
			"total": 1, "other_l4": 1, "malformed": 1, "unknown_dir": 1, "bytes.total": 142}},
		{"unknown link", udp(far4, host4, 100), 0, 147, want{
			"total": 1, "other_l4": 1, "unsupported_link": 1, "unknown_dir": 1, "bytes.total": 142}},
		{"UDP header cut", udp(far4, host4, 100), 38, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "malformed_l4": 1, "bytes.total": 142, "bytes.in": 142}},
		{"first fragment of UDP", asFragment(udp(far4, host4, 64), 0, true), 0, 1, want{
			"total": 1, "udp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "fragments": 1, "bytes.total": 106, "bytes.in": 106}},
		{"later fragment of TCP", asFragment(tcp(far4, host4, testkit.TCPSyn|testkit.TCPRst, 64), 1480, false), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "fragments": 1, "bytes.total": 118, "bytes.in": 118}},
		{"first fragment of TCP", asFragment(tcp(far4, host4, testkit.TCPSyn, 64), 0, true), 0, 1, want{
			"total": 1, "tcp": 1, "ipv4": 1, "in": 1, "deep_samples": 1, "fragments": 1, "protocol.tcp.syn": 1, "bytes.total": 118, "bytes.in": 118}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 100, nil)
			frame := c.frame
			if c.cut > 0 {
				frame = frame[:c.cut:c.cut]
			}
			b.frame(frame, len(c.frame), c.link)
			m := b.flush(5)
			for i, d := range Table.Descs {
				if d.Kind == metric.KindCounter && b.section.Counter(i) != c.want[d.Path] {
					t.Errorf("%s is %d, want %d", d.Path, b.section.Counter(i), c.want[d.Path])
				}
			}
			for path := range c.want {
				if _, ok := Table.Find(path); !ok {
					t.Errorf("there is no %s", path)
				}
			}
			for _, r := range []struct {
				name string
				rate *metric.Rate
				want uint64
			}{
				{"pps_total", &m.PpsTotal, 1}, {"pps_in", &m.PpsIn, c.want["in"]}, {"pps_out", &m.PpsOut, c.want["out"]},
				{"bps_total", &m.BpsTotal, 8 * c.want["bytes.total"]}, {"bps_in", &m.BpsIn, 8 * c.want["bytes.in"]},
				{"bps_out", &m.BpsOut, 8 * c.want["bytes.out"]},
			} {
				if got := r.rate.At(5); got != r.want {
					t.Errorf("%s is %d, want %d", r.name, got, r.want)
				}
			}
			if m.Size.Count() != 1 || m.Size.Max() != uint64(len(c.frame)) {
				t.Errorf("%d sizes up to %d, want one of %d", m.Size.Count(), m.Size.Max(), len(c.frame))
			}
		})
	}
}

// TestEndSecond: packets that come before the end of a second count in that second, however late they are flushed.
func TestEndSecond(t *testing.T) {
	b := newBench(t, 100, nil)
	in, out := udp(far4, host4, 0), udp(host4, far4, 100)
	b.frame(in, len(in), 1)
	b.frame(out, len(out), 1)
	b.EndSecond(7)
	b.frame(in, len(in), 1)
	b.EndSecond(9)
	b.frame(out, len(out), 1)
	b.flush(12)
	b.frame(out, len(out), 1) // the rest of the second, after a flush in the middle of it
	m := b.flush(12)
	i, o := 8*uint64(len(in)), 8*uint64(len(out))
	for name, r := range map[string]struct {
		rate *metric.Rate
		want [3]uint64
	}{
		"pps_total": {&m.PpsTotal, [3]uint64{2, 1, 2}}, "pps_in": {&m.PpsIn, [3]uint64{1, 1, 0}}, "pps_out": {&m.PpsOut, [3]uint64{1, 0, 2}},
		"bps_total": {&m.BpsTotal, [3]uint64{i + o, i, 2 * o}}, "bps_in": {&m.BpsIn, [3]uint64{i, i, 0}}, "bps_out": {&m.BpsOut, [3]uint64{o, 0, 2 * o}},
	} {
		if got := [3]uint64{r.rate.At(7), r.rate.At(9), r.rate.At(12)}; got != r.want || r.rate.At(8) != 0 {
			t.Errorf("%s is %d, and %d in the quiet second, want %d and 0", name, got, r.rate.At(8), r.want)
		}
	}
	if m.Total != 5 || m.In != 2 || m.Out != 3 {
		t.Errorf("%d packets, %d in, %d out", m.Total, m.In, m.Out)
	}
}

// TestForgets: a second flush adds nothing that the first has added.
func TestForgets(t *testing.T) {
	b := newBench(t, 100, nil)
	b.frame(tcp(far4, host4, testkit.TCPSyn, 9), 63, 1)
	b.flush(1)
	b.section = Table.New()
	m := b.flush(2)
	if m.Counters != (Counters{}) || m.Size.Count() != 0 || m.PayloadSize.Count() != 0 || m.TopIPv4.Total() != 0 || m.SrcIPsIn.Estimate() != 0 {
		t.Errorf("flushed twice: %+v", m.Counters)
	}
}

// TestPayloadSizes: the payload sizes are those of whole TCP and UDP packets, according to their headers.
func TestPayloadSizes(t *testing.T) {
	b := newBench(t, 100, nil)
	full := udp(far4, host4, 1000)
	b.frame(full[:60:60], len(full), 1)
	b.frame(tcp(far4, host4, testkit.TCPAck, 7), 61, 1)
	b.frame(tcp(far4, host4, testkit.TCPAck, 0), 54, 1)
	b.frame(other(far4, host4, testkit.ProtoICMP), 50, 1)
	b.frame(asFragment(udp(far4, host4, 64), 0, true), 106, 1)
	m := b.flush(0)
	if m.PayloadSize.Count() != 3 || m.PayloadSize.Max() != 1000 || m.PayloadSize.Min() != 0 || m.PayloadSize.Sum() != 1007 {
		t.Errorf("%d payloads, %d to %d, %d bytes", m.PayloadSize.Count(), m.PayloadSize.Min(), m.PayloadSize.Max(), m.PayloadSize.Sum())
	}
}

// places is a Locator that knows two addresses.
type places struct{}

func (places) City(a netip.Addr) string {
	if a == far4 {
		return "EU/France//Paris"
	}
	return "Unknown"
}

func (places) ASN(a netip.Addr) string {
	if a == far6 {
		return "64500/EXAMPLE"
	}
	return ""
}

// TestPeers: the tables count the remote addresses of packets whose direction is known. The cardinalities count the sources
// of packets in and the destinations of packets out.
func TestPeers(t *testing.T) {
	b := newBench(t, 100, places{})
	second := netip.MustParseAddr("198.51.100.8")
	for _, f := range [][]byte{
		udp(far4, host4, 0), udp(far4, host4, 0), udp(host4, far4, 0), udp(host4, second, 0),
		udp(far6, host6, 0), udp(host6, far6, 0), udp(far4, second, 0), testkit.AppendARP(nil, far4, host4),
	} {
		b.frame(f, len(f), 1)
	}
	m := b.flush(0)
	for _, c := range []struct {
		name string
		top  *metric.Top
		want map[string]uint64
	}{
		{"top_ipv4", &m.TopIPv4, map[string]uint64{"198.51.100.7": 3, "198.51.100.8": 1}},
		{"top_ipv6", &m.TopIPv6, map[string]uint64{"2001:db8:99::7": 2}},
		{"top_geoLoc", &m.TopGeoLoc, map[string]uint64{"EU/France//Paris": 3, "Unknown": 3}},
		{"top_ASN", &m.TopASN, map[string]uint64{"64500/EXAMPLE": 2}},
	} {
		got := map[string]uint64{}
		for key, n := range c.top.All() {
			got[string(key)] = n
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if in, out := m.SrcIPsIn.Estimate(), m.DstIPsOut.Estimate(); in != 2 || out != 3 {
		t.Errorf("%v sources in, %v destinations out; want 2 and 3", in, out)
	}
}

// TestSampled: without a deep sample there are only counters, rates and sizes. A sample consists of whole flows.
func TestSampled(t *testing.T) {
	for _, percent := range []int{0, 40, 100} {
		b := newBench(t, percent, nil)
		const flows, packets = 2000, 3
		for i := range flows {
			far := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			for range packets {
				f := udp(far, host4, 0)
				b.frame(f, len(f), 1)
			}
		}
		m := b.flush(0)
		if m.Total != flows*packets || m.In != flows*packets || m.Size.Count() != flows*packets {
			t.Errorf("%d%%: %d packets, %d in, %d sizes", percent, m.Total, m.In, m.Size.Count())
		}
		want := flows * percent / 100
		if got := int(m.DeepSamples); got%packets != 0 || got/packets < want*9/10 || got/packets > want*11/10 {
			t.Errorf("%d%%: %d packets sampled, want about %d flows of %d", percent, got, want, packets)
		}
		if m.TopIPv4.Total() != uint64(m.DeepSamples) || m.TopIPv4.Len() != int(m.DeepSamples)/packets {
			t.Errorf("%d%%: %d packets of %d addresses in the table, %d sampled", percent, m.TopIPv4.Total(), m.TopIPv4.Len(), m.DeepSamples)
		}
	}
}

// TestManyPeers: if there are more addresses than the tally holds, it is flushed in between, and all addresses count.
func TestManyPeers(t *testing.T) {
	b := newBench(t, 100, nil)
	const n = 3*tallySize + 5
	frame := udp(far4, host4, 0)
	for i := range uint32(n) {
		binary.BigEndian.PutUint32(frame[14+12:], 0x0a000000+i)
		b.frame(frame, len(frame), 1)
	}
	if b.flushes != 3 {
		t.Errorf("%d flushes of a tally of %d for %d addresses, want 3", b.flushes, tallySize, n)
	}
	m := b.flush(0)
	if m.Total != n || m.TopIPv4.Total() != n {
		t.Errorf("%d packets, %d in the table, want %d", m.Total, m.TopIPv4.Total(), n)
	}
	if e := m.SrcIPsIn.Estimate(); e < 0.97*n || e > 1.03*n {
		t.Errorf("%.0f sources, want %d", e, n)
	}
	if upper := m.TopIPv4.MaxError(); upper > n/3072 {
		t.Errorf("an address seen once may have had %d", upper)
	}
}

func TestAllocs(t *testing.T) {
	b := newBench(t, 100, places{})
	var frames [][]byte
	for i := range 200 {
		far := netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i))
		frames = append(frames, udp(far, host4, i), tcp(host4, far, testkit.TCPAck, i))
	}
	frames = append(frames, testkit.AppendARP(nil, host4, far4), udp(far6, host6, 50))
	n := 0
	testkit.NoAllocs(t, "Packet", 5000, func() {
		b.frame(frames[n%len(frames)], 1500, 1)
		n++
	})
	b.flush(1)
	testkit.NoAllocs(t, "a flush of known addresses", 50, func() {
		for _, f := range frames {
			b.frame(f, 1500, 1)
		}
		b.flush(1)
	})
}

func BenchmarkPacket(b *testing.B) {
	x := newBench(b, 100, nil)
	frame := udp(far4, host4, 100)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		x.frame(frame, len(frame), 1)
	}
}
