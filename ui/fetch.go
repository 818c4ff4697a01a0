package ui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// tickMsg is the time, sent once a second or once a refresh, whichever is more often.
type tickMsg time.Time

// answerMsg is the result of a refresh.
type answerMsg struct {
	gen         int
	at          time.Time
	window      int // as requested
	rows        int // as requested
	sum         api.Summary
	pinned      *minute // the minute stepped back to, with these rows; nil if it was not requested
	rates       api.Rates
	app         *api.App    // nil if not requested or not available
	tables      *api.Tables // nil if not requested or not available; empty if the agent declares nothing
	askedTables bool
	err         error
}

// minutesMsg carries finished buckets that were not known.
type minutesMsg struct {
	gen     int
	at      time.Time
	minutes []minute
	end     bool // the agent has no older minute than these
}

// savedMsg is the result of saving the window.
type savedMsg struct {
	file string
	err  error
}

// appEvery is how often the agent is asked about itself. minutesEvery is how often it is asked for a newly finished
// minute.
const (
	appEvery     = 10 * time.Second
	minutesEvery = 5 * time.Second
)

// tablesEvery is how often the agent is asked for its declared tables. They change only with its configuration.
const tablesEvery = time.Minute

func (m Model) tick() tea.Cmd {
	return tea.Tick(min(m.refresh, time.Second), func(t time.Time) tea.Msg { return tickMsg(t) })
}

// ask makes one refresh: the window, the rates, and sometimes the agent's state and its declared tables. Only the
// window is required, because a hub or an old agent may not have the others.
func (m Model) ask() tea.Cmd {
	ctx, agent, n, rows := m.ctx, m.agent, m.window, m.rowsWanted()
	known, part, selected, gen := m.app, m.part, m.selection(), m.gen
	wantApp := !m.now.Before(m.appNext) || m.view == healthView || m.view == otherView
	wantTables := !m.now.Before(m.tablesNext)
	pinned, pinnedAt := m.pinned, m.pinnedAt()
	return func() tea.Msg {
		a := answerMsg{gen: gen, window: n, rows: rows}
		if wantApp {
			if app, err := agent.App(ctx); err == nil {
				a.app, known = &app, app
			} else {
				a.err = err
			}
		}
		if part == "" || (known.Fleet != nil || len(known.Policies) > 0) && a.app == nil {
			a.err = nil // it is not needed
		} else if a.err == nil && known.Fleet == nil {
			a.err = agentHas(&known, selected)
		}
		if a.err != nil {
			a.at = time.Now()
			return a
		}
		n = min(n, cmp.Or(periodsOf(&known), n))
		if n <= 1 && known.Fleet == nil { // a hub has no live minute
			a.sum, a.err = agent.Bucket(ctx, 0, rows)
		} else {
			a.sum, a.err = agent.Window(ctx, n, rows)
		}
		if a.err == nil {
			a.rates, _ = agent.Rates(ctx)
		}
		if a.err == nil && wantTables {
			a.tables, a.askedTables = declared(ctx, agent), true
		}
		if a.err == nil && pinnedAt >= 0 && rows > api.DefaultRows {
			a.pinned = minuteAt(ctx, agent, pinned, pinnedAt, rows)
		}
		a.at = time.Now()
		return a
	}
}

// The errors of an agent that is asked for a part of a fleet, and of one that has only one policy and does not know the parameter.
var (
	errNotHub    = errors.New("it is an agent, not a hub, so it has no hosts to select: leave out --tag and --node")
	errOnePolicy = errors.New("it is an agent of an earlier version, which has one policy: leave out --policy and --tap")
)

// agentHas returns why an agent cannot answer about a selection, or nil.
func agentHas(app *api.App, s api.Selection) error {
	switch {
	case len(s.Tags) > 0 || s.Host != "":
		return errNotHub
	case len(app.Policies) == 0:
		return errOnePolicy
	}
	return nil
}

// declared fetches the agent's declared tables. The original and earlier agents do not have the route; for them it
// returns an empty declaration.
func declared(ctx context.Context, agent Agent) *api.Tables {
	t, err := agent.Tables(ctx)
	if refused, ok := errors.AsType[*api.Error](err); err != nil && !(ok && refused.NotThere()) {
		return nil
	}
	return &t
}

// minuteAt fetches the finished minute that starts at the given time. Its position among the known minutes was at. It
// looks at a few positions, because other minutes may have finished since. It returns nil if the minute is not found.
func minuteAt(ctx context.Context, agent Agent, start int64, at, rows int) *minute {
	for k := at + 1; k <= at+3; k++ {
		s, err := agent.Bucket(ctx, k, rows)
		if err != nil {
			return nil
		}
		if t, ok := moment(s.Period.StartTS); ok && t.Unix() == start {
			return &minute{start, s}
		}
	}
	return nil
}

// minutesAtOnce is how many unknown minutes one askMinutes fetches.
const minutesAtOnce = 12

// askMinutes fetches the newest finished minutes that are not known yet, at most [minutesAtOnce]. It skips known ones.
// If all minutes of the agent are known, it stops at the first known one.
func (m Model) askMinutes() tea.Cmd {
	ctx, agent, have, end := m.ctx, m.agent, m.minutes, m.minutesEnd
	last, gen := min(m.finished(), keepMinutes), m.gen
	return func() tea.Msg {
		out := minutesMsg{gen: gen}
		for k, unknown := 1, 0; unknown < minutesAtOnce; {
			if k > last {
				out.end = true
				break
			}
			s, err := agent.Bucket(ctx, k, api.DefaultRows)
			if err != nil {
				refused, ok := errors.AsType[*api.Error](err)
				out.end = end || ok && refused.Kind == api.Status // the agent has none so old
				break
			}
			start, ok := moment(s.Period.StartTS)
			known := 0
			if ok {
				known = adjacent(have, start.Unix())
			}
			if known > 0 && end {
				out.end = true
				break
			}
			if known == 0 {
				unknown++
				if ok {
					out.minutes = append(out.minutes, minute{start.Unix(), s})
				}
			}
			k += max(known, 1)
		}
		out.at = time.Now()
		return out
	}
}

// adjacent returns how many minutes of have follow each other back in time without a gap, starting with the one at the
// given time. It returns 0 if have does not contain that one.
func adjacent(have []minute, start int64) (n int) {
	i := slices.IndexFunc(have, func(h minute) bool { return h.start == start })
	for ; i >= 0 && i < len(have) && have[i].start == start-60*int64(n); i++ {
		n++
	}
	return n
}

// save writes the window, as the agent sent it, to a new file.
func (m Model) save() tea.Cmd {
	s, _ := m.shown()
	raw, name := s.Raw, saveName(m.agent.Host(), s)
	return func() tea.Msg {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return savedMsg{file: name, err: err}
		}
		_, err = f.Write(append(raw, '\n'))
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		return savedMsg{file: name, err: err}
	}
}

// saveName returns a file name that sorts by time and is safe for any name of the host.
func saveName(host string, s *api.Summary) string {
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, host)
	start, _ := moment(s.Period.StartTS)
	end := start.Add(seconds(s.Period.Length))
	return fmt.Sprintf("pktvisor-%s-%s-%s.json", host, s.Key, end.UTC().Format("20060102T150405Z"))
}
