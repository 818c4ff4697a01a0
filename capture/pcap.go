package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"pktvisor/linktype"
)

// The magic numbers of pcap files, in the writer's byte order. libpcap reads the first three. Wireshark also reads
// Ixia's.
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

	// maxCaptured is the greatest number of bytes in a frame: libpcap's MAXIMUM_SNAPLEN. A record that claims
	// more is damaged.
	maxCaptured = 262144

	nanosPerSecond = 1_000_000_000
	// maxTime is the latest time that a pcap file can express, in 2106. Later times in a pcapng file are set to
	// it, so that sums with them do not overflow.
	maxTime = (1<<32-1)*nanosPerSecond + nanosPerSecond - 1
)

// lengthOrder says which of a record's two lengths comes first.
type lengthOrder uint8

const (
	capturedFirst lengthOrder = iota
	wireFirst                 // before version 2.3, and in version 543.0 (DG/UX)
	smallerFirst              // version 2.3, in which writers used either order
)

// pcapFormat parses the records of a pcap file.
type pcapFormat struct {
	swapped   bool // the file is big-endian
	lengths   lengthOrder
	recordLen int    // length of a record's header
	unit      uint32 // nanoseconds in a unit of the fraction of a second
	link      linktype.Type
}

// pcapMagic reports whether a file that starts with b, of at least 4 bytes, is a pcap file. It returns the magic
// number, and whether the file is big-endian.
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

// pcapHeaderSize returns the length of the file's header, by its magic number.
func pcapHeaderSize(magic uint32) int {
	if magic == pcapIxiaHW || magic == pcapIxiaSW {
		return pcapIxiaHeaderLen
	}
	return pcapHeaderLen
}

// pcapVersion returns the version in the first 8 bytes of a file's header.
func pcapVersion(header []byte, swapped bool) (major, minor uint16) {
	if swapped {
		return binary.BigEndian.Uint16(header[4:]), binary.BigEndian.Uint16(header[6:])
	}
	return binary.LittleEndian.Uint16(header[4:]), binary.LittleEndian.Uint16(header[6:])
}

// pcapLengths returns the order of a record's lengths, by the version in the file's header, and whether that version
// is known.
func pcapLengths(header []byte, swapped bool) (order lengthOrder, known bool) {
	switch major, minor := pcapVersion(header, swapped); {
	case major == 2 && minor < 3, major == 543 && minor == 0:
		return wireFirst, true
	case major == 2 && minor == 3:
		return smallerFirst, true
	case major == 2 && minor == 4:
		return capturedFirst, true
	}
	return 0, false
}

// newPcapFormat makes the format from a file's header, which has pcapHeaderSize bytes.
func newPcapFormat(header []byte) (format, error) {
	magic, swapped, _ := pcapMagic(header)
	p := &pcapFormat{swapped: swapped, recordLen: pcapRecordLen, unit: 1000}
	switch magic {
	case pcapNanos, pcapIxiaHW:
		p.unit = 1
	case pcapKuznetzov:
		p.recordLen = pcapPatchedLen
	}
	var known bool
	if p.lengths, known = pcapLengths(header, swapped); !known {
		major, minor := pcapVersion(header, swapped)
		return nil, fmt.Errorf("%w: pcap version %d.%d (supported: 2.0 to 2.4)", ErrUnsupported, major, minor)
	}
	// The upper 16 bits hold the length of the frame check sequence and reserved bits.
	link := binary.LittleEndian.Uint32(header[20:])
	if swapped {
		link = bits.ReverseBytes32(link)
	}
	p.link = linktype.Type(link)
	return p, nil
}

func (p *pcapFormat) linkTypes() []linktype.Type { return []linktype.Type{p.link} }
func (p *pcapFormat) sameLink() bool             { return true }

