package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/linktype"
)

func TestPcapNG(t *testing.T) {
	for _, order := range byteOrders {
		flags := func(v uint32) []byte {
			return option(option(nil, order, 1, []byte("a comment")), order, optFlags, words(nil, order, v))
		}
		resolution := func(v byte) []byte { return option(nil, order, optTSResol, []byte{v}) }
		offset := func(v int64) []byte { return option(nil, order, optTSOffset, order.AppendUint64(nil, uint64(v))) }
		end := func(b []byte) []byte { return append(option(b, order, optEnd, nil), "rest"...) }
		const micros = 1_700_000_000_000_007
		b := section(nil, order)
		b = block(b, order, 0x40000bad, []byte("custom"))
		b = ngIface(b, order, 1, 0, end(option(nil, order, 2, []byte("eth0"))))
		b = ngIface(b, order, 276, 0, append(resolution(9), offset(-5)...))
		b = ngIface(b, order, 101, 0, resolution(0x80|10))
		b = ngIface(b, order, 0, 0, end(resolution(0)))
		b = enhanced(b, order, 0, micros, 9, "hello", flags(1))
		b = enhanced(b, order, 1, micros*1000, 4, "hello", flags(0xfffffffe))
		b = enhanced(b, order, 2, 3<<10|512, 8, "8 octets", flags(3))
		b = enhanced(b, order, 3, 77, 0, "", end(nil))
		b = simple(b, order, 6, "simple")
		b = block(b, order, blockPacket, append(words(nil, order,
			order.Uint32(order.AppendUint16(order.AppendUint16(nil, 3), 65535)), 0, 5, 3, 3), "old\x00"+string(flags(2))...))
		b = section(b, order)
		b = ngIface(b, order, 105, 4, nil)
		b = simple(b, order, 600, "simple")
		b = enhanced(b, order, 0, micros, 5, "again", []byte("\x02\x00\x00\x02\x00")) // not a whole option
		want := []plain{
			{"hello", micros * 1000, 9, linktype.Ethernet, DirIn},
			{"hello", micros*1000 - 5*nanosPerSecond, 5, linktype.LinuxSLL2, DirOut},
			{"8 octets", 3_500_000_000, 8, linktype.Raw, DirUnknown},
			{"", 77 * nanosPerSecond, 0, linktype.Null, DirUnknown},
			{"simple", 77 * nanosPerSecond, 6, linktype.Ethernet, DirUnknown},
			{"old", 5 * nanosPerSecond, 3, linktype.Null, DirOut},
			{"simp", 5 * nanosPerSecond, 600, linktype.IEEE80211, DirUnknown},
			{"again", micros * 1000, 5, linktype.IEEE80211, DirUnknown},
		}
		got, err := readPlain(openBytes(t, b))
		if err != nil {
			t.Error(order, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(order, diff)
		}
	}
}

// TestSameLink: a batch says that its frames have the same link layer if the file has named no other one so far, in this
// section or before.
func TestSameLink(t *testing.T) {
	order := binary.LittleEndian
	file := func(links ...uint16) []byte {
		b := section(nil, order)
		for i, link := range links {
			b = enhanced(ngIface(b, order, link, 0, nil), order, uint32(i), 5, 5, "hello", nil)
		}
		return b
	}
	const ethernet, raw = 1, 101
	for _, c := range []struct {
		name string
		file []byte
		want bool
	}{
		{"pcap", record(pcapHeader(order, pcapMicros, 2, 4, ethernet), order, 1, 2, 5, 5, "hello"), true},
		{"one interface", file(raw), true},
		{"two alike", file(ethernet, ethernet), true},
		{"two that differ", file(ethernet, raw), false},
		{"the second section differs", append(file(ethernet), file(raw)...), false},
	} {
		var b Batch
		if err := openBytes(t, c.file).ReadBatch(&b); err != nil || len(b.Frames) == 0 || b.SameLink != c.want {
			t.Errorf("%s: SameLink %v for %d frames, want %v; %v", c.name, b.SameLink, len(b.Frames), c.want, err)
		}
	}
}

// TestPcapNGDamage: a whole frame is followed by damage. tshark and tcpdump also find damage there, unless the case
// says otherwise.
func TestPcapNGDamage(t *testing.T) {
	for _, order := range byteOrders {
		head := section(nil, order)
		good := enhanced(ngIface(head, order, 1, 0, nil), order, 0, 5, 5, "hello", nil)
		after := len(good)
		broken := func(b []byte, at int, v uint32) []byte {
			order.PutUint32(b[at:], v)
			return b
		}
		version := func(major, minor uint16) []byte {
			b := section(nil, order)
			order.PutUint16(b[12:], major)
			order.PutUint16(b[14:], minor)
			return b
		}
		packet := func() []byte { return enhanced(nil, order, 0, 5, 5, "hello", nil) }
		opt := func(code uint16, n int) []byte { return option(nil, order, code, make([]byte, n)) }
		for _, c := range []struct {
			name, says string
			then       []byte
		}{
			{"undeclared interface", "interface 1 of 1", enhanced(nil, order, 1, 5, 5, "hello", nil)},
			{"undeclared interface, obsolete", "interface 65535 of 1", block(nil, order, blockPacket, words(nil, order, ^uint32(0), 0, 0, 0, 0))},
			{"interfaces do not outlive a section", "interface 0 of 0", append(section(nil, order), packet()...)},
			{"simple packet without interface", "before any interface", append(section(nil, order), simple(nil, order, 1, "a")...)},
			{"lengths differ", "two lengths differ: 40 and 44", broken(packet(), 36, 44)},
			{"lengths differ, skipped block", "two lengths differ", broken(block(nil, order, 77, nil), 8, 44)},
			{"length too small", "block of 8 bytes", broken(packet(), 4, 8)},
			{"length no multiple of 4", "block of 42 bytes", broken(packet(), 4, 42)},
			{"zeros", "block of 0 bytes", make([]byte, 64)},
			{"longest block exceeded (ours)", "maximum is 1048576", broken(packet(), 4, maxBlock+4)},
			{"captured more than the block has", "too short", broken(packet(), 20, 9)},
			{"captured more than allowed", "a frame of 262145 bytes", broken(packet(), 20, maxCaptured+1)},
			{"captured all bits", "a frame of 4294967295 bytes", broken(packet(), 20, ^uint32(0))},
			{"packet without its fixed part", "too short", block(nil, order, blockEnhanced, make([]byte, 16))},
			{"simple packet without length", "too short", block(nil, order, blockSimple, nil)},
			{"simple packet cut", "too short", simple(nil, order, 60, "not 60")},
			{"interface without fixed part", "too short", block(nil, order, blockInterface, make([]byte, 4))},
			{"interface option overruns", "do not fit", ngIface(nil, order, 1, 0, order.AppendUint32(opt(2, 4)[:4], 0)[:4])},
			{"resolution of 2 bytes (tcpdump)", "option 9 has 2 bytes", ngIface(nil, order, 1, 0, opt(optTSResol, 2))},
			{"offset of 4 bytes (tcpdump)", "option 14 has 4 bytes", ngIface(nil, order, 1, 0, opt(optTSOffset, 4))},
			{"decimal resolution (tcpdump)", "0x14, is too fine", ngIface(nil, order, 1, 0, option(nil, order, optTSResol, []byte{20}))},
			{"binary resolution (tcpdump)", "0xc0, is too fine", ngIface(nil, order, 1, 0, option(nil, order, optTSResol, []byte{0xc0}))},
			{"section of another byte order", "byte-order mark", broken(section(nil, order), 8, 0x1a2b3c4e)},
			{"section of version 1.1", "version 1.1", version(1, 1)},
			{"section of version 2.0", "version 2.0", version(2, 0)},
			{"section too short", "section block of 24 bytes", broken(section(nil, order), 4, 24)},
			{"section too long", "section block of 1048580 bytes", broken(section(nil, order), 4, maxBlock+4)},
			{"section's lengths differ", "differ: 28 and 24", broken(section(nil, order), 24, 24)},
		} {
			t.Run(fmt.Sprint(c.name, " ", order), func(t *testing.T) {
				frames, err := readPlain(openBytes(t, append(good[:after:after], c.then...)))
				damage, ok := errors.AsType[*DamageError](err)
				if !ok || !strings.Contains(err.Error(), c.says) || errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("error %v, want %q", err, c.says)
				}
				offset := after
				if strings.Contains(c.name, "simple packet without interface") || strings.Contains(c.name, "outlive") {
					offset += len(head)
				}
				if damage.Offset != int64(offset) || damage.Frames != 1 || len(frames) != 1 {
					t.Errorf("%+v with %d frames, want offset %d", damage, len(frames), offset)
				}
			})
		}
	}
}

