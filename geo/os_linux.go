package geo

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// changeTime is when anything of the file, its times included, was last changed.
func changeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// mapFile maps a file into memory, to be read.
func mapFile(f *os.File, size int) ([]byte, func() error, error) {
	return mapped(syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED))
}

// unload takes the pages of a mapped file out of the process's memory, until they are used again. Those of [allocate]
// would be lost.
func unload(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }

// allocate returns memory that the garbage collector knows nothing of, so that it is not reckoned as part of the heap,
// and is given back at once.
func allocate(size int) ([]byte, func() error, error) {
	return mapped(syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON))
}

func mapped(b []byte, err error) ([]byte, func() error, error) {
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return b, func() error { return os.NewSyscallError("munmap", syscall.Munmap(b)) }, nil
}
