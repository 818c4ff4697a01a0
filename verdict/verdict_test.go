package verdict

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pktvisor/api"
)

func flat(n int, v float64) Values { return slices.Repeat(Values{v}, n) }

// two is eight quiet steps and four loud ones.
func two(quiet, loud float64) Values { return append(flat(8, quiet), flat(4, loud)...) }

func at(name string, lower, upper float64) Row { return Row{Name: name, Lower: lower, Upper: upper} }

// history returns a history with the same upper bounds, or others.
func history(lower Values, upper ...Values) History {
	if len(upper) == 0 {
		return History{lower, lower}
	}
	return History{lower, upper[0]}
}

// calm is a server most of whose names never exist.
func calm() *Data {
	return &Data{Step: 60, NX: flat(12, 0.63), ServFail: flat(12, 0), Timeouts: flat(12, 0), Queries: flat(12, 174), Replies: 120_000, Asked: 120_000, Failed: Failed{NX: 75_600}}
}

func zones(d *Data) {
	d.Zones = Table{Rows: []Row{at("a.example", 30, 250), at("b.example", 28, 250)}, History: map[string]History{
		"a.example": history(flat(12, 27), flat(12, 246)), "b.example": history(flat(12, 25), flat(12, 246)),
	}}
}

func tunnel(d *Data, bits, names float64) {
	zones(d)
	d.Zones.Rows = append([]Row{at("sea.example", names, 4*names)}, d.Zones.Rows...)
	d.Zones.History = map[string]History{"sea.example": history(two(0, names), two(90, names)), "a.example": history(flat(12, 27), flat(12, 246))}
	d.Bits = Table{Rows: []Row{at("sea.example", 14823, 57405), at("a.example", 4582, 18693)}, History: map[string]History{
		"sea.example": history(two(0, bits), two(900, bits)), "a.example": history(flat(12, 4582), flat(12, 7000)),
	}}
}

func amplify(d *Data, ratio, queries float64) {
	row := at("10.0.0.0/24", 5e6, 5e6)
	row.Ratio, row.QueryBytes = ratio, queries
	d.Amplified = Table{Rows: []Row{row}, Total: 6e6, History: map[string]History{"10.0.0.0/24": history(flat(12, 4e5))}}
}

const quietText = "No rise of NXDOMAIN, of SERVFAIL, of queries or of those without a response, and no zone or network is far ahead of the others."

