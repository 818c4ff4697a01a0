package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// newAgent makes an agent with one shard. Its host subnets are those of the generated traffic.
func newAgent(t testing.TB, change func(*setup)) *only {
	t.Helper()
	hosts, err := analyze.ParseHosts("192.0.2.0/24,2001:db8:53::/48")
	if err != nil {
		t.Fatal(err)
	}
	cfg := setup{
		TapConfig:    TapConfig{Shards: 1, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second},
		PolicyConfig: PolicyConfig{Periods: 5, Single: true, DeepSamplePercent: 100},
	}
	if change != nil {
		change(&cfg)
	}
	return cfg.start(t)
}

// summarise runs an agent over a capture in memory.
func summarise(t testing.TB, file []byte, change func(*setup)) *only {
	t.Helper()
	a := newAgent(t, change)
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := a.RunFile(context.Background(), src); err != nil {
		t.Fatal(err)
	}
	return a
}

func traffic(t testing.TB, cfg testkit.TrafficConfig, packets int, seed uint64) ([]byte, *testkit.Truth) {
	t.Helper()
	cfg.Packets, cfg.Seed = packets, seed
	var file bytes.Buffer
	truth, err := testkit.Generate(&file, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), truth
}

// TestTruth compares every counter with the exact answer for generated traffic, and every estimate with its bound, for several
// kinds of traffic and seeds.
func TestTruth(t *testing.T) {
	presets := map[string]testkit.TrafficConfig{
		"dns": testkit.DNSHeavy(), "tcp": testkit.AllTCP(), "names": testkit.AllDistinctNames(),
		"sources": testkit.AllDistinctSources(), "tiny": testkit.TinyMixed(), "dnssec": testkit.LargeDNSSEC(), "quiet": testkit.Quiet(),
	}
	packets, seeds := 60_000, uint64(3)
	if testkit.RaceEnabled {
		packets, seeds = 6_000, 1
	}
	for name, cfg := range presets {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				file, truth := traffic(t, cfg, packets, seed)
				a := summarise(t, file, nil)
				b := a.Window().Merged(1)
				compareCounters(t, b, &truth.Total)
				compareEstimates(t, b, &truth.Total)
			})
		}
	}
}

