package capture

import (
	"encoding/binary"
	"fmt"

	"pktvisor/linktype"
)

// Snoop files (RFC 1761) are written by the capture program of Solaris. All numbers in them are big-endian.
const (
	snoopMagic     = "snoop\x00\x00\x00"
	snoopVersion   = 2
	snoopHeaderLen = 16
	snoopRecordLen = 24
)

// snoopLinks maps the data-link types of snoop files to link types: those of the RFC and of illumos' sys/dlpi.h.
var snoopLinks = map[uint32]linktype.Type{
	0:          linktype.Ethernet,  // IEEE 802.3
	2:          linktype.TokenRing, // IEEE 802.5
	4:          linktype.Ethernet,
	8:          linktype.FDDI,
	0x12:       linktype.SunATM, // classical IP over ATM, as SunATM
	0x80000001: linktype.Raw,    // a tunnel over IPv4
	0x80000002: linktype.Raw,    // a tunnel over IPv6
	0x80000005: linktype.IPNet,  // the IP layer's own frames
	0x80000007: linktype.Raw,    // 6to4
}

// snoopFormat parses the records of a snoop file.
type snoopFormat struct{ link linktype.Type }

// isSnoop reports whether head, of at least minHead bytes, may be the start of a snoop file.
func isSnoop(head []byte) bool {
	n := min(len(head), len(snoopMagic))
	return string(head[:n]) == snoopMagic[:n]
}

// newSnoopFormat makes the format from a file's header, which has snoopHeaderLen bytes.
func newSnoopFormat(header []byte) (format, error) {
	if v := binary.BigEndian.Uint32(header[8:]); v != snoopVersion {
		return nil, fmt.Errorf("%w: snoop version %d (supported: %d)", ErrUnsupported, v, snoopVersion)
	}
	n := binary.BigEndian.Uint32(header[12:])
	link, ok := snoopLinks[n]
	if !ok {
		return nil, fmt.Errorf("%w: a snoop file of data-link type %d, which is not decoded", ErrUnsupported, n)
	}
	return &snoopFormat{link}, nil
}

func (s *snoopFormat) linkTypes() []linktype.Type { return []linktype.Type{s.link} }
func (s *snoopFormat) sameLink() bool             { return true }

// parse implements format.
func (s *snoopFormat) parse(frames []Frame, data []byte) (_ []Frame, used int64, need int, err error) {
	off := 0
	for len(frames) < cap(frames) {
		rest := data[off:]
		if len(rest) < startLen {
			return frames, int64(off), startLen, nil
		}
		if startsFile(rest) {
			return frames, int64(off), 0, errNextFile
		}
		if len(rest) < snoopRecordLen {
			return frames, int64(off), snoopRecordLen, nil
		}
		header := (*[snoopRecordLen]byte)(rest)
		wire := binary.BigEndian.Uint32(header[0:])
		captured := binary.BigEndian.Uint32(header[4:])
		// The record's length includes the header and padding. What follows the frame is skipped.
		length := binary.BigEndian.Uint32(header[8:])
		if captured > maxCaptured {
			return frames, int64(off), 0, tooLong(captured)
		}
		if length < snoopRecordLen+captured || length > maxBlock {
			return frames, int64(off), 0, fmt.Errorf("a record of %d bytes with a frame of %d bytes is impossible", length, captured)
		}
		if len(rest) < int(length) {
			return frames, int64(off), int(length), nil
		}
		sec, micros := binary.BigEndian.Uint32(header[16:]), binary.BigEndian.Uint32(header[20:])
		frames = append(frames, Frame{
			Data:    rest[snoopRecordLen : snoopRecordLen+captured],
			Time:    int64(sec)*nanosPerSecond + min(int64(micros)*1000, nanosPerSecond-1),
			WireLen: max(wire, captured),
			Link:    s.link,
		})
		off += int(length)
	}
	return frames, int64(off), 0, nil
}
