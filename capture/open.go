package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OpenFile opens a capture file: pcap, pcapng or snoop, plain or compressed with gzip, zstd or lz4, recognised by its
// content; or several of these, one after the other. If a file cannot be opened, the error is one line that names the
// file and says what to do. It wraps ErrNotCapture, ErrEmpty, ErrUnsupported, a *DamageError (a file that ends within
// its header), or the system's error.
//
// OpenFile waits for the file as long as the system does: for a named pipe, until it has a writer.
func OpenFile(path string) (Source, error) { return OpenFileContext(context.Background(), path) }

// OpenFileContext does what OpenFile does, but waits no longer than until ctx is done. This holds for opening the
// file and, if it is not a regular file, for reading it. ReadBatch then returns the error of ctx.
func OpenFileContext(ctx context.Context, path string) (Source, error) {
	f, err := openContext(ctx, path)
	if err != nil {
		return nil, openError(path, err)
	}
	s, err := openFile(ctx, f)
	if err != nil {
		f.Close()
		return nil, openError(path, err)
	}
	s.closes = append(s.closes, f.Close)
	return s, nil
}

// openContext opens a file for reading. Opening may take for ever: a named pipe waits for a writer, and a network
// file for its server.
func openContext(ctx context.Context, path string) (*os.File, error) {
	if ctx.Done() == nil {
		return os.Open(path)
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened)
	go func() {
		f, err := os.Open(path)
		select {
		case done <- opened{f, err}:
		case <-ctx.Done():
			f.Close() // does nothing if f is nil
		}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func openFile(ctx context.Context, f *os.File) (*fileSource, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, errors.New("is a directory: give a capture file")
	case info.Mode().IsRegular():
		return openReader(f, info.Size())
	}
	return openStream(ctx, f, 0)
}

// openError names the file in an error, and says what to do if this is known.
func openError(path string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // the path is added below
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: check the name", err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: make it readable, or run as a user who may read it", err)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// OpenReader reads a capture from a stream, such as standard input, as OpenFile does from a file. size is the
// stream's length in bytes, for Stats only, or 0 if it is unknown. OpenReader reads the capture's header, and waits
// for it if necessary. Close does not close r.
func OpenReader(r io.Reader, size int64) (Source, error) {
	return OpenReaderContext(context.Background(), r, size)
}

// OpenReaderContext does what OpenReader does, but waits for r no longer than until ctx is done. ReadBatch then
// returns the error of ctx. A read of r that is under way continues.
func OpenReaderContext(ctx context.Context, r io.Reader, size int64) (Source, error) {
	s, err := openStream(ctx, r, size)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream reads from r until ctx is done, even while r blocks, as a pipe may do for ever.
func openStream(ctx context.Context, r io.Reader, size int64) (*fileSource, error) {
	if ctx.Done() == nil {
		return openReader(r, size)
	}
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	end := func() error {
		stop()
		return pr.Close()
	}
	s, err := openReader(pr, size)
	if err != nil {
		end()
		return nil, err
	}
	s.closes = append(s.closes, end)
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

// open recognises the compression and the format by the first bytes, and reads the header.
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
			head, _ = r.Peek(headLook) // as many bytes as there are
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
