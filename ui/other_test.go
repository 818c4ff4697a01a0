package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pktvisor/api"
)

// otherTables declares two sections that this version has no screen for, and two that it has.
const otherTables = `{"sections":[
	{"name":"packets","title":"Packets","metrics":[{"path":"top_ipv4","kind":"top","unit":"packets","title":"IPv4 peers"}]},
	{"name":"arp","title":"ARP","help":"Who has which address.","metrics":[
		{"path":"total","kind":"counter","unit":"packets","title":"ARP packets","help":"All ARP packets."},
		{"path":"requests","kind":"counter","unit":"packets","title":"Requests","help":"Who has this address?"},
		{"path":"replies","kind":"counter","unit":"packets","title":"Replies","help":"This host has it."},
		{"path":"waiting","kind":"gauge","unit":"requests","title":"Waiting requests","help":"Requests without a reply so far."},
		{"path":"open.now","kind":"gauge","unit":"requests","title":"Open now","help":"Requests that wait.","now":true},
		{"path":"bytes","kind":"counter","unit":"bytes","title":"Bytes","help":"Bytes on the wire."},
		{"path":"cardinality.hosts","kind":"cardinality","unit":"addresses","title":"Hardware addresses","help":"Distinct senders."},
		{"path":"rates.total","kind":"rate","unit":"packets/s","title":"ARP packets","help":"ARP packets a second."},
		{"path":"latency_us","kind":"histogram","unit":"us","title":"Time to the reply","help":"From request to reply."},
		{"path":"ratio","kind":"histogram","unit":"ratio","title":"Requests for each reply","help":"How often one must ask."},
		{"path":"top_senders","kind":"top","unit":"packets","title":"Senders","help":"Who sends most.","label":"mac","slots":1024,"exact":768},
		{"path":"top_bytes","kind":"top","unit":"bytes","title":"Bytes by sender","help":"Who sends most bytes.","label":"mac"}]},
	{"name":"dhcp","title":"DHCP","metrics":[
		{"path":"leases","kind":"counter","unit":"leases","title":"Leases"},
		{"path":"later","kind":"of a later version","title":"Something else"},
		{"path":"absent","kind":"counter","unit":"leases","title":"Not in this summary"},
		{"path":"top_clients","kind":"top","unit":"leases","title":"Clients"}]},
	{"name":"none","title":"Without metrics","metrics":[]}]}`

// otherSet returns the busy agent with two more sections.
func otherSet() dataSet {
	d := dataSetNamed("busy")
	d.name, d.tables = "other", otherTables
	d.app = strings.Replace(d.app, `"dns":{"xact":{"open":17}}`, `"dns":{"xact":{"open":17}},"arp":{"open":{"now":23}}`, 1)
	arp := func(by float64) obj {
		return obj{"total": 84211 * by, "requests": 61_003 * by, "replies": 23_208 * by, "waiting": 17, "bytes": 3_536_862 * by,
			"cardinality": obj{"hosts": 5431, "hosts_error": 0.018}, "rates": obj{"total": quantiles(312 * by)}, "latency_us": quantiles(740),
			"ratio":       obj{"p50": 1.5, "p90": 3, "p95": 4.25, "p99": 9.5, "max": 40},
			"top_senders": top(9000*by, "02:00:5e:10:00:01", "02:00:5e:10:00:2f", "02:00:5e:7a:11:90"), "top_bytes": top(410_000*by, "02:00:5e:10:00:2f", "02:00:5e:10:00:01")}
	}
	dhcp := obj{"leases": 12, "later": obj{"x": 1}, "top_clients": []obj{}}
	d.window = change(d.window, "5m", map[string]any{"arp": arp(1), "dhcp": dhcp})
	for i := range d.minutes {
		d.minutes[i] = change(d.minutes[i], "1m", map[string]any{"arp": arp(.2), "dhcp": dhcp})
	}
	return d
}

