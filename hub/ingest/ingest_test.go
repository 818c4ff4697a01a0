package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/fleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

// setup is an ingester over the shared store, with a policy of its own. Its clock is ten minutes after noon.
type setup struct {
	*Ingester
	v *view
	c *clock
}

func start(change func(*Config)) *setup {
	v := &view{Store: shared, policy: newPolicy()}
	c := &clock{t: time.Unix(noon, 0).Add(10 * time.Minute)}
	return &setup{newIngester(v, c, change), v, c}
}

// deliver puts buckets into the raw stream and gives them to the ingester.
func (s *setup) deliver(t testing.TB, buckets ...*metric.Bucket) []store.Delivery {
	t.Helper()
	for _, b := range buckets {
		put(t, b)
	}
	list := consume(t, len(buckets))
	for i := range list {
		s.accept(&list[i])
	}
	return list
}

// host makes the host-minute of a host, with n events.
func (s *setup) host(host string, tags metric.Tags, start int64, n int) *metric.Bucket {
	return fleet.Minute(id(s.v.policy, host, tags, 1), start, events(start, n, host))
}

func (s *setup) key(level rollup.Level, group string, start int64) store.Key {
	return store.Key{Level: level, Policy: s.v.policy, Group: group, Start: level.Of(start)}
}

// TestRefused: what cannot count is refused, counted by its reason, and does not stop others.
func TestRefused(t *testing.T) {
	s := start(func(c *Config) { c.Retention = time.Hour })
	p := s.v.policy
	raw := func(host, policy string, start, end int64, err error) *store.Delivery {
		return &store.Delivery{Raw: store.Raw{Info: metric.SnapshotInfo{
			Start: start, End: end, Identity: metric.Identity{Host: host, Policy: policy},
		}}, Err: err}
	}
	now := s.c.now().Unix()
	for i, d := range []*store.Delivery{
		raw("a", p, now+2*3600+1, now+2*3600+2, nil),
		raw("a", p, now-3601, now-3600, nil),
		raw("", p, noon, noon+60, nil),
		raw("a", "", noon, noon+60, nil),
		raw("a", p, noon, noon, nil),
		raw("a", p, noon, noon+61, nil),
		raw("a", p, noon, noon+60, &store.RefusedError{Reason: store.ReasonVersion}),
		raw("a", p, noon, noon+60, &store.RefusedError{Reason: store.ReasonDamaged}),
		raw("a", p, noon, noon+60, &store.RefusedError{Reason: store.ReasonFuture}),
		raw("a", p, noon, noon+60, &store.RefusedError{Reason: store.ReasonTooOld}),
		raw("a", p, noon, noon+60, &store.RefusedError{Reason: store.ReasonTags}),
		raw("a", p, noon, noon+60, errors.New("something else")),
	} {
		if s.accept(d); len(s.pending) > 0 {
			t.Fatalf("delivery %d is accepted", i)
		}
	}
	junk := raw("junk", p, noon, noon+60, nil) // a good header with nothing behind it
	s.accept(junk)
	s.deliver(t, s.host("good", "pop=a", noon, 5))
	finish(t, s.Ingester, s.c)
	got := s.Status()
	want := Status{
		Received: 14, Stored: 1, Future: 2, TooOld: 2, Damaged: 3, Version: 1, Refused: 5,
		Flushes: 1, Rollups: got.Rollups, Newest: noon, Lag: got.Lag, Dirty: got.Dirty,
	}
	if got != want {
		t.Errorf("status\n%+v, want\n%+v", got, want)
	}
	if got := total(t, s.key(rollup.Minute1, "pop=a", noon)); got != 5 {
		t.Errorf("%d events of the good host, want 5", got)
	}
}

