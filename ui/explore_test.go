package ui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// fakeHub is a hub of three POPs. It answers about parts of the fleet as a hub does, and records what it was asked.
type fakeHub struct {
	fakeAgent
	fleet   []byte
	changes []byte
	about   api.Selection
	asked   *[]string
	verdict []byte // nil for a hub of an earlier version
	refuse  error  // of all routes beside the summaries
}

func (h *fakeHub) note(format string, args ...any) error {
	if h.asked != nil {
		*h.asked = append(*h.asked, partOf(h.about)+": "+fmt.Sprintf(format, args...))
	}
	return h.refuse
}

// of returns the source of a part of the fleet.
func (h *fakeHub) of(s api.Selection) Agent {
	part := *h
	part.about = s
	return &part
}

func (h *fakeHub) Fleet(_ context.Context, q api.FleetQuery) (api.FleetState, error) {
	if err := h.note("fleet %s %d", q.State, q.Limit); err != nil {
		return api.FleetState{}, err
	}
	f, err := api.ParseFleet(h.fleet)
	f.Hosts = slices.DeleteFunc(f.Hosts, func(x api.Host) bool {
		for _, tag := range h.about.Tags {
			key, value, _ := strings.Cut(tag, "=")
			if x.Tags[key] != value {
				return true
			}
		}
		return q.State != "" && x.State != q.State || h.about.Host != "" && x.Name != h.about.Host
	})
	f.Selected = api.N(float64(len(f.Hosts)))
	return f, err
}

func (h *fakeHub) Range(_ context.Context, from, to int64, rows int) (api.Summary, error) {
	if err := h.note("range %d %d rows %d", from, to, rows); err != nil {
		return api.Summary{}, err
	}
	return api.ParseSummary(busySummary(fmt.Sprintf("%dm", (to-from)/60), int(from), int(to-from), 1, .11, 1))
}

func (h *fakeHub) Series(_ context.Context, q api.SeriesQuery) (api.Series, error) {
	if err := h.note("series by %q step %d of %d metrics%.60s", q.By, q.Step, len(q.Metrics), strings.Join(append([]string{""}, q.Hosts...), " ")); err != nil {
		return api.Series{}, err
	}
	groups := []string{""}
	if q.By != "" {
		groups = h.about.Tags
		for _, name := range q.Hosts {
			groups = append(groups, q.By+"="+name)
		}
	}
	out := api.Series{}
	out.StepS = max(q.Step, 60)
	for _, g := range groups {
		for k, metric := range q.Metrics {
			l := api.Line{Metric: metric, Stat: "count", Group: g}
			scale := float64(600 * (k + 1) * (1 + len(g) + len(h.about.Host)))
			if strings.HasSuffix(metric, "nxdomain") || strings.HasSuffix(metric, "srvfail") || strings.HasSuffix(metric, "timeouts") {
				scale /= 50
			}
			if strings.HasSuffix(metric, "quantiles_us") {
				l.Stat, scale = "p95", 2345
			}
			for i := range min(max((q.To-q.From)/out.StepS, 1), 2000) {
				v := scale * (1 + .1*float64(i%7))
				l.Values = append(l.Values, &v)
			}
			out.Series = append(out.Series, l)
		}
	}
	return out, nil
}

func (h *fakeHub) Changes(_ context.Context, q api.ChangesQuery) (api.Changes, error) {
	if err := h.note("changes %d %d base %d %d %q %q", q.From, q.To, q.BaseFrom, q.BaseTo, q.BaseTag, q.BaseHost); err != nil {
		return api.Changes{}, err
	}
	return api.ParseChanges(h.changes)
}

func (h *fakeHub) Attack(_ context.Context, q api.AttackQuery) (api.Attack, error) {
	if err := h.note("attack %d %d %d", q.From, q.To, q.Last); err != nil || h.verdict == nil {
		return api.Attack{}, cmp.Or[error](err, errNotThere)
	}
	return api.ParseAttack(h.verdict)
}

