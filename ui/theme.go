package ui

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// theme turns styles into escape sequences for one kind of terminal.
type theme struct {
	profile colorprofile.Profile
	fg      [tones]color.Color
}

// palette holds a tone's colours for dark and light backgrounds, and the substitutes for terminals with only sixteen
// colours. Colour is never the only sign: warnings also have words, and ranks have arrows.
var palette = [tones]struct{ dark, light, dark16, light16 string }{
	dim:    {"#8b93a1", "#5d6572", "8", "8"},
	faint:  {"#474e5b", "#b9bfca", "8", "7"},
	accent: {"#6cb6ff", "#1f5fbf", "6", "4"},
	good:   {"#8fce7a", "#2f7d1f", "2", "2"},
	warn:   {"#e5b567", "#915f00", "3", "3"},
	bad:    {"#ff7b85", "#c01c33", "9", "1"},
	fresh:  {"#c3a6ff", "#7237c4", "5", "5"},
	graph:  {"#4a7ab5", "#5b8fd0", "6", "4"},
	bar:    {"#222a37", "#e3e8f1", "", ""},
	chosen: {"#2e3b52", "#cfdcf3", "", ""},
}

func newTheme(profile colorprofile.Profile, dark bool) *theme {
	t := &theme{profile: profile}
	for i, p := range palette {
		var name string
		switch {
		case profile <= colorprofile.ASCII:
		case profile == colorprofile.ANSI && dark:
			name = p.dark16
		case profile == colorprofile.ANSI:
			name = p.light16
		case dark:
			name = p.dark
		default:
			name = p.light
		}
		if name != "" {
			t.fg[i] = profile.Convert(lipgloss.Color(name))
		}
	}
	return t
}

// change returns the sequence that gives the following cells the style st, whatever the style before. Without colours
// (NO_COLOR), bold, faint and reverse remain.
func (t *theme) change(st style) string {
	if t.profile <= colorprofile.NoTTY {
		return ""
	}
	if st == (style{}) {
		return ansi.ResetStyle
	}
	s := ansi.NewStyle(ansi.AttrReset)
	colours := t.profile > colorprofile.ASCII
	if st.bold || !colours && (st.fg == bad || st.fg == warn) {
		s = s.Bold()
	}
	if st.bg != plain && t.fg[st.bg] == nil { // the terminal has no colour for the background: draw one plain bar, with alarms highlighted
		if c := t.fg[st.fg]; c != nil && (st.fg == good || st.fg == warn || st.fg == bad) {
			s = s.ForegroundColor(c)
		}
		return s.Reverse(true).String()
	}
	if c := t.fg[st.fg]; c != nil {
		s = s.ForegroundColor(c)
	} else if !colours && (st.fg == dim || st.fg == faint) {
		s = s.Faint()
	}
	if st.bg != plain {
		s = s.BackgroundColor(t.fg[st.bg])
	}
	return s.String()
}