// TestJudge: calm servers cause no headline, whatever they look like, and each attack has the right one. The cases are what captures of
// real servers and attacks look like, in short. Sealed minutes have wide bounds, the live one has narrow ones.
func TestJudge(t *testing.T) {
	const tunnelText = "Names below sea.example carry data: at least 140 bits in each of 222 names or more. It is a tunnel, or a service that puts data into names, such as a virus scanner."
	for name, c := range map[string]struct {
		change   func(d *Data)
		headline string
		at       int
		text     string
	}{
		"a root server: most names never exist": {func(*Data) {}, "", -1, quietText},
		"the same, with zones":                  {zones, "", -1, quietText},
		"a few minutes only": {func(d *Data) {
			d.Queries, d.NX = append(flat(9, -1), 1, 1, 500), append(flat(9, -1), 0, 0, 1)
		}, "", -1, "There is too little data to compare with its past: 3 minutes. No zone or network is far ahead of the others."},
		"a burst of names that do not exist": {func(d *Data) { d.NX, d.Queries = two(0, 0.63), two(0.55, 174) }, "Many names that do not exist", 8,
			"NXDOMAIN was 0.0% of the responses, and 63.0% from 00:08 UTC on. Queries: 0.55 a second before, 174 from 00:08 UTC on."},
		"servers fail":    {func(d *Data) { d.ServFail = append(two(0.01, 0.4), 0.01) }, "Many failures of servers", 8, "SERVFAIL was 1.0% of the responses, and 40.0% from 00:08 UTC to 00:12."},
		"no responses":    {func(d *Data) { d.Timeouts = two(0.1, 40) }, "Many queries without a response", 8, "Queries without a response: 0.1 before, 40 a second from 00:08 UTC on."},
		"a tunnel begins": {func(d *Data) { tunnel(d, 31110, 222) }, "Data in names below sea.example", 8, tunnelText},
		"a tunnel that was always there": {func(d *Data) {
			tunnel(d, 31110, 222)
			d.Zones.History["sea.example"], d.Bits.History["sea.example"] = history(flat(12, 222)), history(flat(12, 31110))
		}, "", -1, tunnelText},
		"random names have few bits each":      {func(d *Data) { tunnel(d, 12000, 222) }, "", -1, quietText},
		"a few long names":                     {func(d *Data) { tunnel(d, 31110, 40) }, "", -1, quietText},
		"another zone has nearly as many bits": {func(d *Data) { tunnel(d, 20000, 150) }, "", -1, quietText},
		"new names in the live minute": {func(d *Data) {
			d.Zones = Table{Rows: []Row{at("test.example", 911, 4159), at("a.example", 30, 263)}, History: map[string]History{
				"test.example": history(append(flat(8, 0), 911, 911, 911, 1999), append(flat(8, 90), 4159, 4159, 4159, 1999)), "a.example": history(flat(12, 84)),
			}}
		}, "Many new names below test.example", 8, "Many new names below test.example: at least 1,999 distinct ones in one step, from 00:11 UTC, 23 times as many as below any other zone."},
		"a zone that always has many names": {func(d *Data) {
			d.Zones = Table{Rows: []Row{at("cdn.example", 20000, 20000), at("a.example", 100, 100)}, History: map[string]History{"cdn.example": history(flat(12, 20000)), "a.example": history(flat(12, 100))}}
			d.Zones.Rows[0].Failed, d.FailedNames = Failed{NX: 20}, Failed{NX: 1000}
		}, "", -1, quietText},
		"an attacked zone behind a popular one": {func(d *Data) {
			d.NX = two(0.05, 0.6)
			d.Zones = Table{Rows: []Row{at("cdn.example", 20000, 60000), at("shop.example", 9000, 30000)}, History: map[string]History{
				"cdn.example": history(flat(12, 1000)), "shop.example": history(two(0, 9000), two(90, 9500)),
			}}
		}, "Random-subdomain attack on shop.example", 8,
			"NXDOMAIN was 5.0% of the responses, and 60.0% from 00:08 UTC on. Random names below shop.example: at least 9,000 distinct ones in one step, from 00:08 UTC, 9 times as many as below any other zone."},
		"a zone whose names fail all the time": {func(d *Data) {
			d.Failed, d.Replies, d.Asked, d.ServFail = Failed{ServFail: 3000}, 10000, 10000, flat(12, 0.3)
			d.Zones = Table{Rows: []Row{at("shop.example", 9000, 9500)}, History: map[string]History{"shop.example": history(flat(12, 900))}}
			d.Zones.Rows[0].Failed, d.FailedNames = Failed{ServFail: 2500}, Failed{ServFail: 3000}
		}, "Random-subdomain attack on shop.example", -1,
			"Random names below shop.example: at least 9,000 distinct ones, and no other zone has any; 30.0% of the responses are SERVFAIL, and most of these are below it. There is no quiet time to compare with: it is so in all of the data, which begins at 00:00 UTC. So when it began is not known, nor whether this is usual here."},
		"a zone whose servers are down, after one quiet minute": {func(d *Data) {
			d.Failed, d.Asked, d.Timeouts = Failed{Timeouts: 9000}, 12000, append(Values{0}, flat(11, 40)...)
			d.Zones = Table{Rows: []Row{at("shop.example", 9000, 9500)}, History: map[string]History{"shop.example": history(append(Values{4}, flat(11, 900)...))}}
			d.Zones.Rows[0].Failed, d.FailedNames = Failed{Timeouts: 8000}, Failed{Timeouts: 9000}
		}, "Random-subdomain attack on shop.example", 1,
			"Random names below shop.example: at least 9,000 distinct ones, and no other zone has any; 75.0% of the queries get no response, and most of these are below it. There is little quiet time to compare with: 1 minute before it began."},
		"an attack that has ended": {func(d *Data) {
			d.NX = append(append(flat(5, 0.05), flat(4, 0.6)...), flat(3, 0.05)...)
			d.Zones = Table{Rows: []Row{at("shop.example", 9000, 9500)}, History: map[string]History{"shop.example": history(append(append(flat(5, 0), flat(4, 9000)...), flat(3, 0)...))}}
		}, "Random-subdomain attack on shop.example", 5, "NXDOMAIN was 5.0% of the responses, and 60.0% from 00:05 UTC to 00:09. " +
			"Random names below shop.example: at least 9,000 distinct ones, and no other zone has any; it ended at 00:09 UTC."},
		"an attack that began in the first minute, and queries that get no response later": {func(d *Data) {
			d.Failed, d.NX = Failed{NX: 90_000}, append(flat(2, 0.77), flat(10, 0.95)...)
			d.Timeouts = two(23, 147)
			d.Zones = Table{Rows: []Row{at("shop.example", 90000, 95000)}, History: map[string]History{"shop.example": history(append(flat(2, 16000), flat(10, 90000)...))}}
			d.Zones.Rows[0].Failed, d.FailedNames = Failed{NX: 89_000}, Failed{NX: 90_000}
		}, "Random-subdomain attack on shop.example", -1, "Queries without a response: 23 before, 147 a second from 00:08 UTC on. " +
			"Random names below shop.example: at least 90,000 distinct ones, and no other zone has any. " +
			"There is no quiet time to compare with: it is so in all of the data, which begins at 00:00 UTC. So when it began is not known, nor whether this is usual here."},
		"a resolver gets most bytes": {func(d *Data) { amplify(d, 3, 1.6e6) }, "", -1, quietText},
		"a resolver with large answers, always": {func(d *Data) { amplify(d, 8, 6e5) }, "", -1,
			"10.0.0.0/24 gets 5 MB of responses, 83.3% of all, for 600 kB of queries: at least 8 times as much."},
	} {
		d := calm()
		c.change(d)
		a := Judge(d)
		var texts []string
		for _, s := range a.Sentences {
			texts = append(texts, s.Text)
		}
		since := int64(0)
		if c.at >= 0 {
			since = 60 * int64(c.at)
		}
		if ended := strings.Contains(c.text, "it ended at"); ended != (a.Until == 9*60) || ended && a.Strong {
			t.Errorf("%s: until %d, strong %v", name, a.Until, a.Strong)
		}
		if got := strings.Join(texts, " "); a.Headline != c.headline || a.Since != since || a.SinceEarlier != (c.headline != "" && c.at < 0) || got != c.text {
			t.Errorf("%s: %q since %d, earlier %v: %s\nwant %q since %d: %s", name, a.Headline, a.Since, a.SinceEarlier, got, c.headline, since, c.text)
		}
	}
}

