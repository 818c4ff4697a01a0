package ui

import "slices"

// helpPage says which part of the help is shown, if any.
type helpPage uint8

const (
	noHelp helpPage = iota
	keysHelp
	signsHelp
)

// bothHelp is the width at which keys and signs fit beside each other.
const bothHelp = 108

// next returns the help page after a key press. It is the second page if keys and signs do not fit beside each other.
func (h helpPage) next(key string, width int) helpPage {
	if key == "?" && h == keysHelp && width < bothHelp {
		return signsHelp
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
	{"Esc", "back: panel, filter, minute, view"},
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
		{"Slow", "at or above p90 of the window so far"},
		{"In", "the host is the DNS server"},
		{"Out", "the host is the DNS client"},
		{"Orphans", "responses without a query"},
		{"Timeouts", "queries without a response"},
		{"Deep", "packets that the tables count"},
	}
}

func (m *Model) drawHelp(s *screen) {
	const keysWidth, signsAt = 56, 58
	draw := func(x, w, left int, title string, lines [][2]string) {
		m.blockTitle(s, box{0, x, headLines, w, 1}, title, "", "")
		for i, l := range lines[:min(len(lines), s.h-headLines-footLines-1)] {
			y := headLines + 1 + i
			s.put(x+1, y, left, style{fg: accent}, l[0])
			s.put(x+1+left, y, w-left-1, style{}, l[1])
		}
	}
	both := s.w >= bothHelp
	if both || m.help == keysHelp {
		keys := helpKeys
		if len(m.others) > 0 {
			keys = slices.Insert(slices.Clone(keys), 13, [2]string{"a", "sections without their own screen"})
		}
		draw(0, min(s.w, keysWidth), 16, "Keys", keys)
	}
	if both {
		draw(signsAt, s.w-signsAt, 10, "Signs", m.helpSigns())
	} else if m.help == signsHelp {
		draw(0, s.w, 10, "Signs", m.helpSigns())
	}
}
