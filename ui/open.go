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
	t := &tables[p.table]
	sum, _ := m.shown()
	base := t.base(sum, sampledDNS(sum, &m.app))
	right := fmt.Sprintf("%d rows", len(rows))
	if base.Known {
		right += fmt.Sprintf(", shares of %s %s", count(base, 12), t.what)
	}
	m.panelTitle(s, b, p.title, right, true)
	m.drawOpenRows(s, t, p.table, rows)
}

// openFirst is the first row shown of an open panel, so that the chosen one is.
func (m *Model) openFirst() int {
	return max(0, m.row-m.openRows()+1)
}

// openRows is how many rows an open panel shows; two lines are the chosen name's.
func (m *Model) openRows() int { return max(1, m.height-openTop-footLines-3) }

func (m *Model) drawOpenRows(s *screen, t *table, id tableID, rows []row) {
	const number, shares = 11, 8
	sum, older := m.shown()
	history := 0
	if s.w >= 100 {
		history = min(len(older), 30) + 2
	}
	barWidth := 0
	if s.w >= 130 {
		barWidth = min(s.w/5, 40)
	}
	name := s.w - 6 - 3*number - shares - history - barWidth - 1
	heads := style{fg: dim}
	y := openTop - 1
	s.put(6, y, name, heads, "name")
	x := 6 + name
	for _, h := range []string{"estimate", "at least", "at most"} {
		s.right(x, y, number, heads, h)
		x += number
	}
	s.right(x, y, shares, heads, "share")
	if history > 10 {
		s.put(x+shares+2, y, history, heads, "minutes")
	}
	most := 0.0
	for _, r := range rows {
		most = max(most, r.est.Value)
	}
	bounded := sum.Packets.DeepSampleFactor.Known // an agent that says bounds where there are any
	first := m.openFirst()
	for i := first; i < len(rows) && i < first+m.openRows(); i++ {
		r, y := rows[i], openTop+i-first
		s.right(0, y, 3, style{fg: dim}, fmt.Sprint(i+1))
		m.drawTrend(s, 4, y, r.trend)
		st := style{fg: rowTone(id, r)}
		s.put(6, y, name, st, fit(r.name, name-1, m.glyphs.ellipsis))
		x := 6 + name
		for j, n := range []api.Number{r.est, r.lower, r.upper} {
			text := count(n, number-1)
			if t.unit == "bytes" {
				text = bytesText(n)
			}
			if j == 0 {
				m.cell(s, x, y, number, text, style{bold: true, fg: st.fg})
			} else if r.lower.Known || r.upper.Known {
				m.cell(s, x, y, number, text, style{fg: dim})
			} else if bounded {
				s.right(x, y, number, style{fg: faint}, "exact")
			} else {
				m.cell(s, x, y, number, "", style{})
			}
			x += number
		}
		s.right(x, y, shares, style{fg: dim}, r.share)
		x += shares
		if history > 0 {
			top := 0.0
			values := past(r.raw, older[:history-2], t.rows)
			for _, v := range values {
				top = max(top, v)
			}
			m.bars(s, x+2, y, history, 1, values, 1, top)
			x += history
		}
		if barWidth > 0 {
			full := m.glyphs.bars[len(m.glyphs.bars)-1]
			s.fill(x+1, y, int(r.est.Value/max(most, 1)*float64(barWidth-1)+0.5), style{fg: graph}, full)
		}
		if i == m.row {
			s.shade(0, y, s.w, chosen)
		}
	}
	if m.row < len(rows) && textWidth(rows[m.row].name) >= name {
		rest := rows[m.row].name
		for y := s.h - footLines - 2; y < s.h-footLines && rest != ""; y++ {
			var head string
			head, rest = cutCells(rest, s.w-2)
			s.put(1, y, s.w-2, style{}, head)
		}
	}
	if len(rows) == 0 {
		s.put(1, openTop, s.w, style{fg: faint}, m.glyphs.none)
		return
	}
	// What is left shows the chosen row minute by minute.
	below := openTop + min(len(rows), m.openRows()) + 1
	if room := s.h - footLines - 3 - below; room >= 5 && m.row < len(rows) {
		values := past(rows[m.row].raw, older, t.rows)
		if slices.Max(append(values, 0)) > 0 {
			m.drawSeries(s, 6, below, min(s.w-12, 100), min(room, 10), series{
				label: "by minute: " + fit(rows[m.row].name, 40, m.glyphs.ellipsis), minutes: values, now: -1})
		}
	}
}

// minuteColumn is a column of the list of minutes.
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
	{"SRVFAIL", 9, func(_ *Model, p *minute) (string, tone) {
		w := &p.sum.DNS.Wire
		return share(w.Srvfail, w.Replies), severity(ratio(w.Srvfail, w.Replies), srvfailWarn, srvfailBad)
	}},
	{"timeouts", 10, func(_ *Model, p *minute) (string, tone) { return count(timeouts(&p.sum), 9), plain }},
	{"IPs in", 9, func(_ *Model, p *minute) (string, tone) { return count(p.sum.Packets.Cardinality.SrcIPsIn, 8), plain }},
	{"qnames", 9, func(_ *Model, p *minute) (string, tone) { return count(p.sum.DNS.Cardinality.Qname, 8), plain }},
}

// drawMinutes lists the finished minutes.
func (m *Model) drawMinutes(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Minutes", "Enter goes there", focused)
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
		s.put(b.x+1, b.y+2, b.w, style{fg: faint}, "none is finished yet")
	}
}

// drawFacts lists what the agent says of itself, whatever its version says.
func (m *Model) drawFacts(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Agent", fmt.Sprintf("%d facts", len(m.app.Facts)), focused)
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

// factText is the value of f for people, as the unit at the end of its name tells.
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
