package ingest

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/minute"
)

// minutes runs an agent over a capture and returns its sealed minutes, and the last one.
func minutes(t testing.TB, file []byte, id metric.Identity) (list []*metric.Bucket, last *metric.Bucket) {
	t.Helper()
	p := testagent.Read(t, bytes.NewReader(file), testkit.HostSpec, func(c *agent.Config) {
		c.Host, c.Tags, c.Boot = id.Host, id.Tags, id.Boot
		one := &c.Policies[0]
		one.Name, one.Periods, one.OnSeal = id.Policy, 10, func(b *metric.Bucket) { list = append(list, b) }
	})
	return list, p.Window().Bucket(0)
}

// split deals the frames of a capture to n hosts, by their pair of addresses. So each host sees all of a transaction.
func split(t testing.TB, file []byte, n int) [][]byte {
	t.Helper()
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	parts := make([]bytes.Buffer, n)
	writers := make([]*testkit.PcapWriter, n)
	for i := range parts {
		if writers[i], err = testkit.NewPcapWriter(&parts[i], false, linktype.Ethernet); err != nil {
			t.Fatal(err)
		}
	}
	var d decode.Decoder
	var p decode.Packet
	var batch capture.Batch
	for src.ReadBatch(&batch) == nil {
		for i := range batch.Frames {
			f := &batch.Frames[i]
			d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			to := 0
			if p.Kind == decode.KindIP {
				to = int(p.PairHash() % uint32(n))
			}
			if err := writers[to].Write(f.Time, f.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := make([][]byte, n)
	for i := range files {
		if err := writers[i].Flush(); err != nil {
			t.Fatal(err)
		}
		files[i] = parts[i].Bytes()
	}
	return files
}

// TestEqualsOneAgent: what the hub says of hosts that each captured a part of the traffic equals what one agent says that
// captured all of it. Counters, histograms, rates and cardinalities are equal, and tables are within their bounds.
func TestEqualsOneAgent(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("slow, and nothing runs at once")
	}
	for seed := range uint64(3) {
		cfg := testkit.TinyMixed()
		cfg.Seed, cfg.Packets, cfg.Rate = seed, 6000, 30
		cfg.Start = time.Unix(noon-200, 0)
		var file bytes.Buffer
		if _, err := testkit.Generate(&file, cfg); err != nil {
			t.Fatal(err)
		}
		v := &view{Store: shared, policy: newPolicy()}
		c := &clock{t: time.Unix(noon, 0).Add(50 * time.Hour)}
		g := newIngester(v, c, func(c *Config) { c.Tables = agent.Tables })
		want := metric.NewBucket(agent.Tables)
		one, _ := minutes(t, file.Bytes(), metric.Identity{Policy: "one"})
		for i := range one {
			o := one[len(one)-1-i]
			if i == 0 {
				want.Merge(o)
			} else {
				want.Precede([]*metric.Bucket{o})
			}
		}
		n := 0
		for i, part := range split(t, file.Bytes(), 4) {
			tags := metric.Tags("pop=" + string(rune('a'+i%2)))
			// The last minute is left out: a host waits for responses until the end of its own part.
			sealed, _ := minutes(t, part, metric.Identity{Host: fmt.Sprint("h", i), Policy: v.policy, Tags: tags, Boot: 1})
			for _, b := range sealed {
				if err := shared.PutRaw(t.Context(), b.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1, Compression: metric.Zstd}), ""); err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		list := consume(t, n)
		for i := range list {
			g.accept(&list[(i*7)%n]) // in another order, and some twice
			g.accept(&list[i])
		}
		finish(t, g, c)
		got := metric.NewBucket(agent.Tables)
		days := map[int64]bool{}
		for _, b := range one {
			days[rollup.Day1.Of(b.Start)] = true
		}
		if len(days) > 1 {
			t.Skip("the traffic is in two days")
		}
		for day := range days {
			data, _, err := shared.Get(t.Context(), store.Key{Level: rollup.Day1, Policy: v.policy, Group: rollup.All, Start: day})
			if err != nil {
				t.Fatal(err)
			}
			r, err := rollup.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err = metric.ReadSnapshot(agent.Tables, r.Snapshot); err != nil {
				t.Fatal(err)
			}
			for _, m := range r.Members {
				if m.Minutes < 3 || m.Minutes > uint64(len(one)) {
					t.Errorf("%s gave %d minutes of %d", m.Host, m.Minutes, len(one))
				}
			}
		}
		same(t, got, want)
	}
}

// same compares two buckets of agents' tables.
func same(t testing.TB, got, want *metric.Bucket) {
	t.Helper()
	if got.Start != want.Start || minute.Of(got.End-1) != minute.Of(want.End-1) {
		t.Errorf("from %d to %d, want %d to %d", got.Start, got.End, want.Start, want.End)
	}
	busy := 0
	for i, s := range want.Sections {
		g := got.Sections[i]
		for k := range s.Table.Descs {
			if strings.HasSuffix(s.Table.Descs[k].Path, "top_slow") {
				continue // what is slow depends on what the host has seen before
			}
			d := &s.Table.Descs[k]
			path := d.Section + "." + d.Path
			switch d.Kind {
			case metric.KindCounter:
				if g.Counter(k) != s.Counter(k) {
					t.Errorf("%s: %d, want %d", path, g.Counter(k), s.Counter(k))
				}
				busy += bits.Len64(min(s.Counter(k), 1))
			case metric.KindHistogram:
				if g, w := g.Histogram(k), s.Histogram(k); !bytes.Equal(g.AppendBinary(nil), w.AppendBinary(nil)) {
					t.Errorf("%s: %d values with sum %d, want %d with %d", path, g.Count(), g.Sum(), w.Count(), w.Sum())
				}
			case metric.KindCardinality:
				if g, w := g.Cardinality(k).Estimate(), s.Cardinality(k).Estimate(); g != w {
					t.Errorf("%s: %v, want %v", path, g, w)
				}
			case metric.KindTop:
				if g.Top(k).Total() != s.Top(k).Total() {
					t.Errorf("%s: weight %d, want %d", path, g.Top(k).Total(), s.Top(k).Total())
				}
				for key, weight := range s.Top(k).All() {
					if lower, upper := g.Top(k).Bounds(key); lower > weight+s.Top(k).MaxError() || upper < weight {
						t.Errorf("%s: %s from %d to %d, want %d", path, key, lower, upper, weight)
					}
				}
			}
		}
	}
	if busy < 30 {
		t.Errorf("only %d counters are not zero: the comparison says little", busy)
	}
}
