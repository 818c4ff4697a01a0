package successor

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"pktvisor/agent"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/filter"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/sketch"
)

// start is the beginning of the buckets that tests make.
const start = 1_700_000_040

// made returns a bucket of a minute that fill has filled.
func made(fill func(p *packets.Metrics, d *dns.Metrics)) *metric.Bucket {
	b := metric.NewBucket(agent.Tables)
	b.Cover(start, start+60)
	fill(metric.Of[packets.Metrics](b.Sections[0]), metric.Of[dns.Metrics](b.Sections[1]))
	b.Seal(8192)
	return b
}

// TestGroups: groups are on or off by default, disable applies first, and "all" means all. A group of the other version changes nothing.
func TestGroups(t *testing.T) {
	b := summary(t, demoCapture(t), "192.0.2.0/24") // IPv6 is without direction
	for _, c := range []struct {
		h             Handler
		with, without []string
	}{
		{Handler{Type: "dns"}, []string{"wire_packets.udp", "xact.in.quantiles_us.p50", "top_qname2", "top_udp_ports", "cardinality.qname", "top_rcode"},
			[]string{"xact.in.histogram_us.buckets.+Inf", "top_query_ecs", "top_noerror", "wire_packets.query_ecs"}},
		{Handler{Type: "dns", Enable: []string{"top_ecs", "histograms"}}, []string{"wire_packets.query_ecs", "top_query_ecs", "xact.out.histogram_us.buckets.+Inf"}, []string{"top_noerror"}},
		{Handler{Type: "dns", Disable: []string{"all"}, Enable: []string{"counters"}}, []string{"wire_packets.udp", "top_rcode", "rates.total.p50"}, []string{"top_qname2", "xact.counts.total", "cardinality.qname"}},
		{Handler{Type: "dns", Disable: []string{"counters"}, Enable: []string{"all"}}, []string{"wire_packets.udp", "top_noerror"}, nil},
		{Handler{Type: "dns", Disable: []string{"quantiles", "top_rcodes"}}, []string{"xact.in.total", "top_rcode"}, []string{"xact.in.quantiles_us.p50", "xact.ratio.quantiles.p50"}},
		{Handler{Type: "dns", Enable: []string{"top_qnames_details"}, Disable: []string{"top_qnames"}}, nil, []string{"top_noerror", "top_qname2"}},
		{Handler{Type: "dns", Version: "2.0"}, []string{"observed_packets", "in.xacts", "out.xacts", "unknown.timeout_queries"}, []string{"in.xact_time_us.p50", "in.xact_rates.p50"}},
		{Handler{Type: "dns", Version: "2.0", Enable: []string{"xact_times"}}, []string{"in.xact_time_us.p50", "unknown.xact_histogram_us.buckets.+Inf", "out.top_slow_xacts"}, []string{"unknown.top_slow_xacts"}},
		{Handler{Type: "net", Disable: []string{"counters"}}, []string{"events", "payload_size.p99", "top_ipv4", "rates.bytes_in.p50"}, []string{"udp", "filtered", "protocol.tcp.syn"}},
		{Handler{Type: "net", Version: "2.0", Disable: []string{"quantiles"}}, []string{"rates.observed_pps.p50", "in.total_packets", "in.cardinality.ips"}, []string{"in.rates.pps.p50", "unknown.cardinality.ips"}},
		{Handler{Type: "pcap", Disable: []string{"all"}}, []string{"os_drops", "if_drops", "tcp_reassembly_errors"}, nil},
	} {
		got := leaves("", shown(t, b, c.h, 0))
		for _, path := range c.with {
			if _, ok := got[path]; !ok {
				t.Errorf("%+v lacks %s", c.h, path)
			}
		}
		for _, path := range c.without {
			if _, ok := got[path]; ok {
				t.Errorf("%+v has %s", c.h, path)
			}
		}
	}
}

