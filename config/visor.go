package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"pktvisor/policy"
)

// visor reads the document of the successor. See the decision about its form, docs/decisions/0045.
func (r *reader) visor(v value) {
	var config, taps, globals, policies value
	if !v.given() {
		v.fault("invalid schema: visor is not a map")
		return
	}
	v.fields(map[string]func(value){
		"config":                func(v value) { config = v },
		"taps":                  func(v value) { taps = v },
		"global_handler_config": func(v value) { globals = v },
		"policies":              func(v value) { policies = v },
	})
	r.visorConfig(config)
	for _, m := range taps.members() {
		if len(r.set.Taps) == MaxTaps {
			m.at.fault("more than %d taps", MaxTaps)
			break
		}
		r.visorTap(m)
	}
	if r.only == nil {
		r.globals = map[string]value{}
	}
	for _, m := range globals.members() {
		if r.handlerType(m.at, m.key) {
			r.globals[m.key] = m.value
		}
	}
	for _, m := range policies.members() {
		if len(r.set.Policies) == MaxPolicies {
			m.at.fault("more than %d policies", MaxPolicies)
			break
		}
		r.visorPolicy(m)
	}
}

// inputs are the inputs of the successor that are not built, and what to do instead.
var inputs = map[string]string{
	"dnstap": "", "flow": "", "sflow": "", "netprobe": "", "mock": "use a capture file: pcap_file",
}

// inputType reads the type of an input. It returns "" if it is not built.
func (r *reader) inputType(v value) (kind string) {
	if v.text(&kind); kind == "pcap" || kind == "" {
		return kind
	}
	if hint, later := inputs[kind]; later {
		v.fault("input_type %s is not built yet: %s", kind, cmp.Or(hint, "leave it out; pcap is built"))
	} else {
		v.fault("input stream type '%s' is not available: give pcap", shorten(kind))
	}
	return ""
}

func (r *reader) visorTap(m member) {
	if !name(m) {
		return
	}
	if m.kind() != "a map" {
		m.fault("expecting tap configuration map, and this is %s", m.kind())
		return
	}
	t := Tap{Name: m.key, Tap: policy.DefaultTap(), at: m.at}
	var kind, settings, filter value
	m.fields(map[string]func(value){
		"input_type": func(v value) { kind = v },
		"config":     func(v value) { settings = v },
		"filter":     func(v value) { filter = v },
		"tags":       func(v value) { t.Tags = v.pairs() },
	})
	if !kind.given() {
		m.at.fault("missing or invalid tap type key 'input_type'")
		return
	}
	if t.Input = r.inputType(kind); t.Input == "" {
		return
	}
	t.pcap(r, settings, filter)
	r.set.Taps = append(r.set.Taps, t)
}

// pcap reads the settings of a pcap input over those of the tap.
func (t *Tap) pcap(r *reader, sections ...value) {
	for _, section := range sections {
		section.fields(map[string]func(value){
			"iface":     func(v value) { v.text(&t.Target) },
			"pcap_file": func(v value) { v.text(&t.Target) },
			"bpf":       func(v value) { v.bpf(&t.Filter) },
			"host_spec": func(v value) { v.hostSpec(&t.Hosts) },
			"pcap_source": func(v value) {
				var s string
				if v.oneOf(&s, "libpcap", "af_packet"); s == "libpcap" {
					r.note(v, "packets come from an AF_PACKET ring, without libpcap")
				}
			},
			"debug": func(v value) { r.note(v, "this key has no effect: see --log-level") },
			"tcp_packet_reassembly_cache_limit": func(v value) {
				r.note(v, "this key has no effect: the memory of streams is bounded by the policy's budget")
			},
			"snaplen":  func(v value) { v.number(&t.SnapLen, 64, 262144) },
			"ring_mib": func(v value) { v.number(&t.RingMiB, 1, 4096) },
			"promisc":  func(v value) { v.boolean(&t.Promisc) },
			"decap":    func(v value) { v.boolean(&t.Decap) },
			"replay":   func(v value) { v.boolean(&t.Replay) },
		})
	}
}

// hostSpec reads host subnets, separated by commas.
func (v value) hostSpec(into *string) {
	var s string
	if v.text(&s); s == "" {
		return
	}
	for part := range strings.SplitSeq(s, ",") {
		if _, err := netip.ParsePrefix(strings.TrimSpace(part)); err != nil {
			v.fault("invalid CIDR: %s: give subnets such as 192.0.2.0/24,2001:db8::/64", shorten(part))
			return
		}
	}
	*into = s
}

