package timeline

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// tally has the exact numbers of the rows of one side.
type tally map[string]float64

// names adds n distinct names to a zone, the first of them with the given number.
func (a *testAgent) names(b *metric.Bucket, exact tally, zone string, from, n int) {
	table := value[metric.Distinct](a, b, "dns.top_zones")
	for i := range n {
		h, _ := sketch.Hash(fmt.Appendf(nil, "n%d.%s", from+i, zone))
		table.Add([]byte(zone), h, 1)
	}
	exact[zone] += float64(n)
}

// changesOf returns the changes of one table, after it has checked that none is larger than the true one, and their order.
func (a *testAgent) changesOf(table string, now, base tally, query ...string) (list []api.Change) {
	a.t.Helper()
	all := into[api.Changes](a, "/api/v1/changes", append([]string{"rows", "1000"}, query...)...)
	place := func(c *api.Change) int {
		switch {
		case c.Name != "" && c.Change > 0 && c.Base.Lower == 0:
			return 0
		case c.Name != "" && c.Change < 0 && c.Now.Lower == 0:
			return 1
		}
		return 2
	}
	if !slices.IsSortedFunc(all.Changes, func(x, y api.Change) int {
		if p, q := place(&x), place(&y); p != q {
			return p - q
		}
		return int(math.Copysign(1, y.Score-x.Score))
	}) {
		a.t.Error("the changes are not in order")
	}
	for _, c := range all.Changes {
		if c.Metric != table {
			continue
		}
		list = append(list, c)
		n, b := now[c.Name], base[c.Name]
		const tiny = 1e-9
		if n < c.Now.Lower-tiny || n > c.Now.Upper+tiny || b < c.Base.Lower-tiny || b > c.Base.Upper+tiny || c.Change*(n-b) <= 0 || math.Abs(c.Change) > math.Abs(n-b)+tiny {
			a.t.Errorf("%s: from %v to %v; the answer says %+v", c.Name, b, n, c)
		}
	}
	return list
}

// each divides the numbers.
func (x tally) each(by float64) tally {
	out := maps.Clone(x)
	for k := range out {
		out[k] /= by
	}
	return out
}

func signed(list []api.Change) (names []string) {
	for _, c := range list {
		sign := "+"
		if c.Change < 0 {
			sign = "-"
		}
		names = append(names, sign+c.Name)
	}
	return names
}

// TestChangesOfDistinct: of zones with known numbers of names, more than the table can sample, those that really differ are found, new
// and vanished ones first, and no change is larger than the true one.
func TestChangesOfDistinct(t *testing.T) {
	a := newAgent(t, 10)
	base, now := tally{}, tally{}
	a.at(first, func(b *metric.Bucket) {
		a.names(b, base, "gone.example", 0, 9_000)
		a.names(b, base, "less.example", 0, 20_000)
		a.names(b, base, "more.example", 0, 4_000)
		a.names(b, base, "same.example", 0, 30_000)
		for i := range 500 {
			a.names(b, base, fmt.Sprintf("small%d.example", i), 0, 2)
		}
	})
	a.at(first+119, func(b *metric.Bucket) {
		a.names(b, now, "new.example", 0, 12_000)
		a.names(b, now, "less.example", 0, 5_000)
		a.names(b, now, "more.example", 0, 25_000)
		a.names(b, now, "same.example", 0, 30_000)
		for i := range 500 {
			a.names(b, now, fmt.Sprintf("small%d.example", i+250), 0, 2)
		}
	})
	a.window.Advance(a.now, a.now)
	if b := a.window.Bucket(1); value[metric.Distinct](a, b, "dns.top_zones").Exact() {
		t.Fatal("the table is exact: give it more names")
	}
	// The small zones are exact: 250 of them are new, and 250 are gone.
	large := func(list []api.Change) (names []string) {
		for _, name := range signed(list) {
			if !strings.HasPrefix(name[1:], "small") {
				names = append(names, name)
			}
		}
		return names
	}
	want := []string{"+new.example", "-gone.example", "+more.example", "-less.example"}
	times := []string{"from", fmt.Sprint(first + 60), "base_from", fmt.Sprint(first)}
	list := a.changesOf("dns.top_zones", now.each(60), base.each(60), times...)
	if got := large(list); !slices.Equal(got, want) || list[0].Name != "new.example" || len(list) != len(want)+500 {
		t.Errorf("%d changes, %v, want %v", len(list), got, want)
	}
	sum := func(x tally) (n float64) {
		for _, v := range x {
			n += v
		}
		return n
	}
	list = a.changesOf("dns.top_zones", now.each(sum(now)), base.each(sum(base)), append(times, "measure", "share")...)
	// Of the smaller whole, 4,000 names are a smaller part than 25,000 of the greater one, and so on: the order is the same. A zone with as
	// many names as before has a smaller share.
	if got := large(list); !slices.Equal(got, append(want, "-same.example")) {
		t.Errorf("by share: %v, want %v", got, want)
	}
}

