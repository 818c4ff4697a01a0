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
		m.help = m.help.next(key, m.width)
		return m, nil
	}
	if next, ok := m.onMove(key); ok {
		return next, nil
	}
	switch key {
	case "q":
		return m, tea.Quit
	case "?":
		m.help = keysHelp
	case "esc":
		switch {
		case m.open:
			m.open = false
		case m.filter != "":
			m.filter, m.row = "", 0
		case m.pinned != 0:
			m.pinned = 0
		default:
			m = m.goTo(overview)
		}
	case "enter":
		m = m.enter()
	case "/":
		m.typing = true
	case "s":
		m.sort = (m.sort + 1) % sortKeys
		m.row = 0
		m = m.say("sorted by " + m.sort.String())
	case "w":
		return m.changeWindow()
	case "[":
		m = m.step(1)
	case "]":
		m = m.step(-1)
	case "p", "space":
		m.paused = !m.paused
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
	case "m":
		m.mouse = !m.mouse
		m = m.say(map[bool]string{true: "mouse on", false: "mouse off: the terminal selects text"}[m.mouse])
	case "y":
		return m.copyRow()
	case "x":
		if !m.have {
			return m.say("nothing to save yet"), nil
		}
		return m, m.save()
	}
	return m, nil
}

// enter opens the panel with the focus, or goes to the chosen minute.
func (m Model) enter() Model {
	if p, _ := m.current(); p.kind == minutesPanel && m.row < len(m.minutes) {
		m.pinned = m.minutes[m.row].start
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

func (m Model) goTo(v viewID) Model {
	m.view, m.row, m.open = v, 0, false
	m.focus[v] = min(m.focus[v], len(m.panels())-1)
	return m
}

// copyRow copies the name of the chosen row to the clipboard (OSC 52). The name is cleaned, because it may be pasted
// into a shell.
func (m Model) copyRow() (tea.Model, tea.Cmd) {
	_, rows := m.current()
	if m.row >= len(rows) {
		return m.say("no row to copy here"), nil
	}
	name := rows[m.row].plain
	return m.say("copied " + name), tea.SetClipboard(name)
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
	if m.help != noHelp {
		m.help = noHelp
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
	row := at.Y - box.y - n.headLines() + firstShown(focused, m.row, m.lines(), box.h-n.headLines())
	if focused && (row == m.row || at.Y == box.y) {
		return m.enter(), nil
	}
	if row >= 0 && row < n.lines() {
		n.row = row
	}
	return n, nil
}

// headLines returns how many lines the panel with the focus has above its first row.
func (m *Model) headLines() int {
	if p, _ := m.current(); p.kind == minutesPanel {
		return 2
	}
	return 1
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
