package ui

import "slices"

// helpPage says which page of the help is shown: 1 is the first, and 0 is without help.
type helpPage uint8

const noHelp helpPage = 0

// helpPart is a part of the help.
type helpPart uint8

const (
	keysHelp helpPart = iota
	hubHelp
	signsHelp
)

// bothHelp is the width at which keys and signs fit beside each other, and allHelp the height at which all keys fit below
// each other.
const bothHelp, allHelp = 112, 34

// helpPages returns the parts of each page.
func (m *Model) helpPages() [][]helpPart {
	switch {
	case m.width < bothHelp:
		return [][]helpPart{{keysHelp}, {hubHelp}, {signsHelp}}
	case m.height < allHelp:
		return [][]helpPart{{keysHelp, signsHelp}, {hubHelp}}
	}
	return [][]helpPart{{keysHelp, hubHelp, signsHelp}}
}

// nextHelp returns the help page after a key press.
func (m *Model) nextHelp(key string) helpPage {
	if key == "?" && int(m.help) < len(m.helpPages()) {
		return m.help + 1
	}
	return noHelp
}

// helpKeys lists the keys and what they do.
var helpKeys = [][2]string{
	{"?", "help: keys and signs"},
	{"q  Ctrl-C", "quit"},
	{"Tab  Shift-Tab", "next, previous panel"},
	{"arrows  hjkl", "row and panel"},
	{"PgDn  PgUp", "next, previous page"},
	{"Enter", "open the panel, with bounds and history"},
	{"Esc", "back: panel, filter, time, view, place"},
	{"/", "show only rows with this text"},
	{"s", "sort: estimate, name, sure, change"},
	{"w", "window: from a minute to all minutes"},
	{"[  ]", "back, forward through finished minutes"},
	{"p  Space", "pause: stop asking the agent"},
	{"d  n  c  o", "DNS, network, capture health, overview"},
	{"y", "copy the row's name (OSC 52)"},
	{"x", "save the window as a JSON file here"},
	{"m", "mouse on, off (off: select text)"},
}

// helpHub lists the keys for attacks, changes and fleets.
var helpHub = [][2]string{
	{"A", "attack: who asks for what, on one screen"},
	{"W", "what changed; b: compared with what"},
	{"f", "fleet: Enter goes into a group, then a host"},
	{"Backspace", "up: from a host to its group, to the fleet"},
	{"t", "fleet: by which tag hosts are grouped"},
	{"s", "fleet: sort by missing, rate, errors, drops"},
	{"r", "range: last hour, day, week, or from a time"},
	{"[  ]", "back, forward by the range; Esc: to now"},
	{"P", "policy, if there are several"},
	{"Enter", "in an open table: a row's own summary"},
}

// helpSigns lists the signs in the form that this terminal shows, with their meanings.
func (m *Model) helpSigns() [][2]string {
	g := m.glyphs
	return [][2]string{
		{string(g.up) + " " + string(g.down), "rank rose, fell since the minutes before"},
		{string(g.entry), "was not in the list before"},
		{g.about, "the bounds are wide: see the open panel"},
		{g.least, "at least this many, perhaps many more"},
		{g.plusMinus, "relative error of a distinct count"},
		{g.none, "not reported by this agent, or empty"},
		{"%", "of the deep sample in tables,"},
		{"", "of packets with a direction at In, Out"},
		{"*.zone", "the names that one zone has, as one row"},
		{g.times + "2.0", "twice as much as before, or for a query"},
		{"!2", "hints that queries are spoofed: see the panel"},
		{"Slow", "at or above p90 of the window so far"},
		{"In", "the host is the DNS server"},
		{"Out", "the host is the DNS client"},
		{"Orphans", "responses without a query"},
		{"Timeouts", "queries without a response"},
		{"Deep", "packets that the tables count"},
	}
}

func (m *Model) drawHelp(s *screen) {
	const keysWidth, signsAt = 62, 64
	draw := func(x, y, w, left int, title string, lines [][2]string) {
		m.blockTitle(s, box{0, x, y, w, 1}, title, "", "")
		for i, l := range lines[:min(len(lines), max(s.h-y-footLines-1, 0))] {
			s.put(x+1, y+1+i, left, style{fg: accent}, l[0])
			s.put(x+1+left, y+1+i, w-left-1, style{}, clean(l[1], m.unicode))
		}
	}
	pages := m.helpPages()
	parts := pages[min(int(m.help), len(pages))-1]
	keys, y := helpKeys, headLines
	if len(m.others) > 0 {
		keys = slices.Insert(slices.Clone(keys), 13, [2]string{"a", "sections without their own screen"})
	}
	for _, part := range parts {
		switch part {
		case keysHelp:
			draw(0, y, min(s.w, keysWidth), 16, "Keys", keys)
			y += len(keys) + 2
		case hubHelp:
			draw(0, y, min(s.w, keysWidth), 16, "Attacks, changes and fleets", helpHub)
		case signsHelp:
			x := 0
			if len(parts) > 1 {
				x = signsAt
			}
			draw(x, headLines, s.w-x, 10, "Signs", m.helpSigns())
		}
	}
}
