package bpf

import (
	"encoding/binary"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"pktvisor/linktype"
)

// The tests' expressions and packets use few values, so that expressions match often.
var (
	testHosts4 = []string{"10.0.0.1", "10.0.0.2", "192.168.1.1", "8.8.8.8", "224.0.0.251", "255.255.255.255", "10.1.2.3"}
	testHosts6 = []string{"::1", "2001:db8::1", "2001:db8::2", "fe80::1", "ff02::fb"}
	testMACs   = []string{"02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb"}
	testPorts  = []uint16{53, 80, 443, 1024, 5353, 6081, 0, 65535}
	testProtos = []uint8{1, 2, 6, 17, 17, 17, 6, 6, 132, 50, 51, 58, 44, 0, 43, 103, 112, 9, 47}
	testVLANs  = []uint16{0, 5, 100, 4095}
	testLabels = []uint32{5, 1024, 100000}
	testTypes  = []uint16{etherIP, etherIP, etherIP, etherIP, etherIP6, etherIP6, etherIP6, etherARP, etherRARP,
		ether8021Q, ether8021Q, ether8021AD, etherQinQ, etherMPLS, etherMPLS, etherPPPoES, etherPPPoED,
		etherAtalk, etherAARP, etherDECnet, etherIPX, etherLAT, etherLoop, 100, 1500, 1501, 46}
)

// forge builds random frames.
type forge struct {
	r *rand.Rand
	b []byte
}

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

func (f *forge) u8(v ...uint8) { f.b = append(f.b, v...) }
func (f *forge) u16(v uint16)  { f.b = binary.BigEndian.AppendUint16(f.b, v) }
func (f *forge) u32(v uint32)  { f.b = binary.BigEndian.AppendUint32(f.b, v) }
func (f *forge) random(n int) {
	for range n {
		f.u8(uint8(f.r.Uint32()))
	}
}
func (f *forge) chance(percent int) bool { return f.r.IntN(100) < percent }

func (f *forge) mac() {
	m := parseMAC(pick(f.r, testMACs))
	f.u8(m[:]...)
}

// frame makes a random frame of a link type.
func (f *forge) frame(link linktype.Type) []byte {
	f.b = nil
	ip := func() uint16 { return pick(f.r, []uint16{etherIP, etherIP, etherIP6}) }
	switch link {
	case linktype.Ethernet:
		f.ethernet(0)
	case linktype.Null, linktype.Loop:
		family, proto := pick(f.r, []uint32{2, 2, 2, 24, 28, 30, 10, 7}), uint16(etherIP6)
		if family == 2 {
			proto = etherIP
		}
		if link == linktype.Null {
			f.b = binary.LittleEndian.AppendUint32(f.b, family)
		} else {
			f.u32(family)
		}
		f.network(proto, 0)
	case linktype.PPP, linktype.PPPHDLC:
		f.u8(0xff, 3)
		f.ppp(0)
	case linktype.PPPEther:
		f.u8(0x11, 0)
		f.u16(1)
		f.u16(100)
		f.ppp(0)
	case linktype.CHDLC:
		f.u16(0x0f00)
		f.byType(pick(f.r, testTypes), 0)
	case linktype.IEEE80211:
		f.wlan()
	case linktype.Radiotap:
		f.radiotap()
	case linktype.ATM:
		f.llc(0)
	case linktype.LinuxSLL:
		f.u16(uint16(f.r.IntN(5)))
		f.u16(1)
		f.u16(6)
		f.mac()
		f.u16(0)
		f.byType(pick(f.r, append([]uint16{1, 4, 4}, testTypes...)), 0)
	case linktype.LinuxSLL2:
		t := pick(f.r, testTypes)
		f.u16(t)
		f.u16(0)
		f.u32(uint32(f.r.IntN(3)))
		f.u16(1)
		f.u8(uint8(f.r.IntN(5)), 6)
		f.mac()
		f.u16(0)
		f.b = f.b[:len(f.b)-2]
		f.u16(0)
		f.payloadOf(t, 0)
	default:
		f.network(ip(), 0)
	}
	return f.b
}

func (f *forge) ethernet(depth int) {
	f.mac()
	f.mac()
	f.byType(pick(f.r, testTypes), depth)
}

// byType adds an Ethernet type and the layer that it announces.
func (f *forge) byType(t uint16, depth int) {
	f.u16(t)
	f.payloadOf(t, depth)
}

