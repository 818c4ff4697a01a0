package ui

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pktvisor/api"
)

// openTop is the line of the first row in an open panel.
const openTop = headLines + 2

// drawOpen draws the panel with the focus over the whole screen.
func (m *Model) drawOpen(s *screen) {
	p, rows := m.current()
	b := box{0, 0, headLines, s.w, s.h - headLines - footLines}
	if p.kind != tablePanel {
		m.drawPanel(s, p, b, true)
		return
	}
	t := p.table
	sum, _ := m.shown()
	base := t.baseOf(sum, &m.app)
	right := fmt.Sprintf("%d rows", len(rows))
	if base.Known {
		right += fmt.Sprintf(", shares of %s %s", count(base, 12), t.what)
	}
	m.panelTitle(s, b, p.title, right, true)
	m.drawOpenRows(s, t, rows)
}

// openFirst returns the first visible row of an open panel, so that the chosen row is visible.
func (m *Model) openFirst() int {
	return max(0, m.row-m.openRows()+1)
}

// openRows returns how many rows an open panel shows. Two lines are reserved for the chosen name.
func (m *Model) openRows() int { return max(1, m.height-openTop-footLines-3) }

// openColumns holds the widths of an open panel's columns. A column that does not fit has width 0.
type openColumns struct {
	name, number, bounds, share, history, bar int
}

func (m *Model) openColumns(older int) openColumns {
	c := openColumns{number: 11, share: 8}
	if m.width >= 76 {
		c.bounds = c.number
	}
	if m.width >= 100 {
		c.history = min(older, 30) + 2
	}
	if m.width >= 130 {
		c.bar = min(m.width/5, 40)
	}
	c.name = max(m.width-openLeft-c.number-2*c.bounds-c.share-c.history-c.bar-1, 8)
	return c
}

// openLeft is the column where names begin in an open panel, after rank and change.
const openLeft = 6

func (m *Model) drawOpenRows(s *screen, t *table, rows []row) {
	sum, older := m.shown()
	c := m.openColumns(len(older))
	heads := style{fg: dim}
	y := openTop - 1
	s.put(openLeft, y, c.name, heads, "name")
	x := openLeft + c.name
	s.right(x, y, c.number, heads, "estimate")
	x += c.number
	if c.bounds > 0 {
		s.right(x, y, c.bounds, heads, "at least")
		s.right(x+c.bounds, y, c.bounds, heads, "at most")
		x += 2 * c.bounds
	}
	s.right(x, y, c.share, heads, map[bool]string{false: "share", true: "ratio"}[t.amplified])
	if c.history > 10 {
		s.put(x+c.share+2, y, c.history, heads, "minutes")
	}
	most := 0.0
	for _, r := range rows {
		most = max(most, r.est.Value)
	}
	exact := m.glyphs.none
	if sum.Packets.DeepSampleFactor.Known { // such an agent sends bounds unless a row is exact
		exact = "exact"
	}
	first := m.openFirst()
	for i := first; i < len(rows) && i < first+m.openRows(); i++ {
		r, y := rows[i], openTop+i-first
		s.right(0, y, 3, style{fg: dim}, fmt.Sprint(i+1))
		m.drawTrend(s, 4, y, r.trend)
		st := style{fg: t.rowTone(r)}
		s.put(openLeft, y, c.name, st, r.fitName(c.name-1, m.glyphs.ellipsis))
		x := m.drawOpenNumbers(s, t, c, y, r, st.fg, exact)
		if c.history > 0 {
			m.drawPast(s, x+2, y, c.history, past(r.raw, older[:c.history-2], t.list))
			x += c.history
		}
		if c.bar > 0 {
			full := m.glyphs.bars[len(m.glyphs.bars)-1]
			s.fill(x+1, y, int(r.est.Value/max(most, 1)*float64(c.bar-1)+0.5), style{fg: graph}, full)
		}
		if i == m.row {
			s.shade(0, y, s.w, chosen)
		}
	}
	m.drawOpenChosen(s, t, c, rows, older)
}

// drawOpenNumbers draws the estimate, bounds and share of a row, and returns the x after them. A row without bounds is
// shown with the text exact in their place.
func (m *Model) drawOpenNumbers(s *screen, t *table, c openColumns, y int, r row, fg tone, exact string) int {
	x := openLeft + c.name
	for i, n := range []api.Number{r.est, r.lower, r.upper} {
		w := c.number
		if i > 0 {
			w = c.bounds
		}
		text := count(n, max(w-1, 4))
		if t.unit == api.Bytes {
			text = bytesText(n)
		}
		switch {
		case w == 0:
		case i == 0:
			m.cell(s, x, y, w, text, style{bold: true, fg: fg})
		case r.lower.Known || r.upper.Known:
			m.cell(s, x, y, w, text, style{fg: dim})
		default:
			s.right(x, y, w, style{fg: faint}, exact)
		}
		x += w
	}
	s.right(x, y, c.share, style{fg: dim}, r.share)
	return x + c.share
}

// drawPast draws the values of a row in the previous minutes as a line of bars.
func (m *Model) drawPast(s *screen, x, y, w int, values []float64) {
	m.bars(s, x, y, w, 1, values, 1, slices.Max(append(values, 0)))
}

