//go:build linux || darwin

package store

import "golang.org/x/sys/unix"

// space returns the bytes that are free for this process and the size of the file system of dir.
func space(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block, nil
}
