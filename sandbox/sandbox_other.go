//go:build !linux

package sandbox

import (
	"errors"
	"runtime"
)

// Enter does nothing. It returns an error if the options ask for a sandbox.
func Enter(o Options, _ Needs) (*State, error) {
	switch {
	case o.Off:
		return &State{Capabilities: []string{}, Off: true}, nil
	case o.User != "":
		return nil, errors.New("--user is not available on " + runtime.GOOS + ": start the program as that user")
	case o.Require:
		return nil, errors.New("--require-sandbox: there is no sandbox on " + runtime.GOOS)
	}
	return &State{Capabilities: []string{}, Missing: []string{"there is no sandbox on " + runtime.GOOS}}, nil
}
