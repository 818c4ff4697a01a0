package capture

import (
	"bytes"
	"encoding/binary"
	"errors"

	"pktvisor/linktype"
)

// format parses the records of a capture file.
type format interface {
	// parse appends the whole frames in data to frames, until data or the capacity of frames is used up. It
	// returns how many bytes it has consumed. This may be more than data has: the rest is to be skipped. If a
	// record is not whole, need is how many bytes of it the next step needs. An error is damage in the record at
	// used, or errNextFile.
	parse(frames []Frame, data []byte) (_ []Frame, used int64, need int, err error)
	// linkTypes returns the link types that frames may have, as far as the file has named them.
	linkTypes() []linktype.Type
	// sameLink reports whether all frames so far have the same link type.
	sameLink() bool
}

// errNextFile is the error of parse if another capture file starts where a record should. "cat a.pcap b.pcap" makes
// such files.
var errNextFile = errors.New("another capture file starts")

// startLen is how many bytes startsFile examines.
const startLen = 12

// startsFile reports whether a capture file starts with b, of at least startLen bytes, which stand where a record
// should. A format calls it before it parses a record, so that it does not take the header of a file for a frame.
//
// A pcap file is recognised by its magic number and version. If these were a record, they would be a frame of one
// particular microsecond or nanosecond, in most cases in the second half of this century.
func startsFile(b []byte) bool {
	if _, swapped, ok := pcapMagic(b); ok {
		if _, known := pcapLengths(b, swapped); known {
			return true
		}
		// With another version, it is a file if the next field, the time zone, is zero, as in nearly all
		// files. In a record, this would be the length of a frame.
		return binary.LittleEndian.Uint32(b[8:]) == 0
	}
	if [4]byte(b) == sectionStart {
		return binary.LittleEndian.Uint32(b[8:]) == sectionMagic || binary.BigEndian.Uint32(b[8:]) == sectionMagic
	}
	return bytes.HasPrefix(b, []byte(snoopMagic))
}

// newFormat recognises a capture file by its first bytes, at least minHead. It returns the format and the length of
// the header, which the caller must skip, or how many bytes it needs. The header of a pcapng file is its first block,
// which is left for parse.
func newFormat(head []byte) (f format, size, need int, err error) {
	if magic, _, ok := pcapMagic(head); ok {
		if size = pcapHeaderSize(magic); len(head) < size {
			return nil, 0, size, nil
		}
		f, err = newPcapFormat(head)
		return f, size, 0, err
	}
	if isSnoop(head) {
		if len(head) < snoopHeaderLen {
			return nil, 0, snoopHeaderLen, nil
		}
		f, err = newSnoopFormat(head)
		return f, snoopHeaderLen, 0, err
	}
	if [4]byte(head) == sectionStart {
		if len(head) < sectionHead {
			return nil, 0, sectionHead, nil
		}
		f, err = newPcapNGFormat(head)
		return f, 0, 0, err
	}
	return nil, 0, 0, notCapture(head)
}
