package decode

import (
	"os"
	"path/filepath"
	"testing"
)

var allLinks = []uint16{0, 1, 9, 12, 14, 50, 51, 100, 101, 104, 105, 108, 113, 127, 147, 228, 229, 239, 276}

// FuzzDecode decodes any bytes as every link layer, with and without tunnels.
func FuzzDecode(f *testing.F) {
	for _, b := range benchFrames {
		f.Add(b.frame, uint32(len(b.frame)))
	}
	for _, tt := range tunnels {
		frame := ip4(tt.proto, cat(tt.head, v4))
		f.Add(frame, uint32(len(frame)))
		f.Add(ether(0x0800, frame), uint32(0))
	}
	if _, err := os.Stat(corpus); err == nil {
		for _, name := range captures(f) {
			recs, _ := readCapture(filepath.Join(corpus, name))
			for i, r := range recs {
				if i < 3 && len(r.data) < 1600 {
					f.Add(r.data, r.wireLen)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, wireLen uint32) {
		for _, link := range allLinks {
			for _, decap := range []bool{false, true} {
				d := Decoder{Decap: decap}
				var p Packet
				d.Decode(&p, frame, wireLen, link, 1)
				check(t, &p, frame)
			}
		}
	})
}

// check reports what no packet may contradict.
func check(t *testing.T, p *Packet, frame []byte) {
	t.Helper()
	ip := p.Kind == KindIP
	switch {
	case p.Kind >= NumKinds,
		uint64(p.Payload)+uint64(p.CapLen) > uint64(len(frame)),
		p.CapLen > p.PayloadLen,
		ip != (p.Version == 4 || p.Version == 6),
		!ip && *p != Packet{Time: p.Time, WireLen: p.WireLen, Kind: p.Kind},
		p.Version == 4 && !(p.Src.Is4() && p.Dst.Is4()),
		ip && p.Payload < 20,
		p.Flags&FlagL4 != 0 && (p.Proto != ProtoTCP && p.Proto != ProtoUDP || p.Flags&FlagFragment != 0),
		p.Flags&FlagFragment == 0 && (p.FragID != 0 || p.FragOffset != 0 || p.FragMore),
		(p.Flags&FlagLaterFragment != 0) != (p.FragOffset != 0),
		p.Flags&(FlagL4|FlagFragment) == 0 && p.SrcPort|p.DstPort != 0:
		t.Fatalf("%+v of %d bytes", p, len(frame))
	}
}
