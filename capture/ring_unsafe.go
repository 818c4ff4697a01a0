//go:build linux

package capture

import "unsafe"

// statusWord returns the word of a ring block that says whose the block is: the kernel's or
// ours. It changes hands while both look at it, so it must be read and written atomically,
// which Go offers for typed pointers only: hence this one conversion. The ring is aligned
// to pages and the word's offset to 4.
func statusWord(block []byte, off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[off : off+4][0]))
}
