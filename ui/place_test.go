package ui

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// TestPlaces: Enter goes from the fleet to a group, a host and its tables, and Backspace and Esc go up again. Each step asks
// about the part that is shown.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		keys  string
		view  viewID
		place place
		crumb string
	}{
		{"f", fleetView, place{}, "fleet"},
		{"f f", overview, place{}, "fleet"},
		{"f enter", fleetView, place{group: "pop=fra1"}, "fleet › pop=fra1"},
		{"f down enter", fleetView, place{group: "pop=ams1"}, "fleet › pop=ams1"},
		{"f down enter enter", overview, place{group: "pop=ams1", host: "ns2.ams1"}, "fleet › pop=ams1 › ns2.ams1"},
		{"f down enter enter d", dnsView, place{group: "pop=ams1", host: "ns2.ams1"}, "fleet › pop=ams1 › ns2.ams1"},
		{"f down enter enter d esc", overview, place{group: "pop=ams1", host: "ns2.ams1"}, "fleet › pop=ams1 › ns2.ams1"},
		{"f down enter enter esc", fleetView, place{group: "pop=ams1"}, "fleet › pop=ams1"},
		{"f down enter enter backspace backspace", fleetView, place{}, "fleet"},
		{"f down enter enter esc esc esc", overview, place{}, "fleet"},
		{"f down enter o", overview, place{group: "pop=ams1"}, "fleet › pop=ams1"},
		{"f down enter o esc", fleetView, place{group: "pop=ams1"}, "fleet › pop=ams1"},
		{"f t g enter", fleetView, place{}, "fleet"}, // every host in one list
		{"f t g enter enter", overview, place{host: "\x1b[31mns2\x1b[0m.\u202efra1"}, `fleet › \x1b[31mns2\x1b[0m.\u{202e}fra1`},
		{"f t g enter enter esc", fleetView, place{}, "fleet"},
		{"f end enter", fleetView, place{}, "fleet"}, // hosts without the tag are no part
		{"esc", overview, place{}, "fleet"},
		{"backspace", overview, place{}, "fleet"},
		{"A esc", overview, place{}, "fleet"},
		{"W backspace", overview, place{}, "fleet"},
		{"f enter P down enter", fleetView, place{group: "pop=fra1", policy: "dns\x1bonly"}, `fleet › pop=fra1 policy dns\x1bonly`},
	} {
		m, asked := exploring(t, 100, 30)
		m = explore(m, c.keys)
		if m.view != c.view || m.place != c.place || m.crumbs() != c.crumb {
			t.Errorf("%s: %v, %+v, %q; want %v, %+v, %q", c.keys, m.view, m.place, m.crumbs(), c.view, c.place, c.crumb)
		}
		if c.place != (place{}) && !m.have {
			t.Errorf("%s: there is no window of the part; asked %v", c.keys, *asked)
		}
		if hub := m.agent.(*fakeHub); partOf(hub.about) != partOf(m.selection()) {
			t.Errorf("%s: asked about %q, shown is %q", c.keys, partOf(hub.about), partOf(m.selection()))
		}
	}
}

// TestUpChoosesWhereOneCameFrom: going up chooses the row of the group or host that was left.
func TestUpChoosesWhereOneCameFrom(t *testing.T) {
	m, _ := exploring(t, 100, 30)
	m = explore(m, "f down enter end enter esc")
	if rows := m.fleetRows(); rows[m.row].key != "ns3.ams1" {
		t.Errorf("row %q, want the host that was left", rows[m.row].key)
	}
	m = explore(m, "esc")
	if rows := m.fleetRows(); rows[m.row].key != "pop=ams1" {
		t.Errorf("row %q, want the group that was left", rows[m.row].key)
	}
}

