package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pktvisor/api"
)

// TestChangesAsked: each base asks about its own time or part.
func TestChangesAsked(t *testing.T) {
	const to = minuteStart // the newest minute that the hub has, five seconds after its end
	const from = to - 300
	for _, c := range []struct{ keys, want string }{
		{"W", fmt.Sprintf("changes %d %d base 0 0 \"\" \"\"", from, to)},
		{"W b down enter", fmt.Sprintf("changes %d %d base %d %d \"\" \"\"", from, to, from-86400, to-86400)},
		{"W b down down enter", fmt.Sprintf("changes %d %d base %d %d \"\" \"\"", from, to, from-7*86400, to-7*86400)},
		{"f W b down down down enter", fmt.Sprintf("changes %d %d base 0 0 \"country=de\" \"\"", from, to)},
		{"f W b end enter", fmt.Sprintf("changes %d %d base 0 0 \"\" \"bare\"", from, to)},
		{"W r down down enter", fmt.Sprintf("changes %d %d base 0 0 \"\" \"\"", to-3600, to)},
		{"W r down down enter [", fmt.Sprintf("changes %d %d base 0 0 \"\" \"\"", to-7200, to-3600)},
		{"W [", fmt.Sprintf("changes %d %d base 0 0 \"\" \"\"", to-60, to)},
	} {
		m, asked := exploring(t, 100, 30)
		m = explore(m, c.keys)
		last := ""
		for _, a := range *asked {
			if strings.Contains(a, "changes") {
				last = strings.TrimPrefix(a, ": ")
			}
		}
		if last != c.want || !m.changed.have {
			t.Errorf("%s: asked %q, want %q", c.keys, last, c.want)
		}
	}
}

// TestAgentChanges: an agent with a window of five minutes compares two minutes with the two before.
func TestAgentChanges(t *testing.T) {
	hub := &fakeHub{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, changes: changesJSON(), asked: new([]string)}
	m := New(t.Context(), Options{Agent: hub})
	m.now, m.width, m.height = clock, 100, 30
	m = answered(m, m.ask())
	m = explore(m, "W b")
	if want := fmt.Sprintf(": changes %d %d base 0 0 \"\" \"\"", minuteStart-120, minuteStart); !slices.Contains(*hub.asked, want) {
		t.Errorf("asked %q, want %q", *hub.asked, want)
	}
	if len(m.menu.items) != 1 {
		t.Errorf("an agent can be compared with %v", m.menu.items)
	}
}

// TestChangeKinds: a row is new if it may have been nothing before, and gone if it may be nothing now.
func TestChangeKinds(t *testing.T) {
	b := func(low, high float64) api.Bounds { return api.Bounds{Lower: low, Upper: high} }
	for _, c := range []struct {
		name      string
		base, now api.Bounds
		change    float64
		want      string
	}{
		{"x", b(0, 0), b(5, 6), 5, "new"}, {"x", b(0, 2), b(5, 6), 3, "new"}, {"x", b(1, 2), b(5, 6), 3, "more"},
		{"x", b(5, 6), b(0, 1), -4, "gone"}, {"x", b(5, 6), b(2, 3), -2, "less"}, {"", b(0, 0), b(5, 5), 5, "more"}, {"", b(5, 5), b(0, 0), -5, "less"},
	} {
		if got := kindOf(&api.Change{Name: c.name, Base: c.base, Now: c.now, Change: c.change}); got != c.want {
			t.Errorf("%q %v to %v: %s, want %s", c.name, c.base, c.now, got, c.want)
		}
	}
}

// TestDifferences: new and vanished keys come first, each kind by its share of the whole.
func TestDifferences(t *testing.T) {
	m, _ := exploring(t, 160, 40)
	m = explore(m, "W")
	names := func(m Model) (out []string) {
		for _, d := range m.differences() {
			out = append(out, d.kind+" "+d.label()[:min(len(d.label()), 9)])
		}
		return out
	}
	if got, want := names(m), []string{"new .victim.e", "new 203.0.113", `gone \x1b[2J\u`, "more all", "less www.ahov2", "more all"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	m = explore(m, "s")
	if got := names(m)[0]; got != "more all" {
		t.Errorf("by share: %q is first", got)
	}
	m = explore(m, "/ g o n e enter")
	if got := names(m); !slices.Equal(got, []string{`gone \x1b[2J\u`}) {
		t.Errorf("filtered: %q", got)
	}
}

// TestOpenChange: Enter leads to the table of the change, with the rows of its name.
func TestOpenChange(t *testing.T) {
	m, _ := exploring(t, 160, 40)
	m = explore(m, "W enter")
	p, rows := m.current()
	if m.view != dnsView || !m.open || p.table.path != "dns.top_qname2" || len(rows) != 1 || rows[0].name != ".victim.example" {
		t.Errorf("view %v, open %t, %d rows", m.view, m.open, len(rows))
	}
	m, _ = exploring(t, 160, 40)
	if m = explore(m, "W end enter"); m.view != changesView || m.notice != "a counter has no table" {
		t.Errorf("view %v, notice %q", m.view, m.notice)
	}
}

// TestBoundsText: a value that is exact is one number. Bounds that look the same are marked.
func TestBoundsText(t *testing.T) {
	m := New(t.Context(), Options{Agent: &fakeAgent{}})
	for _, c := range []struct {
		low, high float64
		w         int
		want      string
		unit      api.Unit
	}{
		{0, 0, 11, "0", "packets"}, {5, 5, 11, "5.0", "packets"}, {0, 12, 11, "0–12", "packets"}, {15_400, 15_412, 11, "~15.4k", "packets"}, {15_400, 15_412, 23, "15,400–15,412", "packets"},
		{.001, .002, 11, "~<.01", "packets"}, {.25, .5, 11, ".25–.50", "packets"}, {1e18, 1e300, 11, "1.00E–huge", "packets"}, {812.4, 812.4, 11, "812", "packets"},
		{0, 12_000_000, 11, "0–12.0M", api.Bytes}, {800, 31_415_926, 23, "800–31.4MB", api.Bytes},
	} {
		if got := m.boundsText(api.Bounds{Lower: c.low, Upper: c.high}, string(c.unit), c.w); got != c.want || textWidth(got) > c.w {
			t.Errorf("%v to %v in %d: %q, want %q", c.low, c.high, c.w, got, c.want)
		}
	}
	m.changed.list.Measure = api.ByShare
	if got := m.boundsText(api.Bounds{Lower: .25, Upper: .5}, "packets", 12); got != "25.0%–50.0%" {
		t.Errorf("shares: %q", got)
	}
	if got := m.signed(-.25, "packets", 9); got != "-25.0%" {
		t.Errorf("less: %q", got)
	}
}

// TestNothingBefore: if nothing is known of the base, nothing is called new.
func TestNothingBefore(t *testing.T) {
	m, _ := exploring(t, 60, 24)
	hub := m.agent.(*fakeHub)
	hub.changes = []byte(strings.Replace(string(changesJSON()), `"minutes":5`, `"minutes":0`, 1)) // the base comes first
	m = explore(m, "W")
	if screen := text(m); len(m.differences()) != 0 || !strings.Contains(strings.Join(strings.Fields(screen), " "), "nothing is known of the time just before: b chooses another, w a shorter window") {
		t.Errorf("%d changes\n%s", len(m.differences()), screen)
	}
}
