//go:build !linux

package geo

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// changeTime returns when the file's content was last changed, as far as its times can be trusted.
func changeTime(info fs.FileInfo) time.Time { return info.ModTime() }

// mapFile works on Linux only: elsewhere, copies are in memory.
func mapFile(*os.File, int) ([]byte, func() error, error) { return nil, nil, errors.ErrUnsupported }

func unload([]byte) {}

func allocate(size int) ([]byte, func() error, error) {
	return make([]byte, size), func() error { return nil }, nil
}
