// Package drill decides which keys of a table are followed with summaries of their own: the heaviest ones, with hysteresis and
// expiry. It knows neither tables nor summaries. It holds no clock and no lock: a decision depends only on the rows, the time, and
// the keys that are followed.
//
// A caller looks at a table every few seconds and calls [Follower.Next], which returns at most one key to begin and one to end.
// So a flood of new keys cannot make the caller busy. A key that is at the edge of the heaviest ones does not come and go:
// another one takes its place only if it is clearly heavier.
package drill

import (
	"slices"
	"time"
)

// Config says how many keys are followed, and for how long.
type Config struct {
	// Most is the greatest number of keys that are followed at the same time.
	Most int
	// Hold is for how long a key is followed that is not among the heaviest any more: the length of the window.
	Hold time.Duration
}

// The hysteresis.
const (
	// Settled is for how long a key is followed at least before another one takes its place.
	Settled = time.Minute
	// heavierBy is how many times as heavy as the lightest followed key another key must be to take its place: 5/4.
	heavierNum, heavierDen = 5, 4
	// leastShare is the part of the table's weight that a key must have to be followed: 1/leastShare. It keeps out the random
	// keys of a flood.
	leastShare = 1000
)

// Row is a key of a table. The rows of a table may have any order.
type Row struct {
	Key string
	// Weight is what the key has for certain: its lower bound.
	Weight uint64
}

// Followed is a key that is followed.
type Followed struct {
	Key string
	// Since is when it began, and Heavy when it was last among the heaviest.
	Since, Heavy time.Time
}

// Change is what a look at the table changes. A key is empty if there is none.
type Change struct{ Begin, End string }

// Follower holds the keys that are followed. It must not be used concurrently.
type Follower struct {
	cfg  Config
	keys []Followed // in the order in which they began
}

// New returns a follower without keys.
func New(cfg Config) *Follower { return &Follower{cfg: cfg} }

// Keys returns the keys that are followed, in the order in which they began. The slice is the caller's.
func (f *Follower) Keys() []Followed { return slices.Clone(f.keys) }

// Drop forgets a key, for example one whose summary could not be made. It may begin again.
func (f *Follower) Drop(key string) {
	f.keys = slices.DeleteFunc(f.keys, func(k Followed) bool { return k.Key == key })
}

// Next looks at the rows of a table, whose keys are unique, and returns what changes. total is the weight of the whole table.
//
// A key ends if it was not among the heaviest for [Config.Hold]. The heaviest key that is not followed begins if fewer keys
// than [Config.Most] are followed. Otherwise it takes the place of the lightest one, if that is [Settled] and clearly lighter.
func (f *Follower) Next(rows []Row, total uint64, now time.Time) (c Change) {
	rows = slices.SortedFunc(slices.Values(rows), heavier)
	heavy := rows[:min(f.cfg.Most, len(rows))]
	for len(heavy) > 0 && heavy[len(heavy)-1].Weight < max(1, total/leastShare) {
		heavy = heavy[:len(heavy)-1]
	}
	for i := range f.keys {
		if slices.ContainsFunc(heavy, f.keys[i].is) {
			f.keys[i].Heavy = now
		}
	}
	if i := slices.IndexFunc(f.keys, func(k Followed) bool { return now.Sub(k.Heavy) >= f.cfg.Hold }); i >= 0 {
		c.End = f.keys[i].Key
		f.keys = slices.Delete(f.keys, i, i+1)
	}
	next, ok := f.challenger(heavy)
	if !ok {
		return c
	}
	if len(f.keys) >= f.cfg.Most { // then no key has ended
		i, weight := f.lightest(rows)
		if now.Sub(f.keys[i].Since) < Settled || next.Weight/heavierNum <= weight/heavierDen {
			return c
		}
		c.End = f.keys[i].Key
		f.keys = slices.Delete(f.keys, i, i+1)
	}
	c.Begin = next.Key
	f.keys = append(f.keys, Followed{next.Key, now, now})
	return c
}

// challenger returns the heaviest key that is not followed.
func (f *Follower) challenger(heavy []Row) (Row, bool) {
	for _, r := range heavy {
		if !slices.ContainsFunc(f.keys, func(k Followed) bool { return k.is(r) }) {
			return r, true
		}
	}
	return Row{}, false
}

// lightest returns the index of the lightest followed key, and its weight. Of several, it is the one that began last.
func (f *Follower) lightest(rows []Row) (at int, least uint64) {
	weights := make(map[string]uint64, len(rows))
	for _, r := range rows {
		weights[r.Key] = r.Weight
	}
	for i, k := range f.keys {
		if w := weights[k.Key]; i == 0 || w <= least {
			at, least = i, w
		}
	}
	return at, least
}

// is reports whether a row is that of the key.
func (k Followed) is(r Row) bool { return k.Key == r.Key }

// heavier orders rows, the heaviest first, and rows of the same weight by their keys.
func heavier(a, b Row) int {
	switch {
	case a.Weight != b.Weight && a.Weight > b.Weight, a.Weight == b.Weight && a.Key < b.Key:
		return -1
	case a == b:
		return 0
	}
	return 1
}
