package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"pktvisor/internal/testkit"
)

// attack is the attack of the tests: it begins at the minute 1,796,000,520, which is 01:02 UTC.
var attack = testkit.Attack{Start: 1_796_000_040, Quiet: 8, Loud: 4, Seed: 1}

const attackBegan = "01:02"

// attacked returns the address of an agent in the middle of the attack.
func attacked(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := attack.Write(&b); err != nil {
		t.Fatal(err)
	}
	end := attack.Start + int64(60*(attack.Quiet+attack.Loud))
	return proxied(t, agentOf(t, &b, "attack.pcap", "192.0.2.0/24", 15, end-1, nil), nil)
}

// done fails if the view is too wide. It keeps a picture of it if the environment names a folder for pictures.
func (p *page) done(name string, l look) {
	p.t.Helper()
	p.fits()
	if dir := os.Getenv("PICTURES"); dir != "" {
		b, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, l.width)), b, 0o644)
		}
		if err != nil {
			p.t.Error(err)
		}
	}
}

// TestAttackView: the victim, the attackers and the moment can be read off the attack view, in the words of the API, and before the
// attack there is none. Without a quiet time, the attack is still named, and it is said that there is nothing to compare with.
func TestAttackView(t *testing.T) {
	at := attacked(t)
	ready := fmt.Sprintf("document.querySelector('.verdict li') && document.querySelectorAll('.spark').length > 10 && document.querySelector('.verdict').textContent.includes(%q)", testkit.AttackClients.String()+" gets ")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			p := open(t, at+"#/attack", l)
			p.until(ready)
			got := p.text(".verdict")
			for _, want := range []string{
				"Amplification attack on " + testkit.AttackVictim.String(), "Random-subdomain attack on " + testkit.AttackedZone, "Random names below " + testkit.AttackedZone, "since " + attackBegan + " UTC", "mostly ANY of " + testkit.AmplifyingName, "all from one port, all with one TTL",
				"NXDOMAIN was ", "from " + attackBegan + " UTC on", testkit.AttackClients.String() + " gets ",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("the verdict lacks %q: %s", want, got)
				}
			}
			if !strings.Contains(p.text(`[data-table="dns.top_client_prefix_nxdomain"] tr`), testkit.AttackClients.String()) {
				t.Error("the network of the attackers is not first")
			}
			p.done("attack", l)
		})
	}
	p := open(t, fmt.Sprintf("%s#/attack?from=%d&to=%d", at, attack.Start, attack.Start+480), looks[1])
	p.until("document.querySelector('.verdict li')")
	if got := p.text(".verdict"); !strings.HasPrefix(got, "Nothing stands out") {
		t.Errorf("before the attack: %s", got)
	}
	p.run(chromedp.Navigate(fmt.Sprintf("%s#/attack?from=%d&to=%d", at, attack.Start+540, attack.Start+720)))
	p.until("document.querySelector('.verdict .past')")
	if got := p.text(".verdict h2"); got != "Amplification attack on "+testkit.AttackVictim.String()+", and Random-subdomain attack on "+testkit.AttackedZone+" since 01:03 UTC or earlier" {
		t.Errorf("within the attack: %s", got)
	}
	if got := p.text(".verdict .past"); !strings.HasPrefix(got, "There is no quiet time to compare with") {
		t.Errorf("within the attack: %s", got)
	}
}

// TestAttackTables: the tables of the attack view have the names that they have everywhere. Of the networks with many responses, only
// those are listed for which something speaks, and it is said that there are others.
func TestAttackTables(t *testing.T) {
	p := open(t, attacked(t)+"#/attack", looks[1])
	p.until("document.querySelectorAll('.attack .card').length === 11")
	var wrong []string
	p.eval(`fetch("api/v1/tables").then(r => r.json()).then(all => [...document.querySelectorAll(".attack .card")].filter(c => {
		const [section, ...path] = c.dataset.table.split("."), m = all.sections.find(s => s.name === section).metrics.find(m => m.path === path.join("."));
		return c.querySelector("h3 a").textContent !== m.title;
	}).map(c => c.dataset.table))`, &wrong)
	if len(wrong) != 0 {
		t.Errorf("other names than their own: %v", wrong)
	}
	victims := `[data-table="dns.top_amp_prefix"] `
	var rows []string
	p.eval("[...document.querySelectorAll('"+victims+"tbody th a')].map(a => a.textContent)", &rows)
	if len(rows) != 1 || rows[0] != testkit.AttackVictim.String() {
		t.Errorf("victims: %q", rows)
	}
	if got := p.text(victims + ".help"); !strings.HasPrefix(got, "5 more of the first 8 get responses without being amplified") {
		t.Errorf("others: %q", got)
	}
}

