package drill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

// names returns the followed keys as one text.
func names(f *Follower) string {
	var list []string
	for _, k := range f.Keys() {
		list = append(list, k.Key)
	}
	return strings.Join(list, " ")
}

// rowsOf reads rows from a text such as "a:10 b:5".
func rowsOf(text string) (rows []Row, total uint64) {
	for word := range strings.FieldsSeq(text) {
		var r Row
		key, weight, _ := strings.Cut(word, ":")
		r.Key = key
		fmt.Sscan(weight, &r.Weight)
		rows, total = append(rows, r), total+r.Weight
	}
	return rows, total
}

// TestNext goes through the life of two followed keys.
func TestNext(t *testing.T) {
	f := New(Config{Most: 2, Hold: 5 * time.Minute})
	for _, step := range []struct {
		at         time.Duration
		rows, want string // the change as "begin/end", and the keys
	}{
		{0, "", "/: "},
		{0, "c:7 a:10 b:8", "a/: a"},
		{0, "c:7 a:10 b:8", "b/: a b"},
		{0, "c:7 a:10 b:8", "/: a b"},
		{5 * time.Second, "a:10 b:8 c:100", "/: a b"},            // b is not settled
		{60 * time.Second, "a:10 b:8 c:9", "/: a b"},             // c is not clearly heavier: 9/5 is not above 8/4
		{60 * time.Second, "a:10 b:8 c:10", "/: a b"},            // 10 is 5/4 of 8
		{60 * time.Second, "a:40 b:8 c:15", "c/b: a c"},          // c takes the place of b
		{65 * time.Second, "a:40 b:100 c:15", "/: a c"},          // c is not settled now
		{130 * time.Second, "a:40 b:100 c:15", "b/c: a b"},       // and now it is
		{200 * time.Second, "a:4 b:100 c:4", "/: a b"},           // a is among the two heaviest by its name
		{499 * time.Second, "b:100", "/: a b"},                   // a has no row any more, since 299 seconds
		{500 * time.Second, "b:100", "/a: b"},                    // and expires
		{500 * time.Second, "b:100", "/: b"},                     //
		{700 * time.Second, "b:100 d:1", "d/: b d"},              // a free place
		{1500 * time.Second, "", "/b: d"},                        // both expire, one at a look
		{1500 * time.Second, "", "/d: "},                         //
		{1500 * time.Second, "", "/: "},                          //
		{1600 * time.Second, "x:100000 y:99", "x/: x"},           // y has less than a thousandth
		{1600 * time.Second, "x:100000 y:99", "/: x"},            //
		{1600 * time.Second, "x:100000 y:101", "y/: x y"},        // and now more
		{1900 * time.Second, "x:100000 y:9 z:90000", "z/y: x z"}, // y has no time to expire
	} {
		rows, total := rowsOf(step.rows)
		before := slices.Clone(rows)
		c := f.Next(rows, total, start.Add(step.at))
		if got := c.Begin + "/" + c.End + ": " + names(f); got != step.want {
			t.Fatalf("after %v, with %q: %s, want %s", step.at, step.rows, got, step.want)
		}
		if !slices.Equal(before, rows) {
			t.Fatalf("after %v: the rows are in another order", step.at)
		}
	}
	f.Drop("x")
	if names(f) != "z" {
		t.Errorf("after Drop: %s", names(f))
	}
}

// TestFlood: random keys beside two heavy ones, whose weights change places all the time. The keys that are followed stay, and there are never
// more than wanted.
func TestFlood(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const most = 3
	f := New(Config{Most: most, Hold: 5 * time.Minute})
	changes := 0
	for i := range 300 { // 25 minutes
		rows := []Row{{"heavy", 5000 + rnd.Uint64N(500)}, {"other", 5000 + rnd.Uint64N(500)}}
		for range 5000 {
			rows = append(rows, Row{fmt.Sprintf("random%d", rnd.Uint64()), 1 + rnd.Uint64N(2)})
		}
		total := uint64(0)
		for _, r := range rows {
			total += r.Weight
		}
		if c := f.Next(rows, total, start.Add(time.Duration(i)*5*time.Second)); c != (Change{}) {
			changes++
		}
	}
	if names(f) != "heavy other" && names(f) != "other heavy" || changes != 2 {
		t.Errorf("followed: %s, after %d changes; want the two heavy ones after 2", names(f), changes)
	}
}

