package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

func TestKeys(t *testing.T) {
	start := loaded(t, dataSetNamed("busy"), 160, 50)
	cases := []struct {
		keys string
		want func(m Model) bool
	}{
		{"tab", func(m Model) bool { return m.focus[overview] == 1 && m.row == 0 }},
		{"shift+tab", func(m Model) bool { return m.focus[overview] == 15 }},
		{"right down", func(m Model) bool { return m.focus[overview] == 1 && m.row == 1 }},
		{"l j k h", func(m Model) bool { return m.focus[overview] == 0 && m.row == 0 }},
		{"left", func(m Model) bool { return m.focus[overview] == 0 }},
		{"end", func(m Model) bool { return m.row == 9 }},
		{"end down", func(m Model) bool { return m.focus[overview] == 4 && m.row == 0 }},
		{"end down up", func(m Model) bool { return m.focus[overview] == 0 && m.row == 9 }},
		{"end home", func(m Model) bool { return m.row == 0 }},
		{"end right", func(m Model) bool { return m.focus[overview] == 1 && m.row == 9 }},
		{"end right right", func(m Model) bool { return m.focus[overview] == 2 && m.row == 7 }}, // it has fewer rows
		{"enter", func(m Model) bool { return m.open }},
		{"enter esc", func(m Model) bool { return !m.open }},
		{"enter end down", func(m Model) bool { return m.open && m.row == 9 && m.focus[overview] == 0 }},
		{"enter pgdown", func(m Model) bool { return m.row == 9 }},
		{"enter right", func(m Model) bool { return m.open && m.focus[overview] == 1 }},
		{"?", func(m Model) bool { return m.help == 1 }},
		{"? q", func(m Model) bool { return m.help == noHelp }},
		{"d", func(m Model) bool { return m.view == dnsView }},
		{"d d", func(m Model) bool { return m.view == overview }},
		{"d n", func(m Model) bool { return m.view == networkView }},
		{"c", func(m Model) bool { return m.view == healthView }},
		{"c esc", func(m Model) bool { return m.view == overview }},
		{"n o", func(m Model) bool { return m.view == overview }},
		{"tab d tab tab o", func(m Model) bool { return m.focus[overview] == 1 && m.focus[dnsView] == 2 }},
		{"/ C o m", func(m Model) bool { return m.typing && m.filter == "Com" }},
		{"/ a b backspace enter", func(m Model) bool { return !m.typing && m.filter == "a" }},
		{"/ a esc", func(m Model) bool { return !m.typing && m.filter == "" }},
		{"/ a enter esc", func(m Model) bool { return m.filter == "" }},
		{"/ a ctrl+u", func(m Model) bool { return m.typing && m.filter == "" }},
		{"/ q", func(m Model) bool { return m.filter == "q" }},
		{"/ backspace", func(m Model) bool { return m.filter == "" }},
		{"s", func(m Model) bool { return m.sort == byName }},
		{"s s s s", func(m Model) bool { return m.sort == byEstimate }},
		{"p", func(m Model) bool { return m.paused }},
		{"p space", func(m Model) bool { return !m.paused }},
		{"[", func(m Model) bool { return m.pinned == minuteStart-60 }},
		{"[ [", func(m Model) bool { return m.pinned == minuteStart-120 }},
		{"[ [ ]", func(m Model) bool { return m.pinned == minuteStart-60 }},
		{"[ ]", func(m Model) bool { return m.pinned == 0 }},
		{"]", func(m Model) bool { return m.pinned == 0 }},
		{"[ [ [ [ [ [", func(m Model) bool { return m.pinned == minuteStart-240 && m.notice == "this is the oldest minute" }},
		{"[ esc", func(m Model) bool { return m.pinned == 0 }},
		{"w", func(m Model) bool { return m.window == 1 }}, // one minute follows the longest window
		{"w w", func(m Model) bool { return m.window == 2 }},
		{"[ w", func(m Model) bool { return m.pinned == 0 }},
		{"m", func(m Model) bool { return !m.mouse && m.View().MouseMode == tea.MouseModeNone }},
		{"c down enter", func(m Model) bool { return m.view == overview && m.pinned == minuteStart-120 }},
		{"F5 é", func(m Model) bool { return m.view == overview && !m.open }},
	}
	for _, c := range cases {
		if m := press(start, c.keys); !c.want(m) {
			t.Errorf("%s: view %v focus %v row %d open %v help %v filter %q sort %v window %d pinned %d notice %q",
				c.keys, m.view, m.focus, m.row, m.open, m.help, m.filter, m.sort, m.window, m.pinned, m.notice)
		}
	}
}

