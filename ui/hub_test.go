package ui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// hubData is what a hub sends. Its rates are of 65 seconds before the clock.
func hubData() dataSet {
	d := dataSetNamed("busy")
	d.rates = `{"packets":{"pps_in":1260,"pps_out":1204,"pps_total":2464},"period":{"start_ts":1773457597,"length":1}}`
	d.app = `{"app":{"version":"1.0.0","up_time_min":4382.5,"periods":6,"fleet":{"hosts":50,"selected":12}}}`
	return d
}

func hubModel(t *testing.T, part string, w, h int) Model {
	m := loaded(t, hubData(), w, h)
	m.root = api.Selection{Tags: strings.Fields(part)}
	m.part = part
	return m
}

// TestGoldenHub draws a hub: its title has what is selected, and how old the rates are.
func TestGoldenHub(t *testing.T) {
	golden(t, "hub-80x24", text(hubModel(t, "pop=ams1 pop=fra1", 80, 24)))
	golden(t, "hub-120x40", text(hubModel(t, "", 120, 40)))
	golden(t, "hub-160x50", text(hubModel(t, "pop=ams1 pop=fra1", 160, 50)))
	golden(t, "hub-capture-120x40", text(press(hubModel(t, "", 120, 40), "c")))
	golden(t, "hub-long-120x40", text(hubModel(t, strings.Repeat("role=resolver ", 20)+"\x1b[2J", 120, 40)))
}

// TestDelay: rates of a hub are not flagged as stale, whatever their age, and not shown as rates of now.
func TestDelay(t *testing.T) {
	for _, c := range []struct {
		age  int64
		want string
	}{{65, "delay 65s"}, {-5, "delay 0s"}, {999, "delay 999s"}, {1000, "delay 16m 40s"}} {
		m := hubModel(t, "", 120, 40)
		m.rates.Start = api.N(float64(clock.Unix() - c.age))
		title := strings.SplitN(text(m), "\n", 2)[0]
		if !strings.HasSuffix(strings.TrimSpace(title), "● "+c.want) || strings.Contains(text(m), "   now") || strings.Contains(title, "stale") {
			t.Errorf("%d s: %s", c.age, title)
		}
	}
	m := hubModel(t, "", 120, 40)
	m.rates.Start = api.Number{}
	if title := strings.SplitN(text(m), "\n", 2)[0]; !strings.HasSuffix(strings.TrimSpace(title), "● live") {
		t.Errorf("a hub that does not say when: %s", title)
	}
	agent := loaded(t, dataSetNamed("busy"), 120, 40)
	agent.rates.Start = api.N(float64(clock.Unix() - 3))
	if all := text(agent); strings.Contains(all, "delay") || !strings.Contains(all, "● live") || !strings.Contains(all, "   now") {
		t.Errorf("an agent: %s", all)
	}
}

// askedHub records which buckets and windows it was asked for, and may refuse /app.
type askedHub struct {
	fakeAgent
	asked  []string
	refuse error
}

func (h *askedHub) Window(ctx context.Context, n, rows int) (api.Summary, error) {
	h.asked = append(h.asked, "window")
	return h.fakeAgent.Window(ctx, n, rows)
}

func (h *askedHub) Bucket(ctx context.Context, k, rows int) (api.Summary, error) {
	h.asked = append(h.asked, "bucket")
	return h.fakeAgent.Bucket(ctx, k, rows)
}

func (h *askedHub) App(ctx context.Context) (api.App, error) {
	if h.refuse != nil {
		return api.App{}, h.refuse
	}
	return h.fakeAgent.App(ctx)
}

// TestHubWindow: a window of one minute of a hub is its newest finished minute, because a hub has no live one.
func TestHubWindow(t *testing.T) {
	for want, data := range map[string]dataSet{"window": hubData(), "bucket": dataSetNamed("busy")} {
		a := &askedHub{fakeAgent: fakeAgent{data: data}}
		m := New(t.Context(), Options{Agent: a, Window: 1})
		if got := m.ask()().(answerMsg); got.err != nil || strings.Join(a.asked, " ") != want {
			t.Errorf("asked for %v, want a %s; %v", a.asked, want, got.err)
		}
	}
}

// emptyHub is what a hub sends that has no minute.
func emptyHub() dataSet {
	d := hubData()
	d.window = encode(obj{"5m": obj{"period": obj{"start_ts": 0, "length": 0, "lost": 0}, "packets": obj{"total": 0}, "dns": obj{"wire_packets": obj{"total": 0}}}})
	d.minutes = nil
	d.app = `{"app":{"version":"1.0.0","up_time_min":0.2,"periods":61,"fleet":{"hosts":0,"selected":0}}}`
	return d
}