// TestAskers: the verdict names the client, the network or the wider prefix from which the queries of an attack come, whichever says
// most, also if there are more networks than the table can count.
func TestAskers(t *testing.T) {
	nets := func(n int, format string, lower float64) (rows []Row) {
		for i := range n {
			rows = append(rows, at(fmt.Sprintf(format, i), lower, lower+5))
		}
		return rows
	}
	for name, c := range map[string]struct {
		clients, prefixes Table
		late              bool
		subject, text     string
	}{
		"one client": {Table{Rows: []Row{at("198.51.100.7", 900, 900)}, Total: 3000}, Table{Rows: []Row{at("198.51.100.0/24", 1200, 1200)}, Total: 3000}, false,
			"198.51.100.7", "198.51.100.7 gets 30.0% of all NXDOMAIN responses."},
		"one network": {Table{Rows: []Row{at("198.51.100.7", 900, 900)}, Total: 3000}, Table{Rows: []Row{at("198.51.100.0/24", 2400, 2400)}, Total: 3000}, false,
			"198.51.100.0/24", "198.51.100.0/24 gets 80.0% of all NXDOMAIN responses."},
		"a /16": {Table{Rows: []Row{at("100.66.3.7", 3, 3)}, Total: 3000}, Table{Rows: append(nets(256, "100.66.%d.0/24", 10), nets(40, "10.1.%d.0/24", 5)...), Total: 3000}, false,
			"100.66.0.0/16", "100.66.0.0/16 gets 85.3% of all NXDOMAIN responses: they are spread over 256 or more of its /24 networks."},
		"half of a /16": {Table{Rows: []Row{at("100.66.3.7", 3, 3)}, Total: 3000}, Table{Rows: append(nets(128, "100.66.%d.0/24", 20), nets(40, "10.1.%d.0/24", 5)...), Total: 3000}, false,
			"100.66.0.0/17", "100.66.0.0/17 gets 85.3% of all NXDOMAIN responses: they are spread over 128 or more of its /24 networks."},
		"an IPv6 /32, no responses": {Table{}, Table{Rows: nets(200, "2001:db8:%x00::/48", 15), Total: 3000}, true,
			"2001:db8::/32", "2001:db8::/32 sends 100% of all queries without a response: they are spread over 200 or more of its /48 networks."},
		"more networks than fit": {Table{Rows: []Row{at("2001:db8::7", 1, 9)}, Total: 90_000}, Table{Rows: append(nets(900, "2001:db8:%x0::/48", 0), nets(100, "10.1.%d.0/24", 0)...), Total: 90_000}, false,
			"2001:db8::/34", "The NXDOMAIN responses are spread over very many networks, and most of these are in 2001:db8::/34: 900 of the 1,000 (/48) in the table."},
		"from everywhere": {Table{Rows: []Row{at("198.51.100.7", 3, 3)}, Total: 3000}, Table{Rows: nets(200, "%d.1.1.0/24", 15), Total: 3000}, false,
			"", "No client or network stands out: the queries come from many."},
		"two networks of a /16": {Table{Rows: []Row{at("198.51.100.7", 3, 3)}, Total: 3000}, Table{Rows: nets(2, "198.51.%d.0/24", 700), Total: 3000}, false,
			"", "No client or network stands out: the queries come from many."},
		"too few": {Table{Rows: []Row{at("198.51.100.7", 90, 90)}, Total: 100}, Table{Rows: nets(256, "100.66.%d.0/24", 3), Total: 900}, false,
			"", "No client or network stands out: the queries come from many."},
	} {
		d := calm()
		d.NX, d.ClientsNX, d.PrefixesNX = two(0.05, 0.6), c.clients, c.prefixes
		if c.late {
			d.NX, d.Timeouts = flat(12, 0.05), two(0.1, 40)
			d.ClientsNX, d.ClientsLate, d.PrefixesNX, d.PrefixesLate = Table{}, c.clients, Table{}, c.prefixes
		}
		a := Judge(d)
		i := slices.IndexFunc(a.Sentences, func(s api.AttackSentence) bool { return s.Kind == kindClients })
		if i < 0 || a.Sentences[i].Text != c.text || a.Sentences[i].Subject != c.subject {
			t.Errorf("%s: %+v\nwant %q: %s", name, a.Sentences, c.subject, c.text)
		}
	}
}

