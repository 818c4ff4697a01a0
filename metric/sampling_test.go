package metric

import (
	"math"
	"strings"
	"testing"
)

type sampledCounts struct {
	Total       Counter `metric:"total" sample:"seen" unit:"packets" help:"x"`
	DeepSamples Counter `metric:"deep_samples" sample:"taken" unit:"packets" help:"x"`
}

type sampledMessages struct {
	Total       Counter `metric:"messages.total" sample:"seen" unit:"messages" help:"x"`
	DeepSamples Counter `metric:"deep_samples" sample:"taken" unit:"messages" help:"x"`
}

var sampledTables = []*Table{Define[sampledCounts]("packets"), Define[sampledMessages]("dns")}

func sampledBucket(start int64, percent int, packets, messages uint64) *Bucket {
	b := NewBucket(sampledTables)
	b.Start, b.End, b.DeepSamplePercent = start, start+60, percent
	p, d := Of[sampledCounts](b.Sections[0]), Of[sampledMessages](b.Sections[1])
	p.Total, d.Total = Counter(packets), Counter(messages)
	p.DeepSamples, d.DeepSamples = Counter(packets*uint64(percent)/100), Counter(messages*uint64(percent)/100)
	return b
}

// TestMergedShares: for any merge order, deep samples times the factor equal all events, in each section and also
// through a snapshot.
func TestMergedShares(t *testing.T) {
	parts := []*Bucket{
		sampledBucket(0, 10, 1000, 200), sampledBucket(60, 100, 3000, 0), sampledBucket(120, 1, 0, 70_000), sampledBucket(180, 50, 0, 0), sampledBucket(240, 10, 500, 500),
	}
	for shift := range parts {
		b := NewBucket(sampledTables)
		for i := range parts {
			b.Merge(parts[(i+shift)%len(parts)])
		}
		data := b.AppendSnapshot(nil, SnapshotOptions{Agent: "a"})
		read, err := ReadSnapshot(sampledTables, data)
		if err != nil {
			t.Fatal(err)
		}
		info, err := ReadSnapshotInfo(data)
		if err != nil || info.DeepSamplePercent != b.DeepSamplePercent || info.Agent != "a" {
			t.Errorf("the header says %+v, %v", info, err)
		}
		for _, b := range []*Bucket{b, read} {
			p, d := Of[sampledCounts](b.Sections[0]), Of[sampledMessages](b.Sections[1])
			packets := float64(p.DeepSamples) * 100 / b.sampled(b.Sections[0])
			messages := float64(d.DeepSamples) * 100 / b.sampled(b.Sections[1])
			if math.Abs(packets-4500) > 1 || math.Abs(messages-70_700) > 10 {
				t.Errorf("from part %d: %.1f packets and %.1f messages, want 4500 and 70700", shift, packets, messages)
			}
			json := string(b.AppendJSON(nil, JSONOptions{Key: "k"}))
			// 3150 of 4500 packets, 770 of 70700 messages.
			if !strings.Contains(json, `"deep_sample_percent":70,"deep_sample_factor":1.42857`) || !strings.Contains(json, `"deep_sample_percent":1,"deep_sample_factor":91.8`) {
				t.Errorf("from part %d: %s", shift, json)
			}
		}
	}
	same := NewBucket(sampledTables)
	same.Merge(parts[0])
	same.Merge(parts[4])
	one := sampledBucket(0, 10, 1500, 700)
	one.End = 300
	if a, b := same.AppendSnapshot(nil, SnapshotOptions{}), one.AppendSnapshot(nil, SnapshotOptions{}); string(a) != string(b) {
		t.Error("a merge at one rate is written differently")
	}
}

