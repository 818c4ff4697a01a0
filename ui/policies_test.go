package ui

import (
	"context"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/server"
	"pktvisor/window"
)

// policiesServer is the real handler of an agent with three policies, which has no packets: everything, packets only, and one with a window
// for each of two taps.
func policiesServer(t *testing.T) *api.Client {
	t.Helper()
	empty := func(tap string, periods int, sections int) server.PolicyWindow {
		tables := agent.Tables[:sections]
		w := server.PolicyWindow{Tap: tap, Views: window.New(window.Config{Tables: tables, Periods: periods, Shards: 1}), Tables: tables, DeepSamplePercent: 100}
		for _, t := range tables {
			w.Handlers = append(w.Handlers, server.Handler{Name: "my_" + t.Section, Type: t.Section, Version: "1.0"})
		}
		return w
	}
	all := len(agent.Tables)
	further := empty("eth1", 9, all)
	further.Tables, further.Handlers = agent.Tables[1:2], []server.Handler{{Name: "second_dns", Type: "dns", Version: "1.0"}}
	further.Views = window.New(window.Config{Tables: further.Tables, Periods: 9, Shards: 1})
	list := []*server.Policy{
		{Name: agent.Default, Windows: []server.PolicyWindow{empty("eth0", 5, all)}, Description: []byte("{}"), Memory: 12e6},
		{Name: "packets-only", Windows: []server.PolicyWindow{empty("eth0", 60, 1)}, Description: []byte("{}")},
		{Name: "split", Windows: []server.PolicyWindow{empty("eth0", 5, all), empty("eth1", 7, all), further}, Description: []byte("{}")},
	}
	h := server.New(server.Config{
		Policies: func() []*server.Policy { return list }, Sources: agent.SourceTable, Version: "1.2.3", Started: time.Now(),
		Status: func() server.Status { return server.Status{} },
	}).Handler()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := api.NewClient(s.URL, 20*time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// policiesModel is the UI on that agent, with its first answer.
func policiesModel(t *testing.T, s api.Selection, w, h int) Model {
	t.Helper()
	client := policiesServer(t)
	m := New(t.Context(), Options{Agent: client, Of: func(s api.Selection) Agent { return client.Of(s) }, Selection: s, Zone: time.UTC})
	m.width, m.height = w, h
	return after(m, m.ask()())
}

// TestPoliciesOfAnAgent: the menu has every policy, and every tap of one that has several, once each, with what it is. What is chosen
// is asked for from then on, and the title or the status line says so.
func TestPoliciesOfAnAgent(t *testing.T) {
	for _, size := range sizes {
		m := policiesModel(t, api.Selection{}, size.w, size.h)
		if got := text(m); !strings.Contains(got, "policy default") {
			t.Errorf("%d: the screen does not name the policy: %s", size.w, got)
		}
		next, cmd := m.onKey(keyPress("P"))
		m = next.(Model)
		var labels, values []string
		for _, it := range m.menu.items {
			labels, values = append(labels, it.label), append(values, it.value)
		}
		if want := []string{"default", "packets-only", "split > eth0", "split > eth1", "split > eth1 > second_dns"}; !slices.Equal(replaced(labels, m.glyphs.into), want) {
			t.Fatalf("%q, want %q", labels, want)
		}
		if want := []string{"default", "packets-only", "split/eth0", "split/eth1", "split/eth1/second_dns"}; !slices.Equal(values, want) {
			t.Fatalf("%q, want %q", values, want)
		}
		m = after(m, cmd())
		notes := map[int]string{0: "0 packets/s, 0 DNS/s, tap eth0, packets+dns+pcap, 5 min, at most 12.0 MB", 1: "0 packets/s, tap eth0, packets, 60 min",
			4: "0 DNS/s, tap eth1, dns, 9 min"}
		for i, want := range notes {
			if got := m.menu.items[i].notes(200); got != want {
				t.Errorf("note %q, want %q", got, want)
			}
		}
		if got := text(m); !strings.Contains(got, "Which policy") || !strings.Contains(got, "packets-only") {
			t.Errorf("menu: %s", got)
		}
		m = press(m, "down down down")
		next, cmd = m.onKey(keyPress("enter"))
		m = next.(Model)
		if s := m.selection(); s.Policy != "split" || s.Tap != "eth1" || m.have {
			t.Fatalf("chosen %+v", s)
		}
		if m = after(m, cmd()); !m.have || m.periods() != 7 {
			t.Errorf("%d minutes of the policy, want 7; %+v", m.periods(), m.link)
		}
		if got := text(m); !strings.Contains(got, "policy split tap eth1") {
			t.Errorf("%d: the screen does not name the policy: %s", size.w, got)
		}
		checkScreen(t, "policies", m)
		next, cmd = m.onKey(keyPress("P"))
		m = press(after(next.(Model), cmd()), "down")
		next, cmd = m.onKey(keyPress("enter"))
		if m = after(next.(Model), cmd()); !m.have || m.periods() != 9 || m.selection().Handler != "second_dns" {
			t.Errorf("%d minutes of %+v, want 9 of second_dns", m.periods(), m.selection())
		}
	}
}

func replaced(list []string, into string) (out []string) {
	for _, s := range list {
		out = append(out, strings.ReplaceAll(s, into, ">"))
	}
	return out
}

// TestPolicyOfTheCommandLine: the policy of the command line is shown, one that does not exist ends the UI with the names, and so does any
// of an earlier agent, which has no policies.
func TestPolicyOfTheCommandLine(t *testing.T) {
	if m := policiesModel(t, api.Selection{Policy: "packets-only"}, 100, 30); !m.have || m.periods() != 60 || !strings.Contains(text(m), "policy packets-only") {
		t.Errorf("%d minutes: %s", m.periods(), text(m))
	}
	if m := policiesModel(t, api.Selection{Policy: "nope"}, 100, 30); m.refused == nil || !strings.Contains(m.refused.Error(), "packets-only") {
		t.Errorf("a policy that does not exist: %v", m.refused)
	}
	if m := policiesModel(t, api.Selection{Tags: []string{"pop=x"}}, 100, 30); m.refused == nil || !strings.Contains(m.refused.Error(), "tag") {
		t.Errorf("a tag: %v", m.refused)
	}
	m := New(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}, Selection: api.Selection{Policy: "dns"}, Zone: time.UTC})
	m = after(m, m.ask()())
	if m.refused == nil || m.refused.Error() != "agent at ns1.example.net:10853: it is an agent of an earlier version, which has one policy: leave out --policy and --tap" {
		t.Errorf("an earlier agent: %v", m.refused)
	}
	m = press(loaded(t, dataSetNamed("busy"), 100, 30), "P")
	if m.menu.kind != noMenu || !strings.Contains(text(m), "this agent has one policy") {
		t.Errorf("P on an earlier agent: %s", text(m))
	}
}

