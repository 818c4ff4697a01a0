// Package sandbox takes from a process what it does not need any more: the root user, capabilities, files, networks and
// system calls. What an attacker could do who takes the process over is then little more than what the process does.
//
//	…                                            // open what needs rights: ports, rings, programs of the kernel
//	state, err := sandbox.Enter(options, needs)  // from here on, every thread is confined
//
// [Enter] becomes another user, drops all capabilities but those in [Needs], sets no_new_privs, lets Landlock allow
// the paths and TCP ports in Needs only, and lets seccomp allow only the system calls that our programs and Go's runtime make.
// It does as much of this as the kernel and the rights of the process allow; [State] says what. It cannot be undone.
//
// A system call that is not allowed fails with EPERM, and the kernel's audit log has its number. It does not kill the
// process: a new version of Go may make calls that this package does not know, and can do without most of them.
//
// It works on Linux only. seccomp needs amd64, arm64, riscv64 or loong64. docs/decisions/0040 says why it is made as it is.
package sandbox

import (
	"cmp"
	"log/slog"
	"strings"
)

// DefaultUser is who root becomes unless another user is given.
const DefaultUser = "nobody"

// Options are what a user chooses.
type Options struct {
	// User is a name or a number, of the user that root becomes; "" means [DefaultUser].
	User string
	// Off leaves the process as it is. Require makes it an error if a part of the sandbox is missing.
	Off     bool
	Require bool
}

// Needs says what a process does after [Enter]. Empty paths count as missing.
type Needs struct {
	// Read are files that are opened again, and may be replaced meanwhile: everything in their directories can be read. A
	// directory stands for itself.
	Read []string
	// Open are files that are opened once more. They are not replaced.
	Open []string
	// Write are directories in which files and directories are made, changed and removed. Enter makes them if they are
	// missing, for the user that the process becomes. Other are such directories of somebody else, or devices. They are not made,
	// and the user stays if the new one could not write there.
	Write []string
	Other []string
	// Scratch are directories for files that are removed at once. The process can do without them.
	Scratch []string
	// Remove are files that the process removes.
	Remove []string

	// Capture says that packet sockets are opened again, which takes CAP_NET_RAW.
	Capture bool
	// Network says that there are IP sockets. Resolve says that names of hosts are looked up as long as the process runs.
	Network bool
	Resolve bool
	// Connect and Listen are the TCP ports that the process connects to and begins to listen on. Anywhere allows all ports to
	// connect to. Port 0 of Listen means any free one.
	Connect  []uint16
	Anywhere bool
	Listen   []uint16
}

// State says which parts of the sandbox are in place.
type State struct {
	// User is the name or number of the user of the process.
	User string `json:"user"`
	// Capabilities are those that the process has kept.
	Capabilities []string `json:"capabilities"`
	NoNewPrivs   bool     `json:"no_new_privs"`
	// Landlock is the version of Landlock's ABI that confines paths; 0 means that nothing does. TCP says whether it confines
	// TCP ports too.
	Landlock int  `json:"landlock_abi"`
	TCP      bool `json:"tcp"`
	// Seccomp says whether only known system calls are allowed.
	Seccomp bool `json:"seccomp"`
	// Missing are the parts that are not in place, and why.
	Missing []string `json:"missing,omitempty"`
	// Off says that the user has switched the sandbox off.
	Off bool `json:"off,omitempty"`
}

// Log writes the state in one line.
func (s *State) Log(log *slog.Logger) {
	if s.Off {
		log.Warn("sandbox is switched off")
		return
	}
	args := []any{
		"user", s.User, "capabilities", cmp.Or(strings.Join(s.Capabilities, ","), "none"),
		"no_new_privs", s.NoNewPrivs, "landlock_abi", s.Landlock, "tcp", s.TCP, "seccomp", s.Seccomp,
	}
	if len(s.Missing) == 0 {
		log.Info("sandbox is in place", args...)
		return
	}
	log.Warn("sandbox lacks a part", append(args, "missing", strings.Join(s.Missing, "; "))...)
}

// Parts returns whether each part of the sandbox is in place.
func (s *State) Parts() map[string]bool {
	return map[string]bool{
		"no_new_privs": s.NoNewPrivs, "paths": s.Landlock > 0, "tcp": s.TCP, "seccomp": s.Seccomp,
		"complete": !s.Off && len(s.Missing) == 0,
	}
}
