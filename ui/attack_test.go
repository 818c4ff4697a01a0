package ui

import (
	"slices"
	"strings"
	"testing"

	"pktvisor/api"
)

// TestNXFinding: the share of NXDOMAIN is compared with its own past, and highlighted if it is beyond all of it.
func TestNXFinding(t *testing.T) {
	n := func(v float64) api.Number { return api.N(v) }
	past := func(v ...float64) past24h { return past24h{shares: v} }
	for _, c := range []struct {
		nx, replies api.Number
		past        past24h
		text        string
		tone        tone
	}{
		{n(87), n(100), past(.1, .12, -1, .11), "87.0%, ×7.91 the usual 11.0%, most 12.0% of the day before", bad},
		{n(12), n(100), past(.1, .12, .11), "12.0%, usual 11.0%, most 12.0% of the day before", plain},
		{n(87), n(100), past(.86, .9, .88), "87.0%, usual 88.0%, most 90.0% of the day before", bad}, // high, but as ever
		{n(35), n(100), past(.3, .3, .3), "35.0%, usual 30.0%, most 30.0% of the day before", warn},
		{n(2), n(100), past(.001, .001, .002), "2.0%, usual 0.1%, most 0.2% of the day before", plain}, // too little to matter
		{n(10), n(100), past(0, 0, 0), "10.0%, ×100 the usual 0.0%, most 0.0% of the day before", bad},
		{n(0), n(0), past(.1), "no responses", dim},
		{api.Number{}, n(9), past(.1), "no responses", dim},
	} {
		m := New(t.Context(), Options{Agent: &fakeAgent{}})
		m.now, m.past = clock, c.past
		m.cur.DNS.Wire.NXDomain, m.cur.DNS.Wire.Replies = c.nx, c.replies
		if got := m.nxFinding(); got.text != c.text || got.tone != c.tone {
			t.Errorf("%v of %v: %q, tone %d; want %q, tone %d", c.nx, c.replies, got.text, got.tone, c.text, c.tone)
		}
	}
}

