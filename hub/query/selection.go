package query

import (
	"context"
	"maps"
	"slices"
	"strings"

	"pktvisor/hub/rollup"
	"pktvisor/metric"
)

// Selection is a part of a fleet. The zero value is all hosts of the default policy.
type Selection struct {
	Policy string
	// Hosts are names of hosts. If there are any, others do not count.
	Hosts []string
	// Tags are key=value. Of several values of one key, a host must have one. Of several keys, it must have all.
	Tags []string
}

// The bounds of a selection. Hosts are read one by one.
const (
	maxHosts = 200
	maxTags  = 100
	maxName  = 255 // bytes
)

// plan is a selection that was checked.
type plan struct {
	policy string
	// groups are the groups of rollups whose hosts are selected. No host is in two of them in the same minute. There are
	// none if the selection is read from host-minutes.
	groups []string
	// hosts are the selected hosts, or nil if tags alone select them. They are in order.
	hosts []string
	// tags are the selected values of each key.
	tags map[string][]string
	// key is the same for equal selections only.
	key string
}

func (p *plan) raw() bool { return len(p.groups) == 0 }

// matches reports whether the selection has hosts with these tags.
func (p *plan) matches(tags metric.Tags) bool {
	for key, values := range p.tags {
		if !slices.Contains(values, tags.Get(key)) {
			return false
		}
	}
	return true
}

// Has reports whether the selection has hosts with these tags.
func (s Selection) Has(tags metric.Tags) bool {
	p := plan{tags: byKey(s.Tags)}
	return p.matches(tags)
}

// byKey returns the values of each key in tags.
func byKey(tags []string) map[string][]string {
	values := make(map[string][]string)
	for _, t := range tags {
		key, value, _ := strings.Cut(t, "=")
		values[key] = append(values[key], value)
	}
	return values
}

func keyOf(tag string) string {
	key, _, _ := strings.Cut(tag, "=")
	return key
}

// Key returns a text that is the same for equal selections only. It is "" for all hosts of the default policy.
func (s Selection) Key() string {
	if s.Policy == "" && len(s.Hosts) == 0 && len(s.Tags) == 0 {
		return ""
	}
	list := func(in []string) string { return strings.Join(unique(in), "\x01") }
	return s.Policy + "\x00" + list(s.Hosts) + "\x00" + list(s.Tags)
}

// unique returns the different texts, in order.
func unique(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// check returns an error if the selection is not valid, whatever the fleet.
func (s Selection) check() error {
	if len(s.Hosts) > maxHosts {
		return usage("%d hosts: give at most %d, or a tag", len(s.Hosts), maxHosts)
	}
	for _, h := range s.Hosts {
		if h == "" || len(h) > maxName {
			return usage("host %.100q: give a name of at most %d bytes", h, maxName)
		}
	}
	if len(s.Tags) > maxTags {
		return usage("%d tags: give at most %d", len(s.Tags), maxTags)
	}
	for _, t := range s.Tags {
		if _, err := metric.ParseTags([]string{t}); err != nil {
			return usage("%v", err)
		}
	}
	return nil
}

// plan checks a selection against what the store has.
func (r *Reader) plan(ctx context.Context, s Selection) (*plan, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	known, err := r.cfg.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	p := &plan{key: s.Key(), hosts: unique(s.Hosts)}
	if p.policy, err = r.policy(s.Policy, known); err != nil {
		return nil, err
	}
	tags := unique(s.Tags)
	for _, t := range tags {
		if !slices.Contains(known[p.policy], t) {
			return nil, usage("no host has the tag %q: /api/v1/fleet lists the tags", t)
		}
	}
	p.tags = byKey(tags)
	switch {
	case len(p.hosts) > 0 || len(p.tags) > 1:
	case len(tags) > 0:
		p.groups = tags
	default:
		p.groups = []string{rollup.All}
	}
	return p, nil
}

// Policy returns the policy that a selection with the given one means.
func (r *Reader) Policy(ctx context.Context, asked string) (string, error) {
	known, err := r.cfg.Store.Groups(ctx)
	if err != nil {
		return "", err
	}
	return r.policy(asked, known)
}

// defaultPolicy is the name of an agent's policy unless its user gives it another.
const defaultPolicy = "default"

func (r *Reader) policy(asked string, known map[string][]string) (string, error) {
	if asked == "" {
		asked = r.cfg.Policy
	}
	names := slices.Sorted(maps.Keys(known))
	_, ok := known[asked]
	switch {
	case ok:
		return asked, nil
	case asked != "" && len(names) > 0:
		return "", usage("policy %.100q: the fleet has %.500s", asked, strings.Join(names, ", "))
	case asked != "":
		return asked, nil // nothing is stored yet
	case len(names) == 0 || slices.Contains(names, defaultPolicy):
		return defaultPolicy, nil
	}
	return names[0], nil
}