func TestGoldenOtherSections(t *testing.T) {
	for _, c := range []struct {
		name string
		w, h int
		keys string
	}{
		{"80x24", 80, 24, "a"}, {"page2-80x14", 80, 14, "a pgdown"}, {"160x50", 160, 50, "a"},
		{"open-120x40", 120, 40, "a enter down"}, {"quantiles-120x40", 120, 40, "a tab tab enter"}, {"table-160x50", 160, 50, "a tab tab tab enter"},
		{"help-120x40", 120, 40, "?"}, {"overview-80x24", 80, 24, ""}, {"minute-80x24", 80, 24, "[ a"},
	} {
		m := press(loaded(t, otherSet(), c.w, c.h), c.keys)
		golden(t, "other-"+c.name, text(m))
		checkScreen(t, c.name, m)
	}
}

// TestOtherSectionsAreOptional: without such sections there is neither the view nor its key, and the view closes when
// they disappear.
func TestOtherSectionsAreOptional(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 160, 50)
	before := text(m)
	if m = press(m, "a"); text(m) != before || m.view != overview {
		t.Errorf("the key has an effect without other sections:\n%s", text(m))
	}
	m = press(loaded(t, otherSet(), 160, 50), "a end tab tab tab tab")
	if m.view != otherView || m.focus[otherView] != 4 {
		t.Fatalf("view %v, focus %v", m.view, m.focus)
	}
	older := after(m, answerMsg{at: clock.Add(time.Second), window: 5, sum: m.cur, tables: &api.Tables{}})
	if older.view != overview || len(older.others) != 0 || older.tables[ipv4].title != "IPv4" || !strings.Contains(text(older), "Top QName 2") {
		t.Errorf("after an agent without them: view %v, title %q", older.view, older.tables[ipv4].title)
	}
	checkScreen(t, "older", press(older, "a tab enter"))
	one, err := api.ParseTables([]byte(`{"sections":[{"name":"arp","metrics":[{"path":"total","kind":"gauge"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	fewer := after(m, answerMsg{at: clock.Add(time.Second), window: 5, sum: m.cur, tables: &one})
	if fewer.view != otherView || fewer.focus[otherView] != 0 {
		t.Errorf("after one with fewer: view %v, focus %v", fewer.view, fewer.focus)
	}
	checkScreen(t, "fewer", press(fewer, "down tab enter"))
}

// TestDeclaredTitles: a table with its own place has the title that the agent declares.
func TestDeclaredTitles(t *testing.T) {
	m := loaded(t, otherSet(), 160, 50)
	if s := text(m); !strings.Contains(s, "IPv4 peers ─") || !strings.Contains(s, "IPv6 ─") {
		t.Errorf("titles of the overview:\n%s", s)
	}
	if m.tables[ipv4].unit != "packets" || m.tables[ipv6].unit != "" {
		t.Errorf("units %q and %q", m.tables[ipv4].unit, m.tables[ipv6].unit)
	}
	if tables[ipv4].title != "IPv4" {
		t.Error("the titles of other agents were changed")
	}
}

// TestTablesAreAsked: the declaration is requested at first, after a minute, and when the agent may be a different one.
// A 404 is an answer.
func TestTablesAreAsked(t *testing.T) {
	d := otherSet()
	agent := &fakeAgent{data: d}
	m := loaded(t, d, 80, 24)
	m.agent = agent
	ask := func(m Model) *api.Tables { return m.ask()().(answerMsg).tables }
	if ask(m) != nil {
		t.Error("asked again at once")
	}
	m.now = clock.Add(tablesEvery)
	if got := ask(m); got == nil || len(got.Sections) != 4 {
		t.Errorf("after a minute: %v", got)
	}
	m.now = clock
	away := after(m, answerMsg{at: clock, err: errRefused})
	if ask(away) == nil {
		t.Error("not asked when it may be another agent")
	}
	again := m.app
	again.UpTimeMin = api.N(0)
	if ask(after(m, answerMsg{at: clock, window: 5, sum: m.cur, app: &again})) == nil {
		t.Error("not asked after a restart")
	}
	agent.data.tables = ""
	if got := ask(away); got == nil || len(got.Sections) != 0 {
		t.Errorf("an agent without the route: %v", got)
	}
	failed := after(away, answerMsg{at: clock, window: 5, sum: m.cur, askedTables: true})
	if ask(failed) != nil || len(failed.others) == 0 {
		t.Error("after a failure it asks again at once, or has lost the declaration")
	}
	agent.fail = func() error { return errors.New("busy") }
	if declared(t.Context(), agent) != nil {
		t.Error("a failure counts as an answer")
	}
}

// TestHostileTables: whatever an agent declares, only harmless text reaches the terminal, at its proper place.
func TestHostileTables(t *testing.T) {
	hostile := []string{"\x1b[31mred\x1b[0m", "\u202egnp.exe", "例え", strings.Repeat("例", 26), "\xff\x00\n", " ", "👨‍👩‍👧‍👦"}
	var sections []obj
	values := obj{}
	for i := range 10_000 {
		text := hostile[i%len(hostile)]
		if i > 100 {
			text = "t"
		}
		if i == 50 {
			text = strings.Repeat("long ", 200_000)
		}
		name := fmt.Sprint("s", i)
		sections = append(sections, obj{"name": name, "title": text, "help": "h", "metrics": []obj{
			{"path": "c", "kind": "counter", "unit": text, "title": "c", "help": text}, {"path": "d", "kind": "cardinality", "unit": "us", "title": text[:min(len(text), 99)]},
			{"path": "r", "kind": "rate", "unit": text, "title": text}, {"path": "h", "kind": "histogram", "unit": "ratio", "title": text},
			{"path": "t", "kind": "top", "unit": text, "title": text}}})
		if i < 100 {
			values[name] = obj{"c": 1e300, "d": -5, "d_error": 7, "r": obj{"p50": -1, "live": 1e18}, "h": quantiles(1e200), "t": top(1e15, hostile...)}
		}
	}
	d := dataSetNamed("busy")
	d.tables = string(encode(obj{"sections": sections}))
	d.window = change(d.window, "5m", values)
	for _, size := range []struct{ w, h int }{{40, 8}, {41, 9}, {60, 24}, {133, 41}, {250, 70}} {
		m := press(loaded(t, d, size.w, size.h), "a")
		if m.view != otherView || len(m.others) > 320 {
			t.Fatalf("view %v with %d panels", m.view, len(m.others))
		}
		for _, keys := range []string{"", "pgdown", "tab", "enter", "pgdown", "esc", "tab tab enter", "esc tab enter", "end", "shift+tab", "?", "x"} {
			m = press(m, keys)
			checkScreen(t, fmt.Sprintf("%dx%d %q", size.w, size.h, keys), m)
		}
	}
}

func FuzzOtherSections(f *testing.F) {
	f.Add([]byte(otherTables), []byte(`{"arp":{"total":1}}`), "aj\t\rG")
	f.Add([]byte(`{"sections":[{"name":"a","metrics":[{"path":"p","kind":"rate","unit":"\u001b"}]}]}`), []byte(`{"a":{"p":{"p50":1e999}}}`), "a\r")
	f.Fuzz(func(t *testing.T, declared, sections []byte, keys string) {
		var window map[string]any
		if json.Unmarshal(sections, &window) != nil {
			window = obj{}
		}
		d := dataSet{tables: string(declared), window: encode(obj{"5m": window}), rates: "{}", app: "{}"}
		if _, err := api.ParseTables(declared); err != nil {
			return
		}
		if _, err := api.ParseSummary(d.window); err != nil {
			return
		}
		m := loaded(t, d, 80, 24)
		for _, r := range keys[:min(len(keys), 20)] {
			name := map[rune]string{'\t': "tab", '\r': "enter"}[r]
			if name == "" {
				name = string(r)
			}
			m = after(m, keyPress(name))
			checkScreen(t, name, m)
		}
	})
}
