package ui

import (
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// maxFilter bounds the filter, in bytes.
const maxFilter = 128

// onKey handles a key press.
func (m Model) onKey(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	key := k.String()
	switch {
	case key == "ctrl+c":
		return m, tea.Quit
	case key == "ctrl+z":
		return m, tea.Suspend
	case m.typing:
		return m.onFilterKey(key, k.Text), nil
	case m.help != noHelp:
		m.help = m.nextHelp(key)
		return m, nil
	case m.menu.kind != noMenu:
		return m.onMenuKey(key, k.Text)
	}
	if next, ok := m.onMove(key); ok {
		return next, nil
	}
	switch key {
	case "q":
		return m, tea.Quit
	case "?":
		m.help = 1
	case "esc":
		return m.onEsc()
	case "backspace":
		if m.open {
			m.open = false
			return m, nil
		}
		return m.back()
	case "enter":
		switch m.view {
		case fleetView:
			return m.into()
		case changesView:
			return m.openChange(), nil
		}
		if next, cmd, ok := m.intoKey(); ok {
			return next, cmd
		}
		m = m.enter()
	case "/":
		m.typing = true
	case "s":
		m = m.nextSort()
	case "w":
		return m.changeWindow()
	case "[", "]":
		by := map[string]int{"[": 1, "]": -1}[key]
		if m.history.on() {
			return m.stepRange(int64(by))
		}
		m = m.step(by).otherTime()
	case "p", "space":
		m.paused = !m.paused
	case "m":
		m.mouse = !m.mouse
		m = m.say(map[bool]string{true: "mouse on", false: "mouse off: the terminal selects text"}[m.mouse])
	case "y":
		return m.copyRow()
	case "x":
		if s, _ := m.shown(); len(s.Raw) == 0 {
			return m.say("nothing to save yet"), nil
		}
		return m, m.save()
	default:
		return m.onViewKey(key)
	}
	return m, nil
}

// onEsc goes back by one step.
func (m Model) onEsc() (tea.Model, tea.Cmd) {
	switch {
	case m.open:
		m.open = false
	case m.filter != "":
		m.filter, m.row = "", 0
	case m.pinned != 0:
		m.pinned = 0
		m = m.otherTime()
	case m.history.on():
		m.history = history{}
		m = m.otherTime()
	default:
		return m.back()
	}
	return m, nil
}

// enter opens the panel with the focus, or goes to the chosen minute.
func (m Model) enter() Model {
	if p, _ := m.current(); p.kind == minutesPanel && m.row < len(m.minutes) {
		m.pinned, m.history = m.minutes[m.row].start, history{}
		return m.goTo(overview)
	}
	m.open = !m.open
	return m
}

// toggle shows the view v, or the overview if v is already shown.
func (m Model) toggle(v viewID) Model {
	if m.view == v {
		v = overview
	}
	return m.goTo(v)
}

// back goes to the overview, and from there up in a hub's fleet.
func (m Model) back() (tea.Model, tea.Cmd) {
	if m.place.key != "" {
		return m.outOfKey()
	}
	if next, cmd, ok := m.up(); ok {
		return next, cmd
	}
	return m.goTo(overview), nil
}

// onViewKey handles the keys that lead to other views, times and parts of a fleet.
func (m Model) onViewKey(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "d":
		m = m.toggle(dnsView)
	case "n":
		m = m.toggle(networkView)
	case "c":
		m = m.toggle(healthView)
	case "o":
		m = m.goTo(overview)
	case "a":
		if len(m.others) > 0 {
			m = m.toggle(otherView)
		}
	case "f":
		if m.app.Fleet == nil {
			return m.say("an agent is one host: a hub has a fleet"), nil
		}
		m = m.toggle(fleetView)
	case "W":
		m = m.toggle(changesView)
		m.wantFleet = m.app.Fleet != nil && !m.hosts.have // to choose what to compare with
	case "A":
		m = m.toggle(attackView)
	case "r":
		return m.openRanges(), nil
	case "P":
		return m.openPolicies()
	case "t":
		if m.view == fleetView && m.hosts.have {
			return m.openKeys(), nil
		}
	case "b":
		if m.view == changesView {
			return m.openBases(), nil
		}
	}
	m, cmds := m.askExtras()
	return m, tea.Batch(cmds...)
}

