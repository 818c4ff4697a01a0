package policy

import "testing"

// TestPercent: a percentage is read with or without its sign, and printed with it.
func TestPercent(t *testing.T) {
	for text, want := range map[string]string{"25%": "25%", "25": "25%", "0": "0%", "-3%": "-3%", "250%": "250%"} {
		var p Percent
		if err := p.Set(text); err != nil || p.String() != want {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "%", "x", "1.5%", "25%%", "% 25", "99999999999999999999"} {
		p := Percent(7)
		if err := p.Set(text); err == nil || p != 7 {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
}
