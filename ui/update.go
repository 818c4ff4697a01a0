package ui

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// Update returns the state after a message, and the command to run.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		return m.onTick(time.Time(msg))
	case answerMsg:
		return m.onAnswer(msg)
	case fleetMsg:
		return m.onFleet(msg), nil
	case ratesMsg:
		return m.onRates(msg), nil
	case changesMsg:
		return m.onChanges(msg), nil
	case policyRatesMsg:
		return m.onPolicyRates(msg), nil
	case pastMsg:
		return m.onPast(msg), nil
	case alarmMsg:
		return m.onAlarm(msg), nil
	case rangeMsg:
		return m.onRange(msg), nil
	case minutesMsg:
		if msg.gen != m.gen {
			return m, nil
		}
		m.minutesBusy = false
		m.minutes = addMinutes(m.minutes, msg.minutes)
		m.minutesEnd = msg.end
		m.minutesNext = msg.at.Add(minutesEvery)
		if !msg.end && len(msg.minutes) > 0 {
			m.minutesNext = msg.at // the agent has more
		}
	case savedMsg:
		if msg.err != nil {
			m = m.say("not saved: " + msg.err.Error())
		} else {
			m = m.say("saved as " + msg.file)
		}
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 1), max(msg.Height, 1)
		m.focus[m.view] = min(m.focus[m.view], len(m.panels())-1)
	case tea.BackgroundColorMsg:
		if m.askDark {
			m.dark = msg.IsDark()
			m.theme = newTheme(m.profile, m.dark)
		}
	case tea.ColorProfileMsg:
		m.profile = msg.Profile
		m.theme = newTheme(m.profile, m.dark)
	case tea.KeyPressMsg:
		return m.redrawn(m.withRows(m.onKey(msg)))
	case tea.PasteMsg:
		if m.typing {
			m = m.typed(msg.Content)
		}
	case tea.MouseClickMsg:
		return m.withRows(m.onClick(tea.Mouse(msg)))
	case tea.MouseWheelMsg:
		return m.withRows(m.onWheel(tea.Mouse(msg)), nil)
	}
	return m, nil
}

// onTick sends the requests that are due. The ticks never stop, so that displayed ages stay correct while no answers
// come.
func (m Model) onTick(now time.Time) (tea.Model, tea.Cmd) {
	m.now = now
	cmds := []tea.Cmd{m.tick()}
	if !m.paused && m.link.due(now) {
		cmds = append(cmds, m.ask())
		m.link = m.link.ask(now, m.refresh)
	}
	if !m.paused && m.link.state == live && !m.minutesBusy && !now.Before(m.minutesNext) {
		cmds = append(cmds, m.askMinutes())
		m.minutesBusy = true
	}
	m, more := m.askExtras()
	return m, tea.Batch(append(cmds, more...)...)
}

// askNow sends a request without waiting for the tick, unless a request is pending.
func (m Model) askNow() (Model, tea.Cmd) {
	if !m.link.asked.IsZero() {
		return m, nil
	}
	cmd := m.ask()
	m.link = m.link.ask(m.now, m.refresh)
	return m, cmd
}

// redrawn has the whole screen drawn again if the next state is of another place. All of it changes then. Otherwise only the differences
// are drawn, so what a terminal has lost, for example during a change of its size, would stay lost.
func (m Model) redrawn(next tea.Model, cmd tea.Cmd) (tea.Model, tea.Cmd) {
	if n, ok := next.(Model); ok && n.gen != m.gen {
		cmd = tea.Batch(cmd, tea.ClearScreen)
	}
	return next, cmd
}

// withRows sends a request at once if the next state needs more rows than m.
func (m Model) withRows(next tea.Model, cmd tea.Cmd) (tea.Model, tea.Cmd) {
	n, ok := next.(Model)
	if !ok || cmd != nil || n.paused || n.rowsWanted() <= m.rowsWanted() {
		return next, cmd
	}
	return n.askNow()
}