func TestPcapNGTooManyInterfaces(t *testing.T) {
	order := binary.LittleEndian
	b := section(nil, order)
	for range maxInterfaces + 1 {
		b = ngIface(b, order, 1, 0, nil)
	}
	if _, err := readPlain(openBytes(t, b)); err == nil || !strings.Contains(err.Error(), "more than 65536 interfaces") {
		t.Error(err)
	}
}

func TestPcapNGUnsupported(t *testing.T) {
	b := section(nil, binary.LittleEndian)
	b[14] = 1
	_, err := OpenReader(strings.NewReader(string(b)), 0)
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "version 1.1") {
		t.Error(err)
	}
}

// TestSkippedBlocks: blocks of lengths around the buffer's size are skipped.
func TestSkippedBlocks(t *testing.T) {
	order := binary.LittleEndian
	for _, n := range []int{0, 1000, batchBytes - blockOverhead, batchBytes, maxCheckedSkip - blockOverhead, maxCheckedSkip, 3 * batchBytes, 20 << 20} {
		b := ngIface(section(nil, order), order, 1, 0, nil)
		for range 2 {
			b = block(b, order, 77, make([]byte, n))
			b = enhanced(b, order, 0, 5, 5, "hello", nil)
		}
		frames, err := readPlain(openBytes(t, b))
		if err != nil || len(frames) != 2 {
			t.Errorf("%d bytes: %d frames, %v", n, len(frames), err)
		}
		cut := b[:len(b)-40-4] // in the second skipped block
		frames, err = readPlain(openBytes(t, cut))
		if damage, ok := errors.AsType[*DamageError](err); !ok || len(frames) != 1 || !errors.Is(err, io.ErrUnexpectedEOF) || damage.Offset > int64(len(cut)) {
			t.Errorf("%d bytes, cut at %d: %d frames, %v", n, len(cut), len(frames), err)
		}
	}
}

