package e2e

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pktvisor/api"
	"pktvisor/internal/testkit/testfleet"
)

// cells is an expression for the texts of the cells of a table's body.
func cells(selector string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%q)].map(r => [...r.children].map(c => c.textContent))", selector+" tbody tr")
}

// TestFleetView: the hosts that are away come first, each host and each value of the tag has its rates, and both can be sorted.
func TestFleetView(t *testing.T) {
	_, at := smallFleet(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			p := open(t, at+"#/fleet", l)
			p.until("document.querySelectorAll('table.fleet tbody tr').length === 5 && document.querySelector('[aria-label=hosts] tr:last-child td:nth-child(4)').textContent !== '–'")
			if got := p.text(".verdict"); !strings.HasPrefix(got, "2 of 3 hosts are up") || !strings.Contains(got, "1 away") || !strings.Contains(got, "3 × pktvisord test") {
				t.Errorf("verdict: %s", got)
			}
			var hosts, pops [][]string
			p.eval(cells("[aria-label=hosts]"), &hosts)
			// 6000 and 1200 packets a minute. The one that is away has no rate, and its nine minutes lost five packets each.
			want := [][3]string{{"ns2 " + evil, "away", "–"}, {"ns1", "up", "100"}, {"ns3", "up", "20"}}
			for i, h := range hosts {
				if [3]string{h[0], h[1], h[3]} != want[i] || i == 0 && (h[11] != "9" || h[12] != "45") && h[13] != "45" {
					t.Errorf("host %d: %q, want %q", i, h, want[i])
				}
			}
			p.eval(cells(`[aria-label="by pop"]`), &pops)
			if len(pops) != 2 || pops[0][0] != "ams1" || pops[0][1] != "100" || pops[1][0] != "fra1" || pops[1][1] != "24.5" || pops[1][6] != "45" {
				t.Errorf("POPs: %q, want ams1 with 100 packets/s, fra1 with (20·1200 + 9·600) / 20 minutes", pops)
			}
			p.done("fleet", l)
			p.eval(`[...document.querySelectorAll("[aria-label=hosts] th button")].find(b => b.textContent === "packets/s").click()`, nil)
			p.until("location.hash.includes('sort=-rate') && document.querySelector('[aria-label=hosts] tbody th').textContent === 'ns1'")
			p.eval(`[...document.querySelectorAll("[aria-label='by pop'] th button")].find(b => b.textContent === "packets/s").click()`, nil)
			p.eval(`[...document.querySelectorAll("[aria-label='by pop'] th button")].find(b => b.textContent.startsWith("packets/s")).click()`, nil)
			p.until(`location.hash.includes('groups=rate') && document.querySelector("[aria-label='by pop'] tbody th").textContent === 'fra1'`)
		})
	}
}

