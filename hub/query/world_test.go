package query

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

// tables are those of the tests: one metric of each kind.
var tables = func() []*metric.Table {
	unit := func(name string) metric.Unit {
		u, err := metric.ParseUnit(name)
		if err != nil {
			panic(err)
		}
		return u
	}
	t, err := metric.Declare("test", []metric.Desc{
		{Path: "total", Help: "x", Unit: unit("packets"), Kind: metric.KindCounter},
		{Path: "open", Help: "x", Unit: unit("packets"), Kind: metric.KindGauge},
		{Path: "pps", Help: "x", Unit: unit("packets/s"), Kind: metric.KindRate},
		{Path: "size", Help: "x", Unit: unit("bytes"), Kind: metric.KindHistogram},
		{Path: "names", Help: "x", Unit: unit("names"), Kind: metric.KindCardinality},
		{Path: "top_names", Help: "x", Unit: unit("packets"), Kind: metric.KindTop},
	})
	if err != nil {
		panic(err)
	}
	return []*metric.Table{t}
}()

// fill adds a host-minute to a bucket of the tables.
func fill(b *metric.Bucket, m *testfleet.Minute) {
	s := b.Sections[0]
	*metric.At[metric.Counter](s, 0) = metric.Counter(m.Count)
	*metric.At[metric.Gauge](s, 1) = metric.Gauge(m.Count)
	s.Rate(2).Add(m.Start+testfleet.Second, m.Count)
	s.Histogram(3).RecordN(m.Count, 1)
	s.Cardinality(4).Add([]byte(m.Name))
	s.Top(5).Add([]byte(m.Name), m.Count)
}

// world is a store with what it should have.
type world struct {
	testfleet.Fleet
	t    testing.TB
	now  int64
	fail error
}

func newWorld(t testing.TB, now int64) *world {
	return &world{Fleet: testfleet.Fleet{Tables: tables, Fill: fill}, t: t, now: now}
}

func (w *world) add(list ...testfleet.Minute) { w.Add(w.t, list...) }

func (w *world) rollUp() { w.RollUp(w.t) }

// grow adds random minutes of a stretch of time that ends now.
func (w *world) grow(seed uint64, hosts int, length time.Duration, present float64) {
	w.Grow(w.t, rand.New(rand.NewPCG(seed, 1)), hosts, minute.Of(w.now)-int64(length.Seconds()), minute.Of(w.now), present)
}

func (w *world) reader(c Config) *Reader {
	c.Store, c.Tables, c.Now = w, tables, func() time.Time { return time.Unix(w.now, 0) }
	return New(c)
}

