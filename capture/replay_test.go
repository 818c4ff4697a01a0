package capture

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/linktype"
)

// recorded is when the frames of replayFile were recorded, in milliseconds since the first.
var recorded = []int64{0, 10, 10, 1000, 1500}

// replayFile writes a capture from 2023 whose frames are "a", "b", "c" and so on.
func replayFile(t *testing.T) string {
	b := pcapHeader(binary.LittleEndian, pcapMicros, 2, 4, uint32(linktype.Ethernet))
	for i, ms := range recorded {
		b = record(b, binary.LittleEndian, uint32(1_700_000_000+ms/1000), uint32(ms%1000*1000), 1, 1, string(rune('a'+i)))
	}
	return writeTemp(t, b)
}

// arrival is a frame of a replay: its content, its time, and the time at which the replay handed it over.
type arrival struct {
	data     string
	time, at time.Duration // since the replay started
}

// play reads n frames of a replay.
func play(t *testing.T, src Source, n int) (all []arrival) {
	t.Helper()
	start := time.Now()
	var b Batch
	for len(all) < n {
		err := src.ReadBatch(&b)
		for _, f := range b.Frames {
			all = append(all, arrival{string(f.Data), time.Unix(0, f.Time).Sub(start), time.Since(start)})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestReplayTimes: the frames of a replay carry the time at which they are played, not the time at which they were
// recorded, in the first round and in the next.
func TestReplayTimes(t *testing.T) {
	path := replayFile(t)
	for _, c := range []struct {
		name  string
		speed float64
		want  []int64 // milliseconds, of two rounds
	}{
		{"as recorded", 1, []int64{0, 10, 10, 1000, 1500, 1500, 1510, 1510, 2500, 3000}},
		{"five times as fast", 5, []int64{0, 2, 2, 200, 300, 300, 302, 302, 500, 600}},
		{"at half speed", 0.5, []int64{0, 20, 20, 2000, 3000, 3000, 3020, 3020, 5000, 6000}},
		{"as fast as possible", 0, make([]int64, 10)},
	} {
		synctest.Test(t, func(t *testing.T) {
			src, err := OpenReplay(t.Context(), ReplayConfig{Path: path, Speed: c.speed, Loop: true})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var want []arrival
			for i, ms := range c.want {
				at := time.Duration(ms) * time.Millisecond
				want = append(want, arrival{string(rune('a' + i%len(recorded))), at, at})
			}
			if got := play(t, src, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", c.name, got, want)
			}
		})
	}
}

// TestReplayLateReader: a frame carries the time at which it was due, even if its reader comes late.
func TestReplayLateReader(t *testing.T) {
	path := replayFile(t)
	synctest.Test(t, func(t *testing.T) {
		src, err := OpenReplay(t.Context(), ReplayConfig{Path: path, Speed: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		const ms = time.Millisecond
		first := play(t, src, 1)
		time.Sleep(1200 * ms)
		rest := play(t, src, len(recorded)-1)
		for i := range rest { // from the start of the second call to that of the first
			rest[i].time += 1200 * ms
			rest[i].at += 1200 * ms
		}
		want := []arrival{{"a", 0, 0}, {"b", 10 * ms, 1200 * ms}, {"c", 10 * ms, 1200 * ms}, {"d", 1000 * ms, 1200 * ms}, {"e", 1500 * ms, 1500 * ms}}
		if got := append(first, rest...); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestReplayCounts: the frames that a filter keeps count as received, in every round, and those that it leaves out as
// discarded.
func TestReplayCounts(t *testing.T) {
	src, err := OpenReplay(t.Context(), ReplayConfig{Path: replayFile(t), Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if st := src.Stats(); st != (Stats{}) {
		t.Errorf("before the first frame: %+v", st)
	}
	kept := Filter(src, func(linktype.Type) (Matcher, error) { return firstByte('b'), nil })
	for round := uint64(1); round <= 3; round++ {
		var b Batch
		if err := kept.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
		if len(b.Frames) != 1 || string(b.Frames[0].Data) != "b" {
			t.Fatalf("round %d: %d frames", round, len(b.Frames))
		}
		all := round * uint64(len(recorded))
		if got, want := kept.Stats(), (Stats{Received: round, Discarded: all - round}); got != want {
			t.Errorf("round %d: the filter counts %+v, want %+v", round, got, want)
		}
		if got, want := src.Stats(), (Stats{Received: all}); got != want {
			t.Errorf("round %d: the replay counts %+v, want %+v", round, got, want)
		}
	}
}