// TestMergeOfHosts: the share of a merge is the analysed events divided by the events seen. A host without traffic has
// no weight.
func TestMergeOfHosts(t *testing.T) {
	type host struct {
		percent     int
		seen, taken uint64
	}
	for _, c := range []struct {
		name string
		a, b host
		want string
	}{
		{"both alike", host{100, 1000, 1000}, host{1, 1000, 10}, `"deep_sample_percent":51,"deep_sample_factor":1.9802`},
		{"by what was analysed, not by what was asked for", host{100, 1000, 1000}, host{1, 1000, 20}, `"deep_sample_percent":51,"deep_sample_factor":1.96078`},
		{"little at 1%", host{100, 1000, 1000}, host{1, 10, 0}, `"deep_sample_percent":99,"deep_sample_factor":1.01`},
		{"much at 1%", host{100, 100, 100}, host{1, 9900, 99}, `"deep_sample_percent":2,"deep_sample_factor":50.2513`},
		{"nothing at 1%", host{100, 1000, 1000}, host{1, 0, 0}, `"deep_sample_percent":100,"deep_sample_factor":1`},
		{"nothing at 100%", host{100, 0, 0}, host{1, 1000, 12}, `"deep_sample_percent":1,"deep_sample_factor":100`},
		{"nothing at all", host{100, 0, 0}, host{1, 0, 0}, `"deep_sample_percent":100,"deep_sample_factor":1`},
		{"none analysed on one", host{0, 300, 0}, host{100, 100, 100}, `"deep_sample_percent":25,"deep_sample_factor":4`},
		{"nothing analysed on the only busy host", host{0, 300, 0}, host{100, 0, 0}, `"deep_sample_percent":0`},
		{"the same share", host{10, 300, 33}, host{10, 200, 15}, `"deep_sample_percent":10,"deep_sample_factor":10`},
		{"more analysed than seen", host{50, 10, 20}, host{100, 10, 10}, `"deep_sample_percent":100,"deep_sample_factor":1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bucket := func(h host) *Bucket {
				b := sampledBucket(60, h.percent, h.seen, 0)
				Of[sampledCounts](b.Sections[0]).DeepSamples = Counter(h.taken)
				return b
			}
			check := func(how string, b *Bucket) {
				t.Helper()
				json := string(b.AppendJSON(nil, JSONOptions{Key: "k"}))
				if _, section, _ := strings.Cut(json, `"packets":`); !strings.Contains(section[:strings.IndexByte(section, '}')+1], c.want) {
					t.Errorf("%s: %s, want %s", how, json, c.want)
				}
			}
			for _, order := range [][2]host{{c.a, c.b}, {c.b, c.a}} {
				hosts := NewBucket(sampledTables)
				hosts.Merge(bucket(order[0]))
				hosts.Merge(bucket(order[1]))
				check("over hosts", hosts)
				sent, err := ReadSnapshot(sampledTables, hosts.AppendSnapshot(nil, SnapshotOptions{}))
				if err != nil {
					t.Fatal(err)
				}
				check("sent", sent)
				newer, older := bucket(order[0]), bucket(order[1])
				older.Start, older.End = 0, 60
				newer.Precede([]*Bucket{older})
				check("over time", newer)
			}
		})
	}
}

// TestMergedSharesOfRollups: the shares of rollups, which cover the seconds of many hosts, are weighted by events as those of
// hosts are, whether they are merged as buckets or as bytes, and in any order.
func TestMergedSharesOfRollups(t *testing.T) {
	hosts := []struct {
		percent           int
		packets, messages uint64
	}{{10, 1000, 200}, {100, 3000, 0}, {1, 0, 70_000}, {50, 0, 0}, {10, 500, 500}, {100, 20, 5}}
	rollup := func(from, to int) *Bucket {
		b := NewBucket(sampledTables)
		for _, h := range hosts[from:to] {
			b.Merge(sampledBucket(0, h.percent, h.packets, h.messages))
			b.Covered += 60
		}
		return b
	}
	whole := rollup(0, len(hosts))
	for cut := 1; cut < len(hosts); cut++ {
		parts := []*Bucket{rollup(0, cut), rollup(cut, len(hosts))}
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			buckets, bytes := NewBucket(sampledTables), NewBucket(sampledTables)
			m := NewMerger(sampledTables)
			for _, i := range order {
				data := parts[i].AppendSnapshot(nil, SnapshotOptions{Compression: Zstd})
				info, err := m.Open(data)
				if err != nil || info.Covered != 60*uint64([]int{cut, len(hosts) - cut}[i]) {
					t.Fatalf("%+v, %v", info, err)
				}
				buckets.Merge(parts[i])
				m.AddTo(bytes)
			}
			for _, b := range []*Bucket{buckets, bytes} {
				for i, s := range b.Sections {
					if got, want := b.sampled(s), whole.sampled(whole.Sections[i]); math.Abs(got-want) > 1e-9 {
						t.Errorf("cut at %d, section %d: %v%%, want %v%%", cut, i, got, want)
					}
				}
				if b.DeepSamplePercent != whole.DeepSamplePercent || b.DeepSamplePercent != 70 { // 3170 of 4520 packets
					t.Errorf("cut at %d: %d%%", cut, b.DeepSamplePercent)
				}
			}
		}
	}
}
