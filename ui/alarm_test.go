package ui

import (
	"strings"
	"testing"
	"time"

	"pktvisor/api"
)

// TestAlarmFits: the alarm is the first thing in the status line of every view. It says what, whom and since when in whatever room
// there is, and names both attacks where they fit.
func TestAlarmFits(t *testing.T) {
	for w, want := range map[int]string{
		40:  ` ATTACK 03:04: victi…e}example  +8 more`,
		60:  ` ATTACK 03:04: victim.\…{202e}example random names  +8 more`,
		80:  ` ATTACK 03:04: victim.\x1b[2J\u{202e}example random names  +8 more`,
		100: ` ATTACK 03:04: victim.\x1b[2J\u{202e}example random names, 198.51.100.0/24 amplified  +7 more`,
		160: ` ATTACK since 03:04: Amplification attack on 198.51.100.0/24, and Random-subdomain attack on victim.\x1b[2J\u{202e}example  DROPS  SAMPLED 10.0%`,
	} {
		for _, view := range []string{"o", "d", "n", "c", "A", "W", "f"} {
			m, _ := exploring(t, w, 24)
			m = explore(settle(m), view)
			line := strings.Split(text(m), "\n")[1]
			if !strings.HasPrefix(line, strings.Split(want, "  ")[0]) || view == "d" && !strings.HasPrefix(line, want) || textWidth(line) > w {
				t.Errorf("%d cells, %s: %q, want %q", w, view, line, want)
			}
		}
	}
}

// TestAlarmPast: without quiet time, the time is the one before which it began, and the mark says that it is less sure. A rise that is
// not an attack has another mark. Without a headline, there is no alarm.
func TestAlarmPast(t *testing.T) {
	m, _ := exploring(t, 100, 24)
	m.zone = time.FixedZone("CET", 3600)
	m.alarm.have = true
	v := &m.alarm.verdict
	*v = api.Attack{Headline: "Random-subdomain attack on a.example", Since: minuteStart, SinceEarlier: true, Sentences: []api.AttackSentence{{Kind: "zone", Subject: "a.example", Headline: "x"}}}
	if w, ok := m.alarmRemark(); !ok || w != (warning{warn, "ATTACK", "since 04:07 or earlier: Random-subdomain attack on a.example"}) {
		t.Errorf("%+v", w)
	}
	if got := m.alarmText(40); got != "by 04:07: a.example random names" {
		t.Errorf("%q", got)
	}
	if got := m.judgements(60); got[0] != (finding{"Verdict", "Random-subdomain attack on a.example, since 04:07 (03:07", warn}) || got[1].text != "UTC) or earlier" {
		t.Errorf("%+v", got)
	}
	v.SinceEarlier, v.Until = false, minuteStart+480
	if w, ok := m.alarmRemark(); !ok || w.text != "from 04:07, ended 04:15: Random-subdomain attack on a.example" {
		t.Errorf("%+v", w)
	}
	*v = api.Attack{Headline: "Many more queries", Since: minuteStart, Sentences: []api.AttackSentence{{Kind: "queries", Headline: "Many more queries"}}}
	if w, ok := m.alarmRemark(); !ok || w != (warning{warn, "UNUSUAL", "since 04:07: Many more queries"}) {
		t.Errorf("%+v", w)
	}
	*v = api.Attack{Sentences: []api.AttackSentence{{Kind: "calm", Text: "No rise."}}}
	if w, ok := m.alarmRemark(); ok {
		t.Errorf("%+v", w)
	}
	if got := m.judgements(60); len(got) != 2 || got[0] != (finding{"Verdict", "Nothing stands out", good}) || got[1] != (finding{"Calm", "No rise.", plain}) {
		t.Errorf("%+v", got)
	}
}

// TestAlarmAsked: the verdict is that of the page: of the newest hour, or of the window without its live minute. In the past, it is of
// the hour before. An agent of an earlier version is left alone for some minutes, and an answer that fails ends the alarm.
func TestAlarmAsked(t *testing.T) {
	m, asked := exploring(t, 100, 30)
	last := func(m Model) string {
		*asked = nil
		m.askAlarm()()
		return (*asked)[0]
	}
	if got := last(m); got != ": attack 0 0 3600" {
		t.Errorf("a hub: %q", got)
	}
	agent := m
	agent.app.Fleet, agent.app.Periods = nil, api.N(5)
	if got := last(agent); got != ": attack 0 0 240" {
		t.Errorf("an agent: %q", got)
	}
	agent.pinned = minuteStart - 600
	if got := last(agent); got != ": attack 1773453480 1773457080 0" {
		t.Errorf("a minute of the past: %q", got)
	}
	m.agent.(*fakeHub).verdict = nil
	m = settle(m)
	if m.alarm.have || !m.alarm.missing || m.alarm.next != clock.Add(earlierAgain) {
		t.Errorf("%+v", m.alarm)
	}
	m.alarm.have = true
	if m = m.onAlarm(alarmMsg{gen: m.gen, at: clock, err: errRefused}); m.alarm.have {
		t.Error("an alarm stays although it may be over")
	}
}

// TestVerdictOfTheHub: the attack view says what the agent says, in full lines at every width.
func TestVerdictOfTheHub(t *testing.T) {
	for _, w := range []int{60, 80, 100, 160, 300} {
		m, _ := exploring(t, w, 60)
		m = explore(m, "A")
		var texts []string
		for _, f := range m.judgements(m.findingsWidth()) {
			texts = append(texts, f.text)
			if textWidth(f.text) > m.findingsWidth() {
				t.Errorf("%d cells: %q is longer than %d", w, f.text, m.findingsWidth())
			}
		}
		all, screen := strings.Join(texts, " "), text(m)
		for _, s := range m.alarm.verdict.Sentences {
			if !strings.Contains(all, clean(s.Text, true)) {
				t.Errorf("%d cells: no %q in %q", w, s.Text, all)
			}
		}
		for _, want := range []string{"Verdict", "Amplification attack on 198.51.100.0/24", "03:04", "Asked by  203.0.113.0/24 gets 81.0%"} {
			if !strings.Contains(screen, want) {
				t.Errorf("%d cells: no %q in\n%s", w, want, screen)
			}
		}
	}
}
