package ui

import (
	"fmt"
	"math"
	"time"

	"pktvisor/api"
)

// series holds the rates of the minutes and of the seconds, oldest first. Unknown rates are negative.
type series struct {
	label            string
	minutes, seconds []float64
	now              float64
	whole            bool // there is no now: seconds are the steps of a range, stretched to the width
}

// traffic returns the two series: packets and DNS messages a second.
func (m *Model) traffic() [2]series {
	if m.history.on() {
		return m.course()
	}
	out := [2]series{{label: "packets/s", now: -1}, {label: "DNS msgs/s", now: -1}}
	for i := len(m.minutes) - 1; i >= 0; i-- {
		s := &m.minutes[i].sum
		out[0].minutes = append(out[0].minutes, perSecond(s.Packets.Total, s.Period.Length))
		out[1].minutes = append(out[1].minutes, perSecond(s.DNS.Wire.Total, s.Period.Length))
	}
	for _, s := range m.seconds {
		out[0].seconds = append(out[0].seconds, s.pps)
		out[1].seconds = append(out[1].seconds, s.dns)
		out[0].now, out[1].now = s.pps, s.dns
	}
	return out
}

// drawTraffic draws both series beside each other if the box is wide enough, otherwise one above the other.
func (m *Model) drawTraffic(s *screen, b box, focused bool) {
	t := m.traffic()
	right := fmt.Sprintf("%d min | %d s", len(m.minutes), len(m.seconds))
	if m.history.on() {
		right = "steps of " + span(time.Duration(m.history.series.StepS)*time.Second)
	}
	m.panelTitle(s, b, "Traffic", right, focused)
	if b.w >= 2*minColumn-2 {
		half := (b.w - 2) / 2
		m.drawSeries(s, b.x, b.y+1, half, b.h-1, t[0])
		m.drawSeries(s, b.x+b.w-half, b.y+1, half, b.h-1, t[1])
		return
	}
	upper := b.h / 2
	m.drawSeries(s, b.x, b.y+1, b.w, upper, t[0])
	m.drawSeries(s, b.x, b.y+1+upper, b.w, b.h-1-upper, t[1])
}

// drawSeries draws a line with the label, and bars for the minutes, a gap, and bars for the seconds.
func (m *Model) drawSeries(s *screen, x, y, w, h int, d series) {
	if h < 1 {
		return
	}
	if d.whole && h > 1 {
		d.seconds = stretch(d.seconds, w)
	}
	top := 0.0
	minutes := d.minutes[max(0, len(d.minutes)-w/3):]
	room := w
	if len(minutes) > 0 {
		room -= len(minutes)*minuteWidth(len(minutes), w) + 1
	}
	secs := d.seconds[max(0, len(d.seconds)-room):]
	for _, v := range append(append([]float64(nil), minutes...), secs...) {
		if finite(v) {
			top = max(top, v)
		}
	}
	now := m.glyphs.none
	if finite(d.now) {
		now = count(api.N(d.now), 9)
	}
	if h == 1 {
		label := s.put(x, y, w, style{fg: dim}, d.label+" ")
		label = s.put(label, y, w, style{bold: true}, now) + 1
		m.bars(s, label, y, x+w-label, 1, secs[max(0, len(secs)-(x+w-label)):], 1, top)
		return
	}
	at := s.put(x, y, w, style{fg: dim}, d.label+" ")
	if len(d.seconds) > 0 && !d.whole {
		s.put(at, y, w, style{bold: true}, now)
	}
	s.right(x, y, w, style{fg: dim}, "max "+count(api.N(top), 9))
	if len(minutes) > 0 {
		each := minuteWidth(len(minutes), w)
		m.bars(s, x, y+1, w, h-1, minutes, each, top)
		if i := m.pinnedAt(); i >= 0 && i < len(minutes) { // a mark below would take a line
			for line := range h - 1 {
				s.shade(x+(len(minutes)-1-i)*each, y+1+line, each, chosen)
			}
		}
	}
	m.bars(s, x+w-len(secs), y+1, len(secs), h-1, secs, 1, top)
}

// stretch returns values for w cells.
func stretch(values []float64, w int) []float64 {
	if len(values) == 0 || len(values) >= w {
		return values
	}
	out := make([]float64, w)
	for i := range out {
		out[i] = values[i*len(values)/w]
	}
	return out
}

// minuteWidth returns the number of cells of a minute's bar: up to six, and all bars together at most a third of w.
func minuteWidth(n, w int) int { return min(max(w/3/n, 1), 6) }

// bars draws values as columns of the given width and h cells of height. The value top fills a column.
func (m *Model) bars(s *screen, x, y, w, h int, values []float64, width int, top float64) {
	g := m.glyphs.bars
	levels := len(g) - 1
	for i, v := range values {
		at := x + i*width
		if at+width > x+w {
			return
		}
		if !finite(v) {
			continue
		}
		full := 0
		if top > 0 {
			full = int(v / top * float64(levels*h))
		}
		tone := graph
		if full == 0 {
			full, tone = 1, faint // known to be zero, or almost
			if v > 0 {
				tone = graph
			}
		}
		for line := range h {
			n := min(max(full-(h-1-line)*levels, 0), levels)
			if n > 0 {
				s.fill(at, y+line, width, style{fg: tone}, g[n])
			}
		}
	}
}

// drawStrip draws the line that replaces the blocks on further pages.
func (m *Model) drawStrip(s *screen, y int) {
	half := s.w / 2
	for i, d := range m.traffic() {
		m.drawSeries(s, 1+i*half, y, half-2, 1, d)
	}
}

// finite reports whether v can be drawn.
func finite(v float64) bool { return v >= 0 && !math.IsInf(v, 0) && !math.IsNaN(v) }
