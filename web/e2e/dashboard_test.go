package e2e

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pktvisor/internal/testkit/testfleet"
)

// looks are the widths of a phone, a tablet and a wall, in light and dark.
var looks = []look{{360, 800, false}, {1024, 800, true}, {1920, 1080, false}}

// series is the answer of /api/v1/series.
type series struct {
	From   int64 `json:"from_ts"`
	To     int64 `json:"to_ts"`
	Step   int64 `json:"step_s"`
	Series []struct {
		Metric, Stat string
		Values       []*float64
	}
}

// parse reads a number with a unit as the page writes it: 1.23 k, 103 kb/s, 4.39 ms.
func parse(t *testing.T, text string) float64 {
	t.Helper()
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/µ \u00a0")
	v, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		t.Fatalf("%q is not a number: %v", text, err)
	}
	unit := strings.TrimSpace(text[len(number):])
	switch {
	case unit == "µs":
		return v
	case unit == "ms":
		return v * 1e3
	case unit == "s":
		return v * 1e6
	case strings.HasPrefix(unit, "k"):
		return v * 1e3
	case strings.HasPrefix(unit, "M"):
		return v * 1e6
	}
	return v
}

// TestChartsShowTheSeries compares every number of every chart with what the API has, divided by the seconds of each minute.
func TestChartsShowTheSeries(t *testing.T) {
	h := demoAgent(t)
	at := proxied(t, h, nil)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			p := open(t, at, l)
			p.until("document.querySelectorAll('figure.chart').length >= 16")
			if title := p.title(); title != "ns1.example · demo.pcap.gz · pktvisor" {
				t.Errorf("the tab is called %q", title)
			}
			// The newest values are in the legends.
			var legends []struct{ Line, Unit, Text string }
			p.eval(`[...document.querySelectorAll("[data-line]")].map(e => ({Line: e.dataset.line, Text: e.textContent, Unit: e.closest("figure").querySelector("h3 small").textContent}))`, &legends)
			// And all values in the tables behind the charts.
			p.eval(`document.querySelectorAll("figure.chart figcaption button").forEach(b => b.click())`, nil)
			p.until("document.querySelectorAll('figure.chart .numbers').length === document.querySelectorAll('figure.chart').length")
			var columns [][]string
			p.eval(`[...document.querySelectorAll("figure.chart")].flatMap(f => [...f.querySelectorAll("[data-line]")].map((_, i) =>
				[...f.querySelectorAll("tbody tr")].reverse().map(r => r.children[i + 1].textContent)))`, &columns)
			compareCharts(t, h, legends, columns)
			p.fits()
		})
	}
}

func (p *page) title() (title string) {
	p.eval("document.title", &title)
	return title
}

// fits fails if the page is wider than the window.
func (p *page) fits() {
	p.t.Helper()
	var wide int
	p.eval("document.documentElement.scrollWidth - innerWidth", &wide)
	if wide > 0 {
		p.t.Errorf("the page is %d px too wide", wide)
	}
}