func (m Model) onAnswer(a answerMsg) (tea.Model, tea.Cmd) {
	m.now = a.at
	if a.gen != m.gen {
		return m, nil
	}
	if a.err != nil {
		if m.refuses(a.err) {
			m.refused = failure(m.agent.Host(), a.err)
			return m, tea.Quit
		}
		if e, ok := errors.AsType[*api.Error](a.err); ok && e.Kind == api.Status && e.Status == http.StatusNotFound && m.place.key != "" {
			key := m.place.key
			m, cmd := m.outOfKey()
			return m.say(key + " is not followed any more"), cmd
		}
		m.link = m.link.fail(a.at, a.err)
		if a.app != nil { // so that another policy can be chosen
			m.app, m.appAt = *a.app, a.at
		}
		m.appNext, m.tablesNext = a.at, a.at // a different agent may answer next time
		return m, nil
	}
	if m.have && m.link.state == away {
		m = m.say("the " + m.kind() + " is back")
	}
	took := a.at.Sub(m.link.answered)
	m.link = m.link.answer(a.at, a.sum.Odd)
	if a.app != nil {
		if restarted(&m.app, a.app) {
			m = m.say("the " + m.kind() + " was restarted")
			m.tablesNext = a.at
		}
		m.app, m.appAt = *a.app, a.at
		m.appNext = a.at.Add(appEvery)
	}
	if a.tables != nil {
		m = m.declare(a.tables)
		m.tablesNext = a.at.Add(tablesEvery)
	} else if a.askedTables {
		m.tablesNext = a.at.Add(appEvery)
	}
	m.seconds = addSecond(m.seconds, second{
		pps: a.rates.PPSTotal.Or(a.sum.Packets.Rates.PPSTotal.Live).Or(api.N(-1)).Value,
		dns: dnsRate(a.rates, &a.sum, &m.cur, took),
	})
	m.cur, m.rates, m.have, m.had = a.sum, a.rates, true, true
	if a.pinned != nil {
		if i := slices.IndexFunc(m.minutes, func(x minute) bool { return x.start == a.pinned.start }); i >= 0 {
			m.minutes = slices.Clone(m.minutes)
			m.minutes[i] = *a.pinned
		}
	}
	if a.window != m.window || a.rows < m.rowsWanted() && !m.paused { // the user has chosen another window meanwhile
		return m.askNow()
	}
	if !m.minutesBusy && len(m.minutes) == 0 && !m.minutesEnd {
		m.minutesBusy = true
		return m, m.askMinutes()
	}
	return m, nil
}

// refuses reports whether an error means that the agent does not have the selected part of a fleet. Once it had the
// part, it may have it again.
func (m *Model) refuses(err error) bool {
	if m.part == "" || m.had {
		return false
	}
	e, ok := errors.AsType[*api.Error](err)
	return errors.Is(err, errNotHub) || errors.Is(err, errOnePolicy) || ok && e.Kind == api.Status && e.Status >= 400 && e.Status < 500
}

// restarted reports whether the agent's uptime went backwards.
func restarted(before, now *api.App) bool {
	a, b := before.UpTimeMin, now.UpTimeMin
	return a.Known && b.Known && b.Value < a.Value
}

// noticeFor is how long the response to a key press stays visible.
const noticeFor = 4 * time.Second

// say shows text for a while.
func (m Model) say(text string) Model {
	m.notice, m.noticeUntil = clean(text, m.unicode), m.now.Add(noticeFor)
	return m
}

// step goes back (+1) or forward (-1) among the finished minutes. The step after the newest is the present.
func (m Model) step(by int) Model {
	if len(m.minutes) == 0 {
		return m.say("no finished minute yet")
	}
	at := m.pinnedAt() + by
	if at >= len(m.minutes) {
		return m.say("this is the oldest minute")
	}
	if at < 0 {
		m.pinned = 0
		return m
	}
	m.pinned = m.minutes[at].start
	return m
}

// changeWindow switches to the next window length and requests it.
func (m Model) changeWindow() (Model, tea.Cmd) {
	m.window = nextWindow(min(m.window, m.periods()), m.periods())
	m.pinned, m.history = 0, history{}
	m = m.otherTime().say(fmt.Sprintf("window of %d min", m.window))
	return m.askNow()
}
