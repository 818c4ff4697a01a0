package ui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// changed is what differs between what is shown and a base.
type changed struct {
	extra
	base string // one of the base… texts, or a tag or host after its prefix
	sort changeSort
	have bool
	list api.Changes
}

// The bases with which the time that is shown can be compared.
const (
	baseBefore    = ""
	baseYesterday = "-24h"
	baseWeek      = "-7d"
	baseTag       = "tag "
	baseHost      = "host "
)

// changeSort is an order of the changes.
type changeSort uint8

const (
	newFirst changeSort = iota
	byScore
	byKey
	changeSorts
)

func (k changeSort) String() string { return [...]string{"new", "share", "name"}[k] }

const (
	changesEvery = 20 * time.Second
	changeRows   = 500
)

// changesMsg is the answer about what has changed.
type changesMsg struct {
	gen  int
	base string
	at   time.Time
	list api.Changes
	err  error
}

// askChanges asks for the changes.
func (m Model) askChanges() tea.Cmd {
	ctx, gen, agent, base := m.ctx, m.gen, m.agent, m.changed.base
	q := api.ChangesQuery{Rows: changeRows}
	q.From, q.To = m.span()
	if n := int64(m.finished()) / 2; m.app.Fleet == nil && !m.elsewhen() { // the agent's window must have the time before, too
		q.From = max(q.From, q.To-60*max(n, 1))
	}
	switch back := map[string]int64{baseYesterday: 86400, baseWeek: 7 * 86400}[base]; {
	case back > 0:
		q.BaseFrom, q.BaseTo = q.From-back, q.To-back
	case strings.HasPrefix(base, baseTag):
		q.BaseTag = base[len(baseTag):]
	case strings.HasPrefix(base, baseHost):
		q.BaseHost = base[len(baseHost):]
	}
	return func() tea.Msg {
		out := changesMsg{gen: gen, base: base}
		out.list, out.err = agent.Changes(ctx, q)
		out.at = time.Now()
		return out
	}
}

func (m Model) onChanges(a changesMsg) Model {
	if a.gen != m.gen || a.base != m.changed.base {
		return m
	}
	c := &m.changed
	c.extra = c.done(a.at, a.err, changesEvery)
	if a.err == nil {
		c.list, c.have = a.list, true
	}
	return m
}

// openBases opens the menu of what to compare with.
func (m Model) openBases() Model {
	items := []item{{label: "the time just before", value: baseBefore}}
	if m.app.Fleet != nil {
		items = append(items, item{label: "the same time yesterday", value: baseYesterday}, item{label: "the same time a week ago", value: baseWeek})
		for _, t := range m.hosts.state.Tags {
			if t.Tag != m.place.group {
				items = append(items, item{label: clean(t.Tag, m.unicode), note: plural(int(min(t.Hosts.Value, 1e9)), "host") + ", by shares", value: baseTag + t.Tag})
			}
		}
		for i := range m.hosts.state.Hosts {
			if h := &m.hosts.state.Hosts[i]; h.Name != m.place.host {
				items = append(items, item{label: clean(h.Name, m.unicode), note: "one host, by shares", value: baseHost + h.Name})
			}
		}
	}
	return m.choose(baseMenu, "Compare with", items, m.changed.base)
}

// difference is a line of the view: a change, ready to show.
type difference struct {
	api.Change
	kind  string // new, gone, more or less
	title string // of the metric, cleaned
	name  string // of the row, in the form that people write
	plain string // in the form of the agent, cleaned
}

// baseless reports whether nothing is known of the base. Everything would be new.
func (m *Model) baseless() bool {
	return m.changed.list.Base != nil && m.changed.list.Base.Minutes == 0
}

