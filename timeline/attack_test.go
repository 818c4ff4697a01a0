package timeline

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/metric"
	"pktvisor/server"
)

// replayed returns an agent that has read a capture, and whose clock stands a second before the end of the capture's last minute.
func replayed(t *testing.T, c *testkit.Attack, periods int) *testAgent {
	t.Helper()
	var file bytes.Buffer
	if err := c.Write(&file); err != nil {
		t.Fatal(err)
	}
	p := testagent.Read(t, &file, "192.0.2.0/24", func(c *agent.Config) { c.Policies[0].Periods = periods })
	a := &testAgent{t: t, window: p.Window(), now: c.Start + int64(60*(c.Quiet+c.Loud)) - 1, check: apicheck.New(t)}
	clock := func() time.Time { return time.Unix(a.now, 0) }
	a.server = server.New(server.Config{
		Window: a.window, Tables: p.Tables(), Sources: agent.SourceTable, Version: "1", Started: clock(), Status: func() server.Status { return server.Status{} },
		Routes: Routes(Config{Source: NewWindow(a.window, p.Tables(), agent.Default, clock), Tables: p.Tables(), Now: clock}),
	}).Handler()
	return a
}

// textOf returns the first sentence of a kind.
func textOf(a *api.Attack, kind string) string {
	if i := slices.IndexFunc(a.Sentences, func(s api.AttackSentence) bool { return s.Kind == kind }); i >= 0 {
		return a.Sentences[i].Text
	}
	return ""
}

// TestAttackOfACapture: a real capture of two attacks is named with its victims, however much quiet time there is before it. The time
// at which it began is said if there is any, and if there is none, that there is nothing to compare with.
func TestAttackOfACapture(t *testing.T) {
	const both = "Amplification attack on 203.0.113.0/24, and Random-subdomain attack on victim-shop.com"
	for name, c := range map[string]struct {
		quiet, loud, periods int
		headline, baseline   string
		strong, earlier      bool
		past                 string
	}{
		"an hour with enough quiet time":         {8, 4, 60, both, "enough", true, false, ""},
		"the default window, after some minutes": {1, 3, 5, both, "little", true, false, "There is little quiet time to compare with: 1 minute before it began."},
		"the whole default window":               {0, 5, 5, both, "none", false, true, "There is no quiet time to compare with: it is so in all of the data, which begins at 00:54 UTC. So when it began is not known, nor whether this is usual here."},
		"quiet minutes that have left the window": {3, 6, 5, both, "none", false, true,
			"There is no quiet time to compare with: it is so in all of the data, which begins at 00:58 UTC. So when it began is not known, nor whether this is usual here."},
		"most of a range": {2, 14, 60, both, "little", true, false, "There is little quiet time to compare with: 2 minutes before it began."},
		"no attack":       {6, 0, 60, "", "enough", false, false, ""},
		"just started":    {2, 0, 5, "", "none", false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const start = 1_796_000_040
			h := replayed(t, &testkit.Attack{Start: start, Quiet: c.quiet, Loud: c.loud, Seed: 1}, c.periods)
			a := into[api.Attack](h, "/api/v1/attack")
			since := int64(0)
			switch {
			case c.earlier:
				since = start + 60*int64(c.quiet+c.loud-5)
			case c.headline != "":
				since = start + 60*int64(c.quiet)
			}
			if a.Headline != c.headline || a.Since != since || a.SinceEarlier != c.earlier || a.Strong != c.strong || a.Baseline != c.baseline || textOf(&a, "past") != c.past {
				t.Errorf("%+v, want %+v since %d", a, c, since)
			}
			if zone := textOf(&a, "zone"); c.headline != "" && (!strings.HasPrefix(zone, "Random names below victim-shop.com: at least ") || !strings.HasSuffix(zone, ".")) {
				t.Errorf("zone: %q", zone)
			}
			if c.headline == "" && len(a.Sentences) != 1 {
				t.Errorf("calm: %+v", a.Sentences)
			}
			if c.headline != "" && textOf(&a, "clients") == "" {
				t.Errorf("%+v", a.Sentences)
			}
		})
	}
}

// TestAttackFromManyNetworks: attackers all over a /16 are named by it, and the first seconds of a capture blame nobody.
func TestAttackFromManyNetworks(t *testing.T) {
	const start = 1_796_000_040
	h := replayed(t, &testkit.Attack{Start: start, Quiet: 8, Loud: 4, Seed: 1, Spread: true}, 60)
	a := into[api.Attack](h, "/api/v1/attack")
	i := slices.IndexFunc(a.Sentences, func(s api.AttackSentence) bool { return s.Kind == "clients" })
	if i < 0 || a.Sentences[i].Subject != testkit.AttackSpread.String() || !strings.HasPrefix(a.Sentences[i].Text, "100.66.0.0/16 gets ") ||
		!strings.HasSuffix(a.Sentences[i].Text, "% of all NXDOMAIN responses: they are spread over 256 or more of its /24 networks.") {
		t.Errorf("%+v", a.Sentences)
	}
}

// TestAttackOfOthers: without DNS there is one clear error, and without minutes nothing is said but that.
func TestAttackOfOthers(t *testing.T) {
	a := newAgent(t, 5)
	got := into[api.Attack](a, "/api/v1/attack")
	if got.Headline != "" || got.Baseline != "none" || textOf(&got, "calm") != "There is too little data to compare with its past: 0 minutes. No zone or network is far ahead of the others." {
		t.Errorf("%+v", got)
	}
	only := agent.Tables[:1]
	b := &testAgent{t: t, window: a.window, now: a.now, check: a.check}
	clock := func() time.Time { return time.Unix(b.now, 0) }
	b.server = server.New(server.Config{
		Window: a.window, Tables: only, Sources: agent.SourceTable, Version: "1", Started: clock(), Status: func() server.Status { return server.Status{} },
		Routes: Routes(Config{Source: NewWindow(a.window, only, agent.Default, clock), Tables: only, Now: clock}),
	}).Handler()
	if code, body := b.get("/api/v1/attack", nil); only[0].Section != "packets" || code != 400 || string(body) != `{"error":"there is no DNS here to judge"}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
}

// TestFirstSeconds: the few seconds in which an agent begins are no quiet time, and a live minute is judged from its first second on.
func TestFirstSeconds(t *testing.T) {
	e := evidence{whole: &metric.Bucket{Start: 659, End: 843}}
	for _, c := range []struct{ count, start, want float64 }{
		{0, 600, -1},  // one second
		{120, 660, 2}, // a whole minute
		{90, 840, 30}, // three seconds of the live minute
		{-1, 720, -1}, // nothing there
		{5, 900, -1},  // after the end
	} {
		if got := e.rate(c.count, int64(c.start), 60); got != c.want {
			t.Errorf("%v from %v on: %v, want %v", c.count, c.start, got, c.want)
		}
	}
	e.whole.Start = 640 // the least that counts
	if got := e.rate(40, 600, 60); got != 2 {
		t.Errorf("20 seconds: %v, want 2", got)
	}
}
