package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// TestMinutes: each minute of each agent is stored once, within 5 seconds of its end, with one request.
func TestMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var agents []*fake
		for i := range 50 {
			agents = append(agents, newFake(fmt.Sprintf("ns%d", i)))
		}
		inWorld(t, Config{}, agents, 2*time.Second, func(w *world) {
			w.wait(10*time.Minute + 20*time.Second)
			if worst := w.once(10); worst > 4*time.Second {
				t.Errorf("a minute is stored %v after its end", worst)
			}
			for _, f := range agents {
				s := w.status(f.host)
				if s.State != Up || s.Fetched != 10 || len(s.Refused) > 0 || s.Minute != w.begun.Unix()+600 || s.Lag != 20*time.Second || s.Error != "" || len(s.Hosts) != 1 || s.Hosts[0] != f.host {
					t.Errorf("%+v", s)
				}
				// One at the start, up to three more because nothing was sealed yet, and one a minute.
				if n := len(f.requests); n > 14 {
					t.Errorf("%d requests: %q", n, f.requests)
				}
			}
		})
	})
}

// TestLate: a minute that is sealed late is asked for again after 1, 2 and 5 seconds, and an unchanged list costs nothing.
func TestLate(t *testing.T) {
	for after, most := range map[time.Duration]time.Duration{
		2500 * time.Millisecond: 4600 * time.Millisecond, 4 * time.Second: 9 * time.Second, 6 * time.Second: 9 * time.Second, 30 * time.Second: 64 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			inWorld(t, Config{}, []*fake{newFake("a"), newFake("b"), newFake("c")}, after, func(w *world) {
				w.wait(10*time.Minute + 50*time.Second)
				if after < 10*time.Second {
					if worst := w.once(10); worst > most {
						t.Errorf("sealed after %v: a minute is stored %v after its end", after, worst)
					}
				}
				for _, f := range w.net {
					if n := len(f.requests); n > 11*4+4 || f.unchanged < 10 && after > 4*time.Second && after < 10*time.Second {
						t.Errorf("sealed after %v: %d requests, %d unchanged", after, n, f.unchanged)
					}
				}
			})
		})
	}
}

// TestQuiet: an agent whose newest minute is always missing is asked once a minute, after a few rounds.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		inWorld(t, Config{}, []*fake{f}, 0, func(w *world) {
			w.wait(time.Hour)
			if n := len(f.requests); n < 60 || n > 60+3*3+2 {
				t.Errorf("%d requests in an hour", n)
			}
			if s := w.status("a"); s.State != Up || s.Minute != 0 || s.Lag != 0 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestAway: an agent that is away is shown so, asked again at most a minute later, and its minutes are fetched when it is
// back. The others are not affected.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, other := newFake("gone"), newFake("other")
		inWorld(t, Config{}, []*fake{gone, other}, 2*time.Second, func(w *world) {
			w.wait(5*time.Minute + 10*time.Second)
			before := len(gone.requests)
			gone.set(func() { gone.down = errDown })
			w.wait(30 * time.Minute)
			s := w.status("gone")
			if s.State != Away || !strings.Contains(s.Error, "connection refused") || s.Lag < 30*time.Minute || time.Since(s.Since) < 29*time.Minute || time.Since(s.Answered) < 29*time.Minute {
				t.Errorf("%+v", s)
			}
			if n := len(gone.requests) - before; n < 30 || n > 45 {
				t.Errorf("asked %d times in 30 minutes", n)
			}
			gone.set(func() { gone.down = nil })
			w.wait(75 * time.Second)
			if s := w.status("gone"); s.State != Up || s.Fetched != 36 {
				t.Errorf("%+v", s)
			}
			w.once(36)
			if s := w.status("other"); s.State != Up || s.Fetched != 36 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestClocks: an agent is asked when its own minute ends, whatever its clock says.
func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var agents []*fake
		for _, clock := range []time.Duration{-time.Hour, -20 * time.Second, -2 * time.Second, 2 * time.Second, 31 * time.Second, time.Hour + 7*time.Second} {
			f := newFake("a" + strings.ReplaceAll(clock.String(), ".", "_"))
			f.clock = clock
			agents = append(agents, f)
		}
		inWorld(t, Config{}, agents, 2*time.Second, func(w *world) {
			w.wait(10*time.Minute + 8*time.Second)
			for _, f := range agents {
				worst, n := time.Duration(0), 0
				for _, a := range w.shelf.all() {
					if end := time.Unix(a.start+minute.Seconds, 0).Add(-f.clock); a.host == f.host && end.After(w.begun.Add(2*time.Minute)) {
						worst = max(worst, a.at.Sub(end))
						n++
					}
				}
				if n < 7 || worst > 5*time.Second {
					t.Errorf("%s: %d minutes, stored up to %v after their end", f.host, n, worst)
				}
				if got := w.status(f.host).Clock; (got - f.clock).Abs() > time.Second {
					t.Errorf("%s: the clock is taken to be ahead by %v", f.host, got)
				}
			}
		})
	})
}