// TestChurn: however the rows change, a place changes at most once in [Settled], a key is there once, and the number of keys is bounded.
func TestChurn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const most = 4
	f := New(Config{Most: most, Hold: 2 * time.Minute})
	begun, now := map[string]time.Time{}, start
	ends := 0
	for range 5000 {
		now = now.Add(time.Duration(rnd.IntN(10)) * time.Second)
		var rows []Row
		total := uint64(0)
		for key := range 12 {
			r := Row{string(rune('a' + key)), rnd.Uint64N(1000)}
			rows, total = append(rows, r), total+r.Weight
		}
		c := f.Next(rows, total, now)
		if c.End != "" {
			ends++
			since, ok := begun[c.End]
			if !ok || now.Sub(since) < Settled {
				t.Fatalf("%s ended %v after its begin", c.End, now.Sub(since))
			}
			delete(begun, c.End)
		}
		if c.Begin != "" {
			if _, ok := begun[c.Begin]; ok {
				t.Fatalf("%s began twice", c.Begin)
			}
			begun[c.Begin] = now
		}
		if keys := f.Keys(); len(keys) > most || len(keys) != len(begun) {
			t.Fatalf("%d keys, and %d have begun", len(keys), len(begun))
		}
	}
	if limit := most * (int(now.Sub(start)/Settled) + 1); ends == 0 || ends > limit {
		t.Errorf("%d keys ended, want some and at most %d", ends, limit)
	}
}

// TestFilter: each table makes filters of its keys, and refuses keys that it cannot filter by.
func TestFilter(t *testing.T) {
	for _, c := range [][3]string{
		{"dns.top_qname2", ".example.com", "example.com suffix [example.com]"},
		{"dns.top_qname2", "Example.com", "example.com suffix [example.com]"},
		{"dns.top_qname2", "com", "com name [com]"},
		{"dns.top_qname2", ".", ""},
		{"dns.top_qname2", "", ""},
		{"dns.top_qname2", `a\.b.com`, ""},
		{"dns.top_qname2", "*.example.com", ""},
		{"dns.top_qname2", "a..com", ""},
		{"dns.top_qname2", strings.Repeat("a", 64) + ".com", ""},
		{"dns.top_qname3", "example.com", "example.com name [example.com]"},
		{"dns.top_qname3", ".www.example.com", "www.example.com suffix [www.example.com]"},
		{"dns.top_zones", "example.co.uk", "example.co.uk suffix [example.co.uk]"},
		{"dns.top_zones2", ".example.com", "example.com suffix [example.com]"},
		{"dns.top_zones3", ".a.example.com", "a.example.com suffix [a.example.com]"},
		{"dns.top_clients", "192.0.2.1", "192.0.2.1 client [192.0.2.1/32]"},
		{"dns.top_clients", "2001:db8::1", "2001:db8::1 client [2001:db8::1/128]"},
		{"dns.top_clients", "fe80::1%eth0", ""},
		{"dns.top_client_prefix", "2001:db8::/48", "2001:db8::/48 client [2001:db8::/48]"},
		{"dns.top_client_prefix", "x", ""},
		{"dns.top_as_clients", "64496/EXAMPLE", "64496/EXAMPLE asn [64496]"},
		{"packets.top_ASN", "64497", "64497 asn [64497]"},
		{"packets.top_ASN", "Unknown", ""},
		{"packets.top_ASN", "99999999999/X", ""},
		{"packets.top_ipv4", "192.0.2.1", "192.0.2.1 bpf host 192.0.2.1"},
		{"packets.top_ipv6", "2001:db8::1", "2001:db8::1 bpf host 2001:db8::1"},
		{"packets.top_ipv4", "or true", ""},
		{"dns.top_rcode", "NOERROR", ""},
	} {
		got := ""
		if f, name, ok := Filter(c[0], c[1]); ok {
			switch {
			case f.BPF != "":
				got = "bpf " + f.BPF
			case f.QNames != nil:
				got = fmt.Sprint("name ", f.QNames)
			case f.QNameSuffixes != nil:
				got = fmt.Sprint("suffix ", f.QNameSuffixes)
			case f.Clients != nil:
				got = fmt.Sprint("client ", f.Clients)
			case f.ASNs != nil:
				got = fmt.Sprint("asn ", f.ASNs)
			}
			got = name + " " + got
		}
		if got != c[2] {
			t.Errorf("%s of %s: %q, want %q", c[1], c[0], got, c[2])
		}
	}
}
