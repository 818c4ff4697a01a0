package config

import (
	"slices"
	"time"

	"pktvisor/anon"
	"pktvisor/drill"
	"pktvisor/policy"
)

// own reads the short form: agent, taps and policies.
func (r *reader) own(v value) {
	var agent, taps, policies value
	v.fieldsElse(map[string]func(value){
		"version":  func(value) {},
		"agent":    func(v value) { agent = v },
		"taps":     func(v value) { taps = v },
		"policies": func(v value) { policies = v },
	}, func(member) {}) // root has reported unknown keys
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
	t := Tap{Name: m.key, Input: "pcap", Tap: policy.DefaultTap(), at: m.at}
	if m.kind() != "a map" {
		if m.text(&t.Target); t.Target == "" {
			return
		}
	} else {
		keys := t.keys()
		keys["tags"] = func(v value) { t.Tags = v.pairs() }
		m.fields(keys)
	}
	if t.Target == "" {
		m.at.fault(`no target: give an interface, an IP address of one, "any", "auto", or a capture file`)
		return
	}
	t.check(m.at)
	r.set.Taps = append(r.set.Taps, t)
}

// keys returns the keys of a tap that a policy may change, and how each fills the tap.
func (t *Tap) keys() map[string]func(value) {
	return map[string]func(value){
		"target":       func(v value) { v.text(&t.Target) },
		"filter":       func(v value) { v.bpf(&t.Filter) },
		"hosts":        func(v value) { v.hostSpec(&t.Hosts) },
		"ring_mib":     func(v value) { v.number(&t.RingMiB, 1, 4096) },
		"snaplen":      func(v value) { v.number(&t.SnapLen, 64, 262144) },
		"promisc":      func(v value) { v.boolean(&t.Promisc) },
		"any_copies":   func(v value) { v.boolean(&t.AnyCopies) },
		"decap":        func(v value) { v.boolean(&t.Decap) },
		"replay":       func(v value) { v.boolean(&t.Replay) },
		"replay_speed": func(v value) { v.factor(&t.ReplaySpeed) },
	}
}

// check finds settings of a tap that do not go together.
func (t *Tap) check(at value) {
	if t.AnyCopies && t.Target != policy.AnyInterface {
		at.fault("any_copies is for the target any, not for %s", shorten(t.Target))
	}
	if t.Target == "-" {
		at.fault("a tap cannot be standard input: give the path of a file")
	}
}

// ownPolicy reads a policy of the short form.
func (r *reader) ownPolicy(m member) {
	p := Policy{Name: m.key, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 10, given: map[string]bool{}, at: m.at}
	analyzers, without := value{}, []string(nil)
	chosen, all := []Tap(nil), true
	keys := map[string]func(value){
		"description":     func(v value) { v.describe(&p.Description) },
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
		"chained":         func(v value) { v.boolean(&p.Chained) },
		"anonymize":       func(v value) { v.boolean(&p.Anonymize) },
		"anonymize_names": func(v value) { v.anonymizeNames(&p.AnonymizeNames) },
		"without":         func(v value) { v.texts(&without) },
		"analyzers":       func(v value) { analyzers = v },
		"for_each":        func(v value) { p.ForEach = v.forEach() },
	}
	for key, read := range keys {
		keys[key] = func(v value) {
			p.given[key] = true
			read(v)
		}
	}
	m.fields(keys)
	if all {
		chosen = slices.Clone(r.set.Taps)
		if len(chosen) == 0 {
			m.at.fault("the policy has no tap: define one under taps")
		}
	}
	p.Taps = chosen
	r.analyzers(analyzers, without, &p)
	r.set.Policies = append(r.set.Policies, p)
}

func (v value) forEach() *ForEach {
	f, given := &ForEach{Most: 10}, false
	v.fields(map[string]func(value){
		"top":  func(v value) { v.oneOf(&f.Top, drill.Tables()...); given = true },
		"most": func(v value) { v.number(&f.Most, 1, MaxForEach) },
	})
	if !given {
		v.fault("no table: give top, such as dns.top_qname2")
	}
	return f
}

// anonymizeNames reads what is left of names.
func (v value) anonymizeNames(into *string) {
	var s string
	if v.text(&s); s == "" {
		return
	}
	if _, err := anon.ParseNames(s); err != nil {
		v.fault("this is %s: %v", v.kind(), err)
		return
	}
	*into = s
}

// analyzers reads the analyzers of a policy: a list of the words packets and dns, or a map of names to settings.
func (r *reader) analyzers(v value, without []string, p *Policy) {
	if v.kind() == "a map" {
		for _, m := range v.members() {
			if name(m) {
				r.analyzer(m, p)
			}
		}
		return
	}
	chosen := []string{"packets", "dns"}
	if v.given() {
		chosen = nil
		v.words(&chosen, []string{"packets", "dns"})
	}
	for _, a := range chosen {
		p.Handlers = append(p.Handlers, Handler{Name: a, Type: typeOf[a], Version: "1.0", Disable: without})
	}
}

// typeOf are the types of handlers, by the names of analyzers in the short form.
var typeOf = map[string]string{"packets": "net", "dns": "dns", "source": "pcap"}

// analyzer reads one analyzer with settings.
func (r *reader) analyzer(m member, p *Policy) {
	h := Handler{Name: m.key, Version: "1.0"}
	var kind string
	m.fields(map[string]func(value){
		"type":       func(v value) { v.oneOf(&kind, "packets", "dns", "source") },
		"version":    func(v value) { v.oneOf(&h.Version, "1.0", "2.0") },
		"filter":     func(v value) { v.filter(&h.Filter, 0) },
		"rows":       func(v value) { v.number(&h.Rows, 1, MaxRows) },
		"percentile": func(v value) { v.number(&h.Percentile, 0, 100) },
		"with":       func(v value) { v.texts(&h.Enable) },
		"without":    func(v value) { v.texts(&h.Disable) },
	})
	if kind == "" {
		m.at.fault("no type: give type: packets, dns or source")
		return
	}
	h.Type = typeOf[kind]
	p.Handlers = append(p.Handlers, h)
}

// named returns the taps that a list names, or that a map names with the settings that the policy changes.
func (r *reader) named(v value) (chosen []Tap) {
	if v.kind() == "a map" {
		for _, m := range v.members() {
			t := r.tap(m.key)
			if t == nil {
				r.missingTap(m.at, m.key)
				continue
			}
			changed := *t
			m.fields(changed.keys())
			changed.check(m.at)
			changed.Changed = changed.Tap != t.Tap || changed.Hosts != t.Hosts
			chosen = append(chosen, changed)
		}
	} else {
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
	}
	if len(chosen) == 0 && len(r.faults) == 0 {
		v.fault("this names no tap: give some, or leave it out for all taps")
	}
	return chosen
}