// TestFormerPart: an answer about a part that is no longer shown is ignored, of whatever kind.
func TestFormerPart(t *testing.T) {
	m, _ := exploring(t, 100, 30)
	m = explore(m, "f")
	late := m.ask()()
	minutes, fleet, rates := m.askMinutes()(), m.askFleet()(), m.askRates()()
	changes, past, verdict := m.askChanges()(), m.askPast()(), m.askAlarm()()
	next, _ := m.into() // to pop=fra1
	m = next
	m.history = history{length: 3600}
	for _, msg := range []tea.Msg{late, minutes, fleet, rates, changes, past, verdict, rangeMsg{gen: m.gen - 1, length: 3600, got: history{length: 3600, have: true}}} {
		before := m
		m = after(m, msg)
		if m.have || len(m.minutes) != len(before.minutes) || m.changed.have || m.past.shares != nil || m.alarm.have || m.history.have || m.hosts.extra != before.hosts.extra {
			t.Errorf("%T about the whole fleet is taken for one about %q", msg, m.part)
		}
	}
	if m = answered(m, m.ask()); !m.have {
		t.Error("an answer about the part is ignored")
	}
}

// TestGone: a host or group that the hub refuses leaves the terminal as it is, with the hub's words, and one can go back.
func TestGone(t *testing.T) {
	m, _ := exploring(t, 100, 30)
	m = explore(m, "f enter")
	next, _ := m.Update(answerMsg{gen: m.gen, at: clock, err: &api.Error{Kind: api.Status, Status: 400, Message: "no host has the tag \x1b[1m"}})
	m = next.(Model)
	if m.refused != nil || !strings.Contains(text(m), `HTTP 400, no host has the tag \x1b[1m`) {
		t.Errorf("refused %v:\n%s", m.refused, text(m))
	}
	if m = explore(m, "esc"); m.place != (place{}) || m.view != fleetView {
		t.Errorf("esc leads to %v %+v", m.view, m.place)
	}
}

// TestStartedInAPart: the part that the program was started with stays when one goes up.
func TestStartedInAPart(t *testing.T) {
	d := hubData()
	hub := &fakeHub{fakeAgent: fakeAgent{data: d}, fleet: fleetJSON(), asked: new([]string)}
	m := New(t.Context(), Options{Agent: hub, Of: hub.of, Zone: time.UTC, Selection: api.Selection{Tags: []string{"pop=ams1"}, Policy: "dns"}})
	m.now, m.width, m.height = clock, 120, 40
	m = answered(m, m.ask())
	m = explore(m, "f enter esc esc esc esc")
	if got := partOf(m.agent.(*fakeHub).about); got != "pop=ams1 policy dns" {
		t.Errorf("asks about %q", got)
	}
	m = explore(m, "f")
	for _, r := range m.fleetRows() {
		if r.host == nil || r.host.Tags["pop"] != "ams1" {
			t.Errorf("row %q", r.label)
		}
	}
}

// TestFleetOrder: hosts that are missing come first, whatever their names. Other orders are by what they say.
func TestFleetOrder(t *testing.T) {
	m, _ := exploring(t, 160, 40)
	m = explore(m, "f t g enter")
	keys := func(m Model) (out []string) {
		for _, r := range m.fleetRows() {
			out = append(out, r.key)
		}
		return out
	}
	evil := "\x1b[31mns2\x1b[0m.\u202efra1"
	if got, want := keys(m), []string{evil, "ns2.ams1", "ns1.nrt1", "bare", "ns1.ams1", "ns1.fra1", "ns3.ams1"}; !slices.Equal(got, want) {
		t.Errorf("missing first: %q, want %q", got, want)
	}
	for _, c := range []struct {
		sort  fleetSort
		first string
	}{{byHost, evil}, {byRate, "ns1.ams1"}, {byDrops, "ns3.ams1"}, {byLag, "ns3.ams1"}} {
		m.hosts.sort = c.sort
		if got := keys(m)[0]; got != c.first {
			t.Errorf("by %v: first is %q, want %q", c.sort, got, c.first)
		}
	}
	m.hosts.sort = byMissing
	m = explore(m, "/ a m s enter")
	if got := keys(m); !slices.Equal(got, []string{"ns2.ams1", "ns1.ams1", "ns3.ams1"}) {
		t.Errorf("filtered: %q", got)
	}
}

