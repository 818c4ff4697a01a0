package ui

import (
	"fmt"
	"strings"

	"pktvisor/api"
)

// metric is a declared metric, ready to show, of a section without its own screen.
type metric struct {
	api.Metric
	title, unit, help string // cleaned
	number            func(n api.Number, w int) string
}

// declare applies the agent's declaration: the titles and units of the tables that have their own place, and the panels
// of all sections without their own screen.
func (m Model) declare(t *api.Tables) Model {
	known := tables
	for i := range known {
		if d, ok := findMetric(t, known[i].path); ok {
			known[i].title, known[i].unit = clean(d.Title, m.unicode), d.Unit
		}
	}
	m.tables, m.others = &known, nil
	for i := range t.Sections {
		if s := &t.Sections[i]; !api.HasType(s.Name) {
			m.others = append(m.others, otherPanels(s, m.unicode)...)
		}
	}
	m.focus[otherView] = min(m.focus[otherView], max(len(m.others)-1, 0))
	if m.view == otherView && len(m.others) == 0 {
		m = m.goTo(overview)
	}
	return m
}

// findMetric returns the metric at a path that begins with its section.
func findMetric(t *api.Tables, path string) (*api.Metric, bool) {
	name, rest, _ := strings.Cut(path, ".")
	s, ok := t.Find(name)
	if !ok {
		return nil, false
	}
	return s.Find(rest)
}

// otherPanels returns the panels of a section in the generic layout: its numbers, its rates, its histograms, and its
// top tables.
func otherPanels(s *api.Section, unicodeOK bool) []panel {
	title := clean(s.Title, unicodeOK)
	var numbers, rates, histograms []metric
	var tops []panel
	for _, d := range s.Metrics {
		c := metric{Metric: d, title: clean(d.Title, unicodeOK), help: clean(d.Help, unicodeOK)}
		c.number, c.unit = form(d.Unit)
		c.unit = clean(c.unit, unicodeOK)
		switch d.Kind {
		case api.Counter, api.Gauge, api.Cardinality:
			numbers = append(numbers, c)
		case api.Rate:
			rates = append(rates, c)
		case api.Histogram:
			histograms = append(histograms, c)
		case api.Top, api.Distinct:
			tops = append(tops, panel{kind: tablePanel, table: otherTable(s.Name, d), title: title + ": " + c.title})
		}
	}
	var out []panel
	if numbers != nil {
		out = append(out, panel{kind: numbersPanel, title: title, section: s.Name, metrics: numbers})
	}
	if rates != nil {
		out = append(out, panel{kind: spreadsPanel, title: title + ": rates", section: s.Name, metrics: rates})
	}
	if histograms != nil {
		out = append(out, panel{kind: spreadsPanel, title: title + ": quantiles", section: s.Name, metrics: histograms})
	}
	return append(out, tops...)
}

// otherTable makes a table for a section without a Go type. Its shares are shares of the listed rows, because the total
// is not known.
func otherTable(section string, d api.Metric) *table {
	path := d.Path
	rows := func(s *api.Summary) []api.Row { return s.Others[section].Rows(path) }
	return &table{
		title: d.Title, path: section + "." + path, rows: rows, base: ofSum(rows), what: "these rows",
		unit: d.Unit, names: d.Label == "qname",
	}
}

// form returns how to write numbers of a unit, and the unit to show beside them.
func form(u api.Unit) (number func(n api.Number, w int) string, unit string) {
	switch u {
	case api.Micros:
		return func(n api.Number, _ int) string { return millis(n) }, "ms"
	case api.Ratio:
		return func(n api.Number, _ int) string { return plain1(n) }, ""
	}
	return func(n api.Number, w int) string { return count(n, max(w, 4)) }, string(u)
}

// Widths of the generic layout.
const (
	wideLines = 58 // from this width on, a line has room for all quantiles
	helpLines = 90 // from this width on, a line has room for the help of its metric
	labelMost = 44 // the maximum width of a label, so that the number stays close to it
)

