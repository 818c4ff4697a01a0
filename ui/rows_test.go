package ui

import (
	"context"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// deepAgent returns as many rows of its tables as requested, up to what it holds, and records the requested numbers.
type deepAgent struct {
	fakeAgent
	holds  int
	asked  []int
	bucket []int // requested of finished minutes
}

func (a *deepAgent) summary(rows int, start int64) (api.Summary, error) {
	var names []string
	for i := range min(rows, a.holds) {
		names = append(names, fmt.Sprintf(`{"name":"n%03d.example","estimate":%d}`, i, 10_000-i))
	}
	return api.ParseSummary(fmt.Appendf(nil, `{"5m":{"period":{"start_ts":%d,"length":60},"packets":{"total":1},"dns":{"wire_packets":{"total":100000},"top_qname2":[%s]}}}`,
		start, strings.Join(names, ",")))
}

func (a *deepAgent) Window(_ context.Context, _, rows int) (api.Summary, error) {
	a.asked = append(a.asked, rows)
	return a.summary(rows, clock.Unix())
}

func (a *deepAgent) Bucket(_ context.Context, k, rows int) (api.Summary, error) {
	if k > 4 {
		return api.Summary{}, &api.Error{Kind: api.Status, Status: 404}
	}
	a.bucket = append(a.bucket, rows)
	return a.summary(rows, clock.Unix()-60*int64(k))
}

// through returns the model after keys, including the answers to their requests, if any.
func through(m Model, keys string) Model {
	for k := range strings.FieldsSeq(keys) {
		next, cmd := m.Update(keyPress(k))
		m = next.(Model)
		for cmd != nil {
			a, ok := cmd().(answerMsg)
			if !ok {
				break
			}
			next, cmd = m.Update(a)
			m = next.(Model)
		}
	}
	return m
}

// TestRowsAsNeeded: an open panel and a filter use all rows that the agent holds, and only they request them.
func TestRowsAsNeeded(t *testing.T) {
	a := &deepAgent{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, holds: 700}
	m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
	m.width, m.height, m.now = 80, 24, clock
	m = after(m, m.ask()(), m.askMinutes()())
	m = through(m, "tab shift+tab down down")
	if !slices.Equal(a.asked, []int{10}) || m.lines() != 10 {
		t.Errorf("the overview asks for %v rows and has %d", a.asked, m.lines())
	}
	a.asked = nil
	m = through(m, "enter")
	if !slices.Equal(a.asked, []int{50}) || m.lines() != 50 {
		t.Errorf("an open panel asks for %v rows and has %d", a.asked, m.lines())
	}
	if got := m.draw().text(); !strings.Contains(got, "50 rows") || !strings.Contains(got, " 16   n015.example") {
		t.Errorf("fewer rows than fit:\n%s", got)
	}
	a.asked = nil
	m = through(m, "pgdown pgdown pgdown")
	if !slices.Equal(a.asked, []int{100}) || m.row != 50 {
		t.Errorf("three screens on, %v rows were asked for, and row %d is chosen", a.asked, m.row)
	}
	a.asked = nil
	m = through(m, "end end end end end end")
	if !slices.Equal(a.asked, []int{200, 500, 999}) || m.row != 699 || !strings.Contains(m.draw().text(), "700   n699.example") {
		t.Errorf("at the end: %v, row %d\n%s", a.asked, m.row, m.draw().text())
	}
	m = through(m, "esc")
	a.asked = nil
	m = through(m, "/ n 6 9 8 enter")
	if !slices.Equal(a.asked, []int{999}) || !strings.Contains(m.draw().text(), "n698.example") || m.lines() != 1 {
		t.Errorf("the filter looks at %v rows, and finds %d\n%s", a.asked, m.lines(), m.draw().text())
	}
	m = through(m, "esc [")
	a.asked, a.bucket = nil, nil
	m = through(m, "enter")
	if !slices.Equal(a.bucket, []int{50}) || m.lines() != 50 {
		t.Errorf("a minute stepped back to: %v rows were asked for, there are %d", a.bucket, m.lines())
	}
}

// TestEverythingOnSomePage: each counter of a view is on one of its pages at any size, even if there is room for only
// one column.
func TestEverythingOnSomePage(t *testing.T) {
	for _, c := range []struct{ key, labels string }{
		{"", "Packets|Rates|DNS|Xact|UDP|TCP|p99|NOERROR|SERVFAIL|Timeouts|Orphans|Slow In|Top RCodes|Unanswered|Traffic"},
		{"d", "DNS|Timeouts|REFUSED|NODATA|Top Opcodes"},
		{"n", "Packets|Rates|Malform.|Top ASN"},
		{"c", "Received|OS drops|Malform.|Factor|Refresh|Minutes|Agent"},
	} {
		for _, size := range []struct{ w, h int }{{40, 16}, {60, 16}, {60, 24}, {77, 24}, {78, 24}, {79, 24}, {80, 24}, {80, 16}, {160, 24}} {
			m := press(loaded(t, dataSetNamed("busy"), size.w, size.h), c.key)
			var all strings.Builder
			pages := 0
			for seen := ""; pages < 60; pages++ {
				text := m.draw().text()
				if text == seen {
					break
				}
				seen = text
				all.WriteString(text)
				m = press(m, "pgdown")
			}
			for label := range strings.SplitSeq(c.labels, "|") {
				if !strings.Contains(all.String(), label) {
					t.Errorf("%dx%d %q: %s is on none of %d pages", size.w, size.h, c.key, label, pages)
				}
			}
		}
	}
}

// TestTheme: the terminal's answer does not change an explicit theme, but it changes a guess.
func TestTheme(t *testing.T) {
	white, black := tea.BackgroundColorMsg{Color: color.White}, tea.BackgroundColorMsg{Color: color.Black}
	for _, c := range []struct {
		theme                       Theme
		before, onWhite, afterBlack bool
	}{
		{AskTerminal, true, false, true}, {Dark, true, true, true}, {Light, false, false, false},
		{GuessDark, true, false, true}, {GuessLight, false, false, true},
	} {
		m := New(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}, Theme: c.theme})
		if m.dark != c.before || *m.theme != *newTheme(m.profile, c.before) {
			t.Errorf("theme %d: dark is %v before the terminal answers", c.theme, m.dark)
		}
		if got := after(m, white); got.dark != c.onWhite || *got.theme != *newTheme(m.profile, c.onWhite) {
			t.Errorf("theme %d: dark is %v on white", c.theme, got.dark)
		}
		if got := after(m, black); got.dark != c.afterBlack {
			t.Errorf("theme %d: dark is %v on black", c.theme, got.dark)
		}
	}
}

