package ui

import (
	"fmt"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// menu is a list from which the user chooses one item. It replaces the panels while it is shown.
type menu struct {
	kind   menuKind
	title  string
	items  []item
	at     int
	typing bool // the user types the text of the chosen item
	text   string
	wrong  string // what is wrong with the text
}

type menuKind uint8

const (
	noMenu menuKind = iota
	rangeMenu
	policyMenu
	keyMenu
	baseMenu
)

// item is a line of a menu.
type item struct {
	label string // cleaned
	note  string // cleaned
	// more follows the note as far as there is room. It is cleaned.
	more  []string
	value string // as the agent sent it
	typed bool   // choosing it asks for a text
}

// notes returns the note, and what follows it in w cells.
func (it *item) notes(w int) string {
	text := it.note
	for _, one := range it.more {
		if text != "" {
			one = ", " + one
		}
		if text != "" && textWidth(text+one) > w {
			break
		}
		text += one
	}
	return text
}

// maxTyped bounds a typed text, in bytes.
const maxTyped = 64

// choose opens a menu. The item with the given value is chosen first.
func (m Model) choose(kind menuKind, title string, items []item, value string) Model {
	m.menu = menu{kind: kind, title: title, items: items}
	for i := range items {
		if items[i].value == value {
			m.menu.at = i
			break
		}
	}
	return m
}

// onMenuKey handles a key press while a menu is shown.
func (m Model) onMenuKey(key, text string) (tea.Model, tea.Cmd) {
	n := &m.menu
	if n.typing {
		return m.onMenuText(key, text)
	}
	page := max(1, m.height-headLines-footLines-2)
	switch key {
	case "esc", "backspace", "q":
		m.menu = menu{}
	case "down", "j", "tab":
		n.at++
	case "up", "k", "shift+tab":
		n.at--
	case "home", "g":
		n.at = 0
	case "end", "G":
		n.at = len(n.items) - 1
	case "pgdown", "ctrl+f":
		n.at += page
	case "pgup", "ctrl+b":
		n.at -= page
	case "enter", "space":
		if n.at < len(n.items) && n.items[n.at].typed {
			n.typing = true
			return m, nil
		}
		return m.chosen()
	}
	n.at = max(0, min(n.at, len(n.items)-1))
	return m, nil
}

// onMenuText handles a key press while the text of an item is typed.
func (m Model) onMenuText(key, text string) (tea.Model, tea.Cmd) {
	n := &m.menu
	switch key {
	case "esc":
		n.typing, n.text, n.wrong = false, "", ""
	case "enter":
		return m.chosen()
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(n.text)
		n.text = n.text[:len(n.text)-size]
	case "ctrl+u", "ctrl+w":
		n.text = ""
	default:
		if text = clean(text, false); len(n.text)+len(text) <= maxTyped {
			n.text += text
		}
	}
	return m, nil
}

// chosen applies the chosen item and closes the menu.
func (m Model) chosen() (tea.Model, tea.Cmd) {
	n := m.menu
	if n.at >= len(n.items) {
		m.menu = menu{}
		return m, nil
	}
	if n.kind == rangeMenu {
		return m.choseRange(n.items[n.at], n.text)
	}
	m.menu = menu{}
	value := n.items[n.at].value
	switch n.kind {
	case policyMenu:
		return m.chosePolicy(value)
	case keyMenu:
		return m.choseKey(value)
	case baseMenu:
		m.changed = changed{base: value, sort: m.changed.sort}
		m.row = 0
	}
	return m, nil
}

// drawMenu draws the menu in the place of the panels.
func (m *Model) drawMenu(s *screen) {
	n := &m.menu
	b := box{0, 0, headLines, s.w, s.h - headLines - footLines}
	m.panelTitle(s, b, n.title, fmt.Sprintf("%d", len(n.items)), false)
	first := firstShown(true, n.at, len(n.items), b.h-1)
	label := 0
	for _, i := range n.items {
		label = max(label, textWidth(i.label))
	}
	label = min(label+3, s.w*2/3)
	for i := first; i < len(n.items) && i < first+b.h-1; i++ {
		it, y := n.items[i], b.y+1+i-first
		s.put(2, y, label-1, style{}, fit(it.label, label-2, m.glyphs.ellipsis))
		s.put(2+label, y, s.w-label-3, style{fg: dim}, m.head(it.notes(s.w-label-3), s.w-label-3))
		if i != n.at {
			continue
		}
		if n.typing {
			s.fill(2+label, y, s.w-label-2, style{}, ' ')
			x := s.put(2+label, y, s.w-label-4, style{fg: accent, bold: true}, n.text)
			x = s.put(x, y, 1, style{bg: chosen}, " ") + 1
			s.put(x, y, s.w-x-1, style{fg: bad}, n.wrong)
			continue
		}
		s.shade(0, y, s.w, chosen)
	}
}
