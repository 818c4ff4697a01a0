package sandbox

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Enter confines all threads. With [Options.Require], it returns an error if a part is missing. After an error, the process is
// in a state between, and should end.
func Enter(o Options, n Needs) (*State, error) {
	if o.Off {
		return &State{User: nameOf(os.Geteuid()), Capabilities: []string{}, Off: true}, nil
	}
	p := &plan{options: o, needs: n}
	if err := p.prepare(); err != nil {
		return nil, err
	}
	s := &State{User: nameOf(os.Geteuid()), Missing: p.missing}
	miss := func(part string, err error) { s.Missing = append(s.Missing, part+": "+err.Error()) }
	// The time zone and the system's authorities of TLS are read once, and may not be readable later.
	_, _ = time.Now().Zone()
	if p.needs.Resolve {
		_, _ = x509.SystemCertPool() // who needs it reports the error
	}
	if p.become != nil {
		// Errors end the process: it must not continue with half of the rights.
		if err := cap.SetGroups(p.become.gid, p.become.groups...); err != nil {
			return nil, fmt.Errorf("become user %s: set the groups: %w", p.become.name, err)
		}
		if err := cap.SetUID(p.become.uid); err != nil {
			return nil, fmt.Errorf("become user %s: %w", p.become.name, err)
		}
		s.User = p.become.name
	}
	var err error
	if s.Capabilities, err = p.dropCapabilities(); err != nil {
		return nil, err
	}
	// No other process of the user can look into this one, and it leaves no core on the disk.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		miss("dumpable", err)
	}
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		miss("no_new_privs", err)
	} else {
		s.NoNewPrivs = true
	}
	if s.Landlock, s.TCP, err = p.landlock(); err != nil {
		miss("landlock", err)
	}
	if err := p.seccomp(); err != nil {
		miss("seccomp", err)
	} else {
		s.Seccomp = true
	}
	if p.options.Require && len(s.Missing) > 0 {
		return nil, errors.New("--require-sandbox: " + strings.Join(s.Missing, "; "))
	}
	return s, nil
}

// dropCapabilities drops all capabilities but those to keep, and returns these.
func (p *plan) dropCapabilities() ([]string, error) {
	have, kept, names := cap.GetProc(), cap.NewSet(), []string{}
	for _, c := range p.keep {
		if ok, err := have.GetFlag(cap.Permitted, c); err != nil || !ok {
			continue // what needs it reports its absence
		}
		if err := errors.Join(kept.SetFlag(cap.Permitted, true, c), kept.SetFlag(cap.Effective, true, c)); err != nil {
			return nil, fmt.Errorf("keep %v: %w", c, err)
		}
		names = append(names, c.String())
	}
	_ = cap.ResetAmbient() // an old kernel has none
	if difference, err := have.Cf(kept); err == nil && difference == 0 {
		return names, nil // a service manager may deny capset to a process that has nothing to drop
	}
	if err := kept.SetProc(); err != nil {
		return nil, fmt.Errorf("drop capabilities: %w", err)
	}
	return names, nil
}
