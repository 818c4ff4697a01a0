package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/api"
)

func TestParseRange(t *testing.T) {
	zone := time.FixedZone("X", 2*3600)
	now := time.Date(2026, 3, 14, 12, 30, 40, 0, zone)
	at := func(d, h, m int) int64 { return time.Date(2026, 3, d, h, m, 0, 0, zone).Unix() }
	for _, c := range []struct {
		text         string
		before       int64
		from, length int64
	}{
		{"03:00", 0, at(14, 3, 0), 3600}, {"12:31", 0, at(13, 12, 31), 3600}, {"03:00 2h", 0, at(14, 3, 0), 7200}, {"03:00", 86400, at(14, 3, 0), 86400},
		{"2026-03-10 03:15", 0, at(10, 3, 15), 3600}, {" 2026-03-10  03:15  7d ", 0, at(10, 3, 15), 7 * 86400}, {"2026-03-10", 0, at(10, 0, 0), 3600},
		{"2026-03-10T03:15", 0, at(10, 3, 15), 3600}, {"2026-03-10T01:15:59Z", 0, at(10, 3, 15), 3600}, {"-36h", 0, at(13, 0, 30), 3600}, {"-1w 90m", 0, at(7, 12, 30), 5400},
	} {
		from, length, err := parseRange(c.text, now, c.before)
		if err != nil || from != c.from || length != c.length {
			t.Errorf("%q: %d, %d, %v; want %d, %d", c.text, from, length, err, c.from, c.length)
		}
	}
	for text, want := range map[string]string{"": "not a time", "x": "not a time", "25:00": "not a time", "2026-03-15": "it is not in the past", "-": "not a time", "-1s": "not a time", "03:00 -2h": "not a time", "1h": "not a time", "-9999999d": "not a time"} {
		if from, length, err := parseRange(text, now, 0); err == nil || err.Error() != want {
			t.Errorf("%q: %d, %d, %v; want %s", text, from, length, err, want)
		}
	}
}

// TestRangesAsked: a range asks for its time, the same time before it, and its course. Steps go by its length.
func TestRangesAsked(t *testing.T) {
	const to = minuteStart
	for _, c := range []struct {
		keys         string
		from, to     int64
		step         int64
		mark, status string
	}{
		{"r down down enter", to - 3600, to, 60, "RANGE 2026-03-14 02:07 to 03:07 UTC", "range"},
		{"r down down down down enter", to - 86400, to, 720, "RANGE 2026-03-13 03:07 to 2026-03-14 03:07 UTC", "range"},
		{"r down down enter [", to - 7200, to - 3600, 60, "PAST 2026-03-14 01:07 to 02:07 UTC, not now", "PAST"},
		{"r down down enter [ [ ]", to - 7200, to - 3600, 60, "PAST 2026-03-14 01:07 to 02:07 UTC, not now", "PAST"},
		{"r down down enter [ ]", to - 3600, to, 60, "RANGE 2026-03-14 02:07 to 03:07 UTC", "range"},
		{"r down down enter ]", to - 3600, to, 60, "RANGE 2026-03-14 02:07 to 03:07 UTC", "range"},
		{"r end enter 0 1 : 0 0 space 2 h enter", to - 7620, to - 420, 60, "PAST 2026-03-14 01:00 to 03:00 UTC, not now", "PAST"},
	} {
		m, asked := exploring(t, 160, 40)
		m = explore(m, c.keys)
		for _, want := range []string{
			fmt.Sprintf(": range %d %d rows 10", c.from, c.to), fmt.Sprintf(": range %d %d rows 10", c.from-(c.to-c.from), c.from),
			fmt.Sprintf(": series by \"\" step %d of 2 metrics", c.step),
		} {
			if !slices.Contains(*asked, want) {
				t.Errorf("%s: asked %q, want %q", c.keys, *asked, want)
			}
		}
		lines := strings.Split(text(m), "\n")
		if !strings.HasPrefix(lines[1], " "+c.mark) || !strings.HasSuffix(lines[0], c.status) || strings.Contains(lines[0], "of 5m") {
			t.Errorf("%s: %s\n%s", c.keys, lines[0], lines[1])
		}
		if sum, _ := m.shown(); sum.Period.StartTS != api.N(float64(c.from)) {
			t.Errorf("%s: shown is %v, want %d", c.keys, sum.Period.StartTS, c.from)
		}
		if m.rates.PPSTotal.Known && strings.Contains(text(m), "2,464") {
			t.Errorf("%s: the rate of now is shown:\n%s", c.keys, text(m))
		}
		if m = explore(m, "esc"); m.history.on() || !strings.Contains(strings.Split(text(m), "\n")[0], "delay 65s") {
			t.Errorf("%s: Esc does not lead back to now", c.keys)
		}
	}
}

// TestRangeMenu: what cannot be read stays on the screen with the reason. Esc leaves it.
func TestRangeMenu(t *testing.T) {
	m, asked := exploring(t, 80, 24)
	m = explore(m, "r end enter x x enter")
	if !strings.Contains(text(m), "xx  not a time") && !strings.Contains(text(m), "xx   not a time") || m.history.on() {
		t.Errorf("\n%s", text(m))
	}
	if m = explore(m, "backspace backspace esc esc"); m.menu.kind != noMenu || m.history.on() || slices.ContainsFunc(*asked, func(a string) bool { return strings.Contains(a, "range") }) {
		t.Errorf("menu %d, history %+v, asked %q", m.menu.kind, m.history, *asked)
	}
	m = explore(m, "r down down enter r g enter")
	if m.history.on() {
		t.Error("now does not lead back to the window")
	}
}

// TestRangeEnds: another window, and a minute of the list, replace the range.
func TestRangeEnds(t *testing.T) {
	for _, keys := range []string{"r down down enter w", "r down down enter c enter"} {
		m, _ := exploring(t, 100, 40)
		m = explore(m, keys)
		if m.history.on() || keys[len(keys)-1] == 'r' && m.pinned == 0 {
			t.Errorf("%s: range of %d s, minute %d", keys, m.history.length, m.pinned)
		}
	}
}

// TestRangeStays: a range stays while one goes into the fleet, and is asked for again about each part.
func TestRangeStays(t *testing.T) {
	m, asked := exploring(t, 100, 30)
	m = explore(m, "r down down enter [ f down enter enter")
	want := fmt.Sprintf("pop=ams1 node ns2.ams1: range %d %d rows 10", minuteStart-7200, minuteStart-3600)
	if !slices.Contains(*asked, want) || !m.history.have || m.place.host != "ns2.ams1" {
		t.Errorf("asked %q, want %q", *asked, want)
	}
	m = explore(m, "backspace")
	if !m.history.on() || m.view != fleetView {
		t.Errorf("Backspace leaves the range, or does not go up: %+v %v", m.history.length, m.view)
	}
}

// TestAgentRanges: an agent offers the ranges that fit in its window.
func TestAgentRanges(t *testing.T) {
	d := dataSetNamed("busy")
	d.app = `{"app":{"version":"1.0.0","periods":61}}`
	m := loaded(t, d, 100, 30)
	m = explore(m, "r")
	var got []string
	for _, i := range m.menu.items {
		got = append(got, i.label)
	}
	if want := []string{"now", "last 15 minutes", "last hour", "from a time on"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