// TestGoldenEmptyHub draws a hub without a minute: it says when the first one comes, or where to look.
func TestGoldenEmptyHub(t *testing.T) {
	m := loaded(t, emptyHub(), 80, 24)
	golden(t, "hub-empty-80x24", text(m))
	m = loaded(t, emptyHub(), 160, 50)
	golden(t, "hub-empty-160x50", text(m))
	m.app.UpTimeMin, m.part = api.N(7), "node ns1"
	golden(t, "hub-nothing-160x50", text(m))
	agent := loaded(t, dataSetNamed("empty"), 120, 40)
	if all := text(agent); strings.Contains(all, "EMPTY") || strings.Contains(all, "no minute") {
		t.Errorf("an agent without packets: %s", all)
	}
}

// TestGoldenHubAway draws a hub whose store does not answer.
func TestGoldenHubAway(t *testing.T) {
	refused := &api.Error{Kind: api.Status, Status: 503, Message: "the store: no answer in time"}
	golden(t, "hub-away-120x40", text(after(hubModel(t, "", 120, 40), answerMsg{at: clock.Add(time.Second), err: refused}, tickMsg(clock.Add(3*time.Second)))))
}

// TestFirstMinute: a minute is shown five seconds after its end.
func TestFirstMinute(t *testing.T) {
	for at, want := range map[time.Duration]string{0: "03:08:05", 17 * time.Second: "03:08:05", 18 * time.Second: "03:08:05", 22 * time.Second: "03:08:05", 23 * time.Second: "03:09:05"} {
		m := loaded(t, emptyHub(), 120, 40)
		m.link.answered = clock.Add(at)
		if got := m.noMinute(); got != "nothing from any host yet: the first minute comes at "+want {
			t.Errorf("at %v: %s, want %s", clock.Add(at), got, want)
		}
	}
}

// TestLongestHubWindow: a hub counts a live minute that it does not have, so its longest window is a minute less, and as many
// finished minutes can be stepped back to.
func TestLongestHubWindow(t *testing.T) {
	m := loaded(t, emptyHub(), 120, 40)
	if m.periods() != 60 || m.finished() != 60 {
		t.Errorf("a hub: %d minutes, %d finished; want 60 and 60", m.periods(), m.finished())
	}
	m.app.Fleet = nil
	if m.periods() != 61 || m.finished() != 60 {
		t.Errorf("an agent: %d minutes, %d finished; want 61 and 60", m.periods(), m.finished())
	}
}

// TestNotAHub: a selection that an agent does not have is one error. Without an answer, the UI tries again.
func TestNotAHub(t *testing.T) {
	refused := &api.Error{Kind: api.Status, Status: 400, Message: "no host has the tag pop=x"}
	const notHub = "agent at ns1.example.net:10853: it is an agent, not a hub, so it has no hosts to select: leave out --tag and --node"
	for _, c := range []struct {
		name   string
		agent  Agent
		want   string
		quits  bool
		reason string
	}{
		{"an agent", &fakeAgent{data: dataSetNamed("busy")}, notHub, true, ""},
		{"a hub that refuses", &askedHub{fakeAgent: fakeAgent{data: hubData()}, refuse: refused}, "agent at ns1.example.net:10853: HTTP 400, no host has the tag pop=x", true, ""},
		{"nobody", &fakeAgent{fail: func() error { return errRefused }}, "no agent at ns1.example.net:10853: connection refused (is pktvisord or pktvisor-hub running there?)", false, "connection refused"},
		{"a hub", &fakeAgent{data: hubData()}, "", false, ""},
	} {
		o := Options{Agent: c.agent, Selection: api.Selection{Tags: []string{"pop=x"}}, Zone: time.UTC}
		var out bytes.Buffer
		for name, err := range map[string]error{"once": Once(t.Context(), o, 100, &out), "JSON": JSON(t.Context(), o, &out)} {
			if err == nil && c.want != "" || err != nil && err.Error() != c.want {
				t.Errorf("%s, %s: %v, want %s", c.name, name, err, c.want)
			}
		}
		if c.want == notHub && out.Len() > 0 {
			t.Errorf("%s: data is shown: %s", c.name, out.String())
		}
		m := New(t.Context(), o)
		next, cmd := m.Update(m.ask()())
		m = next.(Model)
		quits := m.refused != nil && cmd != nil && cmd() == tea.Quit()
		if quits != c.quits || quits && m.refused.Error() != c.want || m.link.reason != c.reason {
			t.Errorf("%s: quits %t with %v, reason %q", c.name, quits, m.refused, m.link.reason)
		}
	}
	// While the UI runs, a hub that refuses is away.
	m := hubModel(t, "pop=x", 100, 30)
	next, _ := m.Update(answerMsg{at: clock, err: refused})
	if m = next.(Model); m.refused != nil || m.link.state != away {
		t.Errorf("a hub that refuses later: %v, state %d", m.refused, m.link.state)
	}
	// An error of /app alone does not matter once the hub is known.
	a := &askedHub{fakeAgent: fakeAgent{data: hubData()}, refuse: errors.New("x")}
	m.agent, m.appNext = a, clock
	if got := m.ask()().(answerMsg); got.err != nil {
		t.Errorf("a known hub: %v", got.err)
	}
}
