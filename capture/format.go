package capture

import (
	"bytes"
	"encoding/binary"
	"errors"

	"pktvisor/linktype"
)

// format parses the records of a capture file.
type format interface {
	// parse appends the frames that lie whole in data to frames, until data or the capacity of
	// frames is used up. It returns how many bytes it has dealt with, which may be more than
	// data has: the rest is to be skipped. Where a record is not whole, need is how many bytes
	// of it must be there for a next step. An error is damage in the record at used, or
	// errNextFile.
	parse(frames []Frame, data []byte) (_ []Frame, used int64, need int, err error)
	// linkTypes are the link types that frames may have, as far as the file has said.
	linkTypes() []linktype.Type
}

// errNextFile is what a format's parse returns where not a record starts, but another capture
// file: several were put one after the other, as "cat a.pcap b.pcap" does.
var errNextFile = errors.New("another capture file starts")

// startLen is how many bytes startsFile looks at.
const startLen = 12

// startsFile reports whether a capture file starts with b, of at least startLen bytes, which
// stand where a record should. A format asks it before it takes them for a record, so that the
// header of a file is not taken for a frame.
//
// A pcap file's is taken for one by its magic number and version. As a record that would be a
// frame of one certain microsecond or nanosecond, in most cases in the second half of this century.
func startsFile(b []byte) bool {
	if _, swapped, ok := pcapMagic(b); ok {
		if _, known := pcapLengths(b, swapped); known {
			return true
		}
		// Of another version it is one if the next field, the time zone, is zero, as it is in
		// nearly all files. Of a record it would be the length of a frame.
		return binary.LittleEndian.Uint32(b[8:]) == 0
	}
	if [4]byte(b) == sectionStart {
		return binary.LittleEndian.Uint32(b[8:]) == sectionMagic || binary.BigEndian.Uint32(b[8:]) == sectionMagic
	}
	return bytes.HasPrefix(b, []byte(snoopMagic))
}

// newFormat recognises a capture file by its first bytes, of which there must be minHead. It
// returns the format and the length of the header, which is to be left out; or how many bytes it
// needs. A pcapng file's header is its first block, which is left for parse.
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
