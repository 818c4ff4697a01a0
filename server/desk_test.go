package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.yaml.in/yaml/v3"

	"pktvisor/agent"
	"pktvisor/server"
	"pktvisor/window"
)

// desk is a small agent without a capture: its taps and policies are real windows without packets. It takes the documents of the
// successor, with what these tests need of them.
type desk struct {
	mu       sync.Mutex
	taps     map[string][]byte
	policies atomic.Pointer[[]*server.Policy]
	adds     atomic.Int64 // that succeeded
	removes  atomic.Int64
	reloads  atomic.Int64
	stopped  chan struct{}
	// slow, if it is set, is received from in each Add.
	slow chan struct{}
}

func newDesk(policies ...*server.Policy) *desk {
	d := &desk{taps: map[string][]byte{}, stopped: make(chan struct{}, 1)}
	d.policies.Store(&policies)
	return d
}

func (d *desk) Policies() []*server.Policy { return *d.policies.Load() }

func (d *desk) Taps() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]byte{}
	for name, tap := range d.taps {
		out[name] = tap
	}
	return out
}

func problem(status int, format string, args ...any) error {
	return &server.Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Add implements [server.Control].
func (d *desk) Add(ctx context.Context, document []byte, what server.Object, name string, replace bool) (string, error) {
	if d.slow != nil {
		select {
		case <-d.slow:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	var doc struct {
		Version string
		Visor   struct {
			Taps     map[string]any
			Policies map[string]any
		}
	}
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return "", problem(http.StatusUnprocessableEntity, "invalid schema: %v", err)
	}
	list := doc.Visor.Taps
	if what == server.APolicy {
		list = doc.Visor.Policies
	}
	if len(list) != 1 {
		return "", problem(http.StatusUnprocessableEntity, "only a single %s expected but got %d", what, len(list))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for own, body := range list {
		switch there := d.find(what, own); {
		case name != "" && own != name:
			return "", problem(http.StatusUnprocessableEntity, "the document has the %s %s, and the path %s", what, own, name)
		case body == "broken":
			return "", errors.New("the disk is on fire")
		case there && !replace:
			return "", problem(http.StatusConflict, "%s with name '%s' already defined", what, own)
		}
		text, err := json.Marshal(body)
		if err != nil {
			return "", problem(http.StatusUnprocessableEntity, "%v", err)
		}
		d.set(what, own, text)
		d.adds.Add(1)
		return own, nil
	}
	return "", nil
}

func (d *desk) find(what server.Object, name string) bool {
	if what == server.ATap {
		return d.taps[name] != nil
	}
	return slices.ContainsFunc(d.Policies(), func(p *server.Policy) bool { return p.Name == name })
}

// set adds or replaces a tap or a policy, which keeps its window if its description is the same.
func (d *desk) set(what server.Object, name string, text []byte) {
	if what == server.ATap {
		d.taps[name] = text
		return
	}
	list := slices.Clone(d.Policies())
	p := emptyPolicy(name, text)
	if i := slices.IndexFunc(list, func(p *server.Policy) bool { return p.Name == name }); i < 0 {
		list = append(list, p)
	} else if string(list[i].Description) != string(text) {
		list[i] = p
	}
	d.policies.Store(&list)
}

// emptyPolicy returns a policy with a window without packets.
func emptyPolicy(name string, description []byte) *server.Policy {
	return &server.Policy{Name: name, Description: description, Windows: []server.PolicyWindow{{
		Tap: "eth0", Views: window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1}), Tables: agent.Tables, DeepSamplePercent: 100,
		Handlers: []server.Handler{{Name: "my_dns", Type: "dns", Version: "1.0"}, {Name: "my_net", Type: "net", Version: "1.0"}},
	}}}
}

// Remove implements [server.Control].
func (d *desk) Remove(_ context.Context, what server.Object, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.find(what, name) {
		return problem(http.StatusNotFound, "%s does not exist", what)
	}
	if what == server.ATap {
		for _, p := range d.Policies() {
			if slices.ContainsFunc(p.Windows, func(w server.PolicyWindow) bool { return w.Tap == name }) {
				return problem(http.StatusConflict, "tap %s is used by the policy %s: remove that first", name, p.Name)
			}
		}
		delete(d.taps, name)
	} else {
		list := slices.DeleteFunc(slices.Clone(d.Policies()), func(p *server.Policy) bool { return p.Name == name })
		d.policies.Store(&list)
	}
	d.removes.Add(1)
	return nil
}

// Reload implements [server.Control].
func (d *desk) Reload(context.Context) error {
	if d.reloads.Add(1) > 1 {
		return problem(http.StatusUnprocessableEntity, "pktvisor.yaml:3:5: visor.policies.x: unknown key")
	}
	return nil
}

// Stop implements [server.Control].
func (d *desk) Stop() { d.stopped <- struct{}{} }

// policyYAML returns a document with a policy whose description is text.
func policyYAML(name, text string) string {
	return fmt.Sprintf("version: \"1.0\"\nvisor:\n  policies:\n    %s:\n      kind: collection\n      note: %s\n", name, text)
}

// configOf returns the configuration of a server of a desk.
func configOf(d *desk, admin bool) server.Config {
	cfg := config(nil)
	cfg.Window, cfg.Tables = nil, nil
	cfg.Policies, cfg.Taps = d.Policies, d.Taps
	if admin {
		cfg.Control = d
	}
	return cfg
}

// contains reports whether a text has each of some parts.
func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// shaOf returns the hash of a token as an auth file has it.
func shaOf(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }
