package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
)

// TestWhenLevelsAreComputed: a longer rollup is computed after its end, and again after a late host-minute, but not twice in
// ten seconds.
func TestWhenLevelsAreComputed(t *testing.T) {
	s := start(nil)
	k := s.key(rollup.Minute5, rollup.All, noon)
	end := k.Start + 300
	at := func(unix int64) { s.c.t = time.Unix(unix, 0); s.step(t.Context()) }
	s.c.t = time.Unix(noon+61, 0)
	s.deliver(t, s.host("a", "", noon, 3))
	for _, now := range []int64{noon + 65, end, end + 9} {
		if at(now); total(t, k) != -1 {
			t.Fatalf("computed %d s after its end", now-end)
		}
	}
	if at(end + 10); total(t, k) != 3 {
		t.Fatal("not computed 10 s after its end")
	}
	s.deliver(t, s.host("b", "", noon+60, 4))
	for _, now := range []int64{end + 13, end + 19} {
		if at(now); total(t, k) != 3 {
			t.Fatalf("computed again after %d s", now-end-10)
		}
	}
	if at(end + 20); total(t, k) != 7 {
		t.Fatal("not computed again")
	}
	for level := rollup.Hour1; level.Valid(); level = level.Above() {
		k := s.key(level, rollup.All, noon)
		end, wait := k.Start+level.Seconds(), int64(10*(level-rollup.Minute1))
		if at(end + wait - 1); total(t, k) != -1 {
			t.Errorf("%v is computed too early", level)
		}
		if at(end + wait); total(t, k) != 7 {
			t.Errorf("%v is not computed", level)
		}
	}
	_, before, _ := shared.Get(t.Context(), k)
	s.levels.mark(k, s.c.now())
	at(end + 1e6)
	if _, after, err := shared.Get(t.Context(), k); err != nil || after != before {
		t.Errorf("a rollup that is up to date was written again: revision %d, %d before", after, before)
	}
}

// TestKilledBetweenLevels: a hub that was killed after it wrote a minute leaves nothing out of date, however long it was away.
func TestKilledBetweenLevels(t *testing.T) {
	for _, away := range []time.Duration{time.Minute, 20 * time.Hour} {
		s := start(nil)
		s.deliver(t, s.host("a", "pop=a", noon, 3), s.host("a", "pop=a", noon-3600, 4))
		s.c.pass(3 * time.Second)
		s.flushDue(t.Context())
		if total(t, s.key(rollup.Minute5, "pop=a", noon)) != -1 {
			t.Fatal("the case is not reached")
		}
		s.c.t = time.Unix(noon, 0).Add(away + 25*time.Hour)
		next := newIngester(s.v, s.c, nil)
		finish(t, next, s.c)
		for level, want := range map[rollup.Level]int{rollup.Minute5: 3, rollup.Day1: 7} {
			if got := total(t, s.key(level, "pop=a", noon)); got != want {
				t.Errorf("away for %v: %v has %d events, want %d", away, level, got, want)
			}
		}
	}
}

// TestLeases: a hub computes the groups of the partitions that it has the lease of, also what was left by another one.
func TestLeases(t *testing.T) {
	leased := map[int]bool{store.Partition("pop=a"): true}
	if leased[store.Partition(rollup.All)] {
		t.Fatal("choose another group")
	}
	s := start(func(c *Config) { c.Leased = func(p int) bool { return leased[p] } })
	s.deliver(t, s.host("a", "pop=a", noon, 3))
	finish(t, s.Ingester, s.c)
	if a, all := total(t, s.key(rollup.Minute5, "pop=a", noon)), total(t, s.key(rollup.Minute5, rollup.All, noon)); a != 3 || all != -1 {
		t.Errorf("the leased group has %d events, the other %d", a, all)
	}
	leased[store.Partition(rollup.All)] = true
	s.c.pass(time.Second)
	s.step(t.Context())
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute5, rollup.All, noon)); got != 3 {
		t.Errorf("after the lease was taken over: %d events, want 3", got)
	}
}

// losing is a store from which rollups and raw host-minutes vanish.
type losing struct {
	*view
	gone  map[store.Key]uint64 // by the revision up to which they are gone
	noRaw bool
}

func (l *losing) lose(t testing.TB, k store.Key) {
	_, revision, err := shared.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	l.gone[k] = revision
}

func (l *losing) Get(ctx context.Context, k store.Key) ([]byte, uint64, error) {
	data, revision, err := l.view.Get(ctx, k)
	if err == nil && revision <= l.gone[k] {
		return nil, 0, store.ErrNotFound
	}
	return data, revision, err
}

func (l *losing) Put(ctx context.Context, k store.Key, data []byte, revision uint64) (uint64, error) {
	if gone := l.gone[k]; gone > 0 && revision == 0 {
		revision = gone
	}
	return l.view.Put(ctx, k, data, revision)
}

func (l *losing) Range(ctx context.Context, level rollup.Level, policy, group string, from, to int64, each func(store.Key, []byte, uint64) error) error {
	return l.view.Range(ctx, level, policy, group, from, to, func(k store.Key, data []byte, revision uint64) error {
		if revision <= l.gone[k] {
			return nil
		}
		return each(k, data, revision)
	})
}

func (l *losing) HostMinutes(ctx context.Context, policy, host string, from, to int64, each func(store.Raw) error) error {
	if l.noRaw {
		return nil
	}
	return l.view.HostMinutes(ctx, policy, host, from, to, each)
}

// lossy makes an ingester over a store that loses things, with three minutes of two hosts in all levels.
func lossy(t testing.TB) (*setup, *losing) {
	s := start(nil)
	l := &losing{view: s.v, gone: map[store.Key]uint64{}}
	s.cfg.Store = l
	s.c.t = time.Unix(noon, 0).Add(50 * time.Hour)
	for i := range int64(3) {
		s.deliver(t, s.host("a", "pop=a", noon-180+60*i, 3), s.host("b", "pop=a", noon-180+60*i, 4))
	}
	finish(t, s.Ingester, s.c)
	return s, l
}

// TestVanished: rollups that are gone from the store are made again from the level below or from raw host-minutes, when the level
// above is computed. A host-minute that comes late for a minute that is gone does not hide that.
func TestVanished(t *testing.T) {
	for _, c := range []struct {
		name  string
		gone  []rollup.Level
		group string
		late  int64 // the minute of a late host-minute
	}{
		{"a minute of all", []rollup.Level{rollup.Minute1}, rollup.All, 120},
		{"a minute of all, with a late one", []rollup.Level{rollup.Minute1}, rollup.All, 60},
		{"a minute of a tag", []rollup.Level{rollup.Minute1}, "pop=a", 120},
		{"a minute of a tag, with a late one", []rollup.Level{rollup.Minute1}, "pop=a", 60},
		{"five minutes", []rollup.Level{rollup.Minute5}, "pop=a", 60},
		{"two levels", []rollup.Level{rollup.Minute1, rollup.Minute5}, "pop=a", 120},
		{"an hour", []rollup.Level{rollup.Hour1}, rollup.All, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l := lossy(t)
			for _, level := range c.gone {
				l.lose(t, s.key(level, c.group, noon-120))
			}
			s.deliver(t, s.host("late", "pop=a", noon-180+c.late, 5))
			finish(t, s.Ingester, s.c)
			for _, group := range []string{rollup.All, "pop=a"} {
				for level := rollup.Minute5; level.Valid(); level = level.Above() {
					if got := total(t, s.key(level, group, noon-180)); got != 26 {
						t.Errorf("%s, %v: %d events, want 26", group, level, got)
					}
				}
				want := 7
				if c.late == 60 {
					want += 5
				}
				if got := total(t, s.key(rollup.Minute1, group, noon-120)); got != want {
					t.Errorf("%s: %d events in the minute, want %d", group, got, want)
				}
			}
		})
	}
}

// TestKept: if raw host-minutes are gone too, a longer rollup keeps what it has.
func TestKept(t *testing.T) {
	s, l := lossy(t)
	l.lose(t, s.key(rollup.Minute1, rollup.All, noon-120))
	l.noRaw = true
	s.deliver(t, s.host("late", "pop=a", noon-60, 5))
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute5, rollup.All, noon-120)); got != 21 {
		t.Errorf("%d events, want the 21 of before", got)
	}
	if st := s.Status(); st.Kept == 0 || st.Vanished == 0 {
		t.Errorf("not visible: %+v", st)
	}
}

