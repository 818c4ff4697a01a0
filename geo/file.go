package geo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

const (
	// maxFile is the largest file that is taken. Pointers of the format reach no farther.
	maxFile = 1 << 32
	// maxMemory is the largest file that is copied into memory where there is no place on a disk.
	maxMemory = 1 << 30
	// tail is how far from a file's end its metadata starts, at most, by the format's specification.
	tail = 128 << 10
	// separator stands between the search tree and the data section.
	separator = 16
)

var metadataMark = []byte("\xab\xcd\xefMaxMind.com")

// identity says which version of a file something is. A version is never changed without a change of it: the time of
// the inode's change cannot be set from outside.
type identity struct {
	info    fs.FileInfo
	changed time.Time
}

func identify(info fs.FileInfo) identity { return identity{info, changeTime(info)} }

func (a identity) same(b identity) bool {
	if a.info == nil || b.info == nil {
		return a.info == b.info
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() &&
		a.info.ModTime().Equal(b.info.ModTime()) && a.changed.Equal(b.changed)
}

// file is a database of our own: a copy that nobody else can change.
type file struct {
	id     identity
	reader *maxminddb.Reader
	bytes  []byte
	data   []byte // the data section
	onDisk bool   // the copy is a mapped file
	free   func() error
}

func (f *file) close() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.reader.Close(), f.free())
}

// openFile copies the database at path and looks at its metadata. A file that is not one is not copied.
func openFile(path string) (*file, error) {
	// Without O_NONBLOCK, a FIFO would wait for somebody to write.
	src, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open GeoIP database: %w", err) // names the path
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return nil, fmt.Errorf("open GeoIP database: %w", err)
	}
	switch size := info.Size(); {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("GeoIP database %s is not a regular file", path)
	case size > maxFile || int64(int(size)) != size:
		return nil, fmt.Errorf("GeoIP database %s has %d bytes, more than a MaxMind database can have", path, size)
	case !hasMetadata(src, size):
		return nil, fmt.Errorf("%s is not a MaxMind database, or is cut off", path)
	}
	f := &file{id: identify(info)}
	f.bytes, f.free, f.onDisk, err = privateCopy(src, int(info.Size()))
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil, beingWritten(path)
	}
	if err != nil {
		return nil, fmt.Errorf("copy GeoIP database %s: %w", path, err)
	}
	if after, err := src.Stat(); err != nil || !identify(after).same(f.id) {
		return nil, errors.Join(beingWritten(path), f.free())
	}
	if f.reader, err = maxminddb.OpenBytes(f.bytes, maxminddb.DisableStringCache()); err != nil {
		// The library's error may speak of Go types, which help nobody.
		return nil, errors.Join(fmt.Errorf("%s is not a MaxMind database, or is damaged", path), f.free())
	}
	m := f.reader.Metadata
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 || m.IPVersion != 4 && m.IPVersion != 6 {
		return nil, errors.Join(fmt.Errorf("%s is a database of %d bits a record for IP version %d, which do not exist", path, m.RecordSize, m.IPVersion), f.close())
	}
	f.data = f.bytes[f.treeSize()+separator : bytes.LastIndex(f.bytes, metadataMark)] // the library has checked that
	return f, nil
}

func beingWritten(path string) error { return fmt.Errorf("GeoIP database %s is being written", path) }

// treeSize is the length of the search tree. The library has checked that it lies within the file.
func (f *file) treeSize() int {
	return int(f.reader.Metadata.NodeCount * (f.reader.Metadata.RecordSize / 4))
}

// hasMetadata reports whether the end of the file has what starts a database's metadata.
func hasMetadata(src io.ReaderAt, size int64) bool {
	end := make([]byte, min(size, tail))
	_, err := src.ReadAt(end, size-int64(len(end)))
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Contains(end, metadataMark)
}

// privateCopy copies the file to one without a name, and maps that: so the pages that are not used need no memory.
// Where there is no place for it, it copies into memory.
func privateCopy(src *os.File, size int) (b []byte, free func() error, onDisk bool, err error) {
	b, free, err = diskCopy(src, size)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return b, free, true, err
	}
	if size > maxMemory {
		return nil, nil, false, fmt.Errorf("%w: name another directory in TMPDIR", err)
	}
	if b, free, err = allocate(size); err != nil {
		return nil, nil, false, err
	}
	if _, err = io.ReadFull(io.NewSectionReader(src, 0, int64(size)), b); err != nil {
		return nil, nil, false, errors.Join(err, free())
	}
	return b, free, false, nil
}

// copyDir is where copies are made: on a disk, so not in /tmp, which is memory on many systems.
func copyDir() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return filepath.FromSlash("/var/tmp")
}

func diskCopy(src *os.File, size int) ([]byte, func() error, error) {
	tmp, err := os.CreateTemp(copyDir(), "pktvisor-geo-*")
	if err != nil {
		return nil, nil, err
	}
	defer tmp.Close()
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, nil, err
	}
	n, err := io.Copy(tmp, io.LimitReader(src, int64(size)))
	if err == nil && n < int64(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, nil, err
	}
	return mapFile(tmp, size)
}
