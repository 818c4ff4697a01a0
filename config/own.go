package config

import (
	"slices"
	"time"

	"pktvisor/policy"
)

// own reads the short form: agent, taps and policies.
func (r *reader) own(v value) {
	var agent, taps, policies value
	v.fields(map[string]func(value){
		"version":  func(value) {},
		"agent":    func(v value) { agent = v },
		"taps":     func(v value) { taps = v },
		"policies": func(v value) { policies = v },
	})
	for _, m := range agent.members() {
		r.setting(m.value, m.key)
	}
	for _, m := range taps.members() {
		if len(r.set.Taps) == MaxTaps {
			m.at.fault("more than %d taps", MaxTaps)
			break
		}
		if name(m) {
			r.ownTap(m)
		}
	}
	for _, m := range policies.members() {
		if len(r.set.Policies) == MaxPolicies {
			m.at.fault("more than %d policies", MaxPolicies)
			break
		}
		if name(m) {
			r.ownPolicy(m)
		}
	}
}

// ownTap reads a tap of the short form: a target, or a map.
func (r *reader) ownTap(m member) {
	t := Tap{Name: m.key, Input: "pcap", Tap: policy.DefaultTap()}
	if m.kind() != "a map" {
		if m.text(&t.Target); t.Target == "" {
			return
		}
	} else {
		m.fields(map[string]func(value){
			"target":       func(v value) { v.text(&t.Target) },
			"filter":       func(v value) { v.text(&t.Filter) },
			"hosts":        func(v value) { v.hostSpec(&t.Hosts) },
			"tags":         func(v value) { t.Tags = v.pairs() },
			"ring_mib":     func(v value) { v.number(&t.RingMiB, 1, 4096) },
			"snaplen":      func(v value) { v.number(&t.SnapLen, 64, 262144) },
			"promisc":      func(v value) { v.boolean(&t.Promisc) },
			"any_copies":   func(v value) { v.boolean(&t.AnyCopies) },
			"decap":        func(v value) { v.boolean(&t.Decap) },
			"replay":       func(v value) { v.boolean(&t.Replay) },
			"replay_speed": func(v value) { v.factor(&t.ReplaySpeed) },
		})
	}
	if t.Target == "" {
		m.at.fault(`no target: give an interface, an IP address of one, "any", "auto", or a capture file`)
		return
	}
	r.set.Taps = append(r.set.Taps, t)
}

// ownPolicy reads a policy of the short form.
func (r *reader) ownPolicy(m member) {
	p := Policy{Name: m.key, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 10}
	analyzers, without := []string{"packets", "dns"}, []string(nil)
	chosen, all := []Tap(nil), true
	m.fields(map[string]func(value){
		"taps":            func(v value) { chosen, all = r.named(v), false },
		"select":          func(v value) { chosen, all = r.selected(v), false },
		"filter":          func(v value) { v.filter(&p.Filter, 0) },
		"periods":         func(v value) { v.number(&p.Periods, policy.MinPeriods, policy.MaxPeriods) },
		"deep_sample":     func(v value) { v.number(&p.DeepSamplePercent, 0, 100) },
		"min_deep_sample": func(v value) { v.number(&p.MinDeepSamplePercent, 0, 100) },
		"rows":            func(v value) { v.number(&p.Rows, 1, MaxRows) },
		"memory":          func(v value) { v.bytes(&p.Budget) },
		"dns_timeout":     func(v value) { v.duration(&p.DNSTimeout, time.Millisecond, 5*time.Minute) },
		"merged":          func(v value) { v.boolean(&p.Merged) },
		"without":         func(v value) { v.texts(&without) },
		"analyzers": func(v value) {
			analyzers = nil
			v.words(&analyzers, []string{"packets", "dns"})
		},
		"for_each": func(v value) {
			p.ForEach = &ForEach{Most: 10}
			v.fields(map[string]func(value){
				"top":  func(v value) { v.text(&p.ForEach.Top) },
				"most": func(v value) { v.number(&p.ForEach.Most, 1, MaxForEach) },
			})
			if p.ForEach.Top == "" {
				v.fault("no table: give top, such as dns.top_qname2")
			}
		},
	})
	if all {
		chosen = slices.Clone(r.set.Taps)
		if len(chosen) == 0 {
			m.at.fault("the policy has no tap: define one under taps")
		}
	}
	p.Taps = chosen
	for _, a := range analyzers {
		kind := a
		if a == "packets" {
			kind = "net"
		}
		p.Handlers = append(p.Handlers, Handler{Name: a, Type: kind, Version: "1.0", Disable: without})
	}
	r.set.Policies = append(r.set.Policies, p)
}

// named returns the taps that a list names.
func (r *reader) named(v value) (chosen []Tap) {
	for _, e := range v.list() {
		var name string
		if e.text(&name); name == "" {
			continue
		}
		if t := r.tap(name); t != nil {
			chosen = append(chosen, *t)
		} else {
			r.missingTap(e, name)
		}
	}
	return chosen
}