// TestFirstSeconds: the first seconds of the data blame nobody, and neither do a few queries that happen to have something in common.
func TestFirstSeconds(t *testing.T) {
	const wait = "There is too little data to judge: 12 seconds of the 20 that it takes."
	for name, c := range map[string]struct {
		seconds, queries float64
		headline, text   string
	}{
		"twelve seconds":   {12, 5000, "", wait},
		"a minute":         {60, 5000, "Amplification attack on 10.0.0.0/24", "Its queries look forged: all from one port."},
		"not known":        {0, 5000, "Amplification attack on 10.0.0.0/24", "Its queries look forged: all from one port."},
		"few queries":      {60, 150, "", "at least 8 times as much."},
		"just long enough": {20, 200, "Amplification attack on 10.0.0.0/24", "Its queries look forged: all from one port."},
	} {
		d := calm()
		amplify(d, 8, 6e5)
		d.Seconds, d.Amplified.Rows[0].Queries, d.Amplified.Rows[0].Hints = c.seconds, c.queries, []string{"one_port"}
		a := Judge(d)
		if a.Headline != c.headline || !strings.Contains(a.Sentences[0].Text, c.text) || c.text == wait && (a.Baseline != None || len(a.Sentences) != 1) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestJudgeAnything: whatever the numbers are, there is a verdict with a sentence, and no panic.
func TestJudgeAnything(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	value := func() float64 { return []float64{-1, 0, 1, 600, 1e6, 1e18}[rnd.IntN(6)] * rnd.Float64() }
	for i := range 20_000 {
		n := rnd.IntN(8)
		list := func() (out Values) {
			for range n {
				out = append(out, value())
			}
			return out
		}
		table := func() Table {
			x := Table{Total: value(), History: map[string]History{}}
			for k := range rnd.IntN(3) {
				name := []string{fmt.Sprint(k), "10.0.0.0/24", "2001:db8::/48", "0.0.0.0/0"}[rnd.IntN(4)]
				x.Rows = append(x.Rows, Row{Name: name, Lower: value(), Upper: value(), Ratio: value(), QueryBytes: value(), Hints: []string{"one_port", "unknown"}, Failed: Failed{value(), value(), value()}})
				if rnd.IntN(2) == 0 {
					x.History[name] = History{list(), list()}
				}
			}
			return x
		}
		d := &Data{From: int64(rnd.IntN(1e9)), Step: 60, NX: list(), ServFail: list(), Queries: list(), Timeouts: list(), Replies: value(), Asked: value(), Failed: Failed{value(), value(), value()},
			Zones: table(), Bits: table(), FailedNames: Failed{value(), value(), value()}, Amplified: table(), AmplifiedTypes: table(), AmplifiedNames: table(), ClientsNX: table(), ClientsLate: table(), PrefixesNX: table(), PrefixesLate: table(), Seconds: value()}
		if a := Judge(d); len(a.Sentences) == 0 || len(a.Sentences) > 20 {
			t.Fatalf("case %d: %+v of %+v", i, a, d)
		}
	}
}

// TestTexts: numbers in sentences are written as on the page.
func TestTexts(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5512: "0.551", 42.26: "42.3", 174: "174", 9999: "9,999", 12345: "12.3 k", 999_999: "1 M", 1.234e6: "1.23 M", 2e18: "2 E"} {
		if got := short(v); got != want {
			t.Errorf("short(%v): %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0.0%", 0.0001: "< 0.1%", 0.61: "61.0%", 0.9999: "100%", 1: "100%"} {
		if got := percent(v); got != want {
			t.Errorf("percent(%v): %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{1: "1 minute", 5: "5 minutes", 60: "1 h", 90: "1 h 30 min"} {
		if got := steps(n, 60); got != want {
			t.Errorf("steps(%d): %q, want %q", n, got, want)
		}
	}
	if got := bytesText(600_000) + bytesText(12); got != "600 kB12 B" || exact(1_234_567) != "1,234,567" {
		t.Errorf("%s, %s", got, exact(1_234_567))
	}
}
