package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// View draws the state.
func (m Model) View() tea.View {
	v := tea.NewView(m.draw().render(m.theme))
	v.AltScreen = true
	v.WindowTitle = "pktvisor " + clean(m.agent.Host(), false)
	if m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

// The smallest screen on which the UI draws more than an error.
const leastWidth, leastHeight = 40, 8

func (m *Model) draw() *screen {
	s := newScreen(m.width, m.height)
	if m.width < leastWidth || m.height < leastHeight {
		s.put(0, 0, s.w, style{}, fmt.Sprintf("%dx%d: too small", m.width, m.height))
		return s
	}
	p := m.plan()
	m.drawTitle(s, &p)
	m.drawStatus(s)
	switch {
	case m.help != noHelp:
		m.drawHelp(s)
	case m.menu.kind != noMenu:
		m.drawMenu(s)
	case m.refusedText() != "":
		m.drawRefusal(s)
	case m.open:
		m.drawOpen(s)
	default:
		m.drawPlan(s, &p)
	}
	m.drawKeys(s, &p)
	return s
}

func (m *Model) drawPlan(s *screen, p *plan) {
	ids := m.blocks()
	for _, b := range p.blocks {
		m.block(s, ids[b.panel], b)
	}
	if p.strip {
		m.drawStrip(s, headLines)
	}
	ps := m.panels()
	for _, b := range p.boxes {
		m.drawPanel(s, ps[b.panel], b, b.panel == m.focus[m.view])
	}
}

func (m *Model) drawPanel(s *screen, p panel, b box, focused bool) {
	switch p.kind {
	case tablePanel:
		m.drawTable(s, p, b, focused)
	case trafficPanel:
		m.drawTraffic(s, b, focused)
	case minutesPanel:
		m.drawMinutes(s, b, focused)
	case factsPanel:
		m.drawFacts(s, b, focused)
	case blockPanel:
		m.drawBlockPanel(s, p, b, focused)
	case numbersPanel:
		m.drawNumbers(s, p, b, focused)
	case spreadsPanel:
		m.drawSpreads(s, p, b, focused)
	case fleetPanel:
		m.drawFleet(s, b)
	case changesPanel:
		m.drawChanges(s, b)
	case attackPanel:
		m.drawAttack(s, b, focused)
	}
}

// drawBlockPanel draws a block of counters in its own panel, as much of it as fits.
func (m *Model) drawBlockPanel(s *screen, p panel, b box, focused bool) {
	whole := newScreen(b.w, blockHeight)
	m.block(whole, p.block, box{0, 0, 0, whole.w, whole.h})
	for y := range min(b.h, whole.h) {
		copy(s.cells[(b.y+y)*s.w+b.x:][:whole.w], whole.cells[y*whole.w:])
	}
	if focused {
		s.shade(b.x, b.y, textWidth(p.title), chosen)
	}
}

// drawTable draws a top table: change mark, name, estimate, share and, if they fit, the bounds.
func (m *Model) drawTable(s *screen, p panel, b box, focused bool) {
	rows := m.rowsOf(p)
	right := ""
	if m.filter != "" {
		right = fmt.Sprintf("%d match", len(rows))
	}
	m.panelTitle(s, b, p.title, right, focused)
	if len(rows) == 0 {
		s.put(b.x+1, b.y+1, b.w, style{fg: faint}, m.glyphs.none)
		return
	}
	const shares = 7
	first := firstShown(focused, m.row, len(rows), b.h-1)
	rows = rows[first:min(len(rows), first+b.h-1)]
	most := 8 + (b.w-minColumn)/4
	texts, estimate := make([]string, len(rows)), 0
	for i, r := range rows {
		texts[i] = m.estimate(p.table, r, most-1)
		estimate = max(estimate, textWidth(texts[i])+1)
	}
	name := b.w - estimate - shares - 1
	for i, r := range rows {
		y := b.y + 1 + i
		m.drawTrend(s, b.x, y, r.trend)
		st := style{fg: p.table.rowTone(r)}
		s.put(b.x+1, y, name, st, r.fitName(name, m.glyphs.ellipsis))
		m.cell(s, b.x+1+name, y, estimate, texts[i], st)
		if st.fg == plain {
			st.fg = dim
		}
		s.right(b.x+b.w-shares, y, shares, st, r.share)
		if focused && first+i == m.row {
			s.shade(b.x, y, b.w, chosen)
		}
	}
}

// firstShown returns the first of n lines to show in h lines, so that the chosen line is visible.
func firstShown(focused bool, chosenLine, n, h int) int {
	if !focused {
		return 0
	}
	return max(0, min(chosenLine, n-1)-max(h, 1)+1)
}

// estimate writes the estimate of a row in w cells. A number that may be inaccurate carries a mark. If the true value
// may be less than half of it, the lower bound is shown instead.
func (m *Model) estimate(t *table, r row, w int) string {
	n, mark := r.est, ""
	switch r.doubt() {
	case atLeast:
		n, mark = r.lower, m.glyphs.least
	case near:
		mark = m.glyphs.about
	}
	if t.unit == api.Bytes {
		return mark + bytesText(n)
	}
	return mark + count(n, max(w-textWidth(mark), 5))
}

// rowTone returns the tone in which a row is highlighted.
func (t *table) rowTone(r row) tone {
	if t.tone == nil {
		return plain
	}
	return t.tone(r)
}

// rcodeTone highlights the response codes that indicate trouble.
func rcodeTone(r row) tone {
	switch r.name {
	case "SERVFAIL":
		return severity(r.part, srvfailWarn, srvfailBad)
	case "REFUSED":
		return severity(r.part, refusedWarn, refusedBad)
	case "NXDOMAIN":
		return severity(r.part, nxdomainWarn, nxdomainBad)
	}
	return plain
}

func (m *Model) drawTrend(s *screen, x, y int, t trend) {
	switch t {
	case risen:
		s.put(x, y, 1, style{fg: fresh}, string(m.glyphs.up))
	case fallen:
		s.put(x, y, 1, style{fg: dim}, string(m.glyphs.down))
	case entered:
		s.put(x, y, 1, style{fg: fresh, bold: true}, string(m.glyphs.entry))
	}
}

// drawTitle draws the first line: agent, view, time and state.
func (m *Model) drawTitle(s *screen, p *plan) {
	s.shade(0, 0, s.w, bar)
	on := func(fg tone, bold bool) style { return style{fg: fg, bg: bar, bold: bold} }
	state, word, tone := m.glyphs.live, cmp.Or(m.delay("delay "), "live"), good
	sum, _ := m.shown()
	switch {
	case m.link.state == away:
		state, word, tone = m.glyphs.away, "stale", bad
		if m.have {
			word += " " + span(m.now.Sub(m.link.answered))
		}
	case m.link.slow(m.now):
		state, word, tone = m.glyphs.wait, "waiting", warn
	case m.link.state == connecting:
		state, word, tone = m.glyphs.wait, "connecting", warn
	case m.paused:
		state, word, tone = m.glyphs.wait, "paused", warn
	case m.history.on():
		state, word, tone = m.glyphs.wait, "PAST", bad
		if m.history.end == 0 {
			word, tone = "range", warn
		}
	case m.pinned != 0:
		state, word, tone = m.glyphs.wait, "past minute", warn
	case m.noMinute() != "":
		state, word, tone = m.glyphs.wait, "no minute", warn
	}
	status := fmt.Sprintf("%c %s ", state, word)
	when := m.windowText(sum)
	end := s.w - textWidth(status)
	s.put(end, 0, s.w, on(tone, true), status)
	end -= textWidth(when) + 2
	if m.have {
		s.put(end, 0, textWidth(when), on(plain, false), when)
	}
	x := s.put(1, 0, end-1, on(accent, true), "pktvisor")
	x = s.put(x+1, 0, end-x-2, on(plain, false), clean(m.agent.Host(), m.unicode))
	if part := m.partText(); part != "" && s.w >= 100 {
		x = s.put(x, 0, end-x-1, on(accent, false), "  "+fit(part, max(end-x-3, 0), m.glyphs.ellipsis))
	}
	view := ""
	if m.view != overview {
		view = "  " + m.view.String()
	}
	if page := fmt.Sprintf("  %d/%d", p.page+1, len(p.pages)); len(p.pages) > 1 && !m.open && x+textWidth(view+page) < end {
		view += page
	}
	x = s.put(x, 0, end-x-1, on(accent, false), view)
	if hidden := sum.Period.Anonymized; hidden != "" && s.w >= 100 {
		x = s.put(x, 0, end-x-1, on(warn, false), "  anonymised: "+string(hidden))
	}
	if v := clean(m.app.Version, m.unicode); v != "" && s.w >= 100 {
		x = s.put(x, 0, end-x-1, on(dim, false), "  "+m.kind()+" "+fit(v, 24, m.glyphs.ellipsis))
	}
	if up := m.upTime(); up > 0 && s.w >= 120 {
		s.put(x, 0, end-x-1, on(dim, false), "  up "+span(up))
	}
}

// kind says what answers.
func (m *Model) kind() string {
	if m.app.Fleet != nil {
		return "hub"
	}
	return "agent"
}

// partText describes the part of a hub's fleet that is shown, and how many hosts it has. Of an agent with several policies, it names
// the one that is shown.
func (m *Model) partText() string {
	if m.app.Fleet == nil {
		return m.policyText()
	}
	text, hosts := m.crumbs(), m.app.Fleet.Hosts
	if m.part != "" {
		hosts = m.app.Fleet.Selected
	}
	if hosts.Known {
		noun := "hosts"
		if hosts.Value == 1 {
			noun = "host"
		}
		text += fmt.Sprintf(" (%s %s)", count(hosts, 7), noun)
	}
	return strings.TrimSpace(text)
}

// delay returns how old the rates of a hub are, after a prefix. They are of a second for which the hosts have sent their
// minute. It returns "" for an agent, whose rates are of now.
func (m *Model) delay(prefix string) string {
	at, ok := moment(m.rates.Start)
	if m.app.Fleet == nil || !m.have || !ok {
		return ""
	}
	age := max(m.link.answered.Sub(at), 0)
	if age >= 1000*time.Second {
		return prefix + span(age)
	}
	return fmt.Sprintf("%s%ds", prefix, age/time.Second)
}

// A hub that has just started has its first minute shownAfter the minute's end, and firstWait after its start at the latest.
const (
	shownAfter = 5 * time.Second
	firstWait  = 2 * time.Minute
)

// noMinute says why a hub shows nothing, or returns "".
func (m *Model) noMinute() string {
	if m.app.Fleet == nil || !m.have || !m.cur.Period.Length.Known || m.cur.Period.Length.Value > 0 {
		return ""
	}
	part := cmp.Or(m.part, "any host")
	if m.upTime() >= firstWait {
		return fmt.Sprintf("nothing from %s in the last %d min: /api/v1/fleet says why", part, min(m.window, m.periods()))
	}
	due := m.link.answered.Add(-shownAfter).Truncate(time.Minute).Add(time.Minute + shownAfter)
	return fmt.Sprintf("nothing from %s yet: the first minute comes at %s", part, due.In(m.zone).Format("15:04:05"))
}

// windowText describes the time that is shown, and how much of the window has data.
func (m *Model) windowText(sum *api.Summary) string {
	start, ok := moment(sum.Period.StartTS)
	length := seconds(sum.Period.Length)
	text := lengthText(sum)
	if text == "" {
		return ""
	}
	if !m.elsewhen() && m.window > 1 {
		text += fmt.Sprintf(" of %dm", min(m.window, max(m.periods(), 1)))
	}
	if !ok || m.width < 60 || m.width < 80 && m.view != overview { // the name of the view is more important
		return text
	}
	end := start.Add(length)
	layout := "15:04:05"
	if m.width < 100 {
		layout = "15:04"
	}
	a, b := start.In(m.zone).Format(layout), end.In(m.zone).Format(layout)
	if m.width >= 100 {
		b += " " + end.In(m.zone).Format("MST")
	}
	return a + m.glyphs.dash + clean(b, m.unicode) + " " + text
}

// lengthText returns the length of the period in seconds, as in the original.
func lengthText(sum *api.Summary) string {
	if n := sum.Period.Length; !n.Known || n.Value < 0 || n.Value > longest {
		return ""
	}
	return count(sum.Period.Length, 9) + "s"
}

func minutesOf(n int) time.Duration { return time.Duration(n) * time.Minute }

// drawStatus draws the second line. Problems come first. Remarks that do not fit are counted.
func (m *Model) drawStatus(s *screen) {
	x := 1
	all := m.remarks()
	for i, w := range all {
		text := clean(w.text, m.unicode)
		need := textWidth(w.mark) + 1 + textWidth(text)
		more := ""
		if i < len(all)-1 {
			more = fmt.Sprintf("+%d more", len(all)-1-i)
		}
		if i > 0 && x+need+len(more)+2 > s.w {
			if w.mark != "" && x+textWidth(w.mark)+len(more)+2 < s.w { // a mark alone says something, too
				x = s.put(x, 1, s.w-x-1, style{fg: w.tone, bold: true}, w.mark) + 2
				continue
			}
			s.put(x, 1, s.w-x, style{fg: dim}, fmt.Sprintf("+%d more", len(all)-i))
			return
		}
		if w.mark != "" {
			x = s.put(x, 1, s.w-x-1, style{fg: w.tone, bold: true}, w.mark) + 1
		}
		x = s.put(x, 1, s.w-x-1, style{fg: w.tone}, text) + 2
	}
}

// remarks returns everything that the status line has to say: the response to a key press, the state of the link, the
// filter, and warnings about the numbers.
func (m *Model) remarks() []warning {
	var out []warning
	if m.notice != "" && m.now.Before(m.noticeUntil) {
		out = append(out, warning{accent, "", m.notice})
	}
	if text := m.link.text(m.now, m.agent.Host()); text != "" {
		w := warning{bad, "AWAY", text}
		switch {
		case m.link.slow(m.now):
			w.tone, w.mark = warn, "SLOW"
		case m.link.state == connecting:
			w.tone, w.mark = dim, ""
		case m.link.state == live:
			w.tone, w.mark = warn, "ODD"
		}
		out = append(out, w)
	}
	if m.history.on() {
		out = append(out, warning{bad, map[bool]string{true: "RANGE", false: "PAST"}[m.history.end == 0], m.rangeText()})
	}
	if w, ok := m.alarmRemark(); ok {
		out = append(out, w)
	}
	if text := m.noMinute(); text != "" && !m.elsewhen() {
		out = append(out, warning{warn, "EMPTY", text})
	} else if part := m.partText(); part != "" && m.width < 100 { // the title has no room for it
		out = append(out, warning{accent, "", part})
	}
	if m.have && m.width < 100 { // the title has no room for it
		if sum, _ := m.shown(); sum.Period.Anonymized != "" {
			out = append(out, warning{warn, "ANON", string(sum.Period.Anonymized)})
		}
	}
	if m.filter != "" && !m.typing {
		out = append(out, warning{accent, "FILTER", m.filter})
	}
	if m.have {
		sum, _ := m.shown()
		out = append(out, warnings(sum, m.glyphs)...)
		i := max(m.pinnedAt(), 0) // the last finished minute, or the one stepped back to
		if i+1 < len(m.minutes) && !m.history.on() {
			out = append(out, changes(&m.minutes[i].sum, &m.minutes[i+1].sum)...)
		}
		if len(out) == 0 {
			text := "no packets lost"
			if !lostPackets(sum).Known {
				text = "losses unknown: this agent does not report them"
			}
			out = append(out, warning{dim, "", text})
		}
	}
	return out
}

// drawKeys draws the last line: the keys that work in the current view.
func (m *Model) drawKeys(s *screen, p *plan) {
	y := s.h - 1
	if m.typing {
		x := s.put(1, y, s.w, style{fg: accent, bold: true}, "/")
		x = s.put(x, y, s.w-x, style{}, m.filter)
		s.put(x, y, 1, style{bg: chosen}, " ")
		s.right(0, y, s.w-1, style{fg: dim}, "Enter keep  Esc clear")
		return
	}
	var keys [][2]string
	switch {
	case int(m.help) > 0 && int(m.help) < len(m.helpPages()):
		keys = [][2]string{{"?", fmt.Sprintf("page %d", m.help+1)}, {"any other key", "back"}}
	case m.help != noHelp:
		keys = [][2]string{{"any key", "back"}}
	case m.menu.typing:
		keys = [][2]string{{"Enter", "show it"}, {"Esc", "back"}}
	case m.menu.kind != noMenu:
		keys = [][2]string{{"Enter", "choose"}, {"jk", "row"}, {"Esc", "back"}}
	case m.open:
		keys = [][2]string{{"Esc", "back"}, {"jk", "row"}, {"hl", "panel"}, {"s", "sort: " + m.sort.String()}, {"/", "filter"}, {"y", "copy"}, {"x", "save"}, {"q", "quit"}}
	case m.view == fleetView:
		keys = [][2]string{{"?", "help"}, {"Enter", "go in"}, {"Esc", "up"}, {"t", "group by"}, {"s", "sort: " + m.sortText()}, {"/", "filter"}, {"o", "overview"}, {"A", "attack"}, {"W", "changes"}, {"r", "range"}, {"P", "policy"}, {"q", "quit"}}
	case m.view == attackView:
		keys = [][2]string{{"?", "help"}, {"Tab", "panel"}, {"Enter", "open"}, {"Esc", "back"}, {"W", "changes"}, {"/", "filter"}, {"[ ]", "time"}, {"w", fmt.Sprintf("window %dm", m.window)}, {"f", "fleet"}, {"r", "range"}, {"s", "sort: " + m.sortText()}, {"y", "copy"}, {"q", "quit"}}
		if len(p.pages) > 1 {
			keys = slices.Insert(keys, 1, [2]string{"PgDn", "page"})
		}
	case m.view == changesView:
		keys = [][2]string{{"?", "help"}, {"b", "compare with"}, {"Enter", "its table"}, {"Esc", "back"}, {"s", "sort: " + m.sortText()}, {"/", "filter"}, {"r", "range"}, {"[ ]", "step"}, {"A", "attack"}, {"y", "copy"}, {"q", "quit"}}
	default:
		keys = [][2]string{{"?", "help"}, {"Tab", "panel"}, {"Enter", "open"}, {"/", "filter"}, {"A", "attack"}, {"W", "changes"}, {"d", "DNS"}, {"n", "net"}, {"c", "capture"},
			{"w", fmt.Sprintf("window %dm", m.window)}, {"[ ]", "minute"}, {"p", "pause"}, {"s", "sort: " + m.sort.String()}, {"y", "copy"}, {"x", "save"}, {"q", "quit"}}
		if len(m.app.Policies) > 1 {
			keys = slices.Insert(keys, 5, [2]string{"P", "policy"})
		}
		if len(m.others) > 0 {
			keys = slices.Insert(keys, 9, [2]string{"a", "other"})
		}
		if m.app.Fleet != nil {
			keys = slices.Insert(keys, 2, [2]string{"f", "fleet"}, [2]string{"r", "range"})
		}
		if len(p.pages) > 1 {
			keys = append(keys[:1], append([][2]string{{"PgDn", "page"}}, keys[1:]...)...)
		}
	}
	x := 1
	for _, k := range keys {
		if x+textWidth(k[0])+textWidth(k[1])+1 >= s.w {
			break
		}
		x = s.put(x, y, s.w, style{fg: accent, bold: true}, k[0])
		x = s.put(x+1, y, s.w, style{fg: dim}, k[1]) + 2
	}
}
