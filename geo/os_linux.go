package geo

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// changeTime returns when anything about the file, including its times, was last changed.
func changeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// mapFile maps a file into memory, for reading.
func mapFile(f *os.File, size int) ([]byte, func() error, error) {
	return mapped(syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED))
}

// unload removes the pages of a mapped file from the process's memory, until they are used again. It must not be used
// on memory of [allocate], whose content would be lost.
func unload(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }

// allocate returns memory outside the heap of the garbage collector, so that it does not count as heap, and is freed
// at once.
func allocate(size int) ([]byte, func() error, error) {
	return mapped(syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON))
}

func mapped(b []byte, err error) ([]byte, func() error, error) {
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return b, func() error { return os.NewSyscallError("munmap", syscall.Munmap(b)) }, nil
}
