package successor

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/filter"
	"pktvisor/geo"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// demoCapture returns the path of the demonstration capture.
func demoCapture(t testing.TB) string {
	t.Helper()
	return filepath.Join(testkit.RepoRoot(t), "testdata", "captures", "demo.pcap.gz")
}

// demo returns the summary of the demonstration capture.
func demo(t testing.TB) *metric.Bucket {
	t.Helper()
	return summary(t, demoCapture(t), testkit.HostSpec)
}

// summary returns the summary of a capture file in one bucket, with the places of the demonstration. hosts are the host subnets.
func summary(t testing.TB, path, hosts string) *metric.Bucket {
	t.Helper()
	return merged(run(t, path, hosts, places(t), 1))
}

// merged returns the merge of a policy's minutes.
func merged(p *agent.Policy) *metric.Bucket {
	if b := p.Window().Merged(p.Window().Periods()); b != nil {
		return b
	}
	return metric.NewBucket(agent.Tables)
}

// places returns the places of the demonstration.
func places(t testing.TB) packets.Locator {
	t.Helper()
	path := filepath.Join(testkit.RepoRoot(t), "testdata", "geoip", "demo.mmdb")
	db, err := geo.Open(path, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// run summarises a capture file and returns the policy. One period means one bucket of the whole file. Without a locator there are no
// places.
func run(t testing.TB, path, hosts string, locate packets.Locator, periods int) *agent.Policy {
	t.Helper()
	return runFiltered(t, path, hosts, locate, periods, nil)
}

// runFiltered is like run, for a policy with a filter.
func runFiltered(t testing.TB, path, hosts string, locate packets.Locator, periods int, f *filter.Filter) *agent.Policy {
	t.Helper()
	src, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ours, err := analyze.ParseHosts(hosts)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Taps:     []agent.TapConfig{{Shards: 1, Hosts: ours, DNSPorts: []uint16{53, 5353, 5355}, DNSTimeout: 5 * time.Second}},
		Policies: []agent.PolicyConfig{{Topics: agent.Topics(locate, 5*time.Second), Filter: f, Single: periods == 1, Periods: periods, DeepSamplePercent: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(context.Background(), map[string][]capture.Source{agent.Default: {src}}); err != nil {
		t.Fatal(err)
	}
	return a.Policy(agent.Default)
}

// Demo is for the tests in package successor_test: it runs the demonstration capture in minutes.
func Demo(t testing.TB) *agent.Policy {
	t.Helper()
	return run(t, demoCapture(t), testkit.HostSpec, places(t), 5)
}

// defaultHandlers are the handlers of the successor's policy default.
var defaultHandlers = []Handler{{Name: "net", Type: "net"}, {Name: "dns", Type: "dns"}, {Name: "pcap_stats", Type: "pcap"}}

// shown returns what is shown of a bucket for a handler, without the schema's name.
func shown(t testing.TB, b *metric.Bucket, h Handler, second int64) map[string]any {
	t.Helper()
	text := append(AppendLive([]byte("{"), b, h, second), '}')
	var doc map[string]map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	f := formOf(&h)
	if f == nil || len(doc) != 1 {
		return nil
	}
	return doc[f.schema]
}
