// Package memory is about memory that is slow when it is used for the first time, or far from the CPU.
package memory

// Make is make([]T, n), written. Of memory that the system has given and nobody has written, a page that is read
// first costs two page faults, and the second interrupts the CPUs that the program's other threads run on; a page
// that is written first costs one. It is for tables, which are searched before something is put into them.
func Make[T any](n int) []T {
	s := make([]T, n)
	clear(s)
	return s
}

// Touched makes the compiler believe that a value is needed, which was read so that it is in the CPU's cache when it
// is.
//
//go:noinline
func Touched(uint64) {}
