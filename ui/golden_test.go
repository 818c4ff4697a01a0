package ui

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files again")

// golden compares got with testdata/name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	got += "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s has changed (go test ./ui -update writes it again):\n%s", file, diff)
	}
}

var sizes = []struct{ w, h int }{{80, 24}, {120, 40}, {160, 50}, {250, 70}}

func TestGoldenOverview(t *testing.T) {
	for _, d := range dataSets() {
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", d.name, size.w, size.h)
			t.Run(name, func(t *testing.T) {
				m := loaded(t, d, size.w, size.h)
				golden(t, name, m.draw().text())
			})
		}
	}
}

func TestGoldenColours(t *testing.T) {
	modes := []struct {
		name    string
		profile colorprofile.Profile
		dark    bool
	}{
		{"truecolor", colorprofile.TrueColor, true}, {"truecolor-light", colorprofile.TrueColor, false},
		{"256", colorprofile.ANSI256, true}, {"256-light", colorprofile.ANSI256, false},
		{"16", colorprofile.ANSI, true}, {"16-light", colorprofile.ANSI, false}, {"nocolor", colorprofile.ASCII, true},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			m := loaded(t, dataSetNamed("flood"), 80, 24)
			m.theme = newTheme(mode.profile, mode.dark)
			golden(t, "flood-80x24-"+mode.name, m.View().Content)
		})
	}
}

// TestGoldenPicture draws the screen from which the picture in the README is made.
func TestGoldenPicture(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 160, 50)
	golden(t, "busy-160x50-truecolor", m.View().Content)
}

func TestGoldenASCII(t *testing.T) {
	for _, name := range []string{"busy", "hostile"} {
		m := loaded(t, dataSetNamed(name), 120, 40)
		m.unicode, m.glyphs = false, &asciiGlyphs
		got := m.draw().text()
		golden(t, name+"-120x40-ascii", got)
		if i := strings.IndexFunc(got, func(r rune) bool { return r > 0x7e }); i >= 0 {
			t.Errorf("%s: not ASCII: %q", name, got[i:min(i+20, len(got))])
		}
	}
}

// TestGoldenScreens draws the other screens, named by the keys that lead to them.
func TestGoldenScreens(t *testing.T) {
	screens := []struct {
		name, data string
		w, h       int
		keys       string
	}{
		{"dns-80x24", "busy", 80, 24, "d"}, {"dns-160x50", "busy", 160, 50, "d"}, {"dns-250x70", "flood", 250, 70, "d"},
		{"network-80x24", "busy", 80, 24, "n"}, {"network-160x50", "busy", 160, 50, "n"},
		{"capture-80x24", "busy", 80, 24, "c"}, {"capture-160x50", "flood", 160, 50, "c"}, {"capture-hostile-120x40", "hostile", 120, 40, "c"},
		{"help-80x24", "busy", 80, 24, "?"}, {"signs-80x24", "busy", 80, 24, "? ?"}, {"help-120x40", "busy", 120, 40, "?"},
		{"open-80x24", "busy", 80, 24, "tab tab enter down down"}, {"open-160x50", "flood", 160, 50, "tab tab enter"},
		{"open-hostile-120x40", "hostile", 120, 40, "tab tab enter"}, {"open-original-80x24", "missing", 80, 24, "enter"},
		{"page2-80x24", "busy", 80, 24, "pgdown"}, {"page3-80x24", "busy", 80, 24, "pgdown pgdown"}, {"page4-80x24", "busy", 80, 24, "pgdown pgdown pgdown"},
		{"minute-120x40", "flood", 120, 40, "["}, {"filter-120x40", "busy", 120, 40, "/ o r g"}, {"filtered-120x40", "busy", 120, 40, "/ o r g enter"},
		{"paused-80x24", "busy", 80, 24, "p"}, {"traffic-80x24", "busy", 80, 24, "shift+tab enter"},
		{"narrow-60x24", "busy", 60, 24, ""}, {"narrow2-60x24", "busy", 60, 24, "pgdown"}, {"small-40x8", "busy", 40, 8, ""}, {"tiny-30x5", "busy", 30, 5, ""}, {"narrow-60x30", "busy", 60, 30, ""},
	}
	for _, c := range screens {
		t.Run(c.name, func(t *testing.T) {
			m := press(loaded(t, dataSetNamed(c.data), c.w, c.h), c.keys)
			golden(t, "screen-"+c.name, m.draw().text())
		})
	}
}

