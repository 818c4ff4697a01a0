package ui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// attackState is what the agent says about attacks: the same verdict as on its page.
type attackState struct {
	extra
	have    bool
	verdict api.Attack
}

// alarmMsg is the answer about attacks.
type alarmMsg struct {
	gen     int
	at      time.Time
	verdict api.Attack
	err     error
}

const (
	// alarmEvery is how often the attack view asks, and alarmElsewhere how often the others do.
	alarmEvery, alarmElsewhere = 10 * time.Second, 30 * time.Second
	// judgedTime is the time that is judged if the present is shown, as on the page: an hour, or the agent's window.
	judgedTime = 3600
	// earlierAgain is how long an agent that does not have the route is left alone.
	earlierAgain = 5 * time.Minute
)

// askAlarm asks about attacks in the time that is shown, or in the hour before its end if that is shorter.
func (m Model) askAlarm() tea.Cmd {
	ctx, gen, agent := m.ctx, m.gen, m.agent
	q := api.AttackQuery{Last: judgedTime}
	switch {
	case m.elsewhen():
		q.From, q.To = m.span()
		q.From, q.Last = min(q.From, q.To-judgedTime), 0
	case m.app.Fleet == nil: // the last minute is the live one
		q.Last = max(min(judgedTime, 60*int64(m.periods()))-60, 60)
	}
	return func() tea.Msg {
		out := alarmMsg{gen: gen}
		out.verdict, out.err = agent.Attack(ctx, q)
		out.at = time.Now()
		return out
	}
}

func (m Model) onAlarm(a alarmMsg) Model {
	if a.gen != m.gen {
		return m
	}
	x := &m.alarm
	every := alarmElsewhere
	if m.view == attackView {
		every = alarmEvery
	}
	x.extra = x.done(a.at, a.err, every)
	if x.missing {
		x.next = a.at.Add(earlierAgain)
	}
	if a.err == nil {
		x.verdict, x.have = a.verdict, true
	} else {
		x.have = false // an alarm that may be over is not shown
	}
	return m
}

// shortKinds are the kinds of findings in a word or two, and kindLabels their labels.
var shortKinds = map[string]string{
	"zone": "random names", "amplification": "amplified", "data": "data in names", "nxdomain": "NXDOMAIN", "servfail": "SERVFAIL", "timeouts": "no responses", "queries": "more queries",
}

var kindLabels = map[string]string{
	"zone": "Names", "amplification": "Victim", "data": "Data", "nxdomain": "NXDOMAIN", "servfail": "SERVFAIL", "timeouts": "Timeouts", "queries": "Queries", "clients": "Asked by", "past": "Past", "calm": "Calm",
}

// sinceText says since when, by the clock of the title, and with utc also in UTC if that differs.
func (m *Model) sinceText(utc bool) string {
	at, ok := moment(api.N(float64(m.alarm.verdict.Since)))
	if !ok {
		return ""
	}
	local, earlier := at.In(m.zone).Format("15:04"), ""
	if m.alarm.verdict.SinceEarlier {
		earlier = " or earlier"
	}
	if end, ok := moment(api.N(float64(m.alarm.verdict.Until))); ok {
		return "from " + local + ", ended " + end.In(m.zone).Format("15:04")
	}
	if other := at.UTC().Format("15:04"); utc && other != local {
		local += " (" + other + " UTC)"
	}
	return "since " + local + earlier
}

// shortSince shortens what sinceText returns: "since 04:07 or earlier" becomes "by 04:07". An end stays.
func (m *Model) shortSince(since string) string {
	if m.alarm.verdict.SinceEarlier {
		return strings.NewReplacer("since ", "by ", " or earlier", "").Replace(since)
	}
	return strings.TrimPrefix(strings.TrimPrefix(since, "since "), "from ")
}

// alarmTone is that of the headline.
func (m *Model) alarmTone() tone {
	if m.alarm.verdict.Strong {
		return bad
	}
	return warn
}

// leastSubject is the room for the name of a zone or network below which nothing else is beside it.
const leastSubject = 12

// alarmText returns the headline in at most w cells, and in full if it fits: first since when, as that must not be cut off.
func (m *Model) alarmText(w int) string {
	v := &m.alarm.verdict
	since := m.sinceText(false)
	if since != "" {
		since += ": "
	}
	if full := since + clean(v.Headline, m.unicode); textWidth(full) <= w {
		return full
	}
	since = m.shortSince(since)
	var parts []string
	for _, s := range v.Sentences {
		if s.Headline != "" && (s.Kind == "zone" || s.Kind == "amplification") {
			parts = append(parts, clean(s.Subject, m.unicode)+" "+shortKinds[s.Kind])
		}
	}
	if all := since + strings.Join(parts, ", "); len(parts) > 0 && textWidth(all) <= w {
		return all
	}
	text := clean(v.Headline, m.unicode)
	if i := slices.IndexFunc(v.Sentences, func(s api.AttackSentence) bool { return s.Headline != "" && s.Subject != "" }); i >= 0 {
		what := " " + shortKinds[v.Sentences[i].Kind]
		if w-textWidth(since)-len(what) < leastSubject { // whom is more important than what
			what = ""
		}
		return since + fit(clean(v.Sentences[i].Subject, m.unicode), max(w-textWidth(since)-len(what), 8), m.glyphs.ellipsis) + what
	}
	return since + m.head(text, max(w-textWidth(since), 8))
}

// moreRoom is the room in the status line for how many remarks there are more.
const moreRoom = 10

// alarmRemark returns the alarm for the status line, if there is one.
func (m *Model) alarmRemark() (warning, bool) {
	v := &m.alarm.verdict
	if !m.alarm.have || v.Headline == "" {
		return warning{}, false
	}
	mark := "UNUSUAL"
	for _, s := range v.Sentences {
		if s.Headline != "" && (s.Kind == "zone" || s.Kind == "amplification") {
			mark = "ATTACK"
		}
	}
	return warning{m.alarmTone(), mark, m.alarmText(m.width - len(mark) - 2 - moreRoom)}, true
}

// judgements returns the verdict as lines of at most w cells.
func (m *Model) judgements(w int) []finding {
	v := &m.alarm.verdict
	head, tone := "Nothing stands out", good
	if v.Headline != "" {
		head, tone = v.Headline+", "+m.sinceText(true), m.alarmTone()
	}
	out := m.wrapped("Verdict", strings.TrimSuffix(head, ", "), tone, w)
	for _, s := range v.Sentences {
		out = append(out, m.wrapped(kindLabels[s.Kind], s.Text, plain, w)...)
	}
	return out
}

// wrapped returns a text as lines of at most w cells, of which the first has a label.
func (m *Model) wrapped(label, text string, t tone, w int) (out []finding) {
	line := ""
	add := func() {
		out = append(out, finding{label, line, t})
		label, line = "", ""
	}
	for word := range strings.FieldsSeq(clean(text, m.unicode)) {
		word = fit(word, max(w, 8), m.glyphs.ellipsis)
		if line != "" && textWidth(line)+1+textWidth(word) > w {
			add()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	add()
	return out
}
