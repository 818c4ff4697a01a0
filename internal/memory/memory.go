// Package memory helps with memory that is slow on first use, or far from the CPU, or no longer needed.
package memory

import "sync/atomic"

var onDemand atomic.Bool

// OnDemand makes [Make] leave its pages alone from now on, until they are used. It is for a process that waits for events: its tables then
// take memory as they fill.
func OnDemand() { onDemand.Store(true) }

// IsOnDemand reports whether [OnDemand] was called. Tables that are not needed before the first event are then best made with it:
// the runtime counts all of their memory as used, also what was never touched.
func IsOnDemand() bool { return onDemand.Load() }

// Make returns make([]T, n) with every page written. If a page that the system has provided is read before it is
// written, it costs two page faults, and the second interrupts the CPUs that run the program's other threads. A page
// that is written first costs one. Use Make for tables, which are searched before anything is put into them.
func Make[T any](n int) []T {
	s := make([]T, n)
	if !onDemand.Load() {
		clear(s)
	}
	return s
}

// KeepLoad marks a value as used, so that the compiler does not remove the load that produced it. The load brings the
// value into the CPU's cache before it is needed.
//
//go:noinline
func KeepLoad(uint64) {}
