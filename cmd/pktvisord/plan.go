package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"pktvisor/config"
	"pktvisor/policy"
)

// maxWindows bounds the windows of all policies together.
const maxWindows = 1000

// plan is what a set of taps and policies takes: what to open, and what to fill.
type plan struct {
	set      *config.Set
	inputs   []input // that a policy uses, in the order of their first use
	policies []planned
}

// input is a tap with everything that decides how it is opened. Several policies share it if none of them changes the tap's
// settings. It is comparable.
type input struct {
	// name is that of the agent's tap: the tap's own, or TAP/HASH if a policy changes its settings. A name in a document has no
	// slash.
	name string
	tap  string // as the document calls it
	policy.Tap
	hosts string // empty means those of the command line
}

// planned is a policy with its windows. The first one has the policy's name.
type planned struct {
	config.Policy
	windows []windowPlan
	key     string // the same for two policies that count the same
	line    bool   // it is that of the command line
}

// windowPlan is a window of a policy: that of one tap, or of all of its taps, with at most one handler of each type.
type windowPlan struct {
	name     string // of the agent's policy: POLICY, POLICY/TAP or POLICY/TAP/HANDLER
	tap      string // as the document calls it; empty if there are several
	inputs   []input
	handlers []config.Handler
	before   []config.Handler // those of a chain in front of the only handler
}

// newPlan returns what a set takes. Its policies have all their settings. The error lists all mistakes.
func newPlan(set *config.Set) (*plan, error) {
	p := &plan{set: set}
	var errs []error
	windows := 0
	for _, c := range set.Policies {
		one, err := newPlanned(c)
		errs = append(errs, err)
		windows += len(one.windows)
		for _, w := range one.windows {
			for _, in := range w.inputs {
				if !slices.Contains(p.inputs, in) {
					p.inputs = append(p.inputs, in)
				}
			}
		}
		p.policies = append(p.policies, one)
	}
	if windows > maxWindows {
		errs = append(errs, fmt.Errorf("the policies need %d windows, one for each of their taps: at most %d are possible; give fewer taps, or merged: true", windows, maxWindows))
	}
	return p, errors.Join(errs...)
}

func newPlanned(c config.Policy) (planned, error) {
	p := planned{Policy: c}
	if err := checkForEach(&c); err != nil {
		return p, err
	}
	var inputs []input
	for i := range c.Taps {
		if in := newInput(&c.Taps[i]); !slices.Contains(inputs, in) {
			inputs = append(inputs, in)
		}
	}
	if c.Merged {
		p.windows = windowsOf(&c, "", inputs)
		if slices.ContainsFunc(inputs, input.isFile) && len(inputs) > 1 {
			return p, fmt.Errorf("policy %s: merged is for taps that capture live, and the time of a capture file is its own: give each file a policy", c.Name)
		}
	} else {
		for _, in := range inputs {
			p.windows = append(p.windows, windowsOf(&c, in.tap, []input{in})...)
		}
	}
	if len(p.windows) > 0 {
		p.windows[0].name = c.Name
	}
	p.key = keyOf(c)
	return p, nil
}

// windowsOf returns the windows of a policy for some inputs: one with the first handler of each type, and one for each other.
func windowsOf(c *config.Policy, tap string, inputs []input) []windowPlan {
	name := c.Name
	if tap != "" {
		name += "/" + tap
		if in := inputs[0]; in.name != in.tap {
			name = c.Name + "/" + in.name
		}
	}
	all := []windowPlan{{name: name, tap: tap, inputs: inputs}}
	if tap == "" && len(inputs) == 1 {
		all[0].tap = inputs[0].tap
	}
	for i, h := range c.Handlers {
		if !slices.ContainsFunc(c.Handlers[:i], func(other config.Handler) bool { return other.Type == h.Type }) {
			all[0].handlers = append(all[0].handlers, h)
			continue
		}
		further := windowPlan{name: name + "/" + h.Name, tap: all[0].tap, inputs: inputs, handlers: []config.Handler{h}}
		if c.Chained {
			further.before = c.Handlers[:i]
		}
		all = append(all, further)
	}
	return all
}

// newInput returns the input of a tap of a policy.
func newInput(t *config.Tap) input {
	in := input{name: t.Name, tap: t.Name, Tap: t.Tap, hosts: t.Hosts}
	if t.Changed {
		text, _ := json.Marshal([]any{t.Tap, t.Hosts}) // always possible
		h := fnv.New64a()
		h.Write(text)
		in.name = fmt.Sprintf("%s/%016x", t.Name, h.Sum64())
	}
	return in
}

// isFile reports whether the input is a capture file that is read once.
func (in input) isFile() bool { return !in.Replay && isFile(in.Target) }

// policy returns a policy of the plan, or nil.
func (p *plan) policy(name string) *planned {
	if i := slices.IndexFunc(p.policies, func(q planned) bool { return q.Name == name }); i >= 0 {
		return &p.policies[i]
	}
	return nil
}

// dnsTimeout returns the shortest time that a query waits in a policy of an input.
func (p *plan) dnsTimeout(in input) time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for _, c := range p.policies {
		for _, w := range c.windows {
			if slices.Contains(w.inputs, in) {
				shortest = min(shortest, c.DNSTimeout)
			}
		}
	}
	return shortest
}

// deepSample returns the greatest deep sample of the policies of an input, in percent.
func (p *plan) deepSample(in input) (most int) {
	for _, c := range p.policies {
		for _, w := range c.windows {
			if slices.Contains(w.inputs, in) {
				most = max(most, c.DeepSamplePercent)
			}
		}
	}
	return most
}

// keyOf returns a text that is the same for two policies that count the same. Their descriptions may differ.
func keyOf(c config.Policy) string {
	c.Description = ""
	text, _ := json.Marshal(c) // always possible
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
