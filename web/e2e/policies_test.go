package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/anon"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/server"
	"pktvisor/timeline"
)

// policiesAgent returns the handler of an agent with three policies over the demo capture: everything, packets only, and one with a
// window for each of two taps, whose packets only the first of them has.
func policiesAgent(t *testing.T) http.Handler {
	t.Helper()
	list := demoPolicies(t)
	now := func() time.Time { return time.Unix(demoEnd, 0) }
	return server.New(server.Config{
		Policies: func() []*server.Policy { return list }, Sources: agent.SourceTable, Version: "1.2.3", Started: now(), TopN: 10, Host: "ns1.example",
		Status: func() server.Status { return server.Status{Target: "demo", LastPacket: now()} },
		Routes: timeline.PolicyRoutes(now),
	}).Handler()
}

// demoPolicies returns these policies.
func demoPolicies(t *testing.T) []*server.Policy {
	t.Helper()
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		t.Fatal(err)
	}
	topics := func() []analyze.Topic { return agent.Topics(places(t), 5*time.Second) }
	packets := slices.DeleteFunc(topics(), func(x analyze.Topic) bool { return x.Table.Section == "dns" })
	a, err := agent.New(agent.Config{
		Host: "ns1.example",
		Taps: []agent.TapConfig{{Name: "eth0", Shards: 1, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second}, {Name: "eth1", Shards: 1, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second}},
		Policies: []agent.PolicyConfig{
			{Topics: topics(), Periods: 5, DeepSamplePercent: 100},
			{Name: "packets-only", Topics: packets, Periods: 3, DeepSamplePercent: 100},
			{Name: "split/eth0", Taps: []string{"eth0"}, Topics: topics(), Periods: 5, DeepSamplePercent: 100},
			{Name: "split/eth1", Taps: []string{"eth1"}, Topics: topics(), Periods: 5, DeepSamplePercent: 100},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../../testdata/captures/demo.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var quiet bytes.Buffer // a capture without a packet
	out, err := testkit.NewPcapWriter(&quiet, true, linktype.Ethernet)
	if err != nil || out.Flush() != nil {
		t.Fatal(err)
	}
	none, err := capture.OpenReader(&quiet, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if err := a.Run(context.Background(), map[string][]capture.Source{"eth0": {src}, "eth1": {none}}); err != nil {
		t.Fatal(err)
	}
	window := func(name, tap string) server.PolicyWindow {
		p := a.Policy(name)
		return server.PolicyWindow{Tap: tap, Views: p.Window(), Tables: p.Tables(), DeepSamplePercent: 100, Handlers: []server.Handler{{Name: "x", Type: "net", Version: "1.0"}}}
	}
	return []*server.Policy{
		{Name: agent.Default, Windows: []server.PolicyWindow{window(agent.Default, "")}, Description: []byte("{}")},
		{Name: "packets-only", Windows: []server.PolicyWindow{window("packets-only", "")}, Description: []byte("{}")},
		{Name: "split", Windows: []server.PolicyWindow{window("split/eth0", "eth0"), window("split/eth1", "eth1")}, Description: []byte("{}")},
	}
}

// TestPolicies: the chooser has every policy and every tap of one that has several. What is chosen is in the address and in the title
// of the tab, and all views show it: their numbers are those of the API, and a policy without DNS has no DNS.
func TestPolicies(t *testing.T) {
	h := policiesAgent(t)
	at := proxied(t, h, nil)
	var tables struct{ Sections []struct{ Name string } }
	if ask(t, h, "/api/v1/tables?policy=packets-only", &tables); len(tables.Sections) == 0 || slices.ContainsFunc(tables.Sections, func(s struct{ Name string }) bool { return s.Name == "dns" }) {
		t.Fatalf("the policy has the sections %+v", tables.Sections)
	}
	for _, l := range looks {
		p := open(t, at, l)
		p.until("document.querySelector('select.policy') && document.querySelector('figure.chart canvas')")
		var names []string
		p.eval("[...document.querySelectorAll('select.policy option')].map(o => o.textContent)", &names)
		if want := []string{"default", "packets-only", "split › eth0", "split › eth1"}; !slices.Equal(names, want) {
			t.Errorf("%v: policies %q, want %q", l, names, want)
		}
		choose := func(i int) {
			p.eval(fmt.Sprintf("(s => { s.selectedIndex = %d; s.dispatchEvent(new Event('change', {bubbles: true})) })(document.querySelector('select.policy'))", i), nil)
		}
		choose(1)
		p.until("location.hash === '#/now?policy=packets-only' && document.title === 'ns1.example · demo · packets-only · pktvisor' && !document.querySelector('[data-chart=dns]') && document.querySelector('[data-chart=packets]')")
		p.until("document.querySelector('select[title=range]').textContent.includes('3 min')")
		p.fits()
		// The address alone shows it again, in every view.
		for _, view := range []string{"tables", "health", "changes", "now"} {
			p.run(chromedp.Navigate("about:blank"))
			p.run(chromedp.Navigate(at + "#/" + view + "?policy=packets-only"))
			p.until("document.querySelector('select.policy')?.selectedIndex === 1 && document.title.includes('packets-only') && !document.querySelector('main').textContent.includes('loading')")
			if got := p.text("main"); strings.Contains(got, "Top NX") {
				t.Errorf("%s of a policy without DNS has tables of DNS", view)
			}
		}
		// So does the query of the page, in front of the fragment.
		p.run(chromedp.Navigate("about:blank"))
		p.run(chromedp.Navigate(at + "?policy=packets-only#/tables"))
		p.until("location.hash === '#/tables?policy=packets-only' && location.search === '' && document.querySelector('select.policy')?.selectedIndex === 1 && document.title.includes('packets-only')")
		p.run(chromedp.Navigate("about:blank"))
		p.run(chromedp.Navigate(at + "?policy=split&tap=eth1#/now?policy=packets-only"))
		p.until("location.hash === '#/now?policy=packets-only' && document.querySelector('select.policy')?.selectedIndex === 1")
		choose(3)
		p.until("location.hash === '#/now?policy=split&tap=eth1' && document.querySelector('.tile.bad, .tile') && document.title.includes('split › eth1')")
		p.until("document.querySelector('[data-chart=dns], .tiles')")
		choose(2)
		p.until("location.hash === '#/now?policy=split&tap=eth0' && document.querySelector('[data-chart=dns]')")
		choose(0)
		p.until("location.hash === '#/now' && document.title === 'ns1.example · demo · pktvisor'.replace('pktvisor', 'default · pktvisor')")
	}
	// A policy that does not exist is refused with the names of those that do.
	gone := open(t, at+"#/now?policy=nope", looks[1])
	gone.expected = []string{"404"}
	gone.until("document.querySelector('main .empty')?.textContent.includes('packets-only')")
	// An agent with one policy has no chooser.
	p := open(t, proxied(t, demoAgent(t), nil), looks[1])
	p.until("document.querySelector('figure.chart canvas')")
	if got := p.text("select.policy"); got != "(nothing)" {
		t.Errorf("one policy: a chooser with %q", got)
	}
}

// TestAlarm: the mark of an attack is on every view, leads to the attack view, and is in the title of the tab; before the attack, there is
// none.
func TestAlarm(t *testing.T) {
	at := attacked(t)
	for _, view := range []string{"now", "tables", "health", "attack"} {
		p := open(t, at+"#/"+view, looks[1])
		p.until("document.querySelector('.alarm a')?.getAttribute('href').startsWith('#/attack') && document.title.startsWith('ATTACK · ')")
		if got := p.text(".alarm"); got != "ATTACK: Amplification attack on "+testkit.AttackVictim.String()+", and Random-subdomain attack on "+testkit.AttackedZone+" since "+attackBegan+" UTC" {
			t.Errorf("%s: %q", view, got)
		}
		p.fits()
	}
	p := open(t, fmt.Sprintf("%s#/now?from=%d&to=%d", at, attack.Start, attack.Start+480), looks[1])
	p.until("document.querySelector('figure.chart canvas')")
	var title string
	if p.eval("document.title", &title); strings.Contains(title, "ATTACK") || p.text(".alarm") != "" {
		t.Errorf("before the attack: %q, %q", title, p.text(".alarm"))
	}
}

// TestChangesSinceTheAttack: what changed is said since the attack began, compared with the quiet time before it.
func TestChangesSinceTheAttack(t *testing.T) {
	p := open(t, attacked(t)+"#/changes", looks[1])
	p.until("document.querySelector('.changes tr.new') && document.querySelector('.full select')?.selectedOptions[0].textContent === 'since " + attackBegan + " UTC, when it began'")
	p.until("document.querySelector('.full .help').textContent.includes('since ') && document.querySelector('.full .help').textContent.includes(' " + attackBegan + " to ')")
	var rows []string
	p.eval("[...document.querySelectorAll('.changes tr.new td.name')].map(td => td.textContent)", &rows)
	if !slices.Contains(rows, testkit.AttackClients.String()) || !slices.Contains(rows, testkit.AttackVictim.String()) || slices.Contains(rows, "10.1.0.0/24") {
		t.Errorf("new: %q", rows)
	}
}

// TestAnonymised: the page of an agent that anonymises says how, with the key, and shows pseudonyms instead of addresses.
func TestAnonymised(t *testing.T) {
	file, err := os.Open("../../testdata/captures/demo.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	way := anon.New(anon.Config{Key: anon.RandomKey()})
	h := agentWith(t, file, "demo.pcap.gz", testkit.HostSpec, 5, demoEnd, places(t), way)
	at := proxied(t, h, nil)
	var window map[string]struct {
		Period struct{ Anonymized []struct{ Key, Names string } }
	}
	ask(t, h, "/api/v1/metrics/window/5", &window)
	ways := window["5m"].Period.Anonymized
	if len(ways) != 1 || ways[0].Key == "" {
		t.Fatalf("%+v", window)
	}
	for _, l := range looks {
		p := open(t, at, l)
		p.until("document.querySelector('[role=note]')")
		if got := p.text("[role=note]"); got != "Anonymised: addresses are pseudonyms (key "+ways[0].Key+")." {
			t.Errorf("%v: %q", l, got)
		}
		p.done("anonymised", l)
	}
}
