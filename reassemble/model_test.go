package reassemble

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/decode"
)

// TestModel loses, cuts, repeats and shuffles segments, in less time than a stream waits for a missing one. The model
// is one sentence: a message is returned once if the first 14 bytes of its first segment were captured, with the time
// of that segment, the bytes that it should have, and the size that it claims. Messages start with a segment, as
// servers send them, so that a stream that has lost its place can find it again.
func TestModel(t *testing.T) { rapid.Check(t, streamsModel) }

// FuzzModel lets coverage guide the choices of TestModel.
func FuzzModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(streamsModel)) }

func streamsModel(t *rapid.T) {
	type segment struct {
		msg      int // that starts with it, or -1
		from, to int
		captured int
		late     int
	}
	snap := rapid.SampledFrom([]int{1, 13, 14, 40, 300, 1 << 16, 1 << 16}).Draw(t, "snap")
	var stream []byte
	var msgs [][]byte
	var segs []segment
	for id := range rapid.IntRange(1, 12).Draw(t, "messages") {
		m := query(id, rapid.OneOf(rapid.IntRange(17, 300), rapid.IntRange(300, 9000)).Draw(t, "size"))
		for i := 18; i < len(m); i++ {
			m[i] = 0xee
		}
		msgs = append(msgs, m)
		for off := 0; off < 2+len(m); {
			n := min(2+len(m)-off, rapid.IntRange(256, 1460).Draw(t, "n"))
			s := segment{-1, len(stream) + off, len(stream) + off + n, min(n, snap), len(segs) + rapid.SampledFrom([]int{0, 0, 0, 1, 2, 9}).Draw(t, "late")}
			if off == 0 {
				s.msg = id
			}
			off += n
			segs = append(segs, s)
		}
		stream = append(stream, framed(m)...)
	}
	for i := range segs {
		if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			s := segs[i]
			s.late += rapid.IntRange(0, 20).Draw(t, "later")
			segs = append(segs, s)
		}
	}
	segs = slices.DeleteFunc(segs, func(segment) bool { return rapid.IntRange(0, 7).Draw(t, "lost") == 0 })
	slices.SortStableFunc(segs, func(a, b segment) int { return a.late - b.late })

	s, c := collectStreams(StreamsConfig{}), newSender(1, 1<<32-100)
	c.add(s, c.p.Seq, decode.TCPSyn, nil)
	start := c.p.Seq + 1
	var got [][]byte
	want := map[uint16]int64{} // times, by ID
	for _, g := range segs {
		c.p.Time += rapid.Int64Range(0, int64(holeTimeout)/int64(len(segs)+1)).Draw(t, "pause")
		if _, known := want[uint16(g.msg)]; g.msg >= 0 && g.captured >= 14 && !known {
			want[uint16(g.msg)] = c.p.Time
		}
		var flags uint8
		if g.to == len(stream) {
			flags = decode.TCPFin
		}
		got = append(got, c.addCut(s, start+uint32(g.from), flags, stream[g.from:g.to], g.captured)...)
		if rapid.Bool().Draw(t, "tick") {
			got = append(got, s.tick(c.p.Time)...)
		}
	}
	s.Finish()
	got = append(got, s.take()...)
	for i, b := range got {
		id := be16(b)
		at, ok := want[id]
		if !ok {
			t.Fatalf("message %d was returned twice, or was not captured: %s", id, describe(got))
		}
		delete(want, id)
		if m := msgs[id]; at != s.times[i] || int(s.sizes[i]) != len(m) || !bytes.Equal(m[:len(b)], b) {
			t.Fatalf("message %d: %d bytes at %d, of %d; want them at %d, of %d", id, len(b), s.times[i], s.sizes[i], at, len(m))
		}
	}
	if len(want) > 0 {
		t.Fatalf("missing: %v; got %s, %+v", want, describe(got), s.Stats())
	}
	if s.pool.used != 0 || s.holes != 0 || s.Oldest(c.p.Time) != c.p.Time {
		t.Fatalf("left: %d blocks, %d holes", s.pool.used, s.holes)
	}
}
