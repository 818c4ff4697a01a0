package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// The reasons for which a file is refused when it is opened.
var (
	// ErrNotCapture says that the content is not a capture file.
	ErrNotCapture = errors.New("not a capture file")
	// ErrEmpty says that there is no content.
	ErrEmpty = errors.New("empty file")
	// ErrUnsupported says that the file is a capture of a kind that this package cannot read.
	ErrUnsupported = errors.New("unsupported capture file")
)

// DamageError says that a capture file is cut short or corrupt. The frames before the damage were handed over whole.
// Nothing after it can be read, because a capture file has no marks by which to find the next record.
//
// errors.Is(err, io.ErrUnexpectedEOF) distinguishes a file that is cut short from a corrupt one.
type DamageError struct {
	// Offset is where the damaged record starts, in bytes from the start of the capture, after decompression if
	// the file is compressed.
	Offset int64
	// Frames is the number of frames before it.
	Frames uint64
	// Err says what is wrong.
	Err error
}

// Error names the place of the damage and says what is wrong there.
func (e *DamageError) Error() string {
	return fmt.Sprintf("damaged after %d frames, at byte %d: %v", e.Frames, e.Offset, e.Err)
}

// Unwrap returns what is wrong.
func (e *DamageError) Unwrap() error { return e.Err }

// cutShort returns the error for a record of which the file has only the first have bytes.
func cutShort(have, need int) error {
	return fmt.Errorf("cut short: the file has %d of %d bytes of a record: %w", have, need, io.ErrUnexpectedEOF)
}

const formatsHint = "give a pcap or pcapng file, plain or compressed with gzip, zstd or lz4"

// tryEditcap says what to do with a capture in a format that Wireshark's tools can read.
const tryEditcap = ", which pktvisord cannot read (try editcap -F pcapng FILE - | pktvisord -)"

// notCapture returns the error for content that is not a capture, by its first bytes.
func notCapture(head []byte) error {
	return fmt.Errorf("%w: %s: %s", ErrNotCapture, looksLike(head), formatsHint)
}

// looksLike describes what a file that is not a capture might be.
func looksLike(head []byte) string {
	// A dnstap file starts with an escape and a control frame that names the content type.
	if bytes.HasPrefix(head, []byte{0, 0, 0, 0}) && bytes.Contains(head, []byte("protobuf:dnstap")) {
		return "it is a dnstap file"
	}
	for _, k := range []struct{ magic, what string }{
		{"\xfd7zXZ\x00", "it is compressed with xz, which pktvisord cannot read (try xzcat FILE | pktvisord -)"},
		{"BZh", "it is compressed with bzip2, which pktvisord cannot read (try bzcat FILE | pktvisord -)"},
		{"PK\x03\x04", "it is a zip archive"},
		{"\x1f\x8b", "its content is compressed again, with gzip"},
		{"\x28\xb5\x2f\xfd", "its content is compressed again, with zstd"},
		{"\x7fELF", "it is a program"},
		{"GMBU", "it is a Network Monitor capture" + tryEditcap},
		{"RTSS", "it is a Network Monitor 1 capture" + tryEditcap},
		{"XCP\x00", "it is a Sniffer (NetXRay) capture" + tryEditcap},
		{"TRSNIFF data", "it is a Sniffer capture" + tryEditcap},
		{"iptrace ", "it is an iptrace capture" + tryEditcap},
		{"btsnoop\x00", "it is a Bluetooth capture (btsnoop)"},
		{"#!rtpplay", "it is an rtpdump file"},
		{"\x00\x00\x00\x00\x00\x00\x00", "it starts with zeros"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.what
		}
	}
	if len(head) < minHead {
		return fmt.Sprintf("it has only %d bytes", len(head))
	}
	if isText(head) {
		return "it looks like text"
	}
	return fmt.Sprintf("it starts with % x", head[:minHead])
}

// isText reports whether b looks like the start of a text file.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && utf8.FullRune(b) || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return false
		}
		b = b[n:]
	}
	return true
}
