//go:build !linux

package sandbox

import (
	"errors"
	"runtime"
)

// Plan is a sandbox that is not available here.
type Plan struct{ options Options }

// Prepare returns an error if the options ask for a sandbox.
func Prepare(o Options, _ Needs) (*Plan, error) {
	if o.Off {
		return &Plan{options: o}, nil
	}
	if o.User != "" {
		return nil, errors.New("--user is not available on " + runtime.GOOS + ": start the program as that user")
	}
	if o.Require {
		return nil, errors.New("--require-sandbox: there is no sandbox on " + runtime.GOOS)
	}
	return &Plan{options: o}, nil
}

// Enter does nothing. A nil plan has no state.
func (p *Plan) Enter() (*State, error) {
	if p == nil {
		return nil, nil
	}
	if p.options.Off {
		return &State{Off: true}, nil
	}
	return &State{Capabilities: []string{}, Missing: []string{"there is no sandbox on " + runtime.GOOS}}, nil
}
