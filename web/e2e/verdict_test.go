package e2e

import (
	"encoding/json"
	"testing"
)

// verdictCases are what captures of real servers and attacks look like in the attack view, in short: eight quiet minutes and four of
// something. Sealed minutes have wide bounds, the live one has narrow ones.
const verdictCases = `(() => {
	const flat = (n, v) => Array(n).fill(v), two = (quiet, loud) => [...flat(8, quiet), ...flat(4, loud)];
	const history = (rows) => new Map(Object.entries(rows).map(([name, [lower, upper]]) => [name, {lower, upper: upper ?? lower}]));
	const row = (name, lower, upper = lower) => ({name, estimate: lower, lower, upper});
	const calm = {from: 0, step: 60, nxShare: flat(12, 0.63), timeouts: flat(12, 0), queries: flat(12, 174)};
	const zones = {zones: [row("a.example", 30, 250), row("b.example", 28, 250)], namesHistory: history({"a.example": [flat(12, 27), flat(12, 246)], "b.example": [flat(12, 25), flat(12, 246)]})};
	const tunnel = (bits, names) => ({
		zones: [row("sea.example", names, 4 * names), ...zones.zones], namesHistory: history({"sea.example": [two(0, names), two(90, names)], "a.example": [flat(12, 27), flat(12, 246)]}),
		bits: [row("sea.example", 14823, 57405), row("a.example", 4582, 18693)], bitsHistory: history({"sea.example": [two(0, bits), two(900, bits)], "a.example": [flat(12, 4582), flat(12, 7000)]}),
	});
	return {
		"a root server: most names never exist": calm,
		"the same, with zones": {...calm, ...zones},
		"a few minutes only": {...calm, queries: [...flat(9, null), 1, 1, 500], nxShare: [...flat(9, null), 0, 0, 1]},
		"a burst of names that do not exist": {...calm, nxShare: two(0, 0.63), queries: two(0.55, 174)},
		"a tunnel begins": {...calm, ...tunnel(31110, 222)},
		"a tunnel that was always there": {...calm, ...tunnel(31110, 222), namesHistory: history({"sea.example": [flat(12, 222)]}), bitsHistory: history({"sea.example": [flat(12, 31110)], "a.example": [flat(12, 4582)]})},
		"random names have few bits each": {...calm, ...tunnel(12000, 222)},
		"a few long names": {...calm, ...tunnel(31110, 40)},
		"another zone has nearly as many bits": {...calm, ...tunnel(20000, 150)},
		"new names in the live minute": {...calm, zones: [row("test.example", 911, 4159), row("a.example", 30, 263)], namesHistory: history({"test.example": [[...flat(8, 0), 911, 911, 911, 1999], [...flat(8, 90), 4159, 4159, 4159, 1999]], "a.example": [flat(12, 84)]})},
		"a zone that always has many names": {...calm, zones: [row("cdn.example", 20000), row("a.example", 100)], namesHistory: history({"cdn.example": [flat(12, 20000)], "a.example": [flat(12, 100)]})},
		"an attacked zone behind a popular one": {...calm, nxShare: two(0.05, 0.6), zones: [row("cdn.example", 20000, 60000), row("shop.example", 9000, 30000)],
			namesHistory: history({"cdn.example": [flat(12, 1000)], "shop.example": [two(0, 9000), two(90, 9500)]})},
		"a resolver gets most bytes": {...calm, amplified: [{...row("10.0.0.0/24", 5e6), ratio: 3, queries_bytes: 1.6e6}], amplifiedTotal: 6e6, amplifiedHistory: flat(12, 4e5)},
		"a resolver with large answers, always": {...calm, amplified: [{...row("10.0.0.0/24", 5e6), ratio: 8, queries_bytes: 6e5}], amplifiedTotal: 6e6, amplifiedHistory: flat(12, 4e5)},
	};
})()`

// TestVerdict: calm servers cause no headline, whatever they look like, and each attack has the right one.
func TestVerdict(t *testing.T) {
	p := open(t, proxied(t, demoAgent(t), nil), looks[1])
	p.until("globalThis.pktvisor")
	var got map[string][3]any
	p.eval("Object.fromEntries(Object.entries("+verdictCases+").map(([name, d]) => { const v = pktvisor.verdict.verdict(d); return [name, [v.headline ?? '', v.at ?? -1, v.sentences.join(' ')]] }))", &got)
	for name, want := range map[string][3]any{
		"a root server: most names never exist": {"", -1.0, ""},
		"the same, with zones":                  {"", -1.0, ""},
		"a few minutes only":                    {"", -1.0, ""},
		"a burst of names that do not exist":    {"Many names that do not exist", 8.0, "NXDOMAIN was 0.0% of the responses, and 63.0% from 00:08 UTC on. Queries: 0.55 a second before, 174 from 00:08 UTC on."},
		"a tunnel begins":                       {"Data in names below sea.example", 8.0, "Names below sea.example carry data: at least 140 bits in each of 222 names or more. It is a tunnel, or a service that puts data into names, such as a virus scanner."},
		"a tunnel that was always there":        {"", -1.0, "Names below sea.example carry data: at least 140 bits in each of 222 names or more. It is a tunnel, or a service that puts data into names, such as a virus scanner."},
		"random names have few bits each":       {"", -1.0, ""},
		"a few long names":                      {"", -1.0, ""},
		"another zone has nearly as many bits":  {"", -1.0, ""},
		"new names in the live minute":          {"Many new names below test.example", 8.0, "Many new names below test.example: at least 1,999 distinct ones in one step, from 00:11 UTC, 23 times as many as below any other zone."},
		"a zone that always has many names":     {"", -1.0, ""},
		"an attacked zone behind a popular one": {"Random-subdomain attack on shop.example", 8.0, "NXDOMAIN was 5.0% of the responses, and 60.0% from 00:08 UTC on. Random names below shop.example: at least 9,000 distinct ones in one step, from 00:08 UTC, 9 times as many as below any other zone."},
		"a resolver gets most bytes":            {"", -1.0, ""},
		"a resolver with large answers, always": {"", -1.0, "10.0.0.0/24 gets 5 MB of responses, 83.3% of all, for 600 kB of queries: at least 8 times as much."},
	} {
		if got[name] != want {
			b, _ := json.Marshal(got[name])
			t.Errorf("%s: %s, want %q", name, b, want)
		}
	}
	if len(got) != 14 {
		t.Errorf("%d cases", len(got))
	}
}
