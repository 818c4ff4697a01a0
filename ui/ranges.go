package ui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// history is a range of the past that a hub's rollups have, shown in the place of the window.
type history struct {
	extra
	length int64 // seconds; 0 if the window is shown
	end    int64 // Unix seconds; 0 if the range ends now

	// What was answered.
	from, to int64
	rows     int
	have     bool
	sum      api.Summary
	before   []minute // the range of the same length before it
	series   api.Series
}

func (h history) on() bool { return h.length > 0 }

// stale returns the range without its data.
func (h history) stale() history { return history{length: h.length, end: h.end} }

// lengths are the ranges that can be chosen.
var lengths = []struct {
	label  string
	length int64
}{
	{"last 15 minutes", 900}, {"last hour", 3600}, {"last 6 hours", 6 * 3600}, {"last day", 86400}, {"last week", 7 * 86400}, {"last 4 weeks", 28 * 86400},
}

// settles is how long after its end a hub has a minute.
const settles = 5

// wall returns the time by the hub's clock, in Unix seconds. The rates of a hub are those of the second 65 seconds ago.
func (m *Model) wall() int64 {
	if m.app.Fleet != nil && m.rates.Start.Known {
		if at, ok := moment(m.rates.Start); ok {
			return at.Unix() + 65
		}
	}
	return m.now.Unix()
}

// span returns the time that is shown: the chosen range, the minute stepped back to, or the window.
func (m *Model) span() (from, to int64) {
	last := (m.wall() - settles) / 60 * 60
	switch h := &m.history; {
	case h.on() && h.end > 0:
		return h.end - h.length, h.end
	case h.on():
		return last - h.length, last
	case m.pinned != 0:
		return m.pinned, m.pinned + 60
	}
	return last - 60*int64(max(min(m.window, m.periods()), 1)), last
}

// otherTime drops what was asked about the time that was shown before.
func (m Model) otherTime() Model {
	m.changed, m.past = changed{base: m.changed.base, sort: m.changed.sort}, past24h{}
	m.alarm = attackState{}
	return m
}

// rangeMsg is the answer about a range.
type rangeMsg struct {
	gen    int
	at     time.Time
	length int64 // as asked for
	got    history
	err    error
}

// askRange asks for the range, for the one before it, and for its course.
func (m Model) askRange() tea.Cmd {
	ctx, agent, gen, length, end, rows := m.ctx, m.agent, m.gen, m.history.length, m.history.end, m.rowsWanted()
	from, to := m.span()
	step := max((length/120+59)/60*60, 60)
	return func() tea.Msg {
		out := rangeMsg{gen: gen, length: length, got: history{length: length, end: end, from: from, to: to, rows: rows}}
		h := &out.got
		h.sum, out.err = agent.Range(ctx, from, to, rows)
		if out.err == nil {
			h.have = true
			if before, err := agent.Range(ctx, from-length, from, rows); err == nil { // without it, no change is marked
				h.before = []minute{{start: from - length, sum: before}}
			}
			h.series, _ = agent.Series(ctx, api.SeriesQuery{ // without it, there is no graph
				Metrics: []string{"packets.total", "dns.wire_packets.total"}, From: from, To: to, Step: step})
		}
		out.at = time.Now()
		return out
	}
}

func (m Model) onRange(a rangeMsg) Model {
	if a.gen != m.gen || a.length != m.history.length || a.got.end != m.history.end {
		return m // the user has chosen something else meanwhile
	}
	every := time.Minute // late minutes may come
	if a.got.end == 0 {
		every = 15 * time.Second
	}
	if a.err != nil {
		m.history.extra = m.history.done(a.at, a.err, every)
		m.history.rows = a.got.rows
		return m
	}
	m.history = a.got
	m.history.extra = extra{}.done(a.at, nil, every)
	return m
}

// openRanges opens the menu of ranges.
func (m Model) openRanges() Model {
	items := []item{{label: "now", note: fmt.Sprintf("the window of %d min", m.window), value: "0"}}
	for _, l := range lengths {
		if m.app.Fleet != nil || l.length < 60*int64(m.periods()) {
			items = append(items, item{label: l.label, value: fmt.Sprint(l.length)})
		}
	}
	items = append(items, item{label: "from a time on", typed: true, value: "typed",
		note: "such as 03:00, 2026-11-29 03:00, -36h; and a length: 03:00 2h"})
	return m.choose(rangeMenu, "Which time", items, fmt.Sprint(m.history.length))
}

