//go:build linux

package capture

import "unsafe"

// statusWord returns the word of a ring block that says whether the kernel or the program owns the block. Both access
// it at the same time, so it must be read and written atomically. Go has atomic operations only for typed pointers,
// hence this one conversion. The ring is aligned to pages and the word's offset to 4.
func statusWord(block []byte, off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[off : off+4][0]))
}
