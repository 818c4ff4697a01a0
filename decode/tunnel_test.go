package decode

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pktvisor/linktype"
)

// tunnels are the bytes between an outer IP header and the inner packet.
var tunnels = []struct {
	name  string
	proto byte
	head  []byte
	v6    bool
}{
	{"ipip", 4, nil, false},
	{"6in4", 41, nil, true},
	{"mpls", 137, []byte{0, 0, 0x11, 64}, false},
	{"etherip", 97, cat([]byte{0x30, 0}, ether(0x0800)), false},
	{"gre", 47, []byte{0, 0, 8, 0}, false},
	{"gre v6, all fields", 47, append([]byte{0xb0, 0, 0x86, 0xdd}, make([]byte, 12)...), true},
	{"gre bridge vlan", 47, cat([]byte{0x20, 0, 0x65, 0x58, 0, 0, 0, 1}, ether(0x8100, u16(1), u16(0x0800))), false},
	{"gre mpls", 47, []byte{0, 0, 0x88, 0x47, 0, 0, 0x11, 64}, false},
	{"pptp", 47, cat([]byte{0x30, 0x81, 0x88, 0x0b}, make([]byte, 12), []byte{0xff, 3, 0, 0x21}), false},
	{"erspan 1", 47, cat([]byte{0, 0, 0x88, 0xbe}, ether(0x0800)), false},
	{"erspan 2", 47, cat([]byte{0x10, 0, 0x88, 0xbe}, make([]byte, 12), ether(0x86dd)), true},
	{"erspan 3", 47, cat([]byte{0x10, 0, 0x22, 0xeb}, make([]byte, 16), ether(0x0800)), false},
	{"erspan 3 subheader", 47, cat([]byte{0x10, 0, 0x22, 0xeb}, make([]byte, 15), []byte{1}, make([]byte, 8), ether(0x0800)), false},
	{"erspan 3 ip", 47, cat([]byte{0x10, 0, 0x22, 0xeb}, make([]byte, 14), []byte{2 << 2, 0}), true},
	{"vxlan", 17, tunnelUDP(4789, []byte{8, 0, 0, 0, 0, 0, 1, 0}, ether(0x0800)), false},
	{"vxlan linux, policy", 17, tunnelUDP(8472, []byte{0x88, 0, 0, 3, 0, 0, 1, 0}, ether(0x86dd)), true},
	{"vxlan-gpe", 17, tunnelUDP(4790, []byte{0x0c, 0, 0, 2, 0, 0, 1, 0}), true},
	{"geneve", 17, tunnelUDP(6081, []byte{1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 0, 0, 0}, ether(0x0800)), false},
	{"geneve ip", 17, tunnelUDP(6081, []byte{0, 0, 0x86, 0xdd, 0, 0, 1, 0}), true},
	{"gtp-u", 17, tunnelUDP(2152, []byte{0x30, 0xff, 0, 44, 0, 0, 0, 1}), false},
	{"gtp-u sequence", 17, tunnelUDP(2152, []byte{0x32, 0xff, 0, 44, 0, 0, 0, 1, 0, 9, 0, 7}), true},
	{"gtp-u extensions", 17, tunnelUDP(2152, []byte{0x34, 0xff, 0, 44, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 1, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0}), false},
	{"teredo", 17, tunnelUDP(3544), true},
	{"teredo, both indications", 17, tunnelUDP(3544, []byte{0, 1, 2, 1, 1, 2, 3}, make([]byte, 9), []byte{0, 0, 1, 2, 3, 4, 5, 6}), true},
	{"l2tp", 17, tunnelUDP(1701, []byte{0x4a, 2, 0, 60, 0, 1, 0, 2, 0, 0, 0, 0, 0, 1, 0xaa, 0xff, 3, 0, 0x21}), false},
	{"l2tp bare", 17, tunnelUDP(1701, []byte{0, 2, 0, 1, 0, 2, 0x57}), true},
	{"l2tpv3 udp", 17, tunnelUDP(1701, []byte{0, 3, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, ether(0x0800)), false},
	{"srv6 ethernet", 143, ether(0x0800), false},
	{"srv6 ethernet vlan", 143, ether(0x8100, u16(7), u16(0x86dd)), true},
	{"gre wccp 1", 47, []byte{0, 0, 0x88, 0x3e}, false},
	{"gre wccp 2", 47, []byte{0, 0, 0x88, 0x3e, 0, 1, 2, 3}, false},
	{"mpls udp", 17, tunnelUDP(6635, []byte{0, 1, 0, 64, 0, 0, 0x11, 64}), true},
	{"mpls udp pseudowire", 17, tunnelUDP(6635, []byte{0, 0, 0x11, 64, 0, 0, 0, 0}, ether(0x0800)), false},
	{"tzsp", 17, tunnelUDP(37008, []byte{1, 0, 0, 1, 0, 10, 1, 0xc4, 1}, ether(0x0800)), false},
	{"tzsp transmit 802.11", 17, tunnelUDP(37008, []byte{1, 1, 0, 18, 1, 0x08, 0}, make([]byte, 22), []byte{0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd}), true},
	{"tzsp avs", 17, tunnelUDP(37008, []byte{1, 0, 0, 127, 1, 0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 1, 2, 3, 4, 0x08, 0}, make([]byte, 22), []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}), false},
	{"lisp", 17, tunnelUDP(4341, []byte{0xc0, 1, 2, 3, 0, 0, 0, 1}), false},
	{"lisp 6", 17, tunnelUDP(4341, []byte{0x88, 0, 0, 0, 0, 0, 1, 0}), true},
	{"gue", 17, tunnelUDP(6080, []byte{0, 4, 0, 0}), false},
	{"gue 6, private field", 17, tunnelUDP(6080, []byte{1, 41, 0, 1, 1, 2, 3, 4}), true},
	{"gue gre", 17, tunnelUDP(6080, []byte{0, 47, 0, 0, 0, 0, 8, 0}), false},
	{"gue version 1", 17, tunnelUDP(6080), false},
	{"gue version 1, 6", 17, tunnelUDP(6080), true},
	{"l2tpv3", 115, cat([]byte{0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0}, ether(0x86dd)), true},
}

