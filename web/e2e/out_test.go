package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/report"
	"pktvisor/server"
	"pktvisor/timeline"
	"pktvisor/web"
	"pktvisor/window"
)

// TestDownloads: the copied rows, the CSV and the JSON of a table have the values of the API, all of them, and the shown order. Only
// the names that a spreadsheet would take for formulas are changed.
func TestDownloads(t *testing.T) {
	f := startHub(t)
	names := []string{"=1+1", "a,\"b\"", "two\nlines", evil, "plain", "@x"}
	var list []testfleet.Minute
	for i, name := range names {
		list = append(list, testfleet.Minute{Host: fmt.Sprint("h", i), Start: f.last, Boot: 1, Seq: 1, Count: uint64(100 + i), Name: name})
	}
	f.add(t, list...)
	var want map[string]map[string]any
	ask(t, f.handler, "/api/v1/metrics/range?from=-3600s&to=now&rows=6144", &want)
	var rows []map[string]any
	for _, section := range want {
		rows = rowsAt(t, section, "unheard.top_things")
	}
	slices.Reverse(rows) // sorted by the least first
	p := open(t, proxied(t, f.handler, nil)+"#/tables?table=unheard.top_things&sort=estimate", looks[1])
	p.until("document.querySelectorAll('.full .row').length === 7 && document.querySelector('.full .spark')")
	dir := t.TempDir()
	call(p, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: dir})
	saved := func(button, ext string) (b []byte) {
		t.Helper()
		p.eval(fmt.Sprintf("[...document.querySelectorAll('.head button')].find(b => b.textContent === %q).click()", button), nil)
		testkit.Eventually(t, "a file "+ext, func() bool {
			found, _ := filepath.Glob(filepath.Join(dir, "unheard.top_things-*."+ext))
			if len(found) == 1 {
				b, _ = os.ReadFile(found[0])
			}
			return len(b) > 0
		})
		return b
	}
	check := func(what string, got [][]string, formula string) {
		t.Helper()
		if len(got) != len(rows)+1 || strings.Join(got[0], " ") != "name estimate lower upper share" {
			t.Fatalf("%s: %d rows, headed %q", what, len(got), got[0])
		}
		total := 0.0
		for _, r := range rows {
			total += r["estimate"].(float64)
		}
		for i, r := range rows {
			name, estimate := r["name"].(string), r["estimate"].(float64)
			if strings.ContainsAny(name[:1], "=@") {
				name = formula + name
			}
			if what == "copy" {
				name = strings.ReplaceAll(name, "\n", " ")
			}
			share, err := strconv.ParseFloat(got[i+1][4], 64)
			if number := fmt.Sprintf("%.0f", estimate); got[i+1][0] != name || !slices.Equal(got[i+1][1:4], []string{number, number, number}) || err != nil || share != estimate/total {
				t.Errorf("%s, row %d: %q, want %v", what, i, got[i+1], r)
			}
		}
	}
	table, err := csv.NewReader(bytes.NewReader(saved("CSV", "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	check("CSV", table, "'")
	var saidJSON struct {
		Table string
		Rows  []map[string]any
	}
	if err := json.Unmarshal(saved("JSON", "json"), &saidJSON); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(saidJSON.Rows)
	if all, _ := json.Marshal(rows); !bytes.Equal(got, all) || saidJSON.Table != "unheard.top_things" {
		t.Errorf("JSON: %s, want %s", got, all)
	}
	call(p, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{Permission: &cdpbrowser.PermissionDescriptor{Name: "clipboard-read"}, Setting: "granted"})
	call(p, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{Permission: &cdpbrowser.PermissionDescriptor{Name: "clipboard-write"}, Setting: "granted"})
	call(p, cdppage.BringToFront, struct{}{})
	p.eval("[...document.querySelectorAll('.head button')].find(b => b.textContent === 'copy').click()", nil)
	var copied string
	testkit.Eventually(t, "the copy", func() bool {
		p.eval("navigator.clipboard.readText()", &copied)
		return strings.HasPrefix(copied, "name\t")
	})
	var lines [][]string
	for line := range strings.SplitSeq(copied, "\n") {
		lines = append(lines, strings.Split(line, "\t"))
	}
	check("copy", lines, "")
}

// clock is a script that stops the page's clock and its ticks, which tests then move.
const clock = `(() => {
	let now = Date.now();
	const ticks = [];
	Date.now = () => now;
	globalThis.setInterval = f => ticks.push(f);
	globalThis.pass = seconds => { for (let i = 0; i < seconds; i++) { now += 1000; ticks.forEach(f => f()); } };
	let hidden = false;
	Object.defineProperty(document, "hidden", {get: () => hidden});
	globalThis.hide = on => { hidden = on; document.dispatchEvent(new Event("visibilitychange")); };
	const ask = globalThis.fetch;
	globalThis.asked = globalThis.answered = 0;
	globalThis.fetch = (...all) => { asked++; return ask(...all).finally(() => setTimeout(() => answered++)); };
})()`

// TestHidden: a hidden tab asks for nothing, however long it is hidden, and asks at once when it is seen again. So does a paused one.
func TestHidden(t *testing.T) {
	p := open(t, "about:blank", looks[1])
	call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: clock})
	p.run(chromedp.Navigate(proxied(t, demoAgent(t), nil)))
	p.until("document.querySelector('figure.chart')")
	var n [4]int
	for _, c := range []struct{ stop, on string }{{"hide(true)", "hide(false)"}, {"document.querySelector('[aria-label=pause]').click()", "document.querySelector('[aria-label=pause]').click()"}} {
		p.until("asked === answered && document.querySelector('[aria-label=pause]').getAttribute('aria-pressed') === 'false'")
		p.eval("(() => { const all = [asked]; pass(3); all.push(asked); "+c.stop+"; all.push(asked); pass(1000); all.push(asked); return all })()", &n)
		if n[1] == n[0] || n[3] != n[2] {
			t.Errorf("%s: %d requests in three seconds before, %d in a thousand after", c.stop, n[1]-n[0], n[3]-n[2])
		}
		p.until("asked === answered")
		p.eval("(() => { const before = asked; "+c.on+"; pass(1); return [before, asked] })()", &n)
		if n[1] == n[0] {
			t.Errorf("after %s, nothing was asked", c.on)
		}
	}
}