func (f *forge) payloadOf(t uint16, depth int) {
	if depth > 4 {
		f.random(f.r.IntN(30))
		return
	}
	switch {
	case t <= etherMTU:
		f.llc(depth)
	case t == ether8021Q || t == ether8021AD || t == etherQinQ:
		f.u16(pick(f.r, testVLANs) | uint16(f.r.IntN(2))<<13)
		f.byType(pick(f.r, testTypes), depth+1)
	case t == etherMPLS:
		for i := range 3 {
			bottom := uint32(0)
			if i == 2 || f.chance(50) {
				bottom = 1 << 8
			}
			f.u32(pick(f.r, testLabels)<<12 | bottom | 64)
			if bottom != 0 {
				break
			}
		}
		f.network(pick(f.r, []uint16{etherIP, etherIP6}), depth+1)
	case t == etherPPPoES:
		f.u8(0x11, 0)
		f.u16(pick(f.r, []uint16{0x27, 5, 1}))
		f.u16(uint16(f.r.IntN(200)))
		f.ppp(depth + 1)
	default:
		f.network(t, depth)
	}
}

func (f *forge) ppp(depth int) {
	p := pick(f.r, []uint16{0x21, 0x21, 0x57, 0x57, 0x281, 0x23, 0x2b, 0x27, 0xc021})
	f.u16(p)
	switch p {
	case 0x21:
		f.network(etherIP, depth)
	case 0x57:
		f.network(etherIP6, depth)
	case 0x281:
		f.payloadOf(etherMPLS, depth)
	default:
		f.random(40)
	}
}

func (f *forge) llc(depth int) {
	sap := pick(f.r, []uint8{0xaa, 0xaa, 0xaa, 0x42, 0xe0, 0xf0, 0xfe, 0xff, 0x06, 0x00})
	f.u8(sap, sap, pick(f.r, []uint8{3, 3, 0xaf, 0xe3, 0x63, 0x01, 0x05, 0x09, 0x00, 0x13}))
	switch sap {
	case 0xaa:
		f.u8(pick(f.r, [][]uint8{{0, 0, 0}, {0, 0, 0}, {8, 0, 7}})...)
		f.byType(pick(f.r, testTypes), depth+1)
	case 0xfe:
		f.u8(pick(f.r, []uint8{0x81, 0x82, 0x83, 0x83}), 27, 1, 0, uint8(15+f.r.IntN(14)))
		f.random(20)
	default:
		f.random(30)
	}
}

func (f *forge) wlan() {
	fc := pick(f.r, []uint8{0x08, 0x08, 0x88, 0x88, 0x80, 0x40, 0xb4, 0xc4, 0xd4, 0x48, 0xc8, 0xa4, 0x0c})
	dir := uint8(f.r.IntN(4))
	f.u8(fc, dir|pick(f.r, []uint8{0, 0, 0x40, 0x08}))
	f.u16(0)
	f.mac()
	f.mac()
	f.mac()
	f.u16(0)
	if fc&0x88 == 0x88 {
		f.u16(0)
	}
	if dir == 3 {
		f.mac()
	}
	f.llc(0)
}

func (f *forge) radiotap() {
	f.u8(0, 0)
	present := pick(f.r, []uint32{0, 1, 2, 3, 3, 0x80000002, 0x6f})
	extra := f.r.IntN(12)
	f.b = binary.LittleEndian.AppendUint16(f.b, uint16(8+16+extra))
	f.b = binary.LittleEndian.AppendUint32(f.b, present)
	for range 16 + extra {
		f.u8(pick(f.r, []uint8{0, 0x20, 0x10, 1}))
	}
	f.wlan()
}

// network adds a network layer packet for an Ethernet type.
func (f *forge) network(t uint16, depth int) {
	switch t {
	case etherIP:
		f.ipv4(depth)
	case etherIP6:
		f.ipv6(depth)
	case etherARP, etherRARP:
		f.u16(1)
		f.u16(etherIP)
		f.u16(0x0604)
		f.u16(uint16(1 + f.r.IntN(4)))
		f.mac()
		f.addr4()
		f.mac()
		f.addr4()
	case etherDECnet:
		f.u16(20)
		f.u8(pick(f.r, []uint8{0x06, 0x02, 0x81, 0x26}), pick(f.r, []uint8{0x06, 0x02, 0}))
		for range 12 {
			f.u16(pick(f.r, []uint16{0x0204, 0x0104, 0x0403, 0x0002}))
		}
	default:
		f.random(f.r.IntN(50))
	}
}

func (f *forge) addr4() { f.u8(parseAddr(pick(f.r, testHosts4))...) }
func (f *forge) addr6() { f.u8(parseAddr(pick(f.r, testHosts6))...) }

