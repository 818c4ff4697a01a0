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
	"pktvisor/geo"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// summary returns the summary of a capture file in one bucket, with the places of the demonstration. hosts are the host subnets.
func summary(t testing.TB, path, hosts string) *metric.Bucket {
	t.Helper()
	places := filepath.Join(testkit.RepoRoot(t), "testdata", "geoip", "demo.mmdb")
	locate, err := geo.Open(places, places)
	if err != nil {
		t.Fatal(err)
	}
	defer locate.Close()
	return summaryWith(t, path, hosts, locate)
}

// summaryWith is like summary, with the places of a locator, or without any if it is nil.
func summaryWith(t testing.TB, path, hosts string, locate packets.Locator) *metric.Bucket {
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
		Policies: []agent.PolicyConfig{{Topics: agent.Topics(locate, 5*time.Second), Single: true, Periods: 1, DeepSamplePercent: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(context.Background(), map[string][]capture.Source{agent.Default: {src}}); err != nil {
		t.Fatal(err)
	}
	b := a.Policy(agent.Default).Window().Merged(1)
	if b == nil {
		b = metric.NewBucket(agent.Tables)
	}
	return b
}

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
