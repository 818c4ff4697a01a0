package ui

import (
	"cmp"
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"pktvisor/api"
)

// Model is the whole state of the UI.
type Model struct {
	ctx     context.Context // ends requests when the UI ends
	agent   Agent
	of      func(api.Selection) Agent // nil if no other part of the fleet can be shown
	root    api.Selection             // the part that the program was started with
	place   place                     // the part in it
	part    string                    // both, for people; empty for everything
	gen     int                       // counts changes of the part; answers about a former part are ignored
	refused error                     // ends the UI: the agent does not have that part
	refresh time.Duration
	zone    *time.Location

	// The terminal.
	width, height int
	unicode       bool
	glyphs        *glyphs
	profile       colorprofile.Profile
	dark          bool
	askDark       bool // the terminal's answer determines dark
	theme         *theme
	mouse         bool

	// What the user has chosen.
	view  viewID
	focus [viewCount]int // the panel with the focus, per view
	row   int            // the row chosen in it
	// cameFrom is the row whose own summary is shown: see place.key.
	cameFrom int
	open     bool // the panel with the focus fills the screen
	help     helpPage
	typing   bool // the user is typing the filter
	filter   string
	sort     sortKey
	window   int   // in minutes, as requested
	pinned   int64 // start of the minute stepped back to; 0 is now
	paused   bool

	menu menu

	notice      string // the response to a key press
	noticeUntil time.Time

	// The agent.
	now     time.Time // from the last message that carried it
	link    link
	cur     api.Summary
	have    bool // cur is set
	had     bool // an answer has come, about whatever part
	rates   api.Rates
	app     api.App
	appAt   time.Time // when the agent sent app
	appNext time.Time

	// What the agent declares.
	tables     *[tableCount]table // tables with their own place, with the agent's titles
	others     []panel            // panels of sections without their own screen
	more       []table            // about attacks
	declared   api.Tables
	tablesNext time.Time

	minutes     []minute // newest first
	minutesBusy bool
	minutesNext time.Time
	minutesEnd  bool // the agent has no older minute
	seconds     []second

	// What only some screens need.
	hosts     hosts
	wantFleet bool // some other screen than the fleet's needs the hosts
	history   history
	changed   changed
	past      past24h
	alarm     attackState
}

// viewID is one of the screens.
type viewID uint8

const (
	overview viewID = iota
	dnsView
	networkView
	healthView
	otherView // only if there are sections without their own screen
	fleetView // only of a hub
	changesView
	attackView
	viewCount
)

func (v viewID) String() string {
	return [...]string{"overview", "DNS", "network", "capture health", "other", "fleet", "what changed", "attack"}[v]
}

// New returns the state before any request. ctx ends its requests.
func New(ctx context.Context, o Options) Model {
	m := Model{
		ctx: ctx, agent: o.Agent, of: o.Of, root: o.Selection, part: partOf(o.Selection), refresh: o.Refresh, zone: o.Zone, window: o.Window,
		width: 80, height: 24, unicode: !o.ASCII, glyphs: &utf8Glyphs,
		profile: colorprofile.ANSI256, dark: true, mouse: true, tables: &tables,
	}
	m.dark, m.askDark = o.Theme != Light && o.Theme != GuessLight, o.Theme != Dark && o.Theme != Light
	if m.of != nil && m.part != "" {
		m.agent = m.of(o.Selection)
	}
	if m.refresh <= 0 {
		m.refresh = time.Second
	}
	if m.window <= 0 {
		m.window = 5
	}
	if m.zone == nil {
		m.zone = time.Local
	}
	if o.ASCII {
		m.glyphs = &asciiGlyphs
	}
	m.theme = newTheme(m.profile, m.dark)
	return m
}

// Init asks the terminal for its colours and the clock for the first tick.
func (m Model) Init() tea.Cmd {
	if !m.askDark {
		return func() tea.Msg { return tickMsg(time.Now()) }
	}
	return tea.Batch(tea.RequestBackgroundColor, func() tea.Msg { return tickMsg(time.Now()) })
}

