package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pktvisor/linktype"
)

// smallCapture is a capture file and its frames.
type smallCapture struct {
	name    string
	content []byte
	frames  []plain
}

// snoopHeader builds a snoop file's header (RFC 1761).
func snoopHeader(version, link uint32) []byte {
	return words([]byte("snoop\x00\x00\x00"), binary.BigEndian, version, link)
}

// snoopRecord appends a snoop record, with some bytes after the frame.
func snoopRecord(b []byte, sec, micros, wire uint32, data string, behind int) []byte {
	captured := uint32(len(data))
	b = words(b, binary.BigEndian, wire, captured, 24+captured+uint32(behind), 0, sec, micros)
	return append(append(b, data...), make([]byte, behind)...)
}

// smallCaptures are captures of two frames in each format.
func smallCaptures() (all []smallCapture) {
	const sec = 1_700_000_000
	for _, order := range byteOrders {
		for _, magic := range []uint32{pcapMicros, pcapNanos, pcapKuznetzov, pcapIxiaHW, pcapIxiaSW} {
			b := append(pcapHeader(order, magic, 2, 4, 1), make([]byte, pcapHeaderSize(magic)-pcapHeaderLen)...)
			unit, more := int64(1000), ""
			switch magic {
			case pcapNanos, pcapIxiaHW:
				unit = 1
			case pcapKuznetzov:
				more = "8 bytes."
			}
			b = record(b, order, sec, 7, 5, 9, more+"hello")
			b = record(b, order, sec+1, 8, 3, 3, more+"you")
			all = append(all, smallCapture{fmt.Sprintf("pcap %#x %v", magic, order), b, []plain{
				{"hello", sec*nanosPerSecond + 7*unit, 9, linktype.Ethernet, DirUnknown}, {"you", (sec+1)*nanosPerSecond + 8*unit, 3, linktype.Ethernet, DirUnknown},
			}})
		}
		b := ngIface(ngIface(section(nil, order), order, 1, 0, nil), order, 228, 0, option(nil, order, optTSResol, []byte{9}))
		b = enhanced(b, order, 0, sec*1_000_000+7, 9, "hello", nil)
		b = enhanced(b, order, 1, sec*1_000_000_000+8, 2, "ip", nil)
		all = append(all, smallCapture{fmt.Sprintf("pcapng %v", order), b, []plain{
			{"hello", sec*nanosPerSecond + 7000, 9, linktype.Ethernet, DirUnknown}, {"ip", sec*nanosPerSecond + 8, 2, linktype.IPv4, DirUnknown},
		}})
	}
	b := snoopRecord(snoopHeader(2, 4), sec, 7, 9, "hello", 3)
	b = snoopRecord(b, sec+1, 8, 4, "four", 0)
	all = append(all, smallCapture{"snoop", b, []plain{
		{"hello", sec*nanosPerSecond + 7000, 9, linktype.Ethernet, DirUnknown}, {"four", (sec+1)*nanosPerSecond + 8000, 4, linktype.Ethernet, DirUnknown},
	}})
	return append(all, smallCapture{"pcap without frames", pcapHeader(binary.LittleEndian, pcapMicros, 2, 4, 101), nil})
}

// TestConcatenated puts each format after each: all frames are returned, each as its own file's header says, wherever
// reads end, and no header becomes a frame.
func TestConcatenated(t *testing.T) {
	for _, a := range smallCaptures() {
		for _, b := range smallCaptures() {
			t.Run(a.name+", "+b.name, func(t *testing.T) {
				content := slices.Concat(a.content, b.content, a.content)
				want := slices.Concat(a.frames, b.frames, a.frames)
				got, err := readPlain(openBytes(t, content))
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("%v, %v, want %v", err, got, want)
				}
				for name, slow := range slowReaders {
					s, err := OpenReader(slow(bytes.NewReader(content)), 0)
					if err != nil {
						t.Fatal(name, err)
					}
					if got, err := readPlain(s); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %v, %v", name, err, got)
					}
				}
				for name, compress := range compressors {
					got, err := readPlain(openBytes(t, slices.Concat(compress(a.content), compress(b.content), compress(a.content))))
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %v, %v", name, err, got)
					}
				}
			})
		}
	}
}