func compareCounters(t *testing.T, b *metric.Bucket, s *testkit.Summary) {
	t.Helper()
	p := metric.Of[packets.Metrics](b.Sections[0])
	d := metric.Of[dns.Metrics](b.Sections[1])
	for _, c := range []struct {
		name string
		got  metric.Counter
		want uint64
	}{
		{"total", p.Total, s.Packets}, {"bytes.total", p.BytesTotal, s.Bytes}, {"ipv4", p.IPv4, s.IPv4}, {"ipv6", p.IPv6, s.IPv6},
		{"non_ip", p.NonIP, s.NonIP}, {"udp", p.UDP, s.UDP}, {"tcp", p.TCP, s.TCP}, {"other_l4", p.OtherL4, s.OtherL4},
		{"in", p.In, s.In}, {"out", p.Out, s.Out}, {"unknown_dir", p.UnknownDir, s.Unknown},
		{"bytes.in", p.BytesIn, s.BytesIn}, {"bytes.out", p.BytesOut, s.BytesOut},
		{"syn", p.TCPSyn, s.TCPSyn}, {"syn_ack", p.TCPSynAck, s.TCPSynAck}, {"malformed", p.Malformed, 0},
		{"dns", d.Total, s.DNSMessages}, {"queries", d.Queries, s.Queries}, {"replies", d.Replies, s.Replies},
		{"dns udp", d.UDP, s.DNSUDP}, {"dns tcp", d.TCP, s.DNSTCP}, {"dns ipv4", d.IPv4, s.DNSIPv4}, {"dns ipv6", d.IPv6, s.DNSIPv6},
		{"dns in", d.In, s.DNSIn}, {"dns out", d.Out, s.DNSOut}, {"noerror", d.NoError, s.NoError}, {"nxdomain", d.NXDomain, s.NXDomain},
		{"srvfail", d.ServFail, s.Servfail}, {"refused", d.Refused, s.Refused}, {"nodata", d.NoData, s.Nodata},
		{"truncated", d.Truncated, s.Truncated}, {"edns", d.EDNS, s.EDNS}, {"ecs", d.ECS, s.ECS},
		{"xact in", d.InTotal, s.XactIn}, {"xact out", d.OutTotal, s.XactOut}, {"xact", d.Xacts, s.XactIn + s.XactOut},
		{"timeouts in", d.InTimeouts, s.TimeoutsIn}, {"timeouts out", d.OutTimeouts, s.TimeoutsOut},
		{"orphans in", d.InOrphans, s.OrphansIn}, {"orphans out", d.OutOrphans, s.OrphansOut},
		{"open", d.Open, s.PendingIn + s.PendingOut}, {"malformed dns", d.Malformed, 0}, {"gaps", d.Gaps, 0},
	} {
		if uint64(c.got) != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

func compareEstimates(t *testing.T, b *metric.Bucket, s *testkit.Summary) {
	t.Helper()
	p := metric.Of[packets.Metrics](b.Sections[0])
	d := metric.Of[dns.Metrics](b.Sections[1])
	for _, c := range []struct {
		name string
		got  *metric.Cardinality
		want uint64
	}{{"qname", &d.Qnames, s.DistinctQnames}, {"src_ips_in", &p.SrcIPsIn, s.SrcIPsIn}, {"dst_ips_out", &p.DstIPsOut, s.DstIPsOut}} {
		// Twice the 95% bound, because 1 in 20 estimates may exceed that bound.
		if off := math.Abs(c.got.Estimate()/max(float64(c.want), 1) - 1); c.want > 0 && off > 0.04 {
			t.Errorf("%s: estimate %.0f of %d: %.1f%% off", c.name, c.got.Estimate(), c.want, 100*off)
		}
	}
	for _, c := range []struct {
		name string
		got  *metric.Histogram
		want *testkit.Distribution
		unit float64
	}{
		{"xact.in", &d.InMicros, &s.XactInLatency, 1000}, {"xact.out", &d.OutMicros, &s.XactOutLatency, 1000},
		{"response_size", &d.ResponseSize, &s.ReplyBytes, 1},
	} {
		if c.got.Count() != c.want.N {
			t.Errorf("%s: %d values, want %d", c.name, c.got.Count(), c.want.N)
		}
		for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
			got, want := float64(c.got.Quantile(q)), float64(c.want.At(q))/c.unit
			if math.Abs(got-want) > 0.01*want+1 {
				t.Errorf("%s: p%.0f is %.0f, want %.0f within 1%%", c.name, 100*q, got, want)
			}
		}
	}
	for _, c := range []struct {
		name string
		got  *metric.Top
		want []testkit.Row
	}{
		{"top_qname2", &d.TopQname2, s.Tables.Qname2}, {"top_qname3", &d.TopQname3, s.Tables.Qname3},
		{"top_nxdomain", &d.TopNXDomain, s.Tables.NXDomain}, {"top_srvfail", &d.TopServFail, s.Tables.Servfail},
		{"top_refused", &d.TopRefused, s.Tables.Refused}, {"top_nodata", &d.TopNoData, s.Tables.Nodata},
		{"top_ipv4", &p.TopIPv4, s.Tables.IPv4}, {"top_ipv6", &p.TopIPv6, s.Tables.IPv6},
		{"top_udp_ports", &d.TopUDPPorts, s.Tables.UDPPorts}, {"top_qtype", &d.TopQtype, s.Tables.Qtype},
	} {
		for _, row := range c.want {
			lower, upper := c.got.Bounds([]byte(row.Name))
			if row.Count < lower || row.Count > upper {
				t.Errorf("%s: %s has %d to %d by its row, want %d", c.name, row.Name, lower, upper, row.Count)
			}
		}
		// The heaviest keys are in the table, and in order where their lead is greater than the error.
		rows := c.got.Top(nil, 10)
		for i, row := range rows {
			if i < len(c.want) && c.want[i].Count-min(c.got.MaxError(), c.want[i].Count) > row.Upper {
				t.Errorf("%s: row %d is %+v, want %+v", c.name, i, row, c.want[i])
			}
		}
		if len(rows) < min(10, len(c.want)) && c.got.MaxError() == 0 {
			t.Errorf("%s: %d rows, want %d", c.name, len(rows), min(10, len(c.want)))
		}
	}
}

// TestShards: the summary does not depend on the number of shards, as long as the top tables are exact.
func TestShards(t *testing.T) {
	file, _ := traffic(t, testkit.DNSHeavy(), 8_000, 7)
	for _, single := range []bool{true, false} {
		var want []byte
		for _, shards := range []int{1, 2, 3, 8} {
			a := summarise(t, file, func(c *setup) { c.Shards, c.Single = shards, single })
			got := a.Window().Merged(5).AppendJSON(nil, metric.JSONOptions{Key: "5m"})
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("single %v: %d shards: %s", single, shards, cmp.Diff(indent(t, want), indent(t, got)))
			}
		}
	}
}

func indent(t *testing.T, b []byte) []string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", " "); err != nil {
		t.Fatal(err)
	}
	return strings.Split(out.String(), "\n")
}

// TestMinutes: the counters of each bucket are those of its minute.
func TestMinutes(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Rate = 300
	file, truth := traffic(t, cfg, 60_000, 1)
	a := summarise(t, file, func(c *setup) { c.Single, c.Periods, c.Shards = false, 30, 2 })
	n := len(truth.Minutes)
	if n < 3 {
		t.Fatalf("%d minutes of traffic: too few to test with", n)
	}
	for i, minute := range truth.Minutes {
		b := a.Window().Bucket(n - 1 - i)
		if b == nil {
			t.Fatalf("no bucket %d of %d", n-1-i, n)
		}
		start, end := minute.Start/1e9, minute.Start/1e9+60
		if i == 0 {
			start = minute.First / 1e9
		}
		if i == n-1 {
			end = minute.Last/1e9 + 1
		}
		if b.Start != start || b.End != end {
			t.Errorf("minute %d: bucket from %d to %d, want %d to %d", i, b.Start, b.End, start, end)
		}
		p := metric.Of[packets.Metrics](b.Sections[0])
		d := metric.Of[dns.Metrics](b.Sections[1])
		if uint64(p.Total) != minute.Packets || uint64(p.In) != minute.In || uint64(d.Total) != minute.DNSMessages || uint64(d.Xacts) != minute.XactIn+minute.XactOut {
			t.Errorf("minute %d: %d packets, %d in, %d messages, %d transactions; want %d, %d, %d, %d", i,
				p.Total, p.In, d.Total, d.Xacts, minute.Packets, minute.In, minute.DNSMessages, minute.XactIn+minute.XactOut)
		}
	}
}
