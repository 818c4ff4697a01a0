package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"pktvisor/linktype"
)

const (
	// batchFrames is the greatest number of frames in a batch.
	batchFrames = 1024
	// batchBytes is the memory of a batch in bytes, unless a record is bigger. It is small enough to stay in the
	// CPU's cache until the frames are decoded, and big enough to make the system calls cheap.
	batchBytes = 64 << 10
	// headBytes is the size of the buffer for the start of a file. Larger reads bypass it.
	headBytes = 4096
	// minHead is how many bytes identify a file's format. headLook is how many show what else it may be.
	minHead  = 4
	headLook = 128
	// maxEmptyReads is how often a reader may return nothing before reading ends with an error.
	maxEmptyReads = 100
)

// fileSource reads a capture file.
type fileSource struct {
	raw         *countingReader // the file as stored
	r           io.Reader       // the capture, decompressed
	compression string          // its name, or ""
	format      format
	closes      []func() error
	size        int64

	carry   []byte // the bytes that were read beyond the frames of the last batch
	whole   bool   // carry may hold whole records
	need    int    // the next record has at least this many bytes
	skip    int64  // bytes to skip before the next record
	offset  int64  // of the next record, in the decompressed capture
	readErr error  // an error that came with bytes which must be parsed first
	err     error  // the final error, returned from now on

	received atomic.Uint64
}

// countingReader counts the bytes read, and keeps the reader's error, so that a decompressor does not report it as
// damage.
type countingReader struct {
	r   io.Reader
	n   atomic.Int64
	err error // other than io.EOF
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// ReadBatch implements Source. The frames are in b's own memory, so that several batches can be filled before the
// first is used.
//
// The error after the last frame is io.EOF, a *DamageError if the file is cut short or corrupt, or that of the
// underlying reader. It comes with an empty batch, and every later call returns it again.
func (s *fileSource) ReadBatch(b *Batch) error {
	if cap(b.Frames) < batchFrames {
		b.Frames = make([]Frame, 0, batchFrames)
	}
	b.Frames = b.Frames[:0]
	if s.err != nil {
		return s.err
	}
	if len(b.buf) < max(batchBytes, len(s.carry)) {
		b.buf = make([]byte, max(batchBytes, len(s.carry)))
	}
	n := copy(b.buf, s.carry)
	s.carry = s.carry[:0]
	for {
		for more := !s.whole; more; more = n < s.need {
			var err error
			if n, err = s.fill(b, n); err != nil {
				s.err = s.end(err, n)
				return s.err
			}
		}
		frames, used, need, err := s.format.parse(b.Frames[:0:batchFrames], b.buf[:n])
		b.Frames, b.SameLink = frames, s.format.sameLink()
		s.received.Add(uint64(len(frames)))
		s.offset += used
		if used > int64(n) {
			s.skip, used = used-int64(n), int64(n)
		}
		s.need = need
		s.whole = len(frames) == batchFrames
		if err == errNextFile {
			// If there are frames, the next call finds it again.
			s.whole, err = true, nil
			if len(frames) == 0 {
				used, err = s.nextFile(b.buf[:n], used)
			}
		}
		if err != nil {
			s.err = s.damage(err)
		}
		if len(frames) > 0 {
			s.carry = append(s.carry, b.buf[used:n]...)
			return nil
		}
		if s.err != nil {
			return s.err
		}
		if used > 0 {
			n = copy(b.buf, b.buf[used:n])
		}
	}
}

// nextFile continues with the capture file that starts in data at used, if data has its whole header. Otherwise it
// sets how many bytes are needed. It returns where the header ends.
func (s *fileSource) nextFile(data []byte, used int64) (int64, error) {
	f, size, need, err := newFormat(data[used:])
	if err != nil {
		return used, err
	}
	s.need, s.whole = need, need == 0
	if need == 0 {
		s.format = f
		s.offset += int64(size)
	}
	return used + int64(size), nil
}

// linkTypes returns the link types that frames may have, as far as the file has named them.
func (s *fileSource) linkTypes() []linktype.Type { return s.format.linkTypes() }

// fill skips the bytes that are to be skipped, and then reads more bytes after the first n of b, once. It enlarges
// b.buf only if it is full of a record that is even longer. So a record's memory is at most twice what the file
// really has of it. fill returns the number of bytes in b.
func (s *fileSource) fill(b *Batch, n int) (int, error) {
	if n == len(b.buf) {
		longer := make([]byte, max(min(2*n, s.need), n+minHead))
		copy(longer, b.buf)
		b.buf = longer
	}
	for s.skip > 0 {
		// The buffer is empty in this case.
		m, err := s.read(b.buf[:min(s.skip, int64(len(b.buf)))])
		if s.skip -= int64(m); err != nil {
			return 0, err
		}
	}
	m, err := s.read(b.buf[n:])
	return n + m, err
}

// read reads some bytes, at least one, or returns an error.
func (s *fileSource) read(p []byte) (int, error) {
	if s.readErr != nil {
		return 0, s.readErr
	}
	for range maxEmptyReads {
		n, err := s.r.Read(p)
		if n > 0 {
			s.readErr = err
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// end returns the error for reading that ended with err when n bytes of a record were left.
func (s *fileSource) end(err error, n int) error {
	switch {
	case err != io.EOF:
		return s.readError(err)
	case s.skip > 0:
		// The offset is after the bytes that were to be skipped.
		s.offset -= s.skip
		return s.damage(fmt.Errorf("cut short: the last %d bytes of a block are missing: %w", s.skip, io.ErrUnexpectedEOF))
	case n > 0:
		return s.damage(cutShort(n, s.need))
	}
	return io.EOF
}

// readError distinguishes an error of the underlying reader from damage that a decompressor has found.
func (s *fileSource) readError(err error) error {
	switch {
	case s.raw.err != nil:
		err = s.raw.err
	case s.compression != "":
		return s.damage(fmt.Errorf("%s data: %w", s.compression, err))
	}
	return fmt.Errorf("read: %w", err)
}

func (s *fileSource) damage(err error) error {
	return &DamageError{Offset: s.offset, Frames: s.received.Load(), Err: err}
}

// Clock implements Source: a file is a recording.
func (s *fileSource) Clock() Clock { return OwnTime }

// Stats implements Source.
func (s *fileSource) Stats() Stats {
	return Stats{Received: s.received.Load(), Bytes: s.raw.n.Load(), Size: s.size}
}

// Close implements Source.
func (s *fileSource) Close() error {
	s.err = fs.ErrClosed
	var errs []error
	for _, c := range s.closes {
		errs = append(errs, c())
	}
	s.closes = nil
	return errors.Join(errs...)
}
