package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// What is allowed for a path. allFS are the rights of ABI 5: what a path does not allow is forbidden.
const (
	allFS     = 1<<16 - 1
	readFile  = landlocksys.AccessFSReadFile
	readDir   = landlocksys.AccessFSReadFile | landlocksys.AccessFSReadDir
	writeFile = landlocksys.AccessFSReadFile | landlocksys.AccessFSWriteFile | landlocksys.AccessFSTruncate
	someFiles = writeFile | landlocksys.AccessFSReadDir | landlocksys.AccessFSMakeReg | landlocksys.AccessFSRemoveFile
	writeDir  = someFiles | landlocksys.AccessFSMakeDir | landlocksys.AccessFSRemoveDir | landlocksys.AccessFSRefer
)

// tcpABI is the first version of Landlock's ABI that has TCP ports.
const tcpABI = 4

// resolver are the files that Go's resolver of names reads, and reads again when they change.
var resolver = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols"}

// kernelFiles are what Go's runtime, the metrics of the process and error messages read.
var kernelFiles = []string{"/proc/self", "/proc/stat", "/proc/sys/net/core/optmem_max"}

// grants are the rules for paths. A path may have several; their rights add up.
type grants struct {
	rules []landlock.Rule
	pins  []int
}

// allow allows something for a path, if it exists. For a file, the rights of directories do not count.
func (g *grants) allow(path string, rights landlock.AccessFSSet) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	if !info.IsDir() {
		rights &= writeFile | landlocksys.AccessFSIoctlDev
	}
	g.rules = append(g.rules, landlock.PathAccess(rights, path).IgnoreIfMissing())
}

// allowReplaced allows to read a file, and what will have its name: everything in its directory, and in that of the file that
// it links to.
func (g *grants) allowReplaced(path string) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		g.allow(path, readDir)
		return
	}
	g.allow(path, readFile)
	names := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, real)
	}
	for _, name := range names {
		// Everything is in the root directory.
		if dir, err := filepath.Abs(filepath.Dir(name)); err == nil && dir != "/" {
			g.allow(dir, readDir)
		}
	}
}

// pin keeps a file of /proc open. The rules of Landlock are for inodes, and the kernel makes new ones for files that it has
// forgotten.
func (g *grants) pin(path string) {
	if fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		g.pins = append(g.pins, fd)
	}
}

// paths returns the rules for what is needed.
func (p *plan) paths() *grants {
	g, n := new(grants), &p.needs
	for _, path := range n.Read {
		if path != "" {
			g.allowReplaced(path)
		}
	}
	for _, path := range n.Open {
		if path != "" {
			g.allow(path, readDir)
		}
	}
	for rights, dirs := range map[landlock.AccessFSSet][]string{writeDir: n.Write, someFiles: slices.Concat(n.Other, n.Scratch)} {
		for _, dir := range dirs {
			if dir == "" {
				continue
			}
			if dir = existing(dir); dir != "/" { // a directory that could not be made is made later
				g.allow(dir, rights)
			}
		}
	}
	for _, path := range n.Remove {
		if path != "" {
			g.allow(filepath.Dir(path), landlocksys.AccessFSRemoveFile)
		}
	}
	for _, path := range kernelFiles {
		g.pin(path)
		g.allow(path, readDir)
	}
	if n.Network {
		p.allowResolver(g)
	}
	g.allow("/dev/null", writeFile)
	return g
}

// allowResolver lets names be looked up. Programs replace /etc/resolv.conf when the network changes, so if that matters, all of
// /etc can be read: what everybody can read, unless the process has kept the rights of root.
func (p *plan) allowResolver(g *grants) {
	for _, path := range resolver {
		g.allow(path, readFile)
	}
	if real, err := filepath.EvalSymlinks(resolver[0]); err == nil && filepath.Dir(real) != "/etc" {
		g.allow(filepath.Dir(real), readDir)
	}
	root := os.Geteuid() == 0 || slices.Contains(p.keep, cap.DAC_READ_SEARCH)
	if p.needs.Resolve && !root {
		g.allow("/etc", readDir)
	}
}

// landlock confines paths and TCP ports. It returns the version of the kernel's ABI, and whether it has the ports.
func (p *plan) landlock() (abi int, tcp bool, err error) {
	abi, err = landlocksys.LandlockGetABIVersion()
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return 0, false, errors.New("the kernel has none, or it is switched off at boot (lsm=)")
	case err != nil:
		return 0, false, err
	}
	g := p.paths()
	p.pins = g.pins
	net := landlock.AccessNetSet(landlocksys.AccessNetBindTCP)
	if !p.needs.Anywhere {
		net |= landlocksys.AccessNetConnectTCP
		for _, port := range p.needs.Connect {
			g.rules = append(g.rules, landlock.ConnectTCP(port))
		}
	}
	for _, port := range p.needs.Listen {
		g.rules = append(g.rules, landlock.BindTCP(port))
	}
	err = landlock.Config{HandledAccessFS: allFS, HandledAccessNet: net}.BestEffort().Restrict(g.rules...)
	if err != nil {
		return 0, false, err
	}
	if abi < tcpABI {
		return abi, false, fmt.Errorf("ABI %d of this kernel has no TCP ports", abi)
	}
	return abi, true, nil
}