// choseRange shows the chosen range.
func (m Model) choseRange(it item, text string) (tea.Model, tea.Cmd) {
	var h history
	switch {
	case it.typed:
		from, length, err := parseRange(text, time.Unix(m.wall(), 0).In(m.zone), m.history.length)
		if err != nil {
			m.menu.wrong = " " + err.Error()
			return m, nil
		}
		h = history{length: length, end: from + length}
	default:
		for _, l := range lengths {
			if fmt.Sprint(l.length) == it.value {
				h.length = l.length
			}
		}
	}
	m.menu, m.history, m.pinned, m.row = menu{}, h, 0, 0
	m, cmds := m.otherTime().askExtras()
	return m, tea.Batch(cmds...)
}

// stepRange goes back (+1) or forward (-1) by the length of the range. Forward beyond now is now.
func (m Model) stepRange(by int64) (Model, tea.Cmd) {
	_, to := m.span()
	h := history{length: m.history.length, end: to - by*m.history.length}
	switch last := (m.wall() - settles) / 60 * 60; {
	case h.end >= last:
		h.end = 0
	case h.end-h.length < 0:
		return m.say("there is nothing before"), nil
	}
	m.history = h
	m, cmds := m.otherTime().askExtras()
	return m, tea.Batch(cmds...)
}

// timeLayouts are the forms in which a time can be typed, without and with a day.
var timeLayouts = [...]string{"15:04", "15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02", time.RFC3339}

// parseRange reads a time, and a length after it. Without a length, the range has the length of the one before, or an hour.
// A time without a day is the last one before now. A time such as -36h is before now.
func parseRange(text string, now time.Time, before int64) (from, length int64, err error) {
	fields := strings.Fields(text)
	if length = before; length <= 0 {
		length = 3600
	}
	if len(fields) > 1 {
		if n, ok := parseLength(fields[len(fields)-1]); ok {
			length, fields = n, fields[:len(fields)-1]
		}
	}
	text = strings.Join(fields, " ")
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if n, ok := parseLength(ago); ok {
			return (now.Unix() - n) / 60 * 60, length, nil
		}
	}
	for i, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, text, now.Location())
		if err != nil {
			continue
		}
		if i < 2 {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
			if t.After(now) {
				t = t.AddDate(0, 0, -1)
			}
		}
		if t.After(now) || t.Unix() < 0 {
			return 0, 0, fmt.Errorf("it is not in the past")
		}
		return t.Unix() / 60 * 60, length, nil
	}
	return 0, 0, fmt.Errorf("not a time")
}

// maxLength bounds the length of a range, in seconds: ten years.
const maxLength = 3650 * 86400

// parseLength reads a length of time of at least a minute: 90m, 36h, 7d or 2w.
func parseLength(text string) (seconds int64, ok bool) {
	scale := int64(1)
	if rest, found := strings.CutSuffix(text, "d"); found {
		text, scale = rest+"h", 24
	} else if rest, found := strings.CutSuffix(text, "w"); found {
		text, scale = rest+"h", 7*24
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || int64(d.Seconds()) > maxLength/scale {
		return 0, false
	}
	seconds = int64(d.Seconds()) * scale / 60 * 60
	return seconds, seconds > 0
}

// rangeText describes the range for the status line: it is not now.
func (m *Model) rangeText() string {
	from, to := m.span()
	layout := "2006-01-02 15:04"
	a, b := time.Unix(from, 0).In(m.zone), time.Unix(to, 0).In(m.zone)
	end := b.Format(layout + " MST")
	if a.Format("2006-01-02") == b.Format("2006-01-02") {
		end = b.Format("15:04 MST")
	}
	text := clean(a.Format(layout)+" to "+end, m.unicode)
	if m.history.end > 0 {
		text += ", not now"
	}
	if wait := m.history.text(m, "this range"); wait != "" && (!m.history.have || m.history.problem != "") {
		text += "; " + wait
	}
	return text
}

// course returns the rates of the range, as in the series of traffic.
func (m *Model) course() [2]series {
	out := [2]series{{label: "packets/s", now: -1, whole: true}, {label: "DNS msgs/s", now: -1, whole: true}}
	s := &m.history.series
	for i, metric := range []string{"packets.total", "dns.wire_packets.total"} {
		for _, v := range s.Find(metric, "count", "") {
			out[i].seconds = append(out[i].seconds, perSecond(v, api.N(float64(s.StepS))))
		}
	}
	return out
}