// nextSort switches to the next order of the rows.
func (m Model) nextSort() Model {
	m.row = 0
	switch m.view {
	case fleetView:
		m.hosts.sort = (m.hosts.sort + 1) % fleetSorts
	case changesView:
		m.changed.sort = (m.changed.sort + 1) % changeSorts
	default:
		m.sort = (m.sort + 1) % sortKeys
	}
	return m.say("sorted by " + m.sortText())
}

// sortText names the order of the rows of the view.
func (m *Model) sortText() string {
	switch m.view {
	case fleetView:
		return m.hosts.sort.String()
	case changesView:
		return m.changed.sort.String()
	}
	return m.sort.String()
}

func (m Model) goTo(v viewID) Model {
	m.view, m.row, m.open = v, 0, false
	m.focus[v] = min(m.focus[v], len(m.panels())-1)
	return m
}

// copyRow copies the name of the chosen row to the clipboard (OSC 52). The name is cleaned, because it may be pasted
// into a shell.
func (m Model) copyRow() (tea.Model, tea.Cmd) {
	name, ok := m.rowName()
	if !ok {
		return m.say("no row to copy here"), nil
	}
	return m.say("copied " + name), tea.SetClipboard(name)
}

// rowName returns the name of the chosen row, cleaned.
func (m *Model) rowName() (string, bool) {
	p, rows := m.current()
	switch p.kind {
	case fleetPanel:
		if rows := m.fleetRows(); m.row < len(rows) {
			return rows[m.row].label, true
		}
	case changesPanel:
		if list := m.differences(); m.row < len(list) {
			return list[m.row].plain, true
		}
	default:
		if m.row < len(rows) {
			return rows[m.row].plain, true
		}
	}
	return "", false
}

// onFilterKey handles a key press while the filter is typed.
func (m Model) onFilterKey(key, text string) Model {
	switch key {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	case "ctrl+u", "ctrl+w":
		m.filter = ""
	default:
		return m.typed(text)
	}
	m.row = 0
	return m
}

// typed adds text to the filter.
func (m Model) typed(text string) Model {
	text = clean(strings.Join(strings.Fields(text), " "), m.unicode)
	if len(m.filter)+len(text) <= maxFilter {
		m.filter += text
	}
	m.row = 0
	return m
}

// onMove handles the keys that move the focus, and reports whether key is one of them.
func (m Model) onMove(key string) (Model, bool) {
	ps := m.panels()
	switch key {
	case "tab":
		return m.focusOn((m.focus[m.view]+1)%len(ps), 0), true
	case "shift+tab":
		return m.focusOn((m.focus[m.view]+len(ps)-1)%len(ps), 0), true
	case "left", "h":
		return m.sideways(-1), true
	case "right", "l":
		return m.sideways(1), true
	case "down", "j":
		return m.vertical(1), true
	case "up", "k":
		return m.vertical(-1), true
	case "home", "g":
		m.row = 0
	case "end", "G":
		m.row = max(0, m.lines()-1)
	case "pgdown", "ctrl+f", "pgup", "ctrl+b":
		by := 1
		if key == "pgup" || key == "ctrl+b" {
			by = -1
		}
		return m.turnPage(by), true
	default:
		return m, false
	}
	return m, true
}

// focusOn moves the focus to panel i.
func (m Model) focusOn(i, row int) Model {
	m.focus[m.view], m.row = i, row
	return m
}

