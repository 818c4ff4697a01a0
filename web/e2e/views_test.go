package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// TestAttackView: the victim, the attackers and the moment can be read off the attack view, and before the attack there is none.
func TestAttackView(t *testing.T) {
	at := attacked(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			p := open(t, at+"#/attack", l)
			p.until("document.querySelector('.verdict li') && document.querySelectorAll('.spark').length > 10")
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
	p.until("document.querySelector('.verdict p')")
	if got := p.text(".verdict"); !strings.HasPrefix(got, "Nothing stands out") {
		t.Errorf("before the attack: %s", got)
	}
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
