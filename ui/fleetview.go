package ui

import (
	"fmt"
	"math"
	"strings"

	"pktvisor/api"
)

// fleetColumn is a column of the fleet view.
type fleetColumn struct {
	head  string
	width int
	least int // the width of the screen from which it is shown
	cell  func(m *Model, r *fleetRow) (string, tone)
}

// fleetColumns are the columns after the name, for groups and hosts alike.
var fleetColumns = []fleetColumn{
	{"DNS/s", 8, 0, func(_ *Model, r *fleetRow) (string, tone) { return rateText(r.rates.dns), plain }},
	{"pkts/s", 8, 74, func(_ *Model, r *fleetRow) (string, tone) { return rateText(r.rates.packets), plain }},
	{"change", 8, 66, func(m *Model, r *fleetRow) (string, tone) { return timesText(r.change(), m.glyphs) }},
	{"errors", 8, 0, func(_ *Model, r *fleetRow) (string, tone) {
		e := r.errors()
		if !e.Known {
			return "", plain
		}
		return strings.TrimSpace(percent(e.Value)), severity(e.Value, srvfailWarn, srvfailBad)
	}},
	{"NX", 8, 92, func(_ *Model, r *fleetRow) (string, tone) {
		x := &r.rates
		return strings.TrimSpace(share(x.nx, x.replies)), severity(ratio(x.nx, x.replies), nxdomainWarn, nxdomainBad)
	}},
	{"SERVFAIL", 9, 130, func(_ *Model, r *fleetRow) (string, tone) {
		x := &r.rates
		return strings.TrimSpace(share(x.srv, x.replies)), severity(ratio(x.srv, x.replies), srvfailWarn, srvfailBad)
	}},
	{"timeouts", 9, 130, func(_ *Model, r *fleetRow) (string, tone) {
		x := &r.rates
		all := api.N(x.replies.Value + x.timeout.Value)
		return strings.TrimSpace(share(x.timeout, all)), severity(ratio(x.timeout, all), timeoutWarn, timeoutBad)
	}},
	{"p95 ms", 8, 112, func(_ *Model, r *fleetRow) (string, tone) { return millis(r.rates.p95), plain }},
	{"drops 1h", 9, 0, func(m *Model, r *fleetRow) (string, tone) {
		text := count(r.lost, 7)
		switch {
		case r.part && text != "":
			return m.glyphs.least + text, bad
		case r.lost.Value > 0:
			return text, bad
		}
		return text, dim
	}},
	{"lag s", 6, 48, func(_ *Model, r *fleetRow) (string, tone) {
		if r.lag.Value >= 30 {
			return count(r.lag, 5), warn
		}
		return count(r.lag, 5), dim
	}},
	{"version", 9, 66, func(m *Model, r *fleetRow) (string, tone) {
		if r.host == nil {
			return m.versionsOf(r.key), dim
		}
		return m.version(r.host.Agent), dim
	}},
	{"gaps", 6, 140, func(_ *Model, r *fleetRow) (string, tone) {
		if r.host == nil {
			return "", plain
		}
		if r.host.MissingMinutes.Value > 0 {
			return count(r.host.MissingMinutes, 5), warn
		}
		return count(r.host.MissingMinutes, 5), dim
	}},
}

// versionsOf returns the version that all hosts of a group have, or how many they have.
func (m *Model) versionsOf(tag string) string {
	key, value, _ := strings.Cut(tag, "=")
	found := map[string]bool{}
	one := ""
	for i := range m.hosts.state.Hosts {
		if h := &m.hosts.state.Hosts[i]; tag != "" && h.Tags[key] == value && h.Agent != "" {
			found[h.Agent], one = true, h.Agent
		}
	}
	if len(found) > 1 {
		return fmt.Sprintf("%d kinds", len(found))
	}
	return m.version(one)
}

// version returns the version of an agent without the name of its program.
func (m *Model) version(agent string) string {
	return fit(clean(agent[strings.LastIndexByte(agent, ' ')+1:], m.unicode), 8, m.glyphs.ellipsis)
}

// rateText writes a rate per second, or "" if it is not known.
func rateText(v float64) string {
	switch {
	case !finite(v):
		return ""
	case v > 0 && v < 9.95:
		return fmt.Sprintf("%.1f", v)
	}
	return count(api.N(v), 7)
}

// timesText writes by which factor something has changed. A factor of more than 1.5 in either direction is marked.
func timesText(n api.Number, g *glyphs) (string, tone) {
	if !n.Known || n.Value < 0 {
		return "", plain
	}
	t := dim
	if n.Value >= 1.5 || n.Value <= 1/1.5 {
		t = fresh
	}
	switch v := min(n.Value, 9999); {
	case v >= 99.5:
		return fmt.Sprintf("%s%.0f", g.times, v), t
	case v >= 9.95:
		return fmt.Sprintf("%s%.1f", g.times, v), t
	default:
		return fmt.Sprintf("%s%.2f", g.times, v), t
	}
}

// stateWidth is the width of the state of a host, or of the number of hosts of a group.
const stateWidth = 9