// verdictJSON is the answer of /api/v1/attack in the middle of two attacks. Names are hostile.
func verdictJSON() []byte {
	return encode(obj{
		"headline": "Amplification attack on 198.51.100.0/24, and Random-subdomain attack on victim.\x1b[2J\u202eexample", "strong": true, "baseline": "enough", "since_ts": minuteStart - 180,
		"sentences": []obj{
			{"kind": "nxdomain", "text": "NXDOMAIN was 11.0% of the responses, and 87.0% from 03:04 UTC on.", "headline": "Many names that do not exist", "since_ts": minuteStart - 180},
			{"kind": "zone", "subject": "victim.\x1b[2J\u202eexample", "headline": "Random-subdomain attack on victim.\x1b[2J\u202eexample", "since_ts": minuteStart - 180,
				"text": "Random names below victim.\x1b[2J\u202eexample: at least 1,210,000 distinct ones, 2,937 times as many as below any other zone."},
			{"kind": "amplification", "subject": "198.51.100.0/24", "headline": "Amplification attack on 198.51.100.0/24", "since_ts": minuteStart - 120,
				"text": "198.51.100.0/24 gets 31.4 MB of responses, 62.0% of all, for 1.01 MB of queries: at least 31.1 times as much, mostly ANY of any.example.org. Its queries look forged: all from one port, none came again over TCP. Then it is the victim, and not the attacker."},
			{"kind": "clients", "subject": "203.0.113.0/24", "text": "203.0.113.0/24 gets 81.0% of all NXDOMAIN responses."},
		},
	})
}

const longTag = "role=a-role-with-a-name-that-is-much-longer-than-any-column-of-this-screen-can-be"

// fleetJSON is the answer of /api/v1/fleet. Names and errors are hostile.
func fleetJSON() []byte {
	host := func(name, state string, newest, lag, lost, missing int, tags obj) obj {
		return obj{"host": name, "state": state, "tags": tags, "agent": "pktvisord 0.1.0", "url": "http://192.0.2.9:10853", "newest_end_ts": newest,
			"lag_s": lag, "minutes": 60 - missing, "missing_minutes": missing, "lost": lost, "conflict": false}
	}
	now := int(clock.Unix())
	ams := func(more obj) obj { more["pop"], more["country"] = "ams1", "nl"; return more }
	hosts := []obj{
		host("ns1.ams1", "up", now-42, 3, 0, 0, ams(obj{"role": "authoritative"})),
		host("ns2.ams1", "late", now-222, 3, 0, 2, ams(obj{"role": longTag[5:]})),
		host("ns3.ams1", "up", now-42, 41, 31_415_926, 0, ams(obj{})),
		host("ns1.fra1", "up", now-42, 4, 0, 0, obj{"pop": "fra1", "country": "de"}),
		host("\x1b[31mns2\x1b[0m.\u202efra1", "away", now-7200, 4, 0, 17, obj{"pop": "fra1", "country": "de\u0007"}),
		host("ns1.nrt1", "up", now-42, 2, 12, 0, obj{"pop": "nrt1"}),
		host("bare", "up", now-42, 2, 0, 0, obj{"country": "jp"}),
	}
	hosts[4]["error"] = "dial tcp 192.0.2.9:10853: \x1b]0;owned\x07 connection refused"
	hosts[5]["clock_offset_s"] = -37
	hosts[5]["conflict"] = true
	tag := func(t string, n int) obj { return obj{"tag": t, "hosts": n} }
	return encode(obj{
		"now_ts": now, "policy": "default", "policies": []string{"default", "dns\x1bonly"}, "newest_start_ts": now - 102,
		"count": obj{"total": 7, "up": 5, "late": 1, "away": 1, "conflicts": 1}, "selected": len(hosts), "hosts": hosts,
		"tags": []obj{tag("country=de", 1), tag("country=de\u0007", 1), tag("country=jp", 1), tag("country=nl", 3), tag("pop=ams1", 3), tag("pop=fra1", 2), tag("pop=nrt1", 1), tag(longTag, 1)},
	})
}

func changesJSON() []byte {
	row := func(metric, name, kind, unit string, base, now [2]float64, change, score float64) obj {
		b := func(v [2]float64) obj { return obj{"lower": v[0], "upper": v[1]} }
		return obj{"metric": metric, "name": name, "kind": kind, "unit": unit, "base": b(base), "now": b(now), "change": change, "score": score}
	}
	return encode(obj{"measure": "per_second", "compared": 9210, "now": obj{"from_ts": minuteStart - 300, "to_ts": minuteStart, "minutes": 5},
		"base": obj{"from_ts": minuteStart - 600, "to_ts": minuteStart - 300, "minutes": 5},
		"changes": []obj{
			row("dns.wire_packets.nxdomain", "", "counter", "responses", [2]float64{104, 104}, [2]float64{8121, 8121}, 8017, .87),
			row("dns.top_qname2", ".victim.example", "top", "messages", [2]float64{0, 3.2}, [2]float64{15400, 15412.5}, 15396.8, .71),
			row("packets.top_ipv4", "203.0.113.9", "top", "packets", [2]float64{0, 0}, [2]float64{812.4, 812.4}, 812.4, .12),
			row("dns.top_nxdomain", "\x1b[2J\u202egone.example", "top", "responses", [2]float64{4.25, 5.5}, [2]float64{0, .5}, -3.75, .01),
			row("dns.top_qname3", "www."+longName(200)+".example", "top", "messages", [2]float64{91, 91}, [2]float64{3, 4}, -87, .04),
			row("dns.xact.counts.timeouts", "", "counter", "queries", [2]float64{0, 0}, [2]float64{.001, .001}, .001, 0),
		}})
}

