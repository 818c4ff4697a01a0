package decode

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

const corpus = "../../shared/corpus"

// record is a frame of a capture file.
type record struct {
	data    []byte
	wireLen uint32
	link    linktype.Type
	time    int64
}

// readCapture reads a capture file up to its end or its first error.
func readCapture(path string) ([]record, error) {
	src, err := capture.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var recs []record
	for {
		var b capture.Batch // a new one each time, because the frames are kept
		err := src.ReadBatch(&b)
		for _, f := range b.Frames {
			recs = append(recs, record{f.Data, f.WireLen, f.Link, f.Time})
		}
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
	}
}

// captures returns the corpus's captures that have a truth file, as paths in the corpus.
func captures(tb testing.TB) []string {
	tb.Helper()
	var names []string
	for _, c := range testkit.CorpusCaptures(tb) {
		names = append(names, c.Name)
	}
	return names
}

// counts are what a truth file says about a capture's packets.
type counts struct {
	Packets, IPv4, IPv6, NonIP, UDP, TCP, Other, SYN, SYNACK int
}

func readTruth(path string) (counts, error) {
	var t struct {
		Packets int `json:"packets"`
		Net     struct {
			IPv4    int `json:"ipv4"`
			IPv6    int `json:"ipv6"`
			NonIP   int `json:"non_ip"`
			L4Field struct {
				UDP   int `json:"udp"`
				TCP   int `json:"tcp"`
				Other int `json:"other"`
			} `json:"l4_field"`
			SYN    int `json:"tcp_syn"`
			SYNACK int `json:"tcp_syn_ack"`
		} `json:"net"`
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return counts{}, err
	}
	err = json.Unmarshal(b, &t)
	n := t.Net
	return counts{t.Packets, n.IPv4, n.IPv6, n.NonIP, n.L4Field.UDP, n.L4Field.TCP, n.L4Field.Other, n.SYN, n.SYNACK}, err
}

func (c *counts) add(p *Packet) {
	c.Packets++
	switch {
	case p.Kind != KindIP:
		c.NonIP++
		c.Other++
		return
	case p.Version == 4:
		c.IPv4++
	default:
		c.IPv6++
	}
	switch p.Proto {
	case ProtoUDP:
		c.UDP++
	case ProtoTCP:
		c.TCP++
	default:
		c.Other++
	}
	switch p.TCPFlags & (TCPSyn | TCPAck) {
	case TCPSyn:
		c.SYN++
	case TCPSyn | TCPAck:
		c.SYNACK++
	}
}

// disagreements are the captures for which the truth files, which were made with tshark, differ from this package:
// what this package says, and why.
var disagreements = map[string]struct {
	counts counts
	why    string
}{
	"appneta+tcpreplay/test/test.rewrite_efcs": {counts{179, 165, 10, 4, 28, 116, 35, 6, 6},
		"an IPv4 header behind MPLS with a wrong checksum"},
	"appneta+tcpreplay/test/test.rewrite_l7fuzzing": {counts{172, 152, 9, 11, 25, 108, 39, 5, 5},
		"2 frames cut inside the IP header, and behind MPLS one with a wrong checksum"},
	"appneta+tcpreplay/test/test2.rewrite_dltuser": {counts{179, 166, 0, 13, 28, 106, 45, 5, 5},
		"an EtherType of IPv4 before 10 IPv6 packets (tshark: ip, then ipv6), an ARP and zeros"},
	"gopacket+gopacket/pcapgo/tests/le/test018.pcapng": {counts{4, 4, 0, 0, 4, 0, 0, 0, 0},
		"the test's reader skips simple packet blocks, and tshark does not know their link type"},
	"gopacket+gopacket/pcapgo/tests/le/test202.pcapng": {counts{8, 8, 0, 0, 8, 0, 0, 0, 0},
		"as test018"},
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-06-26-2594.pcap": {counts{691, 606, 0, 85, 538, 52, 101, 9, 1},
		"7 IPv4 headers with another version or a length below 20"},
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-09-29-28586.pcap": {counts{131, 123, 0, 8, 0, 119, 12, 8, 9},
		"2 IPv4 headers with another version; 2 SYNs whose data offset points past the IP packet"},
	"seladb+PcapPlusPlus/Tests/Fuzzers/RegressionTests/regression_samples/crash-8534c61cdf5987482365d7877ade12eef5aaf8b7": {
		counts{1, 0, 0, 1, 0, 0, 1, 0, 0}, "an IPv4 header behind MPLS with a length below 20; 18 zeros at the end are not a record"},
	"seladb+PcapPlusPlus/Tests/Fuzzers/RegressionTests/regression_samples/igmplayer": {counts{2, 1, 1, 0, 0, 0, 2, 0, 0},
		"tshark takes the records for those of a modified format, 8 bytes longer"},
}

func TestTruth(t *testing.T) {
	var d Decoder
	var p Packet
	for _, name := range captures(t) {
		recs, err := readCapture(filepath.Join(corpus, name))
		if len(recs) == 0 {
			t.Logf("%s: not read: %v", name, err)
			continue
		}
		want, err := readTruth(filepath.Join(corpus, "truth", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var got counts
		for _, r := range recs {
			d.Decode(&p, r.data, r.wireLen, r.link, r.time)
			checkSpread(t, &d, &p, r.data, r.link)
			got.add(&p)
			checkPlain(t, r.data, r.wireLen)
		}
		if known, ok := disagreements[name]; ok {
			want = known.counts
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}
