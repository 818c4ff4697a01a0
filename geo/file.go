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
	// maxFile is the size of the largest file that is accepted, in bytes. The format's pointers reach no further.
	maxFile = 1 << 32
	// maxMemory is the size of the largest file that is copied into memory if it cannot be copied to a disk, in bytes.
	maxMemory = 1 << 30
	// tail is the greatest distance of the metadata from a file's end, in bytes, by the format's specification.
	tail = 128 << 10
	// separator is the number of bytes between the search tree and the data section.
	separator = 16
)

var metadataMark = []byte("\xab\xcd\xefMaxMind.com")

// identity identifies a version of a file. No change of a file leaves it the same, because a program cannot set the
// time of the inode's change.
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

// file is the agent's own copy of a database, which no other program can change.
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

// openFile copies the database at path and reads its metadata. It does not copy a file that is not a database.
func openFile(path string) (*file, error) {
	// Without O_NONBLOCK, opening a FIFO would wait for a writer.
	src, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open GeoIP database: %w", err) // the error contains the path
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
		// The library's error may mention Go types, which do not help users.
		return nil, errors.Join(fmt.Errorf("%s is not a MaxMind database, or is damaged", path), f.free())
	}
	m := f.reader.Metadata
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 || m.IPVersion != 4 && m.IPVersion != 6 {
		return nil, errors.Join(fmt.Errorf("%s claims %d bits a record and IP version %d, which the format does not have", path, m.RecordSize, m.IPVersion), f.close())
	}
	f.data = f.bytes[f.treeSize()+separator : bytes.LastIndex(f.bytes, metadataMark)] // the library has checked that it is there
	return f, nil
}

func beingWritten(path string) error { return fmt.Errorf("GeoIP database %s is being written", path) }

// treeSize returns the length of the search tree, in bytes. The library has checked that it is within the file.
func (f *file) treeSize() int {
	return int(f.reader.Metadata.NodeCount * (f.reader.Metadata.RecordSize / 4))
}

// hasMetadata reports whether the end of the file contains the start of a database's metadata.
func hasMetadata(src io.ReaderAt, size int64) bool {
	end := make([]byte, min(size, tail))
	_, err := src.ReadAt(end, size-int64(len(end)))
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Contains(end, metadataMark)
}

// privateCopy copies the file to an unnamed file and maps that, so that unused pages need no memory. If it cannot, it
// copies the file into memory.
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

// CopyDir returns the directory for the copies of databases that [Open] and [DB.Follow] make. It is on a disk: not /tmp, which is in memory on many systems.
func CopyDir() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return filepath.FromSlash("/var/tmp")
}

func diskCopy(src *os.File, size int) ([]byte, func() error, error) {
	tmp, err := os.CreateTemp(CopyDir(), "pktvisor-geo-*")
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