// tunnelUDP makes a UDP header, followed by head, whose length has space for any of the test's inner packets.
func tunnelUDP(port int, head ...[]byte) []byte {
	b := cat(head...)
	return cat(u16(50000), u16(port), u16(0), u16(0), b)
}

// closeUDP sets the UDP length of a tunnel.
func closeUDP(proto byte, b []byte) []byte {
	if proto == ProtoUDP {
		b[4], b[5] = byte(len(b)>>8), byte(len(b))
	}
	return b
}

func TestTunnels(t *testing.T) {
	for _, tt := range tunnels {
		inner, version, l4 := v4, uint8(4), 28
		if tt.v6 {
			inner, version, l4 = v6, 6, 48
		}
		body := closeUDP(tt.proto, cat(tt.head, inner))
		for _, outer := range [][]byte{ip4(tt.proto, body), ip6(tt.proto, body)} {
			frame := cat(outer, []byte("trailer"))
			p := decodeOne(Decoder{}, linktype.Raw, frame)
			if p.Version != outer[0]>>4 || p.Proto != tt.proto || p.Flags&FlagTunnelled != 0 {
				t.Errorf("%s, outer: %+v", tt.name, p)
			}
			p = decodeOne(Decoder{Decap: true}, linktype.Raw, frame)
			want := uint32(len(outer) - len(inner) + l4)
			if p.Version != version || p.Proto != ProtoUDP || p.Flags != FlagTunnelled|FlagL4 || p.DstPort != 53 ||
				p.Payload != want || p.CapLen != 8 || p.PayloadLen != 8 || p.WireLen != uint32(len(frame)) {
				t.Errorf("%s, inner: %+v", tt.name, p)
			}
			// If the inner packet cannot be decoded, the outer packet counts.
			broken := frame[:len(outer)-len(inner)+19]
			p = decodeOne(Decoder{Decap: true}, linktype.Raw, broken)
			if p.Kind != KindIP || p.Version != outer[0]>>4 || p.Proto != tt.proto || p.Flags&FlagTunnelled != 0 {
				t.Errorf("%s, broken: %+v", tt.name, p)
			}
		}
	}
}