// TestLastMinute: a rise within the window is seen, because the newest finished minute is compared with those before.
func TestLastMinute(t *testing.T) {
	m := loaded(t, dataSetNamed("flood"), 100, 30) // one minute of the flood, and two before it
	want := finding{"NXDOMAIN", "87.0%, ×7.91 the usual 11.0%; last minute 87.0%, most 11.0% of the 2 min before", bad}
	if got := m.nxFinding(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	m.cur.DNS.Wire.NXDomain, m.cur.DNS.Wire.Replies = api.N(20), api.N(100) // the window has only some of it
	want.text = "20.0%, ×7.91 the usual 11.0%; last minute 87.0%, most 11.0% of the 2 min before"
	if got := m.nxFinding(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestPastOfAnAgent: without a hub, the past are the finished minutes before what is shown.
func TestPastOfAnAgent(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 100, 30)
	shares, what := m.nxPast()
	if len(shares) != 3 || what != "of the 3 min before" || shares[0] < .10 || shares[0] > .12 {
		t.Errorf("%v %s", shares, what)
	}
	m = press(m, "[ [") // the second newest minute: two are older
	if shares, what = m.nxPast(); len(shares) != 2 || what != "of the 2 min before" {
		t.Errorf("%v %s", shares, what)
	}
}

// TestFindings: the first rows of the tables are said in words, and those that matter are highlighted.
func TestFindings(t *testing.T) {
	m, _ := exploring(t, 160, 50)
	m.agent.(*fakeHub).verdict = nil // a hub of an earlier version
	m = explore(m, "A")
	got := map[string]finding{}
	for _, f := range m.findings(500) {
		got[f.label] = f
	}
	for label, want := range map[string]finding{
		"Names":     {"", "victim.example has 1.21M names, ×2937 the next zone", bad},
		"Asked by":  {"", "203.0.113.0/24 gets 81,000 NXDOMAIN, 1.5% of responses", plain},
		"Amplified": {"", `198.51.100.0/24 gets 31.4 MB for 1.01 MB, ×31.1 (one port, no tcp retry, \x1b[5m\u{202e}evil)`, bad},
		"From":      {"", "48.20M IPv4 clients in 3.12M /24 and 41,200 /16, 15 IPv6 in 12 /48", plain},
		"Clients":   {"", "64500/EXAMPLE-TRANSIT has 48,000 of them", plain},
		"Data":      {"", "names below tunnel.example carry 81,000 bits", plain},
	} {
		want.label = label
		if got[label] != want {
			t.Errorf("%+v, want %+v", got[label], want)
		}
	}
	if _, ok := got["Missing"]; ok {
		t.Errorf("missing: %v", got["Missing"])
	}
	// An agent without the tables says so. The tables that every agent has are still there.
	old := loaded(t, dataSetNamed("flood"), 100, 30)
	old = press(old, "A")
	if screen := text(old); !strings.Contains(screen, "this agent does not report names by zone, clients, amplification") || !strings.Contains(screen, "Top NX") {
		t.Errorf("\n%s", screen)
	}
}

// TestNotes: a row that stands for many names says how many, in whatever room there is.
func TestNotes(t *testing.T) {
	note, short := noteOf(&api.Row{Names: api.N(1_210_000)}, true)
	if note != " (1.2 M names)" || short != " (1.2M)" {
		t.Errorf("%q, %q", note, short)
	}
	if note, _ := noteOf(&api.Row{Names: api.N(812)}, true); note != " (812 names)" {
		t.Errorf("%q", note)
	}
	if note, short := noteOf(&api.Row{Hints: []string{"one_port", "one_ttl"}}, true); note != " (one port, one ttl)" || short != " !2" {
		t.Errorf("%q, %q", note, short)
	}
	if note, _ := noteOf(&api.Row{}, true); note != "" {
		t.Errorf("%q", note)
	}
	r := row{name: "*.victim.example", note: " (1.2 M names)", short: " (1.2M)"}
	for w, want := range map[int]string{40: "*.victim.example (1.2 M names)", 30: "*.victim.example (1.2 M names)", 29: "*.victim.example (1.2M)", 20: "*.vi….example (1.2M)", 15: "*.…ample (1.2M)", 14: "*.vic….example"} {
		if got := r.fitName(w, '…'); got != want || textWidth(got) > w {
			t.Errorf("%d: %q, want %q", w, got, want)
		}
	}
	plainRow := row{name: "www.example.com"}
	if got := plainRow.fitName(10, '…'); textWidth(got) != 10 {
		t.Errorf("%q", got)
	}
}

// TestAttackPlan: at every size, each panel of the attack view can be reached and is seen when it has the focus.
func TestAttackPlan(t *testing.T) {
	for w := 40; w <= 300; w += 37 {
		for h := 8; h <= 70; h += 5 {
			m, _ := exploring(t, w, h)
			m.view = attackView
			for i := range m.panels() {
				m.focus[attackView] = i
				p := m.plan()
				seen := false
				for _, b := range p.boxes {
					seen = seen || b.panel == i && b.h >= 2
					if b.x < 0 || b.y < headLines || b.x+b.w > w || b.y+b.h > h-footLines {
						t.Fatalf("%dx%d: box %+v", w, h, b)
					}
				}
				if !seen {
					t.Fatalf("%dx%d: panel %d has the focus and is not seen", w, h, i)
				}
			}
		}
	}
}

// TestVictims: the attack view lists only networks that get many times the bytes of their queries. The view of DNS has all of them.
func TestVictims(t *testing.T) {
	m, _ := exploring(t, 160, 50)
	rowsIn := func(v viewID) (title string, names []string) {
		m := m.goTo(v)
		for _, p := range m.panels() {
			if p.kind == tablePanel && p.table.path == "dns.top_amp_prefix" {
				for _, r := range m.rowsOf(p) {
					names = append(names, r.name)
				}
				title = p.title
			}
		}
		return title, names
	}
	if title, names := rowsIn(attackView); title != "top amp prefix, ×5 or more" || !slices.Equal(names, []string{"198.51.100.0/24"}) {
		t.Errorf("%q: %q", title, names)
	}
	if title, names := rowsIn(dnsView); title != "top amp prefix" || !slices.Equal(names, []string{"198.51.100.0/24", "2001:db8:77::/48"}) {
		t.Errorf("%q: %q", title, names)
	}
}
