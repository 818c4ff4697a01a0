package decode

import (
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"pktvisor/linktype"
)

// benchFrames are the frames of the benchmarks: each decodes one frame again and again.
var benchFrames = []struct {
	name  string
	frame []byte
	link  linktype.Type
}{
	{"Ethernet/IPv4/UDP", ether(0x0800, ip4(17, udp(40000, 53, make([]byte, 32)))), linktype.Ethernet},
	{"Ethernet/IPv6/UDP", ether(0x86dd, ip6(17, udp(40000, 53, make([]byte, 32)))), linktype.Ethernet},
	{"Ethernet/VLAN/IPv4/TCP", ether(0x8100, []byte{0, 7, 8, 0}, ip4(6, tcp(40000, 443, TCPAck, make([]byte, 64)))), linktype.Ethernet},
	{"SLL/IPv4/UDP", sll(0x0800, ip4(17, udp(40000, 53, make([]byte, 32)))), linktype.LinuxSLL},
}

var sink Packet

func BenchmarkDecode(b *testing.B) {
	for _, f := range benchFrames {
		b.Run(f.name, func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(&sink, f.frame, uint32(len(f.frame)), f.link, 1)
			}
		})
	}
}

// BenchmarkGopacket decodes the same frames with gopacket's fastest method.
func BenchmarkGopacket(b *testing.B) {
	for _, f := range benchFrames {
		b.Run(f.name, func(b *testing.B) {
			var (
				eth   layers.Ethernet
				vlan  layers.Dot1Q
				sll   layers.LinuxSLL
				ip4   layers.IPv4
				ip6   layers.IPv6
				tcp   layers.TCP
				udp   layers.UDP
				found []gopacket.LayerType
			)
			first := gopacket.LayerType(layers.LayerTypeEthernet)
			if f.link == linktype.LinuxSLL {
				first = layers.LayerTypeLinuxSLL
			}
			parser := gopacket.NewDecodingLayerParser(first, &eth, &vlan, &sll, &ip4, &ip6, &tcp, &udp)
			parser.IgnoreUnsupported = true
			b.ReportAllocs()
			for b.Loop() {
				if err := parser.DecodeLayers(f.frame, &found); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