// mustNamePolicy is an agent of an earlier version, which answers only about a policy that is named.
type mustNamePolicy struct {
	fakeAgent
	app  api.App
	name string
}

const mustName = "there is no policy default: give policy= with one of slow, fast, a-policy-with-a-name, another-policy-with-a-name, last-policy and 3 more"

func (a *mustNamePolicy) App(context.Context) (api.App, error) {
	if a.name == "" && len(a.app.Policies) == 0 {
		return api.App{}, &api.Error{Kind: api.Status, Status: 404, Message: mustName}
	}
	return a.app, nil
}

func (a *mustNamePolicy) Window(ctx context.Context, n, rows int) (api.Summary, error) {
	if a.name == "" {
		return api.Summary{}, &api.Error{Kind: api.Status, Status: 404, Message: mustName}
	}
	return a.fakeAgent.Window(ctx, n, rows)
}

// TestPolicyMustBeNamed: if the agent wants a policy to be named, all views show what it says in full, none says that something is
// missing, and P chooses a policy.
func TestPolicyMustBeNamed(t *testing.T) {
	mustNameOf(t, 2, api.App{Policies: []api.PolicyState{{Name: "slow", Windows: []api.WindowState{{Tap: "eth0"}}}, {Name: "fast", Windows: []api.WindowState{{Tap: "eth0"}}}}})
	mustNameOf(t, 5, api.App{}) // its names are in the refusal
}

