package metric

import (
	"math"
	"strings"
	"testing"
)

type sampledCounts struct {
	Total       Counter `metric:"total" unit:"packets" help:"x"`
	DeepSamples Counter `metric:"deep_samples" unit:"packets" help:"x"`
}

type sampledMessages struct {
	Total       Counter `metric:"messages.total" unit:"messages" help:"x"`
	DeepSamples Counter `metric:"deep_samples" unit:"messages" help:"x"`
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

// TestMergedShares: whatever is merged in whatever order, deep samples times the factor are all events, in each section and
// through a snapshot too.
func TestMergedShares(t *testing.T) {
	parts := []*Bucket{
		sampledBucket(0, 10, 1000, 200), sampledBucket(60, 100, 3000, 0), sampledBucket(120, 1, 0, 70_000), sampledBucket(180, 50, 0, 0), sampledBucket(240, 10, 500, 500),
	}
	for shift := range parts {
		b := NewBucket(sampledTables)
		for i := range parts {
			b.Merge(parts[(i+shift)%len(parts)])
		}
		data := b.AppendSnapshot(nil, SnapshotOptions{Host: "h", Agent: "a"})
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
		t.Error("a merge at one rate is written otherwise than before")
	}
}