// TestLimits: policies, hosts' policies, restarts and groups are bounded.
func TestLimits(t *testing.T) {
	s := start(nil)
	admit := func(policy, host string) bool {
		ok, _ := s.limits.admit(policy, host, time.Unix(0, 0))
		return ok
	}
	for i := range maxHostPolicies {
		if !admit(fmt.Sprint("p", i), "one") {
			t.Fatalf("policy %d of a host is refused", i)
		}
	}
	if admit("q", "one") || !admit("p0", "one") || !admit("q", "two") {
		t.Error("the bound of the policies of one host is wrong")
	}
	for i := range maxPolicies - maxHostPolicies - 1 {
		if !admit(fmt.Sprint("r", i), fmt.Sprint("h", i)) {
			t.Fatalf("policy %d of the hub is refused", maxHostPolicies+1+i)
		}
	}
	if admit("s", "two") || s.limits.group("s", "pop=a") || !admit("r3", "two") || len(s.limits.policies()) != maxPolicies {
		t.Error("the bound of the policies of the hub is wrong")
	}
	for i := range maxGroups {
		if !s.limits.group("p0", fmt.Sprint("k=", i)) {
			t.Fatalf("group %d is refused", i)
		}
	}
	if s.limits.group("p0", "k=new") || !s.limits.group("p0", "k=7") || !s.limits.group("p1", "k=new") {
		t.Error("the bound of groups is wrong")
	}

	s = start(nil)
	var list []*metric.Bucket
	for boot := range uint64(maxRestarts + 3) {
		list = append(list, fleet.Minute(id(s.v.policy, "restless", "", boot), noon, events(noon, 1, "x")))
	}
	s.deliver(t, list[:5]...)
	finish(t, s.Ingester, s.c)
	s.deliver(t, list[5:]...)
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute1, rollup.All, noon)); got != maxRestarts || s.Status().Refused != 3 {
		t.Errorf("%d restarts count, %d are refused, want %d and 3", got, s.Status().Refused, maxRestarts)
	}
}

// TestOverflow: beyond the bound of groups, a host counts in the group of all hosts, and that is visible.
func TestOverflow(t *testing.T) {
	s := start(nil)
	for i := range maxGroups {
		s.limits.group(s.v.policy, fmt.Sprint("k=", i))
	}
	s.deliver(t, s.host("a", "k=7,pop=new", noon, 4), s.host("b", "k=7,pop=new", noon, 5))
	finish(t, s.Ingester, s.c)
	for group, want := range map[string]int{rollup.All: 9, "k=7": 9, "pop=new": -1} {
		if got := total(t, s.key(rollup.Minute1, group, noon)); got != want {
			t.Errorf("%s: %d events, want %d", group, got, want)
		}
	}
	if got := s.Status().Overflow; got != 2 {
		t.Errorf("overflow %d, want 2", got)
	}
}

// TestDue: a minute is written at its end if all hosts have come, 4 s after its end otherwise, and later ones within 2 s.
func TestDue(t *testing.T) {
	s := start(nil)
	at := func(seconds float64) { s.c.t = time.Unix(noon, int64(seconds*1e9)) }
	due := func(start int64) float64 {
		return s.due(s.Ingester.pending[minuteKey{s.v.policy, start}]).Sub(time.Unix(noon, 0)).Seconds()
	}
	a, b := s.host("a", "", noon, 1), s.host("b", "", noon, 1)
	at(62.2)
	s.deliver(t, a)
	if got := due(noon); got > 62.2 {
		t.Errorf("the only host: due at %v", got)
	}
	s.deliver(t, b)
	s.step(t.Context())
	if s.Status().Flushes != 1 || s.Status().Late != 0 {
		t.Fatalf("not written: %+v", s.Status())
	}
	at(122.1)
	s.deliver(t, s.host("a", "", noon+60, 1))
	if got := due(noon + 60); got != 124 {
		t.Errorf("b has not come: due at %v, want 124", got)
	}
	s.deliver(t, s.host("b", "", noon+60, 1))
	if got := due(noon + 60); got > 122.1 {
		t.Errorf("all have come: due at %v", got)
	}
	s.step(t.Context())
	at(123)
	s.deliver(t, s.host("c", "", noon+60, 1))
	if got := due(noon + 60); got != 125 {
		t.Errorf("late: due at %v, want 125", got)
	}
	at(125)
	s.step(t.Context())
	if st := s.Status(); st.Late != 1 || st.Stored != 5 {
		t.Errorf("stored %d, late %d, want 5 and 1", st.Stored, st.Late)
	}
	at(130)
	s.deliver(t, s.host("d", "", noon, 1), s.host("d", "", noon+3600, 1))
	if got := due(noon); got != 132 {
		t.Errorf("very late: due at %v, want 132", got)
	}
	if got := due(noon + 3600); got != 132 {
		t.Errorf("from the future: due at %v, want 132", got)
	}
	at(175) // the clock of the host is five seconds ahead
	s.deliver(t, s.host("d", "", noon+120, 1))
	if got := due(noon + 120); got != 184 {
		t.Errorf("just before the end: due at %v, want 184", got)
	}
}

