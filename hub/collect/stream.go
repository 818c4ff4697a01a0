package collect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"pktvisor/hub/store"
)

// The parts of a snapshot's envelope that a stream needs: see docs/snapshot.md. [metric.NextSnapshot] needs the whole
// snapshot, but a stream must know the length before it reads on.
const (
	magic     = "pktvsnap"
	version   = 1
	prelude   = 20 // bytes
	headerLen = 10 // offset of the length of the header, 2 bytes
	bodyLen   = 12 // offset of the length of the stored body, 4 bytes
	checksum  = 4  // bytes
)

// errTooLong is the error of an answer beyond its bounds.
var errTooLong = refuse(TooLong, "the answer is too long")

// stream reads the snapshots of an answer one by one. Its memory grows with the bytes that come, up to [store.MaxRaw].
type stream struct {
	in   io.LimitedReader
	buf  *bytes.Buffer // the present snapshot
	read int           // snapshots
}

func newStream(body io.Reader, buf *bytes.Buffer) *stream {
	return &stream{in: io.LimitedReader{R: body, N: maxAnswer + 1}, buf: buf}
}

// next returns the next snapshot, valid until the following call. The error is io.EOF after the last one. A snapshot that
// is too large is skipped: then data is nil, and start is the time in its header, which nothing has verified.
func (s *stream) next() (data []byte, start int64, err error) {
	s.buf.Reset()
	if err := s.fill(prelude); err != nil {
		if s.buf.Len() == 0 && errors.Is(err, io.EOF) && s.in.N > 0 {
			return nil, 0, io.EOF
		}
		return nil, 0, s.fault(err)
	}
	head := s.buf.Bytes()
	switch {
	case string(head[:len(magic)]) != magic:
		return nil, 0, refuse(NotSnapshot, "the answer is not from an agent: it has no snapshots")
	case head[len(magic)] != version:
		return nil, 0, refuse(store.ReasonVersion, "the agent's snapshots are in a newer format: update the hub")
	}
	if s.read++; s.read > maxAnswered {
		return nil, 0, errTooLong
	}
	header := int64(binary.LittleEndian.Uint16(head[headerLen:]))
	n := prelude + header + int64(binary.LittleEndian.Uint32(head[bodyLen:])) + checksum
	if n > store.MaxRaw {
		start, err := s.skip(header, n)
		return nil, start, err
	}
	if err := s.fill(n); err != nil {
		return nil, 0, s.fault(err)
	}
	return s.buf.Bytes(), 0, nil
}

// fill reads until the present snapshot has n bytes.
func (s *stream) fill(n int64) error {
	_, err := io.CopyN(s.buf, &s.in, n-int64(s.buf.Len()))
	return err
}

// skip reads past a snapshot of n bytes of which it has the prelude, and returns the start in its header.
func (s *stream) skip(header, n int64) (start int64, err error) {
	if err := s.fill(prelude + header); err != nil {
		return 0, s.fault(err)
	}
	start, _ = binary.Varint(s.buf.Bytes()[prelude:])
	if _, err := io.CopyN(io.Discard, &s.in, n-prelude-header); err != nil {
		return 0, s.fault(err)
	}
	return start, nil
}

// fault returns the reason for which a snapshot ended early.
func (s *stream) fault(err error) error {
	switch {
	case s.in.N <= 0:
		return errTooLong
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(NotSnapshot, "the answer is cut short in the middle of a snapshot")
	}
	return err
}