// parse implements format.
func (p *pcapFormat) parse(frames []Frame, data []byte) (_ []Frame, used int64, need int, err error) {
	off := 0
	if !p.swapped && p.lengths == capturedFirst && p.recordLen == pcapRecordLen {
		n := 0
		n, off = p.parseUsual(frames[:cap(frames)], data)
		frames = frames[:n]
	}
	for len(frames) < cap(frames) {
		start := off + p.recordLen
		if len(data) < start {
			return frames, int64(off), p.recordLen, nil
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
		if odd := captured == 0 || captured > min(wire, maxCaptured) || frac >= nanosPerSecond/p.unit; odd {
			if err := checkOdd(header, captured); err != nil {
				return frames, int64(off), 0, err
			}
		}
		end := start + int(captured)
		if len(data) < end {
			return frames, int64(off), end - off, nil
		}
		frames = frames[:len(frames)+1]
		p.set(&frames[len(frames)-1], data[start:end], sec, frac, wire)
		off = end
	}
	return frames, int64(off), 0, nil
}

// checkOdd checks an unusual record header: the frame is empty, or longer than it was on the wire or than a frame can
// be, or the time is not within its second. It returns an error if this is not the header of a record.
func checkOdd(header *[pcapRecordLen]byte, captured uint32) error {
	switch {
	case startsFile(header[:]):
		return errNextFile
	case captured > maxCaptured:
		return tooLong(captured)
	case *header == [pcapRecordLen]byte{}:
		return errZeros
	}
	return nil
}

// errZeros is the error for zeros in place of a record. A file system leaves zeros at the end of a file that was being
// written when the machine stopped. As a record, they would be an empty frame from the year 1970.
var errZeros = errors.New("there are zeros instead of a record")

// parseUsual parses records as nearly all files have them into frames. It stops when frames is full, or before a
// record that is not whole or not usual. It is not inlined, so that
// most variables of its loop stay in registers. A usual
// record has a frame of at least one byte that is not longer than it was on the wire. A file's header, which has
// zeros in place of the lengths, is not usual. parseUsual returns the number of frames, and of the bytes that they
// took.
//
//go:noinline
func (p *pcapFormat) parseUsual(frames []Frame, data []byte) (n, used int) {
	rest, link, unit := data, p.link, p.unit
	for n = range frames {
		if len(rest) <= pcapRecordLen {
			return n, len(data) - len(rest)
		}
		captured, wire := binary.LittleEndian.Uint32(rest[8:]), binary.LittleEndian.Uint32(rest[12:])
		end := pcapRecordLen + uint(captured)
		if captured-1 >= maxCaptured || captured > wire || uint(len(rest)) < end {
			return n, len(data) - len(rest)
		}
		f := &frames[n]
		f.Data = rest[pcapRecordLen:end]
		sec, frac := binary.LittleEndian.Uint32(rest[0:]), binary.LittleEndian.Uint32(rest[4:])
		f.Time = nanos(sec, frac, unit)
		f.WireLen, f.Link, f.Direction = wire, link, DirUnknown
		rest = rest[end:]
	}
	return len(frames), len(data) - len(rest)
}

// set fills f with the frame's bytes and fields.
func (p *pcapFormat) set(f *Frame, data []byte, sec, frac, wire uint32) {
	f.Data = data
	f.Time = nanos(sec, frac, p.unit)
	f.WireLen = max(wire, uint32(len(data)))
	f.Link = p.link
	f.Direction = DirUnknown
}

// nanos returns a frame's time, in nanoseconds since the Unix epoch, from a record's seconds and fraction, which counts
// units of the given number of nanoseconds.
func nanos(sec, frac, unit uint32) int64 {
	// A fraction of a second or more is invalid; keep the time within its second.
	return int64(sec)*nanosPerSecond + min(int64(frac)*int64(unit), nanosPerSecond-1)
}

// tooLong returns the error for a record that claims more bytes than a frame can have.
func tooLong(captured uint32) error {
	return fmt.Errorf("a record claims a frame of %d bytes; the maximum is %d", captured, maxCaptured)
}
