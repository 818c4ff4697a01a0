//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// DefaultPinned is where [Pin] leaves the program by default.
const DefaultPinned = "/sys/fs/bpf/pktvisor"

// Pin loads the program and leaves it with its maps in a directory of a BPF file system, for a process of the given user and
// group that has CAP_NET_RAW but not CAP_BPF. It replaces what an earlier call has left there. A process that uses that
// keeps it, and the next one gets the new.
func Pin(dir string, uid, gid int) error {
	c, err := load()
	if err != nil {
		return explain(err)
	}
	defer c.Close()
	if err := c.share(); err != nil {
		return explain(err)
	}
	c.conf.version, c.conf.clock, c.conf.threshold, c.conf.snapLen = version(), uint64(flag(c.tai)), All, 1<<18
	d, err := ownDir(dir)
	if err != nil {
		return fmt.Errorf("pin the program: %w", err)
	}
	defer d.Close()
	pin := func(name string, object interface{ Pin(string) error }) error {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the earlier program: %w", err)
		}
		if err := object.Pin(path); err != nil {
			return fmt.Errorf("pin the program: %w", err)
		}
		return give(path, uid, gid)
	}
	for name, m := range c.maps {
		if err := pin(name, m); err != nil {
			return err
		}
	}
	if err := pin(programName, c.program); err != nil {
		return err
	}
	if err := errors.Join(d.Chown(os.Getuid(), gid), d.Chmod(0o750)); err != nil {
		return fmt.Errorf("pin the program: %w", err)
	}
	return nil
}

// ownDir makes a directory of a BPF file system, or takes one over, so that only this user can change what is in it. The
// directory stays this user's: in one of its own, the user of the program could put a link to another file where the next call
// of Pin changes the owner.
func ownDir(dir string) (*os.File, error) {
	parent := filepath.Clean(dir)
	for _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) && parent != filepath.Dir(parent); _, err = os.Stat(parent) {
		parent = filepath.Dir(parent)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(parent, &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return nil, fmt.Errorf("%s is not in a BPF file system: mount -t bpf bpf /sys/fs/bpf", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.Chown(os.Getuid(), os.Getgid()), d.Chmod(0o700)); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// give gives a pin, in a directory that nobody else can change, to a user and a group.
func give(path string, uid, gid int) error {
	if err := errors.Join(os.Chmod(path, 0o660), os.Lchown(path, uid, gid)); err != nil {
		return fmt.Errorf("pin the program: %w", err)
	}
	return nil
}

// errOtherVersion says that a pinned program is not this one.
var errOtherVersion = errors.New("was left by another version of pktvisord: let root run: pktvisord load-bpf")

// openPinned opens what Pin has left in a directory, for one process at a time.
func openPinned(dir string) (c *Counter, err error) {
	c = &Counter{maps: map[string]*ebpf.Map{}}
	defer func() {
		if err != nil {
			c.Close()
			c, err = nil, fmt.Errorf("the program in %s: %w", dir, err)
		}
	}()
	if c.lock, err = os.Open(dir); err != nil {
		return c, err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return c, errors.New("is in use by another agent: give each its own directory with pktvisord load-bpf and --bpf-dir")
		}
		return c, err
	}
	for _, name := range mapNames {
		if c.maps[name], err = ebpf.LoadPinnedMap(filepath.Join(dir, name), nil); err != nil {
			return c, pinnedError(err)
		}
	}
	if c.program, err = ebpf.LoadPinnedProgram(filepath.Join(dir, programName), nil); err != nil {
		return c, pinnedError(err)
	}
	if c.maps[confName].ValueSize() != uint32(confBytes) || c.maps[slotsName].ValueSize() != uint32(slotBytes) {
		return c, errOtherVersion
	}
	if err := c.share(); err != nil {
		return c, err
	}
	if atomic.LoadUint64(&c.conf.version) != version() {
		return c, errOtherVersion
	}
	c.tai = c.conf.clock != 0
	return c, nil
}

func pinnedError(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("is not complete: let root run: pktvisord load-bpf")
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return &explained{"belongs to another user: let root run: pktvisord load-bpf --user NAME", err}
	}
	return err
}
