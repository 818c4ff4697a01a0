package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pktvisor/geo"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testfleet"
)

// located are the places of the clients of the demo capture in tests, in the spellings of several databases. The last ones are not
// on the map, or have no country.
var located = []struct{ continent, country, city, code string }{
	{"EU", "Germany", "Berlin", "DE"}, {"EU", "Germany", "Munich", "DE"}, {"EU", "The Netherlands", "", "NL"}, {"NA", "United States", "Ashburn", "US"}, {"AS", "South Korea", "Seoul", "KR"},
	{"AF", "DR Congo", "", "CD"}, {"AS", "Hong Kong", "", "HK"}, {"EU", "Czechia", "Prague", "CZ"}, {"EU", "Türkiye", "", "TR"}, {"EU", "Bosnia and Herzegovina", "", "BA"}, {"AS", "SG", "", "SG"},
	{"EU", "<i>Ruritania", "Strelsau", ""}, {"EU", "", "", ""},
}

// places returns a database of the places of tests for the demo capture.
func places(t *testing.T) *geo.DB {
	t.Helper()
	g := testkit.GeoIP{Type: "test", Built: 1}
	for octet := 11; octet < 70; octet++ {
		p := located[octet%len(located)]
		record := testkit.Pairs{"continent", testkit.Pairs{"code", p.continent}}
		if p.country != "" {
			record = append(record, "country", testkit.Pairs{"names", testkit.Pairs{"en", p.country}}, "city", testkit.Pairs{"names", testkit.Pairs{"en", p.city}})
		}
		g.Networks = append(g.Networks, testkit.Network{Prefix: fmt.Sprintf("%d.0.0.0/8", octet), Record: record})
	}
	path := filepath.Join(t.TempDir(), "places.mmdb")
	if err := os.WriteFile(path, g.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geo.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// countryRow is a row of the table of countries, and how the map shows it.
type countryRow struct {
	Name, AtLeast, Share string
	OnMap                string // the class of the shape
}

const countryRows = `[...document.querySelectorAll("table.countries tbody tr")].map(r => {
	const code = new URLSearchParams(r.querySelector("a")?.hash.split("?")[1]).get("country");
	return {Name: r.querySelector("a")?.textContent ?? r.children[0].textContent, AtLeast: r.children[1].textContent, Share: r.lastElementChild.textContent,
		OnMap: document.querySelector('.map [data-country="' + CSS.escape(code ?? "") + '"]')?.getAttribute("class") ?? ""};
})`

// TestCountries: the table adds up the places of the API by country, the map shows the same shares, and a country has its places.
func TestCountries(t *testing.T) {
	h := demoAgent(t)
	at := proxied(t, h, nil)
	var window map[string]map[string]any
	ask(t, h, "/api/v1/metrics/window/5?rows=6144", &window)
	want, total := map[string]float64{}, 0.0
	for _, r := range rowsAt(t, window["5m"], "packets.top_geoLoc") {
		name := r["name"].(string)
		parts := append(strings.Split(name, "/"), "")
		country := parts[1]
		if name == geo.Unknown || country == "" {
			country = "no country"
		}
		want[country] += r["estimate"].(float64)
		total += r["estimate"].(float64)
	}
	if len(want) < len(located)-1 {
		t.Fatalf("the capture has few countries: %v", want)
	}
	classOf := func(share float64) string {
		for i, least := range []float64{0.2, 0.05, 0.01, 0.001, 0} {
			if share >= least {
				return fmt.Sprintf("c%d", 4-i)
			}
		}
		return ""
	}
	for _, l := range looks {
		p := open(t, at+"#/countries", l)
		p.until("document.querySelectorAll('.map path').length > 150 && document.querySelector('table.countries td:last-child').textContent !== '–'")
		var rows []countryRow
		p.eval(countryRows, &rows)
		if len(rows) != len(want) {
			t.Errorf("%v: %d countries, want %d: %v", l, len(rows), len(want), rows)
		}
		for _, r := range rows {
			key := strings.Replace(r.Name, "Singapore", "SG", 1) // the database has its code only
			n := want[key]
			if parse(t, r.AtLeast) != n || r.Share != fmt.Sprintf("%.1f%%", 100*n/total) {
				t.Errorf("%v: %v, want %g of %g", l, r, n, total)
			}
			onMap := ""
			if i := slices.IndexFunc(located, func(p struct{ continent, country, city, code string }) bool { return p.country == key }); i >= 0 && located[i].code != "" {
				onMap = classOf(n / total)
			}
			if r.OnMap != onMap {
				t.Errorf("%v: %s has class %q on the map, want %q", l, r.Name, r.OnMap, onMap)
			}
		}
		p.done("countries", l)
	}
	p := open(t, at+"#/countries", looks[1])
	p.until("document.querySelector('.map [data-country=DE].c2, .map [data-country=DE].c3, .map [data-country=DE].c4')")
	p.eval(`document.querySelector('.map [data-country=DE]').dispatchEvent(new MouseEvent("click", {bubbles: true}))`, nil)
	p.until("location.hash.includes('country=DE') && document.querySelectorAll('.rank tr').length === 2 && document.querySelectorAll('.rank .spark').length === 2")
	if got := p.text(".rank"); !strings.Contains(got, "EU/Germany/Berlin") || !strings.Contains(got, "EU/Germany/Munich") {
		t.Errorf("the places of Germany: %s", got)
	}
	p.run(chromedp.Click(".rank a"))
	p.until("location.hash.startsWith('#/row?') && location.hash.includes('EU/Germany/') && document.querySelectorAll('figure.chart').length === 2")
	// The map is loaded by this view only.
	p = open(t, at+"#/now", looks[1])
	p.until("document.querySelector('figure.chart canvas')")
	var loaded int
	p.eval("performance.getEntriesByType('resource').filter(r => r.name.includes('world.json')).length", &loaded)
	if loaded != 0 {
		t.Error("the first view loads the map")
	}
}

// TestCountriesOfAFleet: a hub shows the countries of the whole fleet or of a part of it.
func TestCountriesOfAFleet(t *testing.T) {
	f := startHub(t)
	f.Add(t, testfleet.Minute{Host: "ns1", Tags: "pop=ams1", Start: f.last, Boot: 1, Seq: 1, Count: 900, Name: "EU/France/IDF/Paris"}, testfleet.Minute{Host: "ns2", Tags: "pop=fra1", Start: f.last, Boot: 2, Seq: 1, Count: 100, Name: "AS/Japan"})
	f.RollUp(t)
	p := open(t, proxied(t, f.handler, nil)+"#/countries", looks[0])
	p.until("document.querySelectorAll('.map path.c4').length === 1 && document.querySelectorAll('table.countries tbody tr').length === 2")
	var rows []countryRow
	p.eval(countryRows, &rows)
	if want := []countryRow{{"France", "900", "90.0%", "c4"}, {"Japan", "100", "10.0%", "c3"}}; !slices.Equal(rows, want) {
		t.Errorf("%v, want %v", rows, want)
	}
	p.eval("location.hash = '#/countries?tag=' + encodeURIComponent('pop=fra1')", nil)
	p.until("document.querySelectorAll('table.countries tbody tr').length === 1 && document.querySelector('table.countries tbody tr').textContent === 'Japan100100%'")
}
