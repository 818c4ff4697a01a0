package ui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// openPolicies opens the menu of the policies: those of an agent, each with its tap and rate, or the names of those of a hub.
func (m Model) openPolicies() (Model, tea.Cmd) {
	f := &m.hosts.state
	switch {
	case m.app.Fleet == nil:
		return m.openWindows()
	case !m.hosts.have:
		m.wantFleet = true
		m, cmds := m.say("asking the hub for its policies: press P again").askExtras()
		return m, tea.Batch(cmds...)
	case len(f.Policies) < 2:
		return m.say("the fleet has one policy: " + f.Policy), nil
	}
	var items []item
	for _, p := range f.Policies {
		items = append(items, item{label: clean(p, m.unicode), value: p})
	}
	return m.choose(policyMenu, "Which policy", items, f.Policy), nil
}

// policyOf identifies a window of a policy in a menu. No name has a slash.
func policyOf(policy, tap, handler string) string {
	return strings.TrimRight(policy+"/"+tap+"/"+handler, "/")
}

// windowOf returns the names in what policyOf returns.
func windowOf(value string) (policy, tap, handler string) {
	policy, rest, _ := strings.Cut(value, "/")
	tap, handler, _ = strings.Cut(rest, "/")
	return policy, tap, handler
}

// openWindows opens the menu of the windows of an agent's policies.
func (m Model) openWindows() (Model, tea.Cmd) {
	list := m.policies()
	switch {
	case len(list) == 0 && !m.have: // not known
		return m.say(m.link.text(m.now, m.agent.Host())), nil
	case len(list) == 0:
		return m.say("this agent has one policy"), nil
	case len(list) == 1 && len(list[0].Windows) < 2:
		return m.say("this agent has one policy: " + list[0].Name), nil
	case m.of == nil:
		return m.say("policies cannot be chosen here"), nil
	}
	var items []item
	for i := range list {
		p, taps := &list[i], map[string]bool{}
		for k := range p.Windows {
			w, label, tap, handler := &p.Windows[k], p.Name, "", ""
			if len(p.Windows) > 1 && w.Tap != "" {
				tap = w.Tap
				label += " " + m.glyphs.into + " " + tap
			}
			if taps[w.Tap] && len(w.Handlers) > 0 { // a further handler of the same type
				handler = w.Handlers[0].Name
				label += " " + m.glyphs.into + " " + handler
			}
			taps[w.Tap] = true
			items = append(items, item{label: clean(label, m.unicode), value: policyOf(p.Name, tap, handler), more: m.windowNotes(p, w)})
		}
	}
	s := m.selection()
	m = m.choose(policyMenu, "Which policy", items, policyOf(s.Policy, s.Tap, s.Handler))
	return m, m.askPolicyRates(items)
}

// policies returns the policies of an agent. One of an earlier version may say nothing about itself until a policy is named, and
// names them in its refusal.
func (m *Model) policies() []api.PolicyState {
	const mostNamed = 1000
	_, names, ok := strings.Cut(m.refusedText(), "give policy= with one of ")
	if !ok || len(m.app.Policies) > 0 {
		return m.app.Policies
	}
	var list []api.PolicyState
	for _, name := range strings.SplitN(names, ", ", mostNamed) {
		name, _, _ = strings.Cut(name, " ") // the last may have "and 3 more" after it
		list = append(list, api.PolicyState{Name: name, Windows: make([]api.WindowState, 1)})
	}
	return list
}

// windowNotes says of which tap a window is, what it has, how many minutes it keeps, and last how much memory its policy takes.
func (m *Model) windowNotes(p *api.PolicyState, w *api.WindowState) (parts []string) {
	if w.Tap != "" {
		parts = append(parts, "tap "+w.Tap)
	}
	handlers := []string{}
	for _, h := range w.Handlers {
		handlers = append(handlers, h.Type)
	}
	if len(handlers) > 0 {
		parts = append(parts, strings.Join(handlers, "+"))
	}
	if w.Periods.Known {
		parts = append(parts, count(w.Periods, 5)+" min")
	}
	if p.Memory.Known && p.Memory.Value > 0 {
		parts = append(parts, "at most "+bytesText(p.Memory))
	}
	for i := range parts {
		parts[i] = clean(parts[i], m.unicode)
	}
	return parts
}

// mostRates bounds how many policies are asked for their rate when the menu opens.
const mostRates = 64

// policyRatesMsg has what policies see in the last second, by the value of the item.
type policyRatesMsg struct {
	gen   int
	rates map[string]api.Rates
}

// askPolicyRates asks each policy of the menu for its rates.
func (m *Model) askPolicyRates(items []item) tea.Cmd {
	ctx, of, gen, base := m.ctx, m.of, m.gen, m.selection()
	var values []string
	for i := range items[:min(len(items), mostRates)] {
		values = append(values, items[i].value)
	}
	return func() tea.Msg {
		out := policyRatesMsg{gen, map[string]api.Rates{}}
		for _, v := range values {
			s := base
			s.Policy, s.Tap, s.Handler = windowOf(v)
			s.Key = ""
			if r, err := of(s).Rates(ctx); err == nil {
				out.rates[v] = r
			}
		}
		return out
	}
}

// onPolicyRates writes the rates into the menu, if it is still open.
func (m Model) onPolicyRates(a policyRatesMsg) Model {
	if m.menu.kind != policyMenu || a.gen != m.gen {
		return m
	}
	items := make([]item, len(m.menu.items))
	for i, it := range m.menu.items {
		if r, ok := a.rates[it.value]; ok {
			it.note = ratesNote(r)
		}
		items[i] = it
	}
	m.menu.items = items
	return m
}

// ratesNote writes the rates that a policy has.
func ratesNote(r api.Rates) string {
	var parts []string
	if r.PPSTotal.Known {
		parts = append(parts, strings.TrimSpace(count(r.PPSTotal, 6))+" packets/s")
	}
	if r.DNSTotal.Known {
		parts = append(parts, strings.TrimSpace(count(r.DNSTotal, 6))+" DNS/s")
	}
	return strings.Join(parts, ", ")
}

// chosePolicy shows the chosen policy.
func (m Model) chosePolicy(value string) (Model, tea.Cmd) {
	p := m.place
	p.policy, p.tap, p.handler, p.key = value, "", "", ""
	if m.app.Fleet == nil {
		p.policy, p.tap, p.handler = windowOf(value)
	}
	m.tablesNext = m.now // another policy may have other tables
	return m.moveTo(p)
}

// policyText says which policy of an agent is shown. It is empty if there is only one.
func (m *Model) policyText() string {
	s, text := m.selection(), ""
	switch {
	case s.Policy != "":
		text = "policy " + s.Policy
	case len(m.app.Policies) > 1: // the agent answers with the one of this name, if nothing is asked
		for i := range m.app.Policies {
			if m.app.Policies[i].Name == defaultPolicy {
				text = "policy " + defaultPolicy
			}
		}
	}
	if s.Tap != "" {
		text += " tap " + s.Tap
	}
	if s.Handler != "" {
		text += " handler " + s.Handler
	}
	if s.Key != "" {
		text += " " + m.glyphs.into + " " + s.Key
	}
	return clean(strings.TrimSpace(text), m.unicode)
}

// defaultPolicy is the policy with which an agent answers if none is asked for.
const defaultPolicy = "default"
