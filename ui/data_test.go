package ui

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"

	"pktvisor/api"
)

// The data sets of the golden screens. Each is the JSON that an agent may send, so that every test includes the
// decoding.

type obj = map[string]any

// clock is the time at which the golden screens are drawn.
var clock = time.Date(2026, 3, 14, 3, 7, 42, 0, time.UTC)

const minuteStart = 1773457620 // 03:07:00 of that day

// top makes rows with falling estimates.
func top(first float64, names ...string) []obj {
	var out []obj
	for i, n := range names {
		out = append(out, obj{"name": n, "estimate": math.Floor(first / math.Pow(float64(i+1), 0.9))})
	}
	return out
}

// bounded gives rows the bounds that this project's agents send. The estimate is the lower bound; the upper bound is
// higher by the given part of it.
func bounded(rows []obj, above float64) []obj {
	for _, r := range rows {
		e := r["estimate"].(float64)
		r["lower"], r["upper"] = e, math.Ceil(e*(1+above))
	}
	return rows
}

func quantiles(p50 float64) obj {
	return obj{"p50": p50, "p90": math.Round(p50 * 2.1), "p95": math.Round(p50 * 2.9), "p99": math.Round(p50 * 7.3),
		"min": math.Round(p50 / 9), "max": math.Round(p50 * 31), "count": 1000, "live": math.Round(p50 * 1.13)}
}

