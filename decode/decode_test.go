package decode

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/linktype"
)

var (
	src4 = netip.MustParseAddr("192.0.2.1")
	dst4 = netip.MustParseAddr("198.51.100.2")
	src6 = netip.MustParseAddr("2001:db8::1")
	dst6 = netip.MustParseAddr("2001:db8::2")
)

var (
	dnsUDP = udp(40000, 53, []byte("question"))
	v4     = ip4(ProtoUDP, dnsUDP)
	v6     = ip6(ProtoUDP, dnsUDP)
)

func decodeOne(d Decoder, link linktype.Type, frame []byte) Packet {
	var p Packet
	d.Decode(&p, frame, uint32(len(frame)), link, 7)
	return p
}

// TestLinks: the same datagram is found behind every link layer.
func TestLinks(t *testing.T) {
	snap := func(etherType int) []byte { return cat([]byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(etherType)) }
	wifiHead := func(control, flags byte, extra int) []byte {
		return append([]byte{control, flags}, make([]byte, 22+extra)...)
	}
	tests := []struct {
		name  string
		link  linktype.Type
		head  []byte
		v6    bool
		plain bool // without trailing bytes, because nothing says where the packet ends
	}{
		{name: "ethernet", link: 1, head: ether(0x0800)},
		{name: "ethernet v6", link: 1, head: ether(0x86dd), v6: true},
		{name: "vlan", link: 1, head: ether(0x8100, u16(7), u16(0x0800))},
		{name: "qinq", link: 1, head: ether(0x88a8, u16(7), u16(0x8100), u16(8), u16(0x86dd)), v6: true},
		{name: "old qinq", link: 1, head: ether(0x9100, u16(7), u16(0x8100), u16(8), u16(0x0800))},
		{name: "pbb", link: 1, head: ether(0x88e7, make([]byte, 4), ether(0x0800))},
		{name: "vn-tag", link: 1, head: ether(0x8926, make([]byte, 4), u16(0x0800))},
		{name: "cmd", link: 1, head: ether(0x8909, make([]byte, 6), u16(0x0800))},
		{name: "nsh", link: 1, head: ether(0x894f, []byte{0, 2, 1, 1, 0, 0, 0, 0})},
		{name: "nsh ethernet", link: 1, head: ether(0x894f, []byte{0, 2, 1, 3, 0, 0, 0, 0}, ether(0x86dd)), v6: true},
		{name: "mpls", link: 1, head: ether(0x8847, []byte{0, 0, 0x10, 64, 0, 0, 0x21, 64})},
		{name: "mpls v6", link: 1, head: ether(0x8848, []byte{0, 0, 0x21, 64}), v6: true},
		{name: "mpls pseudowire", link: 1, head: ether(0x8847, []byte{0, 0, 0x21, 64, 0, 0, 0, 0}, ether(0x0800))},
		{name: "pppoe", link: 1, head: ether(0x8864, []byte{0x11, 0, 0, 1, 0, 9, 0, 0x21})},
		{name: "pppoe compressed protocol", link: 1, head: ether(0x8864, []byte{0x11, 0, 0, 1, 0, 9, 0x57}), v6: true},
		{name: "llc/snap", link: 1, head: ether(60, snap(0x0800))},
		{name: "llc ip", link: 1, head: ether(60, []byte{6, 6, 3})},
		{name: "llc/snap vlan", link: 1, head: ether(0x8100, u16(1), u16(60), snap(0x86dd)), v6: true},
		{name: "sll", link: 113, head: sll(0x0800, nil)},
		{name: "sll vlan", link: 113, head: sll(0x8100, cat(u16(1), u16(0x86dd))), v6: true},
		{name: "sll llc", link: 113, head: sll(4, snap(0x0800))},
		{name: "sll2", link: 276, head: cat(u16(0x0800), make([]byte, 18))},
		{name: "sll2 v6", link: 276, head: cat(u16(0x86dd), make([]byte, 18)), v6: true},
		{name: "raw 101", link: 101},
		{name: "raw 12", link: 12, v6: true},
		{name: "raw 14", link: 14},
		{name: "ipv4", link: 228},
		{name: "ipv6", link: 229, v6: true},
		{name: "null", link: 0, head: []byte{2, 0, 0, 0}},
		{name: "null, other order", link: 0, head: []byte{0, 0, 0, 2}},
		{name: "null linux v6", link: 0, head: []byte{10, 0, 0, 0}, v6: true},
		{name: "null netbsd v6", link: 0, head: []byte{24, 0, 0, 0}, v6: true},
		{name: "null freebsd v6", link: 0, head: []byte{28, 0, 0, 0}, v6: true},
		{name: "null darwin v6", link: 0, head: []byte{0, 0, 0, 30}, v6: true},
		{name: "loop", link: 108, head: []byte{0, 0, 0, 24}, v6: true},
		{name: "ppp", link: 9, head: []byte{0xff, 3, 0, 0x21}},
		{name: "ppp bare", link: 9, head: []byte{0, 0x57}, v6: true},
		{name: "ppp serial", link: 50, head: []byte{0xff, 3, 0, 0x21}},
		{name: "ppp serial, cisco", link: 50, head: []byte{0x0f, 0, 8, 0}},
		{name: "pppoe link", link: 51, head: []byte{0x11, 0, 0, 1, 0, 9, 0, 0x21}},
		{name: "chdlc", link: 104, head: []byte{0x8f, 0, 0x86, 0xdd}, v6: true},
		{name: "atm", link: 100, head: snap(0x0800)},
		{name: "wifi", link: 105, head: cat(wifiHead(0x08, 1, 0), snap(0x0800))},
		{name: "wifi qos", link: 105, head: cat(wifiHead(0x88, 1, 2), snap(0x86dd)), v6: true},
		{name: "wifi 4-address", link: 105, head: cat(wifiHead(0x08, 3, 6), snap(0x0800))},
		{name: "wifi qos ht", link: 105, head: cat(wifiHead(0x88, 0x81, 6), snap(0x0800))},
		{name: "radiotap", link: 127, head: cat([]byte{0, 0, 8, 0, 0, 0, 0, 0}, wifiHead(0x08, 1, 0), snap(0x0800))},
		{name: "radiotap padded", link: 127, head: cat(
			[]byte{0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0x20}, // two words, TSFT, flags
			wifiHead(0x88, 1, 4), snap(0x0800))},
		{name: "nflog", link: 239, head: []byte{2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 0, 0, 5, 0, 10, 0, 'x', 0, 0, 0, 40, 0, 9, 0}},
		{name: "nflog, other order", link: 239, head: []byte{10, 0, 0, 0, 0, 8, 0, 1, 8, 0, 0, 0, 0, 40, 0, 9}, v6: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ip, ipLen, version, src, dst := v4, 20, uint8(4), src4, dst4
			if tt.v6 {
				ip, ipLen, version, src, dst = v6, 40, 6, src6, dst6
			}
			frame := cat(tt.head, ip, []byte("trailer")) // as Ethernet pads
			want := Packet{
				Time: 7, WireLen: uint32(len(frame)), Kind: KindIP, Version: version, Proto: ProtoUDP, TTL: 64, Flags: FlagL4,
				Src: AddrFromNetip(src), Dst: AddrFromNetip(dst), SrcPort: 40000, DstPort: 53,
				Payload: uint32(len(tt.head) + ipLen + 8), CapLen: 8, PayloadLen: 8,
			}
			got := decodeOne(Decoder{}, tt.link, frame)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
			if b := frame[got.Payload : got.Payload+got.CapLen]; string(b) != "question" {
				t.Errorf("payload %q", b)
			}
			// Cut anywhere before the end of the IP header, it is not an IP packet.
			for n := range len(tt.head) + ipLen {
				if p := decodeOne(Decoder{}, tt.link, frame[:n]); p.Kind == KindIP {
					t.Errorf("cut to %d bytes, it is still IP", n)
				}
			}
		})
	}
}

