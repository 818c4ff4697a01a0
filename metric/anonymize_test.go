package metric

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pktvisor/sketch"
)

type anonymized struct {
	Addrs   Top           `metric:"addrs" unit:"packets" slots:"64" label:"ipv4" holds:"address" help:"x"`
	Names   Top           `metric:"names" unit:"packets" slots:"64" label:"qname" holds:"name" help:"x"`
	Types   Top           `metric:"types" unit:"packets" slots:"64" label:"qtype" holds:"value" help:"x"`
	Unknown Top           `metric:"unknown" unit:"packets" slots:"64" label:"x" help:"x"`
	Zones   Distinct      `metric:"zones" unit:"names" slots:"64" label:"zone" holds:"name" help:"x"`
	Nets    Amplification `metric:"nets" unit:"bytes" slots:"64" label:"prefix" holds:"address" help:"x"`
	Count   Cardinality   `metric:"count" unit:"names" help:"x"`
}

// TestRename: addresses and names get other names, values stay, and what is not declared is empty.
func TestRename(t *testing.T) {
	b := NewBucket([]*Table{Define[anonymized]("test")})
	m := Of[anonymized](b.Sections[0])
	for _, key := range []string{"a", "b"} {
		for _, top := range []*Top{&m.Addrs, &m.Names, &m.Types, &m.Unknown} {
			top.Add([]byte(key), 2)
		}
		m.Zones.Add([]byte(key), uint64(key[0]), 1)
		m.Nets.AddPrepared(sketch.Prepare([]byte(key)), 3, &sketch.Asked{Bytes: 1})
		m.Count.Add([]byte(key))
	}
	m.Addrs.setFactor(2) // from here on, weights are scaled
	m.Addrs.Add([]byte("a"), 1)
	b.Rename(func(h Holds) sketch.Renaming {
		if h == HoldsName {
			return sketch.Renaming{Joins: true, Name: func(dst, _ []byte) []byte { return append(dst, "name"...) }}
		}
		return sketch.Renaming{Name: func(dst, key []byte) []byte { return append(append(dst, "addr-"...), key...) }}
	})
	got := string(b.AppendJSON(nil, JSONOptions{Key: "1m"}))
	for _, want := range []string{
		`"addrs":[{"name":"addr-a","estimate":3},{"name":"addr-b","estimate":2}]`, `"names":[{"name":"name","estimate":4}]`,
		`"types":[{"name":"a","estimate":2},{"name":"b","estimate":2}]`, `"unknown":[]`, `"count":2,`,
		`"nets":[{"name":"addr-a","estimate":3,"queries_bytes":1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if low, high := m.Addrs.scaling.bounds("addr-a", 3, 3); low != 4 || high != 4 {
		t.Errorf("addr-a stands for %v to %v", low, high)
	}
	if low, high := m.Zones.Bounds([]byte("name")); low != 2 || high != 2 {
		t.Errorf("the zones have %d to %d items", low, high)
	}
	if _, err := parseHolds("addresses"); err == nil {
		t.Error("a wrong tag is accepted")
	}
}

// TestAnonymity: what a bucket says of its anonymity is in its JSON and its snapshot, merges with that of others, and is checked.
func TestAnonymity(t *testing.T) {
	one, two := AnonymityOf("0011", "labels:2"), AnonymityOf("", "domain")
	if one != "key=0011,names=labels:2" || two != "names=domain" || AnonymityOf("", "") != "" || AnonymityOf("ff", "") != "key=ff" {
		t.Errorf("%q, %q", one, two)
	}
	tables := []*Table{Define[anonymized]("test")}
	a, b := NewBucket(tables), NewBucket(tables)
	a.Anonymity, b.Anonymity = one, two
	a.Cover(60, 120)
	b.Cover(0, 60)
	plain, empty := NewBucket(tables), NewBucket(tables)
	a.Merge(plain)
	plain.Merge(empty)
	if a.Anonymity != one || plain.Anonymity != "" {
		t.Errorf("with a plain bucket: %q, %q", a.Anonymity, plain.Anonymity)
	}
	a.Precede([]*Bucket{b, b})
	if want := Anonymity("key=0011,names=labels:2 names=domain"); a.Anonymity != want {
		t.Errorf("both: %q", a.Anonymity)
	}
	if want := []AnonymizedAs{{"0011", "labels:2"}, {"", "domain"}}; !slices.Equal(a.Anonymity.List(), want) {
		t.Errorf("%v", a.Anonymity.List())
	}
	if got := string(a.AppendJSON(nil, JSONOptions{Key: "1m"})); !strings.Contains(got, `"lost":0,"anonymized":[{"key":"0011","names":"labels:2"},{"names":"domain"}]}`) {
		t.Errorf("JSON: %s", got)
	}
	read, err := ReadSnapshot(tables, a.AppendSnapshot(nil, SnapshotOptions{}))
	if err != nil || read.Anonymity != a.Anonymity {
		t.Errorf("read %q, %v", read.Anonymity, err)
	}
	m, sum := NewMerger(tables), NewBucket(tables)
	if _, err := m.Open(a.AppendSnapshot(nil, SnapshotOptions{})); err != nil {
		t.Fatal(err)
	}
	m.AddTo(sum)
	if sum.Anonymity != a.Anonymity {
		t.Errorf("merged %q", sum.Anonymity)
	}
	many := Anonymity("")
	for i := range 20 {
		many = many.With(AnonymityOf(fmt.Sprintf("%04d", i), ""))
		if _, err := ParseAnonymity(string(many)); err != nil {
			t.Fatalf("%q: %v", many, err)
		}
	}
	if want := Anonymity("key=0000 key=0001 key=0002 more"); many != want || len(many.List()) != 4 {
		t.Errorf("%q", many)
	}
	for text, ok := range map[string]bool{"": true, "names=domain": true, "more": true, "names": false, "key=A": false, "key=1 key=0": false, "key=0 ": false, "key=" + strings.Repeat("0", 300): false, "a=1": false, "key=<": false} {
		if _, err := ParseAnonymity(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	b.Anonymity = "key=0 <script>"
	if _, err := ReadSnapshot(tables, b.AppendSnapshot(nil, SnapshotOptions{})); err == nil {
		t.Error("a wrong anonymity is accepted")
	}
}
