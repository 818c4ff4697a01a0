package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"pktvisor/hub/rollup"
)

// The limits of what agents can make a hub keep.
const (
	maxPolicies     = 64      // of a hub
	maxHostPolicies = 16      // of one host
	maxHosts        = 1 << 16 // of a hub, in one to two hours
	maxGroups       = 1024    // of a policy
	maxRestarts     = 16      // host-minutes of one host in the same minute of a policy
	maxMembers      = 1 << 17 // of a rollup
)

// limits knows the policies, hosts and groups.
type limits struct {
	mu     sync.Mutex
	groups map[string]map[string]bool // by policy
	// The policies of each host from which something came since turned, and of those from which something came in the hour
	// before. A host is forgotten after one to two hours, so that invented names do not keep out others for ever.
	hosts, older map[string][]string
	turned       time.Time
}

// hostTurn is how often hosts from which nothing came are forgotten.
const hostTurn = time.Hour

// policiesOf returns the policies of a host.
func (l *limits) policiesOf(host string, now time.Time) (list []string, known bool) {
	if age := now.Sub(l.turned); l.hosts == nil || age >= hostTurn || age < 0 {
		l.older, l.hosts, l.turned = l.hosts, make(map[string][]string), now
	}
	if list, known = l.hosts[host]; known {
		return list, true
	}
	if list, known = l.older[host]; known {
		delete(l.older, host)
		l.hosts[host] = list
	}
	return list, known
}

// learnGroups reads from the store which groups there are.
func (g *Ingester) learnGroups(ctx context.Context) {
	groups, err := g.cfg.Store.Groups(ctx)
	if err != nil {
		g.failed("list groups", err)
		return
	}
	for policy, list := range groups {
		for _, group := range list {
			g.limits.group(policy, group)
		}
	}
}

// usualPolicy is the name of an agent's policy unless its user gives it another.
const usualPolicy = "default"

// policy reports whether the policy is known, or there is room for one more. It does not count it yet. There is always
// room for the usual one, so that a few hosts with invented policies do not keep out a fleet.
func (l *limits) policy(policy string) bool {
	return l.groups[policy] != nil || policy == usualPolicy || len(l.groups) < maxPolicies
}

// admit reports whether a host may have a minute of a policy. The text names the limit.
func (l *limits) admit(policy, host string, now time.Time) (ok bool, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch list, known := l.policiesOf(host, now); {
	case !l.policy(policy):
		return false, "the hub has too many policies"
	case slices.Contains(list, policy):
	case !known && len(l.hosts)+len(l.older) >= maxHosts:
		return false, "the hub has too many hosts"
	case len(list) >= maxHostPolicies:
		return false, "the host has too many policies"
	default:
		l.hosts[host] = append(list, policy)
	}
	l.add(policy, rollup.All)
	return true, ""
}

// group reports whether the policy has the group, or there is room for it. Then it is counted.
func (l *limits) group(policy, group string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.policy(policy) && l.add(policy, group)
}

func (l *limits) add(policy, group string) bool {
	if l.groups == nil {
		l.groups = make(map[string]map[string]bool)
	}
	known := l.groups[policy]
	if known == nil {
		known = make(map[string]bool)
		l.groups[policy] = known
	}
	if !known[group] && len(known) > maxGroups { // the group of all hosts does not count
		return false
	}
	known[group] = true
	return true
}

// policies returns the known policies.
func (l *limits) policies() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]string, 0, len(l.groups))
	for policy := range l.groups {
		list = append(list, policy)
	}
	slices.Sort(list)
	return list
}
