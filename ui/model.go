package ui

import (
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
	refresh time.Duration
	zone    *time.Location

	// The terminal.
	width, height int
	unicode       bool
	glyphs        *glyphs
	profile       colorprofile.Profile
	dark          bool
	askDark       bool // the terminal's answer counts
	theme         *theme
	mouse         bool

	// Where the person is.
	view   viewID
	focus  [viewCount]int // the panel with the focus, per view
	row    int            // the row chosen in it
	open   bool           // that panel fills the screen
	help   helpPage
	typing bool // in the filter
	filter string
	sort   sortKey
	window int   // minutes asked for
	pinned int64 // start of the minute stepped back to; 0 is now
	paused bool

	notice      string // an answer to a key press
	noticeUntil time.Time

	// The agent.
	now     time.Time // of the last message that told
	link    link
	cur     api.Summary
	have    bool // cur is set
	rates   api.Rates
	app     api.App
	appAt   time.Time // when it said so
	appNext time.Time

	// What the agent declares.
	tables     *[tableCount]table // those with a place of their own, as it calls them
	others     []panel            // of the sections without a screen of their own
	tablesNext time.Time

	minutes     []minute // newest first
	minutesBusy bool
	minutesNext time.Time
	minutesEnd  bool // the agent has none older
	seconds     []second
}

// viewID is one of the screens.
type viewID uint8

const (
	overview viewID = iota
	dnsView
	networkView
	healthView
	otherView // only where there are sections without a screen of their own
	viewCount
)

func (v viewID) String() string {
	return [...]string{"overview", "DNS", "network", "capture health", "other"}[v]
}

// New returns the state before anything was asked. ctx ends its requests.
func New(ctx context.Context, o Options) Model {
	m := Model{
		ctx: ctx, agent: o.Agent, refresh: o.Refresh, zone: o.Zone, window: o.Window,
		width: 80, height: 24, unicode: !o.ASCII, glyphs: &utf8Glyphs,
		profile: colorprofile.ANSI256, dark: true, mouse: true, tables: &tables,
	}
	m.dark, m.askDark = o.Theme != Light && o.Theme != GuessLight, o.Theme != Dark && o.Theme != Light
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

// shown is the summary on the screen, and the minutes it is compared with.
func (m *Model) shown() (s *api.Summary, older []minute) {
	if i := m.pinnedAt(); i >= 0 {
		return &m.minutes[i].sum, m.minutes[i+1 : min(i+2, len(m.minutes))]
	}
	return &m.cur, inWindow(&m.cur, m.minutes, m.window)
}

// pinnedAt is where among the minutes the one stepped back to is, or -1.
func (m *Model) pinnedAt() int {
	if m.pinned == 0 {
		return -1
	}
	return slices.IndexFunc(m.minutes, func(x minute) bool { return x.start == m.pinned })
}

// periods is how many minutes the agent keeps, as far as known.
func (m *Model) periods() int {
	if p := m.app.Periods; p.Known && p.Value >= 1 {
		return int(min(p.Value, 1440))
	}
	return 5
}

// nextWindow is the window length after n: a minute, a few steps, the whole.
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

// current is the panel with the focus, and its rows when it is a table.
func (m *Model) current() (panel, []row) {
	ps := m.panels()
	p := ps[min(max(m.focus[m.view], 0), len(ps)-1)]
	return p, m.rowsOf(p)
}

// rowsOf is the rows of a panel that is a table.
func (m *Model) rowsOf(p panel) []row {
	if p.kind != tablePanel {
		return nil
	}
	s, older := m.shown()
	return p.table.view(s, &m.app, older, m.filter, m.sort, m.unicode)
}

// rowSteps are how many rows of a table are asked for: a few numbers, so that many who look at an
// agent share its answers.
var rowSteps = [...]int{api.DefaultRows, 50, 100, 200, 500, maxRows}

// rowsWanted is how many rows of each table the screen needs: those of an open panel with another screen
// to scroll to, and where there is a filter all that one may look through.
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

// upTime is how long the agent was running when it answered last.
func (m *Model) upTime() time.Duration {
	up := seconds(scale(m.app.UpTimeMin, 60))
	if up > 0 {
		up += max(m.link.answered.Sub(m.appAt), 0)
	}
	return up
}

// lines is how many lines the panel with the focus has to choose from.
func (m *Model) lines() int {
	p, rows := m.current()
	switch p.kind {
	case minutesPanel:
		return len(m.minutes)
	case factsPanel:
		return len(m.app.Facts)
	case numbersPanel, spreadsPanel:
		return len(p.metrics)
	}
	return len(rows)
}