func compareCharts(t *testing.T, h http.Handler, legends []struct{ Line, Unit, Text string }, columns [][]string) {
	t.Helper()
	// The capture begins at 12:00:20 and ends at 12:04:17, so its first and last minute are not whole.
	seconds := []float64{40, 60, 60, 60, 17}
	if len(legends) < 40 || len(columns) != len(legends) {
		t.Fatalf("%d legends and %d columns", len(legends), len(columns))
	}
	compared := 0
	for i, l := range legends {
		metric, stat, _ := strings.Cut(l.Line, " ")
		var s series
		ask(t, h, "/api/v1/series?from=-240s&to=now&step=60&metric="+url.QueryEscape(metric), &s)
		for _, one := range s.Series {
			if one.Stat != stat {
				continue
			}
			if len(one.Values) != 5 || len(columns[i]) != 5 {
				t.Fatalf("%s: %d values, and %d on the page", l.Line, len(one.Values), len(columns[i]))
			}
			for k, v := range one.Values {
				if v == nil || stat == "estimate" && k == 4 { // of a part of a minute
					if columns[i][k] != "–" {
						t.Errorf("%s, minute %d: the page shows %q, want nothing", l.Line, k, columns[i][k])
					}
					continue
				}
				want := *v
				if stat == "count" {
					want /= seconds[k]
				}
				if l.Unit == "bits/s" {
					want *= 8
				}
				if got := parse(t, columns[i][k]); math.Abs(got-want) > 0.006*want {
					t.Errorf("%s, minute %d: the page shows %q, want %g", l.Line, k, columns[i][k], want)
				}
				compared++
			}
			newest := columns[i][4]
			if newest == "–" {
				newest = columns[i][3]
			}
			if l.Text != newest && newest != "–" {
				t.Errorf("%s: the legend shows %q, want %q", l.Line, l.Text, newest)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d values were compared", compared)
	}
}

// TestTablesShowTheRows compares all rows of all tables with the API, at each width.
func TestTablesShowTheRows(t *testing.T) {
	h := demoAgent(t)
	at := proxied(t, h, nil)
	var window map[string]map[string]any
	ask(t, h, "/api/v1/metrics/window/5", &window)
	for _, l := range looks {
		p := open(t, at+"#/tables", l)
		p.until("document.querySelectorAll('.card[data-table]').length > 10")
		var cards map[string][][]string
		p.eval(`Object.fromEntries([...document.querySelectorAll(".card[data-table]")].map(c => [c.dataset.table, [...c.querySelectorAll("tr")].map(r => [r.querySelector("th a").textContent, r.lastChild.textContent])]))`, &cards)
		for path, rows := range cards {
			want := rowsAt(t, window["5m"], path)
			if len(rows) != len(want) {
				t.Errorf("%s, %v: %d rows, want %d", path, l, len(rows), len(want))
				continue
			}
			for i, r := range want {
				estimate := r["estimate"].(float64)
				if got := parse(t, strings.TrimSuffix(rows[i][1], "+")); rows[i][0] != r["name"] || math.Abs(got-estimate) > 0.006*estimate || estimate < 1000 && got != estimate {
					t.Errorf("%s, row %d: %q, want %v", path, i, rows[i], r)
				}
			}
		}
		p.fits()
	}
}

// rowsAt returns the rows at a path with dots.
func rowsAt(t *testing.T, v any, path string) (rows []map[string]any) {
	t.Helper()
	for name := range strings.SplitSeq(path, ".") {
		v = v.(map[string]any)[name]
	}
	for _, r := range v.([]any) {
		rows = append(rows, r.(map[string]any))
	}
	return rows
}

// TestFullTable scrolls through all rows of a table. Its rows, shares and bounds are the API's, and only those in view are in the
// document. What is searched and sorted is in the address.
func TestFullTable(t *testing.T) {
	h := demoAgent(t)
	at := proxied(t, h, nil)
	var window map[string]map[string]any
	ask(t, h, "/api/v1/metrics/window/5?rows=6144", &window)
	want := rowsAt(t, window["5m"], "dns.top_qname3")
	if len(want) < 200 {
		t.Fatalf("the table has %d rows", len(want))
	}
	var history struct{ Total []*float64 }
	ask(t, h, "/api/v1/history?table=dns.top_qname3&name=www.cababa.com", &history)
	total := 0.0
	for _, v := range history.Total {
		total += *v
	}
	p := open(t, at+"#/tables?table=dns.top_qname3", look{1024, 700, true})
	p.until("document.querySelectorAll('.full .row').length > 10 && document.querySelector('.full .spark')")
	var rows [][]string
	p.eval(`(async () => {
		const grid = document.querySelector(".grid"), seen = new Map();
		for (let y = 0; ; y += 300) {
			grid.scrollTop = y;
			await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)));
			const rows = grid.querySelectorAll(".row:not(.heads)");
			if (rows.length > 100) throw new Error(rows.length + " rows are in the document");
			for (const r of rows) seen.set(Number(r.ariaRowIndex ?? r.getAttribute("aria-rowindex")), [...r.children].map(c => c.textContent));
			if (y > grid.scrollHeight) break;
		}
		return [...seen].sort(([a], [b]) => a - b).map(([, cells]) => cells);
	})()`, &rows)
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, r := range want {
		share := r["estimate"].(float64) / total
		shown := strings.TrimSpace(rows[i][4])
		if wantShare := fmt.Sprintf("%.1f%%", 100*share); rows[i][0] != r["name"] || parse(t, rows[i][2]) != r["estimate"] || share >= 0.001 && shown != wantShare {
			t.Errorf("row %d: %q, want %v with %s", i, rows[i], r, wantShare)
		}
	}
	p.press("/")
	p.until("document.activeElement.type === 'search'")
	p.eval("document.activeElement.select()", nil) // chromedp types the slash even though the page has used the key
	p.press("cababa")
	p.until("location.hash.includes('q=cababa') && [...document.querySelectorAll('.c-name a')].every(a => a.textContent.includes('cababa'))")
	p.eval("document.querySelector('[role=columnheader].c-name button').click()", nil)
	p.until("location.hash.includes('sort=name')")
	var names []string
	p.eval("[...document.querySelectorAll('.c-name a')].map(a => a.textContent)", &names)
	for i := 1; i < len(names); i++ {
		if names[i-1] > names[i] {
			t.Errorf("%q is before %q", names[i-1], names[i])
		}
	}
}

// TestHostile: texts from the network and from a configuration stay text, on a hub with a section that the page does not know.
func TestHostile(t *testing.T) {
	f := startHub(t)
	long := strings.Repeat("x", 4000)
	names := []string{evil, "a\u202egnp.exe", "=cmd|'/c calc'!A1", "nul\x00\x1b[31m", long, "</script><script>alert(1)</script>", "two\nlines\ttab", "*.zone"}
	var minutes []testfleet.Minute
	for i, name := range names {
		minutes = append(minutes, testfleet.Minute{Host: fmt.Sprintf("h%d", i), Tags: "pop=" + `<i>&`, Start: f.last, Boot: 1, Seq: 1, Count: uint64(100 - i), Name: name, Lost: 5})
	}
	f.Add(t, minutes...)
	f.RollUp(t)
	at := proxied(t, f.handler, nil)
	for _, hash := range []string{"#/now", "#/tables", "#/tables?table=unheard.top_things", "#/tables?table=" + url.QueryEscape(evil), "#/" + url.PathEscape(evil), "#/now?range=" + url.QueryEscape(evil) + "&over=" + url.QueryEscape(evil)} {
		p := open(t, at+hash, look{1024, 900, false})
		p.until("document.title.includes('hub1')")
		switch hash {
		case "#/now":
			p.until("document.querySelector('[data-chart=\"unheard.size\"]')")
			// The loss is marked in every chart.
			p.until("[...document.querySelectorAll('figure.chart')].every(f => f.querySelector('.mark.bad')?.textContent === 'lost packets')")
		case "#/tables":
			p.until("document.body.textContent.includes('Unheard <b>of</b>')")
			p.until("document.body.textContent.includes('<script>document.title')")
		case "#/tables?table=unheard.top_things":
			p.until("document.querySelectorAll('.full .row').length === " + strconv.Itoa(len(names)+1))
			var shown []string
			p.eval("[...document.querySelectorAll('.c-name a')].map(a => a.textContent)", &shown)
			for i, want := range []string{evil, `a\u{202e}gnp.exe`, "=cmd|'/c calc'!A1", `nul\u{0}\u{1b}[31m`, long, "</script><script>alert(1)</script>", `two\u{a}lines\u{9}tab`, "*.zone"} {
				// The hub keeps the first part of a long name.
				if shown[i] != want && !(want == long && len(shown[i]) > 100 && strings.HasPrefix(long, shown[i])) {
					t.Errorf("row %d is %.100q, want %.100q", i, shown[i], want)
				}
			}
		}
		var markup int
		p.eval("document.querySelectorAll('#app img, #app script, #app b:not(.legend b, .help b), body > script').length", &markup)
		if title := p.title(); markup != 0 || strings.Contains(title, "hacked") {
			t.Errorf("%s: %d elements were made of texts; the title is %q", hash, markup, title)
		}
		p.fits()
	}
}

// TestKeyboardAndAddress: the keys do what the list says, the address holds what is shown, and an address shows it again.
func TestKeyboardAndAddress(t *testing.T) {
	f := startHub(t)
	for i := range int64(30) {
		f.Add(t, testfleet.Minute{Host: "h1", Tags: "pop=ams1", Start: f.last - 60*i, Boot: 1, Seq: uint64(100 - i), Count: 60, Name: "a"})
	}
	f.RollUp(t)
	p := open(t, proxied(t, f.handler, nil), look{1024, 900, false})
	p.until("document.querySelector('figure.chart canvas')")
	p.press("?")
	p.until("document.querySelector('dialog').open")
	p.press(kb.Escape)
	p.until("!document.querySelector('dialog').open")
	p.press("[")
	p.until("location.hash === '#/now?range=15m'")
	p.press("o")
	p.until("location.hash === '#/now?range=15m&over=before' && document.querySelector('.legend s')")
	p.press("2")
	p.until("location.hash === '#/tables?range=15m&over=before' && document.querySelector('.card')")
	p.run(chromedp.NavigateBack())
	p.until("location.hash === '#/now?range=15m&over=before' && document.querySelector('figure.chart canvas')")
	p.press("t")
	p.until("document.documentElement.dataset.theme === 'light'")
	// Brushing over a chart zooms all of them.
	var box struct{ X, Y, Width, Height float64 }
	p.eval("(() => { const r = document.querySelector('.u-over').getBoundingClientRect(); return {X: r.x, Y: r.y, Width: r.width, Height: r.height} })()", &box)
	p.run(chromedp.DragAndDropXY(box.X+box.Width*0.4, box.Y+box.Height/2, box.X+box.Width*0.8, box.Y+box.Height/2))
	p.until("/from=\\d+&to=\\d+/.test(location.hash)")
	var hash string
	p.eval("location.hash", &hash)
	params, err := url.ParseQuery(hash[strings.IndexByte(hash, '?')+1:])
	if err != nil {
		t.Fatal(err)
	}
	from, _ := strconv.ParseInt(params.Get("from"), 10, 64)
	to, _ := strconv.ParseInt(params.Get("to"), 10, 64)
	if from%60 != 0 || to%60 != 0 || to-from < 5*60 || to-from > 9*60 || to > f.last+60 {
		t.Errorf("%s was brushed, of fifteen minutes that end at %d", hash, f.last+60)
	}
	p.press("0")
	p.until("!location.hash.includes('from=')")
	// A part of the fleet.
	p.eval("location.hash = '#/now?tag=pop%3Dams1'", nil)
	p.until("document.querySelector('.chip')?.textContent.includes('pop=ams1')")
	p.until("document.querySelector('[data-line=\"packets.total count\"]').textContent === '1'")
}

// TestStale: while there is no answer, the page says so and which numbers it shows. It recovers by itself.
func TestStale(t *testing.T) {
	var down atomic.Bool
	p := open(t, proxied(t, demoAgent(t), &down), look{360, 800, true})
	p.expected = []string{"502"}
	p.until("document.querySelector('figure.chart')")
	down.Store(true)
	p.until("document.querySelector('.state.bad')?.textContent.startsWith('no answer for ')")
	if text := p.text(".state"); !strings.Contains(text, "the numbers are those of") || !strings.Contains(text, "502") {
		t.Errorf("the page says %q", text)
	}
	down.Store(false)
	p.until("!document.querySelector('.state.bad')")
}