// TestClockSetBack: minutes that begin before those that are stored are fetched.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		inWorld(t, Config{}, []*fake{f}, 0, func(w *world) {
			for i := range 20 {
				w.wait(time.Minute)
				if i == 10 {
					f.set(func() { f.clock = -7 * time.Minute })
				}
				f.seal(minute.Of(time.Now().Add(f.clock).Unix()) - minute.Seconds)
			}
			w.wait(time.Minute)
			stored := map[uint64]bool{}
			for _, a := range w.shelf.all() {
				stored[a.seq] = true
			}
			if len(stored) != 20 {
				t.Errorf("%d minutes are stored, want 20: %v %q", len(stored), stored, f.requests)
			}
		})
	})
}

// TestRestart: a minute in which an agent was restarted has two buckets, and both are fetched, whenever the first one
// appears. An agent has several policies.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.policy = []string{"default", "dns"}
		inWorld(t, Config{}, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(5*time.Minute + 1500*time.Millisecond)
			f.seal(w.begun.Unix() + 300) // asked for again within this minute, at 5m02
			w.wait(30 * time.Second)
			f.set(func() { f.boot, f.seq = 2, 0 })
			w.wait(90 * time.Second)
			w.once(2 * 7)
		})
	})
}

// TestPolicies: all minutes of a policy that seals them after the requests are stored, once it is noticed, and then it is
// waited for. A policy that is gone is not.
func TestPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		inWorld(t, Config{}, []*fake{f}, 0, func(w *world) {
			for i := range int64(30) {
				w.wait(time.Until(w.begun.Add(time.Duration(i+1)*time.Minute + 2*time.Second)))
				f.set(func() { f.policy = []string{"default"} })
				f.seal(w.begun.Unix() + i*60)
				w.wait(2500 * time.Millisecond)
				if i < 20 {
					f.set(func() { f.policy = []string{"late"} })
					f.seal(w.begun.Unix() + i*60)
				}
			}
			w.wait(20 * time.Second)
			w.once(30 + 20)
			for _, a := range w.shelf.all() {
				if late := a.at.Sub(time.Unix(a.start+60, 0)); late > 9*time.Second && a.start > w.begun.Unix()+12*60 {
					t.Errorf("policy %s is stored %v after its minute", a.policy, late)
				}
			}
			if n := len(f.requests); n > 4+30+20*2+3 {
				t.Errorf("%d requests", n)
			}
		})
	})
}

// TestLines: agents that failed before, and requests that take long, have other slots than the rest.
func TestLines(t *testing.T) {
	now := time.Now()
	c := New(Config{Sink: &shelf{}, Concurrency: 2})
	for i := range 40 {
		a, err := newAgent(Target{URL: fmt.Sprintf("http://a%d", i)}, now)
		if err != nil {
			t.Fatal(err)
		}
		if i < 30 {
			a.failures = 1
		}
		c.queue.add(a, now)
	}
	var failed, fine []*agent
	take := func() (int, int) {
		jobs, _ := c.due(now)
		for _, a := range jobs {
			if a.failures > 0 {
				failed = append(failed, a)
			} else {
				fine = append(fine, a)
			}
		}
		return len(failed), len(fine)
	}
	if n, m := take(); n != 2*slowShare || m != 2 {
		t.Errorf("%d of the failed and %d of the others run", n, m)
	}
	c.handle(event{agent: fine[0], job: fine[0].jobs}, now) // it is slow, but there is no room
	if _, m := take(); m != 2 {
		t.Errorf("%d run", m)
	}
	c.handle(event{agent: failed[0], job: failed[0].jobs, done: true}, now)
	c.handle(event{agent: fine[0], job: fine[0].jobs - 1}, now) // of an earlier request
	if n, m := take(); n != 2*slowShare+1 || m != 2 {
		t.Errorf("%d and %d run", n, m)
	}
	c.handle(event{agent: failed[1], job: failed[1].jobs, done: true}, now)
	c.handle(event{agent: fine[0], job: fine[0].jobs}, now) // there is room now
	if n, m := take(); n != 2*slowShare+1 || m != 3 {
		t.Errorf("%d and %d run", n, m)
	}
}

