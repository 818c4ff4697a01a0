package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OpenFile opens a capture file: pcap, pcapng or snoop, plain or compressed with gzip,
// zstd or lz4, which its content tells; or several of these, one after the other. The error
// of a file that cannot be opened is one line that names it and says what to do; it wraps
// ErrNotCapture, ErrEmpty, ErrUnsupported, a *DamageError (a file cut short in its very
// header), or the system's error.
func OpenFile(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	s, err := openFile(f)
	if err != nil {
		f.Close()
		return nil, openError(path, err)
	}
	s.closes = append(s.closes, f.Close)
	return s, nil
}

func openFile(f *os.File) (*fileSource, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory: give a capture file")
	}
	var size int64
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return openReader(f, size)
}

// openError names the file in an error, and adds what to do where that is known.
func openError(path string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // the path is named below
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: check the name", err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: make it readable, or run as a user who may read it", err)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// OpenReader reads a capture from a stream, standard input for instance, as OpenFile does
// from a file. Size is the stream's length in bytes, for Stats only; 0 where it is unknown.
// It reads the capture's header, waiting for it if need be. Close does not close r.
func OpenReader(r io.Reader, size int64) (Source, error) {
	s, err := openReader(r, size)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openReader(r io.Reader, size int64) (*fileSource, error) {
	s := &fileSource{raw: &countingReader{r: r}, size: size}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open recognises compression and format by the first bytes, and reads the header.
func (s *fileSource) open() error {
	head := bufio.NewReaderSize(s.raw, headBytes)
	b, err := head.Peek(minHead)
	if err != nil && err != io.EOF {
		return s.readError(err)
	}
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: %s", ErrEmpty, formatsHint)
	case len(b) < minHead:
		return notCapture(b)
	}
	if c, ok := compressionOf(b); ok {
		s.compression = c.name
		z, closeZ, err := c.open(head)
		if err != nil {
			return s.readError(err)
		}
		if closeZ != nil {
			s.closes = append(s.closes, func() error { closeZ(); return nil })
		}
		head = bufio.NewReaderSize(z, headBytes)
	}
	s.r = head
	return s.readHeader(head)
}

// readHeader recognises the format by the first bytes, and reads the header.
func (s *fileSource) readHeader(r *bufio.Reader) error {
	for need := minHead; ; {
		head, peekErr := r.Peek(need)
		if peekErr != nil && peekErr != io.EOF {
			return s.readError(peekErr)
		}
		if len(head) < minHead {
			return notCapture(head)
		}
		f, size, more, err := newFormat(head)
		switch {
		case errors.Is(err, ErrNotCapture):
			head, _ = r.Peek(headLook) // as much as there is
			return notCapture(head)
		case err != nil:
			return err
		case more > 0 && peekErr == io.EOF:
			return s.damage(cutShort(len(head), more))
		case more == 0:
			s.format, s.offset = f, int64(size)
			_, err = r.Discard(size)
			return err
		}
		need = more
	}
}