func TestKinds(t *testing.T) {
	tests := []struct {
		name  string
		link  linktype.Type
		frame []byte
		want  Kind
	}{
		{"arp", 1, ether(0x0806, make([]byte, 28)), KindNonIP},
		{"stp", 1, ether(38, []byte{0x42, 0x42, 3}, make([]byte, 35)), KindNonIP},
		{"pppoe discovery", 1, ether(0x8863, make([]byte, 20)), KindNonIP},
		{"ppp lcp", 9, []byte{0xff, 3, 0xc0, 0x21, 1, 1, 0, 4}, KindNonIP},
		{"wifi beacon", 105, make([]byte, 60), KindNonIP},
		{"wifi protected", 105, append([]byte{0x08, 0x41}, make([]byte, 60)...), KindNonIP},
		{"netlink", 113, append([]byte{0, 4, 824 >> 8, 824 & 255}, make([]byte, 40)...), KindNonIP},
		{"raw", 101, []byte{0x15, 0, 0, 0}, KindNonIP},
		{"empty", 1, nil, KindMalformed},
		{"empty raw", 101, nil, KindMalformed},
		{"short", 1, make([]byte, 13), KindMalformed},
		{"tags without end", 1, bytes.Repeat([]byte{0x81, 0}, 200), KindMalformed},
		{"labels without end", 1, ether(0x8847, make([]byte, 200)), KindMalformed},
		{"version 5", 1, ether(0x0800, []byte{0x55}, v4[1:]), KindMalformed},
		{"header length 16", 1, ether(0x0800, []byte{0x44}, v4[1:]), KindMalformed},
		{"total length 19", 1, ether(0x0800, []byte{0x45, 0, 0, 19}, v4[4:]), KindMalformed},
		{"user link", 147, v4, KindUnsupportedLink},
	}
	for _, tt := range tests {
		got := decodeOne(Decoder{}, tt.link, tt.frame)
		got.EtherType, got.Payload, got.CapLen, got.PayloadLen = 0, 0, 0, 0 // see TestEtherType
		want := Packet{Time: 7, WireLen: uint32(len(tt.frame)), Kind: tt.want}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestEtherType: a frame without IP says what it carries instead and where that is, if a field of the link layer says so.
func TestEtherType(t *testing.T) {
	body := make([]byte, 28)
	snap := func(etherType int) []byte { return cat([]byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(etherType), body) }
	pseudowire := cat(ether(0x8847, []byte{0, 1, 1, 64}), ether(0x0806, body)) // nothing proves that it is Ethernet
	for _, tt := range []struct {
		name      string
		link      linktype.Type
		frame     []byte
		etherType uint16
		payload   uint32
	}{
		{"arp", 1, ether(0x0806, body), 0x0806, 14},
		{"arp in a vlan", 1, ether(0x8100, u16(7), u16(0x0806), body), 0x0806, 18},
		{"arp in two vlans", 1, ether(0x88a8, u16(7), u16(0x8100), u16(8), u16(0x0806), body), 0x0806, 22},
		{"arp after SNAP", 1, ether(36, snap(0x0806)), 0x0806, 22},
		{"arp, cooked", 113, cat(make([]byte, 14), u16(0x0806), body), 0x0806, 16},
		{"arp, wifi", 105, cat([]byte{0x08, 0}, make([]byte, 22), snap(0x0806)), 0x0806, 32},
		{"lldp", 1, ether(0x88cc, body), 0x88cc, 14},
		{"stp", 1, ether(38, []byte{0x42, 0x42, 3}, body), 0, 0},
		{"labels", 1, pseudowire, 0, 0},
		{"raw", 101, []byte{0x15, 0, 0, 0}, 0, 0},
		{"IPv4", 1, ether(0x0800, v4), 0, 42},
		{"a cut vlan tag", 1, ether(0x8100, u16(7)), 0, 0},
		{"another link", 147, body, 0, 0},
	} {
		p := decodeOne(Decoder{}, tt.link, tt.frame)
		if p.EtherType != tt.etherType || p.Payload != tt.payload {
			t.Errorf("%s: EtherType %04x at %d, want %04x at %d", tt.name, p.EtherType, p.Payload, tt.etherType, tt.payload)
		}
		if p.EtherType == 0 {
			continue
		}
		if n := uint32(len(body)); p.Kind != KindNonIP || p.CapLen != n || p.PayloadLen != n {
			t.Errorf("%s: kind %d, %d of %d bytes, want %d", tt.name, p.Kind, p.CapLen, p.PayloadLen, n)
		}
		var d Decoder
		d.Decode(&p, tt.frame[:len(tt.frame)-8], uint32(len(tt.frame)), tt.link, 7)
		if p.EtherType != tt.etherType || p.CapLen != 20 || p.PayloadLen != 28 {
			t.Errorf("%s, cut: EtherType %04x, %d of %d bytes, want 20 of 28", tt.name, p.EtherType, p.CapLen, p.PayloadLen)
		}
	}
}

func TestIP(t *testing.T) {
	ext := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	frag6 := func(next byte, v int) []byte { return cat([]byte{next, 0}, u16(v), []byte{0, 1, 2, 3}) }
	ah := func(next byte) []byte { return append([]byte{next, 4}, make([]byte, 22)...) }
	options := cat([]byte{0x46, 0}, u16(24+len(dnsUDP)), v4[4:20], []byte{1, 1, 1, 1}, dnsUDP)
	tso := bytes.Clone(v4)
	tso[2], tso[3] = 0, 0
	tso6 := bytes.Clone(v6)
	tso6[4], tso6[5] = 0, 0
	synOpts := tcp(1, 2, TCPSyn, nil)
	synOpts[12] = 0xa0

	const l4, frag, later, bad = FlagL4, FlagFragment, FlagLaterFragment, FlagL4Malformed
	tests := []struct {
		name            string
		frame           []byte
		proto           uint8
		flags           Flags
		payload, capLen uint32
		payloadLen      uint32
		ports           bool
	}{
		{"options", options, 17, l4, 32, 8, 8, true},
		{"no length", tso, 17, l4, 28, 8, 8, true},
		{"no length v6", tso6, 17, l4, 48, 8, 8, true},
		{"cut payload", v4[:30], 17, l4, 28, 2, 8, true},
		{"cut udp", v4[:27], 17, bad, 20, 7, 16, false},
		{"cut after ip", v6[:40], 17, bad, 40, 0, 16, false},
		{"udp length 7", ip4(17, cat(dnsUDP[:4], u16(7), dnsUDP[6:])), 17, bad, 20, 16, 16, false},
		{"udp length 0 v4", ip4(17, cat(dnsUDP[:4], u16(0), dnsUDP[6:])), 17, bad, 20, 16, 16, false},
		{"udp length 0 v6", ip6(17, cat(dnsUDP[:4], u16(0), dnsUDP[6:])), 17, l4, 48, 8, 8, true},
		{"udp length 12", ip4(17, cat(dnsUDP[:4], u16(12), dnsUDP[6:])), 17, l4, 28, 4, 4, true},
		{"udp length 17", ip4(17, cat(dnsUDP[:4], u16(17), dnsUDP[6:])), 17, l4 | bad, 28, 8, 8, true},
		{"tcp", ip6(6, tcp(40000, 53, TCPSyn, []byte("x"))), 6, l4, 60, 1, 1, true},
		{"tcp cut options", ip4(6, cat(synOpts, make([]byte, 22)))[:44], 6, l4, 44, 0, 2, false},
		{"tcp offset past the end", ip4(6, synOpts), 6, bad, 20, 20, 20, false},
		{"tcp offset 16", ip4(6, cat(synOpts[:12], []byte{0x40}, synOpts[13:])), 6, bad, 20, 20, 20, false},
		{"icmp", ip4(1, make([]byte, 8)), 1, 0, 20, 8, 8, false},
		{"ah v4", ip4(51, cat(ah(17), dnsUDP)), 17, l4, 52, 8, 8, true},
		{"first fragment", ip4Frag(17, 9, 0x2000, dnsUDP), 17, frag, 20, 16, 16, true},
		{"later fragment", ip4Frag(17, 9, 2, dnsUDP), 17, frag | later, 20, 16, 16, false},
		{"don't fragment", ip4Frag(17, 9, 0x4000, dnsUDP), 17, l4, 28, 8, 8, true},
		{"tiny first fragment", ip4Frag(17, 9, 0x2000, dnsUDP[:7]), 17, frag | bad, 20, 7, 7, false},
		{"extensions", ip6(0, cat(ext(60), ext(43), ext(135), ext(139), ext(140), ext(51), ah(17), dnsUDP)), 17, l4, 120, 8, 8, true},
		{"first fragment v6", ip6(0, cat(ext(44), frag6(60, 1), ext(17), dnsUDP)), 17, frag, 56, 24, 24, true},
		{"later fragment v6", ip6(44, cat(frag6(60, 16), ext(17), dnsUDP)), 60, frag | later, 48, 24, 24, false},
		{"atomic fragment", ip6(44, cat(frag6(17, 0), dnsUDP)), 17, l4, 56, 8, 8, true},
		{"cut extension", ip6(0, ext(17)[:5]), 0, bad, 40, 5, 5, false},
		{"too many extensions", ip6(60, cat(bytes.Repeat(ext(60), maxExtensions), ext(17), dnsUDP)), 60, bad, 40 + 8*maxExtensions, 24, 24, false},
		{"no next header", ip6(59, []byte{1, 2}), 59, 0, 40, 2, 2, false},
	}
	for _, tt := range tests {
		wireLen := len(tt.frame)
		if tt.capLen < tt.payloadLen { // the cut ones
			wireLen += int(tt.payloadLen - tt.capLen)
		}
		var got Packet
		(&Decoder{}).Decode(&got, tt.frame, uint32(wireLen), linktype.Raw, 7)
		type result struct {
			Proto                       uint8
			Flags                       Flags
			Payload, CapLen, PayloadLen uint32
		}
		if diff := cmp.Diff(result{tt.proto, tt.flags, tt.payload, tt.capLen, tt.payloadLen},
			result{got.Proto, got.Flags, got.Payload, got.CapLen, got.PayloadLen}); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
		if tt.ports != (got.SrcPort == 40000 && got.DstPort == 53) {
			t.Errorf("%s: ports %d, %d", tt.name, got.SrcPort, got.DstPort)
		}
	}

	p := decodeOne(Decoder{}, linktype.Raw, ip4Frag(17, 9, 0x2000|100, dnsUDP))
	if p.FragID != 9 || p.FragOffset != 800 || !p.FragMore {
		t.Errorf("IPv4 fragment: %+v", p)
	}
	p = decodeOne(Decoder{}, linktype.Raw, ip6(44, cat(frag6(17, 800), dnsUDP)))
	if p.FragID != 0x00010203 || p.FragOffset != 800 || p.FragMore {
		t.Errorf("IPv6 fragment: %+v", p)
	}
	p = decodeOne(Decoder{}, linktype.Raw, ip4(6, cat(synOpts, make([]byte, 20))))
	if p.Seq != 1 || p.Ack != 2 || p.TCPFlags != TCPSyn || p.SrcPort != 1 || p.DstPort != 2 {
		t.Errorf("SYN: %+v", p)
	}
}

func TestAllocations(t *testing.T) {
	frame := ether(0x0800, ip4(17, udp(1, portVXLAN, cat([]byte{8, 0, 0, 0, 0, 0, 1, 0}, ether(0x0800, v4)))))
	d := Decoder{Decap: true}
	var p Packet
	if n := testing.AllocsPerRun(100, func() { d.Decode(&p, frame, uint32(len(frame)), linktype.Ethernet, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if p.Flags != FlagL4|FlagTunnelled {
		t.Errorf("flags %b", p.Flags)
	}
}

func TestPacketSize(t *testing.T) {
	if n := reflect.TypeFor[Packet]().Size(); n > 128 {
		t.Errorf("a Packet has %d bytes", n)
	}
}