// TestChangesOfLengths: names that are there in every minute are no change, however long the two times are, and more names than there
// were in a longer time are one.
func TestChangesOfLengths(t *testing.T) {
	a := newAgent(t, 10)
	a.at(first, func(*metric.Bucket) {})
	for i := range int64(6) {
		a.at(first+60*i+59, func(b *metric.Bucket) {
			a.names(b, tally{}, "same.example", 0, 300)
			if a.names(b, tally{}, "more.example", 0, 100); i == 5 {
				a.names(b, tally{}, "more.example", 100, 400)
			}
		})
	}
	a.window.Advance(a.now, a.now)
	get := func(pairs ...string) (list []api.Change) {
		for _, c := range into[api.Changes](a, "/api/v1/changes", append(pairs, "rows", "1000")...).Changes {
			if c.Metric == "dns.top_zones" {
				list = append(list, c)
			}
		}
		return list
	}
	text := func(second int64) string { return fmt.Sprint(first + second) }
	list := get("from", text(300), "base_from", text(0), "base_to", text(300))
	if len(list) != 1 || list[0].Name != "more.example" || math.Abs(list[0].Change-400./60) > 1e-9 {
		t.Errorf("one minute against five: %+v", list)
	}
	list = get("from", text(60), "base_from", text(0), "base_to", text(60))
	if len(list) != 0 {
		t.Errorf("five minutes against one: %+v", list) // the names may have come in any of the five, so 100 a second are possible
	}
}

// TestChangesOfAmplification: the bytes of responses are compared, with the error of a table that has forgotten keys.
func TestChangesOfAmplification(t *testing.T) {
	a := newAgent(t, 10)
	const table = "dns.top_amp_prefix"
	base, now := tally{}, tally{}
	fill := func(b *metric.Bucket, exact tally, from int, heavy tally) {
		m := value[metric.Amplification](a, b, table)
		add := func(key string, bytes float64) {
			exact[key] += bytes
			m.AddPrepared(sketch.Prepare([]byte(key)), uint64(bytes), &sketch.Asked{Bytes: uint64(bytes) / 10})
		}
		for _, key := range slices.Sorted(maps.Keys(heavy)) {
			add(key, heavy[key])
		}
		for i := range 6_000 {
			add(fmt.Sprintf("light%d", from+i), 100)
		}
	}
	a.at(first, func(b *metric.Bucket) {
		fill(b, base, 0, tally{"gone": 300_000, "less": 900_000, "same": 500_000, "more": 20_000})
	})
	a.at(first+119, func(b *metric.Bucket) {
		fill(b, now, 3_000, tally{"new": 400_000, "less": 100_000, "same": 500_000, "more": 800_000})
	})
	a.window.Advance(a.now, a.now)
	if b := a.window.Bucket(1); value[metric.Amplification](a, b, table).MaxError() == 0 {
		t.Fatal("the table is exact: give it more keys")
	}
	list := a.changesOf(table, now.each(60), base.each(60), "from", fmt.Sprint(first+60), "base_from", fmt.Sprint(first))
	if got, want := signed(list), []string{"+new", "-gone", "-less", "+more"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestChangesOfFoldedNames: a light name of a zone whose names count as one row did not vanish.
func TestChangesOfFoldedNames(t *testing.T) {
	a := newAgent(t, 10)
	const table = "dns.top_nxdomain"
	put := func(b *metric.Bucket, counts map[string]uint64) {
		for name, n := range counts {
			value[metric.Top](a, b, table).Add([]byte(name), n)
		}
	}
	a.at(first, func(b *metric.Bucket) {
		put(b, map[string]uint64{"light.victim.example": 5, "heavy.victim.example": 70_000, "gone.other.example": 9})
	})
	a.at(first+119, func(b *metric.Bucket) { put(b, map[string]uint64{"*.victim.example": 50_000}) })
	a.window.Advance(a.now, a.now)
	now := tally{"*.victim.example": 50_000. / 60}
	base := tally{"heavy.victim.example": 70_000. / 60, "gone.other.example": 9. / 60}
	list := a.changesOf(table, now, base, "from", fmt.Sprint(first+60), "base_from", fmt.Sprint(first))
	if got := signed(list); !slices.Equal(got, []string{"+*.victim.example", "-heavy.victim.example", "-gone.other.example"}) &&
		!slices.Equal(got, []string{"+*.victim.example", "-gone.other.example", "-heavy.victim.example"}) {
		t.Errorf("%s", strings.Join(got, " "))
	}
}

// TestMostChanges: an answer has the greatest changes, also if there are many more than it shows.
func TestMostChanges(t *testing.T) {
	a := newAgent(t, 10)
	a.at(first, func(*metric.Bucket) {})
	a.at(first+119, func(b *metric.Bucket) {
		for i := range 5_000 {
			value[metric.Top](a, b, "dns.top_noerror").Add(fmt.Appendf(nil, "n%d.example", (i*7919)%5_000), uint64(1+(i*7919)%5_000))
		}
	})
	a.window.Advance(a.now, a.now)
	c := into[api.Changes](a, "/api/v1/changes", "from", fmt.Sprint(first+60), "base_from", fmt.Sprint(first), "rows", "3")
	if got := signed(c.Changes); !slices.Equal(got, []string{"+n4999.example", "+n4998.example", "+n4997.example"}) || c.Compared != 5_000 {
		t.Errorf("%v of %d", got, c.Compared)
	}
}
