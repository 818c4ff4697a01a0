package ui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// place is the part of a hub's fleet that the user has chosen, below the part that the program was started with.
type place struct {
	group  string // a tag, key=value; empty for all hosts
	host   string // empty for all hosts of the group
	policy string // empty for the hub's or agent's own choice
	// tap and handler are those of a policy of an agent with several windows.
	tap, handler string

	key string // a followed key of that window; empty for the window itself
}

// selection returns what requests select: the part that the program was started with, and the place in it.
func (m *Model) selection() api.Selection {
	s := api.Selection{Tags: slices.Clone(m.root.Tags), Host: m.root.Host, Policy: m.root.Policy, Tap: m.root.Tap, Handler: m.root.Handler}
	if m.place.group != "" && !slices.Contains(s.Tags, m.place.group) {
		s.Tags = append(s.Tags, m.place.group)
	}
	if m.place.host != "" {
		s.Host = m.place.host
	}
	if m.place.policy != "" {
		s.Policy, s.Tap, s.Handler = m.place.policy, m.place.tap, m.place.handler
	}
	s.Key = m.place.key
	return s
}

// partOf describes a selection for people. It is empty for everything.
func partOf(s api.Selection) string {
	parts := slices.Clone(s.Tags)
	if s.Host != "" {
		parts = append(parts, "node "+s.Host)
	}
	if s.Policy != "" {
		parts = append(parts, "policy "+s.Policy)
	}
	if s.Tap != "" {
		parts = append(parts, "tap "+s.Tap)
	}
	if s.Handler != "" {
		parts = append(parts, "handler "+s.Handler)
	}
	if s.Key != "" {
		parts = append(parts, "key "+s.Key)
	}
	return strings.Join(parts, " ")
}

// moveTo shows another part of the fleet. What is known of the former part is dropped, and answers about it that are still
// to come are ignored.
func (m Model) moveTo(p place) (Model, tea.Cmd) {
	if m.of == nil {
		return m, nil
	}
	m.place = p
	m.gen++
	m.agent, m.part = m.of(m.selection()), partOf(m.selection())
	m.cur, m.have, m.rates = api.Summary{}, false, api.Rates{}
	m.minutes, m.minutesBusy, m.minutesEnd, m.minutesNext = nil, false, false, m.now
	m.seconds, m.pinned, m.row, m.open, m.filter = nil, 0, 0, false, ""
	m.link.asked, m.link.odd = zeroTime, ""
	m.appNext = m.now
	if m.app.Fleet != nil {
		m.app.Fleet = &api.Fleet{Hosts: m.app.Fleet.Hosts} // how many hosts the part has is not known yet
	}
	m.history = m.history.stale()
	m.hosts = m.hosts.stale()
	return m.otherTime().askNow()
}

// up goes one level up: from a host to the hosts of its group, from there to the groups, and from there to the overview.
// It reports whether there was a level above.
func (m Model) up() (Model, tea.Cmd, bool) {
	if m.app.Fleet == nil || m.of == nil {
		return m, nil, false
	}
	p := m.place
	switch {
	case m.view != fleetView && m.view != overview:
		return m.goTo(overview), nil, true
	case p.host != "":
		p.host = ""
		return m.upTo(p, m.place.host)
	case m.view == overview && p.group == "":
		return m, nil, false
	case m.view == overview:
		return m.goTo(fleetView), nil, true
	case p.group != "":
		p.group = ""
		return m.upTo(p, m.place.group)
	default:
		return m.goTo(overview), nil, true
	}
}

// upTo goes to the fleet view of p, and chooses the row from which the user comes.
func (m Model) upTo(p place, from string) (Model, tea.Cmd, bool) {
	m = m.goTo(fleetView)
	m, cmd := m.moveTo(p)
	return m.chooseKey(from), cmd, true
}

// crumbs says where the user is: the fleet, the group and the host, and a policy if one was chosen.
func (m *Model) crumbs() string {
	if m.app.Fleet == nil {
		return ""
	}
	parts := []string{"fleet"}
	s := m.selection()
	if len(s.Tags) > 0 {
		parts = append(parts, strings.Join(s.Tags, " "))
	}
	if s.Host != "" {
		parts = append(parts, s.Host)
	}
	text := clean(strings.Join(parts, " "+m.glyphs.into+" "), m.unicode)
	if s.Policy != "" {
		text += clean(" policy "+s.Policy, m.unicode)
	}
	return text
}
