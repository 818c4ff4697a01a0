package simulate

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/metric"
)

// small makes a small fleet in which everything goes wrong often.
func small(t testing.TB) *Fleet {
	t.Helper()
	return New(Config{Hosts: 24, Pops: 2, Countries: 2, Seed: 7, Chaos: Chaos{Duplicate: 0.2, Late: 0.2, Restart: 0.1, Skew: time.Hour}})
}

// TestSnapshots: the snapshots of a fleet are whole, each has an identity of its own, and their sums are those that the
// fleet states. The reader is that of this project's agents.
func TestSnapshots(t *testing.T) {
	f := small(t)
	const begin, minutes = 1_700_000_000 / 60 * 60, 12
	type key struct {
		host      string
		boot, seq uint64
		start     int64
	}
	seen := map[key]bool{}
	got := map[int64]*Sum{}
	groups := map[int64]map[string]*Sum{}
	restarts := 0
	for host := range f.Hosts() {
		boot, seq := uint64(0), uint64(0)
		for min := range minutes {
			start := f.Start(host, begin, min)
			for i, s := range f.Of(host, min) {
				data := f.Append([]byte("before"), s, start)[len("before"):]
				b, err := metric.ReadSnapshot(agent.Tables, data)
				if err != nil {
					t.Fatal(err)
				}
				id := b.Identity
				if want := f.Identity(s); id != want || b.Start != start || b.End != start+60 || b.DeepSamplePercent != 100 || b.Covered != 0 {
					t.Fatalf("%+v %d, want %+v %d", id, b.Start, want, start)
				}
				if seq++; boot != id.Boot {
					restarts++
					boot, seq = id.Boot, 1
				}
				if k := (key{id.Host, id.Boot, id.Seq, b.Start}); seen[k] || id.Seq != seq || id.Boot == 0 || s.Second != (i == 1) {
					t.Fatalf("%+v, want seal %d", id, seq)
				} else {
					seen[k] = true
				}
				add := func(s *Sum) {
					s.Snapshots++
					s.Lost += b.Lost
					for _, section := range b.Sections {
						for i, d := range section.Table.Descs {
							if d.Kind == metric.KindCounter {
								s.Counters[section.Table.Section+"."+d.Path] += section.Counter(i)
							}
						}
					}
				}
				if got[start] == nil {
					got[start], groups[start] = &Sum{Counters: map[string]uint64{}}, map[string]*Sum{}
				}
				add(got[start])
				for _, tag := range id.Tags.List() {
					if groups[start][tag] == nil {
						groups[start][tag] = &Sum{Counters: map[string]uint64{}}
					}
					add(groups[start][tag])
				}
			}
		}
	}
	sums := f.Sums(begin, minutes)
	if len(sums) != len(got) || len(sums) <= minutes || restarts < f.Hosts()+6 {
		t.Errorf("sums of %d minutes, want %d; %d boots", len(sums), len(got), restarts)
	}
	check := func(what string, want *Sum, stated Sum, all bool) {
		t.Helper()
		if want.Snapshots != stated.Snapshots || want.Lost != stated.Lost {
			t.Errorf("%s: %d snapshots, %d lost, want %d, %d", what, stated.Snapshots, stated.Lost, want.Snapshots, want.Lost)
		}
		for path, n := range want.Counters {
			if _, has := stated.Counters[path]; (has || all) && stated.Counters[path] != n {
				t.Errorf("%s: %s %d, want %d", what, path, stated.Counters[path], n)
			}
		}
		if len(stated.Counters) < 2 || all && len(stated.Counters) < 25 || stated.Counters["packets.total"] == 0 || want.Counters["packets.total"] != stated.Counters["packets.total"] {
			t.Errorf("%s: counters %v", what, stated.Counters)
		}
	}
	for _, s := range sums {
		check("all", got[s.Start], s.All, true)
		if len(s.Groups) != len(groups[s.Start]) || len(s.Groups) < 3 {
			t.Errorf("%d groups, want %d", len(s.Groups), len(groups[s.Start]))
		}
		for tag, sum := range s.Groups {
			check(tag, groups[s.Start][tag], sum, false)
		}
	}
}

// TestBusy: a busy snapshot is about as large as a real one, and as rich.
func TestBusy(t *testing.T) {
	f := New(Config{Hosts: 20, Pops: 1, Countries: 1})
	for host, least := range map[int]int{0: 70_000, 1: 60_000, 9: 5_000} {
		data := f.Append(nil, Snapshot{Host: host}, 0)
		b, err := metric.ReadSnapshot(agent.Tables, data)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < least || len(data) > 110_000 {
			t.Errorf("host %d: %d bytes", host, len(data))
		}
		t.Logf("host %d: %d bytes", host, len(data))
		var empty []string
		for _, s := range b.Sections {
			for i, d := range s.Table.Descs {
				if d.Kind.PerKey() && s.Rows(i).Total() == 0 || d.Kind == metric.KindCardinality && s.Cardinality(i).Estimate() == 0 {
					empty = append(empty, d.Section+"."+d.Path)
				}
			}
		}
		// The host asks nobody, and nothing is tunnelled.
		want := []string{"dns.xact.out.top_slow"}
		if host == 9 {
			want = append(want, "dns.top_refused")
		}
		if !slices.Equal(empty, want) {
			t.Errorf("host %d: empty tables %v, want %v", host, empty, want)
		}
	}
}

// TestSame: a fleet is a function of its configuration.
func TestSame(t *testing.T) {
	cfg := Config{Hosts: 10, Pops: 1, Countries: 1, Seed: 7}
	a, b := New(cfg), New(cfg)
	cfg.Seed++
	other := New(cfg)
	s := Snapshot{Host: 3, Minute: 5}
	one := a.Append(nil, s, 600)
	if !bytes.Equal(one, b.Append(nil, s, 600)) {
		t.Error("two fleets of one configuration differ")
	}
	if bytes.Equal(one, other.Append(nil, s, 600)) {
		t.Error("another seed makes the same fleet")
	}
}

// TestShares: things go wrong as often as the configuration says.
func TestShares(t *testing.T) {
	f := &Fleet{cfg: Config{Hosts: 1000, Pops: 10, Countries: 5, Chaos: Chaos{Duplicate: 0.05, Late: 0.1, Restart: 0.01, Skew: time.Hour}}}
	var duplicate, late, restart, wrong, most int
	for host := range 1000 {
		for min := range 60 {
			if f.Duplicate(host, min) {
				duplicate++
			}
			if d := f.Delay(host, min); d > 0 {
				late++
				most = max(most, d)
			}
			if len(f.Of(host, min)) == 2 {
				restart++
			}
		}
		if c := f.Clock(host); c != 0 {
			wrong++
			if c.Abs() > time.Hour {
				t.Errorf("the clock of %d is wrong by %v", host, c)
			}
		}
	}
	near := func(what string, n, want int) {
		if n < want*9/10 || n > want*11/10 {
			t.Errorf("%s: %d, want about %d", what, n, want)
		}
	}
	near("duplicate", duplicate, 3000)
	near("late", late, 6000)
	near("restart", restart, 600)
	if wrong < 70 || wrong > 130 || most != maxLate {
		t.Errorf("%d clocks are wrong, and minutes are up to %d late", wrong, most)
	}
}

func BenchmarkAppend(b *testing.B) {
	f := New(Config{Hosts: 100, Pops: 1, Countries: 1})
	var buf []byte
	for i := 0; b.Loop(); i++ {
		buf = f.Append(buf[:0], Snapshot{Host: i % 90, Minute: 30}, 0)
	}
	b.SetBytes(int64(len(buf)))
}