// drawNumbers draws a line for each counter, gauge and cardinality: title, number, unit.
func (m *Model) drawNumbers(s *screen, p panel, b box, focused bool) {
	sum, _ := m.shown()
	v := sum.Others[p.section]
	m.panelTitle(s, b, p.title, moreLines(p, b), focused)
	value, unit, label := 6, 0, 0
	for _, d := range p.metrics {
		value = max(value, textWidth(d.number(m.numberOf(p.section, d), 20))+1)
		unit, label = max(unit, textWidth(m.unitText(v, d))), max(label, textWidth(d.title))
	}
	value, unit = min(value, max(b.w/3, 10)), min(unit, max(b.w/4, 10))
	label = min(label+1, labelMost)
	if b.w < helpLines {
		label = b.w - value - unit - 1
	}
	m.eachLine(s, p, b, focused, func(d metric, y int) {
		s.put(b.x, y, label, style{fg: dim}, m.head(d.title, label))
		x := b.x + label
		m.cell(s, x, y, value, d.number(m.numberOf(p.section, d), value-1), style{})
		x += value + 1
		text := m.unitText(v, d)
		if textWidth(text) > unit {
			if e := errorText(v.Error(d.Path), m.glyphs); e != "" {
				text = e
			}
		}
		s.put(x, y, unit, style{fg: dim}, m.head(text, unit))
		if x += unit + 2; b.w >= helpLines {
			s.put(x, y, b.x+b.w-x, style{fg: faint}, m.head(d.help, b.x+b.w-x))
		}
	})
}

// head cuts the end of the cleaned text s so that it takes at most w cells. The beginning of a title is its most
// important part.
func (m *Model) head(s string, w int) string {
	if textWidth(s) <= w {
		return s
	}
	head, _ := cutCells(s, w-1)
	return head + string(m.glyphs.ellipsis)
}

// numberOf returns the value of a metric that is one number. The present value of a gauge is unknown for a past minute.
func (m *Model) numberOf(section string, d metric) api.Number {
	if !d.Now {
		sum, _ := m.shown()
		return sum.Others[section].Number(d.Path)
	}
	if m.pinned != 0 {
		return api.Number{}
	}
	return m.app.State[section].Number(d.Path)
}

// unitText returns the text after a number: its error, if any, and its unit.
func (m *Model) unitText(v api.Values, d metric) string {
	return strings.TrimSpace(errorText(v.Error(d.Path), m.glyphs) + " " + d.unit)
}

// drawSpreads draws a line of quantiles for each rate or histogram.
func (m *Model) drawSpreads(s *screen, p panel, b box, focused bool) {
	sum, _ := m.shown()
	v := sum.Others[p.section]
	heads := []string{"p50", "p90", "p95", "p99", "max"}
	if p.metrics[0].Kind == api.Rate {
		heads = []string{"now", "p50", "p90", "p95", "p99"}
	}
	if b.w < wideLines {
		heads = []string{heads[0], heads[len(heads)-2], heads[len(heads)-1]}
	}
	cell := 6 + min(max(b.w-minColumn, 0)/10, 4)
	full := b
	label := b.w - cell*len(heads)
	if b.w >= helpLines {
		label = min(label, labelMost)
		b.w = label + cell*len(heads)
	}
	m.panelTitle(s, box{b.panel, b.x, b.y, label, b.h}, p.title, moreLines(p, b), focused)
	m.headings(s, b, cell, heads...)
	m.eachLine(s, p, full, focused, func(d metric, y int) {
		x := s.put(b.x, y, label-1, style{fg: dim}, m.head(d.title, label-1))
		if x+1+textWidth(d.unit) < b.x+label {
			s.put(x+1, y, b.x+label-x-1, style{fg: faint}, d.unit)
		}
		q := v.Quantiles(d.Path)
		values := map[string]api.Number{"now": q.Live, "p50": q.P50, "p90": q.P90, "p95": q.P95, "p99": q.P99, "max": q.Max}
		for i, head := range heads {
			m.cell(s, b.x+label+i*cell, y, cell, d.number(values[head], cell-1), style{bold: head == "now"})
		}
		if x := b.x + b.w + 2; full.w >= helpLines {
			s.put(x, y, full.x+full.w-x, style{fg: faint}, m.head(d.help, full.x+full.w-x))
		}
	})
}

// moreLines says how many metrics of the panel have no line in b.
func moreLines(p panel, b box) string {
	if n := len(p.metrics) - (b.h - 1); n > 0 {
		return fmt.Sprintf("+%d more", n)
	}
	return ""
}

// eachLine draws the metrics of a panel that fit, including the chosen one.
func (m *Model) eachLine(s *screen, p panel, b box, focused bool, draw func(d metric, y int)) {
	first := firstShown(focused, m.row, len(p.metrics), b.h-1)
	for i := first; i < len(p.metrics) && i < first+b.h-1; i++ {
		y := b.y + 1 + i - first
		draw(p.metrics[i], y)
		if focused && i == m.row {
			s.shade(b.x, y, b.w, chosen)
		}
	}
}
