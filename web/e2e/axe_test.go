package e2e

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"pktvisor/internal/testkit/testfleet"
)

// axe is the script of axe-core.
var axe = sync.OnceValues(func() (string, error) {
	file, err := os.Open("testdata/axe-4.14.1.min.js.gz")
	if err != nil {
		return "", err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(z)
	return string(b), err
})

// smallFleet returns the address of a hub with two POPs, whose hosts have names in common, some of them hostile. One host is away.
func smallFleet(t *testing.T) (*fleet, string) {
	t.Helper()
	f := startHub(t)
	var list []testfleet.Minute
	for i := range int64(20) {
		list = append(list,
			testfleet.Minute{Host: "ns1", Tags: "country=nl,pop=ams1", Start: f.last - 60*i, Boot: 1, Seq: uint64(100 - i), Count: 6000, Name: "EU/Netherlands/" + evil},
			testfleet.Minute{Host: "ns3", Tags: "country=nl,pop=fra1", Start: f.last - 60*i, Boot: 3, Seq: uint64(100 - i), Count: 1200, Name: "EU/Netherlands/" + evil})
		if i > 10 {
			list = append(list, testfleet.Minute{Host: "ns2 " + evil, Tags: "country=de,pop=fra1", Start: f.last - 60*i, Boot: 2, Seq: uint64(100 - i), Count: 600, Lost: 5, Name: "y"})
		}
	}
	f.add(t, list...)
	return f, proxied(t, f.handler, nil)
}

// TestAccessible runs axe-core over every view, light and dark, on a phone and on a tablet.
func TestAccessible(t *testing.T) {
	agent, attack := proxied(t, demoAgent(t), nil), attacked(t)
	_, hub := smallFleet(t)
	row := "#/row?table=unheard.top_things&name=" + url.QueryEscape("EU/Netherlands/"+evil)
	views := []struct{ at, ready string }{
		{agent + "#/now", "document.querySelectorAll('figure.chart').length > 15"},
		{agent + "#/tables", "document.querySelectorAll('.card').length > 15"},
		{agent + "#/tables?table=dns.top_qname2", "document.querySelector('.full .spark')"},
		{agent + "#/countries?country=DE", "document.querySelector('.map path') && document.querySelector('.rank .spark')"},
		{agent + "#/health", "document.querySelector('.facts')"},
		{agent + "#/row?table=dns.top_qname3&name=www.cababa.com", "document.querySelector('.where')"},
		{agent + "#/nowhere", "document.querySelector('main .empty')"},
		{attack + "#/attack", "document.querySelectorAll('.spark').length > 10"},
		{attack + "#/changes?len=4m", "document.querySelectorAll('.changes tr').length > 10"},
		{hub + "#/fleet", "document.querySelectorAll('table.fleet tbody tr').length === 5"},
		{hub + "#/now?range=15m&tag=pop%3Dams1&host=ns1", "document.querySelector('figure.chart') && document.querySelectorAll('.chip').length === 2"},
		{hub + row, "document.querySelectorAll('.contributors tbody tr').length === 2"},
		{hub + "#/changes?range=5m&with=pop%3Dfra1&tag=pop%3Dams1", "document.querySelector('.changes tr, .full .empty')"},
	}
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range looks[:2] {
		p, last := open(t, "about:blank", l), ""
		for i, v := range views {
			server, hash, _ := strings.Cut(v.at, "#")
			if server == last {
				p.eval(fmt.Sprintf("location.hash = %q", hash), nil)
			} else {
				p.run(chromedp.Navigate(v.at))
				p.run(chromedp.Evaluate[chromedp.Void](script))
				last = server
			}
			p.until(v.ready)
			p.axe(hash + " " + l.String())
			if i == 0 {
				p.press("?")
				p.until("document.querySelector('dialog').open")
				p.axe("the list of keys")
				p.eval("document.querySelector('dialog').close()", nil)
			}
		}
	}
}

// axe fails if axe-core finds anything. Of a table's body, it looks at the first rows.
func (p *page) axe(what string) {
	p.t.Helper()
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	p.eval("axe.run({exclude: ['tbody tr:nth-child(n+4)']}, {resultTypes: ['violations']}).then(r => JSON.parse(JSON.stringify(r.violations)))", &found)
	for _, v := range found {
		b, _ := json.Marshal(v.Nodes[:min(len(v.Nodes), 2)])
		p.t.Errorf("%s: %s (%s), %d times: %.700s", what, v.ID, v.Help, len(v.Nodes), b)
	}
}