// differences returns the changes, filtered and sorted.
func (m *Model) differences() []difference {
	if m.baseless() {
		return nil
	}
	filter := strings.ToLower(m.filter)
	out := make([]difference, 0, len(m.changed.list.Changes))
	for _, c := range m.changed.list.Changes {
		d := difference{Change: c, plain: clean(c.Name, m.unicode), title: clean(c.Metric, m.unicode)}
		d.name = d.plain
		if decl, ok := findMetric(&m.declared, c.Metric); ok {
			d.title = clean(decl.Title, m.unicode)
			if strings.HasPrefix(decl.Label, "qname") || decl.Label == "zone" {
				d.name = readable(c.Name, m.unicode)
			}
		}
		d.kind = kindOf(&c)
		if filter != "" && !strings.Contains(strings.ToLower(d.title+" "+d.name+" "+d.plain+" "+d.kind), filter) {
			continue
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, m.changed.sort.compare)
	return out
}

// kindOf says how something changed. A row is new if it may not have been there before, and gone if it may not be there now.
func kindOf(c *api.Change) string {
	switch {
	case c.Name != "" && c.Change > 0 && c.Base.Lower <= 0:
		return "new"
	case c.Name != "" && c.Change < 0 && c.Now.Lower <= 0:
		return "gone"
	case c.Change < 0:
		return "less"
	}
	return "more"
}

var kindOrder = map[string]int{"new": 0, "gone": 1, "more": 2, "less": 2}

func (k changeSort) compare(a, b difference) int {
	order := 0
	switch k {
	case newFirst:
		order = cmp.Or(cmp.Compare(kindOrder[a.kind], kindOrder[b.kind]), cmp.Compare(b.Score, a.Score))
	case byScore:
		order = cmp.Compare(b.Score, a.Score)
	}
	return cmp.Or(order, strings.Compare(a.name, b.name), strings.Compare(a.Metric, b.Metric))
}

// baseText says with what is compared.
func (m *Model) baseText() string {
	base := m.changed.base
	text := map[string]string{baseBefore: "the time just before", baseYesterday: "the same time yesterday", baseWeek: "the same time a week ago"}[base]
	if text == "" {
		text = clean(base, m.unicode)
	}
	if b := m.changed.list.Base; b != nil && m.width >= 100 {
		from, ok := moment(api.N(float64(b.From)))
		to, ok2 := moment(api.N(float64(b.To)))
		if ok && ok2 {
			text += clean(" ("+from.In(m.zone).Format("2006-01-02 15:04")+" to "+to.In(m.zone).Format("15:04")+")", m.unicode)
		}
	}
	return text
}

// drawChanges lists what has changed.
func (m *Model) drawChanges(s *screen, b box) {
	list := m.differences()
	right := ""
	if m.changed.have && !m.baseless() {
		right = fmt.Sprintf("%d of %s", len(list), count(api.N(float64(m.changed.list.Compared)), 7))
	}
	m.panelTitle(s, b, "What changed since "+m.baseText(), right, true)
	if strings.HasPrefix(m.changed.base, baseTag) || strings.HasPrefix(m.changed.base, baseHost) {
		m.panelTitle(s, b, "What is different from "+m.baseText(), right, true)
	}
	if wait := m.changed.text(m, "/api/v1/changes"); !m.changed.have || m.changed.problem != "" {
		if !m.changed.have {
			m.drawHint(s, b, wait)
			return
		}
		s.put(b.x+1, b.y+2, b.w-2, style{fg: warn}, m.head(wait, b.w-2))
	}
	// The widths: kind, metric and name, then base, now, and what is certain of the difference.
	const kind = 5
	metric := max(min(b.w/5, 34), 12)
	number := 12
	if b.w >= 100 {
		number = 17
	}
	certain, part, units := 0, 0, 0
	if b.w >= 74 {
		certain, part = number-2, 8
	}
	if b.w >= 110 {
		units = 14
	}
	name := b.w - kind - metric - 2*number - certain - part - units
	y, heads, per := b.y+1, style{fg: dim}, "/s"
	if m.changed.list.Measure == api.ByShare {
		per = ""
	}
	s.put(b.x+kind, y, metric, heads, "of")
	s.put(b.x+kind+metric, y, name, heads, "what")
	x := b.x + kind + metric + name
	least := "at least" + per
	if textWidth(least) >= certain { // a header must not touch the one beside it
		least = "least" + per
	}
	s.right(x, y, number, heads, "before"+per)
	s.right(x+number, y, number, heads, "now"+per)
	if certain > 0 {
		s.right(x+2*number, y, certain, heads, least)
		s.put(x+2*number+certain+1, y, units, heads, "unit")
		s.right(x+2*number+certain+units, y, part, heads, "of all")
	}
	room := b.h - 2 - fleetDetail
	first := firstShown(true, m.row, len(list), room)
	for i := first; i < len(list) && i < first+room; i++ {
		d, y := &list[i], b.y+2+i-first
		s.put(b.x, y, kind-1, style{fg: kindTone(d.kind), bold: true}, d.kind)
		s.put(b.x+kind, y, metric-1, style{fg: dim}, m.head(d.title, metric-1))
		s.put(b.x+kind+metric, y, name-1, style{}, fit(d.label(), name-1, m.glyphs.ellipsis))
		m.cell(s, x, y, number, m.boundsText(d.Base, d.Unit, number-1), style{fg: dim})
		m.cell(s, x+number, y, number, m.boundsText(d.Now, d.Unit, number-1), style{})
		if certain > 0 {
			s.right(x+2*number, y, certain, style{bold: true}, m.signed(d.Change.Change, d.Unit, certain-1))
			s.put(x+2*number+certain+1, y, units, style{fg: dim}, m.head(m.unitWords(d.Unit), max(units-1, 1)))
			s.right(x+2*number+certain+units, y, part, style{fg: dim}, strings.TrimSpace(percent(max(d.Score, 0))))
		}
		if i == m.row {
			s.shade(b.x, y, b.w, chosen)
		}
	}
	m.drawDifference(s, b, list)
}

func kindTone(kind string) tone {
	switch kind {
	case "new":
		return fresh
	case "gone":
		return warn
	}
	return dim
}

// label is the name of the row, or what stands for a counter, which has none.
func (d *difference) label() string {
	if d.name == "" && d.Kind == string(api.Counter) {
		return "all"
	}
	if d.name == "" {
		return `""`
	}
	return d.name
}

// drawHint says why there is no change to list.
func (m *Model) drawHint(s *screen, b box, text string) {
	for i, f := range m.wrapped("", text, warn, b.w-2) {
		if i+2 < b.h {
			s.put(b.x+1, b.y+2+i, b.w-2, style{fg: f.tone}, f.text)
		}
	}
}

// drawDifference describes the chosen change in full.
func (m *Model) drawDifference(s *screen, b box, list []difference) {
	y := b.y + b.h - fleetDetail
	if m.row >= len(list) {
		if m.baseless() {
			m.drawHint(s, b, "nothing is known of "+m.baseText()+": b chooses another, w a shorter window")
		} else if len(list) == 0 {
			s.put(b.x+1, b.y+2, b.w-2, style{fg: dim}, "nothing has changed by more than the bounds can explain")
		}
		return
	}
	d := &list[m.row]
	unit := m.unitWords(d.Unit)
	if m.changed.list.Measure == api.ByShare {
		unit += " of all"
	} else {
		unit += " a second"
	}
	text := d.title
	if d.name != "" {
		text += ": " + d.plain
	}
	s.put(b.x+1, y, b.w-2, style{}, fit(text, b.w-2, m.glyphs.ellipsis))
	text = fmt.Sprintf("%s before, %s now, at least %s %s", m.boundsText(d.Base, d.Unit, 23), m.boundsText(d.Now, d.Unit, 23), m.signed(d.Change.Change, d.Unit, 12), unit)
	s.put(b.x+1, y+1, b.w-2, style{fg: dim}, m.head(text, b.w-2))
}

// unitWords writes what a change counts. Bytes are with their numbers.
func (m *Model) unitWords(unit string) string {
	return strings.ReplaceAll(clean(unit, m.unicode), "_", " ")
}

// boundsText writes the bounds of a value of a unit in w cells, or the value if they are equal.
func (m *Model) boundsText(v api.Bounds, unit string, w int) string {
	each := max((w-1)/2, 4)
	low, high := m.valueText(v.Lower, unit, each), m.valueText(v.Upper, unit, each)
	if v.Lower == v.Upper {
		return m.valueText(v.Lower, unit, w)
	}
	if low == high {
		return m.glyphs.about + low
	}
	return low + m.glyphs.dash + high
}

// valueText writes a value per second, or a share, in w cells.
func (m *Model) valueText(v float64, unit string, w int) string {
	if m.changed.list.Measure == api.ByShare {
		return strings.TrimSpace(percent(v))
	}
	switch {
	case v == 0:
		return "0"
	case v < 0.005:
		return "<.01"
	case v < 0.995:
		return strings.TrimPrefix(fmt.Sprintf("%.2f", v), "0")
	case v < 9.95:
		return fmt.Sprintf("%.1f", v)
	case api.Unit(unit) == api.Bytes && v >= 1000:
		if text := strings.ReplaceAll(bytesText(api.N(v)), " ", ""); len(text) <= w {
			return text
		}
		return scaled(v, w)
	}
	return count(api.N(v), w)
}

// signed writes a difference with its sign.
func (m *Model) signed(v float64, unit string, w int) string {
	sign := "+"
	if v < 0 {
		sign = "-"
	}
	return sign + m.valueText(math.Abs(v), unit, w)
}

// openChange opens the table of the chosen change, and shows the rows with its name.
func (m Model) openChange() Model {
	list := m.differences()
	if m.row >= len(list) {
		return m
	}
	d := list[m.row]
	if d.Name == "" {
		return m.say("a counter has no table")
	}
	for _, v := range []viewID{dnsView, networkView, attackView, otherView} {
		n := m
		n.view = v
		for i, p := range n.panels() {
			if p.kind == tablePanel && p.table.path == d.Metric {
				m = m.goTo(v).focusOn(i, 0)
				m.open, m.filter = true, strings.ToValidUTF8(d.plain[:min(len(d.plain), maxFilter)], "")
				return m
			}
		}
	}
	return m.say("no screen has the table " + d.title)
}
