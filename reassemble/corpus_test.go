package reassemble

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"pktvisor/decode"
)

const corpus = "../../shared/corpus"

// readPackets decodes a pcap or pcapng file up to its end or its first fault, and hands each
// TCP or UDP packet and each fragment over.
func readPackets(path string, handle func(p *decode.Packet, frame []byte)) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return err
		}
		if b, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	var read func() ([]byte, gopacket.CaptureInfo, uint16, error)
	if bytes.HasPrefix(b, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return err
		}
		read = func() ([]byte, gopacket.CaptureInfo, uint16, error) {
			data, ci, err := r.ReadPacketData()
			if err != nil {
				return nil, ci, 0, err
			}
			nif, err := r.Interface(ci.InterfaceIndex)
			return data, ci, uint16(nif.LinkType), err
		}
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			return err
		}
		r.SetSnaplen(1 << 18)
		link := uint16(b[20]) | uint16(b[21])<<8
		if b[0] == 0xa1 {
			link = be16(b[22:])
		}
		read = func() ([]byte, gopacket.CaptureInfo, uint16, error) {
			data, ci, err := r.ReadPacketData()
			return data, ci, link, err
		}
	}
	var d decode.Decoder
	var p decode.Packet
	for {
		data, ci, link, err := read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		d.Decode(&p, data, uint32(ci.Length), link, ci.Timestamp.UnixNano())
		if p.Flags&(decode.FlagL4|decode.FlagFragment) != 0 {
			handle(&p, data)
		}
	}
}

// captures returns the corpus's captures that have a truth file, by their path in it.
func captures(tb testing.TB) []string {
	tb.Helper()
	root := filepath.Join(corpus, "truth")
	if _, err := os.Stat(root); err != nil {
		tb.Skip("no corpus beside the repository")
	}
	var names []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name, ok := strings.CutSuffix(path, ".json")
		if err != nil || !ok || e.IsDir() || strings.HasSuffix(name, ".pvports") {
			return err
		}
		name, _ = filepath.Rel(root, name)
		names = append(names, name)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// disagreements are the captures where the truth files, made with tshark, count other messages
// over TCP, what this package counts, and why.
var disagreements = map[string]struct {
	tcp int
	why string
}{
	"DNS-OARC+dnscap/src/test/dnso1tcp-bighole.pcap": {76,
		"tshark finds the 5 messages before segments that were not captured, and none after"},
}

// TestTruth counts the DNS messages over TCP of every capture.
func TestTruth(t *testing.T) {
	isDNS := func(p *decode.Packet) bool { return p.SrcPort == 53 || p.DstPort == 53 }
	total := 0
	for _, name := range captures(t) {
		s := NewStreams(StreamsConfig{})
		f := NewFragments(1 << 20)
		tcp, udp := 0, 0
		err := readPackets(filepath.Join(corpus, name), func(p *decode.Packet, frame []byte) {
			if b, ok := f.Add(p, frame); ok && Datagram(p, b) {
				frame = b
			}
			if p.Flags&decode.FlagL4 == 0 || !isDNS(p) {
				return
			}
			b := frame[p.Payload : p.Payload+p.CapLen]
			if p.Proto == decode.ProtoUDP {
				if len(b) >= minMessage {
					udp++
				}
				return
			}
			s.Add(p, b)
			for _, ok := s.Next(); ok; _, ok = s.Next() {
				tcp++
			}
		})
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
			t.Errorf("%s: %d messages over TCP, want %d; %+v", name, tcp, wantTCP, s.Stats())
		}
		if st := f.Stats(); st.Completed > 0 && udp != wantUDP {
			t.Errorf("%s: %d messages over UDP, want %d; %+v", name, udp, wantUDP, st)
		}
	}
	t.Logf("%d messages over TCP", total)
}