// Range implements [Store].
func (w *world) Range(_ context.Context, l rollup.Level, policy, group string, from, to int64, each func(store.Key, []byte, uint64) error) error {
	if w.fail != nil {
		return w.fail
	}
	if l.Of(from) != from || l.Of(to) != to {
		w.t.Errorf("%v from %d to %d is not aligned", l, from, to)
	}
	for start := from; start < to; start += l.Seconds() {
		k := store.Key{Level: l, Policy: policy, Group: group, Start: start}
		if e, ok := w.Rolls[k]; ok {
			if err := each(k, e.Data, e.Revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// HostMinutes implements [Store].
func (w *world) HostMinutes(_ context.Context, _, host string, from, to int64, each func(store.Raw) error) error {
	for i, m := range w.Minutes {
		if m.Host != host || m.Start < from || m.Start >= to {
			continue
		}
		info, err := metric.ReadSnapshotInfo(m.Snapshot)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := each(store.Raw{Info: info, Tags: m.Tags, Data: m.Snapshot, Sequence: uint64(i + 1)}); err != nil {
			return err
		}
	}
	return w.fail
}

// Groups implements [Store].
func (w *world) Groups(context.Context) (map[string][]string, error) {
	groups := make(map[string]map[string]bool)
	for k := range w.Rolls {
		if groups[k.Policy] == nil {
			groups[k.Policy] = make(map[string]bool)
		}
		groups[k.Policy][k.Group] = true
	}
	out := make(map[string][]string)
	for p, g := range groups {
		out[p] = slices.Sorted(maps.Keys(g))
	}
	return out, w.fail
}

// expected is the answer of the model.
type expected struct {
	total, gauge, most uint64
	seconds            uint64
	names              map[string]uint64
	hosts              map[string]bool
	minutes            map[int64]bool
	hostMinutes        map[string]bool
}

func (w *world) want(from, to int64, selected func(m *testfleet.Minute) bool) expected {
	e := expected{names: map[string]uint64{}, hosts: map[string]bool{}, minutes: map[int64]bool{}, hostMinutes: map[string]bool{}}
	newest, rates := int64(-1), map[int64]uint64{}
	for i := range w.Minutes {
		if o := &w.Minutes[i]; o.Start >= from && o.Start < to && selected(o) {
			newest = max(newest, o.Start)
			e.total += o.Count
			e.seconds += 60
			e.names[o.Name] += o.Count
			e.hosts[o.Host], e.minutes[o.Start], e.hostMinutes[fmt.Sprint(o.Host, o.Start)] = true, true, true
			rates[o.Start] += o.Count
			e.most = max(e.most, rates[o.Start])
		}
	}
	for i := range w.Minutes {
		if o := &w.Minutes[i]; o.Start == newest && selected(o) {
			e.gauge += o.Count
		}
	}
	return e
}

// check compares a bucket and what is said about it with the model.
func (w *world) check(b *metric.Bucket, info Info, e expected) (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	s := b.Sections[0]
	if got := s.Counter(0); got != e.total {
		problem("total %d, want %d", got, e.total)
	}
	// Several groups may have different newest minutes, so a gauge is only known if they have the same.
	if i, ok := s.Table.Find("open"); ok && s.Gauge(i) < 0 {
		problem("gauge %d", s.Gauge(i))
	}
	if i, ok := s.Table.Find("pps"); ok != info.Rates {
		problem("rates: %v, and the bucket has them: %v", info.Rates, ok)
	} else if ok {
		var got [1]uint64
		s.Rate(i).Quantiles([]float64{1}, got[:])
		if info.Levels[rollup.Hour1]+info.Levels[rollup.Day1] == 0 && got[0] != e.most || got[0] < e.most-e.most/50 || got[0] > e.most+e.most/50 {
			problem("the busiest second has %d, want %d", got[0], e.most)
		}
	}
	if i, _ := s.Table.Find("size"); s.Histogram(i).Sum() != e.total {
		problem("sum of the histogram %d, want %d", s.Histogram(i).Sum(), e.total)
	}
	if i, _ := s.Table.Find("names"); int(s.Cardinality(i).Estimate()+0.5) != len(e.names) {
		problem("%v names, want %d", s.Cardinality(i).Estimate(), len(e.names))
	}
	i, _ := s.Table.Find("top_names")
	for name, n := range e.names {
		if lower, upper := s.Top(i).Bounds([]byte(name)); lower > n || upper < n {
			problem("%s has %d to %d, want %d", name, lower, upper, n)
		}
	}
	if info.Hosts != len(e.hosts) || info.Minutes != len(e.minutes) || int(info.HostMinutes) != len(e.hostMinutes) {
		problem("%d hosts, %d minutes, %d host-minutes, want %d, %d, %d", info.Hosts, info.Minutes, info.HostMinutes, len(e.hosts), len(e.minutes), len(e.hostMinutes))
	}
	if want := int((info.To-info.From)/60) - len(e.minutes); info.Missing != want {
		problem("%d minutes are missing, want %d", info.Missing, want)
	}
	if info.Covered != e.seconds || b.Covered != e.seconds {
		problem("%d and %d seconds covered, want %d", info.Covered, b.Covered, e.seconds)
	}
	return problems
}
