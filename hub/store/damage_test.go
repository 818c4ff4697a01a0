package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/internal/testkit"
)

// TestDamagedBlock flips bytes in the file of the snapshots. With the index that a server writes at its end, one snapshot
// is lost. Without it, as after a crash, all behind it in the block are. The store says so.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	for _, crashed := range []bool{false, true} {
		t.Run(fmt.Sprint("crashed=", crashed), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := testConfig(t)
			s := open(t, c)
			begun := time.Now().Unix()
			var puts []Put
			for i := range uint64(300) { // 12 MB: two blocks
				puts = append(puts, Put{Data: pad(snapshot(identity("ns1", i+1), lastMinute()), 40_000)})
			}
			for i, err := range s.PutRaws(ctx, puts) {
				if err != nil {
					t.Fatal(i, err)
				}
			}
			s.Close()
			damage(t, c.Dir, crashed)
			s = open(t, c)
			taken := consume(t, s, 100)
			for {
				got, err := s.Consume(ctx, 300)
				if err != nil {
					t.Fatal(err)
				}
				if taken = append(taken, got...); len(got) == 0 {
					break
				}
			}
			present := map[uint64]bool{}
			for _, d := range taken {
				present[d.Sequence] = true
				d.Ack()
			}
			var lost []uint64
			for i := uint64(1); i <= 300; i++ {
				if !present[i] {
					lost = append(lost, i)
				}
			}
			if len(lost) == 0 || len(lost) > 250 {
				t.Fatalf("%d lost", len(lost))
			}
			testkit.Eventually(t, "the loss is noticed", func() bool { s.look(ctx); return s.Status().Lost == uint64(len(lost)) })
			gaps, err := s.Gaps(ctx)
			if err != nil || len(gaps) != 1 || gaps[0].First != lost[0] || gaps[0].Last != lost[len(lost)-1] {
				t.Errorf("gaps %+v, %v; lost %d to %d", gaps, err, lost[0], lost[len(lost)-1])
			} else if now := time.Now().Unix(); gaps[0].From < begun-1 || gaps[0].To > now+1 || gaps[0].To <= gaps[0].From {
				t.Errorf("gap from %d to %d", gaps[0].From, gaps[0].To)
			}
		})
	}
}

// damage flips bytes of the first block of snapshots.
func damage(t *testing.T, dir string, crashed bool) {
	t.Helper()
	messages := filepath.Join(dir, "jetstream", "*", "streams", "PV_RAW", "msgs")
	blocks, err := filepath.Glob(filepath.Join(messages, "*.blk"))
	if err != nil || len(blocks) < 2 {
		t.Fatal(blocks, err)
	}
	slices.Sort(blocks)
	data, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		data[2_000_000+i] ^= 0xff
	}
	if err := os.WriteFile(blocks[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if crashed {
		if err := os.Remove(filepath.Join(filepath.Dir(blocks[0]), "index.db")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGapsOfRollups(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	for _, k := range []Key{{1, "p", "a", 60}, {1, "p", "a", 120}, {1, "p", "a", 300}, {1, "p", "b", 60}, {1, "p", "b", 240}, {rollup.Hour1, "p", "a", 0}, {rollup.Hour1, "p", "a", 7200}} {
		if _, err := s.Put(ctx, k, []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	want := []Gap{{Level: 1, Policy: "p", Group: "b", From: 120, To: 240}, {Level: 1, Policy: "p", Group: "a", From: 180, To: 300}, {Level: rollup.Hour1, Policy: "p", Group: "a", From: 3600, To: 7200}}
	if got, err := s.Gaps(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// TestSequenceFromTheFuture announces a rollup with a sequence that does not exist, as after a loss of data or by somebody
// who lies. Readers find out what exists.
func TestSequenceFromTheFuture(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := cluster(t, 1)[0]
	k := Key{1, "default", all, 60}
	r, err := s.Put(ctx, k, []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, read := range []func() error{
		func() error { _, got, err := s.Get(ctx, k); return errors.Join(err, equal(got, r)) },
		func() error {
			_, _, err := s.Get(ctx, Key{1, "default", "none", 60})
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return errors.Join(err, errors.New("found"))
		},
		func() error {
			n := uint64(0)
			err := s.Range(ctx, 1, "default", all, 0, 3600, func(Key, []byte, uint64) error { n++; return nil })
			return errors.Join(err, equal(n, 1))
		},
		func() error {
			return s.Range(ctx, 1, "default", "none", 0, 3600, func(Key, []byte, uint64) error { return errors.New("found") })
		},
	} {
		s.saw(k, 1<<40)
		if err := errors.Join(read(), equal(s.seen[1].Load(), r)); err != nil { // the leader was asked
			t.Error(err)
		}
	}
	if st := s.Status(); !strings.Contains(st.Error, "PV_ROLL_1M has lost data") {
		t.Errorf("%+v", st)
	}
}

func equal(got, want uint64) error {
	if got != want {
		return errors.New("not what was stored")
	}
	return nil
}

// TestConsumerIsDeleted deletes the consumer of all hubs.
func TestConsumerIsDeleted(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	if err := s.js.DeleteConsumer(ctx, s.names.stream(0), consumerName); err != nil {
		t.Fatal(err)
	}
	if err := s.PutRaw(ctx, snapshot(identity("ns1", 1), lastMinute()), ""); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a delivery", func() bool {
		got, err := s.Consume(ctx, 1)
		if err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		return len(got) == 1
	})
}

// TestBatchWithDuplicates stores many snapshots of which one is there already, one is twice, and one is refused.
func TestBatchWithDuplicates(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, testConfig(t))
	start := lastMinute()
	put := func(seq uint64) Put { return Put{Data: snapshot(identity("ns1", seq), start)} }
	if err := s.PutRaw(ctx, put(5).Data, ""); err != nil {
		t.Fatal(err)
	}
	var puts []Put
	for i := range uint64(250) {
		puts = append(puts, put(i+1))
	}
	puts[120] = puts[119]
	puts[200].Data = []byte("bad")
	for i, err := range s.PutRaws(ctx, puts) {
		if (i == 200) != errors.Is(err, ErrRefused) || i != 200 && err != nil {
			t.Error(i, err)
		}
	}
	seen := map[uint64]int{}
	for _, d := range consume(t, s, 248) {
		seen[d.Info.Identity.Seq]++
	}
	if more, err := s.Consume(ctx, 5); len(more) > 0 || err != nil {
		t.Errorf("%d more, %v", len(more), err)
	}
	for i := uint64(1); i <= 250; i++ {
		if want := 1; (i == 121 || i == 201) == (seen[i] == want) {
			t.Errorf("snapshot %d is there %d times", i, seen[i])
		}
	}
}
