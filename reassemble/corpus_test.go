package reassemble

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
)

const corpus = "../../shared/corpus"

// readPackets decodes a capture file up to its end or its first error, and passes each TCP or UDP packet and each
// fragment to handle.
func readPackets(path string, handle func(p *decode.Packet, frame []byte)) error {
	src, err := capture.OpenFile(path)
	if err != nil {
		return err
	}
	defer src.Close()
	var b capture.Batch
	var d decode.Decoder
	var p decode.Packet
	for {
		err := src.ReadBatch(&b)
		for _, f := range b.Frames {
			d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			if p.Flags&(decode.FlagL4|decode.FlagFragment) != 0 {
				handle(&p, f.Data)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
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

// disagreements are the captures for which this package counts other messages over TCP than the truth files, which
// were made with tshark: the number that it counts, and why.
var disagreements = map[string]struct {
	tcp int
	why string
}{
	"DNS-OARC+dnscap/src/test/dnso1tcp-bighole.pcap": {76,
		"tshark finds the 5 messages before segments that were not captured, and none after"},
	"dns-stats+compactor/test-scripts/matching.pcap": {6,
		"the last segment of a response was not captured: its captured part counts"},
}

// messagesOf counts the DNS messages of a capture over TCP and UDP. whole is how many datagrams were put together from
// fragments; the counters are those of both.
func messagesOf(path string) (tcp, udp, whole int, counters string, err error) {
	isDNS := func(p *decode.Packet) bool { return p.SrcPort == 53 || p.DstPort == 53 }
	s := NewStreams(StreamsConfig{Message: func(*Message) { tcp++ }})
	packet := func(p *decode.Packet, frame []byte) {
		if p.Flags&decode.FlagL4 == 0 || !isDNS(p) {
			return
		}
		b := frame[p.Payload : p.Payload+p.CapLen]
		if p.Proto == decode.ProtoTCP {
			s.Add(p, b, 0)
		} else if len(b) >= minMessage {
			udp++
		}
	}
	f := NewFragments(FragmentsConfig{MaxBytes: 1 << 20, Datagram: func(d *Datagram) {
		if len(d.Bytes) == int(d.Size) {
			whole++
		}
		p := decode.Packet{Time: d.Time, Src: d.Src, Dst: d.Dst, Version: d.Version, Proto: d.Proto}
		p.Reassembled(d.Bytes, d.Size)
		packet(&p, d.Bytes)
	}})
	err = readPackets(path, func(p *decode.Packet, frame []byte) {
		if p.Flags&decode.FlagFragment != 0 {
			f.Add(p, frame, 0)
		}
		packet(p, frame)
	})
	f.Finish()
	s.Finish()
	return tcp, udp, whole, fmt.Sprintf("%+v, %+v", s.Stats(), f.Stats()), err
}

// TestTruth counts the DNS messages over TCP of every capture.
func TestTruth(t *testing.T) {
	total := 0
	for _, name := range captures(t) {
		tcp, udp, whole, counters, err := messagesOf(filepath.Join(corpus, name))
		if err != nil && tcp+udp == 0 {
			continue
		}
		b, err := os.ReadFile(filepath.Join(corpus, "truth", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			DNS struct{ Transport map[string]int }
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		wantTCP, wantUDP := want.DNS.Transport["tcp"], want.DNS.Transport["udp"]
		total += wantTCP
		if known, ok := disagreements[name]; ok {
			wantTCP = known.tcp
		}
		if tcp != wantTCP {
			t.Errorf("%s: %d messages over TCP, want %d; %s", name, tcp, wantTCP, counters)
		}
		if whole > 0 && udp != wantUDP {
			t.Errorf("%s: %d messages over UDP, want %d; %s", name, udp, wantUDP, counters)
		}
	}
	t.Logf("%d messages over TCP", total)
}

// ownDisagreements are the messages of our own captures that tshark does not count and this package does.
var ownDisagreements = map[string]struct {
	tcp, udp int
	why      string
}{
	"synthetic/fragments-ipv4.pcap": {0, 1, "the middle fragment of a response is missing: it counts by what there is of it"},
	"synthetic/fragments-ipv6.pcap": {0, 1, "the same"},
	"synthetic/tcp-part.pcap":       {1, 0, "a connection is reset within a query: it counts by what there is of it"},
	"synthetic/dns-malformed.pcap":  {0, -1, "tshark counts a payload of 7 bytes, which has no DNS header"},
}

// TestOwnCaptures counts the DNS messages of the project's own captures, as tshark does.
func TestOwnCaptures(t *testing.T) {
	for _, c := range testkit.OwnCaptures(t) {
		tcp, udp, _, counters, err := messagesOf(c.Path)
		known := ownDisagreements[c.Name]
		if wantTCP, wantUDP := int(c.Answers.DNSTCP)+known.tcp, int(c.Answers.DNSUDP)+known.udp; err != nil || tcp != wantTCP || udp != wantUDP {
			t.Errorf("%s: %v, %d messages over TCP, %d over UDP; want %d and %d; %s", c.Name, err, tcp, udp, wantTCP, wantUDP, counters)
		}
	}
}
