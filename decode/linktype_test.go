package decode

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pktvisor/linktype"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// pktap is a PKTAP header, as macOS writes it.
func pktap(dlt int) []byte {
	return cat(le32(156), le32(1), le32(dlt), []byte("en0"), make([]byte, 156-15))
}

// pflog is OpenBSD's header, with the length that it had until 2023: 61 bytes, and padding.
func pflog(af byte) []byte {
	return cat([]byte{61, af, 0, 0}, []byte("vio0"), make([]byte, 56))
}

var (
	snap4 = []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}
	snap6 = []byte{0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd}
	data  = cat([]byte{0x08, 0}, make([]byte, 22)) // an 802.11 data frame's header
	macs  = []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
)

// linkHeaders are the bytes before IPv4 and IPv6 on the rare link types. If other is set, the independent decoders do
// not know the layout, and other says why.
var linkHeaders = []struct {
	name   string
	link   linktype.Type
	v4, v6 []byte
	other  string
}{
	{"token ring", linktype.TokenRing, cat([]byte{0x10, 0x40}, macs, snap4), cat([]byte{0x10, 0x40}, macs, snap6), ""},
	{"token ring, routed", linktype.TokenRing, cat([]byte{0x10, 0x40, 2, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 0, 2}, []byte{6, 0x30, 0, 0x12, 0, 0x20}, snap4),
		cat([]byte{0x10, 0x40, 2, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 0, 2}, []byte{2, 0x30}, snap6), ""},
	{"FDDI", linktype.FDDI, cat([]byte{0x50}, macs, snap4), cat([]byte{0x54}, macs, snap6), ""},
	{"frame relay", linktype.FrameRelay, []byte{0x18, 0x41, 3, 0xcc}, []byte{0x18, 0x41, 3, 0x8e}, ""},
	{"frame relay, SNAP", linktype.FrameRelay, []byte{0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0}, []byte{0x18, 0x40, 0x40, 0x41, 3, 0, 0x80, 0, 0, 0, 0x86, 0xdd}, ""},
	{"frame relay, direction", linktype.FrameRelayDir, []byte{1, 0x18, 0x41, 3, 0xcc}, []byte{0, 0x18, 0x41, 3, 0x8e}, "neither knows it; as in the list of link types"},
	{"Cisco HDLC, direction", linktype.CHDLCDir, []byte{0, 0x0f, 0, 8, 0}, []byte{1, 0x0f, 0, 0x86, 0xdd}, "neither knows it; as in the list of link types"},
	{"PPP, direction", linktype.PPPDir, []byte{0, 0xff, 3, 0, 0x21}, []byte{1, 0xff, 3, 0, 0x57}, ""},
	{"pppd", linktype.PPPD, []byte{0, 3, 0, 0x21}, []byte{1, 3, 0, 0x57}, ""},
	{"ENC", linktype.Enc, cat(le32(2), make([]byte, 8)), cat(le32(24), make([]byte, 8)), ""},
	{"PFLOG", linktype.PFLog, pflog(2), pflog(24), ""},
	{"Prism", linktype.Prism, cat(le32(0x44), le32(144), make([]byte, 136), data, snap4), cat(le32(0x44), le32(144), make([]byte, 136), data, snap6), ""},
	{"AVS in Prism's number", linktype.Prism, cat([]byte{0x80, 0x21, 0x10, 1, 0, 0, 0, 64}, make([]byte, 56), data, snap4), cat([]byte{0x80, 0x21, 0x10, 1, 0, 0, 0, 64}, make([]byte, 56), data, snap6), ""},
	{"AVS", linktype.AVS, cat([]byte{0x80, 0x21, 0x10, 1, 0, 0, 0, 64}, make([]byte, 56), data, snap4), cat([]byte{0x80, 0x21, 0x10, 1, 0, 0, 0, 64}, make([]byte, 56), data, snap6), ""},
	{"IP over Fibre Channel", linktype.IPOverFC, cat(make([]byte, 16), snap4), cat(make([]byte, 16), snap6), ""},
	{"SunATM", linktype.SunATM, cat([]byte{0x02, 0, 0, 42}, snap4), cat([]byte{0x82, 0, 0, 42}, snap6), ""},
	{"IP over FireWire", linktype.FireWire, cat(make([]byte, 16), u16(0x0800)), cat(make([]byte, 16), u16(0x86dd)), ""},
	{"Juniper Ethernet", linktype.JuniperEther, cat([]byte("MGC\x00"), ether(0x0800)), cat([]byte("MGC\x81\x00\x04\x01\x02\x03\x04"), ether(0x86dd)), ""},
	{"Juniper PPP", linktype.JuniperPPP, []byte("MGC\x00\x00\x21"), []byte("MGC\x01\x00\x57"), ""},
	{"Juniper frame relay", linktype.JuniperFR, []byte("MGC\x00\x18\x41\x03\xcc"), []byte("MGC\x01\x18\x41\x03\x8e"), ""},
	{"Juniper Cisco HDLC", linktype.JuniperCHDLC, []byte("MGC\x00\x0f\x00\x08\x00"), []byte("MGC\x01\x0f\x00\x86\xdd"), ""},
	{"Juniper PPPoE", linktype.JuniperPPPoE, cat([]byte("MGC\x00"), ether(0x0800)), cat([]byte("MGC\x01"), ether(0x86dd)), ""},
	{"Juniper without link layer", linktype.JuniperEther, []byte("MGC\x02\x00\x00\x00\x02"), []byte("MGC\x03\x00\x00\x00\x06"), ""},
	{"PPI, Ethernet", linktype.PPI, cat([]byte{0, 0}, le16(8), le32(1), ether(0x0800)), cat([]byte{0, 0}, le16(20), le32(1), le16(2), le16(8), make([]byte, 8), ether(0x86dd)), ""},
	{"PPI, 802.11", linktype.PPI, cat([]byte{0, 0}, le16(8), le32(105), data, snap4), cat([]byte{0, 0}, le16(8), le32(105), data, snap6), ""},
	{"MPLS", linktype.MPLS, []byte{0, 0, 0x11, 64}, []byte{0, 0, 0x11, 64}, "neither knows it; as in the list of link types"},
	{"IPNET", linktype.IPNet, cat([]byte{1, 2}, make([]byte, 22)), cat([]byte{1, 26}, make([]byte, 22)), ""},
	{"netANALYZER", linktype.NetAnalyzer, cat([]byte{0, 4, 0, 0}, ether(0x0800)), cat([]byte{0, 4, 0, 0}, ether(0x86dd)), ""},
	{"IP over InfiniBand", linktype.IPoIB, cat(make([]byte, 40), u16(0x0800), u16(0)), cat(make([]byte, 40), u16(0x86dd), u16(0)), ""},
	{"PKTAP, Ethernet", linktype.PKTAP, cat(pktap(1), ether(0x0800)), cat(pktap(1), ether(0x86dd)), ""},
	{"PKTAP, loopback", linktype.PKTAP, cat(pktap(0), le32(2)), cat(pktap(0), le32(30)), ""},
	{"PKTAP, raw", linktype.PKTAP, pktap(12), pktap(12), ""},
	{"PKTAP, USER2", linktype.User2, cat(pktap(1), ether(0x0800)), cat(pktap(1), ether(0x86dd)), ""},
	{"Broadcom tag", linktype.BroadcomTag, cat(macs, []byte{0x20, 0, 0, 1}, u16(0x0800)), cat(macs, []byte{0x20, 0, 0, 1}, u16(0x86dd)), ""},
	{"Broadcom tag before", linktype.BroadcomPre, cat([]byte{0x20, 0, 0, 1}, ether(0x0800)), cat([]byte{0x20, 0, 0, 1}, ether(0x86dd)), ""},
	{"Marvell DSA", linktype.MarvellDSA, cat(macs, []byte{0xc0, 0, 0, 1}, u16(0x0800)), cat(macs, []byte{0xc0, 0, 0, 1}, u16(0x86dd)), ""},
	{"Marvell EDSA", linktype.MarvellEDSA, cat(macs, []byte{0xda, 0xda, 0, 0, 0xc0, 0, 0, 1}, u16(0x0800)), cat(macs, []byte{0xda, 0xda, 0, 0, 0xc0, 0, 0, 1}, u16(0x86dd)), ""},
}