func TestTunnelDepth(t *testing.T) {
	frame := v4
	for range maxTunnels {
		frame = ip4(4, frame)
	}
	if p := decodeOne(Decoder{Decap: true}, linktype.Raw, frame); p.Proto != ProtoUDP {
		t.Errorf("%d tunnels: %+v", maxTunnels, p)
	}
	if p := decodeOne(Decoder{Decap: true}, linktype.Raw, ip4(4, frame)); p.Proto != protoIPv4 || p.Flags != FlagTunnelled {
		t.Errorf("one more: %+v", p)
	}
}

func TestTunnelFragments(t *testing.T) {
	body := closeUDP(ProtoUDP, cat(tunnelUDP(4789, []byte{8, 0, 0, 0, 0, 0, 1, 0}, ether(0x0800)), v4))
	if p := decodeOne(Decoder{Decap: true}, linktype.Raw, ip4Frag(17, 1, 0x2000, body[:len(body)-4])); p.DstPort != 53 || p.CapLen != 4 {
		t.Errorf("first fragment: %+v", p)
	}
	if p := decodeOne(Decoder{Decap: true}, linktype.Raw, ip4Frag(17, 1, 4, body)); p.Flags != FlagFragment|FlagLaterFragment {
		t.Errorf("later fragment: %+v", p)
	}
}

// TestGUEControl: a control message, and a message that claims to be a packet but has none.
func TestGUEControl(t *testing.T) {
	for _, head := range [][]byte{{0x20, 4, 0, 0}, {0, 41, 0, 0}, {0x80, 4, 0, 0}, {31, 4, 0, 0}} {
		body := closeUDP(ProtoUDP, cat(tunnelUDP(6080, head), v4))
		if p := decodeOne(Decoder{Decap: true}, linktype.Raw, ip4(17, body)); p.Flags != FlagL4 || p.DstPort != 6080 {
			t.Errorf("%x: %+v", head, p)
		}
	}
}

// TestNoTunnel: a resolver answers from and to a tunnel's port.
func TestNoTunnel(t *testing.T) {
	dns := []byte{8, 0, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1}
	for _, port := range []int{1701, 2152, 3544, 4341, 4789, 4790, 6080, 6081, 6635, 8472, 37008} {
		for _, u := range [][]byte{udp(53, port, dns), udp(port, 53, dns)} {
			if p := decodeOne(Decoder{Decap: true}, linktype.Raw, ip4(17, u)); p.Flags != FlagL4 {
				t.Errorf("port %d: %+v", port, p)
			}
		}
	}
}

// TestTunnelsTshark asks tshark for the innermost addresses of the tunnels for which no other project has a capture.
func TestTunnelsTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark")
	}
	// These are unknown to tshark, or known to it with another port.
	unknown := map[string]string{
		"gue": "no dissector", "gue 6, private field": "no dissector", "gue gre": "no dissector",
		"gue version 1": "no dissector", "gue version 1, 6": "no dissector",
		"mpls udp pseudowire": "guesses after labels by a preference",
	}
	var names []string
	var frames [][]byte
	for _, tt := range tunnels {
		if !slices.ContainsFunc([]string{"srv6", "gre wccp", "mpls udp", "tzsp", "lisp", "gue"}, func(s string) bool { return strings.HasPrefix(tt.name, s) }) {
			continue
		}
		inner := ip4(ProtoUDP, udp(50001, 4242, make([]byte, 8)))
		if tt.v6 {
			inner = ip6(ProtoUDP, udp(50001, 4242, make([]byte, 8)))
		}
		body := closeUDP(tt.proto, cat(tt.head, inner))
		frames, names = append(frames, ip6(tt.proto, body)), append(names, tt.name)
	}
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(path, savefile(linktype.Raw, frames...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("tshark", "-n", "-r", path, "-T", "fields", "-e", "udp.dstport").Output()
	lines := strings.Split(string(out), "\n")
	if len(lines) < len(frames) {
		t.Fatalf("tshark read %d frames of %d", len(lines), len(frames))
	}
	for i, name := range names {
		if strings.HasSuffix(lines[i], "4242") == (unknown[name] != "") {
			t.Errorf("%s: tshark says the ports are %q", name, lines[i])
		}
		if p := decodeOne(Decoder{Decap: true}, linktype.Raw, frames[i]); p.DstPort != 4242 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
