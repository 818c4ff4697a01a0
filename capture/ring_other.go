//go:build !linux

package capture

import "errors"

// OpenLive captures frames on a network interface. It is implemented on Linux only. On other systems it returns an
// error.
func OpenLive(LiveConfig) ([]Source, error) {
	return nil, errors.New("live capture needs Linux; this system can read capture files")
}

// MarksSuperFrames reports whether live sources mark frames that stand for several packets: see [Batch.Supers].
func MarksSuperFrames() bool { return false }

// Rings returns the number of sources twice, because rings do not change on this system.
func Rings(sources []Source) (open, most int) { return len(sources), len(sources) }

// Spread fails on this system.
func Spread([]Source, int) error { return errors.New("live capture needs Linux") }