// TestHub: a minute of a hub that gets another revision is fetched again; an unchanged one is not stored twice.
func TestHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("hub")
		inWorld(t, Config{}, []*fake{f}, 0, func(w *world) {
			for i := range 12 {
				w.wait(time.Minute)
				f.seal(w.begun.Unix() + int64(i)*60)
				f.mu.Lock()
				for k, b := range f.minutes {
					if age := len(f.minutes) - 1 - k; age == 0 || age == 3 {
						again := *b
						again.Covered = 5000
						again.Identity.Revision++
						f.minutes[k] = &again
					}
				}
				f.mu.Unlock()
			}
			w.wait(time.Minute)
			count := map[string]int{}
			for _, a := range w.shelf.all() {
				count[fmt.Sprint(a.start-w.begun.Unix(), " ", a.revision)]++
			}
			for i := range 9 {
				for r := 1; r <= 2; r++ {
					if n := count[fmt.Sprint(i*60, " ", r)]; n != 1 {
						t.Errorf("minute %d, revision %d: stored %d times", i, r, n)
					}
				}
			}
		})
	})
}

// TestPages: an agent with many minutes is read page by page.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		for i := range int64(1000) {
			f.seal(time.Now().Unix() - 60*(1000-i))
		}
		inWorld(t, Config{}, []*fake{f}, 0, func(w *world) {
			w.wait(10 * time.Second)
			w.once(1000)
			if n := len(f.requests); n != 10 { // 9 pages, and the round in which the newest minute is surely complete
				t.Errorf("%d requests: %q", n, f.requests)
			}
		})
	})
}

// TestRefetch: a minute is stored again when it is asked for, and the minutes that come meanwhile are stored, too.
func TestRefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		inWorld(t, Config{}, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(5*time.Minute + 30*time.Second)
			if err := w.c.Refetch("b", "default", 0); err != ErrUnknown {
				t.Errorf("another host: %v", err)
			}
			want := w.begun.Unix() + 60
			for range 2 { // the second call changes nothing
				if err := w.c.Refetch("a", "default", want); err != nil {
					t.Error(err)
				}
			}
			if err := w.c.Refetch("a", "default", want+120); err != nil {
				t.Error(err)
			}
			w.wait(time.Second)
			got := w.shelf.all()
			if len(got) != 7 || got[5].start != want || got[6].start != want+120 {
				t.Errorf("stored %+v", got)
			}
			w.wait(5 * time.Minute)
			if got := w.shelf.all(); len(got) != 12 {
				t.Errorf("%d minutes are stored, want 12", len(got))
			}
			f.set(func() { f.down = errDown })
			w.wait(2 * time.Minute)
			for i := range int64(maxWants) {
				if err := w.c.Refetch("a", "default", i*60); err != nil {
					t.Error(err)
				}
			}
			if err := w.c.Refetch("a", "default", -60); err != ErrBusy {
				t.Errorf("too many: %v", err)
			}
		})
	})
}