// TestBounded: beyond the bound of bytes, minutes are written early.
func TestBounded(t *testing.T) {
	s := start(func(c *Config) { c.PendingBytes = 2000 })
	s.c.t = time.Unix(noon+62, 0)
	s.recent[s.v.policy] = map[string]int64{"away": noon}
	for i := range 20 {
		s.deliver(t, s.host(fmt.Sprint("h", i), "", noon, 8))
		s.step(t.Context())
		if s.bytes > 2000 {
			t.Fatalf("%d bytes are pending", s.bytes)
		}
	}
	if st := s.Status(); st.Flushes < 2 || st.PendingBytes != s.bytes {
		t.Errorf("%+v", st)
	}
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute1, rollup.All, noon)); got != 160 || s.bytes != 0 {
		t.Errorf("%d events, %d bytes pending", got, s.bytes)
	}
}

// TestStoreFails: while the store takes nothing, nothing is acknowledged and nothing is lost.
func TestStoreFails(t *testing.T) {
	s := start(nil)
	s.v.before = func(store.Key) error { return store.ErrFull }
	list := s.deliver(t, s.host("a", "pop=a", noon, 3))
	for range maxFlushes - 1 {
		s.c.pass(time.Minute)
		s.step(t.Context())
	}
	if st := s.Status(); st.Pending != 1 || st.Retries != maxFlushes-1 || st.LastError == "" {
		t.Fatalf("%+v", st)
	}
	s.c.pass(time.Minute)
	s.step(t.Context())
	if len(s.pending) != 0 {
		t.Fatal("the host-minute is not given back")
	}
	again := consume(t, 1) // it was not acknowledged
	if again[0].Sequence != list[0].Sequence || !again[0].Redelivered {
		t.Fatalf("got delivery %d, want %d again", again[0].Sequence, list[0].Sequence)
	}
	s.v.before = nil
	s.accept(&again[0])
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute1, "pop=a", noon)); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
}

// TestTooLarge: a rollup that no store takes does not stop the others.
func TestTooLarge(t *testing.T) {
	s := start(nil)
	s.v.before = func(k store.Key) error {
		if k.Start == noon {
			return store.ErrTooLarge
		}
		return nil
	}
	s.deliver(t, s.host("a", "", noon, 3), s.host("a", "", noon+60, 4))
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute1, rollup.All, noon+60)); got != 4 || s.Status().Refused != 1 {
		t.Errorf("%d events, want 4; %+v", got, s.Status())
	}
}

// TestManyOverlappingGroups: hosts whose tags overlap in more ways than groups may be open count in each of their groups.
func TestManyOverlappingGroups(t *testing.T) {
	s := start(nil)
	want := map[string]int{}
	var list []*metric.Bucket
	for i := range 40 {
		tags := metric.Tags(fmt.Sprintf("a=%d,b=%d,c=%d", i%20, (i*7)%20, (i*3)%11))
		list = append(list, s.host(fmt.Sprint("h", i), tags, noon, 1+i%3))
		for _, group := range rollup.Groups(tags) {
			want[group] += 1 + i%3
		}
	}
	if len(want) <= maxOpen {
		t.Fatal("not enough groups")
	}
	s.deliver(t, list...)
	finish(t, s.Ingester, s.c)
	for group, n := range want {
		if got := total(t, s.key(rollup.Minute1, group, noon)); got != n {
			t.Errorf("%s: %d events, want %d", group, got, n)
		}
	}
}

