package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// identity is a user with its groups.
type identity struct {
	name     string
	uid, gid int
	groups   []int
	present  bool // the process is this user, and keeps its groups
}

// unknownID is the user and the group of [DefaultUser] on a system without a list of users, such as a container.
const unknownID = 65534

// lookUp returns the user with a name or number.
func lookUp(name string) (*identity, error) {
	if strings.HasPrefix(name, "-") {
		return nil, fmt.Errorf("--user %s: neither the name nor the number of a user", name)
	}
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	uid, numeric := strconv.ParseUint(name, 10, 31)
	switch {
	case err == nil:
	case name == DefaultUser:
		return &identity{name: name, uid: unknownID, gid: unknownID}, nil
	case numeric == nil:
		return &identity{name: name, uid: int(uid), gid: int(uid)}, nil
	default:
		return nil, fmt.Errorf("--user %s: that user does not exist: create it with useradd --system --no-create-home %[1]s", name)
	}
	id := &identity{name: u.Username}
	if id.uid, err = strconv.Atoi(u.Uid); err == nil {
		id.gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return nil, fmt.Errorf("--user %s: %w", name, err)
	}
	groups, _ := u.GroupIds() // without a list of groups, the user has no other
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil && n != id.gid {
			id.groups = append(id.groups, n)
		}
	}
	return id, nil
}

// nameOf returns the name of the process's user, or its number.
func nameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// fileCaps are the capabilities that make the permissions of files not matter.
const fileCaps = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH

// as calls f on a thread that accesses files with the rights of a user, without capabilities for files.
func (id *identity) as(f func()) (err error) {
	runtime.LockOSThread() // what follows is about one thread
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("read the groups: %w", err)
	}
	if !id.present {
		if err := unix.Setgroups(append([]int{id.gid}, id.groups...)); err != nil {
			return fmt.Errorf("become user %s: set the groups: %w", id.name, err)
		}
	}
	uid, gid := os.Geteuid(), os.Getegid()
	defer func() {
		unix.Setfsuid(uid)
		unix.Setfsgid(gid)
		e := unix.Capset(&header, &caps[0])
		if !id.present {
			e = errors.Join(e, unix.Setgroups(groups))
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("become user %d again: %w", uid, e))
		}
	}()
	unix.Setfsgid(id.gid)
	unix.Setfsuid(id.uid)
	if now, _ := unix.SetfsuidRetUid(-1); now != id.uid { // an impossible user changes nothing, and returns the present one
		return fmt.Errorf("become user %s: this process may not, or its user namespace has no user %d", id.name, id.uid)
	}
	fewer := caps
	fewer[0].Effective &^= fileCaps
	if err := unix.Capset(&header, &fewer[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	f()
	return nil
}

// access is what a user needs of a path.
const (
	toRead  = unix.R_OK
	toList  = unix.R_OK | unix.X_OK
	toWrite = unix.R_OK | unix.W_OK | unix.X_OK
	toEdit  = unix.R_OK | unix.W_OK // a file
)

// denied reports whether the calling thread may not access a path. Other mistakes, such as a missing file, are found by what
// opens it.
func denied(path string, mode uint32) bool {
	err := unix.Faccessat2(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EROFS) { // before Linux 5.8; a read-only disk may become writable
		return deniedByMode(path, mode)
	}
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// deniedByMode is [denied] for the permission bits of the path and of the directories above it.
func deniedByMode(path string, mode uint32) bool {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return errors.Is(err, unix.EACCES)
	}
	uid, _ := unix.SetfsuidRetUid(-1)
	gid, _ := unix.SetfsgidRetGid(-1)
	groups, _ := unix.Getgroups()
	class := st.Mode & 7
	for _, g := range append(groups, gid) {
		if int(st.Gid) == g {
			class = st.Mode >> 3 & 7
		}
	}
	if int(st.Uid) == uid {
		class = st.Mode >> 6 & 7
	}
	return class&mode != mode
}

// maxLooked bounds how many files of a directory are looked at.
const maxLooked = 10000

// existing returns a directory without links in its path, or if it could not be made, the nearest one above it that exists. It returns a
// link to nothing as it is.
func existing(dir string) string {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return real
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// unwritable returns the first path in a directory that the calling thread may not change, or "".
func unwritable(dir string) (first string) {
	looked := 0
	if denied(dir, toWrite) {
		return dir
	}
	// An error ends the walk: the program that uses the directory finds it too.
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		mode := uint32(toEdit)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			mode = toWrite
		case !d.Type().IsRegular():
			return nil
		}
		if denied(path, mode) {
			first = path
		}
		if looked++; first != "" || looked == maxLooked {
			return filepath.SkipAll
		}
		return nil
	})
	return first
}

// lacks is what a user cannot do: the first path of each kind, or "".
type lacks struct{ read, write, other string }

// lacking returns what a user cannot do that is needed.
func (n *Needs) lacking(id *identity) (l lacks, err error) {
	err = id.as(func() {
		for _, path := range append(append([]string{}, n.Read...), n.Open...) {
			mode := uint32(toRead)
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				mode = toList
			}
			if path != "" && l.read == "" && denied(path, mode) {
				l.read = path
			}
		}
		for _, dir := range n.Write {
			if dir != "" && l.write == "" {
				l.write = unwritable(existing(dir))
			}
		}
		for _, dir := range n.Other {
			mode := uint32(toEdit)
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				mode = toWrite
			}
			if dir != "" && l.other == "" && denied(dir, mode) {
				l.other = dir
			}
		}
	})
	return l, err
}

// makeDir makes a directory unless it exists, and returns it if it is new. If it cannot be made, for example because the disk is full,
// what uses it decides what to do.
func makeDir(dir string) (*os.File, error) {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755) != nil || os.Mkdir(dir, 0o700) != nil {
		return nil, nil
	}
	// A user who can write above it could replace it by something that no other user must get.
	d, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil || int(st.Uid) != os.Geteuid() {
		d.Close()
		return nil, fmt.Errorf("make a directory: %s was replaced by another", dir)
	}
	return d, nil
}

// dirs are directories that were made. They stay open, so that it is they whose owner changes.
type dirs []*os.File

// makeDirs makes the directories that are missing.
func (n *Needs) makeDirs() (made dirs, err error) {
	for _, dir := range n.Write {
		if dir == "" {
			continue
		}
		d, err := makeDir(dir)
		if err != nil {
			return made, err
		}
		if d != nil {
			made = append(made, d)
		}
	}
	return made, nil
}

// give gives the directories to a user. It reports no errors: whether the user can use them is looked at later.
func (d dirs) give(uid, gid int) {
	for _, dir := range d {
		_ = dir.Chown(uid, gid)
	}
}

func (d dirs) close() {
	for _, dir := range d {
		dir.Close()
	}
}
