package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// stopping is a source that calls a function after its nth batch, as if the user interrupted the program.
type stopping struct {
	capture.Source
	batches int
	stop    context.CancelFunc
	frames  uint64
}

// ReadBatch reads a batch, and interrupts after the nth.
func (s *stopping) ReadBatch(b *capture.Batch) error {
	err := s.Source.ReadBatch(b)
	s.frames += uint64(len(b.Frames))
	if s.batches--; s.batches == 0 {
		s.stop()
	}
	return err
}

// TestInterrupted: after Ctrl-C, the window contains everything that was read before.
func TestInterrupted(t *testing.T) {
	file, _ := traffic(t, testkit.DNSHeavy(), 40_000, 1)
	for _, shards := range []int{1, 3} {
		testkit.NoLeaks(t)
		src, err := capture.OpenReader(bytes.NewReader(file), 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		s := &stopping{Source: src, batches: 2, stop: stop}
		a := newAgent(t, func(c *setup) { c.Shards = shards })
		if err := a.RunFile(ctx, s); !errors.Is(err, context.Canceled) {
			t.Errorf("%d shards: ended with error %v", shards, err)
		}
		p := packetMetrics(a.Window().Merged(1))
		if uint64(p.Total) != s.frames || s.frames == 0 || s.frames == 40_000 || a.Frames() != int64(s.frames) {
			t.Errorf("%d shards: %d packets, want the %d that were read (%d by Frames)", shards, p.Total, s.frames, a.Frames())
		}
		if p.TopIPv4.Total() == 0 || p.SrcIPsIn.Estimate() == 0 {
			t.Errorf("%d shards: the keys are not in the window", shards)
		}
	}
}

// TestDamaged: a file that ends in the middle of a record is summarised up to that record, and the error says so.
func TestDamaged(t *testing.T) {
	file, truth := traffic(t, testkit.TinyMixed(), 5_000, 1)
	for _, shards := range []int{1, 3} {
		testkit.NoLeaks(t)
		src, err := capture.OpenReader(bytes.NewReader(file[:len(file)-7]), 0)
		if err != nil {
			t.Fatal(err)
		}
		a := newAgent(t, func(c *setup) { c.Shards = shards })
		err = a.RunFile(t.Context(), src)
		var damage *capture.DamageError
		if !errors.As(err, &damage) || !errors.Is(err, io.ErrUnexpectedEOF) || damage.Frames != truth.Total.Packets-1 {
			t.Errorf("%d shards: ended with error %v", shards, err)
		}
		if p := packetMetrics(a.Window().Merged(1)); uint64(p.Total) != truth.Total.Packets-1 {
			t.Errorf("%d shards: %d packets, want %d", shards, p.Total, truth.Total.Packets-1)
		}
	}
}

// TestNothing: a file without packets leaves no bucket.
func TestNothing(t *testing.T) {
	for _, shards := range []int{1, 3} {
		a := summarise(t, (&script{t: t}).file(), func(c *setup) { c.Shards = shards })
		if a.Window().Merged(5) != nil || !a.LastPacket().IsZero() || a.Frames() != 0 || openTransactions(a) != 0 {
			t.Errorf("%d shards: a bucket without packets", shards)
		}
	}
}

// sixes matches frames of IPv6 without a VLAN tag.
type sixes struct{}

// Match reports whether the EtherType is that of IPv6.
func (sixes) Match(frame []byte, _ uint32) bool { return frame[12] == 0x86 }

// TestFilter: frames that the filter rejects count as discarded, and nowhere else.
func TestFilter(t *testing.T) {
	file, truth := traffic(t, testkit.TinyMixed(), 5_000, 2)
	for _, shards := range []int{1, 3} {
		src, err := capture.OpenReader(bytes.NewReader(file), 0)
		if err != nil {
			t.Fatal(err)
		}
		src = capture.Filter(src, func(linktype.Type) (capture.Matcher, error) { return sixes{}, nil })
		a := newAgent(t, func(c *setup) { c.Shards = shards })
		if err := a.RunFile(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		b := a.Window().Merged(1)
		p, m := packetMetrics(b), metric.Of[sourceMetrics](b.Sections[len(b.Sections)-1])
		if p.IPv6 == 0 || p.Total != p.IPv6 || uint64(p.IPv6) > truth.Total.IPv6 {
			t.Errorf("%d shards: %d packets, %d of IPv6 (%d in all)", shards, p.Total, p.IPv6, truth.Total.IPv6)
		}
		if m.Received != uint64(p.Total) || m.Discarded != 5_000-uint64(p.Total) {
			t.Errorf("%d shards: %d received, %d discarded, %d counted", shards, m.Received, m.Discarded, p.Total)
		}
	}
}

// TestShardsOverMinutes: every bucket has the same content, including timeouts and slow names, whatever the number of shards.
func TestShardsOverMinutes(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Rate = 40
	file, truth := traffic(t, cfg, 10_000, 3)
	if len(truth.Minutes) < 4 {
		t.Fatalf("%d minutes of traffic: too few to test with", len(truth.Minutes))
	}
	images := func(shards int) []string {
		a := summarise(t, file, func(c *setup) { c.Single, c.Shards, c.Periods = false, shards, 10 })
		var all []string
		for n := 0; a.Window().Bucket(n) != nil; n++ {
			all = append(all, string(a.Window().Bucket(n).AppendJSON(nil, metric.JSONOptions{Key: "1m", Rows: 1000})))
		}
		return all
	}
	want := images(1)
	for _, shards := range []int{2, 5} {
		got := images(shards)
		if len(got) != len(want) {
			t.Fatalf("%d shards: %d buckets, want %d", shards, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%d shards: bucket %d: %s", shards, i, cmp.Diff(indent(t, []byte(want[i])), indent(t, []byte(got[i]))))
			}
		}
	}
}

// TestSeconds: each second of a long file has its own rate, although its counts are flushed together with those of other
// seconds. The bucket spans all seconds, wherever the clock moves.
func TestSeconds(t *testing.T) {
	start := at("2024-03-01 12:00:00") / 1e9
	for _, shards := range []int{1, 3} {
		s := &script{t: t}
		want := map[int64]uint64{}
		second := func(second int64, n int) {
			for i := range n {
				s.udp(second*1e9+int64(i), fmt.Sprintf("198.51.100.%d:4242", i), "192.0.2.1:53", dnsQuery(uint16(i), "www.example.org"))
			}
			want[second] += uint64(n)
		}
		const seconds = 3*analyze.MaxSeconds + 10
		for i := range int64(seconds) {
			second(start+2*i, 1+int(i%7))
		}
		second(start-500, 5) // the clock is set back
		second(start-400, 6)
		last := start + 2*(seconds-1)
		a := summarise(t, s.file(), func(c *setup) { c.Shards, c.Single = shards, true })
		b := a.Window().Merged(1)
		if b.Start != start-500 || b.End != last+1 {
			t.Errorf("%d shards: from %d to %d, want %d to %d", shards, b.Start, b.End, start-500, last+1)
		}
		p, d := packetMetrics(b), dnsMetrics(b)
		for second := start - 501; second <= last+1; second++ {
			if p.PpsIn.At(second) != want[second] || p.PpsTotal.At(second) != want[second] || d.Rate.At(second) != want[second] {
				t.Fatalf("%d shards: %d and %d packets, %d messages in second %d, want %d of each",
					shards, p.PpsIn.At(second), p.PpsTotal.At(second), d.Rate.At(second), second-start, want[second])
			}
		}
		if n := uint64(len(s.frames)); uint64(p.Total) != n || uint64(d.Total) != n || p.Size.Count() != n {
			t.Errorf("%d shards: %d packets, %d messages, %d sizes, want %d", shards, p.Total, d.Total, p.Size.Count(), n)
		}
	}
}

// TestFloodFirst: the first minute begins with its first packet, even if a flood fills a tally before the first flush of the
// counts.
func TestFloodFirst(t *testing.T) {
	cfg := testkit.AllDistinctNames()
	cfg.Rate = 8_000 // a shard's tally of names is full after 64,500 packets
	file, truth := traffic(t, cfg, 140_000, 1)
	for _, shards := range []int{1, 2} {
		for _, single := range []bool{true, false} {
			a := summarise(t, file, func(c *setup) { c.Shards, c.Single, c.Periods = shards, single, 10 })
			oldest := a.Window().Bucket(0)
			for n := 1; a.Window().Bucket(n) != nil; n++ {
				oldest = a.Window().Bucket(n)
			}
			p := packetMetrics(oldest)
			if first := truth.Total.First / 1e9; oldest.Start != first || p.PpsTotal.At(first) == 0 {
				t.Errorf("%d shards, single %v: begins at %d with %d packets, want %d", shards, single, oldest.Start, p.PpsTotal.At(oldest.Start), first)
			}
		}
	}
}

// peeking is a source that calls look before each read.
type peeking struct {
	capture.Source
	look func()
}

// ReadBatch calls look, then reads.
func (p peeking) ReadBatch(b *capture.Batch) error {
	p.look()
	return p.Source.ReadBatch(b)
}

// TestPeek: a reader of the window sees the packets of a long file while it is read, except for the newest 100,000 or
// fewer.
func TestPeek(t *testing.T) {
	cfg := testkit.DNSHeavy()
	file, _ := traffic(t, cfg, 3*maxUnflushed, 1)
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, nil)
	most := 0.0
	look := func() {
		total := metric.Counter(0)
		if b := a.Window().Merged(1); b != nil {
			total = packetMetrics(b).Total
		}
		most = max(most, float64(a.Frames())-float64(total))
	}
	if err := a.RunFile(t.Context(), peeking{src, look}); err != nil {
		t.Fatal(err)
	}
	if most > maxUnflushed+1.3*20_000+1024 { // plus the second that has not ended, and a batch
		t.Errorf("%.0f packets were read, but not in the window", most)
	}
}

// TestPolled: a window that is read all the time, as by the API, is consistent whenever it is read.
func TestPolled(t *testing.T) {
	file, truth := traffic(t, testkit.DNSHeavy(), 60_000, 4)
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, func(c *setup) { c.Single, c.Shards = false, 3 })
	done := make(chan error, 1)
	go func() { done <- a.RunFile(t.Context(), src) }()
	last := metric.Counter(0)
	for {
		if b := a.Window().Merged(5); b != nil {
			p := packetMetrics(b)
			if p.Total < last || p.Total != p.IPv4+p.IPv6+p.NonIP || p.PpsTotal.At(b.Start) > uint64(p.Total) {
				t.Fatalf("%d packets after %d; %d of IPv4, %d of IPv6 and %d others", p.Total, last, p.IPv4, p.IPv6, p.NonIP)
			}
			last = p.Total
		}
		openTransactions(a)
		a.LastPacket()
		select {
		case err := <-done:
			if total := packetMetrics(a.Window().Totals()).Total; err != nil || uint64(total) != truth.Total.Packets {
				t.Errorf("%v, %d packets, want %d", err, total, truth.Total.Packets)
			}
			return
		default:
		}
	}
}