// TestPrint: on paper, all charts are drawn, in the colours for paper, without what can only be clicked, and a table has all of its
// width.
func TestPrint(t *testing.T) {
	p := open(t, proxied(t, demoAgent(t), nil), look{1024, 800, true})
	p.until("document.querySelectorAll('figure.chart').length > 15 && document.querySelector('figure.chart canvas')")
	var drawn, all int
	p.eval("document.querySelectorAll('figure.chart canvas').length", &drawn)
	pdf := call(p, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PrintBackground: new(true)})
	p.eval("document.querySelectorAll('figure.chart canvas').length", &all)
	var charts int
	p.eval("document.querySelectorAll('figure.chart').length", &charts)
	if drawn >= charts || all != charts {
		t.Errorf("%d of %d charts are drawn on paper, %d on the screen", all, charts, drawn)
	}
	if pages := bytes.Count(pdf.Data, []byte("/Type /Page\n")); !bytes.HasPrefix(pdf.Data, []byte("%PDF")) || pages < 2 || pages > 12 {
		t.Errorf("%d bytes of PDF with %d pages", len(pdf.Data), pages)
	}
	p.eval("location.hash = '#/tables?table=dns.top_qname3'", nil)
	p.until("document.querySelectorAll('.full .row').length > 10")
	var rows int
	p.until("(() => { dispatchEvent(new Event('beforeprint')); const rows = document.querySelectorAll('.full .row').length; dispatchEvent(new Event('afterprint')); globalThis.printed = rows; return rows > 100 })()")
	p.eval("printed", &rows)
	var declared int
	p.eval("Number(document.querySelector('.grid').getAttribute('aria-rowcount'))", &declared)
	table := call(p, cdppage.PrintToPDF, cdppage.PrintToPDFParams{})
	if pages := bytes.Count(table.Data, []byte("/Type /Page\n")); rows != declared || rows < 200 || pages < rows/60 {
		t.Errorf("%d of %d rows are printed on %d pages", rows, declared, pages)
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	var looks struct {
		Background, Header string
		Seen               []string
	}
	const state = `({Background: getComputedStyle(document.body).backgroundColor, Header: getComputedStyle(document.querySelector("header")).position,
		Seen: [...document.querySelectorAll("nav, button, select, .skip")].filter(e => e.checkVisibility()).map(e => e.outerHTML)})`
	p.eval(state, &looks)
	if looks.Background != "rgb(255, 255, 255)" || looks.Header != "static" || len(looks.Seen) != 0 {
		t.Errorf("on paper: %+v", looks)
	}
}