// TestUpTime: the uptime grows with every answer, although the agent's state is requested only now and then. It stands
// still while no answer comes.
func TestUpTime(t *testing.T) {
	d := dataSetNamed("busy")
	d.app = `{"app":{"up_time_min":60,"periods":5}}`
	m := loaded(t, d, 160, 50)
	if m.upTime() != time.Hour {
		t.Fatal(m.upTime())
	}
	m.now = clock.Add(7 * time.Second)
	a := m.ask()().(answerMsg)
	a.at = m.now
	m = after(m, a)
	if a.app != nil || m.upTime() != time.Hour+7*time.Second {
		t.Errorf("up for %v, 7 s later", m.upTime())
	}
	m = after(m, answerMsg{at: clock.Add(20 * time.Second), err: errRefused})
	if m.upTime() != time.Hour+7*time.Second {
		t.Errorf("up for %v though there is no answer", m.upTime())
	}
}

// TestNamesInTables: names are shown in the form that people write, found by either form, and copied in the form of the
// DNS.
func TestNamesInTables(t *testing.T) {
	d := dataSetNamed("busy")
	d.window = []byte(`{"5m":{"period":{"start_ts":1,"length":60},"packets":{"total":9,"top_ASN":[{"name":"xn--bcher-kva","estimate":1}]},
		"dns":{"wire_packets":{"total":9},"top_qname2":[{"name":"xn--bcher-kva.example","estimate":5},{"name":"b\\195\\188ro.local","estimate":4}],
		"top_rcode":[{"name":"SRVFAIL","estimate":1}]}}}`)
	m := loaded(t, d, 120, 40)
	if got := m.draw().text(); !strings.Contains(got, "bücher.example (idn)") || !strings.Contains(got, "büro.local") || strings.Contains(got, "SRVFAIL") {
		t.Errorf("names:\n%s", got)
	}
	open := press(m, "enter")
	if got := open.draw().text(); !strings.Contains(got, "xn--bcher-kva.example") {
		t.Errorf("the open panel does not have the A-label:\n%s", got)
	}
	for _, filter := range []string{"/ x n - - b", "/ b ü c h"} {
		found := press(m, filter)
		if n := found.lines(); n != 1 {
			t.Errorf("filter %s: %d rows", filter, n)
		}
	}
	if got := press(m, "y").notice; got != "copied xn--bcher-kva.example" {
		t.Error(got)
	}
	if _, rows := func() (panel, []row) { m := m; m.view = networkView; m.focus[networkView] = 3; return m.current() }(); rows[0].name != "xn--bcher-kva" {
		t.Errorf("a name that is not a DNS name was decoded: %+v", rows)
	}
}
