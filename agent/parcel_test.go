package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// TestParcel: what was put into a parcel comes out of it, frames of any length and steps between them, and a
// parcel that had to grow does not stay so.
func TestParcel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			frame  []byte
			second int64 // of a step, where there is no frame
		}
		p := newParcel()
		for range 3 {
			var in, out []item
			for range rapid.IntRange(1, 3*parcelFrames/2).Draw(t, "items") {
				if rapid.IntRange(0, 40).Draw(t, "step") == 0 {
					second := rapid.Int64().Draw(t, "second")
					if !p.mark(step{second: second}) {
						break
					}
					in = append(in, item{second: second})
					continue
				}
				n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, parcelBytes), rapid.Just(4*parcelBytes)).Draw(t, "len")
				behind := rapid.SampledFrom([]int{0, 10, shortFrame}).Draw(t, "behind")
				frame := append(bytes.Repeat([]byte{byte(len(in))}, n), bytes.Repeat([]byte{0xff}, behind)...)[:n]
				f := capture.Frame{Data: frame, Time: int64(len(in)), WireLen: uint32(n + 1), Link: 7}
				if p.addShort([]capture.Frame{{}, f}, []uint32{1}) == 0 && !p.add(&f) {
					if p.n == 0 {
						t.Fatal("no room in an empty parcel")
					}
					break
				}
				in = append(in, item{frame: frame})
			}
			at, from := uint(0), p.bytes[:]
			if p.long != nil {
				from = p.long
			}
			take := func(to uint) {
				for _, f := range p.frames[at:to] {
					if f.time != int64(len(out)) || f.wireLen != f.end-f.start+1 || f.link != 7 {
						t.Fatalf("frame %d: %+v", len(out), f)
					}
					out = append(out, item{frame: from[f.start:f.end]})
				}
				at = to
			}
			for _, m := range p.marks {
				take(m.at)
				out = append(out, item{second: m.step.second})
			}
			take(p.n)
			if diff := gocmp.Diff(in, out, gocmp.AllowUnexported(item{}), gocmp.Comparer(bytes.Equal)); diff != "" {
				t.Fatal(diff)
			}
			p.reset()
			if p.long != nil || p.n != 0 || p.used != 0 || len(p.marks) != 0 {
				t.Fatalf("after reset: %d frames, %d bytes, %d marks, %d bytes of a long frame", p.n, p.used, len(p.marks), len(p.long))
			}
		}
	})
}

// TestShortFrames: frames of up to 256 bytes with others behind them are copied in the short way, until the
// parcel is full of them or of bytes, or one is not such a frame.
func TestShortFrames(t *testing.T) {
	short := func(size int) capture.Frame { return capture.Frame{Data: make([]byte, size, 256)} }
	for _, c := range []struct{ size, frames int }{
		{0, parcelFrames}, {60, parcelFrames}, {127, parcelFrames}, {128, parcelBytes/128 - 1}, {129, (parcelBytes-256)/129 + 1}, {256, parcelBytes / 256},
	} {
		for _, atOnce := range []int{1, 7, 2 * parcelFrames} {
			p, n := newParcel(), 0
			frames := []capture.Frame{short(1000 % (c.size + 1)), short(c.size)}
			for {
				took := p.addShort(frames, slices.Repeat([]uint32{1}, atOnce))
				if n += took; took < atOnce {
					break
				}
			}
			if n != c.frames || p.n != uint(n) || p.used != uint(n*c.size) {
				t.Errorf("%d frames of %d bytes, %d at once, and the parcel has %d of %d bytes, want %d", n, c.size, atOnce, p.n, p.used, c.frames)
			}
		}
	}
	for _, odd := range []capture.Frame{{Data: make([]byte, 257)}, {Data: make([]byte, 10)}} {
		if n := newParcel().addShort([]capture.Frame{odd, short(10)}, []uint32{1, 1, 0, 1}); n != 2 {
			t.Errorf("%d frames were copied, want the 2 before one of %d bytes with room for %d", n, len(odd.Data), cap(odd.Data))
		}
	}
}

// shifted is a source whose frames are of another time.
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

// TestLastSecond: a query is timed out by the last packet of a file, whichever shard that is in, and in
// captures of before 1970, too.
func TestLastSecond(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:20")
	for i := range 40 { // half of them wait for 5.6 s, half for 4.6
		s.udp(start+3e8+int64(i%2)*1e9, fmt.Sprintf("198.51.100.%d:4242", i), "192.0.2.1:53", dnsQuery(uint16(i), "www.example.org"))
	}
	s.udp(start+59e8, "203.0.113.1:1000", "192.0.2.1:2000", make([]byte, 40))
	slices.SortStableFunc(s.frames, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	s.udp(start+1e9, "203.0.113.1:1000", "192.0.2.1:2000", make([]byte, 40)) // late: not the newest
	for _, shards := range []int{1, 2, 5} {
		for _, by := range []time.Duration{0, -100 * 365 * 24 * time.Hour} {
			src, err := capture.OpenReader(bytes.NewReader(s.file()), 0)
			if err != nil {
				t.Fatal(err)
			}
			a := newAgent(t, func(c *Config) { c.Shards = shards })
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

// TestShardsOfOddFiles: files that the reader cannot simply deal out evenly have the same summary with
// several shards as with one.
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
		giant  int // every so many frames, one of 200 KB that is no IP
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
				a := summarise(t, file, func(c *Config) { c.Single, c.Shards, c.Periods = single, shards, 10 })
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