// shown returns the summary on the screen, and the minutes with which it is compared.
func (m *Model) shown() (s *api.Summary, older []minute) {
	if m.history.on() {
		return &m.history.sum, m.history.before
	}
	if i := m.pinnedAt(); i >= 0 {
		return &m.minutes[i].sum, m.minutes[i+1 : min(i+2, len(m.minutes))]
	}
	return &m.cur, inWindow(&m.cur, m.minutes, m.window)
}

// elsewhen reports whether what is shown is not of now.
func (m *Model) elsewhen() bool { return m.pinned != 0 || m.history.on() }

// pinnedAt returns the position of the minute stepped back to, or -1.
func (m *Model) pinnedAt() int {
	if m.pinned == 0 {
		return -1
	}
	return slices.IndexFunc(m.minutes, func(x minute) bool { return x.start == m.pinned })
}

// periods returns how many minutes the longest window has, or a default if that is not known.
func (m *Model) periods() int { return cmp.Or(periodsOf(&m.app), 5) }

// keeps returns how many minutes the window keeps, as far as that is known.
func (m *Model) keeps() api.Number {
	if p := periodsOf(&m.app); m.app.Fleet != nil && p > 0 {
		return api.N(float64(p))
	}
	return m.app.Periods
}

// finished returns how many finished minutes there are at most. One minute of an agent is live.
func (m *Model) finished() int {
	if m.app.Fleet != nil {
		return m.periods()
	}
	return m.periods() - 1
}

// periodsOf returns how many minutes the longest window has, or 0 if that is not known. A hub counts a live minute that it
// does not have.
func periodsOf(app *api.App) int {
	p := app.Periods
	switch {
	case !p.Known || p.Value < 1:
		return 0
	case app.Fleet != nil:
		return int(max(min(p.Value, 1441)-1, 1))
	}
	return int(min(p.Value, 1440))
}

// nextWindow returns the window length after n: one minute, a few steps, then all minutes.
func nextWindow(n, periods int) int {
	for _, step := range [...]int{1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440} {
		if step > n && step < periods {
			return step
		}
	}
	if n < periods {
		return periods
	}
	return 1
}

// current returns the panel with the focus, and its rows if it is a table.
func (m *Model) current() (panel, []row) {
	ps := m.panels()
	p := ps[min(max(m.focus[m.view], 0), len(ps)-1)]
	return p, m.rowsOf(p)
}

// rowsOf returns the rows of a panel that is a table.
func (m *Model) rowsOf(p panel) []row {
	if p.kind != tablePanel {
		return nil
	}
	s, older := m.shown()
	return p.table.view(s, &m.app, older, m.filter, m.sort, m.unicode)
}

// rowSteps lists the numbers of rows that requests use. They are few, so that many clients of an agent share its
// answers.
var rowSteps = [...]int{api.DefaultRows, 50, 100, 200, 500, maxRows}

// rowsWanted returns how many rows of each table the screen needs. An open panel needs another screen to scroll to. A
// filter needs all rows.
func (m *Model) rowsWanted() int {
	switch {
	case m.filter != "":
		return maxRows
	case !m.open:
		return api.DefaultRows
	}
	for _, n := range rowSteps {
		if n >= m.row+2*m.openRows() {
			return n
		}
	}
	return maxRows
}

// upTime returns how long the agent had been running when it last answered.
func (m *Model) upTime() time.Duration {
	up := seconds(scale(m.app.UpTimeMin, 60))
	if up > 0 {
		up += max(m.link.answered.Sub(m.appAt), 0)
	}
	return up
}

// lines returns how many lines of the panel with the focus can be chosen.
func (m *Model) lines() int {
	p, rows := m.current()
	switch p.kind {
	case minutesPanel:
		return len(m.minutes)
	case factsPanel:
		return len(m.app.Facts)
	case numbersPanel, spreadsPanel:
		return len(p.metrics)
	case fleetPanel:
		return len(m.fleetRows())
	case changesPanel:
		return len(m.differences())
	}
	return len(rows)
}
