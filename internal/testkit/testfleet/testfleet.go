// Package testfleet makes the host-minutes and the rollups of a fleet, for tests that know what is in them.
package testfleet

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// Policy is the policy of all host-minutes.
const Policy = "default"

// Second is the second of a minute in which a host-minute has its packets.
const Second = 7

// Minute is a host-minute with Count packets, all of one name.
type Minute struct {
	Host                string
	Tags                metric.Tags
	Start               int64
	Boot, Seq, Revision uint64
	Count               uint64
	Name                string
	Lost                uint64
	// Delay is how many seconds after its end it arrived.
	Delay int64
	// Snapshot is set by [Fleet.Add].
	Snapshot []byte
}

// Entry is a stored rollup.
type Entry struct {
	Data     []byte
	Revision uint64
}

// Fleet is a fleet of the given tables.
type Fleet struct {
	Tables []*metric.Table
	// Fill adds what a host-minute counts to a bucket. The fleet sets the bucket's time and identity.
	Fill func(b *metric.Bucket, m *Minute)
	// Put stores a rollup in place of the one of the given revision, and returns the new revision. If it is nil, revisions are
	// counted here.
	Put func(k store.Key, data []byte, revision uint64) (uint64, error)
	// Minutes are all host-minutes, and Rolls all rollups.
	Minutes []Minute
	Rolls   map[store.Key]Entry

	revision uint64
}

// snapshot returns the snapshot of a host-minute.
func (f *Fleet) snapshot(m *Minute) []byte {
	b := metric.NewBucket(f.Tables)
	b.Start, b.End, b.Lost = m.Start, m.Start+60, m.Lost
	b.Identity = metric.Identity{Host: m.Host, Policy: Policy, Tags: m.Tags, Boot: m.Boot, Seq: m.Seq, Revision: m.Revision}
	f.Fill(b, m)
	b.Seal(64)
	return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "pktvisord test", TopKeys: -1})
}

// Add puts host-minutes into the rollups of their minutes.
func (f *Fleet) Add(t testing.TB, list ...Minute) {
	t.Helper()
	merger := rollup.NewMerger(f.Tables, "test")
	at := make(map[store.Key][]Minute)
	for _, m := range list {
		m.Snapshot = f.snapshot(&m)
		f.Minutes = append(f.Minutes, m)
		for _, g := range rollup.Groups(m.Tags) {
			k := store.Key{Level: rollup.Minute1, Policy: Policy, Group: g, Start: m.Start}
			at[k] = append(at[k], m)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(at), compareKeys) {
		sum := merger.NewSum()
		if had, ok := f.Rolls[k]; ok {
			r, err := rollup.Decode(had.Data)
			if err == nil {
				err = merger.AddRollup(sum, &r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range at[k] {
			if err := merger.Open(m.Snapshot); err != nil {
				t.Fatal(err)
			}
			merger.Add(sum, rollup.Member{
				Host: m.Host, Boot: m.Boot, Seq: m.Seq, Revision: m.Revision, Start: m.Start, End: m.Start + 60, Lost: m.Lost, Tags: m.Tags,
				Agent: "pktvisord test", Arrived: m.Start + 60 + m.Delay, Minutes: 1,
			})
		}
		r := merger.Rollup(sum, Policy, 0)
		f.Store(t, k, &r)
	}
}

func compareKeys(a, b store.Key) int {
	return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Start, b.Start))
}

// Store stores a rollup.
func (f *Fleet) Store(t testing.TB, k store.Key, r *rollup.Rollup) {
	t.Helper()
	f.revision++
	e := Entry{r.Append(nil), f.revision}
	if f.Put != nil {
		var err error
		if e.Revision, err = f.Put(k, e.Data, f.Rolls[k].Revision); err != nil {
			t.Fatal(err)
		}
	}
	if f.Rolls == nil {
		f.Rolls = make(map[store.Key]Entry)
	}
	f.Rolls[k] = e
}

// RollUp computes all longer rollups that are not those of what is stored below.
func (f *Fleet) RollUp(t testing.TB) {
	t.Helper()
	merger := rollup.NewMerger(f.Tables, "test")
	for level := rollup.Minute5; level.Valid(); level = level.Above() {
		lowers := make(map[store.Key][]rollup.Lower)
		for _, k := range slices.SortedFunc(maps.Keys(f.Rolls), compareKeys) {
			if k.Level != level.Below() {
				continue
			}
			r, err := rollup.Decode(f.Rolls[k].Data)
			if err != nil {
				t.Fatal(err)
			}
			up := store.Key{Level: level, Policy: k.Policy, Group: k.Group, Start: level.Of(k.Start)}
			lowers[up] = append(lowers[up], rollup.Lower{Source: rollup.Source{Start: k.Start, Revision: f.Rolls[k].Revision}, Rollup: r})
		}
		for _, k := range slices.SortedFunc(maps.Keys(lowers), compareKeys) {
			var sources []rollup.Source
			for _, l := range lowers[k] {
				sources = append(sources, l.Source)
			}
			if had, ok := f.Rolls[k]; ok {
				if r, err := rollup.Decode(had.Data); err == nil && r.SameSources(sources) {
					continue
				}
			}
			r, err := merger.Over(level, k.Start, lowers[k], k.Policy, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.Store(t, k, &r)
		}
	}
}

// Grow adds random minutes of hosts, from from to to. A host has a minute with the given probability. If there are several
// hosts, they have tags with the keys pop and country.
func (f *Fleet) Grow(t testing.TB, rnd *rand.Rand, hosts int, from, to int64, present float64) {
	t.Helper()
	pops, countries := []string{"ams1", "fra1", "nrt1"}, []string{"nl", "jp"}
	var list []Minute
	for h := range hosts {
		var parts []string
		if hosts > 1 {
			parts = []string{"pop=" + pops[h%3], "country=" + countries[h%2]}
		}
		tags, err := metric.ParseTags(parts)
		if err != nil {
			t.Fatal(err)
		}
		for start := from; start < to; start += 60 {
			if rnd.Float64() < present {
				list = append(list, Minute{
					Host: fmt.Sprint("ns", h), Tags: tags, Start: start, Boot: 1, Seq: uint64(start), Count: 1 + rnd.Uint64N(1000),
					Name: fmt.Sprint("name", rnd.IntN(20)), Delay: 2,
				})
			}
		}
	}
	f.Add(t, list...)
}
