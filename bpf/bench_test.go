package bpf

import (
	"testing"

	"pktvisor/linktype"
)

// benchFrames are DNS queries and answers, and a tenth of other frames.
func benchFrames(tb testing.TB) [][]byte {
	tb.Helper()
	var frames [][]byte
	for i := range 64 {
		f := &forge{}
		f.u8(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
		f.u16(etherIP)
		f.u8(0x45, 0)
		f.u16(60)
		f.u32(0)
		proto := uint8(protoUDP)
		if i%10 == 9 {
			proto = protoTCP
		}
		f.u8(64, proto)
		f.u16(0)
		f.u32(0x0a000001)
		f.u32(0x0a000002 + uint32(i))
		if i%2 == 0 {
			f.u16(53)
			f.u16(uint16(40000 + i))
		} else {
			f.u16(uint16(40000 + i))
			f.u16(53)
		}
		f.b = append(f.b, make([]byte, 40)...)
		frames = append(frames, f.b)
	}
	return frames
}

func BenchmarkRun(b *testing.B) {
	frames := benchFrames(b)
	for _, expr := range []string{"udp port 53", "port 53", "host 10.0.0.9", "port 53 and not host 10.0.0.9",
		"vlan", "tcp[tcpflags] & tcp-syn != 0"} {
		b.Run(expr, func(b *testing.B) {
			prog, err := Compile(expr, linktype.Ethernet, Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(frames[0])))
			n := 0
			for i := range b.N {
				if f := frames[i%64]; prog.Match(f, uint32(len(f))) {
					n++
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, expr := range []string{"udp port 53", "port 53 and not host 10.0.0.9"} {
		b.Run(expr, func(b *testing.B) {
			for range b.N {
				if _, err := Compile(expr, linktype.Ethernet, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	frames := benchFrames(t)
	prog, err := Compile("udp port 53 and ip[2:2] % len > 7", linktype.Ethernet, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			prog.Run(f, uint32(len(f)))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