// TestContributors: the page of a row says which POPs and hosts it comes from, with the numbers of the API, and what share of each
// table it is.
func TestContributors(t *testing.T) {
	f, at := smallFleet(t)
	name := "EU/Netherlands/" + evil
	row := at + "#/row?table=unheard.top_things&name=" + url.QueryEscape(name)
	for _, l := range looks {
		p := open(t, row, l)
		p.until("document.querySelector('.contributors .help a')")
		for by, want := range map[string][]string{"pop": {"ams1", "fra1"}, "host": {"ns1", "ns3"}, "country": {"nl"}} {
			// The links come with the tags of the fleet. The one that is shown is no link.
			p.until(fmt.Sprintf("[...document.querySelectorAll('.contributors .help a, .contributors [aria-current]')].some(a => a.textContent.trim() === %q)", by))
			p.eval(fmt.Sprintf("[...document.querySelectorAll('.contributors .help a')].find(a => a.textContent.trim() === %q)?.click()", by), nil)
			p.until(fmt.Sprintf("document.querySelector('.contributors [aria-current]')?.textContent.trim() === %q && document.querySelectorAll('.contributors tbody tr').length === %d", by, len(want)))
			var a api.History
			ask(t, f.handler, fmt.Sprintf("/api/v1/history?table=unheard.top_things&name=%s&by=%s&from=%d&to=%d", url.QueryEscape(name), by, f.last-3540, f.last+60), &a)
			var shown, parts [][]string
			p.eval(cells(".contributors"), &shown)
			for _, part := range a.Parts {
				lower, total := 0.0, 0.0
				for i, v := range part.Rows[0].Lower {
					if v != nil {
						lower, total = lower+*v, total+*part.Total[i]
					}
				}
				if lower > 0 {
					parts = append(parts, []string{strings.TrimPrefix(part.Group, by+"="), grouped(lower), shareOf(lower, total)})
				}
			}
			slices.SortFunc(parts, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
			if fmt.Sprint(shown) != fmt.Sprint(parts) {
				t.Errorf("by %s: %q, want %q", by, shown, parts)
			}
		}
		// 20 · 7200 of 20 · 7200 + 9 · 600.
		p.until(`document.querySelector('[data-share="packets.top_geoLoc"]').textContent === '96.4%' && document.querySelector('[data-share="unheard.top_things"]').textContent === '96.4%'`)
		p.done("contributors", l)
	}
	// A part of the fleet that cannot be divided by another tag is divided by host.
	p := open(t, row+"&tag=pop%3Dfra1&tag=country%3Dnl", looks[1])
	p.until("document.querySelector('.contributors [aria-current]')?.textContent.trim() === 'host' && document.querySelectorAll('.contributors tbody tr').length === 1")
	p.run(chromedp.Click(".contributors tbody a"))
	p.until("location.hash.includes('host=ns3') && !location.hash.includes('tag=')")
}

func grouped(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func shareOf(part, whole float64) string {
	if p := fmt.Sprintf("%.1f%%", 100*part/whole); p != "100.0%" {
		return p
	}
	return "100%"
}

// TestComparison: two tags and two stretches of time are compared with the numbers of the API: what is new first, then what has
// vanished, then the rest.
func TestComparison(t *testing.T) {
	f := startHub(t)
	var list []testfleet.Minute
	for i := range int64(30) {
		list = append(list,
			testfleet.Minute{Host: "ns1", Tags: "pop=ams1", Start: f.last - 60*i, Boot: 1, Seq: uint64(100 - i), Count: 6000, Name: []string{"now.example", "then.example"}[i/15]},
			testfleet.Minute{Host: "ns2", Tags: "pop=fra1", Start: f.last - 60*i, Boot: 2, Seq: uint64(100 - i), Count: 1200, Name: "other.example"})
	}
	f.add(t, list...)
	at := proxied(t, f.handler, nil)
	for _, c := range []struct{ hash, query, first, second string }{
		{"range=15m&tag=pop%3Dams1&with=pop%3Dfra1", "from=-900s&tag=pop%3Dams1&base_tag=pop%3Dfra1", "now.example", "other.example"},
		{"range=15m", "from=-900s", "now.example", "then.example"},
		{fmt.Sprintf("from=%d&to=%d&against=before", f.last-840, f.last+60), fmt.Sprintf("from=%d&to=%d", f.last-840, f.last+60), "now.example", "then.example"},
	} {
		var a api.Changes
		ask(t, f.handler, "/api/v1/changes?rows=1000&"+c.query, &a)
		p := open(t, at+"#/changes?"+c.hash, looks[2])
		p.until("document.querySelectorAll('.changes tbody tr').length > 1")
		var rows [][]string
		p.eval(cells(".changes"), &rows)
		if len(rows) != len(a.Changes) {
			t.Errorf("%s: %d changes, want %d", c.hash, len(rows), len(a.Changes))
		}
		kinds := ""
		for i, r := range rows {
			kinds += map[string]string{"new": "n", "gone": "g"}[r[4]]
			k := slices.IndexFunc(a.Changes, func(one api.Change) bool {
				return one.Name == r[1] && (strings.HasSuffix(one.Metric, "things") && r[0] == "Busiest things" || strings.HasSuffix(one.Metric, "geoLoc") && r[0] == "Top GeoLoc")
			})
			if r[1] == "" {
				continue // a counter
			}
			if k < 0 {
				t.Errorf("%s, row %d: %q is not in the answer", c.hash, i, r)
				continue
			}
			for side, want := range map[int]float64{2: a.Changes[k].Base.Lower, 3: a.Changes[k].Now.Lower} {
				if share, ok := strings.CutSuffix(r[side], "%"); ok {
					r[side], want = share, 100*want
				}
				if got := parse(t, r[side]); math.Abs(got-want) > 0.006*want {
					t.Errorf("%s: %q, want %g in column %d", c.hash, r, want, side)
				}
			}
		}
		if len(rows) < 4 || rows[0][1] != c.first || rows[2][1] != c.second || kinds != "nngg" {
			t.Errorf("%s: %s, %q", c.hash, kinds, rows)
		}
	}
}