// drawOpenChosen shows details of the chosen row below the rows: its whole name if it was cut, and its minutes if they
// fit.
func (m *Model) drawOpenChosen(s *screen, t *table, c openColumns, rows []row, older []minute) {
	if len(rows) == 0 {
		s.put(1, openTop, s.w, style{fg: faint}, m.glyphs.none)
		return
	}
	if m.row >= len(rows) {
		return
	}
	r := rows[m.row]
	if r.name != r.plain || textWidth(r.name+r.note) >= c.name { // the name as the DNS has it, and the part that was cut
		rest := r.plain + r.note
		for y := s.h - footLines - 2; y < s.h-footLines && rest != ""; y++ {
			var head string
			head, rest = cutCells(rest, s.w-2)
			s.put(1, y, s.w-2, style{}, head)
		}
	}
	below := openTop + min(len(rows), m.openRows()) + 1
	room := s.h - footLines - 3 - below
	values := past(r.raw, older, t.list)
	if room >= 5 && slices.Max(append(values, 0)) > 0 {
		m.drawSeries(s, openLeft, below, min(s.w-2*openLeft, 100), min(room, 10), series{
			label: "by minute: " + fit(r.name, 40, m.glyphs.ellipsis), minutes: values, now: -1})
	}
}

// minuteColumn is a column in the list of minutes.
type minuteColumn struct {
	head  string
	width int
	cell  func(*Model, *minute) (string, tone)
}

var minuteColumns = []minuteColumn{
	{"start", 9, func(m *Model, p *minute) (string, tone) {
		return time.Unix(p.start, 0).In(m.zone).Format("15:04:05"), plain
	}},
	{"length", 8, func(m *Model, p *minute) (string, tone) {
		if p.sum.Period.Partial {
			return m.glyphs.about + lengthText(&p.sum), warn
		}
		return lengthText(&p.sum), dim
	}},
	{"packets", 12, func(_ *Model, p *minute) (string, tone) { return count(p.sum.Packets.Total, 11), plain }},
	{"DNS", 12, func(_ *Model, p *minute) (string, tone) { return count(p.sum.DNS.Wire.Total, 11), plain }},
	{"lost", 10, func(_ *Model, p *minute) (string, tone) {
		lost := lostPackets(&p.sum)
		if lost.Value > 0 {
			return count(lost, 9), bad
		}
		return count(lost, 9), dim
	}},
	{"NXDOMAIN", 10, func(_ *Model, p *minute) (string, tone) {
		w := &p.sum.DNS.Wire
		return share(w.NXDomain, w.Replies), severity(ratio(w.NXDomain, w.Replies), nxdomainWarn, nxdomainBad)
	}},
	{"SERVFAIL", 10, func(_ *Model, p *minute) (string, tone) {
		w := &p.sum.DNS.Wire
		return share(w.Srvfail, w.Replies), severity(ratio(w.Srvfail, w.Replies), srvfailWarn, srvfailBad)
	}},
	{"timeouts", 10, func(_ *Model, p *minute) (string, tone) { return count(timeouts(&p.sum), 9), plain }},
	{"IPs in", 9, func(_ *Model, p *minute) (string, tone) { return count(p.sum.Packets.Cardinality.SrcIPsIn, 8), plain }},
	{"qnames", 9, func(_ *Model, p *minute) (string, tone) { return count(p.sum.DNS.Cardinality.Qname, 8), plain }},
}

// drawMinutes lists the finished minutes.
func (m *Model) drawMinutes(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Minutes", "Enter shows it", focused)
	x := b.x
	first := firstShown(focused, m.row, len(m.minutes), b.h-2)
	for _, c := range minuteColumns {
		if x+c.width > b.x+b.w {
			break
		}
		s.right(x, b.y+1, c.width, style{fg: dim}, c.head)
		for i := first; i < len(m.minutes) && i < first+b.h-2; i++ {
			text, tone := c.cell(m, &m.minutes[i])
			m.cell(s, x, b.y+2+i-first, c.width, text, style{fg: tone})
		}
		x += c.width
	}
	if line := m.row - first; focused && line >= 0 && line < b.h-2 && m.row < len(m.minutes) {
		s.shade(b.x, b.y+2+line, x-b.x, chosen)
	}
	if len(m.minutes) == 0 {
		s.put(b.x+1, b.y+2, b.w, style{fg: faint}, "no finished minute yet")
	}
}

// drawFacts lists the facts about the agent, for any version of it.
func (m *Model) drawFacts(s *screen, b box, focused bool) {
	m.panelTitle(s, b, strings.ToUpper(m.kind()[:1])+m.kind()[1:], fmt.Sprintf("%d facts", len(m.app.Facts)), focused)
	label := min(b.w/2, 36)
	first := firstShown(focused, m.row, len(m.app.Facts), b.h-1)
	for i := first; i < len(m.app.Facts) && i < first+b.h-1; i++ {
		f, y := m.app.Facts[i], b.y+1+i-first
		path := clean(strings.TrimPrefix(f.Path, "app."), m.unicode)
		s.put(b.x, y, label, style{fg: dim}, fit(path, label-1, m.glyphs.ellipsis))
		s.put(b.x+label, y, b.w-label, style{}, fit(m.factText(f), b.w-label, m.glyphs.ellipsis))
		if focused && i == m.row {
			s.shade(b.x, y, b.w, chosen)
		}
	}
}

// factText returns the value of f for people, using the unit at the end of its name.
func (m *Model) factText(f api.Fact) string {
	v, err := strconv.ParseFloat(f.Value, 64)
	if err != nil {
		return clean(f.Value, m.unicode)
	}
	n := api.N(v)
	switch {
	case strings.HasSuffix(f.Path, "_bytes"):
		return bytesText(n)
	case strings.HasSuffix(f.Path, "_ts"):
		if at, ok := moment(n); ok {
			return clean(at.In(m.zone).Format("2006-01-02 15:04:05 MST"), m.unicode)
		}
	case strings.HasSuffix(f.Path, "_s") && v >= 1:
		return span(seconds(n))
	case v == math.Trunc(v):
		return count(n, 20)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