// TestTiles: at no width is a number of the tiles cut off or over its neighbour.
func TestTiles(t *testing.T) {
	at := attacked(t)
	p := open(t, at, looks[1])
	p.until("document.querySelectorAll('.tile').length === 11 && document.querySelector('figure.chart canvas')")
	for _, width := range []int64{360, 768, 1024, 1400, 1500, 1920} {
		call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
		var cut []string
		p.eval("[...document.querySelectorAll('.tile dd, .tile dt')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)", &cut)
		if len(cut) != 0 {
			t.Errorf("%d px: %q are cut off", width, cut)
		}
		p.fits()
	}
}

// TestChangesOrder: what changed has the order of the API, which the terminal has too.
func TestChangesOrder(t *testing.T) {
	p := open(t, attacked(t)+"#/changes?len=4m", looks[1])
	p.until("document.querySelectorAll('.changes tbody tr').length > 10")
	var equal bool
	p.eval(`fetch("api/v1/changes?from=-180s&rows=1000").then(r => r.json()).then(a => {
		const rows = [...document.querySelectorAll(".changes tbody tr")].map(tr => tr.querySelector("th").title + " " + tr.querySelector(".name").textContent);
		return rows.length > 10 && rows.every((text, i) => text === a.changes[i].metric + " " + (a.changes[i].name === undefined ? "" : pktvisor.format.visible(a.changes[i].name)));
	})`, &equal)
	if !equal {
		t.Errorf("the rows are not in the order of the API: %s", p.text(".changes tbody"))
	}
}

// TestCredentialsInTheAddress: a name and password in the address of the page do not stop it from asking.
func TestCredentialsInTheAddress(t *testing.T) {
	h := demoAgent(t)
	at := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "ann" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="pktvisor"`)
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}), nil)
	p := open(t, "about:blank", looks[1])
	p.expected = []string{"preload", "embedded credentials"}
	p.run(chromedp.Navigate(strings.Replace(at, "://", "://ann:s3cret@", 1)))
	p.until("document.querySelector('.tiles') && document.querySelector('figure.chart canvas')")
	p.run(chromedp.Navigate(strings.Replace(at, "://", "://ann:s3cret@", 1) + "#/countries"))
	p.until("document.querySelector('.map path')")
}

// TestOtherViews: what changed, the page of a row and the health of an agent show what the API has.
func TestOtherViews(t *testing.T) {
	at := attacked(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			p := open(t, at+"#/changes?len=4m", l)
			p.until("document.querySelectorAll('.changes tr.new').length > 10")
			if got := p.text(".changes tr.new"); !strings.Contains(got, "*."+testkit.AttackedZone) && !strings.Contains(got, testkit.AmplifyingName) && !strings.Contains(got, testkit.AttackVictim.String()) {
				t.Errorf("first of all is new: %s", got)
			}
			p.done("changes", l)
			p.run(chromedp.Navigate(at + "#/row?table=dns.top_amp_prefix&name=203.0.113.0%2F24"))
			p.until("document.querySelectorAll('figure.chart').length === 2 && document.querySelectorAll('.rank tr').length >= 2")
			if got := p.text("main"); !strings.Contains(got, "203.0.113.0/24") || !strings.Contains(got, "place 1") {
				t.Errorf("the row: %s", got)
			}
			p.done("row", l)
			p.run(chromedp.Navigate(at + "#/health"))
			p.until("document.querySelector('.facts')")
			if got := p.text(".verdict"); got != "All is well" {
				t.Errorf("health: %s", got)
			}
			p.done("health", l)
		})
	}
}