func TestNanos(t *testing.T) {
	const maxUnits = math.MaxUint64
	for _, c := range []struct {
		resolution byte
		offset     int64
		units      uint64
		want       int64
	}{
		{6, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000},
		{6, 0, maxUnits, maxTime},
		{6, 0, maxTime / 1000, maxTime / 1000 * 1000},
		{9, 0, maxTime, maxTime},
		{9, 0, maxTime + 1, maxTime},
		{9, 1, 5, 1_000_000_005},
		{9, -1, 5, 0},
		{9, -1, 1_000_000_005, 5},
		{9, math.MinInt64, maxUnits, 0},
		{9, math.MaxInt64, 0, maxTime},
		{0, 0, 1_700_000_000, 1_700_000_000_000_000_000},
		{0, 0, 1 << 32, maxTime},
		{0, math.MaxInt64, maxUnits, maxTime},
		{0, math.MinInt64, maxUnits, maxTime},
		{0, math.MinInt64, 5, 0},
		{12, 0, 1_700_000_000_000_000_999, 1_700_000_000_000_000},
		{19, 0, maxUnits, 1_844_674_407},
		{0x80, 0, 3, 3_000_000_000},
		{0x80 | 32, 0, 3<<32 | 1<<31, 3_500_000_000},
		{0x80 | 63, 0, maxUnits, 1_999_999_999},
	} {
		i := ngInterface{offset: c.offset}
		if !i.setResolution(c.resolution) {
			t.Errorf("resolution %#x refused", c.resolution)
		} else if got := i.nanos(c.units); got != c.want {
			t.Errorf("%d units of resolution %#x and offset %d: %d, want %d", c.units, c.resolution, c.offset, got, c.want)
		}
	}
}
