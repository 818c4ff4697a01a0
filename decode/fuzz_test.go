package decode

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pktvisor/linktype"
)

// knows reports whether frames of a link type are decoded, and do not count as KindUnsupportedLink.
func knows(link linktype.Type) bool {
	var w walk
	net, _ := w.linkLayer(nil, link)
	return net != netUnsupported
}

// allLinks are the link types that are decoded, and one that is not.
var allLinks = func() []linktype.Type {
	links := []linktype.Type{147, linktype.User2}
	for link := range linktype.Type(300) {
		if knows(link) {
			links = append(links, link)
		}
	}
	return links
}()

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
	for _, tt := range linkHeaders {
		f.Add(cat(tt.v4, query4), uint32(0))
		f.Add(cat(tt.v6, query6), uint32(0))
	}
	f.Add(amsdu(query4, query6), uint32(0))
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
				checkSpread(t, &d, &p, frame, link)
			}
		}
		checkPlain(t, frame, wireLen)
	})
}

// checkSpread checks that every method gives the same number for a frame as for the packet decoded from it.
func checkSpread(t *testing.T, d *Decoder, p *Packet, frame []byte, link linktype.Type) {
	t.Helper()
	if p.Kind != KindIP {
		return
	}
	if s := d.Spread(frame, p.WireLen, link); s != p.Spread() {
		t.Fatalf("frame: %x, packet: %x, for %x", s, p.Spread(), frame)
	}
	if link != linktype.Ethernet || d.Decap || len(frame) < len(EthernetIP{}) {
		return
	}
	b := (*EthernetIP)(frame)
	if b.Is4() && b.Sum4().Spread() != p.Spread() || b.Is6() && b.Sum6().Spread() != p.Spread() {
		t.Fatalf("Ethernet: %x or %x, packet: %x, for %x", b.Sum4().Spread(), b.Sum6().Spread(), p.Spread(), frame)
	}
}

// setAll sets all fields of a struct, and of the structs in it, to values that are not zero.
func setAll(v reflect.Value) {
	for _, f := range v.Fields() {
		switch {
		case f.Kind() == reflect.Struct:
			setAll(f)
		case f.CanUint():
			f.SetUint(9)
		case f.CanInt():
			f.SetInt(9)
		default:
			f.SetBool(true)
		}
	}
}

// checkPlain decodes a frame in both ways, and reports whether plainUDP decoded it.
func checkPlain(t *testing.T, frame []byte, wireLen uint32) (taken bool) {
	t.Helper()
	var plain Packet // every field is left from the previous frame
	setAll(reflect.ValueOf(&plain).Elem())
	if !plain.plainUDP(frame, wireLen, 1) {
		return false
	}
	var d Decoder
	var any Packet
	d.DecodeAny(&any, frame, wireLen, linktype.Ethernet, 1)
	if plain != any {
		t.Fatalf("plain %+v\n  any %+v\n   of %x", plain, any, frame)
	}
	return true
}

// TestPlainUDP: a plain datagram, cut at any length and with any byte changed, is decoded as by DecodeAny. plainUDP
// must decode plain datagrams, and the hash of a cut frame must be right.
func TestPlainUDP(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		plain bool
	}{
		"IPv4":         {ether(0x0800, ip4(ProtoUDP, udp(1000, 53, []byte("question")))), true},
		"IPv6":         {ether(0x86dd, ip6(ProtoUDP, udp(1000, 53, []byte("question")))), true},
		"padded":       {cat(ether(0x0800, ip4(ProtoUDP, udp(1000, 53, nil))), make([]byte, 18)), true},
		"TCP":          {ether(0x0800, ip4(ProtoTCP, tcp(1000, 53, 2, nil))), false},
		"fragment":     {ether(0x0800, ip4Frag(ProtoUDP, 7, 0x2000, udp(1000, 53, []byte("question")))), false},
		"VLAN":         {ether(0x8100, []byte{0, 1, 8, 0}, ip4(ProtoUDP, udp(1000, 53, nil))), false},
		"VLAN, IPv6":   {ether(0x8100, []byte{0, 1, 0x86, 0xdd}, ip6(ProtoUDP, udp(1000, 53, nil))), false},
		"IPv6 routing": {ether(0x86dd, ip6(protoRouting, cat([]byte{ProtoUDP, 0, 0, 0, 0, 0, 0, 0}, udp(1000, 53, nil)))), false},
	} {
		wireLen := uint32(len(c.frame))
		if got := checkPlain(t, c.frame, wireLen); got != c.plain {
			t.Errorf("%s: plain %v", name, got)
		}
		for n := range c.frame {
			checkPlain(t, c.frame[:n], wireLen)
			for _, d := range []Decoder{{}, {Decap: true}} {
				var p Packet
				d.Decode(&p, c.frame[:n], wireLen, linktype.Ethernet, 1)
				checkSpread(t, &d, &p, c.frame[:n], linktype.Ethernet)
			}
		}
		for i := range c.frame {
			changed := slices.Clone(c.frame)
			for b := range 256 {
				changed[i] = byte(b)
				checkPlain(t, changed, wireLen)
			}
		}
	}
}

// check checks what must hold for every packet.
func check(t *testing.T, p *Packet, frame []byte) {
	t.Helper()
	ip := p.Kind == KindIP
	switch {
	case p.Kind >= NumKinds,
		uint64(p.Payload)+uint64(p.CapLen) > uint64(len(frame)),
		p.CapLen > p.PayloadLen,
		ip != (p.Version == 4 || p.Version == 6),
		!ip && p.EtherType == 0 && *p != Packet{Time: p.Time, WireLen: p.WireLen, Kind: p.Kind},
		p.EtherType != 0 && *p != Packet{Time: p.Time, WireLen: p.WireLen, Kind: KindNonIP, EtherType: p.EtherType, Payload: p.Payload,
			CapLen: uint32(len(frame)) - p.Payload, PayloadLen: p.PayloadLen},
		p.Version == 4 && !(p.Src.Is4() && p.Dst.Is4()),
		ip && p.Payload < 20,
		p.Flags&FlagL4 != 0 && (p.Proto != ProtoTCP && p.Proto != ProtoUDP || p.Flags&FlagFragment != 0),
		p.Flags&FlagFragment == 0 && (p.FragID != 0 || p.FragOffset != 0 || p.FragMore),
		(p.Flags&FlagLaterFragment != 0) != (p.FragOffset != 0),
		p.Flags&(FlagL4|FlagFragment) == 0 && p.SrcPort|p.DstPort != 0:
		t.Fatalf("%+v of %d bytes", p, len(frame))
	}
}