// TestGaps: a host-minute that does not come is looked for in the raw stream, and reported if it is not there.
func TestGaps(t *testing.T) {
	var missing []string
	s := start(func(c *Config) {
		c.Missing = func(_, host string, start int64) { missing = append(missing, fmt.Sprint(host, " ", start-noon)) }
	})
	s.gaps.next = noon
	s.c.t = time.Unix(noon+62, 0)
	s.deliver(t, s.host("a", "", noon, 1), s.host("b", "", noon, 1), s.host("c", "pop=a", noon, 1))
	s.step(t.Context())
	put(t, s.host("c", "pop=a", noon+60, 4)) // a hub takes it, and stops
	lost := consume(t, 1)
	s.deliver(t, s.host("a", "", noon+60, 2))
	step := func(unix int64) {
		s.c.t = time.Unix(unix, 0)
		for range 5 {
			s.step(t.Context())
			s.stepped = time.Time{}
		}
	}
	if step(noon + 120 + 89); len(missing) > 0 {
		t.Fatalf("missing too early: %v", missing)
	}
	step(noon + 120 + 90)
	if want := []string{"b 60"}; !slices.Equal(missing, want) {
		t.Errorf("missing %v, want %v", missing, want)
	}
	for _, group := range []string{"pop=a", rollup.All} {
		want := 4
		if group == rollup.All {
			want = 6
		}
		if got := total(t, s.key(rollup.Minute1, group, noon+60)); got != want {
			t.Errorf("%s: %d events, want %d", group, got, want)
		}
	}
	s.accept(&lost[0]) // it is delivered again
	finish(t, s.Ingester, s.c)
	if st := s.Status(); st.Duplicate != 1 || st.Restored != 1 || st.Missing < 1 {
		t.Errorf("%+v", st)
	}
	step(noon + 3600)
	for i := range int64(60) {
		step(noon + 3600 + i)
	}
	if n := len(missing); n != 1+9+10+10 { // each is missed for ten minutes after its last one
		t.Errorf("%d are missing: %v", n, missing)
	}
}

// TestGapsWait: gaps are not looked for while many deliveries wait, and an error of the store only delays it.
func TestGapsWait(t *testing.T) {
	missing := 0
	s := start(func(c *Config) { c.Missing = func(string, string, int64) { missing++ } })
	s.c.t = time.Unix(noon+300, 0)
	s.deliver(t, s.host("a", "", noon, 1))
	finish(t, s.Ingester, s.c)
	s.gaps.next = noon
	s.behind.Store(true)
	for range 3 {
		s.checkGaps(t.Context())
	}
	if s.gaps.next != noon {
		t.Error("checked while many deliveries wait")
	}
	s.behind.Store(false)
	s.checkGaps(t.Context())
	s.cfg.Store = &failing{s.v}
	s.checkGaps(t.Context())
	if s.gaps.next != noon+60 || missing != 0 || s.Status().LastError == "" {
		t.Errorf("next %d, missing %d: %+v", s.gaps.next-noon, missing, s.Status())
	}
	s.cfg.Store = s.v
	if s.checkGaps(t.Context()); missing != 1 {
		t.Errorf("missing %d, want 1", missing)
	}
}

// failing is a store that reads nothing.
type failing struct{ *view }

func (*failing) Get(context.Context, store.Key) ([]byte, uint64, error) {
	return nil, 0, errors.New("broken")
}

// TestDirtyIsBounded: what does not fit into the list of rollups to compute is found by a sweep.
func TestDirtyIsBounded(t *testing.T) {
	s := start(nil)
	s.deliver(t, s.host("a", "", noon, 3))
	s.levels.swept = s.c.now()
	for i := range s.levels.leased {
		s.levels.leased[i] = true
	}
	for i := range maxDirty {
		s.levels.dirty[store.Key{Level: rollup.Minute5, Policy: "far away", Start: int64(i)}] = time.Unix(1<<40, 0)
	}
	s.c.pass(3 * time.Second)
	s.flushDue(t.Context())
	if got := s.levels.size(); got != maxDirty {
		t.Fatalf("%d wait, want %d", got, maxDirty)
	}
	clear(s.levels.dirty)
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute5, rollup.All, noon)); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
}