func TestPages(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 80, 24)
	var seen []int
	for {
		p := m.plan()
		for _, b := range p.boxes {
			seen = append(seen, b.panel)
		}
		before := m.focus[overview]
		if m = press(m, "pgdown"); m.focus[overview] == before {
			break
		}
	}
	if len(seen) != 16 {
		t.Errorf("pages show panels %v, want 16 in order", seen)
	}
	for i, p := range seen {
		if p != i {
			t.Fatalf("pages show panels %v, want them in order", seen)
		}
	}
	if m = press(m, "pgup pgup pgup pgup"); m.plan().page != 0 {
		t.Errorf("page %d after going back", m.plan().page)
	}
}

func TestQuit(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 80, 24)
	for _, key := range []string{"q", "ctrl+c"} {
		_, cmd := m.Update(keyPress(key))
		if cmd == nil {
			t.Fatalf("%s does nothing", key)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", key)
		}
	}
}

func TestCopy(t *testing.T) {
	m := press(loaded(t, dataSetNamed("hostile"), 120, 40), "tab")
	_, cmd := m.Update(keyPress("y"))
	got := cmd()
	want := tea.SetClipboard(`\x1b[31mred\x1b[0m.example.com`)()
	if got != want {
		t.Errorf("copied %#v, want the cleaned name", got)
	}
}

func TestSave(t *testing.T) {
	t.Chdir(t.TempDir())
	m := loaded(t, dataSetNamed("busy"), 80, 24)
	_, cmd := m.Update(keyPress("x"))
	m = after(m, cmd())
	name := "pktvisor-ns1.example.net_10853-5m-20260314T030742Z.json"
	if m.notice != "saved as "+name {
		t.Errorf("notice %q", m.notice)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != string(dataSetNamed("busy").window)+"\n" {
		t.Errorf("saved %.60q, %v", got, err)
	}
	m = after(m, cmd()) // never overwrites an existing file
	if !strings.HasPrefix(m.notice, "not saved: ") {
		t.Errorf("notice %q", m.notice)
	}
	if files, _ := filepath.Glob("*"); len(files) != 1 {
		t.Errorf("files %v", files)
	}
	if s := saveName("../../etc/p\x00", &api.Summary{Key: "5m"}); strings.ContainsAny(s, "/\x00") {
		t.Errorf("file name %q", s)
	}
}

func TestMouse(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 160, 50)
	var target box
	for _, b := range m.plan().boxes {
		if b.panel == 6 {
			target = b
		}
	}
	click := tea.MouseClickMsg(tea.Mouse{X: target.x + 3, Y: target.y + 2, Button: tea.MouseLeft})
	m = after(m, click)
	if m.focus[overview] != 6 || m.row != 1 || m.open {
		t.Errorf("a click chose panel %d row %d", m.focus[overview], m.row)
	}
	m = after(m, click)
	if !m.open {
		t.Error("a second click does not open")
	}
	m = after(m, tea.MouseClickMsg(tea.Mouse{X: 5, Y: openTop + 2, Button: tea.MouseLeft}))
	if m.row != 2 {
		t.Errorf("a click in the open panel chose row %d", m.row)
	}
	m = after(m, tea.MouseWheelMsg(tea.Mouse{Button: tea.MouseWheelUp}))
	if m.row != 1 {
		t.Errorf("the wheel chose row %d", m.row)
	}
	m = after(m, tea.MouseClickMsg(tea.Mouse{X: 5, Y: 0, Button: tea.MouseLeft}))
	if m.open {
		t.Error("a click on the title does not go back")
	}
	wheel := tea.MouseWheelMsg(tea.Mouse{X: 3, Y: 12, Button: tea.MouseWheelDown})
	if m = after(m, wheel); m.focus[overview] != 0 || m.row != 0 {
		t.Errorf("the wheel over another panel chose %d row %d", m.focus[overview], m.row)
	}
	if m = after(m, wheel, wheel); m.row != 2 {
		t.Errorf("the wheel chose row %d", m.row)
	}
	small := after(loaded(t, dataSetNamed("busy"), 80, 24), tea.MouseWheelMsg(tea.Mouse{Button: tea.MouseWheelDown}))
	if small.plan().page != 1 {
		t.Error("the wheel does not turn the page")
	}
	for x := -3; x < 90; x += 7 { // anywhere
		for y := -3; y < 30; y++ {
			after(small, tea.MouseClickMsg(tea.Mouse{X: x, Y: y, Button: tea.MouseLeft}))
		}
	}
}

func TestPasteIntoFilter(t *testing.T) {
	m := press(loaded(t, dataSetNamed("busy"), 80, 24), "/")
	m = after(m, tea.PasteMsg{Content: " www.\x1bexample.com \n"})
	if m.filter != `www.\x1bexample.com` {
		t.Errorf("filter %q", m.filter)
	}
	m = after(m, tea.PasteMsg{Content: strings.Repeat("x", 1000)})
	if len(m.filter) > maxFilter {
		t.Errorf("a filter of %d bytes", len(m.filter))
	}
}

