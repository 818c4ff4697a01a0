package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent/adapt"
	"pktvisor/metric"
)

// TestShareChanges: the share of the deep sample changes while packets come, also between queries and their responses. Counters
// stay exact, no change makes a timeout or an orphan, and what the rows stand for has bounds that hold.
func TestShareChanges(t *testing.T) {
	const (
		clients = 400
		length  = 110 // seconds
	)
	s := &script{t: t}
	start := bubbleStart.UnixNano()
	for second := range int64(length) {
		for i := range int64(clients) {
			at := start + second*1e9 + i*1e9/clients
			client := fmt.Sprintf("10.1.%d.%d:%d", i>>8, i&255, 1024+second)
			name := fmt.Sprintf("a%d.victim.example", second*clients+i)
			if i%4 == 0 {
				name = fmt.Sprintf("www%d.other.example", i%16)
			}
			s.udp(at, client, server, dnsQuery(uint16(second), name))
			s.udp(at+300e6, server, client, dnsResponse(uint16(second), 0, name))
		}
	}
	for _, shards := range []int{1, 2} {
		sources := dealOut(t, s.file(), shards)
		synctest.Test(t, func(t *testing.T) {
			a, all := liveAgent(t, sources, func(c *setup) { c.MinDeepSamplePercent = 5 })
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := a.RunLive(ctx, all); err != nil {
					t.Error(err)
				}
			})
			for _, c := range []struct {
				at    float64 // seconds
				share int     // percent
			}{{10.1, 50}, {10.2, 20}, {30.15, 10}, {50.3, 1}, {70.2, 40}, {90.4, 100}} {
				time.Sleep(time.Until(bubbleStart.Add(time.Duration(c.at * 1e9))))
				a.SetShare(metric.Percent(c.share))
			}
			time.Sleep(time.Until(bubbleStart.Add((length + 10) * time.Second)))
			stop()
			running.Wait()

			b := a.Window().Merged(10)
			d, p := dnsMetrics(b), packetMetrics(b)
			if d.Total != 2*clients*length || p.Total != d.Total {
				t.Errorf("%d shards: %d messages in %d packets, want %d", shards, d.Total, p.Total, 2*clients*length)
			}
			if d.Timeouts != 0 || d.Orphans != 0 || d.Evicted != 0 || d.ResponseRepeats != 0 {
				t.Errorf("%d shards: %d timeouts, %d orphans, %d evicted, %d repeats", shards, d.Timeouts, d.Orphans, d.Evicted, d.ResponseRepeats)
			}
			if d.Xacts < clients*length/5 || d.Xacts > clients*length/2 {
				t.Errorf("%d shards: %d transactions of %d", shards, d.Xacts, clients*length)
			}
			checkShares(t, b, clients*length)
		})
	}
}

// sampledSummary is what a summary says about its sample.
type sampledSummary struct {
	DNS struct {
		Sampling struct {
			Seen, Taken, Error uint64
			Least              float64 `json:"least_percent"`
			Most               float64 `json:"most_percent"`
		}
		Top []struct {
			Name             string
			Estimate, Scaled uint64
			Lower            uint64 `json:"scaled_lower"`
			Upper            uint64 `json:"scaled_upper"`
		} `json:"top_qname2"`
		Cardinality struct {
			Lower uint64 `json:"qname_scaled_lower"`
			Upper uint64 `json:"qname_scaled_upper"`
		}
		Xact struct {
			In struct {
				Took struct {
					Scaled uint64
					Lower  uint64 `json:"scaled_lower"`
					Upper  uint64 `json:"scaled_upper"`
					P50    uint64
				} `json:"quantiles_us"`
			}
		}
	}
}