// filled returns the handler of an agent with some minutes, all of whose tables fill fills, and from when to when these are.
func filled(minutes int64, fill func(top *metric.Top, i int64)) (h http.Handler, from, to int64) {
	const first = 1_796_000_040 / 60 * 60
	w := window.New(window.Config{Tables: agent.Tables, Periods: int(minutes) + 1, Shards: 1, DeepSamplePercent: 100})
	for i := range minutes {
		w.Update(0, first+60*i+30, 0, func(b *metric.Bucket, _ int64) {
			for s, table := range agent.Tables {
				for at := range table.Descs {
					if table.Descs[at].Kind == metric.KindTop {
						fill(b.Sections[s].Top(at), i)
					}
				}
			}
		})
	}
	to = first + 60*minutes - 29
	now := func() time.Time { return time.Unix(to-1, 0) }
	return server.New(server.Config{
		Window: w, Tables: agent.Tables, Sources: agent.SourceTable, Version: "1", Host: evil, Started: now(), Status: func() server.Status { return server.Status{} },
		Routes: timeline.Routes(timeline.Config{Source: timeline.NewWindow(w, agent.Tables, agent.Default, now), Tables: agent.Tables, Now: now}),
	}).Handler(), first + 30, to
}

// reportFile writes a report, and returns the address of its file.
func reportFile(t *testing.T, cfg report.Config) string {
	t.Helper()
	for _, f := range web.Files() {
		switch f.Path {
		case "assets/app.js":
			cfg.Script = f.Body
		case "assets/app.css":
			cfg.Style = f.Body
		case "assets/world.json":
			cfg.World = f.Body
		case "assets/licenses.txt":
			cfg.Licences = f.Body
		}
	}
	path := filepath.Join(t.TempDir(), "report.html")
	var b bytes.Buffer
	if err := report.Write(t.Context(), &b, cfg); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// TestReportFirstMinute: a capture that begins within a minute, and ends with one or within one, has this first minute in its charts,
// marked as a part of one.
func TestReportFirstMinute(t *testing.T) {
	h, from, to := filled(5, func(top *metric.Top, i int64) { top.Add([]byte("a"), uint64(i+1)) })
	for _, end := range []int64{to, to + 28, to - 1} { // to + 28 is the end of a minute
		p := open(t, reportFile(t, report.Config{Tables: agent.Tables, From: from, To: end, Name: "cut.pcap", Program: "p", API: h}), looks[1])
		p.until("document.querySelector('figure.chart canvas')")
		p.eval("document.querySelector('figure.chart button').click()", nil)
		p.until("document.querySelector('figure.chart tbody tr')")
		var rows []string
		p.eval("[...document.querySelectorAll('figure.chart tbody th')].map(e => e.textContent)", &rows)
		begin := time.Unix(from, 0).UTC()
		if want := begin.Format("15:04:05") + " (a part)"; len(rows) != 5 || rows[4] != want || rows[3] != begin.Truncate(time.Minute).Add(time.Minute).Format("15:04:05") {
			t.Errorf("a capture until %d: %q, want %q last", end, rows, want)
		}
		if got := p.text("figure.chart .mark"); got != "begins at "+begin.Format("15:04:05") {
			t.Errorf("marked %q", got)
		}
	}
}

// TestReportInABrowser: a report opens from a file, without a server and without errors, with hostile names in every table.
func TestReportInABrowser(t *testing.T) {
	names := []string{evil, "</script><script>document.title='hacked'</script>", "<!--<script>", "a\u202egnp.exe", "\u2028", "AS/Japan/" + evil}
	h, from, to := filled(5, func(top *metric.Top, i int64) {
		for k, name := range names {
			top.Add([]byte(name), uint64(1000-100*k)*uint64(i+1))
		}
	})
	path := reportFile(t, report.Config{Tables: agent.Tables, From: from, To: to, Name: evil + ".pcap", Program: "pktvisord " + evil, API: h})
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, path, looks[0])
	p.until("document.querySelectorAll('figure.chart').length > 15")
	p.run(chromedp.Evaluate[chromedp.Void](script))
	p.axe("the report")
	for hash, ready := range map[string]string{
		"#/tables":                      "document.querySelectorAll('.card[data-table]').length > 10",
		"#/tables?table=dns.top_qname2": fmt.Sprintf("document.querySelectorAll('.full .row').length === %d && document.querySelector('.full .spark')", len(names)+1),
		"#/countries":                   "document.querySelectorAll('.map path.c2, .map path.c3').length === 1 && document.querySelector('[data-country=JP].c2, [data-country=JP].c3')",
		"#/attack":                      "document.querySelector('.verdict h2')",
		"#/changes":                     "document.querySelector('.changes tr')",
		"#/health":                      "document.querySelector('main .facts, main .empty')",
		"#/row?table=dns.top_qname2&name=%3C!--%3Cscript%3E": "document.querySelector('figure.chart') && document.querySelector('.where [data-share]')",
	} {
		p.eval(fmt.Sprintf("location.hash = %q", hash), nil)
		p.until(ready)
		var markup int
		p.eval("document.querySelectorAll('#app img, #app script, #app i:not(.escaped), body > script:not(:last-of-type):not([type])').length", &markup)
		if title := p.title(); markup != 0 || !strings.Contains(title, "<img") || title == "hacked" {
			t.Errorf("%s: %d elements were made of texts; the title is %q", hash, markup, title)
		}
		p.fits()
	}
	var loaded int
	p.eval("performance.getEntriesByType('resource').length", &loaded)
	if loaded != 0 {
		t.Errorf("the report loaded %d resources", loaded)
	}
}

// TestFirstNumbers: the first numbers of an agent and of a hub are asked for once, before the dashboard is there.
func TestFirstNumbers(t *testing.T) {
	_, hub := smallFleet(t)
	for at, want := range map[string]string{proxied(t, demoAgent(t), nil): "api/v1/metrics/window/5?rows=1", hub: "api/v1/metrics/range?from=-3600s&to=now&rows=1"} {
		p := open(t, "about:blank", looks[1])
		call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: clock})
		p.run(chromedp.Navigate(at))
		p.until("document.querySelector('.tiles')")
		var first []string
		p.eval("performance.getEntriesByType('resource').filter(r => r.name.includes('/metrics/window/') || r.name.includes('/metrics/range')).map(r => r.name)", &first)
		var left bool
		p.eval("globalThis.first !== undefined", &left)
		if n := len(first); n == 0 || !strings.HasSuffix(first[0], want) || n > 1 && first[1] == first[0] || left {
			t.Errorf("asked for %v, want %s once, taken: %v", first, want, !left)
		}
	}
}
