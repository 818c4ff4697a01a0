package successor

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// recorded are captures of the successor, and what it printed for them. different are the paths whose numbers differ, because the
// successor is wrong: docs/successor.md says why.
var recorded = []struct {
	capture, hosts, answer string
	different              []string
}{
	{
		"automated_tests/features/steps/pcap_files/dns_udp_tcp_random.pcap", "192.168.0.0/24", "dns_udp_tcp_random.host.json",
		[]string{"dns.top_udp_ports", "dns.xact.out.top_slow"}, // it counts TCP ports too, and finds no slow names in its first minute
	},
	{"automated_tests/features/steps/pcap_files/dhcp-flow.pcap", "127.0.0.1/32", "dhcp-flow.pcap.json", nil},
	{
		"src/tests/fixtures/ecs.pcap", "127.0.0.1/32", "ecs.pcap.json",
		[]string{ // of responses in fragments
			"packets.udp", "packets.other_l4", "dns.wire_packets.events", "dns.wire_packets.deep_samples", "dns.wire_packets.total",
			"dns.wire_packets.replies", "dns.wire_packets.udp", "dns.wire_packets.ipv4", "dns.wire_packets.ipv6", "dns.wire_packets.noerror",
			"dns.xact.counts.total", "dns.xact.counts.timed_out", "dns.xact.ratio.quantiles", "dns.top_qname2", "dns.top_qname3", "dns.top_qtype", "dns.top_rcode",
			"dns.top_udp_ports",
		},
	},
}

// TestReferenceNumbers compares with what the successor printed for captures of its own. Counters are the same. Its sketches are less
// exact: a cardinality is within 3%, and a quantile is one of ours within two percentiles.
func TestReferenceNumbers(t *testing.T) {
	for _, r := range recorded {
		var doc map[string]map[string]map[string]any
		if err := json.Unmarshal(reference(t, r.answer), &doc); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(testkit.RepoRoot(t), "..", "shared", "corpus", "netboxlabs+pktvisor", r.capture)
		if _, err := os.Stat(path); err != nil {
			t.Skip("no captures of the successor beside the repository (../shared/corpus)")
		}
		b := merged(run(t, path, r.hosts, nil, 1))
		compared, differ := 0, map[string]bool{}
		for _, h := range defaultHandlers[:2] {
			f := formOf(&h)
			ours := leaves("", shown(t, b, h, 0))
			for path, want := range leaves("", doc["1m"][f.schema]) {
				compared++
				if problem := differs(b, f, path, want, ours[path]); problem {
					place := f.schema + "." + path
					i := slices.IndexFunc(r.different, func(known string) bool { return place == known || strings.HasPrefix(place, known+".") })
					if i < 0 {
						t.Errorf("%s: %s is %v, there %v", r.answer, place, ours[path], want)
					} else {
						differ[r.different[i]] = true
					}
				}
			}
		}
		for _, path := range r.different {
			if !differ[path] {
				t.Errorf("%s: %s does not differ", r.answer, path)
			}
		}
		if compared < 40 {
			t.Errorf("%s: only %d numbers", r.answer, compared)
		}
	}
}

// differs reports whether a value differs from the successor's by more than its sketches may be off.
func differs(b *metric.Bucket, f *form, path string, theirs, ours any) bool {
	if path == "period.length" {
		return ours != theirs.(float64)+1
	}
	i := slices.IndexFunc(f.whole, func(it item) bool { return path == it.path || strings.HasPrefix(path, it.path+".") })
	if i < 0 {
		return ours != theirs
	}
	it := &f.whole[i]
	switch it.kind {
	case distinct:
		return math.Abs(ours.(float64)-theirs.(float64)) > 0.03*theirs.(float64)
	case quantiles:
		v := view{bucket: b, form: f, handler: &Handler{}}
		x, ok := v.value(it, it.from[0])
		if !ok {
			return true
		}
		for _, s := range shares {
			if strings.HasSuffix(path, "."+s.member) {
				low := float64(x.values.Quantile(s.q-0.02)) * x.scale
				high := float64(x.values.Quantile(s.q+0.02)) * x.scale
				return theirs.(float64) < low*0.99 || theirs.(float64) > high*1.01
			}
		}
		return true
	case table:
		return rowsDiffer(theirs.([]any), ours.([]any))
	}
	return ours != theirs
}

// rowsDiffer reports whether two tables differ in their numbers, or in a name with more than the last row.
func rowsDiffer(theirs, ours []any) bool {
	estimate := func(row any) float64 { return row.(map[string]any)["estimate"].(float64) }
	if len(theirs) != len(ours) {
		return true
	}
	numbers := map[any]float64{}
	for i := range ours {
		if estimate(ours[i]) != estimate(theirs[i]) {
			return true
		}
		numbers[ours[i].(map[string]any)["name"]] = estimate(ours[i])
	}
	for _, row := range theirs {
		least := estimate(ours[len(ours)-1])
		if n := estimate(row); n > least && numbers[row.(map[string]any)["name"]] != n {
			return true
		}
	}
	return false
}
