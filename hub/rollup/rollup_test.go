package rollup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/internal/testkit/fleet"
	"pktvisor/metric"
)

const noon = 1_709_294_400 // 2024-03-01 12:00:00 UTC

func TestGroups(t *testing.T) {
	if got, want := Groups("country=nl,pop=ams1"), []string{"all", "country=nl", "pop=ams1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Groups(""); !slices.Equal(got, []string{"all"}) {
		t.Errorf("without tags: %q", got)
	}
}

// members draws a list of members in order.
func members(t *rapid.T) []Member {
	tags := rapid.SampledFrom([]metric.Tags{"", "pop=ams1", "country=nl,pop=ams1", "pop=é"})
	byKey := map[MemberKey]Member{}
	for range rapid.IntRange(0, 30).Draw(t, "members") {
		start := noon + rapid.Int64Range(-100_000, 100_000).Draw(t, "start")
		m := Member{
			Host: rapid.StringN(1, 20, 255).Draw(t, "host"), Boot: rapid.Uint64().Draw(t, "boot"), Seq: rapid.Uint64().Draw(t, "seq"),
			Revision: rapid.Uint64Range(0, 3).Draw(t, "revision"), Start: start, End: start + rapid.Int64Range(0, 90_000).Draw(t, "length"),
			Lost: rapid.Uint64().Draw(t, "lost"), Tags: tags.Draw(t, "tags"), Agent: rapid.SampledFrom([]string{"", "pktvisord 1"}).Draw(t, "agent"),
			Arrived: start + rapid.Int64Range(-9000, 9000).Draw(t, "arrived"), Minutes: rapid.Uint64().Draw(t, "minutes"),
		}
		byKey[m.Key()] = m
	}
	list := []Member{}
	for _, m := range byKey {
		list = append(list, m)
	}
	slices.SortFunc(list, compareMembers)
	return list
}

func snapshot(id metric.Identity, start int64, names ...string) []byte {
	var events []fleet.Event
	for i, name := range names {
		events = append(events, fleet.Event{Second: start + int64(i), Name: name, Size: uint64(i)})
	}
	return fleet.Snapshot(fleet.Minute(id, start, events))
}

// TestRoundTrip: what is appended is decoded, and its bytes say nothing more.
func TestRoundTrip(t *testing.T) {
	s := snapshot(metric.Identity{Host: "ns1"}, noon, "a", "b")
	rapid.Check(t, func(t *rapid.T) {
		r := Rollup{Snapshot: s, Members: members(t)}
		start := int64(0)
		for range rapid.IntRange(0, 5).Draw(t, "sources") {
			start += rapid.Int64Range(1, 1000).Draw(t, "step")
			r.Sources = append(r.Sources, Source{start, rapid.Uint64().Draw(t, "revision")})
		}
		data := r.Append([]byte("x"))[1:]
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("got %+v, want %+v", got, r)
		}
		for _, at := range []int{len(s), len(s) + 8, len(data) - 1, len(s) + rapid.IntRange(0, len(data)-len(s)-1).Draw(t, "at")} {
			bad := bytes.Clone(data)
			bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			if _, err := Decode(bad); err == nil {
				t.Fatalf("a changed byte at %d of %d is not noticed", at, len(data))
			}
			if _, err := Decode(data[:at]); err == nil {
				t.Fatalf("%d of %d bytes are decoded", at, len(data))
			}
		}
	})
}

// TestHighlyCompressible: members that compress by more than the format allows are stored as they are.
func TestHighlyCompressible(t *testing.T) {
	r := Rollup{Snapshot: snapshot(metric.Identity{Host: "ns1"}, noon)}
	for i := range 100_000 {
		r.Members = append(r.Members, Member{Host: "ns1", Start: noon + int64(i), End: noon + int64(i), Arrived: noon + int64(i)})
	}
	data := r.Append(nil)
	if got := data[len(r.Snapshot)+9]; got != stored {
		t.Fatalf("compression %d: the case is not reached", got)
	}
	if got, err := Decode(data); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%d members, error %v", len(got.Members), err)
	}
}

