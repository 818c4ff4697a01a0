package config

import (
	"maps"
	"slices"
	"strings"

	"pktvisor/policy"
)

// handlerTypes are the types of handlers, with their groups of metrics. A type without groups is not built yet.
var handlerTypes = map[string][]string{
	"net":  {"counters", "cardinality", "quantiles", "top_geo", "top_ips"},
	"dns":  {"cardinality", "counters", "dns_transaction", "histograms", "quantiles", "top_ecs", "top_ports", "top_qnames", "top_qnames_details", "top_qtypes", "top_rcodes", "top_size", "xact_times"},
	"pcap": {}, "input_resources": {},
	"dhcp": nil, "bgp": nil, "flow": nil, "netprobe": nil,
}

// handlerType reports whether a type of handlers is built. at is the place of a fault.
func (r *reader) handlerType(at value, kind string) bool {
	groups, known := handlerTypes[kind]
	switch {
	case !known:
		at.fault("handler type '%s' is not available%s", shorten(kind), suggest(kind, handlerTypes))
	case groups == nil:
		at.fault("handler type %s is not built yet: leave it out; dns, net and pcap are built", kind)
	}
	return groups != nil
}

// visorHandlers reads the handlers of a policy and its window.
func (r *reader) visorHandlers(v value, p *Policy) {
	var window, modules value
	v.fields(map[string]func(value){
		"window_config": func(v value) { window = v },
		"modules":       func(v value) { modules = v },
	})
	percentile := 0
	if p.OwnWindow = window.given(); p.OwnWindow {
		p.given["window"] = true
		window.fields(windowKeys(r, &p.Policy, &p.Rows, &percentile))
	}
	if !modules.given() {
		v.fault("missing or invalid handler modules at key 'modules'")
		return
	}
	seen := map[string]bool{}
	add := func(m member, siblings bool) {
		if seen[m.key] {
			m.at.fault("there are two handlers %q in this policy", shorten(m.key))
			return
		}
		seen[m.key] = true
		if name(m) {
			r.visorHandler(m, siblings, p, percentile)
		}
	}
	if modules.kind() == "a map" {
		for _, m := range modules.members() {
			add(m, false)
		}
		return
	}
	p.Chained = true
	for _, e := range modules.elements() {
		all := e.members()
		if len(all) == 0 {
			e.fault("expecting Handler configuration map, and this is %s", e.kind())
			continue
		}
		// An element is {NAME: settings}, or {NAME: , type: …} with the settings beside the name.
		if first := all[0]; first.given() || len(all) == 1 {
			add(first, false)
			for _, m := range all[1:] {
				m.at.fault("this element of the list has a name already, %s: begin another element with -", shorten(first.key))
			}
		} else {
			first.value = e
			add(first, true)
		}
	}
}

// windowKeys returns the keys of a window, and how each fills a policy.
func windowKeys(r *reader, p *policy.Policy, rows, percentile *int) map[string]func(value) {
	return map[string]func(value){
		"num_periods": func(v value) {
			if v.number(&p.Periods, 1, policy.MaxPeriods); p.Periods < policy.MinPeriods {
				p.Periods = policy.MinPeriods
				r.note(v, "a window has at least %d periods", policy.MinPeriods)
			}
		},
		"deep_sample_rate": func(v value) {
			if v.number(&p.DeepSamplePercent, 0, 100); p.DeepSamplePercent == 0 {
				p.DeepSamplePercent = 1
				r.note(v, "0 counts as 1, as in the successor")
			}
		},
		"topn_count":                func(v value) { v.number(rows, 1, MaxRows) },
		"topn_percentile_threshold": func(v value) { v.number(percentile, 0, 100) },
	}
}

// visorHandler reads one handler. With siblings, the map also has the handler's name as a key.
func (r *reader) visorHandler(m member, siblings bool, p *Policy, percentile int) {
	h := Handler{Name: m.key, Version: "1.0", Percentile: percentile}
	var kind, version, config, filter, groups value
	keys := map[string]func(value){
		"type":            func(v value) { kind = v },
		"require_version": func(v value) { version = v },
		"config":          func(v value) { config = v },
		"filter":          func(v value) { filter = v },
		"metric_groups":   func(v value) { groups = v },
	}
	if siblings {
		keys[m.key] = func(value) {}
	}
	m.fields(keys)
	if !kind.given() {
		m.at.fault("missing or invalid stream handler type at key 'type'")
		return
	}
	if kind.text(&h.Type); !r.handlerType(kind, h.Type) {
		return
	}
	if version.given() {
		version.text(&h.Version)
		if h.Version != "1.0" && (h.Version != "2.0" || h.Type != "dns" && h.Type != "net") {
			version.fault("Policy '%s' requires stream handler type '%s' and version '%s' which is not available: give \"1.0\"%s",
				p.Name, h.Type, shorten(h.Version), map[bool]string{true: " or \"2.0\""}[h.Type == "dns" || h.Type == "net"])
		}
	}
	known := h.keys(r, p)
	for _, section := range []value{r.globals[h.Type], config, filter} {
		section.fieldsElse(known, func(m member) {
			m.at.fault("%s is an invalid/unsupported config or filter%s", shorten(m.key), suggest(m.key, known))
		})
	}
	h.groups(groups)
	p.Handlers = append(p.Handlers, h)
}

// keys returns the keys of a handler's config and filter, which share their names, and how each fills the handler.
func (h *Handler) keys(r *reader, p *Policy) map[string]func(value) {
	known := map[string]func(value){}
	if h.Type == "dns" || h.Type == "net" {
		known = handlerFilter(&h.Filter, h.Type)
	}
	if h.Type == "dns" {
		known["public_suffix_list"] = func(v value) { r.note(v, "names are always counted by registered domain too") }
		exact := false // given in milliseconds, which wins
		known["xact_ttl_secs"] = func(v value) {
			if timeout := p.DNSTimeout; exact {
				v.seconds(&timeout, 1000)
			} else {
				v.seconds(&p.DNSTimeout, 1000)
				p.given["dns_timeout"] = true
			}
		}
		known["xact_ttl_ms"] = func(v value) {
			exact = true
			v.seconds(&p.DNSTimeout, 1)
			p.given["dns_timeout"] = true
		}
	}
	known["recorded_stream"] = func(value) {}
	known["enable"] = func(v value) { h.groupList(v, &h.Enable) }
	known["disable"] = func(v value) { h.groupList(v, &h.Disable) }
	// The window decides about the two other keys.
	maps.Copy(known, windowKeys(r, new(policy.DefaultPolicy()), &h.Rows, &h.Percentile))
	return known
}

// groups reads the groups of metrics that a handler has or lacks.
func (h *Handler) groups(v value) {
	if !v.given() {
		return
	}
	if !hasKey(v, "enable") && !hasKey(v, "disable") && v.kind() == "a map" {
		v.fault("stream handler metric groups should contain enable and/or disable tags")
	}
	v.fields(map[string]func(value){
		"enable":  func(v value) { h.groupList(v, &h.Enable) },
		"disable": func(v value) { h.groupList(v, &h.Disable) },
	})
}

func (h *Handler) groupList(v value, into *[]string) {
	valid := handlerTypes[h.Type]
	for _, e := range v.list() {
		var group string
		if e.text(&group); group != "" && group != "all" && !slices.Contains(valid, group) {
			e.fault("%s is an invalid/unsupported metric group. The valid groups are: all, %s", shorten(group), strings.Join(valid, ", "))
			continue
		}
		*into = append(*into, group)
	}
}
