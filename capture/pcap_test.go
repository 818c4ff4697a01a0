package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/linktype"
)

func TestPcapVariants(t *testing.T) {
	const sec = 1_700_000_000
	at := func(nanos int64) int64 { return sec*nanosPerSecond + nanos }
	for _, c := range []struct {
		name         string
		magic        uint32
		major, minor uint16
		link         uint32
		headerMore   int // bytes
		recordMore   int
		frac         uint32
		first        uint32 // the first length; 5 bytes are captured
		second       uint32
		want         plain
	}{
		{name: "micros", magic: pcapMicros, major: 2, minor: 4, link: 1, frac: 7, first: 5, second: 9,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "nanos", magic: pcapNanos, major: 2, minor: 4, link: 101, frac: 7, first: 5, second: 5,
			want: plain{"hello", at(7), 5, linktype.Raw, 0}},
		{name: "Kuznetzov", magic: pcapKuznetzov, major: 2, minor: 4, link: 1, recordMore: 8, frac: 7, first: 5, second: 9,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "Ixia hardware", magic: pcapIxiaHW, major: 2, minor: 4, link: 1, headerMore: 4, frac: 7, first: 5, second: 9,
			want: plain{"hello", at(7), 9, linktype.Ethernet, 0}},
		{name: "Ixia software", magic: pcapIxiaSW, major: 2, minor: 4, link: 1, headerMore: 4, frac: 7, first: 5, second: 9,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "version 2.2, wire length first", magic: pcapMicros, major: 2, minor: 2, link: 1, frac: 7, first: 9, second: 5,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "version 543.0, wire length first", magic: pcapMicros, major: 543, link: 1, frac: 7, first: 9, second: 5,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "version 2.3, captured length first", magic: pcapMicros, major: 2, minor: 3, link: 1, frac: 7, first: 5, second: 9,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "version 2.3, wire length first", magic: pcapMicros, major: 2, minor: 3, link: 1, frac: 7, first: 9, second: 5,
			want: plain{"hello", at(7000), 9, linktype.Ethernet, 0}},
		{name: "captured longer than wire", magic: pcapMicros, major: 2, minor: 4, link: 1, frac: 7, first: 5, second: 3,
			want: plain{"hello", at(7000), 5, linktype.Ethernet, 0}},
		{name: "frame check sequence of 4 bytes", magic: pcapMicros, major: 2, minor: 4, link: 0x24000000 | 113, frac: 7, first: 5, second: 5,
			want: plain{"hello", at(7000), 5, linktype.LinuxSLL, 0}},
		{name: "a second of microseconds", magic: pcapMicros, major: 2, minor: 4, link: 1, frac: 1_000_000, first: 5, second: 5,
			want: plain{"hello", at(nanosPerSecond - 1), 5, linktype.Ethernet, 0}},
		{name: "all bits of a nanosecond field", magic: pcapNanos, major: 2, minor: 4, link: 1, frac: ^uint32(0), first: 5, second: 5,
			want: plain{"hello", at(nanosPerSecond - 1), 5, linktype.Ethernet, 0}},
	} {
		for _, order := range byteOrders {
			t.Run(fmt.Sprint(c.name, " ", order), func(t *testing.T) {
				b := append(pcapHeader(order, c.magic, c.major, c.minor, c.link), make([]byte, c.headerMore)...)
				for range 2 {
					b = record(b, order, sec, c.frac, c.first, c.second, string(make([]byte, c.recordMore))+"hello")
				}
				got, err := readPlain(openBytes(t, b))
				if err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff([]plain{c.want, c.want}, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestPcapUnsupported(t *testing.T) {
	for _, v := range [][2]uint16{{1, 2}, {2, 5}, {3, 0}, {543, 1}} {
		_, err := OpenReader(strings.NewReader(string(pcapHeader(binary.BigEndian, pcapMicros, v[0], v[1], 1))), 0)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), fmt.Sprintf("version %d.%d", v[0], v[1])) {
			t.Errorf("version %v: %v", v, err)
		}
	}
}

// TestPcapDamage: a whole frame of 5 bytes is followed by damage.
func TestPcapDamage(t *testing.T) {
	order := binary.LittleEndian
	good := record(pcapHeader(order, pcapMicros, 2, 4, 1), order, 1, 2, 5, 5, "hello")
	for _, c := range []struct {
		name  string
		then  []byte
		cut   bool
		says  string
		after int // frames
	}{
		{"cut in the header", make([]byte, 15), true, "15 of 16 bytes", 1},
		{"cut in the data", record(nil, order, 1, 2, 5, 5, "hell"), true, "20 of 21 bytes", 1},
		{"cut, of the longest", record(nil, order, 1, 2, maxCaptured, 5, "hell"), true, "20 of 262160 bytes", 1},
		{"too long", record(nil, order, 1, 2, maxCaptured+1, 5, "hell"), false, "262145 bytes; the maximum is 262144", 1},
		{"far too long", append(record(nil, order, 1, 2, 5, 5, "hello"), record(nil, order, 1, 2, ^uint32(0), 5, "")...),
			false, "a frame of 4294967295 bytes", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openBytes(t, append(good[:len(good):len(good)], c.then...))
			frames, err := readPlain(s)
			damage, ok := errors.AsType[*DamageError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if want := int64(len(good) + 21*(c.after-1)); damage.Offset != want || damage.Frames != uint64(c.after) || len(frames) != c.after {
				t.Errorf("%+v with %d frames, want offset %d and %d frames", damage, len(frames), want, c.after)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) != c.cut || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q, want %q", err, c.says)
			}
			var b Batch
			if again := s.ReadBatch(&b); again != err || len(b.Frames) != 0 {
				t.Errorf("read again: %v and %d frames", again, len(b.Frames))
			}
		})
	}
}
