package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// unixPrefix begins a host that is the path of a Unix socket.
const unixPrefix = "unix:"

// Listen listens on a host or address and a port, or on a Unix socket if host is unix: and a path: see [ParseSocket]. Port 0 is
// any free port. A socket that a dead process has left is replaced. Nothing else at its path is. The connections are bounded: see
// [Limit].
func Listen(host string, port int) (net.Listener, error) {
	s, unix, err := ParseSocket(host)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP: %w", err)
	}
	if !unix {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("serve HTTP: %w: choose another address with -l and -p", err)
		}
		return Limit(l), nil
	}
	l, err := s.listen()
	if err != nil {
		return nil, fmt.Errorf("serve HTTP: %w: choose another path with -l", err)
	}
	return Limit(l), nil
}

// Socket is where a server listens on a Unix socket.
type Socket struct {
	Path string
	// Mode is the permissions of the socket. Who may write may connect. 0 means 0660.
	Mode fs.FileMode
	// Group is the name or the number of the group of the socket. An empty one is that of the process.
	Group string
}

// socketMode lets the group of the process connect.
const socketMode = 0o660

// ParseSocket reads unix:PATH[,mode=OCTAL][,group=NAME]. It reports false for a host that is not a Unix socket. A path with a comma
// may be given if no word before an equals sign follows it.
func ParseSocket(host string) (s Socket, unix bool, err error) {
	rest, unix := strings.CutPrefix(host, unixPrefix)
	if !unix {
		return s, false, nil
	}
	s.Mode = socketMode
	for {
		i := strings.LastIndexByte(rest, ',')
		if i < 0 {
			break
		}
		key, value, ok := strings.Cut(rest[i+1:], "=")
		if !ok || strings.Contains(rest[i:], "/") {
			break
		}
		switch key {
		case "mode":
			n, err := strconv.ParseUint(value, 8, 32)
			if err != nil || n == 0 || n > 0o777 {
				return s, true, fmt.Errorf("%s: mode %.20q: give permissions such as 0600 or 0660", host, value)
			}
			s.Mode = fs.FileMode(n)
		case "group":
			if s.Group = value; value == "" {
				return s, true, fmt.Errorf("%s: group: give a name or a number", host)
			}
		default:
			return s, true, fmt.Errorf("%s: %.20q is not known: give unix:PATH,mode=0660,group=NAME", host, key)
		}
		rest = rest[:i]
	}
	if s.Path = rest; rest == "" || rest[0] == '@' {
		return s, true, fmt.Errorf("unix:%s has no path: give that of a socket with -l", rest)
	}
	return s, true, nil
}

// gid returns the number of the group, or -1 for that of the process.
func (s *Socket) gid() (int, error) {
	if s.Group == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(s.Group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(s.Group)
	if err != nil {
		return 0, fmt.Errorf("unix:%s: there is no group %.40q", s.Path, s.Group)
	}
	return strconv.Atoi(g.Gid)
}

// listen opens the socket. Nobody but the user of the process can connect before its group and its mode are set.
func (s *Socket) listen() (net.Listener, error) {
	gid, err := s.gid()
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(s.Path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is not a socket", s.Path)
		}
		c, err := net.Dial("unix", s.Path)
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) { // a full queue is another error
			return nil, fmt.Errorf("another program listens on %s", s.Path)
		}
		if err := os.Remove(s.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	restore := privateFiles()
	l, err := net.Listen("unix", s.Path)
	restore()
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	own := &socket{Listener: l, path: s.Path}
	own.info, err = os.Lstat(s.Path)
	if err == nil && gid >= 0 {
		err = os.Lchown(s.Path, -1, gid)
	}
	if err = errors.Join(err, os.Chmod(s.Path, s.Mode)); err != nil {
		own.Close()
		return nil, err
	}
	return own, nil
}

// socket is a listener that removes its socket when it is closed, and nothing else that has come to its path.
type socket struct {
	net.Listener
	path string
	info os.FileInfo
}

func (s *socket) Close() error {
	err := s.Listener.Close()
	if now, e := os.Lstat(s.path); e == nil && s.info != nil && os.SameFile(s.info, now) {
		// A process that has dropped its rights since may not remove it. The next one replaces it.
		if e := os.Remove(s.path); !errors.Is(e, os.ErrPermission) {
			err = errors.Join(err, e)
		}
	}
	return err
}
