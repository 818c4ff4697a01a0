package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// shifted is a source that moves its frames to another time.
type shifted struct {
	capture.Source
	by time.Duration
}

// ReadBatch reads a batch and shifts it.
func (s shifted) ReadBatch(b *capture.Batch) error {
	err := s.Source.ReadBatch(b)
	for i := range b.Frames {
		b.Frames[i].Time += int64(s.by)
	}
	return err
}

// TestLastSecond: the last packet of a file, in any shard, decides which queries have timed out, also in captures from before
// 1970.
func TestLastSecond(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:20")
	for i := range 40 { // half of them wait for 5.6 s, the others for 4.6 s
		s.udp(start+3e8+int64(i%2)*1e9, fmt.Sprintf("198.51.100.%d:4242", i), "192.0.2.1:53", dnsQuery(uint16(i), "www.example.org"))
	}
	s.udp(start+59e8, "203.0.113.1:1000", "192.0.2.1:2000", make([]byte, 40))
	slices.SortStableFunc(s.frames, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	s.udp(start+1e9, "203.0.113.1:1000", "192.0.2.1:2000", make([]byte, 40)) // late, so not the newest
	for _, shards := range []int{1, 2, 5} {
		for _, by := range []time.Duration{0, -100 * 365 * 24 * time.Hour} {
			src, err := capture.OpenReader(bytes.NewReader(s.file()), 0)
			if err != nil {
				t.Fatal(err)
			}
			a := newAgent(t, func(c *setup) { c.Shards = shards })
			if err := a.RunFile(t.Context(), shifted{src, by}); err != nil {
				t.Fatal(err)
			}
			c := dnsMetrics(a.Window().Merged(1)).Counters
			if c.Timeouts != 20 || c.Open != 20 {
				t.Errorf("%d shards, shifted by %v: %d timeouts, %d open; want 20 and 20", shards, by, c.Timeouts, c.Open)
			}
		}
	}
}

// TestShardsOfOddFiles: files that cannot be dealt evenly have the same summary with several shards as with one.
func TestShardsOfOddFiles(t *testing.T) {
	start := at("2024-03-01 12:00:20")
	pair := func(i int) (string, string) { return "192.0.2.1:53", "198.51.100.7:4242" }
	many := func(i int) (string, string) {
		return "192.0.2.1:53", []string{"198.51.100.7:4242", "198.51.100.8:4242", "203.0.113.77:999"}[i%3]
	}
	for name, c := range map[string]struct {
		frames int
		pause  time.Duration
		ends   func(i int) (string, string)
		giant  int // one of so many frames has 200 KB and is not IP
	}{
		"one pair of addresses": {40_000, 10 * time.Microsecond, pair, 0},
		"a packet a minute":     {200, 61 * time.Second, many, 0},
		"a packet in 3 seconds": {400, 3 * time.Second, many, 0},
		"giant frames":          {2_000, time.Millisecond, many, 50},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{t: t}
			for i := range c.frames {
				now := start + int64(i)*int64(c.pause)
				server, client := c.ends(i)
				if i&1 == 0 {
					s.udp(now, client, server, dnsQuery(uint16(i>>1), "www.example.org"))
				} else {
					server, client = c.ends(i - 1)
					s.udp(now, server, client, dnsResponse(uint16(i>>1), 0, "www.example.org"))
				}
				if c.giant > 0 && i%c.giant == 0 {
					s.add(now, append(make([]byte, 12), bytes.Repeat([]byte{0x88}, 200<<10)...))
				}
			}
			file := s.file()
			images := func(shards int, single bool) (all []string) {
				testkit.NoLeaks(t)
				a := summarise(t, file, func(c *setup) { c.Single, c.Shards, c.Periods = single, shards, 10 })
				for n := 0; a.Window().Bucket(n) != nil; n++ {
					all = append(all, string(a.Window().Bucket(n).AppendJSON(nil, metric.JSONOptions{Key: "1m", Rows: 1000})))
				}
				return all
			}
			for _, single := range []bool{true, false} {
				want := images(1, single)
				for _, shards := range []int{2, 5} {
					if diff := gocmp.Diff(want, images(shards, single)); diff != "" {
						t.Errorf("%d shards, single %v: %.2000s", shards, single, diff)
					}
				}
			}
		})
	}
}
