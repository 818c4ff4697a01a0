package ui

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/api"
)

// summary parses a window given as the content of its object.
func summary(t testing.TB, inside string) *api.Summary {
	t.Helper()
	s, err := api.ParseSummary([]byte(`{"5m":{` + inside + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestSharesAreTheOriginals checks the shares that the original's own UI printed for these numbers, from recorded
// screens and slides of 3.0.7.
func TestSharesAreTheOriginals(t *testing.T) {
	recorded := summary(t, `"packets":{"total":3477,"udp":2703,"tcp":774,"in":3477,"out":0,"deep_samples":3477,
		"top_ipv4":[{"name":"127.0.0.53","estimate":1413},{"name":"127.0.1.13","estimate":85}]},
		"dns":{"wire_packets":{"total":2733,"queries":1372,"replies":1361,"udp":2703},"xact":{"counts":{"total":1361},"out":{"total":1361,"top_slow":[{"name":"h8","estimate":3}]}},
		"top_qname2":[{"name":"a","estimate":594}],"top_qname3":[{"name":"a","estimate":318}],"top_nxdomain":[{"name":"a","estimate":4}],
		"top_qtype":[{"name":"A","estimate":777}],"top_rcode":[{"name":"NOERROR","estimate":690}],"top_srvfail":[{"name":"a","estimate":2}],
		"top_refused":[{"name":"a","estimate":3}],"top_udp_ports":[{"name":"59398","estimate":86}]}`)
	slides := summary(t, `"packets":{"total":1245,"deep_samples":1245,"top_geoLoc":[{"name":"Unknown","estimate":1055}],"top_ASN":[{"name":"g","estimate":30}]},
		"dns":{"wire_packets":{"total":302,"replies":145},"xact":{"counts":{"total":144},"in":{"total":49,"top_slow":[{"name":"n","estimate":1}]}},
		"top_udp_ports":[{"name":"5353","estimate":14}]}`)
	for _, c := range []struct {
		s     *api.Summary
		table tableID
		row   int
		want  string
	}{
		{recorded, qname2, 0, " 21.7%"}, {recorded, qname3, 0, " 11.6%"}, {recorded, nxdomain, 0, "  0.3%"}, {recorded, qtypes, 0, " 28.4%"},
		{recorded, rcodes, 0, " 50.7%"}, {recorded, srvfail, 0, "  0.1%"}, {recorded, refused, 0, "  0.2%"}, {recorded, slowOut, 0, "  0.2%"},
		{recorded, ipv4, 0, " 40.6%"}, {recorded, ipv4, 1, "  2.4%"}, {recorded, udpPorts, 0, "  3.1%"},
		{slides, geoLoc, 0, " 84.7%"}, {slides, asn, 0, "  2.4%"}, {slides, slowIn, 0, "  0.7%"}, {slides, udpPorts, 0, "  4.6%"},
	} {
		rows := tables[c.table].view(c.s, &api.App{}, nil, "", byEstimate, true)
		if got := rows[c.row].share; got != c.want {
			t.Errorf("%s row %d: share %q, the original printed %q", tables[c.table].title, c.row, got, c.want)
		}
	}
}

// TestSharesOfASample: in a sample of a tenth, a row with half of the sample has a share of half.
func TestSharesOfASample(t *testing.T) {
	inside := `"packets":{"total":1000,"deep_samples":100,"top_ipv4":[{"name":"a","estimate":50}]},"dns":{%s"wire_packets":{"total":800,"replies":400%s},
		"top_qname2":[{"name":"a","estimate":40}],"top_nxdomain":[{"name":"a","estimate":20}]}`
	for name, c := range map[string]struct {
		s   *api.Summary
		app api.App
	}{
		"this project's agent": {summary(t, fmt.Sprintf(inside, `"deep_samples":80,"deep_sample_factor":10,`, "")), api.App{}},
		"the successor":        {summary(t, fmt.Sprintf(inside, "", `,"deep_samples":80`)), api.App{}},
		"the original":         {summary(t, fmt.Sprintf(inside, "", "")), api.App{DeepSampleRatePct: api.N(10)}},
	} {
		for _, id := range []tableID{ipv4, qname2, nxdomain} {
			if got := tables[id].view(c.s, &c.app, nil, "", byEstimate, true)[0].share; got != " 50.0%" {
				t.Errorf("%s: %s has a share of %q, want half", name, tables[id].title, got)
			}
		}
	}
}

func rowsOf(pairs ...any) []api.Row {
	var out []api.Row
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, api.Row{Name: pairs[i].(string), Estimate: api.N(float64(pairs[i+1].(int)))})
	}
	return out
}

func qtypeMinute(start int64, rows []api.Row) minute {
	m := minute{start: start}
	m.sum.DNS.TopQtype = rows
	return m
}

func TestTrends(t *testing.T) {
	full := rowsOf("a", 100, "b", 90, "c", 80, "d", 70, "e", 60, "f", 50, "g", 40, "h", 30, "i", 20, "j", 10)
	cases := []struct {
		name  string
		now   []api.Row
		older [][]api.Row
		want  []trend
	}{
		{"too few to tell", rowsOf("b", 4, "x", 3), [][]api.Row{rowsOf("a", 4, "b", 2)}, []trend{same, same}},
		{"nothing before", rowsOf("a", 9), nil, []trend{same}},
		{"empty minutes before", rowsOf("a", 9), [][]api.Row{{}, {}}, []trend{same}},
		{"as before", rowsOf("a", 9, "b", 5), [][]api.Row{rowsOf("a", 4, "b", 2)}, []trend{same, same}},
		{"swapped", rowsOf("b", 9, "a", 5), [][]api.Row{rowsOf("a", 4, "b", 2)}, []trend{risen, fallen}},
		{"near equals trade places", rowsOf("b", 100, "a", 99), [][]api.Row{rowsOf("a", 100, "b", 99)}, []trend{same, same}},
		{"equals are not ranked", rowsOf("b", 5, "a", 5), [][]api.Row{rowsOf("a", 4, "b", 4)}, []trend{same, same}},
		{"new", rowsOf("x", 9, "a", 5), [][]api.Row{rowsOf("a", 4)}, []trend{entered, fallen}},
		{"minutes are added up", rowsOf("b", 9, "a", 5), [][]api.Row{rowsOf("a", 4, "b", 1), rowsOf("b", 4)}, []trend{same, same}},
		{"it may have been below a full list", rowsOf("x", 10), [][]api.Row{full}, []trend{same}},
		{"it cannot have been", rowsOf("x", 11), [][]api.Row{full}, []trend{entered}},
		{"below two full lists", rowsOf("x", 20), [][]api.Row{full, full}, []trend{same}},
	}
	for _, c := range cases {
		var older []minute
		for i, rows := range c.older {
			older = append(older, qtypeMinute(int64(100-i), rows))
		}
		got, _ := compare(c.now, older, tables[qtypes].rows)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestRowsFilteredSortedBounded(t *testing.T) {
	s := summary(t, `"dns":{"wire_packets":{"total":100},"top_qtype":[{"name":"b\u0007","estimate":50,"lower":20,"upper":60},{"name":"c","estimate":40},
		{"name":"Ab","estimate":30,"lower":29,"upper":31},{},{"name":"d","estimate":20,"lower":20,"upper":3000},{"name":"e","estimate":20,"lower":15,"upper":21}]}`)
	names := func(filter string, by sortKey) (out []string) {
		for _, r := range tables[qtypes].view(s, &api.App{}, nil, filter, by, true) {
			out = append(out, r.name)
		}
		return out
	}
	for _, c := range []struct {
		filter string
		by     sortKey
		want   []string
	}{
		{"", byEstimate, []string{`b\x07`, "c", "Ab", `""`, "d", "e"}},
		{"", byName, []string{`""`, "Ab", `b\x07`, "c", "d", "e"}},
		{"", byLower, []string{"c", "Ab", `b\x07`, "d", "e", `""`}},
		{"B", byEstimate, []string{`b\x07`, "Ab"}},
		{"zz", byEstimate, nil},
	} {
		if diff := cmp.Diff(c.want, names(c.filter, c.by)); diff != "" {
			t.Errorf("filter %q by %v: %s", c.filter, c.by, diff)
		}
	}
	m := loaded(t, dataSetNamed("busy"), 80, 24)
	rows := tables[qtypes].view(s, &api.App{}, nil, "", byEstimate, true)
	for i, want := range []string{"≥20", "40", "30", "", "≥20", "~20"} { // the lower bound is less than half; exact; near enough; unknown; a lower bound; inaccurate
		if got := m.estimate(&tables[qtypes], rows[i], 7); got != want {
			t.Errorf("row %d is shown as %q, want %q", i, got, want)
		}
	}
}

func TestPast(t *testing.T) {
	older := []minute{qtypeMinute(3, rowsOf("a", 3)), qtypeMinute(2, rowsOf("b", 9)), qtypeMinute(1, rowsOf("a", 1))}
	if diff := cmp.Diff([]float64{1, 0, 3}, past("a", older, tables[qtypes].rows)); diff != "" {
		t.Error(diff)
	}
}

func TestHistory(t *testing.T) {
	starts := func(ms []minute) (out []int64) {
		for _, m := range ms {
			out = append(out, m.start)
		}
		return out
	}
	have := addMinutes(nil, []minute{{start: 120}, {start: 60}})
	more := addMinutes(have, []minute{{start: 60}, {start: 180}, {start: 0}})
	if diff := cmp.Diff([]int64{180, 120, 60}, starts(more)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{120, 60}, starts(have)); diff != "" {
		t.Errorf("the older value changed: %s", diff)
	}
	var many []minute
	for i := range 500 {
		many = append(many, minute{start: int64(i + 1)})
	}
	if kept := addMinutes(nil, many); len(kept) != keepMinutes || kept[0].start != 500 {
		t.Errorf("keeps %d, newest %d", len(kept), kept[0].start)
	}
	var secs []second
	for i := range 2 * keepSeconds {
		secs = addSecond(secs, second{pps: float64(i)})
	}
	if len(secs) != keepSeconds || secs[len(secs)-1].pps != 2*keepSeconds-1 {
		t.Errorf("keeps %d seconds", len(secs))
	}
	a := addSecond(secs[:3], second{pps: -7})
	b := addSecond(secs[:3], second{pps: -8})
	if a[3].pps != -7 || b[3].pps != -8 {
		t.Error("two histories share their last second")
	}
	s := summary(t, `"period":{"start_ts":61}`)
	if got := starts(inWindow(s, more, 5)); len(got) != 2 {
		t.Errorf("minutes in a window from 61: %v", got)
	}
	if got := starts(inWindow(s, more, 1)); len(got) != 1 {
		t.Errorf("a minute is compared with %v", got)
	}
}

func TestChanges(t *testing.T) {
	minuteOf := func(level, nx float64) *api.Summary {
		s, err := api.ParseSummary(busySummary("1m", minuteStart, 60, level, nx, 1))
		if err != nil {
			t.Fatal(err)
		}
		return &s
	}
	usual := minuteOf(1, .11)
	for _, c := range []struct {
		now  *api.Summary
		want string
	}{
		{usual, ""}, {minuteOf(1.3, .13), ""},
		{minuteOf(3, .11), "packets x3.0, DNS x3.0"}, {minuteOf(.25, .11), "packets x0.2, DNS x0.2"}, {minuteOf(.01, .11), "packets x0.01, DNS x0.01"},
		{minuteOf(1, .35), "NXDOMAIN 11% to 35%"}, {minuteOf(212, .87), "packets x212, DNS x212, NXDOMAIN 11% to 87%"},
	} {
		got := ""
		if w := changes(c.now, usual); len(w) > 0 {
			got = w[0].text
		}
		if got != c.want {
			t.Errorf("changes %q, want %q", got, c.want)
		}
	}
	short := minuteOf(5, .5)
	short.Period.Length = api.N(20)
	if w := append(changes(short, usual), changes(usual, short)...); w != nil {
		t.Errorf("a third of a minute is compared: %v", w)
	}
	s, err := api.ParseSummary(busySummary("1m", minuteStart, 40, 1, .11, 1))
	if err != nil {
		t.Fatal(err)
	}
	if w := append(changes(&s, usual), changes(usual, &s)...); w != nil {
		t.Errorf("two thirds of a minute at the same rate: %v", w)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		inside string
		want   []string
	}{
		{`"packets":{"total":100,"in":50,"out":50,"deep_samples":100,"deep_sample_factor":1},"pcap":{"os_drops":0}`, nil},
		{`"packets":{"total":75},"pcap":{"os_drops":20,"if_drops":5}`, []string{"DROPS 25 packets lost, 25.0%"}},
		{`"packets":{"total":75},"period":{"lost":25}`, []string{"DROPS 25 packets lost, 25.0%"}},
		{`"packets":{"total":100,"deep_samples":99,"deep_sample_factor":1}`, nil}, // packets that are not IP are not in the sample
		{`"packets":{"total":100,"deep_samples":50}`, []string{"SAMPLED 50.0% tables count a part"}},
		{`"packets":{"total":100,"deep_samples":25,"deep_sample_factor":4}`, []string{"SAMPLED 25.0% tables count a part (×4)"}},
		{`"packets":{"total":100,"ipv6":2,"in":0,"out":0}`, []string{"NO DIRECTION the agent has no host subnets (-H)"}},
		{`"packets":{"total":100,"ipv4":0,"ipv6":0,"non_ip":100,"in":0,"out":0}`, nil}, // they have no direction anywhere
		{`"packets":{"total":100,"malformed":3}`, []string{"UNDECODED 3.0%"}},
		{`"dns":{"wire_packets":{"replies":100,"srvfail":1,"nxdomain":29,"refused":4},"xact":{"counts":{"total":99,"timeouts":1}}}`, nil},
		{`"dns":{"wire_packets":{"replies":100,"srvfail":50},"xact":{"counts":{"total":80,"timed_out":20}}}`, []string{"TIMEOUTS 20.0%", "SERVFAIL 50.0%"}},
		{`"pcap":{"tcp_reassembly_errors":3}`, []string{"CAPTURE 0 freezes, 3 TCP errors"}},
	} {
		var got []string
		for _, w := range warnings(summary(t, c.inside), &utf8Glyphs) {
			got = append(got, w.mark+" "+w.text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.inside, diff)
		}
	}
}

// TestSortedByChange: new rows come first, then those that rose and fell, each by how far it moved against the whole list.
func TestSortedByChange(t *testing.T) {
	s := summary(t, `"dns":{"top_qtype":[{"name":"up little","estimate":130},{"name":"down","estimate":100},{"name":"up much","estimate":90},{"name":"new little","estimate":50},
		{"name":"as before","estimate":40},{"name":"new much","estimate":60}]}`)
	older := []minute{qtypeMinute(60, rowsOf("down", 300, "up little", 100, "as before", 50, "up much", 20))}
	var got []string
	for _, r := range tables[qtypes].view(s, &api.App{}, older, "", byTrend, true) {
		got = append(got, r.name)
	}
	if want := []string{"new much", "new little", "up much", "up little", "down", "as before"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