// attackData is a window of an agent with the tables about attacks, in the middle of a random-subdomain attack.
func attackData() dataSet {
	d := dataSetNamed("flood")
	amp := []obj{{"name": "198.51.100.0/24", "estimate": 31_400_000, "queries_bytes": 1_010_000, "ratio": 31.09, "hints": []string{"one_port", "no_tcp_retry", "\x1b[5m\u202eevil"}},
		{"name": "2001:db8:77::/48", "estimate": 12_000, "queries_bytes": 9_000, "ratio": 1.33}}
	bounds := func(rows []obj) []obj { return bounded(rows, .03) }
	d.window = change(d.window, "5m", map[string]any{
		"dns.top_zones":   bounds([]obj{{"name": "victim.example", "estimate": 1_210_000.0}, {"name": "example.com", "estimate": 412.0}, {"name": "\x1b[2Jzone.example", "estimate": 3.0}}),
		"dns.clients":     obj{"v4_8": 200, "v4_16": 41_200, "v4_24": 3_120_000, "v4_32": 48_200_000, "v6_48": 12, "v6_128": 15},
		"dns.top_zones2":  []obj{{"name": ".victim.example", "estimate": 1_210_000}},
		"dns.top_qname3":  []obj{{"name": "*.victim.example", "estimate": 10_400_000, "names": 1_210_000}, {"name": ".www.example.com", "estimate": 52_000}},
		"dns.top_clients": top(40_000, "203.0.113.9", "203.0.113.10"), "dns.top_client_prefix": top(90_000, "203.0.113.0/24", "198.51.100.0/24"),
		"dns.top_nxdomain":               []obj{{"name": "*.with-a-long-name.of-a-victim.example", "estimate": 9_400_000, "names": 1_210_000}, {"name": "x.example", "estimate": 7}},
		"dns.top_client_prefix_nxdomain": top(81_000, "203.0.113.0/24", "2001:db8:1::/48"), "dns.top_clients_nxdomain": top(40_000, "203.0.113.9"),
		"dns.top_as_clients": bounds(top(48_000, "64500/EXAMPLE-TRANSIT", "64501/Example Broadband GmbH")), "dns.top_zone_bits": top(81_000, "tunnel.example", "example.net"),
		"dns.top_amp_prefix": amp, "dns.top_amp_qtype": []obj{{"name": "ANY", "estimate": 31_000_000, "queries_bytes": 900_000, "ratio": 34.4}},
		"dns.top_amp_qname": []obj{{"name": "any.example.org", "estimate": 31_000_000, "queries_bytes": 900_000, "ratio": 34.4}},
	})
	var metrics []obj
	for _, m := range moreTables {
		path := strings.TrimPrefix(m.path, "dns.")
		metrics = append(metrics, obj{"path": path, "kind": "top", "unit": map[bool]string{true: "bytes", false: "names"}[m.amplified], "title": strings.ReplaceAll(path, "_", " "), "label": "x"})
	}
	for _, path := range []string{"wire_packets.replies", "wire_packets.nxdomain", "wire_packets.srvfail", "xact.counts.timeouts", "xact.in.quantiles_us"} {
		metrics = append(metrics, obj{"path": path, "kind": "counter", "unit": "messages", "title": "Title of " + path})
	}
	d.tables = string(encode(obj{"sections": []obj{{"name": "dns", "title": "DNS", "metrics": metrics}}}))
	return d
}

// exploring returns a model of a hub of the given size, and what the hub is asked from now on.
func exploring(t *testing.T, w, h int) (Model, *[]string) {
	t.Helper()
	d := attackData()
	d.rates, d.app = hubData().rates, hubData().app
	hub := &fakeHub{fakeAgent: fakeAgent{data: d}, fleet: fleetJSON(), changes: changesJSON(), verdict: verdictJSON(), asked: new([]string)}
	m := New(t.Context(), Options{Agent: hub, Of: hub.of, Zone: time.UTC})
	m.width, m.height, m.now = w, h, clock
	a := m.ask()().(answerMsg)
	a.at = clock
	m = after(m, a)
	more := m.askMinutes()().(minutesMsg)
	more.at = clock
	return after(m, more), hub.asked
}

