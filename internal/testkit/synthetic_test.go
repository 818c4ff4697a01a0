package testkit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pktvisor/linktype"
)

// synthetic is a capture in testdata/synthetic. Each shows one class of captures: a link type, tags, tunnels, fragments, a file
// format, and so on.
type synthetic struct {
	name  string
	bytes []byte
	decap bool // it has tunnels, so that tshark's answers about the innermost packets lie beside it too
}

// syntheticCaptures returns all of them, always the same bytes.
func syntheticCaptures() []synthetic {
	return slices.Concat(linkCaptures(), ipCaptures(), tcpCaptures(), dnsCaptures(), formatCaptures())
}

// TestSynthetic holds the files of testdata/synthetic to the code that makes them, and tshark's answers to tshark, where it is
// installed. With -update, it writes both.
func TestSynthetic(t *testing.T) {
	dir := filepath.Join(RepoRoot(t), "testdata", "synthetic")
	total := 0
	names := map[string]bool{}
	for _, s := range syntheticCaptures() {
		total += len(s.bytes)
		path := filepath.Join(dir, s.name)
		names[s.name], names[s.name+AnswersSuffix] = true, true
		if s.decap {
			names[s.name+DecapAnswersSuffix] = true
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if *update {
				if err := os.WriteFile(path, s.bytes, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, s.bytes) {
				t.Errorf("the file is not what the code makes (run with -update): %v", err)
			}
			if testing.Short() {
				t.Skip("tshark takes a second a capture")
			}
			goldenAnswers(t, path+AnswersSuffix, TShark(t, path))
			if s.decap {
				goldenAnswers(t, path+DecapAnswersSuffix, TSharkInnermost(t, path))
			}
		})
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !names[f.Name()] {
			t.Errorf("%s is made by nothing", f.Name())
		}
	}
	if total > 100_000 {
		t.Errorf("the captures have %d bytes together, more than 100 kB", total)
	}
}

func goldenAnswers(t *testing.T, path string, a *Answers) {
	t.Helper()
	js, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	Golden(t, path, append(js, '\n'))
}

// syntheticStart is the time of the first frame of each capture, in nanoseconds since the Unix epoch. The others follow a
// millisecond apart.
const syntheticStart = 1_700_000_000_123_456_789

const millisecond = 1_000_000

// capturePcap makes a pcap file of frames.
func capturePcap(nano bool, link linktype.Type, frames ...[]byte) []byte {
	var b bytes.Buffer
	w, _ := NewPcapWriter(&b, nano, link) // a buffer takes everything
	for i, f := range frames {
		w.Write(syntheticStart+int64(i)*millisecond, f)
	}
	w.Flush()
	return b.Bytes()
}

var (
	client4, server4 = netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.0.2.53")
	client6, server6 = netip.MustParseAddr("2001:db8:c::7"), netip.MustParseAddr("2001:db8:53::53")
)

const (
	typeA    = 1
	typeSOA  = 6
	typeMX   = 15
	typeTXT  = 16
	typeAAAA = 28
	typeOPT  = 41
)

// response returns a response to the query of the same id, with one answer record unless it has an rcode.
func response(id, rcode uint16, name string, qtype uint16) []byte {
	b := AppendDNS(nil, id, DNSResponse|DNSRD|DNSRA|rcode, name, qtype)
	if rcode != 0 {
		return b
	}
	data := []byte{192, 0, 2, 80}
	if qtype == typeAAAA {
		data = make([]byte, 16)
	}
	b[7] = 1                                       // ANCOUNT
	b = append(b, 0xc0, 12, 0, byte(qtype), 0, 1)  // the question's name, type, class IN
	b = append(b, 0, 0, 1, 44, 0, byte(len(data))) // TTL 300
	return append(b, data...)
}

// datagram returns a UDP packet from or to the DNS server, without link layer.
func datagram(v6, fromServer bool, port uint16, payload []byte) []byte {
	p := Packet{Src: client4, Dst: server4, Proto: ProtoUDP, SrcPort: port, DstPort: 53, Payload: payload}
	if v6 {
		p.Src, p.Dst = client6, server6
	}
	if fromServer {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	return p.AppendIP(nil)
}

// exchange returns a query and its response, without link layer.
func exchange(v6 bool, id, rcode uint16, name string, qtype uint16) [][]byte {
	return [][]byte{
		datagram(v6, false, 40000+id, AppendDNS(nil, id, DNSRD, name, qtype)),
		datagram(v6, true, 40000+id, response(id, rcode, name, qtype)),
	}
}

// conversation returns packets of every common kind, without link layer: DNS over IPv4 and IPv6 with responses and without,
// TCP and ICMP.
func conversation() [][]byte {
	packets := slices.Concat(exchange(false, 1, 0, "www.example.com", typeA), exchange(true, 2, rcodeNXDomain, "nowhere.example.net", typeAAAA),
		exchange(true, 3, 0, "www.example.org", typeAAAA), exchange(false, 4, rcodeRefused, "example.org", typeMX))
	packets = append(packets, datagram(false, false, 40005, AppendDNS(nil, 5, DNSRD, "unanswered.example.com", typeSOA)))
	for _, p := range []Packet{
		{Src: client4, Dst: server4, Proto: ProtoTCP, SrcPort: 40100, DstPort: 443, Seq: 1000, Flags: TCPSyn},
		{Src: server4, Dst: client4, Proto: ProtoTCP, SrcPort: 443, DstPort: 40100, Seq: 5000, Ack: 1001, Flags: TCPSyn | TCPAck},
		{Src: client6, Dst: server6, Proto: ProtoTCP, SrcPort: 40101, DstPort: 443, Seq: 1000, Flags: TCPSyn},
		{Src: client4, Dst: server4, Proto: ProtoICMP, Payload: []byte{8, 0, 0, 0, 0, 1, 0, 1}},
		{Src: client6, Dst: server6, Proto: ProtoICMPv6, Payload: []byte{128, 0, 0, 0, 0, 1, 0, 1}},
	} {
		packets = append(packets, p.AppendIP(nil))
	}
	return packets
}

// each returns the conversation with every packet wrapped.
func each(wrap func(ip []byte) []byte) (frames [][]byte) {
	for _, ip := range conversation() {
		frames = append(frames, wrap(ip))
	}
	return frames
}

// only returns the packets of one IP version.
func only(version byte, packets [][]byte) [][]byte {
	return slices.DeleteFunc(slices.Clone(packets), func(ip []byte) bool { return ip[0]>>4 != version })
}

func be16(v int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func le16(v int) []byte    { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// etherTypeOf is the EtherType of an IP packet.
func etherTypeOf(ip []byte) []byte {
	if ip[0]>>4 == 6 {
		return be16(etherTypeIPv6)
	}
	return be16(etherTypeIPv4)
}

// ethernet returns a frame: the addresses, then what is given.
func ethernet(parts ...[]byte) []byte {
	return append([]byte{0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02}, slices.Concat(parts...)...)
}

func inEthernet(ip []byte) []byte { return ethernet(etherTypeOf(ip), ip) }

// snap is an LLC header with a SNAP header, up to the EtherType.
var snap = []byte{0xaa, 0xaa, 3, 0, 0, 0}