// sideways moves the focus to the next or previous panel.
func (m Model) sideways(by int) Model {
	i := m.focus[m.view] + by
	if i < 0 || i >= len(m.panels()) {
		return m
	}
	row := m.row
	if m.open {
		row = 0
	}
	m = m.focusOn(i, row)
	m.row = min(m.row, max(0, m.lines()-1))
	return m
}

// vertical moves the chosen row. Beyond a panel's last row it continues in the panel below, and above the first row in
// the panel above.
func (m Model) vertical(by int) Model {
	last := m.lines() - 1
	p := m.plan()
	to := m.row + by
	switch {
	case to >= 0 && to <= last:
		m.row = to
	case m.open:
	case by > 0:
		if i := m.focus[m.view] + p.cols; i < len(m.panels()) {
			return m.focusOn(i, 0)
		}
	default:
		if i := m.focus[m.view] - p.cols; i >= 0 {
			m = m.focusOn(i, 0)
			m.row = max(0, m.lines()-1)
		}
	}
	return m
}

// turnPage goes to the first panel of the next or previous page. In an open panel, it moves by one screen.
func (m Model) turnPage(by int) Model {
	if m.open {
		m.row = max(0, min(m.row+m.openRows()*by, m.lines()-1))
		return m
	}
	p := m.plan()
	at := p.page + by
	if at < 0 || at >= len(p.pages) {
		return m
	}
	return m.focusOn(p.pages[at], 0)
}

// onClick chooses what is under the mouse. A second click opens it.
func (m Model) onClick(at tea.Mouse) (tea.Model, tea.Cmd) {
	if at.Button != tea.MouseLeft {
		return m, nil
	}
	if m.help != noHelp || m.menu.kind != noMenu {
		m.help, m.menu = noHelp, menu{}
		return m, nil
	}
	if m.open {
		p, rows := m.current()
		row := at.Y - openTop + m.openFirst()
		switch {
		case at.Y < headLines+1:
			m.open = false // a click on a title goes back
		case p.kind == tablePanel && row >= 0 && row < len(rows):
			m.row = row
		}
		return m, nil
	}
	p := m.plan()
	box, ok := p.at(at.X, at.Y)
	if !ok {
		return m, nil
	}
	focused := box.panel == m.focus[m.view]
	n := m.focusOn(box.panel, 0)
	room := box.h - n.headLines() - n.detailLines()
	row := at.Y - box.y - n.headLines() + firstShown(focused, m.row, m.lines(), room)
	if at.Y-box.y-n.headLines() >= room {
		if focused {
			n.row = m.row
		}
		return n, nil // below the rows
	}
	if focused && (row == m.row || at.Y == box.y) {
		return m.onKey(tea.KeyPressMsg{Code: tea.KeyEnter})
	}
	if row >= 0 && row < n.lines() {
		n.row = row
	}
	return n, nil
}

// headLines returns how many lines the panel with the focus has above its first row.
func (m *Model) headLines() int {
	if p, _ := m.current(); p.kind == minutesPanel || p.kind == fleetPanel || p.kind == changesPanel {
		return 2
	}
	return 1
}

// detailLines returns how many lines of the panel with the focus are about the chosen row, below the rows.
func (m *Model) detailLines() int {
	if p, _ := m.current(); p.kind == fleetPanel || p.kind == changesPanel {
		return fleetDetail
	}
	return 0
}

// onWheel turns pages. If there is only one page, it moves the chosen row of the panel under the mouse.
func (m Model) onWheel(at tea.Mouse) Model {
	by := 1
	switch at.Button {
	case tea.MouseWheelUp:
		by = -1
	case tea.MouseWheelDown:
	default:
		return m
	}
	p := m.plan()
	switch box, ok := p.at(at.X, at.Y); {
	case m.open:
	case len(p.pages) > 1:
		return m.turnPage(by)
	case !ok:
		return m
	case box.panel != m.focus[m.view]:
		return m.focusOn(box.panel, 0)
	}
	m.row = max(0, min(m.row+by, m.lines()-1))
	return m
}