func (f *forge) ipv4(depth int) {
	start := len(f.b)
	ihl := uint8(5)
	if f.chance(25) {
		ihl = uint8(f.r.IntN(16))
	}
	f.u8(0x40|ihl, uint8(f.r.Uint32()))
	f.u16(uint16(f.r.IntN(1500)))
	f.u16(uint16(f.r.Uint32()))
	frag := uint16(0)
	if f.chance(15) {
		frag = pick(f.r, []uint16{0x2000, 0x2001, 1, 0x1fff, 0x4000})
	}
	f.u16(frag)
	proto := pick(f.r, testProtos)
	f.u8(64, proto)
	f.u16(0)
	f.addr4()
	f.addr4()
	for len(f.b) < start+4*int(ihl) {
		f.u8(1)
	}
	f.transport(proto, depth)
}

func (f *forge) ipv6(depth int) {
	f.u32(0x60000000)
	f.u16(uint16(f.r.IntN(200)))
	proto := pick(f.r, testProtos)
	f.u8(proto, 64)
	f.addr6()
	f.addr6()
	if proto == protoFrag || proto == 43 || proto == 0 {
		proto = pick(f.r, testProtos)
		f.u8(proto, 0, 0, 0, 0, 0, 0, 0)
	}
	f.transport(proto, depth)
}

func (f *forge) transport(proto uint8, depth int) {
	switch proto {
	case protoTCP, protoUDP, protoSCTP:
		dst := pick(f.r, testPorts)
		f.u16(pick(f.r, testPorts))
		f.u16(dst)
		if proto == protoTCP {
			f.random(8)
			f.u8(uint8(5+f.r.IntN(3))<<4, pick(f.r, []uint8{0x02, 0x12, 0x10, 0x18, 0x01, 0x04, 0xff, 0}))
			f.random(6)
		} else {
			f.random(4)
		}
		if proto == protoUDP && (dst == genevePort || f.chance(10)) && depth < 3 {
			f.geneve(depth)
			return
		}
	case protoICMP, protoICMPv6:
		f.u8(pick(f.r, []uint8{0, 3, 8, 11, 128, 129, 135, 136}), uint8(f.r.IntN(3)))
	}
	f.random(f.r.IntN(24))
}

func (f *forge) geneve(depth int) {
	opts := uint8(f.r.IntN(3))
	f.u8(opts|pick(f.r, []uint8{0, 0, 0, 0x40}), 0)
	t := pick(f.r, []uint16{etherTEB, etherTEB, etherIP, etherIP6})
	f.u16(t)
	f.u32(pick(f.r, []uint32{0xb, 5}) << 8)
	f.random(4 * int(opts))
	if t == etherTEB {
		f.ethernet(depth + 1)
	} else {
		f.network(t, depth+1)
	}
}

// damaged returns the whole frames, and copies with changed bytes or without their end.
func damaged(r *rand.Rand, whole [][]byte) [][]byte {
	all := whole
	for _, p := range whole {
		if len(p) == 0 {
			continue
		}
		switch r.IntN(4) {
		case 0:
			all = append(all, p[:r.IntN(len(p))])
		case 1:
			q := append([]byte(nil), p...)
			for range 1 + r.IntN(3) {
				q[r.IntN(min(len(q), 64))] = uint8(r.Uint32())
			}
			all = append(all, q)
		}
	}
	return all
}

// forged returns random frames of a link type, some of them damaged.
func forged(link linktype.Type, n int, seed uint64) [][]byte {
	f := forge{r: rand.New(rand.NewPCG(seed, uint64(link)))}
	var frames [][]byte
	for range n {
		frames = append(frames, f.frame(link))
	}
	frames = append(frames, nil, []byte{0})
	return damaged(f.r, frames)
}

// corpus returns frames from other projects' captures, by link type, at most a few hundred from each file. Without
// the corpus it is empty.
func corpus(t testing.TB) map[linktype.Type][][]byte {
	t.Helper()
	frames := make(map[linktype.Type][][]byte)
	_ = filepath.WalkDir("../../shared/corpus", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.Ext(path), "cap") {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer file.Close()
		readCapture(file, frames)
		return nil
	})
	return frames
}

func readCapture(file io.ReadSeeker, frames map[linktype.Type][][]byte) {
	type source interface {
		ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	var src source
	var link linktype.Type
	if r, err := pcapgo.NewReader(file); err == nil {
		src, link = r, linktype.Type(r.LinkType())
	} else {
		_, _ = file.Seek(0, io.SeekStart)
		r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			return
		}
		src, link = r, linktype.Type(r.LinkType())
	}
	for range 200 {
		data, _, err := src.ReadPacketData()
		if err != nil {
			return
		}
		frames[link] = append(frames[link], append([]byte(nil), data[:min(len(data), 400)]...))
	}
}
