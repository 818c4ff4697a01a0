package ui

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"pktvisor/api"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n    float64
		w    int
		want string
	}{
		{0, 5, "0"}, {999, 5, "999"}, {1234, 5, "1,234"}, {12345, 5, "12.3k"}, {12345, 6, "12,345"}, {123456, 5, "123k"}, {123456, 6, "123.5k"},
		{999_999, 5, "1.00M"}, {1234567, 5, "1.23M"}, {1234567, 9, "1,234,567"}, {12345, 4, "12k"}, {1234, 4, "1.2k"}, {999_499, 4, "999k"},
		{-5, 5, "-5"}, {-12345, 5, "-12k"}, {1e18, 5, "1.00E"}, {1.8e19, 5, "18.0E"}, {1e300, 5, "huge"}, {-1e300, 5, "-huge"}, {0.4, 5, "0"}, {2.5, 5, "3"},
		{1e15, 30, "1.00P"}, {math.Inf(1), 5, "huge"},
	} {
		got := count(api.N(c.n), c.w)
		if got != c.want || len(got) > max(c.w, 5) {
			t.Errorf("count(%v, %d) = %q, want %q", c.n, c.w, got, c.want)
		}
	}
	if got := count(api.Number{}, 5); got != "" {
		t.Errorf("unknown is %q", got)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		part, base float64
		want       string
	}{
		{0, 10, "  0.0%"}, {1, 3, " 33.3%"}, {10, 10, "  100%"}, {1, 1e6, " <0.1%"}, {999_999, 1e6, " 99.9%"}, {25, 10, "  250%"}, {1e9, 1, " >999%"},
		{-1, 10, "    <0"}, {1, 0, ""}, {1, -1, ""}, {0, math.Inf(1), "  0.0%"},
	} {
		if got := share(api.N(c.part), api.N(c.base)); got != c.want {
			t.Errorf("share(%v, %v) = %q, want %q", c.part, c.base, got, c.want)
		}
	}
	if share(api.Number{}, api.N(1)) != "" || share(api.N(1), api.Number{}) != "" {
		t.Error("an unknown number has a share")
	}
}

