package decode

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tunnelCaptures are the captures of the corpus that have tunnels, and some that only look like it.
var tunnelCaptures = []string{
	"DNS-OARC+dnsjit/src/test/pellets.pcap",
	"OISF+suricata-verify/tests/decode-erspan-typeII-01/input.pcap",
	"OISF+suricata-verify/tests/vxlan-decoder-01/input.pcap",
	"akvorado+akvorado/outlet/flow/decoder/testdata/gre-v4-key.pcap",
	"arkime+arkime/tests/pcap/arkime_synthetic.pcap",
	"seladb+PcapPlusPlus/Tests/Packet++Test/PacketExamples/ipsec.pcapng",
	"the-tcpdump-group+libpcap/tests/filter/geneve.pcap",
	"the-tcpdump-group+tcpdump/tests/l2tp-avp-overflow.pcap",
	"wireshark+wireshark/test/captures/ipoipoip.pcap",
	"zeek+zeek/testing/btest/Traces/tunnels/gtp/gtp8_teredo.pcap",
}

// TestDecapTshark compares the source of every innermost packet with the last source that tshark finds outside ICMP
// errors.
func TestDecapTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark")
	}
	captures(t) // skips without the corpus
	for _, name := range tunnelCaptures {
		path := filepath.Join(corpus, name)
		recs, _ := readCapture(path)
		out, _ := exec.Command("tshark", "-n", "-r", path, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
			"-T", "fields", "-E", "separator=|", "-e", "frame.protocols", "-e", "ip.src", "-e", "ipv6.src").Output()
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		tunnelled := 0
		for i := 0; lines.Scan() && i < len(recs); i++ {
			f := strings.Split(lines.Text(), "|")
			if len(f) != 3 {
				t.Fatalf("%s: tshark says %q", name, lines.Text())
			}
			v4, v6 := strings.Split(f[1], ","), strings.Split(f[2], ",")
			want := ""
			for layer := range strings.SplitSeq(f[0], ":") {
				if layer == "icmp" || layer == "icmpv6" {
					break
				}
				switch {
				case layer == "ip" && len(v4) > 0:
					want, v4 = v4[0], v4[1:]
				case layer == "ipv6" && len(v6) > 0:
					want, v6 = v6[0], v6[1:]
				}
			}
			p := decodeOne(Decoder{Decap: true}, recs[i].link, recs[i].data)
			if p.Kind == KindIP && p.Src.String() != want {
				t.Errorf("%s: packet %d: %s, tshark says %s in %s", name, i+1, p.Src, want, f[0])
			}
			if p.Flags&FlagTunnelled != 0 {
				tunnelled++
			}
		}
		t.Logf("%s: %d tunnelled", name, tunnelled)
	}
}