// TestReplacementGone: a replacement is refused if the raw host-minutes of other members are gone.
func TestReplacementGone(t *testing.T) {
	s := start(nil)
	s.deliver(t, s.host("a", "pop=a", noon, 3), s.host("b", "", noon, 4))
	finish(t, s.Ingester, s.c)
	s.cfg.Store = &forgetful{s.v}
	b := s.host("a", "pop=a", noon, 5)
	b.Identity.Revision = 1
	s.deliver(t, b)
	finish(t, s.Ingester, s.c)
	for group, want := range map[string]int{rollup.All: 7, "pop=a": 3} {
		if got := total(t, s.key(rollup.Minute1, group, noon)); got != want {
			t.Errorf("%s: %d events, want %d", group, got, want)
		}
	}
	if st := s.Status(); st.Refused != 1 || st.Replaced != 0 {
		t.Errorf("%+v", st)
	}
	s.cfg.Store = s.v
	c := s.host("b", "", noon, 6)
	c.Identity.Revision = 7
	s.deliver(t, c)
	finish(t, s.Ingester, s.c)
	if got := total(t, s.key(rollup.Minute1, rollup.All, noon)); got != 9 || s.Status().Replaced != 1 {
		t.Errorf("%d events, want 9; %+v", got, s.Status())
	}
}

// forgetful is a store without raw host-minutes.
type forgetful struct{ *view }

func (*forgetful) HostMinutes(context.Context, string, string, int64, int64, func(store.Raw) error) error {
	return nil
}

// TestDamagedRollups: a damaged rollup is made again from raw host-minutes, when it is next needed.
func TestDamagedRollups(t *testing.T) {
	for _, group := range []string{rollup.All, "pop=a"} {
		for name, damage := range map[string]func(r rollup.Rollup) []byte{
			"all of it": func(rollup.Rollup) []byte { return []byte("rubbish") },
			"the snapshot": func(r rollup.Rollup) []byte {
				r.Snapshot = slices.Clone(r.Snapshot)
				r.Snapshot[100] ^= 1
				return r.Append(nil)
			},
		} {
			t.Run(group+"/"+name, func(t *testing.T) {
				s := start(nil)
				s.deliver(t, s.host("a", "pop=a", noon, 3), s.host("b", "pop=a", noon, 4), s.host("b", "pop=a", noon+60, 1), s.host("a", "pop=a", noon-60, 1))
				finish(t, s.Ingester, s.c)
				k := s.key(rollup.Minute1, group, noon)
				r, _ := read(t, k)
				_, revision, err := shared.Get(t.Context(), k)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := shared.Put(t.Context(), k, damage(r), revision); err != nil {
					t.Fatal(err)
				}
				s.deliver(t, s.host("c", "pop=a", noon, 5))
				finish(t, s.Ingester, s.c)
				for _, group := range []string{rollup.All, "pop=a"} {
					if got := total(t, s.key(rollup.Minute1, group, noon)); got != 12 {
						t.Errorf("%s: %d events, want 12", group, got)
					}
				}
			})
		}
	}
}

// TestNewerFormat: a rollup that a newer program wrote is not replaced, and its host-minutes are kept for that program.
func TestNewerFormat(t *testing.T) {
	s := start(nil)
	k := s.key(rollup.Minute1, rollup.All, noon)
	newer := fleet.Snapshot(s.host("a", "", noon, 3))
	newer[8]++
	if _, err := shared.Put(t.Context(), k, newer, 0); err != nil {
		t.Fatal(err)
	}
	s.deliver(t, s.host("b", "", noon, 4))
	s.c.pass(15 * time.Second)
	s.step(t.Context())
	if len(s.pending) != 1 || s.Status().Retries == 0 {
		t.Errorf("%+v", s.Status())
	}
	s.Ingester.release()
	for _, d := range consume(t, 1) {
		d.Ack()
	}
}

// TestConflicts: hubs that write the same rollups at the same time lose nothing.
func TestConflicts(t *testing.T) {
	const hubs, hosts = 4, 20
	all := make([]*setup, hubs)
	all[0] = start(nil)
	for i := range hubs - 1 {
		v := &view{Store: shared, policy: all[0].v.policy}
		all[i+1] = &setup{newIngester(v, all[0].c, nil), v, all[0].c}
	}
	for i := range hosts {
		all[i%hubs].deliver(t, all[0].host(fmt.Sprint("h", i), "pop=a", noon, 1))
	}
	all[0].c.pass(15 * time.Second)
	var running sync.WaitGroup
	for _, s := range all {
		running.Go(func() { s.flushDue(t.Context()) })
	}
	running.Wait()
	for _, s := range all {
		finish(t, s.Ingester, s.c)
	}
	for _, group := range []string{rollup.All, "pop=a"} {
		r, _ := read(t, all[0].key(rollup.Minute1, group, noon))
		if got := total(t, all[0].key(rollup.Minute1, group, noon)); got != hosts || len(r.Members) != hosts {
			t.Errorf("%s: %d events, %d members, want %d", group, got, len(r.Members), hosts)
		}
	}
}