// settle runs what the screen asks for until nothing is left, with the clock of the tests.
func settle(m Model) Model {
	for range 20 {
		next, cmds := m.askExtras()
		m = next
		if len(cmds) == 0 {
			return m
		}
		for _, cmd := range cmds {
			m = after(m, stamped(cmd()))
		}
	}
	panic("the screen does not stop asking")
}

// stamped gives a message the time of the clock.
func stamped(msg tea.Msg) tea.Msg {
	switch x := msg.(type) {
	case answerMsg:
		x.at = clock
		return x
	case minutesMsg:
		x.at = clock
		return x
	case fleetMsg:
		x.at = clock
		return x
	case ratesMsg:
		x.at = clock
		return x
	case changesMsg:
		x.at = clock
		return x
	case pastMsg:
		x.at = clock
		return x
	case rangeMsg:
		x.at = clock
		return x
	case alarmMsg:
		x.at = clock
		return x
	}
	return msg
}

// explore presses keys, and lets the hub answer after each.
func explore(m Model, keys string) Model {
	for _, k := range strings.Fields(keys) {
		next, cmd := m.Update(keyPress(k))
		m = next.(Model)
		m = answered(m, cmd)
		m = settle(m)
	}
	return m
}

// answered runs a command and those of a batch.
func answered(m Model, cmd tea.Cmd) Model {
	if cmd == nil {
		return m
	}
	switch msg := cmd().(type) {
	case tea.BatchMsg:
		for _, c := range msg {
			m = answered(m, c)
		}
		return m
	default:
		next, more := m.Update(stamped(msg))
		return answered(next.(Model), more)
	}
}

// TestNothingGetsThroughExplore: hostile tags, hosts, policies and rows reach no menu and no line.
func TestNothingGetsThroughExplore(t *testing.T) {
	for _, keys := range []string{"f t", "f t up enter", "f t g enter", "f t g enter enter", "P P", "f P", "f W b", "f W b end enter", "W down down down", "A enter", "A tab tab enter", "f / 1 enter", "r end enter x"} {
		for _, size := range [][2]int{{60, 24}, {300, 50}} {
			m, _ := exploring(t, size[0], size[1])
			m = explore(m, keys)
			checkScreen(t, keys, m)
			m.unicode, m.glyphs = false, &asciiGlyphs
			if got := text(m); strings.ContainsFunc(got, func(r rune) bool { return r > 0x7e }) {
				t.Errorf("%s: not ASCII:\n%s", keys, got)
			}
		}
	}
}

// TestWaiting: what has not come yet is said to be awaited, and a slow answer leaves the screen as it is.
func TestWaiting(t *testing.T) {
	for keys, want := range map[string]string{"f": "waiting for the fleet", "W": "waiting for /api/v1/changes", "r down down enter": "waiting for this range"} {
		m, _ := exploring(t, 100, 30)
		m = press(m, keys) // the commands are not run
		if screen := text(m); !strings.Contains(screen, want) {
			t.Errorf("%s: no %q in\n%s", keys, want, screen)
		}
		if _, cmds := m.askExtras(); len(cmds) != 0 {
			t.Errorf("%s: asked again while the first request is pending", keys)
		}
	}
}

// TestGoldenExplore draws the screens for fleets and attacks, named by the keys that lead to them.
func TestGoldenExplore(t *testing.T) {
	sizes := []struct{ w, h int }{{60, 24}, {80, 24}, {160, 50}, {300, 60}, {40, 8}, {80, 14}}
	screens := []struct{ name, keys string }{
		{"fleet", "f"}, {"hosts", "f down enter"}, {"host", "f enter enter"}, {"changes", "W"}, {"attack", "A"}, {"range", "r down down enter"}, {"ranges", "r"}, {"hubhelp", "? ?"},
	}
	for _, c := range screens {
		for _, size := range sizes {
			if c.name != "fleet" && c.name != "attack" && size.w == 40 || size.h == 14 && c.name != "attack" && c.name != "changes" || size.w == 300 && (c.name == "ranges" || c.name == "hubhelp") {
				continue
			}
			name := fmt.Sprintf("explore-%s-%dx%d", c.name, size.w, size.h)
			t.Run(name, func(t *testing.T) {
				m, _ := exploring(t, size.w, size.h)
				m = explore(m, c.keys)
				checkScreen(t, name, m)
				golden(t, name, text(m))
			})
		}
	}
}
