package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
)

const corpus = "../../shared/corpus"

// record is a frame of a capture file.
type record struct {
	data    []byte
	wireLen uint32
	link    uint16
	time    int64
}

// readCapture reads a pcap or pcapng file up to its end or its first fault.
func readCapture(path string) ([]record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var recs []record
	if bytes.HasPrefix(b, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, err
		}
		for {
			data, ci, err := r.ReadPacketData()
			if err != nil {
				return recs, eof(err)
			}
			nif, err := r.Interface(ci.InterfaceIndex)
			if err != nil {
				return recs, err
			}
			recs = append(recs, record{data, uint32(ci.Length), uint16(nif.LinkType), ci.Timestamp.UnixNano()})
		}
	}
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r.SetSnaplen(1 << 18)
	link := uint16(r.LinkType())
	// gopacket's LinkType is a byte wide in places; the header says it whole.
	if len(b) >= 24 {
		if b[0] == 0xa1 {
			link = be16(b[22:])
		} else {
			link = uint16(b[20]) | uint16(b[21])<<8
		}
	}
	for {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			return recs, eof(err)
		}
		recs = append(recs, record{data, uint32(ci.Length), link, ci.Timestamp.UnixNano()})
	}
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
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
			got.add(&p)
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}
