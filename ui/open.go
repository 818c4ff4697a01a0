package ui

import (
	"fmt"
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
	history := 0
	if s.w >= 100 && len(rows) > 0 {
		history = min(len(rows[0].minutes), 30) + 2
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
			} else {
				s.right(x, y, number, style{fg: faint}, "exact")
			}
			x += number
		}
		s.right(x, y, shares, style{fg: dim}, r.share)
		x += shares
		if history > 0 {
			top := 0.0
			values := r.minutes[max(0, len(r.minutes)-history+2):]
			for _, v := range values {
				top = max(top, v)
			}
			m.bars(s, x+2, y, history, 1, values, 1, top)
			x += history
		}
		if barWidth > 0 {
			full := m.glyphs.bars[len(m.glyphs.bars)-1]
			s.fill(x+1, y, int(min(r.part, 1)*float64(barWidth-1)+0.5), style{fg: graph}, full)
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
	}
}

// drawMinutes lists the live bucket's window and the finished minutes.
func (m *Model) drawMinutes(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Minutes", m.zone.String(), focused)
	heads := []string{"start", "length", "packets", "DNS", "lost"}
	widths := []int{10, 8, 13, 13, 12}
	draw := func(y int, cells []string, tones []tone) {
		x := b.x
		for i, text := range cells {
			s.right(x, y, min(widths[i], b.x+b.w-x), style{fg: tones[i]}, text)
			x += widths[i]
		}
	}
	draw(b.y+1, heads, []tone{dim, dim, dim, dim, dim})
	for i, past := range m.minutes[:min(len(m.minutes), max(0, b.h-2))] {
		sum := &past.sum
		lost := lostPackets(sum)
		tones := []tone{plain, dim, plain, plain, dim}
		if lost.Value > 0 {
			tones[4] = bad
		}
		length := lengthText(sum)
		if sum.Period.Partial {
			length = m.glyphs.about + length
		}
		y := b.y + 2 + i
		cells := []string{time.Unix(past.start, 0).In(m.zone).Format("15:04:05"), length,
			count(sum.Packets.Total, 12), count(sum.DNS.Wire.Total, 12), count(lost, 11)}
		for j := range cells {
			if cells[j] == "" {
				cells[j], tones[j] = m.glyphs.none, faint
			}
		}
		draw(y, cells, tones)
		if m.pinned == past.start {
			s.shade(b.x, y, b.w, chosen)
		}
	}
}

// drawFacts lists what the agent says of itself, whatever its version says.
func (m *Model) drawFacts(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Agent", fmt.Sprintf("%d facts", len(m.app.Facts)), focused)
	label := min(b.w/2, 36)
	for i, f := range m.app.Facts[:min(len(m.app.Facts), max(0, b.h-1))] {
		y := b.y + 1 + i
		s.put(b.x, y, label, style{fg: dim}, fit(clean(f.Path, m.unicode), label-1, m.glyphs.ellipsis))
		s.put(b.x+label, y, b.w-label, style{}, fit(clean(f.Value, m.unicode), b.w-label, m.glyphs.ellipsis))
	}
}