// TestGroupCounts: a group counts its hosts by state, and has the losses of all and the greatest lag.
func TestGroupCounts(t *testing.T) {
	m, _ := exploring(t, 160, 40)
	m = explore(m, "f")
	got := map[string][5]float64{}
	for _, r := range m.fleetRows() {
		got[r.label] = [5]float64{float64(r.hosts), float64(r.late), float64(r.away), r.lost.Value, r.lag.Value}
	}
	want := map[string][5]float64{"pop=ams1": {3, 1, 0, 31_415_926, 41}, "pop=fra1": {2, 0, 1, 0, 4}, "pop=nrt1": {1, 0, 0, 12, 2}, "without pop": {1, 0, 0, 0, 2}}
	for label, w := range want {
		if got[label] != w {
			t.Errorf("%s: %v, want %v", label, got[label], w)
		}
	}
	m = explore(m, "t up enter") // country
	if m.hosts.by != "country" || len(m.fleetRows()) < 4 {
		t.Errorf("by %s: %d rows", m.hosts.by, len(m.fleetRows()))
	}
}

// TestRatesAsked: all groups take one request, and so do all hosts, but not those that are away.
func TestRatesAsked(t *testing.T) {
	m, asked := exploring(t, 160, 40)
	m = explore(m, "f")
	var series []string
	for _, a := range *asked {
		if strings.Contains(a, "series") {
			series = append(series, a)
		}
	}
	if want := []string{`pop=fra1 pop=ams1 pop=nrt1: series by "pop" step 60 of 7 metrics`}; !slices.Equal(series, want) {
		t.Errorf("asked %q, want %q", series, want)
	}
	*asked = nil
	m = explore(m, "enter")
	want := []string{`: series by "host" step 60 of 7 metrics ns1.fra1`}
	series = slices.DeleteFunc(slices.Clone(*asked), func(a string) bool { return !strings.Contains(a, "series") })
	if !slices.Equal(series, want) {
		t.Errorf("asked %q, want %q", series, want)
	}
	*asked = nil
	m.now = m.now.Add(31 * time.Second) // the hub's minute is the same
	next, cmds := m.askExtras()
	for m = next; len(cmds) > 0; cmds = cmds[1:] {
		m = after(m, cmds[0]())
	}
	if !slices.Equal(*asked, []string{"pop=fra1: fleet  1000", "pop=fra1: attack 0 0 3600"}) {
		t.Errorf("half a minute later: asked %q, want the fleet and the verdict", *asked)
	}
	r := m.hosts.rates["ns1.fra1"]
	if r.dns != 20*(1+13)*1.2 || r.packets != 10*(1+13)*1.2 || math.Abs(r.before-308) > 1e-9 || r.p95 != api.N(2345*1.2) {
		t.Errorf("rates %+v", r)
	}
}

// TestNewestRate: if the last minute is not there yet, the rates are those of the one before.
func TestNewestRate(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	s := &api.Series{Series: []api.Line{
		{Metric: "packets.total", Stat: "count", Values: []*float64{v(60), v(120), nil}},
		{Metric: "dns.wire_packets.total", Stat: "count", Values: []*float64{v(30), v(90), nil}},
	}}
	r := ratesOf(s, "", 7)
	if r.packets != 2 || r.dns != 1.5 || r.before != .5 || r.to != 7 || r.replies.Known {
		t.Errorf("%+v", r)
	}
	s.Series[0].Values[2], s.Series[1].Values[2] = v(240), v(0)
	if r = ratesOf(s, "", 7); r.packets != 4 || r.dns != 0 || r.before != 2 { // no DNS: packets are compared
		t.Errorf("%+v", r)
	}
	if r = ratesOf(&api.Series{}, "", 7); r.packets != -1 || r.dns != -1 || r.before != -1 {
		t.Errorf("nothing: %+v", r)
	}
}