func mustNameOf(t *testing.T, policies int, app api.App) {
	t.Helper()
	data := dataSetNamed("busy")
	agentOf := func(name string) *mustNamePolicy { return &mustNamePolicy{fakeAgent{data: data}, app, name} }
	m := New(t.Context(), Options{Agent: agentOf(""), Of: func(s api.Selection) Agent { return agentOf(s.Policy) }, Zone: time.UTC})
	m.width, m.height = 80, 24
	m = after(m, m.ask()())
	for _, key := range []string{"o", "A", "W"} {
		m = press(m, key)
		got := text(m)
		if !strings.Contains(strings.Join(strings.Fields(got), " "), mustName+" P chooses a policy.") {
			t.Errorf("%s does not show what the agent says: %s", key, got)
		}
		if strings.Contains(got, "does not") {
			t.Errorf("%s says that something is missing: %s", key, got)
		}
		checkScreen(t, "must name "+key, m)
	}
	m = press(m, "o P")
	if m.menu.kind != policyMenu || len(m.menu.items) != policies {
		t.Fatalf("P: %s", text(m))
	}
	next, cmd := m.onKey(keyPress("enter"))
	if m = after(next.(Model), cmd()); m.selection().Policy != "slow" || len(app.Policies) > 0 && !m.have {
		t.Errorf("chosen: %s", text(m))
	}
	e := extra{}.done(clock, &api.Error{Kind: api.Status, Status: 404, Message: mustName}, time.Minute)
	if got := e.text(&m, "/api/v1/changes"); got != "/api/v1/changes: HTTP 404, "+mustName {
		t.Errorf("%q", got)
	}
}

// severalPolicies is an agent with policies.
type severalPolicies struct {
	fakeAgent
	app api.App
}

func (a *severalPolicies) App(context.Context) (api.App, error) { return a.app, nil }

// TestGoldenPolicies draws the menu, and hostile names in it.
func TestGoldenPolicies(t *testing.T) {
	for _, size := range []struct{ w, h int }{{60, 24}, {80, 24}, {160, 50}} {
		m := loaded(t, dataSetNamed("busy"), size.w, size.h)
		win := func(tap string, handlers ...string) api.WindowState {
			w := api.WindowState{Tap: tap, Periods: api.N(60)}
			for _, h := range handlers {
				w.Handlers = append(w.Handlers, api.HandlerState{Type: h})
			}
			return w
		}
		m.app.Policies = []api.PolicyState{
			{Name: "default", Memory: api.N(48e6), Windows: []api.WindowState{win("eth0", "packets", "dns")}},
			{Name: "anycast-53", Windows: []api.WindowState{win("eth0", "dns"), win("eth1", "dns")}},
			{Name: "evil\x1b]0;owned\x07", Windows: []api.WindowState{win("\x1b[2J", "dns")}},
		}
		app := m.app
		m.of = func(api.Selection) Agent { return &severalPolicies{fakeAgent{data: dataSetNamed("busy")}, app} }
		next, cmd := m.onKey(keyPress("P"))
		m = after(next.(Model), cmd())
		golden(t, "policies-"+strconv.Itoa(size.w)+"x"+strconv.Itoa(size.h), text(m))
		checkScreen(t, "policies", m)
		m = press(m, "down down enter")
		a := m.ask()().(answerMsg)
		a.at = clock
		m = after(m, a)
		golden(t, "policy-chosen-"+strconv.Itoa(size.w)+"x"+strconv.Itoa(size.h), text(m))
	}
}

// TestGoldenAnonymised draws the mark of an agent that anonymises.
func TestGoldenAnonymised(t *testing.T) {
	for _, size := range []struct{ w, h int }{{60, 24}, {80, 24}, {160, 50}} {
		m := loaded(t, dataSetNamed("busy"), size.w, size.h)
		m.cur.Period.Anonymized = "addresses, names"
		got := text(m)
		golden(t, "anonymised-"+strconv.Itoa(size.w)+"x"+strconv.Itoa(size.h), got)
		if !strings.Contains(got, "ANON addresses, names") && !strings.Contains(got, "anonymised: addresses, names") {
			t.Errorf("%d cells: no mark", size.w)
		}
	}
}