// checkShares checks the bounds of the sample of a window that has so many queries, three quarters of them in one zone.
func checkShares(t *testing.T, b *metric.Bucket, queries uint64) {
	t.Helper()
	text := b.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 5})
	var all map[string]*sampledSummary
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	d := &all["k"].DNS
	if s := d.Sampling; s.Seen != 2*queries || s.Least != 5 || s.Most != 100 || s.Taken == 0 || s.Taken >= s.Seen || s.Error == 0 || s.Error > s.Seen {
		t.Errorf("sampling %+v", s)
	}
	holds := func(what string, lower, truth, upper uint64) {
		t.Helper()
		if lower > truth || upper < truth || upper > 2*truth {
			t.Errorf("%s: %d to %d, want a narrow range around %d", what, lower, upper, truth)
		}
	}
	if len(d.Top) < 2 || d.Top[0].Name != ".victim.example" {
		t.Fatalf("rows %+v", d.Top)
	}
	zone := 2 * queries * 3 / 4
	holds("the zone", d.Top[0].Lower, zone, d.Top[0].Upper)
	if scaled := d.Top[0].Scaled; scaled < zone*3/4 || scaled > zone*5/4 {
		t.Errorf("the zone stands for %d, want about %d", scaled, zone)
	}
	if c, names := d.Cardinality, queries*3/4+4; c.Lower > names || c.Upper < names {
		t.Errorf("names: %d to %d, want %d within", c.Lower, c.Upper, names)
	}
	took := d.Xact.In.Took
	holds("transactions", took.Lower, queries, took.Upper)
	if took.P50 < 297_000 || took.P50 > 303_000 {
		t.Errorf("the median latency is %d us", took.P50)
	}
}

// TestShareOfPolicies: each policy keeps the share between its own limits, and the governor has the widest of them.
func TestShareOfPolicies(t *testing.T) {
	policies := []PolicyConfig{
		{Name: "a", Periods: 2, DeepSamplePercent: 100, MinDeepSamplePercent: 5},
		{Name: "b", Periods: 2, DeepSamplePercent: 40, MinDeepSamplePercent: 2},
		{Name: "c", Periods: 2, DeepSamplePercent: 30, MinDeepSamplePercent: 30},
	}
	a, err := New(Config{Taps: []TapConfig{{Shards: 1, DNSPorts: []uint16{53}, DNSTimeout: time.Second}}, Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := a.Tap(Default).Sample()
	if !ok || s.Least != metric.Percent(2) || s.Most != metric.Whole || s.Share != metric.Whole {
		t.Errorf("the governor has %+v, %v", s, ok)
	}
	for name, want := range map[string][3]int{"a": {100, 10, 5}, "b": {40, 10, 2}, "c": {30, 30, 30}} {
		for i, told := range []int{100, 10, 0} {
			if got := a.Policy(name).share(metric.Percent(told)); got != metric.Percent(want[i]) {
				t.Errorf("policy %s at %d%%: %v%%, want %d%%", name, told, got.Percent(), want[i])
			}
		}
	}
	fixed, err := New(Config{Taps: []TapConfig{{Shards: 1, DNSPorts: []uint16{53}, DNSTimeout: time.Second}}, Policies: policies[2:]})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := fixed.Tap(Default).Sample(); ok {
		t.Errorf("a share that is fixed has a governor: %+v", s)
	}
}

// TestScarce: while memory is short, the tap takes its least share, and says why, whatever it was told.
func TestScarce(t *testing.T) {
	a, _ := liveAgent(t, []*scripted{{}}, func(c *setup) { c.MinDeepSamplePercent = 5 })
	tap := a.Tap
	for _, c := range []struct {
		scarce bool
		told   int
		want   int
		reason adapt.Reason
	}{{false, 50, 50, ""}, {true, 50, 5, adapt.Memory}, {true, 100, 5, adapt.Memory}, {false, 100, 100, ""}} {
		tap.SetShare(metric.Percent(c.told))
		tap.Scarce(c.scarce)
		s, ok := tap.Sample()
		if got := tap.told(); got != metric.Percent(c.want) || !ok || s.Reason != c.reason || c.scarce && s.Share != got {
			t.Errorf("told %d%%, scarce %t: takes %v, says %+v", c.told, c.scarce, got.Percent(), s)
		}
	}
}