// TestGoldenLink draws the states of the link, from the first moment to an outage.
func TestGoldenLink(t *testing.T) {
	first := New(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}, Zone: time.UTC})
	first = after(first, tickMsg(clock))
	golden(t, "link-connecting", first.draw().text())
	golden(t, "link-never", text(after(first, answerMsg{at: clock, err: errRefused})))

	m := loaded(t, dataSetNamed("busy"), 100, 30)
	golden(t, "link-away", text(after(m, answerMsg{at: clock.Add(time.Second), err: errRefused}, tickMsg(clock.Add(75*time.Second)))))
	slow := after(m, tickMsg(clock.Add(time.Second)), tickMsg(clock.Add(4*time.Second)))
	golden(t, "link-slow", text(slow))
	odd := m.cur
	odd.Odd = "dns.top_qname2"
	golden(t, "link-odd", text(after(m, answerMsg{at: clock.Add(time.Second), window: 5, sum: odd})))
}

func text(m Model) string { return m.draw().text() }

// press returns the model after key presses, with Bubble Tea's names of keys.
func press(m Model, keys string) Model {
	for _, k := range strings.Fields(keys) {
		m = after(m, keyPress(k))
	}
	return m
}

func keyPress(name string) tea.KeyPressMsg {
	codes := map[string]tea.Key{
		"tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift}, "enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape},
		"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
		"pgdown": {Code: tea.KeyPgDown}, "pgup": {Code: tea.KeyPgUp}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
		"backspace": {Code: tea.KeyBackspace}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl},
		"space": {Code: tea.KeySpace, Text: " "},
	}
	if k, ok := codes[name]; ok {
		return tea.KeyPressMsg(k)
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg(tea.Key{Code: r, Text: name})
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// TestNothingGetsThrough: whatever the agent sends, only colours reach the terminal as escapes, and every line has at
// most the width of the screen.
func TestNothingGetsThrough(t *testing.T) {
	for _, d := range dataSets() {
		for _, keys := range []string{"", "d", "n", "c", "?", "enter", "tab tab enter", "[", "/ e enter"} {
			m := press(loaded(t, d, 133, 41), keys)
			checkScreen(t, fmt.Sprintf("%s %q", d.name, keys), m)
		}
	}
}

func checkScreen(t *testing.T, name string, m Model) {
	t.Helper()
	v := m.View()
	lines := strings.Split(sgr.ReplaceAllString(v.Content, ""), "\n")
	if len(lines) > m.height {
		t.Errorf("%s: %d lines on %d", name, len(lines), m.height)
	}
	for _, line := range lines {
		if textWidth(line) > m.width {
			t.Errorf("%s: line of %d cells on %d: %q", name, textWidth(line), m.width, line)
		}
		for _, r := range line {
			if !shows(r) {
				t.Errorf("%s: %U reaches the terminal in %q", name, r, line)
			}
		}
	}
	if strings.ContainsFunc(v.WindowTitle, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%s: title %q", name, v.WindowTitle)
	}
}

func TestOnce(t *testing.T) {
	var out bytes.Buffer
	if err := Once(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}, Zone: time.UTC}, 160, &out); err != nil {
		t.Fatal(err)
	}
	golden(t, "once", out.String())
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("escape sequences in plain text")
	}
	out.Reset()
	if err := JSON(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}}, &out); err != nil {
		t.Fatal(err)
	}
	if want := string(dataSetNamed("busy").window) + "\n"; out.String() != want {
		t.Errorf("JSON is not what the agent sent: %.80q", out.String())
	}
	down := &fakeAgent{fail: func() error { return errRefused }}
	want := "no agent at ns1.example.net:10853: connection refused (is pktvisord or pktvisor-hub running there?)"
	if err := Once(t.Context(), Options{Agent: down}, 80, &out); err == nil || err.Error() != want {
		t.Errorf("Once without an agent: %v, want %s", err, want)
	}
}
