package ui

// helpKeys is the help screen's left part: keys and what they do.
var helpKeys = [][2]string{
	{"?", "this help; any key closes it"},
	{"q  Ctrl-C", "quit"},
	{"Tab  Shift-Tab", "next, previous panel"},
	{"arrows  hjkl", "row and panel"},
	{"PgDn  PgUp", "next, previous page"},
	{"Enter", "open the panel, with bounds and history"},
	{"Esc", "back: panel, filter, minute, view"},
	{"/", "show only rows with this text"},
	{"s", "sort: estimate, name, sure, change"},
	{"w", "window: from a minute to the whole"},
	{"[  ]", "back, forth through finished minutes"},
	{"p  Space", "pause: stop asking the agent"},
	{"d  n  c  o", "DNS, network, capture health, overview"},
	{"y", "copy the row's name (OSC 52)"},
	{"x", "save the window as a JSON file here"},
	{"m", "mouse on, off (off: select text)"},
}

// helpNotes is the right part: what the signs mean. Placeholders: up, down, entry
// and about marks.
func (m *Model) helpNotes() [][2]string {
	g := m.glyphs
	return [][2]string{
		{string(g.up) + " " + string(g.down), "rank rose, fell against the minutes before"},
		{string(g.entry), "was not in the list before"},
		{g.about, "the bounds are wide: see the open panel"},
		{g.least, "at least so many, perhaps many more"},
		{g.plusMinus, "relative error of a count of distinct"},
		{g.none, "not known to this agent, or nothing there"},
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
	half := s.w / 2
	m.blockTitle(s, box{0, 0, headLines, min(s.w, 55), 1}, "Keys", "", "")
	for i, k := range helpKeys {
		y := headLines + 1 + i
		s.put(1, y, 15, style{fg: accent}, k[0])
		s.put(17, y, half-17, style{}, k[1])
	}
	x := max(half, 57)
	if s.w < 100 { // below, as far as there is room
		x = 1
	} else {
		m.blockTitle(s, box{0, x, headLines, s.w - x, 1}, "Signs", "", "")
	}
	for i, n := range m.helpNotes() {
		y := headLines + 1 + i
		if x == 1 {
			y += len(helpKeys) + 1
		}
		if y >= s.h-footLines {
			break
		}
		s.put(x, y, 10, style{fg: accent}, n[0])
		s.put(x+10, y, s.w-x-10, style{}, n[1])
	}
}
