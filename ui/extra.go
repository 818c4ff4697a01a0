package ui

import (
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// zeroTime is no time.
var zeroTime time.Time

// extra is the state of a request that only some screens need, beside the window that every screen needs.
type extra struct {
	busy    bool
	next    time.Time // do not ask before this time
	problem string    // why the last request failed; not cleaned
	missing bool      // the agent does not have the route
}

// due reports whether it is time to ask.
func (e extra) due(now time.Time) bool { return !e.busy && !now.Before(e.next) }

// ask returns the state after a request is sent.
func (e extra) ask() extra {
	e.busy = true
	return e
}

// done returns the state after an answer or a failure. The next request follows after every, and a failed one is repeated
// after retryExtra.
func (e extra) done(now time.Time, err error, every time.Duration) extra {
	if err == nil {
		return extra{next: now.Add(every)}
	}
	e = extra{next: now.Add(max(every, retryExtra)), problem: reason(err)}
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.NotThere() && !aboutPolicy(refused) {
		e.missing = true
	}
	return e
}

// aboutPolicy reports whether an agent answered that it does not have the policy, or that one must be named. It may have the route.
func aboutPolicy(e *api.Error) bool { return strings.Contains(e.Message, "polic") }

// retryExtra is the least time between two requests of a kind that fails.
const retryExtra = 5 * time.Second

// text says what is wrong, or that an answer is awaited. what names what was asked for. It is empty if all is well.
func (e extra) text(m *Model, what string) string {
	switch {
	case e.missing:
		return fmt.Sprintf("this %s does not have %s: it is an earlier version", m.kind(), what)
	case e.problem != "":
		return what + ": " + clean(e.problem, m.unicode)
	case e.busy || e.next.IsZero():
		return "waiting for " + what
	}
	return ""
}

// askExtras sends the requests that the screen needs beside the window.
func (m Model) askExtras() (Model, []tea.Cmd) {
	var cmds []tea.Cmd
	if m.paused || m.link.state != live {
		return m, nil
	}
	add := func(cmd tea.Cmd) { cmds = append(cmds, cmd) }
	if (m.view == fleetView || m.wantFleet) && m.hosts.due(m.now) {
		m.hosts.extra = m.hosts.ask()
		add(m.askFleet())
	}
	if m.view == fleetView && m.hosts.have && m.hosts.rating.due(m.now) {
		m.hosts.rating = m.hosts.rating.ask()
		add(m.askRates())
	}
	if m.view == changesView && m.changed.due(m.now) {
		m.changed.extra = m.changed.ask()
		add(m.askChanges())
	}
	if m.view == attackView && m.app.Fleet != nil && m.past.due(m.now) {
		m.past.extra = m.past.ask()
		add(m.askPast())
	}
	if m.alarm.due(m.now) {
		m.alarm.extra = m.alarm.ask()
		add(m.askAlarm())
	}
	if m.history.on() && (m.history.due(m.now) || !m.history.busy && m.history.rows < m.rowsWanted()) {
		m.history.extra = m.history.ask()
		add(m.askRange())
	}
	return m, cmds
}