// TestConcatenatedLong puts the second file's header at every offset of a batch.
func TestConcatenatedLong(t *testing.T) {
	order := binary.LittleEndian
	for _, n := range []int{batchFrames - 1, batchFrames, batchFrames + 1, 2 * batchFrames} {
		file := pcapHeader(order, pcapMicros, 2, 4, 1)
		for i := range n {
			file = record(file, order, uint32(i), 1, 6, 6, "frames")
		}
		got, err := readPlain(openBytes(t, append(file[:len(file):len(file)], file...)))
		if err != nil || len(got) != 2*n || got[n].Time != 1000 {
			t.Errorf("twice %d frames: %d, %v", n, len(got), err)
		}
	}
}

// TestTail puts something that is not a record after two frames: only these two are returned, and the error says
// where they end.
func TestTail(t *testing.T) {
	order := binary.LittleEndian
	zone := pcapHeader(order, pcapMicros, 2, 4, 1)
	order.PutUint32(zone[8:], 3600)
	for _, a := range smallCaptures() {
		if len(a.frames) == 0 {
			continue
		}
		for _, c := range []struct {
			name string
			tail []byte
			says string
		}{
			{"zeros", make([]byte, 4096), ""},
			{"a text", []byte(strings.Repeat("the quick brown fox ", 50)), ""},
			{"part of a header", pcapHeader(order, pcapMicros, 2, 4, 1)[:22], "22 of 24 bytes"},
			{"a header of another version", pcapHeader(order, pcapMicros, 2, 7, 1), "pcap version 2.7"},
			{"a snoop header of another version", append(snoopHeader(7, 4), make([]byte, 8)...), "snoop version 7"},
			{"a snoop header of another link", append(snoopHeader(2, 1), make([]byte, 8)...), "data-link type 1"},
		} {
			got, err := readPlain(openBytes(t, append(a.content[:len(a.content):len(a.content)], c.tail...)))
			damage, ok := errors.AsType[*DamageError](err)
			if !ok || damage.Offset != int64(len(a.content)) || !slices.Equal(got, a.frames) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, then %s: %v, %v", a.name, c.name, err, got)
			}
		}
		got, err := readPlain(openBytes(t, slices.Concat(a.content, zone)))
		if err != nil || !slices.Equal(got, a.frames) {
			t.Errorf("%s, then a header with a time zone: %v, %v", a.name, err, got)
		}
	}
}

// TestSnoopDamage: a whole frame is followed by damage.
func TestSnoopDamage(t *testing.T) {
	good := snoopRecord(snoopHeader(2, 0), 1, 2, 5, "hello", 3)
	long := snoopRecord(nil, 1, 2, 5, "hello", 3)
	binary.BigEndian.PutUint32(long[4:], maxCaptured+1)
	short := snoopRecord(nil, 1, 2, 5, "hello", 3)
	binary.BigEndian.PutUint32(short[8:], 28)
	huge := snoopRecord(nil, 1, 2, 5, "hello", 3)
	binary.BigEndian.PutUint32(huge[8:], 1<<31)
	for _, c := range []struct {
		name, says string
		tail       []byte
		cut        bool
	}{
		{"cut in its header", "20 of 24 bytes", good[16:36], true},
		{"cut in its data", "30 of 32 bytes", good[16:46], true},
		{"of more bytes than a frame can have", "a frame of 262145 bytes", long, false},
		{"shorter than its frame", "a record of 28 bytes", short, false},
		{"of 2 GiB", "a record of 2147483648 bytes", huge, false},
	} {
		got, err := readPlain(openBytes(t, append(good[:len(good):len(good)], c.tail...)))
		damage, ok := errors.AsType[*DamageError](err)
		if !ok || damage.Offset != int64(len(good)) || len(got) != 1 || !strings.Contains(err.Error(), c.says) || errors.Is(err, io.ErrUnexpectedEOF) != c.cut {
			t.Errorf("a record %s: %v, %d frames", c.name, err, len(got))
		}
	}
}

// TestSnoopByEditcap lets Wireshark's editcap write a capture as snoop, whose times are in microseconds.
func TestSnoopByEditcap(t *testing.T) {
	editcap, err := exec.LookPath("editcap")
	if err != nil {
		t.Skip("editcap is not installed")
	}
	pcap := mixedPcap()
	want, _ := readPlain(openBytes(t, pcap))
	out := filepath.Join(t.TempDir(), "out.snoop")
	if b, err := exec.Command(editcap, "-F", "snoop", writeTemp(t, pcap), out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	s, err := OpenFile(out)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := readPlain(s); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %d frames of %d", err, len(got), len(want))
	}
}