// visorPolicy reads a policy of the successor's form.
func (r *reader) visorPolicy(m member) {
	if !name(m) {
		return
	}
	if m.kind() != "a map" {
		m.fault("expecting policy configuration map, and this is %s", m.kind())
		return
	}
	p := Policy{Name: m.key, Policy: policy.DefaultPolicy(), Rows: 10, given: map[string]bool{}, at: m.at}
	var kind, input, handlers value
	m.fields(map[string]func(value){
		"kind":        func(v value) { kind = v },
		"description": func(v value) { v.describe(&p.Description) },
		"config": func(v value) {
			v.fields(map[string]func(value){"merge_like_handlers": func(v value) { v.boolean(&p.Merged) }})
		},
		"input":    func(v value) { input = v },
		"handlers": func(v value) { handlers = v },
	})
	switch {
	case !kind.given():
		m.at.fault("missing or invalid policy kind at key 'kind'")
	case kind.node.Value != "collection":
		kind.fault("unknown policy kind: %s: give collection", kind.kind())
	}
	if !input.given() {
		m.at.fault("missing or invalid policy input stream configuration at key 'input'")
	} else {
		p.Taps = r.visorInput(input)
	}
	if !handlers.given() {
		m.at.fault("missing or invalid handler configuration at key 'handlers'")
	} else {
		r.visorHandlers(handlers, &p)
	}
	r.set.Policies = append(r.set.Policies, p)
}

// visorInput returns the taps of a policy, with what the policy changes of their settings.
func (r *reader) visorInput(v value) []Tap {
	var kind, tap, selector, config, filter value
	v.fields(map[string]func(value){
		"input_type":   func(v value) { kind = v },
		"tap":          func(v value) { tap = v },
		"tap_selector": func(v value) { selector = v },
		"config":       func(v value) { config = v },
		"filter":       func(v value) { filter = v },
	})
	if !kind.given() {
		v.fault("missing or invalid input_type at key 'input.input_type'")
		return nil
	}
	input := r.inputType(kind)
	var chosen []Tap
	switch {
	case tap.given() && selector.given():
		selector.fault("input can have only key 'input.tap' or key 'input.tap_selector'")
	case tap.given():
		var name string
		if tap.text(&name); r.tap(name) == nil {
			r.missingTap(tap, name)
		} else {
			chosen = []Tap{*r.tap(name)}
		}
	case selector.given():
		chosen = r.selected(selector)
	default:
		v.fault("missing key 'input.tap' or key 'input.tap_selector'")
	}
	if input == "" {
		return nil
	}
	for i := range chosen {
		before := chosen[i]
		chosen[i].pcap(r, config, filter)
		chosen[i].Changed = chosen[i].Tap != before.Tap || chosen[i].Hosts != before.Hosts
	}
	return chosen
}

// selected returns the taps whose tags match a selector.
func (r *reader) selected(v value) []Tap {
	var all, any value
	v.fields(map[string]func(value){"all": func(v value) { all = v }, "any": func(v value) { any = v }})
	switch {
	case all.given() && any.given():
		v.fault("input can have only key 'input.tap_selector.all' or key 'input.tap_selector.any'")
		return nil
	case !all.given() && !any.given():
		v.fault("missing key 'input.tap_selector.all' or key 'input.tap_selector.any'")
		return nil
	}
	wanted, needAll := all, true
	if any.given() {
		wanted, needAll = any, false
	}
	type pair struct{ key, value string }
	var pairs []pair
	for _, e := range wanted.alternatives() {
		tags := e.pairs()
		if len(tags) > 1 && wanted.kind() == "a list" {
			e.fault("selector tag must contain only one key/value pair per sequence index: write each pair as an element of its own")
		}
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			pairs = append(pairs, pair{key, tags[key]})
		}
	}
	var chosen []Tap
	for _, t := range r.set.Taps {
		matches := func(p pair) bool { has, ok := t.Tags[p.key]; return ok && has == p.value }
		if needAll && !slices.ContainsFunc(pairs, func(p pair) bool { return !matches(p) }) || !needAll && slices.ContainsFunc(pairs, matches) {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 && len(pairs) == 0 {
		v.fault("the selector has no tags: give some, such as any: [{site: a}]")
	} else if len(chosen) == 0 {
		v.faultKind(Unmatched, "no tap match found for specified 'input.tap_selector' tags%s", r.tagsInUse())
	}
	return chosen
}

// tagsInUse lists the tags of the taps, for a message.
func (r *reader) tagsInUse() string {
	tags := map[string]bool{}
	for _, t := range r.set.Taps {
		for key, value := range t.Tags {
			tags[fmt.Sprintf("%s: %s", key, value)] = true
		}
	}
	if len(tags) == 0 {
		return ": no tap has tags"
	}
	return ": the taps have " + strings.Join(slices.Sorted(maps.Keys(tags)), ", ")
}