// TestLease: only the agents of leased partitions are asked, and when a lease comes back, what is known is looked up.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Bool
		var known atomic.Int64
		cfg := Config{
			Partition: func(url string) int { return len(url) % 16 },
			Leased:    func(p int) bool { return p == len("http://a:10853")%16 && held.Load() },
			Newest:    func(_ context.Context, host string) int64 { return known.Load() },
		}
		a, b := newFake("a"), newFake("bb")
		inWorld(t, cfg, []*fake{a, b}, 2*time.Second, func(w *world) {
			w.wait(5*time.Minute + 30*time.Second)
			if n := len(a.requests) + len(b.requests); n != 0 {
				t.Errorf("%d requests without a lease", n)
			}
			if s := w.status("a"); s.State != Elsewhere {
				t.Errorf("%+v", s)
			}
			known.Store(w.begun.Unix() + 600)
			held.Store(true)
			w.wait(25 * time.Minute)
			// The oldest minute, which says whose they are, and those from five minutes before the newest that is stored.
			got := w.shelf.all()
			if len(got) != 26 || got[0].start != w.begun.Unix() || got[1].start != w.begun.Unix()+300 || got[25].start != w.begun.Unix()+1740 || got[0].host != "a" {
				t.Errorf("%d stored: %+v", len(got), got)
			}
			held.Store(false)
			w.wait(3 * time.Minute)
			if got := w.shelf.all(); len(got) > 27 {
				t.Errorf("%d stored after the lease was lost", len(got))
			}
		})
	})
}

// TestConflict: two agents with one name are both stored, and shown.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFake("a"), newFake("b")
		one, again := newFake("one"), newFake("again") // one agent at two addresses
		inWorld(t, Config{}, []*fake{a, b, one, again}, 2*time.Second, func(w *world) {
			again.set(func() { again.host = "one" })
			a.set(func() { a.host = "twin" })
			b.set(func() { b.host, b.boot = "twin", 9 })
			w.wait(3*time.Minute + 30*time.Second)
			if s := w.status("a"); s.Conflict != "http://b:10853" || s.Fetched != 3 {
				t.Errorf("%+v", s)
			}
			if s := w.status("b"); s.Conflict != "http://a:10853" || s.Fetched != 3 {
				t.Errorf("%+v", s)
			}
			for _, host := range []string{"one", "again"} {
				if s := w.status(host); s.Conflict != "" || s.Fetched != 3 {
					t.Errorf("%+v", s)
				}
			}
			b.set(func() { b.host = "b" })
			w.wait(12 * time.Minute)
			if s := w.status("a"); s.Conflict != "" {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestStoreFails: what cannot be stored is asked for again, and the agent is not blamed.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		inWorld(t, Config{}, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(3*time.Minute + 30*time.Second)
			w.shelf.set(errors.New("disk full"))
			w.wait(10 * time.Minute)
			if s := w.status("a"); s.State != Up || s.Error != "store: disk full" || s.Fetched != 3 {
				t.Errorf("%+v", s)
			}
			w.shelf.set(&store.RefusedError{Reason: store.ReasonFuture, Err: errors.New("no")})
			w.wait(90 * time.Second)
			if s := w.status("a"); s.State != Refused || s.Refused[store.ReasonFuture] < 11 {
				t.Errorf("%+v", s)
			}
			w.shelf.set(nil)
			w.wait(2 * time.Minute)
			if s := w.status("a"); s.State != Up || s.Error != "" || s.Fetched < 5 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestTargetsChange: a target that disappears is not asked any more, a new one is, and new tags count.
func TestTargetsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFake("a"), newFake("b")
		change := make(changing)
		inWorld(t, Config{Sources: []Source{change}}, []*fake{a, b}, 2*time.Second, func(w *world) {
			change <- []Target{{URL: "http://a:10853", Tags: "pop=ams1"}}
			w.wait(3*time.Minute + 30*time.Second)
			change <- []Target{{URL: "http://a:10853", Tags: "pop=fra1"}, {URL: "http://b:10853"}}
			w.wait(time.Minute)
			change <- []Target{{URL: "http://b:10853"}}
			w.wait(5 * time.Minute)
			tags := map[metric.Tags]int{}
			for _, got := range w.shelf.all() {
				if got.host == "a" {
					tags[got.tags]++
				}
			}
			if tags["pop=ams1"] != 3 || tags["pop=fra1"] != 1 || len(tags) != 2 {
				t.Errorf("stored with tags %v", tags)
			}
			if all := w.c.Status(); len(all) != 1 || all[0].Fetched != 9 {
				t.Errorf("%+v", all)
			}
			if err := w.c.Refetch("a", "default", 0); err != ErrUnknown {
				t.Errorf("the host of a target that is gone: %v", err)
			}
		})
	})
}

type changing chan []Target

func (c changing) Run(ctx context.Context, _ *slog.Logger, publish func([]Target)) {
	for {
		select {
		case <-ctx.Done():
			return
		case targets := <-c:
			publish(targets)
		}
	}
}
