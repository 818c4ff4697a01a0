package decode

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// gopacketDisagreements are the captures with packets that gopacket decodes differently, and why.
var gopacketDisagreements = map[string]string{
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-06-26-2594.pcap":  "gopacket does not check the version of an IPv4 header",
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-09-29-28586.pcap": "as above",
	"synthetic/ipv4-headers.pcap":                                  "gopacket does not check the version of an IPv4 header",
	"synthetic/link-80211.pcap":                                    "gopacket takes the last four bytes of a frame for its checksum",
	"zeek+zeek/testing/btest/Traces/pppoe-over-qinq.pcap":          "6 packets whose IP length counts padding that PPPoE's length does not",
}

// TestGopacket compares addresses, ports, TCP fields and payloads with those that gopacket finds, for every packet of
// the corpus that it decodes as far as TCP or UDP without an error.
func TestGopacket(t *testing.T) {
	compared, different := 0, map[string]int{}
	for _, name := range captures(t) {
		recs, _ := readCapture(filepath.Join(corpus, name))
		n, bad := compareGopacket(recs)
		compared += n
		different[name] = len(bad)
		for _, b := range bad {
			if gopacketDisagreements[name] == "" {
				t.Errorf("%s: %s", name, b)
			}
		}
	}
	for name := range gopacketDisagreements {
		if different[name] == 0 && !strings.HasPrefix(name, "synthetic/") {
			t.Errorf("%s: there is no longer a difference", name)
		}
	}
	t.Logf("%d packets compared", compared)
	if compared < 20000 {
		t.Errorf("only %d packets compared", compared)
	}
}

// TestGopacketOwn is TestGopacket for the project's own captures.
func TestGopacketOwn(t *testing.T) {
	compared := 0
	for _, c := range testkit.OwnCaptures(t) {
		recs, err := readCapture(c.Path)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		n, bad := compareGopacket(recs)
		compared += n
		if excused := gopacketDisagreements[c.Name] != ""; excused != (len(bad) > 0) {
			t.Errorf("%s: an exception: %v; different: %s", c.Name, excused, strings.Join(bad, "\n"))
		}
	}
	if compared < 2000 {
		t.Errorf("only %d packets compared", compared)
	}
}

// compareGopacket returns how many packets both decode, and what differs in them.
func compareGopacket(recs []record) (compared int, different []string) {
	var d Decoder
	var p Packet
	for i, r := range recs {
		if r.link > 255 || r.link == linktype.NFLOG || i > 5000 {
			continue
		}
		pkt := gopacket.NewPacket(r.data, layers.LinkType(r.link), gopacket.NoCopy)
		src, dst, ttl, l4 := outermost(pkt)
		if tcp, ok := l4.(*layers.TCP); l4 == nil || ok && len(tcp.Contents) < 20 {
			continue
		}
		d.Decode(&p, r.data, r.wireLen, r.link, r.time)
		if p.Flags&FlagFragment != 0 || p.Flags&FlagL4Malformed != 0 {
			continue
		}
		compared++
		want := Packet{Src: AddrFromNetip(src), Dst: AddrFromNetip(dst), TTL: ttl}
		switch l := l4.(type) {
		case *layers.UDP:
			want.Proto, want.CapLen = ProtoUDP, uint32(len(l.Payload))
			want.SrcPort, want.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
		case *layers.TCP:
			want.Proto, want.CapLen = ProtoTCP, uint32(len(l.Payload))
			want.SrcPort, want.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			want.Seq, want.Ack, want.TCPFlags = l.Seq, l.Ack, l.Contents[13]
		}
		got := Packet{Proto: p.Proto, TTL: p.TTL, Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort,
			CapLen: p.CapLen, Seq: p.Seq, Ack: p.Ack, TCPFlags: p.TCPFlags}
		if got != want {
			different = append(different, fmt.Sprintf("packet %d:\n got %+v\nwant %+v", i+1, got, want))
		}
	}
	return compared, different
}

// outermost returns the addresses and the TTL of pkt's outermost IP layer, and the TCP or UDP layer that
// follows it after any extension headers, or nil.
func outermost(pkt gopacket.Packet) (src, dst netip.Addr, ttl uint8, l4 gopacket.Layer) {
	found := false
	for _, l := range pkt.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			if found {
				return src, dst, ttl, nil
			}
			found = true
			src, _ = netip.AddrFromSlice(l.SrcIP)
			dst, _ = netip.AddrFromSlice(l.DstIP)
			ttl = l.TTL
		case *layers.IPv6:
			if found {
				return src, dst, ttl, nil
			}
			found = true
			src, _ = netip.AddrFromSlice(l.SrcIP)
			dst, _ = netip.AddrFromSlice(l.DstIP)
			ttl = l.HopLimit
		case *layers.UDP, *layers.TCP:
			if found {
				return src, dst, ttl, l
			}
		case *layers.IPv6HopByHop, *layers.IPv6Destination, *layers.IPv6Routing, *layers.IPv6Fragment, *layers.IPSecAH:
		default:
			if found {
				return src, dst, ttl, nil
			}
		}
	}
	return src, dst, ttl, nil
}