// TestLargeFleet: of a fleet with more hosts than are listed, those that are missing are asked for beside them.
func TestLargeFleet(t *testing.T) {
	hub := &fakeHub{fleet: fleetJSON(), asked: new([]string)}
	large := &largeHub{hub}
	f, err := wholeFleet(t.Context(), large)
	if err != nil || len(f.Hosts) != 7 || f.Selected != api.N(5000) {
		t.Errorf("%d hosts of %v, %v", len(f.Hosts), f.Selected, err)
	}
	if want := []string{": fleet  1000", ": fleet late 1000", ": fleet away 1000"}; !slices.Equal(*hub.asked, want) {
		t.Errorf("asked %q, want %q", *hub.asked, want)
	}
	hub.refuse = errors.New("x")
	if _, err := wholeFleet(t.Context(), large); err == nil {
		t.Error("an error is not returned")
	}
}

// largeHub says that there are more hosts than it lists.
type largeHub struct{ *fakeHub }

func (h *largeHub) Fleet(ctx context.Context, q api.FleetQuery) (api.FleetState, error) {
	f, err := h.fakeHub.Fleet(ctx, q)
	f.Selected = api.N(5000)
	return f, err
}

// TestMissingRoutes: an agent or a hub without a route says so, and one that is slow or fails says what it does.
func TestMissingRoutes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errNotThere, "this hub does not have %s: it is an earlier version"},
		{&api.Error{Kind: api.Timeout}, "%s: no answer in time"},
		{&api.Error{Kind: api.Status, Status: 503, Message: "the store: \x1b[2J"}, `%s: HTTP 503, the store: \x1b[2J`},
		{errRefused, "%s: connection refused"},
	} {
		for keys, what := range map[string]string{"f": "the fleet", "W": "/api/v1/changes", "r down down enter": "this range"} {
			d := hubData()
			hub := &fakeHub{fakeAgent: fakeAgent{data: d}, refuse: c.err}
			m := New(t.Context(), Options{Agent: hub, Of: hub.of, Zone: time.UTC})
			m.now, m.width, m.height = clock, 160, 40
			m = answered(m, m.ask())
			m = explore(m, keys)
			want := strings.ReplaceAll(c.want, "%s", what)
			if screen := text(m); !strings.Contains(screen, want) {
				t.Errorf("%s: no %q in\n%s", keys, want, screen)
			}
			if m.link.state != live {
				t.Errorf("%s: the link is in state %d", keys, m.link.state)
			}
		}
	}
}

// TestRetries: a request that failed is repeated, but not at once.
func TestRetries(t *testing.T) {
	e := extra{}.ask()
	if e.due(clock) {
		t.Error("due while it is pending")
	}
	if e = e.done(clock, errRefused, time.Second); e.due(clock.Add(4*time.Second)) || !e.due(clock.Add(5*time.Second)) {
		t.Errorf("after a failure: %+v", e)
	}
	if e = e.ask().done(clock, nil, 20*time.Second); e.problem != "" || e.due(clock.Add(19*time.Second)) || !e.due(clock.Add(20*time.Second)) {
		t.Errorf("after an answer: %+v", e)
	}
}

// TestClickHost: a click chooses the host under the mouse, also in a list that was scrolled. A second click goes into it.
func TestClickHost(t *testing.T) {
	m, _ := exploring(t, 80, 11) // room for three hosts
	m = explore(m, "f t g enter end")
	click := func(y int) {
		next, cmd := m.Update(tea.MouseClickMsg{X: 12, Y: y, Button: tea.MouseLeft})
		m = answered(next.(Model), cmd)
	}
	lines := strings.Split(text(m), "\n")
	want := strings.Fields(lines[headLines+3])[2] // the second of the three
	click(headLines + 3)
	if got := m.fleetRows()[m.row].label; got != want {
		t.Fatalf("chosen is %q, want %q in\n%s", got, want, text(m))
	}
	click(m.height - footLines - 1) // the line about the chosen host
	if got := m.fleetRows()[m.row].label; got != want || m.place.host != "" {
		t.Fatalf("a click below the list chooses %q", got)
	}
	at := slices.IndexFunc(strings.Split(text(m), "\n"), func(l string) bool { return strings.Contains(l, " "+want+" ") })
	if click(at); m.place.host != want {
		t.Errorf("a second click leads to %q, want %q", m.place.host, want)
	}
}