func TestNextWindow(t *testing.T) {
	var got []int
	for n, i := 5, 0; i < 6; i++ {
		n = nextWindow(n, 12)
		got = append(got, n)
	}
	want := []int{10, 12, 1, 2, 5, 10}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("windows %v, want %v", got, want)
		}
	}
	if nextWindow(1, 1) != 1 {
		t.Error("an agent with one period")
	}
}

// TestPinnedMinuteStays: when another minute ends, the minute stepped back to stays the same.
func TestPinnedMinuteStays(t *testing.T) {
	m := press(loaded(t, dataSetNamed("busy"), 80, 24), "[")
	s, err := api.ParseSummary(busySummary("1m", minuteStart, 60, 1, .11, 1))
	if err != nil {
		t.Fatal(err)
	}
	m = after(m, minutesMsg{at: clock.Add(time.Minute), minutes: []minute{{minuteStart, s}}, end: true})
	if shown, _ := m.shown(); shown.Period.StartTS != api.N(minuteStart-60) {
		t.Errorf("now it shows the minute of %v", shown.Period.StartTS)
	}
	if len(m.minutes) != 5 || m.minutes[0].start != minuteStart {
		t.Errorf("minutes %d, newest %d", len(m.minutes), m.minutes[0].start)
	}
}

func TestResizeKeepsFocusValid(t *testing.T) {
	m := press(loaded(t, dataSetNamed("busy"), 250, 70), "shift+tab")
	if m.focus[overview] != 20 {
		t.Fatalf("focus %d of the roomy overview", m.focus[overview])
	}
	m = after(m, tea.WindowSizeMsg{Width: 80, Height: 24})
	if m.focus[overview] != 15 {
		t.Errorf("focus %d after shrinking", m.focus[overview])
	}
	checkScreen(t, "shrunk", m)
	checkScreen(t, "zero", after(m, tea.WindowSizeMsg{}))
	checkScreen(t, "vast", after(m, tea.WindowSizeMsg{Width: 1999, Height: 500}))
}

func TestPlan(t *testing.T) {
	base := loaded(t, dataSetNamed("busy"), 80, 24)
	for w := leastWidth; w <= 320; w += 13 {
		for h := leastHeight; h <= 100; h += 5 {
			for v := range viewCount {
				m := base
				m.width, m.height, m.view = w, h, v
				for focus := range m.panels() {
					m.focus[v] = focus
					checkPlan(t, &m)
				}
			}
		}
	}
}

// checkPlan checks that the panel with the focus is visible, that no parts overlap, and that none lies outside the
// screen. Blocks that a low screen cuts are the exception.
func checkPlan(t *testing.T, m *Model) {
	t.Helper()
	p := m.plan()
	taken := map[[2]int]bool{}
	visible := false
	for i, b := range append(append([]box(nil), p.blocks...), p.boxes...) {
		if i >= len(p.blocks) {
			visible = visible || b.panel == m.focus[m.view]
			if b.h < 1 || b.y+b.h > m.height-footLines {
				t.Fatalf("%dx%d %v focus %d: panel %d at lines %d to %d", m.width, m.height, m.view, m.focus[m.view], b.panel, b.y, b.y+b.h)
			}
		}
		if b.x < 0 || b.x+b.w > m.width || b.y < headLines {
			t.Fatalf("%dx%d %v: box %+v", m.width, m.height, m.view, b)
		}
		for y := b.y; y < b.y+b.h; y++ { // checking the ends of each line is enough
			for _, at := range [][2]int{{b.x, y}, {b.x + b.w - 1, y}} {
				if taken[at] {
					t.Fatalf("%dx%d %v focus %d: two parts at %v", m.width, m.height, m.view, m.focus[m.view], at)
				}
				taken[at] = true
			}
		}
	}
	if !visible {
		t.Fatalf("%dx%d %v: panel %d has the focus and is not seen", m.width, m.height, m.view, m.focus[m.view])
	}
}

func TestGuard(t *testing.T) {
	g := &guard{Model: loaded(t, dataSetNamed("busy"), 80, 24)}
	t.Setenv("TMPDIR", t.TempDir())
	g.Model.agent = nil // simulates a bug; the agent is never nil
	if g.View(); g.crash == nil {
		t.Fatal("no crash was caught")
	}
	if text := g.crash.Error(); !strings.HasPrefix(text, "internal error: ") || strings.Contains(text, "\n") {
		t.Errorf("crash is not one line: %q", text)
	}
	if _, cmd := g.Update(tickMsg(clock)); cmd == nil {
		t.Error("it continues after a crash")
	}
}