// dns are queries that can prove to be IP.
var (
	query4 = ip4(ProtoUDP, udp(50000, 53, make([]byte, 24)))
	query6 = ip6(ProtoUDP, udp(50000, 53, make([]byte, 24)))
)

func TestRareLinks(t *testing.T) {
	for _, tt := range linkHeaders {
		if tt.link != linktype.User2 && !knows(tt.link) {
			t.Errorf("%s is not known", tt.name)
		}
		for _, c := range []struct {
			head, packet []byte
			version      uint8
		}{{tt.v4, query4, 4}, {tt.v6, query6, 6}} {
			frame := cat(c.head, c.packet)
			p := decodeOne(Decoder{}, tt.link, frame)
			if p.Kind != KindIP || p.Version != c.version || p.DstPort != 53 || int(p.Payload) != len(frame)-24 {
				t.Errorf("%s, IPv%d: %+v", tt.name, c.version, p)
			}
			// Wherever the frame is cut, the rest is not taken for something else, and not unsupported.
			for n := range len(c.head) {
				p := decodeOne(Decoder{}, tt.link, frame[:n])
				if p.Kind == KindIP || p.Kind == KindUnsupportedLink && tt.link != linktype.User2 {
					t.Errorf("%s, IPv%d, %d bytes: %+v", tt.name, c.version, n, p)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		link  linktype.Type
		frame []byte
		want  Kind
	}{
		"netlink":           {linktype.Netlink, cat(make([]byte, 16), query4), KindNonIP},
		"FDDI, SMT":         {linktype.FDDI, cat([]byte{0x41}, macs, snap4, query4), KindNonIP},
		"token ring, MAC":   {linktype.TokenRing, cat([]byte{0x10, 0}, macs, snap4, query4), KindNonIP},
		"ATM, not LLC":      {linktype.SunATM, cat([]byte{1, 0, 0, 42}, snap4, query4), KindNonIP},
		"PFLOG, no family":  {linktype.PFLog, cat(pflog(0), query4), KindNonIP},
		"PKTAP, no packet":  {linktype.PKTAP, cat(le32(108), le32(0), le32(1), make([]byte, 96), ether(0x0800, query4)), KindNonIP},
		"PPI, unknown link": {linktype.PPI, cat([]byte{0, 0}, le16(8), le32(147), query4), KindNonIP},
		"USER2":             {linktype.User2, ether(0x0800, query4), KindUnsupportedLink},
		"USER0":             {147, ether(0x0800, query4), KindUnsupportedLink},
	} {
		if p := decodeOne(Decoder{}, c.link, c.frame); p.Kind != c.want {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// savefile is a capture of the frames, each a second after the previous one.
func savefile(link linktype.Type, frames ...[]byte) []byte {
	b := cat([]byte{0xd4, 0xc3, 0xb2, 0xa1}, le16(2), le16(4), make([]byte, 8), le32(1<<18), le32(int(link)))
	for i, f := range frames {
		b = cat(b, le32(1_700_000_000+i), le32(0), le32(len(f)), le32(len(f)), f)
	}
	return b
}

// block is a block of pcapng.
func block(kind int, body ...[]byte) []byte {
	b := cat(body...)
	b = append(b, make([]byte, -len(b)&3)...)
	n := le32(len(b) + 12)
	return cat(le32(kind), n, b, n)
}

// TestRareLinksTshark asks tshark and tcpdump what they find after the headers. At least one of them must know each link type.
func TestRareLinksTshark(t *testing.T) {
	for _, program := range []string{"tshark", "tcpdump"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no ", program)
		}
	}
	path := filepath.Join(t.TempDir(), "x")
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// All frames for tshark, each with its own interface.
	all := block(0x0a0d0d0a, le32(0x1a2b3c4d), le16(1), le16(0), bytes.Repeat([]byte{0xff}, 8))
	for _, tt := range linkHeaders {
		all = append(all, block(1, le16(int(tt.link)), le16(0), le32(0))...)
	}
	for i, tt := range linkHeaders {
		for _, frame := range [][]byte{cat(tt.v4, query4), cat(tt.v6, query6)} {
			all = append(all, block(6, le32(i), make([]byte, 8), le32(len(frame)), le32(len(frame)), frame)...)
		}
	}
	write(all)
	out, _ := exec.Command("tshark", "-n", "-r", path, "-T", "fields", "-e", "ip.dst", "-e", "ipv6.dst", "-e", "udp.dstport").Output()
	lines := strings.Split(string(out), "\n")
	if len(lines) < 2*len(linkHeaders) {
		t.Fatalf("tshark read %d frames", len(lines))
	}
	for i, tt := range linkHeaders {
		byShark := lines[2*i] == "198.51.100.2\t\t53" && lines[2*i+1] == "\t2001:db8::2\t53"
		write(savefile(tt.link, cat(tt.v4, query4), cat(tt.v6, query6)))
		dump, _ := exec.Command("tcpdump", "-nr", path).Output()
		byDump := bytes.Contains(dump, []byte("192.0.2.1.50000 > 198.51.100.2.53")) && bytes.Contains(dump, []byte("2001:db8::1.50000 > 2001:db8::2.53"))
		if !byShark && !byDump && tt.other == "" {
			t.Errorf("%s: tshark says %q, tcpdump\n%s", tt.name, lines[2*i:2*i+2], dump)
		}
	}
}

// TestKnows: every link type that is decoded has a test.
func TestKnows(t *testing.T) {
	tested := []linktype.Type{0, 1, 9, 12, 14, 50, 51, 100, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276, linktype.Netlink}
	for _, tt := range linkHeaders {
		tested = append(tested, tt.link)
	}
	for link := range linktype.Type(1000) {
		if knows(link) != slices.Contains(tested, link) && link != linktype.User2 {
			t.Errorf("link type %d: known %v", link, knows(link))
		}
	}
}