// TestSameMinuteAtTwoHubs: two hubs have the same host-minute, and one writes all of it just before one write of the other.
func TestSameMinuteAtTwoHubs(t *testing.T) {
	for n := range 3 {
		for _, revision := range []uint64{0, 1} { // of the copy that the faster hub has
			a := start(nil)
			v := &view{Store: shared, policy: a.v.policy}
			b := newIngester(v, a.c, nil)
			a.deliver(t, a.host("other", "pop=a", noon, 1))
			first := a.deliver(t, a.host("x", "pop=a,role=r", noon, 3))
			if revision == 0 {
				b.accept(&first[0])
			} else {
				o := a.host("x", "pop=a,role=r", noon, 5)
				o.Identity.Revision = revision
				put(t, o)
				b.accept(&consume(t, 1)[0])
			}
			writes := 0
			a.v.before = func(store.Key) error {
				if writes++; writes == n+1 {
					b.flushDue(t.Context())
				}
				return nil
			}
			a.c.pass(15 * time.Second)
			a.flushDue(t.Context())
			a.v.before = nil
			finish(t, b, a.c)
			finish(t, a.Ingester, a.c)
			want := 3 + 2*int(revision)
			for group, want := range map[string]int{rollup.All: 1 + want, "pop=a": 1 + want, "role=r": want} {
				r, _ := read(t, a.key(rollup.Minute1, group, noon))
				if got := total(t, a.key(rollup.Minute1, group, noon)); got != want || len(rollup.HostMembers(r.Members, "x")) != 1 {
					t.Errorf("before write %d, revision %d: %s has %d events, want %d; members %+v", n, revision, group, got, want, r.Members)
				}
			}
		}
	}
}

// TestReplacedWithOtherTags: the first version decides the groups, and all later revisions replace it there.
func TestReplacedWithOtherTags(t *testing.T) {
	s := start(nil)
	for revision, tags := range []metric.Tags{"pop=a", "pop=b", "pop=b,role=r"} {
		o := s.host("x", tags, noon, 3+revision)
		o.Identity.Revision = uint64(revision)
		s.deliver(t, o)
		finish(t, s.Ingester, s.c)
		for group, want := range map[string]int{rollup.All: 3 + revision, "pop=a": 3 + revision, "pop=b": -1, "role=r": -1} {
			if got := total(t, s.key(rollup.Minute1, group, noon)); got != want {
				t.Errorf("revision %d: %s has %d events, want %d", revision, group, got, want)
			}
		}
	}
}

// TestTwoRevisionsAtOnce: of two revisions that wait, the higher one counts, in the groups of the first. Both are acknowledged.
func TestTwoRevisionsAtOnce(t *testing.T) {
	s := start(nil)
	newer := s.host("x", "pop=b", noon, 5)
	newer.Identity.Revision = 1
	list := append(s.deliver(t, s.host("x", "pop=a", noon, 3)), s.deliver(t, newer)...)
	finish(t, s.Ingester, s.c)
	for group, want := range map[string]int{rollup.All: 5, "pop=a": 5, "pop=b": -1} {
		if got := total(t, s.key(rollup.Minute1, group, noon)); got != want {
			t.Errorf("%s has %d events, want %d", group, got, want)
		}
	}
	for _, d := range list {
		d.Nak() // does nothing after Ack
	}
	if again, err := shared.Consume(t.Context(), 2); err != nil || len(again) > 0 {
		t.Errorf("%d deliveries were not acknowledged, error %v", len(again), err)
	}
}

// TestStoppedBetweenGroups: a hub that gets a host-minute of which another one has written a part computes the longer rollups
// of that part too.
func TestStoppedBetweenGroups(t *testing.T) {
	a := start(nil)
	b := newIngester(&view{Store: shared, policy: a.v.policy}, a.c, nil)
	b.step(t.Context()) // it has looked for what is out of date
	writes := 0
	a.v.before = func(store.Key) error {
		if writes++; writes == 2 {
			return errDead
		}
		return nil
	}
	list := a.deliver(t, a.host("x", "pop=a", noon, 3))
	a.c.pass(15 * time.Second)
	a.flushDue(t.Context())
	if total(t, a.key(rollup.Minute1, "pop=a", noon)) != 3 || total(t, a.key(rollup.Minute1, rollup.All, noon)) != -1 {
		t.Fatal("the case is not reached")
	}
	b.accept(&list[0])
	finish(t, b, a.c)
	for _, group := range []string{rollup.All, "pop=a"} {
		if got := total(t, a.key(rollup.Minute5, group, noon)); got != 3 {
			t.Errorf("%s: %d events in five minutes, want 3", group, got)
		}
	}
}