// TestNothing: a handler that has nothing to show appends nothing.
func TestNothing(t *testing.T) {
	b := demo(t)
	pcapOnly := &metric.Bucket{Start: 60, End: 120, Sections: b.Sections[2:]}
	for _, c := range []struct {
		b *metric.Bucket
		h Handler
	}{
		{b, Handler{Type: "dns", Disable: []string{"all"}}},
		{b, Handler{Type: "net", Version: "2.0", Disable: []string{"all"}}},
		{b, Handler{Type: "dhcp"}},
		{b, Handler{Type: "input_resources"}},
		{b, Handler{Type: "dns", Version: "3.0"}},
		{b, Handler{Type: "pcap", Version: "2.0"}},
		{pcapOnly, Handler{Type: "dns"}},
		{pcapOnly, Handler{Type: "net"}},
	} {
		if got := AppendHandler([]byte("x"), c.b, c.h); string(got) != "x" {
			t.Errorf("%+v: %.200s", c.h, got)
		}
		if got := AppendPrometheus(nil, c.b, c.h, Labels{}); len(got) > 0 {
			t.Errorf("%+v: %.200s", c.h, got)
		}
	}
	// Without a handler dns, nobody follows streams.
	if got, want := string(AppendHandler(nil, pcapOnly, Handler{Type: "pcap"})), `"pcap":{"period":{"start_ts":60,"length":60},"os_drops":0,"if_drops":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestEmptyBucket: a minute without packets has zeros, and no quantiles of nothing.
func TestEmptyBucket(t *testing.T) {
	b := made(func(*packets.Metrics, *dns.Metrics) {})
	for _, f := range forms {
		got := leaves("", shown(t, b, Handler{Type: f.kind, Version: f.version, Enable: []string{"all"}}, 0))
		for path, v := range got {
			if n, ok := v.(float64); ok && n != 0 && !strings.HasPrefix(path, "period.") {
				t.Errorf("%s.%s is %v", f.schema, path, n)
			}
			if strings.Contains(path, "quantiles_us") || strings.HasPrefix(path, "in.") || strings.HasPrefix(path, "unknown.") {
				t.Errorf("%s.%s is shown", f.schema, path)
			}
		}
	}
}

// TestRows: a table has as many rows as the handler wants, and none below the percentile.
func TestRows(t *testing.T) {
	b := made(func(p *packets.Metrics, _ *dns.Metrics) {
		for i, n := range []uint64{100, 50, 50, 20, 10, 5, 5, 5, 2, 1, 1, 1} {
			p.TopIPv4.Add(fmt.Appendf(nil, "192.0.2.%d", i), n)
		}
	})
	for _, c := range []struct {
		rows, percentile int
		want             []int
	}{
		{0, 0, []int{100, 50, 50, 20, 10, 5, 5, 5, 2, 1}},
		{3, 0, []int{100, 50, 50}},
		{100, 0, []int{100, 50, 50, 20, 10, 5, 5, 5, 2, 1, 1, 1}},
		{10, 50, []int{100, 50, 50, 20, 10, 5, 5, 5}}, // the fifth of ten from below is 5
		{10, 51, []int{100, 50, 50, 20, 10}},
		{10, 61, []int{100, 50, 50, 20}}, // the seventh is 20
		{10, 100, []int{100}},
		{10, 101, []int{100}},
		{10, 1, []int{100, 50, 50, 20, 10, 5, 5, 5, 2, 1}},
		{10, 11, []int{100, 50, 50, 20, 10, 5, 5, 5, 2}},
		{10, -1, []int{100, 50, 50, 20, 10, 5, 5, 5, 2, 1}},
	} {
		rows, _ := shown(t, b, Handler{Type: "net", Rows: c.rows, Percentile: c.percentile}, 0)["top_ipv4"].([]any)
		var got []int
		for _, r := range rows {
			got = append(got, int(r.(map[string]any)["estimate"].(float64)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d rows from percentile %d: %v, want %v", c.rows, c.percentile, got, c.want)
		}
	}
}

// TestRates: rates have exact quantiles, live ones have the second that is asked for, and that of no direction is what the others leave.
func TestRates(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var in, out, unknown [60]uint64
	b := made(func(p *packets.Metrics, _ *dns.Metrics) {
		p.Total, p.In, p.UnknownDir = 3, 1, 1
		for i := range in {
			in[i], out[i], unknown[i] = random.Uint64N(100), random.Uint64N(100), random.Uint64N(50)
			second := int64(start + i)
			p.PpsTotal.Add(second, in[i]+out[i]+unknown[i])
			p.PpsIn.Add(second, in[i])
			p.PpsOut.Add(second, out[i])
			p.BpsIn.Add(second, 8*in[i])
			p.BpsOut.Add(second, 8*out[i])
			p.BpsTotal.Add(second, 8*(in[i]+out[i]+unknown[i]))
		}
	})
	quantile := func(of [60]uint64, q float64) float64 {
		sorted := slices.Clone(of[:])
		slices.Sort(sorted)
		return float64(sorted[int(math.Ceil(q*60))-1])
	}
	v1 := leaves("", shown(t, b, Handler{Type: "net"}, start+58))
	v2 := leaves("", shown(t, b, Handler{Type: "net", Version: "2.0"}, start+58))
	for name, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99} {
		for path, want := range map[string]float64{"rates.pps_in.": quantile(in, q), "rates.bytes_out.": quantile(out, q)} {
			if v1[path+name] != want {
				t.Errorf("%s%s is %v, want %v", path, name, v1[path+name], want)
			}
		}
		for path, want := range map[string]float64{"in.rates.pps.": quantile(in, q), "unknown.rates.pps.": quantile(unknown, q), "unknown.rates.bps.": 8 * quantile(unknown, q)} {
			if v2[path+name] != want {
				t.Errorf("%s%s is %v, want %v", path, name, v2[path+name], want)
			}
		}
	}
	if _, ok := v2["out.rates.pps.p50"]; ok {
		t.Error("the direction out, without packets, is shown")
	}
	if v1["rates.bytes_in.live"] != float64(in[58]) || v2["unknown.rates.pps.live"] != float64(unknown[58]) {
		t.Errorf("live: %v and %v, want %d and %d", v1["rates.bytes_in.live"], v2["unknown.rates.pps.live"], in[58], unknown[58])
	}
	if got := string(AppendHandler(nil, b, Handler{Type: "net"})); strings.Contains(got, "live") {
		t.Errorf("a finished minute has live rates: %s", got)
	}
	sum := uint64(0)
	for i := range unknown {
		sum += unknown[i]
	}
	for _, want := range []string{
		fmt.Sprintf("\nnet_rates_pps_sum{direction=\"unknown\",policy=\"p\"} %d\n", sum), "\nnet_rates_pps_count{direction=\"unknown\",policy=\"p\"} 60\n",
		fmt.Sprintf("\nnet_rates_bps_sum{direction=\"unknown\",policy=\"p\"} %d\n", 8*sum),
	} {
		if got := string(AppendPrometheus(nil, b, Handler{Type: "net", Version: "2.0"}, Labels{Policy: "p"})); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

// filteredTable declares the counters of a section in which a filter turned something away.
type filteredTable struct {
	Total    metric.Counter `metric:"total" unit:"packets" help:"All."`
	Deep     metric.Counter `metric:"deep_samples" unit:"packets" help:"Deep."`
	Filtered metric.Counter `metric:"filtered" unit:"packets" help:"Filtered."`
	Pps      metric.Rate    `metric:"rates.pps_total" unit:"packets/s" help:"Rate."`
}

// TestFiltered: events are those that count and those that were rejected. Without the latter, the rates of both are the same.
func TestFiltered(t *testing.T) {
	table := metric.Define[filteredTable]("packets")
	for filtered, want := range map[metric.Counter]string{
		0: `"packets":{"period":{"start_ts":60,"length":60},"events":10,"deep_samples":4,"total":10,"filtered":0,` +
			`"rates":{"pps_events":{"p50":0,"p90":0,"p95":0,"p99":10},"pps_total":{"p50":0,"p90":0,"p95":0,"p99":10}}}`,
		7: `"packets":{"period":{"start_ts":60,"length":60},"events":17,"deep_samples":4,"total":10,"filtered":7,` +
			`"rates":{"pps_total":{"p50":0,"p90":0,"p95":0,"p99":10}}}`,
	} {
		s := table.New()
		m := metric.Of[filteredTable](s)
		m.Total, m.Deep, m.Filtered = 10, 4, filtered
		m.Pps.Add(119, 10)
		m.Pps.Cover(60, 120)
		b := &metric.Bucket{Start: 60, End: 120, Sections: []*metric.Section{s}}
		if got := string(AppendHandler(nil, b, Handler{Type: "net"})); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// TestFilteredPolicy: what a policy's filter rejects is in filtered and in events, and nowhere else.
func TestFilteredPolicy(t *testing.T) {
	f, err := filter.New(&policy.Filter{Transports: []string{"udp"}}, filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, all := merged(runFiltered(t, demoCapture(t), testkit.HostSpec, nil, 1, f)), demo(t)
	for _, c := range []struct {
		h                                        Handler
		events, total, filtered, udp, tcp, rates string
	}{
		{Handler{Type: "net"}, "events", "total", "filtered", "udp", "tcp", "rates.pps_events.p50"},
		{Handler{Type: "dns"}, "wire_packets.events", "wire_packets.total", "wire_packets.filtered", "wire_packets.udp", "wire_packets.tcp", "rates.events.p50"},
	} {
		got, without := leaves("", shown(t, b, c.h, 0)), leaves("", shown(t, all, c.h, 0))
		number := func(of map[string]any, path string) float64 { n, _ := of[path].(float64); return n }
		if number(without, c.filtered) != 0 || number(without, c.events) != number(without, c.total) {
			t.Errorf("%s without a filter: %v filtered", c.h.Type, without[c.filtered])
		}
		udp := number(without, c.udp)
		if number(got, c.total) != udp || number(got, c.udp) != udp || number(got, c.tcp) != 0 {
			t.Errorf("%s: %v in total, %v over TCP, want %v", c.h.Type, got[c.total], got[c.tcp], udp)
		}
		if events := number(without, c.total); number(got, c.events) != events || number(got, c.filtered) != events-udp || events == udp {
			t.Errorf("%s: %v events and %v filtered, want %v and %v", c.h.Type, got[c.events], got[c.filtered], events, events-udp)
		}
		if _, ok := got[c.rates]; ok {
			t.Errorf("%s: the rate of all events is shown, and only a part was counted by second", c.h.Type)
		}
	}
	got := leaves("", shown(t, b, Handler{Type: "dns", Version: "2.0"}, 0))
	if got["filtered_packets"] == 0. || got["observed_packets"] != leaves("", shown(t, all, Handler{Type: "dns", Version: "2.0"}, 0))["observed_packets"] {
		t.Errorf("dns 2.0: %v filtered of %v", got["filtered_packets"], got["observed_packets"])
	}
}

// TestSample: in a minute of several shares of the sample, quantiles and rows are those of our JSON.
func TestSample(t *testing.T) {
	b := metric.NewBucket(agent.Tables)
	b.Cover(start, start+60)
	s := b.Sections[1]
	d := metric.Of[dns.Metrics](s)
	d.InMicros.RecordN(10, 10)
	d.TopQname2.Add([]byte("whole.example"), 10)
	s.ShareOfCounts(metric.Percent(1))
	s.ShareOfKeys(metric.Percent(1))
	d.InMicros.Record(100) // stands for a hundred
	d.TopQname2.Add([]byte("sampled.example"), 1)
	var doc map[string]map[string]any
	if err := json.Unmarshal(b.AppendJSON(nil, metric.JSONOptions{Key: "1m"}), &doc); err != nil {
		t.Fatal(err)
	}
	want, got := leaves("", doc["1m"]["dns"]), leaves("", shown(t, b, Handler{Type: "dns"}, 0))
	if path := "xact.in.quantiles_us.p50"; got[path] != want[path] || got[path] != 100. {
		t.Errorf("p50 is %v, want %v", got[path], want[path])
	}
	first := func(table any) string { return table.([]any)[0].(map[string]any)["name"].(string) }
	if first(got["top_qname2"]) != first(want["top_qname2"]) || first(got["top_qname2"]) != "sampled.example" {
		t.Errorf("the first row is %v, want %v", got["top_qname2"], want["top_qname2"])
	}
	text := string(AppendPrometheus(nil, b, Handler{Type: "dns"}, Labels{}))
	if want := "\ndns_xact_in_quantiles_us{quantile=\"0.5\"} 100\n"; !strings.Contains(text, want) {
		t.Errorf("no %s in %s", want, text)
	}
}

// TestBuckets compares the buckets of a histogram with a count of each value. Up to 101 they are exact.
func TestBuckets(t *testing.T) {
	if n := len(bounds); bounds[0] != 1 || bounds[n-1] < 8e17 || !sort.SliceIsSorted(bounds, func(i, j int) bool { return bounds[i] < bounds[j] }) {
		t.Errorf("bounds from %d to %d", bounds[0], bounds[n-1])
	}
	for _, want := range []uint64{1, 2, 3, 10, 100, 113646, 408423} { // those above a hundred are from an answer of the successor, or a calculator
		if !slices.Contains(bounds, want) {
			t.Errorf("no bound %d", want)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	var h sketch.Histogram
	var values []uint64
	for range 5000 {
		v := uint64(math.Exp(random.Float64() * 20))
		if random.IntN(10) == 0 {
			v = 0
		}
		h.Record(v)
		values = append(values, v)
	}
	upTo := func(bound float64) (n uint64) {
		for _, v := range values {
			if float64(v) <= bound {
				n++
			}
		}
		return n
	}
	last := uint64(0)
	for bound, n := range cumulative(&h) {
		if least, most := upTo(float64(bound)), upTo(float64(bound)*1.012); n < least || n > most || n <= last {
			t.Errorf("%d values up to %d, want %d to %d and more than %d", n, bound, least, most, last)
		}
		if bound <= 101 && n != upTo(float64(bound)) {
			t.Errorf("%d values up to %d, want %d", n, bound, upTo(float64(bound)))
		}
		last = n
	}
	if last != 5000 {
		t.Errorf("the last bucket has %d values", last)
	}
}

// TestSpelling: keys are spelled as the successor spells them, and any text stays valid JSON.
func TestSpelling(t *testing.T) {
	b := made(func(p *packets.Metrics, d *dns.Metrics) {
		for i, name := range []string{"ANY", "TYPE65280", "A"} {
			d.TopQtype.Add([]byte(name), uint64(9-i))
		}
		d.TopRcode.Add([]byte("RCODE12"), 2)
		d.TopRcode.Add([]byte("SRVFAIL"), 1)
		d.TopQname2.Add([]byte(`a\"b`), 2)
		p.TopGeoLoc.Add([]byte("SA/\xff\"São\n"), 1)
	})
	keys := func(table any) (names []string) {
		for _, r := range table.([]any) {
			names = append(names, r.(map[string]any)["name"].(string))
		}
		return names
	}
	d, p := shown(t, b, Handler{Type: "dns"}, 0), shown(t, b, Handler{Type: "net"}, 0)
	for _, c := range []struct{ got, want []string }{
		{keys(d["top_qtype"]), []string{"*", "65280", "A"}}, {keys(d["top_rcode"]), []string{"12", "SRVFAIL"}},
		{keys(d["top_qname2"]), []string{`a\"b`}}, {keys(p["top_geoLoc"]), []string{"SA/�\"São\n"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestObjectsOnce: the rows of a table are in such an order that each object is opened once.
func TestObjectsOnce(t *testing.T) {
	b := demo(t)
	for _, f := range forms {
		text := append(AppendHandler([]byte("{"), b, Handler{Type: f.kind, Version: f.version, Enable: []string{"all"}}), '}')
		d := json.NewDecoder(strings.NewReader(string(text)))
		if err := unique(d); err != nil {
			t.Errorf("%s %s: %v", f.kind, f.version, err)
		}
	}
}

// unique reads a JSON value and returns an error if an object has a member twice.
func unique(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() && (token == json.Delim('{') || token == json.Delim('[')) {
		if token == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name.(string)] {
				return fmt.Errorf("%s is there twice", name)
			}
			seen[name.(string)] = true
		}
		if err := unique(d); err != nil {
			return err
		}
	}
	if token == json.Delim('{') || token == json.Delim('[') {
		_, err = d.Token()
	}
	return err
}

// TestAllocations: an answer takes an allocation for each row of a table, a dozen for each rate, and none for other metrics.
func TestAllocations(t *testing.T) {
	b := demo(t)
	buf := make([]byte, 0, 64<<10)
	for _, h := range defaultHandlers {
		most := 8.
		for _, v := range leaves("", shown(t, b, h, 0)) {
			if rows, ok := v.([]any); ok {
				most += float64(len(rows))
			}
		}
		f := formOf(&h)
		for _, it := range f.whole {
			if it.kind == rate {
				most += 12
			}
		}
		if n := testing.AllocsPerRun(20, func() { buf = AppendHandler(buf[:0], b, h) }); n > most && !testkit.RaceEnabled {
			t.Errorf("%s takes %v allocations for %d bytes, want at most %v", h.Type, n, len(buf), most)
		}
	}
}

// BenchmarkAppendHandler writes what the successor's terminal client asks for once a second.
func BenchmarkAppendHandler(b *testing.B) {
	bucket := demo(b)
	var buf []byte
	for b.Loop() {
		buf = buf[:0]
		for _, h := range defaultHandlers {
			buf = AppendHandler(buf, bucket, h)
		}
	}
}
