package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pktvisor/api"
)

// Once writes the overview as plain text of the given width, as high as needed, for pipes, tickets and watch.
func Once(ctx context.Context, o Options, width int, out io.Writer) error {
	m := New(ctx, o)
	m.width = max(width, leastWidth)
	a := m.ask()().(answerMsg)
	if a.err != nil {
		return failure(m.agent.Host(), a.err)
	}
	next, _ := m.onAnswer(a)
	m = next.(Model)
	more := m.askMinutes()().(minutesMsg)
	m.minutes = addMinutes(nil, more.minutes)
	m = m.onAlarm(m.askAlarm()().(alarmMsg))
	m.seconds = nil        // one second does not make a graph
	m.focus[overview] = -1 // no row is chosen in plain text
	m.height = m.tall()
	s := newScreen(m.width, m.height)
	p := m.plan()
	m.drawTitle(s, &p)
	m.drawStatus(s)
	m.drawPlan(s, &p)
	_, err := io.WriteString(out, strings.TrimRight(s.text(), "\n")+"\n")
	return err
}

// tall returns the height at which every panel shows all its rows on one page.
func (m *Model) tall() int {
	for h := 20; h < 400; h++ {
		m.height = h
		p := m.plan()
		if len(p.pages) > 1 {
			continue
		}
		whole := true
		for _, b := range p.boxes {
			whole = whole && (b.h >= fullPanel || m.panels()[b.panel].kind != tablePanel)
		}
		if whole {
			return h
		}
	}
	return 400
}

// JSON writes the window as the agent sent it.
func JSON(ctx context.Context, o Options, out io.Writer) error {
	m := New(ctx, o)
	m.appNext = time.Time{}
	a := m.ask()().(answerMsg)
	if a.err != nil {
		return failure(m.agent.Host(), a.err)
	}
	_, err := fmt.Fprintf(out, "%s\n", a.sum.Raw)
	return err
}

// failure returns err as one line that is safe to show.
func failure(host string, err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.Kind == api.Unreachable {
		return fmt.Errorf("no agent at %s: %s (is pktvisord or pktvisor-hub running there?)", host, clean(reason(err), true))
	}
	return fmt.Errorf("agent at %s: %s", host, clean(reason(err), true))
}
