package decode

import (
	"bytes"
	"testing"

	"pktvisor/linktype"
)

// labels is a stack of two MPLS labels.
var labels = []byte{0, 1, 0, 64, 0, 0, 0x11, 64}

// pseudowire is an Ethernet frame whose destination starts with the given byte.
func pseudowire(first byte, etherType int, payload ...[]byte) []byte {
	b := ether(etherType, payload...)
	b[0] = first
	return b
}

// TestBehindLabels: after labels, an Ethernet frame is recognised whatever its destination, with and without a
// control word, and so is IP.
func TestBehindLabels(t *testing.T) {
	control := []byte{0, 0, 0, 0}
	for first := range 256 {
		for _, inner := range [][]byte{v4, v6} {
			etherType := 0x0800
			if inner[0]>>4 == 6 {
				etherType = 0x86dd
			}
			for _, behind := range [][]byte{
				pseudowire(byte(first), etherType, inner),
				cat(control, pseudowire(byte(first), etherType, inner)),
				pseudowire(byte(first), 0x8100, u16(7), u16(etherType), inner),
			} {
				frame := ether(0x8847, labels, behind)
				p := decodeOne(Decoder{}, linktype.Ethernet, frame)
				if p.Kind != KindIP || p.Version != inner[0]>>4 || p.DstPort != 53 {
					t.Fatalf("%x: %+v", frame, p)
				}
			}
		}
	}
	for _, inner := range [][]byte{v4, v6, cat(v4, make([]byte, 18)), cat(v6, []byte("FCS!"))} {
		if p := decodeOne(Decoder{}, linktype.Ethernet, ether(0x8847, labels, inner)); p.Kind != KindIP || p.DstPort != 53 {
			t.Errorf("%x: %+v", inner, p)
		}
	}
}

// TestUnprovenBehindLabels: bytes that could be IP by their first half byte, but are not, do not count as IP.
func TestUnprovenBehindLabels(t *testing.T) {
	wrongSum := bytes.Clone(v4)
	wrongSum[8]++
	long4 := ip4(ProtoUDP, udp(1000, 53, nil))
	long6, short6, odd6 := bytes.Clone(v6), cat(v6, make([]byte, 100)), bytes.Clone(v6)
	long6[5]++
	odd6[6] = 2
	arp := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	for name, b := range map[string][]byte{
		"a wrong checksum":        wrongSum,
		"a checksum of zero":      append(append(bytes.Clone(v4[:10]), 0, 0), v4[12:]...),
		"IPv4, longer than it is": long4[:22],
		"IPv6, longer than it is": long6,
		"IPv6, much shorter":      short6,
		"IPv6, unknown next":      odd6,
		"text":                    []byte("Everything that starts with E is IPv4, is it not?"),
		"ARP for 45:…":            pseudowire(0x45, 0x0806, arp, make([]byte, 20)),
		"ARP for 60:…":            pseudowire(0x60, 0x0806, arp, make([]byte, 20)),
		"Ethernet, wrong inside":  pseudowire(0x02, 0x0800, wrongSum),
	} {
		if p := decodeOne(Decoder{}, linktype.Ethernet, ether(0x8847, labels, b)); p.Kind != KindNonIP {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestCutBehindLabels: a frame of which too little was captured for a proof is malformed, like any frame with half an
// IP header. With the whole header it counts.
func TestCutBehindLabels(t *testing.T) {
	for _, inner := range [][]byte{v4, v6} {
		head := 20
		if inner[0]>>4 == 6 {
			head = 40
		}
		frame := ether(0x8847, labels, inner)
		for n := 14 + len(labels) + 1; n <= len(frame); n++ {
			var d Decoder
			var p Packet
			d.Decode(&p, frame[:n], uint32(len(frame)), linktype.Ethernet, 0)
			want := KindMalformed
			if n >= 14+len(labels)+head {
				want = KindIP
			}
			if p.Kind != want {
				t.Errorf("IPv%d, %d bytes: %+v", inner[0]>>4, n, p)
			}
		}
	}
}

// TestCutEthernetBehindLabels: a cut Ethernet frame counts as it would without labels, whatever its destination starts with.
func TestCutEthernetBehindLabels(t *testing.T) {
	for _, first := range []byte{0x02, 0x45, 0x60} {
		for _, inner := range [][]byte{v4, v6} {
			head, etherType := 20, 0x0800
			if inner[0]>>4 == 6 {
				head, etherType = 40, 0x86dd
			}
			frame := ether(0x8847, labels, pseudowire(first, etherType, inner))
			start := len(frame) - len(inner)
			for n := start; n < len(frame); n++ {
				want := KindMalformed
				if n >= start+head {
					want = KindIP
				}
				var d Decoder
				var p Packet
				if d.Decode(&p, frame[:n], uint32(len(frame)), linktype.Ethernet, 0); p.Kind != want {
					t.Errorf("%#x, IPv%d, %d bytes of its header: kind %d, want %d", first, inner[0]>>4, n-start, p.Kind, want)
				}
			}
		}
	}
}

// TestGuessesAreBounded: frames with two continuations at every place take no longer than others, because the guesses
// are counted.
func TestGuessesAreBounded(t *testing.T) {
	for step := 1; step <= 20; step++ {
		b := make([]byte, 4000)
		for i := 0; i+step < len(b); i += step {
			copy(b[i:], []byte{0x88, 0x47})
		}
		frame := ether(0x8847, []byte{0, 0, 1, 64}, b)
		w := walk{end: len(frame)}
		w.linkLayer(frame, linktype.Ethernet)
		if w.guesses > 1<<maxGuesses {
			t.Errorf("step %d: %d guesses", step, w.guesses)
		}
	}
}

// TestNestedLinks: the nesting of link layers is bounded.
func TestNestedLinks(t *testing.T) {
	ppi := []byte{0, 0, 8, 0, byte(linktype.PPI), 0, 0, 0}
	frame := cat(bytes.Repeat(ppi, 1000), v4)
	if p := decodeOne(Decoder{}, linktype.PPI, frame); p.Kind != KindNonIP {
		t.Errorf("%+v", p)
	}
}

func FuzzGuess(f *testing.F) {
	for _, first := range []byte{0, 0x45, 0x60} {
		f.Add(pseudowire(first, 0x0800, v4), 0)
		f.Add(cat(make([]byte, 4), pseudowire(first, 0x86dd, v6)), 4)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		frame := ether(0x8847, labels, b)
		w := walk{end: len(frame) + max(cut, 0)&0xffff}
		net, at := w.guess(frame, 14+len(labels))
		if w.guesses > 1<<maxGuesses {
			t.Errorf("%d guesses", w.guesses)
		}
		if net == netIPv4 || net == netIPv6 {
			// A proven packet can be decoded.
			var p Packet
			if !p.network(frame, at, w.end, net) {
				t.Errorf("proven, but not decoded: %x", frame[at:])
			}
		}
	})
}