// block makes a block of a content with a correct checksum.
func block(version, compression byte, size int, content []byte) []byte {
	b := append([]byte(blockMagic), version, compression)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = append(b, content...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// TestHostile: blocks that lie are refused without the memory that they claim to need.
func TestHostile(t *testing.T) {
	s := snapshot(metric.Identity{Host: "ns1"}, noon)
	zeros := encode(make([]byte, 4<<20))
	twin := Member{Host: "ns1", Start: noon, End: noon + 60}
	twins := (&Rollup{Members: []Member{twin, twin}}).appendMembers(nil)
	for name, c := range map[string]struct {
		block []byte
		is    error
	}{
		"no block":           {nil, nil},
		"newer":              {block(2, stored, 3, []byte{0, 0, 0}), ErrVersion},
		"newer compression":  {block(1, 7, 3, []byte{0, 0, 0}), ErrVersion},
		"bomb":               {block(1, compressed, 4<<20, zeros), nil},
		"bomb that lies":     {block(1, compressed, 100, zeros), nil},
		"another length":     {block(1, stored, 4, []byte{0, 0, 0}), nil},
		"many texts":         {block(1, stored, 5, []byte{255, 255, 63, 0, 0}), nil},
		"many sources":       {block(1, stored, 5, []byte{0, 255, 7, 0, 0}), nil},
		"many members":       {block(1, stored, 6, []byte{0, 0, 255, 255, 3, 0}), nil},
		"one member twice":   {block(1, stored, len(twins), twins), nil},
		"rest":               {block(1, stored, 4, []byte{0, 0, 0, 0}), nil},
		"sources not sorted": {block(1, stored, 7, []byte{0, 2, 4, 0, 1, 0, 0}), nil},
	} {
		_, err := Decode(append(slices.Clone(s), c.block...))
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := openBlock(block(1, compressed, 4<<20, zeros)); err == nil || err.Error() != "the length is out of range" {
		t.Errorf("a bomb is refused only once it is read: %v", err)
	}
	if _, err := Decode(append(slices.Clone(s), block(1, stored, 3, []byte{0, 0, 0})...)); err != nil {
		t.Errorf("no members: %v", err)
	}
	s[8]++
	if _, err := Decode(s); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer snapshot: error %v", err)
	}
}

func encode(content []byte) []byte {
	return encoders.Append(nil, content)
}

func FuzzDecode(f *testing.F) {
	s := snapshot(metric.Identity{Host: "ns1"}, noon)
	r := Rollup{Snapshot: s, Members: []Member{{Host: "ns1", Boot: 7, Start: noon, End: noon + 60, Tags: "pop=a", Minutes: 1}}, Sources: []Source{{noon, 4}}}
	f.Add(r.appendMembers(nil), false)
	f.Add([]byte{0, 0, 0}, false)
	f.Add(encode(r.appendMembers(nil)), true)
	f.Fuzz(func(t *testing.T, content []byte, zipped bool) {
		compression := byte(stored)
		size := len(content)
		if zipped {
			compression, size = compressed, len(r.appendMembers(nil))
		}
		got, err := Decode(append(slices.Clone(s), block(1, compression, size, content)...))
		if err != nil {
			return
		}
		again, err := Decode(got.Append(nil))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v again: %+v, error %v", got, again, err)
		}
	})
}

// TestPresence: a key decides, then the revision.
func TestPresence(t *testing.T) {
	list := []Member{{Host: "a", Start: noon, Boot: 1, Seq: 1, Revision: 2}, {Host: "a", Start: noon, Boot: 2, Seq: 1}, {Host: "b", Start: noon}}
	for _, c := range []struct {
		m    Member
		want Presence
	}{
		{Member{Host: "a", Start: noon, Boot: 1, Seq: 1, Revision: 2}, Present},
		{Member{Host: "a", Start: noon, Boot: 1, Seq: 1, Revision: 1}, Present},
		{Member{Host: "a", Start: noon, Boot: 1, Seq: 1, Revision: 3}, Older},
		{Member{Host: "a", Start: noon, Boot: 1, Seq: 2}, Absent},
		{Member{Host: "a", Start: noon + 1, Boot: 1, Seq: 1}, Absent},
		{Member{Host: "c", Start: noon}, Absent},
	} {
		if got := Has(list, &c.m); got != c.want {
			t.Errorf("%+v: %v, want %v", c.m, got, c.want)
		}
	}
	for host, want := range map[string]int{"a": 2, "b": 1, "A": 0, "z": 0} {
		if got := len(HostMembers(list, host)); got != want {
			t.Errorf("%d members of %s, want %d", got, host, want)
		}
	}
}

// put is a host-minute of a test.
type put struct {
	host   string
	boot   uint64
	minute int64
}

// TestLevelsEqualOneBucket merges random host-minutes into rollups of a minute, and these into longer ones. Each equals one bucket
// with all events, lists exactly the members, and covers their seconds, also if minutes are missing.
func TestLevelsEqualOneBucket(t *testing.T) {
	m := NewMerger(fleet.Tables, "hub test")
	rapid.Check(t, func(t *rapid.T) {
		day := Day1.Of(noon)
		puts := map[put][]fleet.Event{}
		var all []fleet.Event
		for range rapid.IntRange(1, 25).Draw(t, "host-minutes") {
			at := day + 60*rapid.OneOf(rapid.Int64Range(0, 12), rapid.Int64Range(0, 1439)).Draw(t, "minute")
			p := put{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host"), rapid.Uint64Range(1, 2).Draw(t, "boot"), at}
			if puts[p] != nil {
				continue
			}
			puts[p] = []fleet.Event{}
			for range rapid.IntRange(0, 20).Draw(t, "events") {
				e := fleet.Event{Second: at + rapid.Int64Range(0, 59).Draw(t, "second"), Name: fmt.Sprint("n", rapid.IntRange(0, 40).Draw(t, "name")), Size: rapid.Uint64Range(0, 5000).Draw(t, "size")}
				puts[p], all = append(puts[p], e), append(all, e)
			}
		}
		lowers := map[int64]*Sum{}
		for p, events := range puts {
			b := fleet.Minute(metric.Identity{Host: p.host, Boot: p.boot}, p.minute, events)
			if err := m.Open(fleet.Snapshot(b)); err != nil {
				t.Fatal(err)
			}
			if lowers[p.minute] == nil {
				lowers[p.minute] = m.NewSum()
			}
			m.Add(lowers[p.minute], Member{Host: p.host, Boot: p.boot, Start: b.Start, End: b.End, Lost: b.Lost, Arrived: b.End, Minutes: 1})
		}
		var list []Lower
		for start, s := range lowers {
			list = append(list, Lower{Source{start, uint64(start)}, m.Rollup(s, "default", 3)})
		}
		for level := Minute1; ; level = level.Above() {
			slices.SortFunc(list, func(a, b Lower) int { return int(a.Start - b.Start) })
			checkLevel(t, level, list, puts, all)
			if level == Day1 {
				return
			}
			parts := map[int64][]Lower{}
			for _, l := range list {
				l.Rollup = again(t, l.Rollup)
				parts[level.Above().Of(l.Start)] = append(parts[level.Above().Of(l.Start)], l)
			}
			list = nil
			for start, lowers := range parts {
				r, err := m.Over(level.Above(), start, lowers, "default", 0)
				if err != nil || len(r.Sources) != len(lowers) || r.Sources[0] != lowers[0].Source {
					t.Fatalf("%v: sources %v, error %v", level.Above(), r.Sources, err)
				}
				list = append(list, Lower{Source{start, 1}, r})
			}
		}
	})
}

// again stores a rollup and reads it.
func again(t *rapid.T, r Rollup) Rollup {
	r, err := Decode(r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkLevel(t *rapid.T, level Level, list []Lower, puts map[put][]fleet.Event, all []fleet.Event) {
	for _, l := range list {
		got, err := metric.ReadSnapshot(fleet.Tables, l.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		first, last, seconds, lost, open := int64(0), int64(0), uint64(0), uint64(0), metric.Gauge(0)
		minutes := map[string]map[int64]bool{}
		for p, events := range puts {
			if level.Of(p.minute) != l.Start {
				continue
			}
			if first == 0 || p.minute < first {
				first = p.minute
			}
			if p.minute >= last {
				if p.minute > last {
					last, open = p.minute, 0
				}
				open += metric.Gauge(len(events))
			}
			seconds += 60
			lost += uint64(len(events) % 3)
			if minutes[p.host] == nil {
				minutes[p.host] = map[int64]bool{}
			}
			minutes[p.host][p.minute] = true
		}
		var in []fleet.Event
		for _, e := range all {
			if level.Of(e.Second) == l.Start {
				in = append(in, e)
			}
		}
		if diff := fleet.Diff(got, fleet.All(first, last+60, in), level >= Hour1); diff != "" {
			t.Fatalf("%v: %s", level, diff)
		}
		id := got.Identity
		if got.Covered != seconds && uint64(got.End-got.Start) != seconds || got.Lost != lost || id.Policy != "default" || id.Host != "" {
			t.Fatalf("%v: covers %d, lost %d, identity %+v, want %d, %d", level, got.Covered, got.Lost, id, seconds, lost)
		}
		if v := metric.Of[fleet.Values](got.Sections[0]); v.Open != open {
			t.Fatalf("%v: state %d, want %d", level, v.Open, open)
		}
		for _, m := range l.Members {
			lost -= m.Lost
		}
		if lost != 0 {
			t.Fatalf("%v: the members lost %d less than the bucket", level, lost)
		}
		checkMembers(t, level, l, minutes)
	}
}

func checkMembers(t *rapid.T, level Level, l Lower, minutes map[string]map[int64]bool) {
	hosts := map[string]uint64{}
	for _, m := range l.Members {
		hosts[m.Host] |= m.Minutes
	}
	want := map[string]uint64{}
	for host, starts := range minutes {
		for start := range starts {
			switch level {
			case Day1:
				want[host]++
			default:
				want[host] |= 1 << ((start - l.Start) / 60)
			}
		}
	}
	if !reflect.DeepEqual(hosts, want) || level > Minute1 && len(l.Members) != len(want) {
		t.Fatalf("%v: members %+v, want %v", level, l.Members, want)
	}
}

// TestLying: an agent cannot make the seconds that a rollup covers overflow.
func TestLying(t *testing.T) {
	m := NewMerger(fleet.Tables, "hub test")
	b := fleet.Minute(metric.Identity{Host: "liar"}, noon, nil)
	b.Covered = 1<<64 - 1
	s := m.NewSum()
	for i := range uint64(3) {
		if err := m.Open(fleet.Snapshot(b)); err != nil {
			t.Fatal(err)
		}
		m.Add(s, Member{Host: "liar", Boot: i, Start: noon, End: noon + 60})
	}
	r := m.Rollup(s, "default", 0)
	if info, err := metric.ReadSnapshotInfo(r.Snapshot); err != nil || info.Covered != 3*maxCovered {
		t.Errorf("covered %d, error %v", info.Covered, err)
	}
}

// TestMoreKeys: longer rollups keep more keys than what an agent sends.
func TestMoreKeys(t *testing.T) {
	m := NewMerger([]*metric.Table{metric.Define[struct {
		Top metric.Top `metric:"top" unit:"events" help:"x"`
	}]("wide")}, "hub test")
	s := m.NewSum()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 6000 {
		s.bucket.Sections[0].Top(0).Add(fmt.Appendf(nil, "name%d", i), 100+r.Uint64N(100))
	}
	s.bucket.Cover(noon, noon+60)
	s.members, s.covered = []Member{{Host: "a", Start: noon, End: noon + 60}}, 60
	for level, want := range map[Level]int{Minute1: 1024, Minute5: 1024, Hour1: 4096, Day1: 4096} {
		b, err := metric.ReadSnapshot(m.tables, m.snapshot(s, level, "default", 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Sections[0].Top(0).Len(); got != want {
			t.Errorf("%v keeps %d keys, want %d", level, got, want)
		}
	}
}