// busySummary returns a resolver's minute or window of length seconds. Traffic is at the given level (1 is usual), with
// the given share of NXDOMAIN responses. The tables count one of sample.
func busySummary(key string, start, length int, level, nx, sample float64) []byte {
	n := func(perSecond float64) float64 { return math.Floor(perSecond * float64(length) * level) }
	deep := func(perSecond float64) float64 { return math.Floor(n(perSecond) / sample) }
	total, dns := n(2410), n(1830)
	replies := math.Floor(dns * 0.493)
	packets := obj{
		"total": total, "udp": math.Floor(total * .787), "tcp": math.Floor(total * .205), "other_l4": math.Floor(total * .008),
		"ipv4": math.Floor(total * .71), "ipv6": math.Floor(total * .289), "non_ip": 41, "malformed": 2, "unsupported_link": 0,
		"in": math.Floor(total * .508), "out": math.Floor(total * .485), "unknown_dir": math.Floor(total * .007),
		"deep_samples": math.Floor(total / sample), "deep_sample_factor": sample,
		"bytes":       obj{"total": total * 131, "in": total * 47, "out": total * 84},
		"protocol":    obj{"tcp": obj{"syn": n(31)}},
		"cardinality": obj{"src_ips_in": 5431, "src_ips_in_error": 0.018, "dst_ips_out": 5210, "dst_ips_out_error": 0.018},
		"rates": obj{"pps_in": quantiles(1190 * level), "pps_out": quantiles(1104 * level), "pps_total": quantiles(2301 * level),
			"bps_in": quantiles(441_000 * level), "bps_out": quantiles(1_630_000 * level), "bps_total": quantiles(2_071_000 * level)},
		"payload_size": quantiles(74), "size": quantiles(116),
		"top_ipv4": top(deep(310), "192.0.2.53", "198.51.100.7", "203.0.113.80", "198.51.100.214", "192.0.2.129", "203.0.113.9",
			"198.51.100.31", "192.0.2.77", "203.0.113.200", "198.51.100.66"),
		"top_ipv6": top(deep(140), "2001:db8::53", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:0:7::1", "2001:db8:f00d::25",
			"2001:db8:cafe:1::9", "2001:db8::1:0:0:7"),
		"top_geoLoc": top(deep(610), "NA/United States/VA/Ashburn", "EU/Germany/HE/Frankfurt am Main", "SA/Brazil/SP/São Paulo",
			"EU/Switzerland/ZH/Zürich", "AS/Japan/13/Tokyo", "Unknown", "EU/Ireland/L/Dublin", "OC/Australia/NSW/Sydney"),
		"top_ASN": top(deep(580), "64500/EXAMPLE-TRANSIT", "64501/Example Broadband GmbH", "64502/EXAMPLE-CDN", "Unknown",
			"64503/Universidade de Exemplo", "64504/EXAMPLE-MOBILE-AS-BLOCK-2"),
	}
	x := func(part, p50 float64, slow ...string) obj {
		return obj{"total": math.Floor(replies * part), "timeouts": math.Floor(replies * part * .004), "orphans": math.Floor(replies * part * .001),
			"quantiles_us": quantiles(p50), "top_slow": top(deep(1.4), slow...)}
	}
	dnsSection := obj{
		"wire_packets": obj{"total": dns, "queries": dns - replies, "replies": replies, "udp": math.Floor(dns * .968), "tcp": math.Floor(dns * .032),
			"ipv4": math.Floor(dns * .73), "ipv6": math.Floor(dns * .27), "in": math.Floor(dns * .51), "out": math.Floor(dns * .49), "unknown_dir": 0,
			"nxdomain": math.Floor(replies * nx), "srvfail": math.Floor(replies * .013), "refused": math.Floor(replies * .006),
			"noerror": math.Floor(replies * (.981 - nx)), "nodata": math.Floor(replies * .083), "truncated": n(2), "edns": math.Floor(dns * .81),
			"ecs": n(9), "other_class": 3, "other_opcode": 7, "malformed": 5},
		"deep_samples": math.Floor(dns / sample), "deep_sample_factor": sample,
		"cardinality":   obj{"qname": 18234, "qname_error": 0.018},
		"rates":         obj{"total": quantiles(1755 * level)},
		"response_size": quantiles(142),
		"xact": obj{"counts": obj{"total": replies - 30, "timeouts": math.Floor(replies * .004), "orphans": math.Floor(replies * .001)},
			"in":  x(.8, 610, "cold.cdn.example.net", "deep.chain.example.org", "www.example.edu", "mail.example.net"),
			"out": x(.2, 18_400, "ns-far.example.jp", "lame.example.info", "static.example.com", "tracker.example.biz", "api.example.io"),
			"ad":  n(60), "aa": n(140), "cd": n(2), "ratio": obj{"quantiles": obj{"p50": 1.62, "p90": 4.1, "p95": 5.77, "p99": 11.9, "max": 31}}},
		"top_qname2": top(deep(190), ".example.com", ".example.net", ".cdn-example.org", ".example.org", ".cloud-example.com", ".example.edu",
			".ntp-pool.example", ".example.info", ".ads-example.net", ".example.io"),
		"top_qname3": top(deep(120), ".www.example.com", ".api.example.com", "cdn.example.net", ".edge.cdn-example.org", ".mail.example.net",
			".telemetry.example.com", ".0.cloud-example.com", ".img.example.org", "ocsp.example.org", ".auth.example.io"),
		"top_nxdomain": bounded(top(deep(48*nx/.11), ".wpad.example.lan", "isatap.example.lan", "a8f2kq0z.attack.example.org", "local.example",
			"x91mm2pv.attack.example.org", "3kd0fqwe.attack.example.org", "_ldap._tcp.dc._msdcs.example.lan", "printer.example.lan"), .02),
		"top_srvfail":        top(deep(3.1), "broken-dnssec.example.org", "expired.example.net", "lame.example.info", "ns-gone.example.com"),
		"top_refused":        top(deep(1.7), "recursive.example.edu", "version.bind", "open-resolver-test.example.net"),
		"top_nodata":         top(deep(31), "v4only.example.com", "printer.example.net", "legacy.example.org", "www.example.edu"),
		"top_noerror":        top(deep(90), "www.example.com", "api.example.com", "cdn.example.net", "mail.example.net", "www.example.org"),
		"top_timeout":        top(deep(1.1), "dead.example.info", "unreachable.example.net", "slow.example.biz"),
		"top_response_bytes": top(deep(8_100), "dnssec-big.example.org", "txt.example.com", "www.example.com", "any.example.net"),
		"top_ecs":            top(deep(5), "198.51.100.0/24", "203.0.113.0/24", "2001:db8:77::/48"),
		"top_opcode":         []obj{{"name": "QUERY", "estimate": math.Floor(dns/sample) - 7}, {"name": "NOTIFY", "estimate": 6}, {"name": "UPDATE", "estimate": 1}},
		"top_rcode": []obj{{"name": "NOERROR", "estimate": math.Floor(replies * (.981 - nx) / sample)}, {"name": "NXDOMAIN", "estimate": math.Floor(replies * nx / sample)},
			{"name": "SRVFAIL", "estimate": math.Floor(replies * .013 / sample)}, {"name": "REFUSED", "estimate": math.Floor(replies * .006 / sample)}},
		"top_qtype": []obj{{"name": "A", "estimate": math.Floor(dns * .55 / sample)}, {"name": "AAAA", "estimate": math.Floor(dns * .27 / sample)},
			{"name": "HTTPS", "estimate": math.Floor(dns * .11 / sample)}, {"name": "PTR", "estimate": math.Floor(dns * .04 / sample)},
			{"name": "TXT", "estimate": math.Floor(dns * .02 / sample)}, {"name": "SRV", "estimate": math.Floor(dns * .007 / sample)}, {"name": "TYPE65400", "estimate": 2}},
		"top_udp_ports": top(deep(2.2), "53000", "40112", "61734", "5353", "33099", "58221", "49152", "60001", "37733", "51820"),
	}
	return encode(obj{key: obj{
		"period":  obj{"start_ts": start, "length": length, "lost": 0},
		"packets": packets, "dns": dnsSection,
		"pcap": obj{"os_drops": 0, "if_drops": 0, "received": total, "discarded": 0, "freezes": 0, "tcp_reassembly_errors": 0},
	}})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// change returns the JSON b with the values at the given paths replaced; nil removes a value.
func change(b []byte, key string, with map[string]any) []byte {
	var top map[string]obj
	if err := json.Unmarshal(b, &top); err != nil {
		panic(err)
	}
	for path, v := range with {
		at := top[key]
		for {
			head, rest, more := cutPath(path)
			if !more {
				if v == nil {
					delete(at, head)
				} else {
					at[head] = v
				}
				break
			}
			at, path = at[head].(obj), rest
		}
	}
	return encode(top)
}

func cutPath(path string) (head, rest string, more bool) {
	for i := range path {
		if path[i] == '.' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// dataSet holds an agent's answers at one moment.
type dataSet struct {
	name    string
	window  []byte
	minutes [][]byte // newest first
	rates   string
	app     string
	tables  string // empty for an agent without the route
}

const busyApp = `{"app":{"version":"1.0.0","build":"3eb47eac","periods":5,"up_time_min":4402.5,"deep_sample_rate_pct":100,"shards":2,
"sources":[{"name":"eth0","received":2024310,"os_drops":0}],"memory":{"resident":31457280}},"dns":{"xact":{"open":17}}}`

func dataSets() []dataSet {
	busy := dataSet{
		name:   "busy",
		window: busySummary("5m", minuteStart-240, 282, 1, .11, 1),
		rates:  `{"packets":{"pps_in":1260,"pps_out":1204,"pps_total":2464}}`,
		app:    busyApp,
	}
	// More SERVFAIL than usual, and names that the previous minutes did not have or had at another rank.
	busy.window = change(busy.window, "5m", map[string]any{"dns.wire_packets.srvfail": 6_106, "dns.wire_packets.noerror": 218_798, "dns.top_rcode": []obj{
		{"name": "NOERROR", "estimate": 218_798}, {"name": "NXDOMAIN", "estimate": 27_985}, {"name": "SRVFAIL", "estimate": 6_106}, {"name": "REFUSED", "estimate": 1_526}}})
	for k := 1; k < 5; k++ {
		b := busySummary("1m", minuteStart-60*k, 60, 1-.04*float64(k), .11, 1)
		busy.minutes = append(busy.minutes, change(b, "1m", map[string]any{
			"dns.top_nxdomain": top(280, ".wpad.example.lan", "isatap.example.lan", "local.example", "printer.example.lan"),
			"dns.top_srvfail":  top(90, "expired.example.net", "lame.example.info", "broken-dnssec.example.org"),
			"dns.top_qname2": top(9000, ".example.com", ".cdn-example.org", ".example.net", ".example.org", ".cloud-example.com",
				".example.edu", ".example.info", ".ntp-pool.example", ".ads-example.net", ".example.io"),
		}))
	}

	empty := dataSet{name: "empty", window: []byte(`{"5m":{"period":{"start_ts":1773457620,"length":4},"packets":{"total":0,"udp":0,"tcp":0,
		"other_l4":0,"ipv4":0,"ipv6":0,"in":0,"out":0,"deep_samples":0,"cardinality":{"src_ips_in":0,"dst_ips_out":0},"rates":{"pps_in":{},"pps_out":{}},
		"top_ipv4":[],"top_ipv6":[],"top_geoLoc":[],"top_ASN":[]},"dns":{"wire_packets":{"total":0,"queries":0,"replies":0,"tcp":0,"udp":0,"ipv4":0,"ipv6":0,
		"nxdomain":0,"refused":0,"srvfail":0,"noerror":0},"cardinality":{"qname":0},"xact":{"counts":{"total":0},"in":{"total":0,"quantiles_us":{},"top_slow":[]},
		"out":{"total":0,"top_slow":[]}},"top_qname2":[],"top_rcode":[]},"pcap":{"os_drops":0,"if_drops":0}}}`),
		rates: `{"packets":{"pps_in":0,"pps_out":0,"pps_total":0}}`, app: busyApp}

	one := dataSet{name: "one", window: []byte(`{"5m":{"period":{"start_ts":1773457620,"length":9,"partial":true},"packets":{"total":1,"udp":1,"tcp":0,
		"other_l4":0,"ipv4":1,"ipv6":0,"in":1,"out":0,"unknown_dir":0,"deep_samples":1,"deep_sample_factor":1,"cardinality":{"src_ips_in":1,"dst_ips_out":0},
		"rates":{"pps_in":{"p50":0,"p90":0,"p95":0,"p99":1},"pps_out":{"p50":0,"p90":0,"p95":0,"p99":0}},"top_ipv4":[{"name":"192.0.2.1","estimate":1}]},
		"dns":{"wire_packets":{"total":1,"queries":1,"replies":0,"tcp":0,"udp":1,"ipv4":1,"ipv6":0,"nxdomain":0,"refused":0,"srvfail":0,"noerror":0},
		"cardinality":{"qname":1},"xact":{"counts":{"total":0,"timeouts":0,"orphans":0},"in":{"total":0},"out":{"total":0}},
		"top_qname2":[{"name":".example.com","estimate":1}],"top_qname3":[{"name":"www.example.com","estimate":1}],
		"top_qtype":[{"name":"A","estimate":1}],"top_udp_ports":[{"name":"40000","estimate":1}]}}}`),
		rates: `{"packets":{"in":1,"out":0}}`, app: busyApp}

	// Random subdomains of one zone from spoofed sources. The kernel drops packets, and the agent samples.
	flood := dataSet{name: "flood", rates: `{"packets":{"pps_in":812345,"pps_out":20114,"pps_total":832459}}`, app: busyApp}
	flood.window = change(busySummary("5m", minuteStart-240, 282, 212, .87, 10), "5m", map[string]any{
		"period.lost": 31_415_926, "pcap.os_drops": 31_415_926, "pcap.freezes": 12,
		"dns.wire_packets.srvfail": 1_400_000, "dns.xact.counts.timeouts": 9_000_000,
		"packets.cardinality.src_ips_in": 48_200_000, "dns.cardinality.qname": 71_300_000,
		"dns.top_qname2":   []obj{{"name": ".victim.example", "estimate": 10_400_000, "lower": 10_399_000, "upper": 10_401_000}, {"name": ".example.com", "estimate": 52_000}},
		"dns.top_nxdomain": bounded(top(3, "q0x8f.victim.example", "zz81k.victim.example", "pqo1m.victim.example"), 2700),
	})
	flood.minutes = [][]byte{
		change(busySummary("1m", minuteStart-60, 60, 212, .87, 10), "1m", map[string]any{"period.lost": 31_415_926}),
		busySummary("1m", minuteStart-120, 60, 1, .11, 1), busySummary("1m", minuteStart-180, 60, 1, .11, 1),
	}

	missing := dataSet{name: "missing", window: []byte(`{"5m":{"packets":{"total":3477,"udp":2703},"dns":{"wire_packets":{"total":"many"},"top_qname2":{"a":1},
		"top_qtype":[{"name":"A"},{"estimate":3}]}}}`), rates: `{}`, app: `{}`}

	huge := dataSet{name: "huge", window: change(busySummary("5m", minuteStart-240, 282, 1e12, .11, 1), "5m", map[string]any{
		"packets.total": json.RawMessage("18446744073709551615"), "packets.udp": json.RawMessage("1e400"), "packets.tcp": -5,
		"period.length": 1e300, "packets.cardinality.src_ips_in": 9.3e17, "dns.xact.in.quantiles_us.p99": 9e15,
	}), rates: `{"packets":{"pps_in":1e30,"pps_out":99999999,"pps_total":1e300}}`, app: `{"app":{"version":1,"periods":1e99,"up_time_min":1e99}}`}

	evil := []string{"\x1b[31mred\x1b[0m.example.com", "\x1b]52;c;cm0gLXJm\x07.example", "ba\u0301\u0302\u0303ck.example", "\u202egnp.exe\u202c.example",
		"zero\u200bwidth\u200d.example", "例え.テスト", "\xff\xfe\x80.example", "tab\tnew\nline\r.example", "עברית.example", "👨‍👩‍👧‍👦.example"}
	rows := bounded(top(9000, evil...), 0)
	hostile := dataSet{name: "hostile", window: change(busy.window, "5m", map[string]any{
		"dns.top_qname2": rows, "dns.top_qname3": rows, "dns.top_nxdomain": top(500, longName(253), longName(64)+"\u0000.example", ""),
		"packets.top_geoLoc": top(800, "EU/\u001b[2J/Wipe", "AS/中华人民共和国/北京市朝阳区"), "packets.top_ASN": top(800, evil[5], "15169/\u0085NEL\u009b31m"),
		"dns.top_rcode": top(500, "NOERROR\x1b[5m", "\u2028", "SRVFAIL"),
	}), minutes: busy.minutes, rates: busy.rates, app: `{"app":{"version":"9.\u001b[2J\u202e9","periods":5,"\u001b[1m":"\u009b2J"}}`}

	return []dataSet{empty, one, busy, flood, missing, huge, hostile}
}

func longName(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789-."[i*7%38]
	}
	return string(b)
}

func dataSetNamed(name string) dataSet {
	for _, d := range dataSets() {
		if d.name == name {
			return d
		}
	}
	panic(name)
}

// fakeAgent answers from a data set, or fails on request.
type fakeAgent struct {
	data dataSet
	fail func() error
	noExplorer
}

// noExplorer answers as an agent does that has only summaries.
type noExplorer struct{}

var errNotThere = &api.Error{Kind: api.Status, Status: 404, Message: "there is nothing here"}

func (noExplorer) Fleet(context.Context, api.FleetQuery) (api.FleetState, error) {
	return api.FleetState{}, errNotThere
}

func (noExplorer) Range(context.Context, int64, int64, int) (api.Summary, error) {
	return api.Summary{}, errNotThere
}

func (noExplorer) Series(context.Context, api.SeriesQuery) (api.Series, error) {
	return api.Series{}, errNotThere
}

func (noExplorer) Changes(context.Context, api.ChangesQuery) (api.Changes, error) {
	return api.Changes{}, errNotThere
}

func (noExplorer) Attack(context.Context, api.AttackQuery) (api.Attack, error) {
	return api.Attack{}, errNotThere
}

func (f *fakeAgent) Host() string { return "ns1.example.net:10853" }

func (f *fakeAgent) failure() error {
	if f.fail != nil {
		return f.fail()
	}
	return nil
}

func (f *fakeAgent) Window(context.Context, int, int) (api.Summary, error) {
	if err := f.failure(); err != nil {
		return api.Summary{}, err
	}
	return api.ParseSummary(f.data.window)
}

func (f *fakeAgent) Bucket(_ context.Context, k, _ int) (api.Summary, error) {
	switch err := f.failure(); {
	case err != nil:
		return api.Summary{}, err
	case k == 0:
		return api.ParseSummary(f.data.window)
	case k > len(f.data.minutes):
		return api.Summary{}, &api.Error{Kind: api.Status, Status: 404, Message: "no such period"}
	}
	return api.ParseSummary(f.data.minutes[k-1])
}

func (f *fakeAgent) Rates(context.Context) (api.Rates, error) {
	return api.ParseRates([]byte(f.data.rates))
}

func (f *fakeAgent) App(context.Context) (api.App, error) {
	if err := f.failure(); err != nil {
		return api.App{}, err
	}
	return api.ParseApp([]byte(f.data.app))
}

func (f *fakeAgent) Tables(context.Context) (api.Tables, error) {
	switch err := f.failure(); {
	case err != nil:
		return api.Tables{}, err
	case f.data.tables == "":
		return api.Tables{}, &api.Error{Kind: api.Status, Status: 404, Message: "there is nothing at /api/v1/tables"}
	}
	return api.ParseTables([]byte(f.data.tables))
}

var errRefused = &api.Error{Kind: api.Unreachable, URL: "http://ns1.example.net:10853", Err: errors.New("connection refused")}

// loaded returns a model of the given size that has received all answers of a data set, with half a minute of seconds.
func loaded(t testing.TB, d dataSet, w, h int) Model {
	t.Helper()
	m := New(t.Context(), Options{Agent: &fakeAgent{data: d}, Zone: time.UTC})
	m.width, m.height = w, h
	m.profile = colorprofile.TrueColor
	m.theme = newTheme(m.profile, m.dark)
	m.now = clock
	a := m.ask()().(answerMsg)
	a.at = clock
	m = after(m, a)
	more := m.askMinutes()().(minutesMsg)
	more.at = clock
	m = after(m, more)
	for i := range 30 {
		m.seconds = addSecond(m.seconds, second{m.rates.PPSTotal.Value * (1 + .2*math.Sin(float64(i)/3)), 1700 * (1 + .3*math.Sin(float64(i)/5))})
	}
	return m
}

// after returns the model after messages. It does not run the commands that they return.
func after(m Model, msgs ...any) Model {
	for _, msg := range msgs {
		next, _ := m.Update(msg)
		m = next.(Model)
	}
	return m
}
