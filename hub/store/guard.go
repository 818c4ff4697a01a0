package store

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// fit decides how many bytes of snapshots are kept if the configuration does not say. It returns an error if what the
// configuration says does not fit on the disk.
func (s *Store) fit() error {
	free, total, err := s.config.space(s.config.Dir)
	if err != nil {
		return err
	}
	used := dirSize(s.config.Dir)
	room := int64(free+used) - int64(total)/10 // below 10% free, snapshots are purged
	switch {
	case total == 0: // not known
		if s.config.RawBytes == 0 {
			s.config.RawBytes = 16 << 30
		}
	case s.config.RawBytes == 0:
		s.config.RawBytes = max(int64(free+used)/2, 4*MaxRaw)
	case s.config.RawBytes > room:
		return fmt.Errorf("%d MB for snapshots do not fit on the disk of %s: %d MB are free, of which a tenth of the disk must stay free: give at most %d MB",
			s.config.RawBytes>>20, s.config.Dir, free>>20, max(room, 0)>>20)
	}
	return nil
}

// dirSize returns the size in bytes of the files below dir.
func dirSize(dir string) (size uint64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read does not count
		}
		if info, err := d.Info(); err == nil {
			size += uint64(info.Size())
		}
		return nil
	})
	return size
}
