package ui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// policyState returns the policy that is shown, or nil if the agent does not say which it is.
func (m *Model) policyState() *api.PolicyState {
	name, list := m.selection().Policy, m.app.Policies
	for i := range list {
		if list[i].Name == name || name == "" && (list[i].Name == defaultPolicy || len(list) == 1) {
			return &list[i]
		}
	}
	return nil
}

// follows reports whether the policy that is shown follows keys of a table.
func (m *Model) follows(t *table) bool {
	p := m.policyState()
	return p != nil && p.ForEach != nil && t != nil && p.ForEach.Top == t.path && m.place.key == "" && m.of != nil
}

// followedKey returns the followed key of a row, or "". A row of a table of last labels begins with a dot if labels were cut off; its key
// does not.
func (m *Model) followedKey(r row) string {
	p, tap := m.policyState(), m.selection().Tap
	if p == nil {
		return ""
	}
	if tap == "" && len(p.Windows) > 0 {
		tap = p.Windows[0].Tap
	}
	for _, k := range p.Keys {
		if k.Tap == tap && (k.Key == r.raw || k.Key == strings.TrimPrefix(strings.ToLower(r.raw), ".")) {
			return k.Key
		}
	}
	return ""
}

// intoKey shows the summary of the chosen row of an open panel. It reports whether the panel is that of a table whose keys are
// followed.
func (m Model) intoKey() (tea.Model, tea.Cmd, bool) {
	p, rows := m.current()
	if !m.open || p.kind != tablePanel || !m.follows(p.table) || m.row >= len(rows) {
		return m, nil, false
	}
	r := rows[m.row]
	key := m.followedKey(r)
	if key == "" {
		return m.say(r.name + " is not among the keys that are followed now"), nil, true
	}
	to, row := m.place, m.row
	to.key = key
	m.cameFrom, m.notice = row, ""
	next, cmd := m.moveTo(to)
	return next, cmd, true
}

// outOfKey shows the table again from whose row the user has come.
func (m Model) outOfKey() (Model, tea.Cmd) {
	to := m.place
	to.key = ""
	m, cmd := m.moveTo(to)
	m.open, m.row = true, m.cameFrom
	return m, cmd
}