// TestStoppedThenReplaced: a hub stopped between two groups, and then a newer revision comes, together with another host.
func TestStoppedThenReplaced(t *testing.T) {
	a := start(nil)
	writes := 0
	a.v.before = func(store.Key) error {
		if writes++; writes == 2 {
			return errDead
		}
		return nil
	}
	a.deliver(t, a.host("x", "pop=a", noon, 3))
	a.c.pass(15 * time.Second)
	a.flushDue(t.Context())
	v := &view{Store: shared, policy: a.v.policy}
	b := &setup{newIngester(v, a.c, nil), v, a.c}
	x := a.host("x", "pop=a", noon, 5)
	x.Identity.Revision = 1
	b.deliver(t, x, a.host("y", "pop=a", noon, 4))
	finish(t, b.Ingester, b.c)
	for _, group := range []string{rollup.All, "pop=a"} {
		if got := total(t, a.key(rollup.Minute1, group, noon)); got != 9 {
			t.Errorf("%s: %d events, want 9", group, got)
		}
	}
}

// TestRun runs two ingesters on one store until all is counted.
func TestRun(t *testing.T) {
	policy := newPolicy()
	c := &clock{t: time.Unix(noon, 0).Add(50 * time.Hour)}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var hubs []*Ingester
	for range 2 {
		g := newIngester(&view{Store: shared, policy: policy}, c, nil)
		hubs = append(hubs, g)
		running.Go(func() {
			if err := g.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with error %v", err)
			}
		})
	}
	want := 0
	for i := range 30 {
		start := noon + int64(i%3)*minute.Seconds
		put(t, fleet.Minute(id(policy, fmt.Sprint("h", i), "pop=a", 1), start, events(start, i, "x")))
		want += i
	}
	changes := shared.Changes(t.Context())
	for end := time.After(60 * time.Second); ; {
		k := store.Key{Level: rollup.Day1, Policy: policy, Group: "pop=a", Start: rollup.Day1.Of(noon)}
		if total(t, k) == want && hubs[0].Status().Stored+hubs[1].Status().Stored == 30 {
			break
		}
		c.pass(3 * time.Second)
		select {
		case <-changes:
		case <-time.After(300 * time.Millisecond):
		case <-end:
			t.Fatalf("%d of %d events after a minute; %+v, %+v", total(t, k), want, hubs[0].Status(), hubs[1].Status())
		}
	}
	stop()
	running.Wait()
	if got := hubs[0].pending; len(got) > 0 {
		t.Errorf("pending: %v", got)
	}
}

// TestHostsAreForgotten: a hub that has met as many hosts as it may accepts others when nothing came from these for two hours.
func TestHostsAreForgotten(t *testing.T) {
	var l limits
	start := time.Unix(1_700_000_000, 0)
	admit := func(host string, after time.Duration) bool {
		ok, _ := l.admit(usualPolicy, host, start.Add(after))
		return ok
	}
	for i := range maxHosts {
		if !admit(fmt.Sprint("invented", i), 0) {
			t.Fatalf("host %d was refused", i)
		}
	}
	for _, c := range []struct {
		host  string
		after time.Duration
		want  bool
	}{
		{"new", 0, false}, {"invented7", 59 * time.Minute, true}, {"new", 59 * time.Minute, false},
		{"invented7", 61 * time.Minute, true}, {"new", 62 * time.Minute, false},
		{"new", 122 * time.Minute, true}, {"invented7", 123 * time.Minute, true},
	} {
		if got := admit(c.host, c.after); got != c.want {
			t.Errorf("%s after %v: accepted %t, want %t", c.host, c.after, got, c.want)
		}
	}
	if n := len(l.hosts) + len(l.older); n != 2 {
		t.Errorf("%d hosts are kept, want 2", n)
	}
}