func TestUnits(t *testing.T) {
	for got, want := range map[string]string{
		millis(api.N(0)): "0.00", millis(api.N(719)): "0.72", millis(api.N(9994)): "9.99", millis(api.N(9996)): "10.0", millis(api.N(318_300)): "318.3",
		millis(api.N(1_234_000)): "1,234", millis(api.N(1e12)): "1.00G", millis(api.N(-1)): "<0", millis(api.Number{}): "",
		bytesText(api.N(999)): "999 B", bytesText(api.N(89_000_000)): "89.0 MB", bytesText(api.N(1e300)): "huge",
		span(0): "0s", span(59 * time.Second): "59s", span(243 * time.Second): "4m 03s", span(3*time.Hour + 12*time.Minute): "3h 12m",
		span(122 * time.Hour): "5d 2h", span(-time.Second): "0s",
		errorText(api.N(.018), &utf8Glyphs): "±1.8%", errorText(api.N(.25), &asciiGlyphs): "+-25%", errorText(api.N(0), &utf8Glyphs): "",
		plain1(api.N(1.5)): "1.50", plain1(api.N(12345)): "12,345",
		shorter(" 14.3%"): "14%", shorter("  0.7%"): "0.7%", shorter(" <0.1%"): "<.1%", shorter("  100%"): "100%",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, ok := moment(api.N(1e300)); ok {
		t.Error("a time far beyond the calendar was accepted")
	}
	if seconds(api.N(1e300)) != 0 || seconds(api.N(90)) != 90*time.Second {
		t.Error("seconds")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"www.example.com":           "www.example.com",
		"NA/São Paulo/Zürich":       "NA/São Paulo/Zürich",
		"例え.テスト":                    "例え.テスト",
		"한국":                        "한국",
		"Москва Ελλάδα":             "Москва Ελλάδα",
		"\x1b[31m":                  `\x1b[31m`,
		"\x00\n\r\t\x7f":            `\x00\x0a\x0d\x09\x7f`,
		"\u009b31m\u0085":           `\x9b31m\x85`,
		"\xff\xc0a":                 `\xff\xc0a`,
		"\u202egpj.exe":             `\u{202e}gpj.exe`,
		"\u2066\u2069\u200f\u061c":  `\u{2066}\u{2069}\u{200f}\u{61c}`,
		"a\u200b\u200d\ufeff\u00ad": `a\u{200b}\u{200d}\u{feff}\xad`,
		"a\u0301\u20dd\ufe0f":       `a\u{301}\u{20dd}\u{fe0f}`,
		"\u2028\u2029\u00a0\u3000":  `\u{2028}\u{2029}\xa0\u{3000}`,
		"א\u05d1":                   `\u{5d0}\u{5d1}`,
		"👩‍🚒":                       `\u{1f469}\u{200d}\u{1f692}`,
		"\u3164\u115f\uffa0\u2800":  `\u{3164}\u{115f}\u{ffa0}\u{2800}`,
		"\ue000\U000F0000\uffff":    `\u{e000}\u{f0000}\u{ffff}`,
		"\U000E0041":                `\u{e0041}`,
		"\uFFFD":                    "\uFFFD",
	} {
		if got := clean(in, true); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := clean("São", false); got != `S\xe3o` {
		t.Errorf("in ASCII: %q", got)
	}
	if got := clean(strings.Repeat("\x1b", 100_000), true); len(got) > 5*maxName {
		t.Errorf("a name of %d bytes", len(got))
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		s    string
		w    int
		want string
	}{
		{"short", 10, "short"}, {"abcdefghijklmnopqrstuvwxyz", 11, "abcd…uvwxyz"}, {"abcdefghij", 5, "abcd…"}, {"例え例え例え例え", 9, "例…え例え"},
	} {
		got := fit(c.s, c.w, '…')
		if got != c.want || textWidth(got) > c.w {
			t.Errorf("fit(%q, %d) = %q, want %q", c.s, c.w, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"www.example.com", "\x1b]52;c;AAAA\x07", "e\u0301\u202e\u200d", "例え", "\xff\xfe", "👨‍👩‍👧"} {
		f.Add(s, 12)
	}
	f.Fuzz(func(t *testing.T, s string, w int) {
		c := clean(s, true)
		if !utf8.ValidString(c) {
			t.Errorf("clean(%q) is not UTF-8: %q", s, c)
		}
		cells := 0
		for _, r := range c {
			if !shows(r) {
				t.Errorf("clean(%q) lets %U through", s, r)
			}
			cells += runeWidth(r)
		}
		if cells != textWidth(c) {
			t.Errorf("%q: %d cells one by one, %d together", c, cells, textWidth(c))
		}
		if again := clean(c, true); again != c && utf8.RuneCountInString(c) <= maxName {
			t.Errorf("clean(%q) = %q, and again %q", s, c, again)
		}
		w = min(max(w, 1), 300)
		if got := fit(c, w, '…'); textWidth(got) > w {
			t.Errorf("fit(%q, %d) takes %d", c, w, textWidth(got))
		}
		for _, r := range clean(s, false) {
			if r < ' ' || r > '~' {
				t.Errorf("%U in ASCII", r)
			}
		}
	})
}

// FuzzScreen draws any answer of an agent, at any size, after any keys.
func FuzzScreen(f *testing.F) {
	for i, d := range dataSets() {
		f.Add(d.window, []byte(d.app), fmt.Sprint("tab enter ", i), uint16(80+30*i), uint16(24+9*i))
	}
	keys := strings.Fields("tab enter esc left right up down pgdown pgup home end / a backspace s w [ ] p d n c o ? m y ctrl+u shift+tab")
	f.Fuzz(func(t *testing.T, window, app []byte, choice string, w, h uint16) {
		d := dataSet{window: window, app: string(app), rates: "{}", minutes: [][]byte{window, window}}
		m := New(t.Context(), Options{Agent: &fakeAgent{data: d}, Zone: time.UTC})
		m.now = clock
		m = after(m, tea.WindowSizeMsg{Width: int(w % 400), Height: int(h % 120)})
		a := m.ask()().(answerMsg)
		a.at = clock
		m = after(m, a, m.askMinutes()())
		m.theme = newTheme(colorprofile.ANSI256, true)
		for i := range min(len(choice), 12) {
			m = after(m, keyPress(keys[int(choice[i])%len(keys)]))
			checkScreen(t, choice[:i+1], m)
		}
	})
}

// TestHalfOverwritten: a rune of two cells of which one is overwritten leaves a blank, and the line keeps its width.
func TestHalfOverwritten(t *testing.T) {
	for _, c := range []struct {
		x          int
		over, want string
	}{
		{0, "x", "x 字字字"}, {1, "x", " x字字字"}, {1, "例", " 例 字字"}, {2, "例", "字例字字"}, {3, "xy", "字 xy 字"}, {7, "x", "字字字 x"},
	} {
		s := newScreen(8, 1)
		s.put(0, 0, 8, style{}, "字字字字")
		s.put(c.x, 0, 8, style{}, c.over)
		if got := s.text(); got != c.want {
			t.Errorf("%s at %d: %q, want %q", c.over, c.x, got, c.want)
		}
	}
}

func TestThemes(t *testing.T) {
	alarm := style{fg: bad}
	for _, c := range []struct {
		profile colorprofile.Profile
		dark    bool
		want    string
	}{
		{colorprofile.TrueColor, true, "\x1b[0;38;2;255;123;133m"}, {colorprofile.TrueColor, false, "\x1b[0;38;2;192;28;51m"},
		{colorprofile.ANSI, true, "\x1b[0;91m"}, {colorprofile.ANSI, false, "\x1b[0;31m"},
		{colorprofile.ASCII, true, "\x1b[0;1m"}, {colorprofile.NoTTY, true, ""},
	} {
		if got := newTheme(c.profile, c.dark).change(alarm); got != c.want {
			t.Errorf("%v dark %v: %q, want %q", c.profile, c.dark, got, c.want)
		}
	}
	for _, profile := range []colorprofile.Profile{colorprofile.ASCII, colorprofile.ANSI} {
		if got := newTheme(profile, true).change(style{fg: dim, bg: chosen}); got != "\x1b[0;7m" {
			t.Errorf("%v: the chosen row is %q, want reverse", profile, got)
		}
	}
}

// BenchmarkView: drawing, rendering and comparing the screen of a busy agent must take a small part of 20 ms a second,
// which is 2% of a core.
func BenchmarkView(b *testing.B) {
	m := loaded(b, dataSetNamed("busy"), 160, 50)
	for b.Loop() {
		_ = m.View()
	}
}
