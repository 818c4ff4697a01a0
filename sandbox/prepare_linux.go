package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// plan is a sandbox that is not entered yet.
type plan struct {
	options Options
	needs   Needs
	become  *identity   // nil: the user stays
	keep    []cap.Value // the capabilities to keep, if there are any of them
	missing []string
	pins    []int // files that stay open: see [grants.pin]
}

// prepare decides which user the process becomes and which capabilities it keeps, and makes the directories.
func (p *plan) prepare() error {
	if err := p.chooseUser(); err != nil {
		return err
	}
	made, err := p.needs.makeDirs()
	defer made.close()
	if err != nil {
		return err
	}
	if p.needs.Capture {
		p.keep = append(p.keep, cap.NET_RAW)
	}
	if slices.ContainsFunc(p.needs.Listen, func(port uint16) bool { return port > 0 && port < 1024 }) {
		p.keep = append(p.keep, cap.NET_BIND_SERVICE)
	}
	if os.Geteuid() == 0 {
		return p.chooseRights(made)
	}
	return nil
}

// chooseUser finds the user that the options name.
func (p *plan) chooseUser() error {
	name := p.options.User
	if os.Geteuid() != 0 {
		if name == "" {
			return nil
		}
		id, err := lookUp(name)
		if err == nil && id.uid != os.Geteuid() {
			err = fmt.Errorf("--user %s: only root can become another user: start the program as root or as %[1]s", name)
		}
		return err
	}
	if name == "" {
		name = DefaultUser
	}
	id, err := lookUp(name)
	if err == nil && id.uid != 0 {
		p.become = id
	}
	return err
}

// chooseRights decides whether root becomes the other user, and which capabilities for files it must keep. A state directory
// of root, and a key that only root can read, must work as before.
func (p *plan) chooseRights(made dirs) error {
	given := p.options.User != ""
	if p.become != nil {
		id := p.become
		made.give(id.uid, id.gid)
		l, err := p.needs.lacking(id)
		switch {
		case err == nil && l.write == "" && l.other == "":
			if l.read != "" {
				p.keepRead(fmt.Sprintf("user %s cannot read %s: chgrp it to a group of that user, and chmod g+r", id.name, quoted(l.read)))
			}
			return nil
		case err != nil && given:
			return fmt.Errorf("--user %s: %w", id.name, err)
		case err != nil:
			p.missing = append(p.missing, fmt.Sprintf("the user stays root: %v", err))
		case given:
			return fmt.Errorf("--user %s: that user cannot write %s: chown -R %[1]s: %s", id.name, l.write+l.other, quoted(dirOf(l, p.needs)))
		case l.write != "":
			p.missing = append(p.missing, fmt.Sprintf("the user stays root, because user %s cannot write %s: chown -R %[1]s: %s, or name its owner with --user", id.name, l.write, quoted(dirOf(l, p.needs))))
		default:
			p.missing = append(p.missing, fmt.Sprintf("the user stays root, because user %s cannot write in %s", id.name, l.other))
		}
		p.become = nil
		made.give(os.Geteuid(), os.Getegid())
	}
	l, err := p.needs.lacking(&identity{name: "root", gid: os.Getegid(), present: true})
	switch {
	case err != nil, l.write != "" || l.other != "":
		p.keep = append(p.keep, cap.DAC_OVERRIDE)
		if l.write != "" {
			p.missing = append(p.missing, fmt.Sprintf("root needs CAP_DAC_OVERRIDE to write %s: name its owner with --user", l.write))
		}
	case l.read != "":
		p.keepRead(fmt.Sprintf("root needs CAP_DAC_READ_SEARCH to read %s", l.read))
	}
	return nil
}

// keepRead keeps the capability to read all files that Landlock allows.
func (p *plan) keepRead(why string) {
	p.keep = append(p.keep, cap.DAC_READ_SEARCH)
	p.missing = append(p.missing, why+" (CAP_DAC_READ_SEARCH is kept)")
}

// quoted returns a path as a shell takes it.
func quoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+:@%,=", r)
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// dirOf returns the directory to give to the user.
func dirOf(l lacks, n Needs) string {
	if l.write == "" {
		return l.other
	}
	for _, dir := range n.Write {
		if dir != "" && len(l.write) >= len(dir) && l.write[:len(dir)] == dir {
			return dir
		}
	}
	return l.write
}
