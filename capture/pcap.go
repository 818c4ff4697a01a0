package capture

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The magic numbers of pcap files, as the writer's byte order has them. The first three are
// what libpcap reads; Ixia's are read by Wireshark.
const (
	pcapMicros    = 0xa1b2c3d4 // times in microseconds
	pcapNanos     = 0xa1b23c4d // times in nanoseconds
	pcapKuznetzov = 0xa1b2cd34 // microseconds, and 8 more bytes in a record's header (also FRITZ!Box)
	pcapIxiaHW    = 0x1c0001ac // nanoseconds, and 4 more bytes in the file's header
	pcapIxiaSW    = 0x1c0001ab // microseconds, and 4 more bytes in the file's header
)

const (
	pcapHeaderLen     = 24
	pcapIxiaHeaderLen = 28
	pcapRecordLen     = 16
	pcapPatchedLen    = 24 // Kuznetzov's: interface index, protocol and packet type follow

	// maxCaptured is the most bytes that a frame may have: libpcap's MAXIMUM_SNAPLEN.
	// A record that claims more is damage.
	maxCaptured = 262144

	nanosPerSecond = 1_000_000_000
	// maxTime is the latest time that a pcap file can express, in 2106. Times that a pcapng
	// file has beyond it are set to it, so that sums with them do not overflow.
	maxTime = (1<<32-1)*nanosPerSecond + nanosPerSecond - 1
)

// lengthOrder says which of a record's two lengths comes first.
type lengthOrder uint8

const (
	capturedFirst lengthOrder = iota
	wireFirst                 // before version 2.3, and in version 543.0 (DG/UX)
	smallerFirst              // version 2.3, under which both were written
)

// pcapFormat parses the records of a pcap file.
type pcapFormat struct {
	swapped   bool // the file is big-endian
	lengths   lengthOrder
	recordLen int    // length of a record's header
	unit      uint32 // nanoseconds a unit of the fraction of a second
	link      LinkType
}

// pcapMagic reports whether a file that starts with b, of at least 4 bytes, is a pcap file:
// its magic number, and whether the file is big-endian.
func pcapMagic(b []byte) (magic uint32, swapped, ok bool) {
	magic = binary.LittleEndian.Uint32(b)
	for range 2 {
		switch magic {
		case pcapMicros, pcapNanos, pcapKuznetzov, pcapIxiaHW, pcapIxiaSW:
			return magic, swapped, true
		}
		magic, swapped = bits.ReverseBytes32(magic), true
	}
	return 0, false, false
}

// pcapHeaderSize is the length of the file's header, by its magic number.
func pcapHeaderSize(magic uint32) int {
	if magic == pcapIxiaHW || magic == pcapIxiaSW {
		return pcapIxiaHeaderLen
	}
	return pcapHeaderLen
}

// newPcapFormat takes the format from a file's header, of pcapHeaderSize bytes.
func newPcapFormat(header []byte) (*pcapFormat, error) {
	magic, swapped, _ := pcapMagic(header)
	var order binary.ByteOrder = binary.LittleEndian
	if swapped {
		order = binary.BigEndian
	}
	p := &pcapFormat{swapped: swapped, recordLen: pcapRecordLen, unit: 1000}
	switch magic {
	case pcapNanos, pcapIxiaHW:
		p.unit = 1
	case pcapKuznetzov:
		p.recordLen = pcapPatchedLen
	}
	major, minor := order.Uint16(header[4:]), order.Uint16(header[6:])
	switch {
	case major == 2 && minor < 3, major == 543 && minor == 0:
		p.lengths = wireFirst
	case major == 2 && minor == 3:
		p.lengths = smallerFirst
	case major == 2 && minor == 4:
		p.lengths = capturedFirst
	default:
		return nil, fmt.Errorf("%w: pcap version %d.%d (known are 2.0 to 2.4)", ErrUnsupported, major, minor)
	}
	// The upper 16 bits hold the length of the frame check sequence and reserved bits.
	p.link = LinkType(order.Uint32(header[20:]))
	return p, nil
}

// parse implements format.
func (p *pcapFormat) parse(frames []Frame, data []byte) (_ []Frame, used, need int, err error) {
	off := 0
	if !p.swapped && p.lengths == capturedFirst && p.recordLen == pcapRecordLen {
		n := 0
		n, off = p.parseUsual(frames[:cap(frames)], data)
		frames = frames[:n]
	}
	for len(frames) < cap(frames) {
		start := off + p.recordLen
		if len(data) < start {
			return frames, off, p.recordLen, nil
		}
		header := (*[pcapRecordLen]byte)(data[off : off+pcapRecordLen])
		sec := binary.LittleEndian.Uint32(header[0:])
		frac := binary.LittleEndian.Uint32(header[4:])
		captured := binary.LittleEndian.Uint32(header[8:])
		wire := binary.LittleEndian.Uint32(header[12:])
		if p.swapped {
			sec, frac = bits.ReverseBytes32(sec), bits.ReverseBytes32(frac)
			captured, wire = bits.ReverseBytes32(captured), bits.ReverseBytes32(wire)
		}
		if p.lengths != capturedFirst && (p.lengths == wireFirst || captured > wire) {
			captured, wire = wire, captured
		}
		if captured > maxCaptured {
			return frames, off, 0, tooLong(captured)
		}
		end := start + int(captured)
		if len(data) < end {
			return frames, off, end - off, nil
		}
		frames = frames[:len(frames)+1]
		p.set(&frames[len(frames)-1], data[start:end], sec, frac, wire)
		off = end
	}
	return frames, off, 0, nil
}

// parseUsual parses records as nearly all files have them into frames, until those are full, or before a
// record that is not whole or not right: in a loop that does nothing else, its variables stay in registers.
// It returns how many, and the bytes that they took.
func (p *pcapFormat) parseUsual(frames []Frame, data []byte) (n, used int) {
	rest := data
	for n = range frames {
		if len(rest) < pcapRecordLen {
			return n, len(data) - len(rest)
		}
		captured := binary.LittleEndian.Uint32(rest[8:])
		end := pcapRecordLen + uint(captured)
		if captured > maxCaptured || uint(len(rest)) < end {
			return n, len(data) - len(rest)
		}
		p.set(&frames[n], rest[pcapRecordLen:end], binary.LittleEndian.Uint32(rest[0:]), binary.LittleEndian.Uint32(rest[4:]), binary.LittleEndian.Uint32(rest[12:]))
		rest = rest[end:]
	}
	return len(frames), len(data) - len(rest)
}

// set makes f the frame of the given bytes and fields.
func (p *pcapFormat) set(f *Frame, data []byte, sec, frac, wire uint32) {
	f.Data = data
	// A fraction of a second or more is nonsense; keep it within its second.
	f.Time = int64(sec)*nanosPerSecond + min(int64(frac)*int64(p.unit), nanosPerSecond-1)
	f.WireLen = max(wire, uint32(len(data)))
	f.Link = p.link
	f.Direction = DirUnknown
}

// tooLong is the error of a record that claims more bytes than a frame can have.
func tooLong(captured uint32) error {
	return fmt.Errorf("a frame of %d bytes is claimed, the maximum is %d", captured, maxCaptured)
}