// drawFleet lists the groups of the fleet, or the hosts of a group.
func (m *Model) drawFleet(s *screen, b box) {
	rows := m.fleetRows()
	m.panelTitle(s, b, m.fleetTitle(), m.fleetCount(rows), true)
	name := b.w - stateWidth - 1
	var columns []fleetColumn
	for _, c := range fleetColumns {
		if s.w >= c.least {
			columns = append(columns, c)
			name -= c.width
		}
	}
	note := 0
	if longest := 32; name > longest+20 {
		name, note = longest, name-longest
	}
	y := b.y + 1
	heads := style{fg: dim}
	s.put(b.x, y, stateWidth, heads, map[bool]string{true: "state", false: "hosts up"}[m.lists()])
	s.put(b.x+stateWidth, y, name, heads, map[bool]string{true: "host", false: clean(m.hosts.by, m.unicode)}[m.lists()])
	x := b.x + stateWidth + name
	for _, c := range columns {
		s.right(x, y, c.width, heads, c.head)
		x += c.width
	}
	if note > 0 {
		s.put(x+2, y, note-2, heads, "what is wrong, and tags")
	}
	room := b.h - 2 - fleetDetail
	first := firstShown(true, m.row, len(rows), room)
	for i := first; i < len(rows) && i < first+room; i++ {
		r, y := &rows[i], b.y+2+i-first
		m.drawState(s, b.x, y, r)
		st := style{}
		if r.rank() < 2 {
			st.fg = bad
		}
		s.put(b.x+stateWidth, y, name-1, st, fit(r.label, name-1, m.glyphs.ellipsis))
		x := b.x + stateWidth + name
		for _, c := range columns {
			text, tone := c.cell(m, r)
			m.cell(s, x, y, c.width, text, style{fg: tone})
			x += c.width
		}
		if note > 0 {
			at := s.put(x+2, y, note-2, style{fg: warn}, m.head(r.problems, note-2))
			if r.problems != "" {
				at += 2
			}
			if room := x + note - at; room > 8 {
				s.put(at, y, room, style{fg: dim}, m.head(m.tagsText(r), room))
			}
		}
		if i == m.row {
			s.shade(b.x, y, b.w, chosen)
		}
	}
	m.drawFleetDetail(s, b, rows)
}

// fleetDetail is how many lines below the list are about the chosen row.
const fleetDetail = 2

// drawFleetDetail says what is wrong with the chosen row, and what it is.
func (m *Model) drawFleetDetail(s *screen, b box, rows []fleetRow) {
	y := b.y + b.h - fleetDetail
	if wait := m.hosts.text(m, "the fleet"); wait != "" && (!m.hosts.have || m.hosts.problem != "") {
		s.put(b.x+1, b.y+2, b.w-1, style{fg: warn}, m.head(wait, b.w-2))
		return
	}
	if m.row >= len(rows) {
		s.put(b.x+1, b.y+2, b.w, style{fg: faint}, "no host")
		return
	}
	r := &rows[m.row]
	lines := []string{r.label}
	if r.problems != "" {
		lines[0] += ": " + r.problems
	}
	if r.host != nil {
		text := m.version(r.host.Agent) + "  " + m.tagsText(r)
		if u := clean(r.host.URL, m.unicode); u != "" {
			text += "  " + u
		}
		lines = append(lines, strings.TrimSpace(text))
	} else if r.key == "" {
		lines = append(lines, "press t for every host in one list")
	}
	if p := m.hosts.rating.problem; p != "" {
		lines = append(lines[:1], "no rates: "+clean(p, m.unicode))
	}
	tones := []tone{plain, dim}
	if r.rank() < 3 {
		tones[0] = warn
	}
	for i, text := range lines {
		s.put(b.x+1, y+i, b.w-2, style{fg: tones[i]}, m.head(text, b.w-2))
	}
}

// drawState draws the state of a host, or how many hosts of a group are up.
func (m *Model) drawState(s *screen, x, y int, r *fleetRow) {
	if r.host != nil {
		state := map[api.HostState]struct {
			mark rune
			tone tone
		}{api.HostUp: {m.glyphs.live, good}, api.HostLate: {m.glyphs.wait, warn}}[r.host.State]
		if state.mark == 0 {
			state.mark, state.tone = m.glyphs.away, bad
		}
		s.put(x, y, stateWidth-1, style{fg: state.tone, bold: true}, fmt.Sprintf("%c %s", state.mark, clean(string(r.host.State), m.unicode)))
		return
	}
	mark, t := m.glyphs.live, good
	switch r.rank() {
	case 0:
		mark, t = m.glyphs.away, bad
	case 1:
		mark, t = m.glyphs.wait, warn
	}
	s.put(x, y, stateWidth-1, style{fg: t, bold: true}, fmt.Sprintf("%c %d/%d", mark, max(r.hosts-r.away-r.late, 0), r.hosts))
}

func (m *Model) fleetTitle() string {
	switch {
	case m.place.group != "":
		return "Hosts of " + clean(m.place.group, m.unicode)
	case m.lists():
		return "Hosts"
	}
	return "Fleet by " + clean(m.hosts.by, m.unicode)
}

// fleetCount says how many hosts are missing in the whole fleet.
func (m *Model) fleetCount(rows []fleetRow) string {
	if !m.hosts.have {
		return ""
	}
	c := &m.hosts.state.Count
	text := fmt.Sprintf("%s up, %s late, %s away of %s hosts", count(c.Up, 6), count(c.Late, 6), count(c.Away, 6), count(c.Total, 6))
	if m.filter != "" {
		text = fmt.Sprintf("%d match", len(rows))
	}
	if n := m.hosts.state.Selected.Value - float64(len(m.hosts.state.Hosts)); n > 0 && m.lists() {
		text = fmt.Sprintf("%.0f hosts that are up are not listed, ", math.Min(n, 1e9)) + text
	}
	return text
}
