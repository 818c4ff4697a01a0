package analyze

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/decode"
)

func TestParseHosts(t *testing.T) {
	for _, c := range []struct {
		spec string
		want string
	}{
		{"", ""},
		{" , ,", ""},
		{"10.0.1.0/24", "10.0.1.0/24"},
		{"10.0.1.77/24", "10.0.1.0/24"},
		{"192.0.2.1", "192.0.2.1/32"},
		{"2001:db8::1", "2001:db8::1/128"},
		{" 10.0.0.0/8 , 2001:DB8::/32 ", "10.0.0.0/8 2001:db8::/32"},
		{"0.0.0.0/0,::/0", "0.0.0.0/0 ::/0"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1/128"},
	} {
		h, err := ParseHosts(c.spec)
		if err != nil {
			t.Errorf("%q: %v", c.spec, err)
			continue
		}
		var got []string
		for _, p := range h.Prefixes() {
			got = append(got, p.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q: %s, want %s", c.spec, s, c.want)
		}
	}
}

// TestParseHostsErrors: the error names every wrong part and no other part.
func TestParseHostsErrors(t *testing.T) {
	h, err := ParseHosts("10.0.0.0/33,192.0.2.0/24,nonsense,fe80::1%eth0,300.1.1.1, 10.0.0.0/08,fe80::%eth0/64")
	if err == nil {
		t.Fatal("there was no error")
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{`"10.0.0.0/33"`, `"nonsense"`, `"fe80::1%eth0"`, `"300.1.1.1"`, `"10.0.0.0/08"`, `"fe80::%eth0/64"`}
	if len(lines) != len(want) {
		t.Fatalf("%d faults, want %d: %v", len(lines), len(want), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]+" is not a subnet") {
			t.Errorf("fault %d is %q, want %s", i, line, want[i])
		}
	}
	if len(h.Prefixes()) != 0 {
		t.Error("the result has some hosts despite the error")
	}
}

func TestDirection(t *testing.T) {
	const v4, v6, mapped = "10.1.0.0/16,192.0.2.7", "2001:db8::/33,fd00::5", "::ffff:10.1.0.0/112"
	for _, c := range []struct {
		hosts, src, dst string
		want            Direction
	}{
		{v4, "198.51.100.1", "10.1.2.3", Ingress},
		{v4, "10.1.2.3", "198.51.100.1", Egress},
		{v4, "10.1.2.3", "10.1.9.9", Ingress}, // between two addresses of the host subnets
		{v4, "198.51.100.1", "203.0.113.1", Unknown},
		{v4, "198.51.100.1", "192.0.2.7", Ingress},
		{v4, "198.51.100.1", "192.0.2.6", Unknown},
		{v4, "10.2.0.0", "10.0.255.255", Unknown},
		{v4, "10.1.0.0", "10.0.255.255", Egress},
		{v4, "2001:db8::1", "2001:db8::2", Unknown},
		{v6, "2001:db8:7fff::1", "2001:db8:8000::1", Egress},
		{v6, "2001:db8:8000::1", "2001:db8:7fff::1", Ingress},
		{v6, "fd00::4", "fd00::5", Ingress},
		{v6, "fd00::4", "fd00::6", Unknown},
		{v6, "10.1.2.3", "10.1.2.4", Unknown},
		// An IPv4 address and the same address in mapped form are equal.
		{v4, "198.51.100.1", "::ffff:10.1.2.3", Ingress},
		{mapped, "10.1.2.3", "198.51.100.1", Egress},
		{"0.0.0.0/0", "198.51.100.1", "203.0.113.1", Ingress},
		{"0.0.0.0/0", "2001:db8::1", "2001:db8::2", Unknown},
		// The subnet of all IPv6 addresses does not include IPv4, although it includes the mapped addresses.
		{"::/0", "2001:db8::1", "2001:db8::2", Ingress},
		{"::/0", "198.51.100.1", "203.0.113.1", Unknown},
		{"::/64", "198.51.100.1", "203.0.113.1", Unknown},
		{"::/64", "2001:db8::1", "::1:2", Ingress},
		{"", "10.1.2.3", "10.1.9.9", Unknown},
	} {
		h, err := ParseHosts(c.hosts)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := decode.AddrFromNetip(netip.MustParseAddr(c.src)), decode.AddrFromNetip(netip.MustParseAddr(c.dst))
		if got := h.Direction(src, dst); got != c.want {
			t.Errorf("host %q: from %s to %s is %d, want %d", c.hosts, c.src, c.dst, got, c.want)
		}
	}
	var none Hosts
	if none.Direction(decode.Addr{}, decode.Addr{}) != Unknown {
		t.Error("a packet has a direction without hosts")
	}
}

// TestContains compares the masks with net/netip.
func TestContains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := func(name string) netip.Addr {
			if rapid.Bool().Draw(t, name+" is IPv4") {
				return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name)))
			}
			a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name)))
			return a.Unmap()
		}
		a := addr("prefix")
		p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
		h := NewHosts([]netip.Prefix{p})
		// One address differs from the prefix in only one bit, and the other is random.
		near := a.AsSlice()
		bit := rapid.IntRange(0, a.BitLen()-1).Draw(t, "bit")
		near[bit/8] ^= 0x80 >> (bit % 8)
		n, _ := netip.AddrFromSlice(near)
		for _, x := range []netip.Addr{a, n.Unmap(), addr("other")} {
			if got, want := h.Direction(decode.Addr{}, decode.AddrFromNetip(x)) == Ingress, p.Contains(x); got != want {
				t.Fatalf("%s contains %s: %v, want %v", p, x, got, want)
			}
		}
	})
}

func TestHostsAreImmutable(t *testing.T) {
	prefixes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	h := NewHosts(prefixes)
	prefixes[0] = netip.MustParsePrefix("192.0.2.0/24")
	if h.Prefixes()[0].String() != "10.0.0.0/8" || h.Direction(decode.Addr{}, decode.AddrFrom4(10<<24)) != Ingress {
		t.Error("the hosts changed with the slice that they were made from")
	}
}

// TestSetDirections: each packet of a group gets the direction between its addresses. A packet without addresses has no
// direction.
func TestSetDirections(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	addr := func(version uint8) decode.Addr {
		if version == 4 {
			return decode.AddrFrom4(0xc0000200 + rng.Uint32N(1<<10))
		}
		return decode.Addr{Hi: 0x20010db8<<32 + rng.Uint64N(4), Lo: rng.Uint64N(4)}
	}
	for _, spec := range []string{"", "192.0.2.0/24", "2001:db8::/64", "192.0.2.0/25,192.0.3.7,2001:db8::/64,2001:db8:0:1::2", "0.0.0.0/0,::/0"} {
		h, err := ParseHosts(spec)
		if err != nil {
			t.Fatal(err)
		}
		group := make([]Packet, GroupSize)
		for i := range group {
			p := &group[i]
			p.Direction = Egress
			if p.Version = []uint8{0, 4, 6, 4}[i%4]; p.Version != 0 {
				p.Src, p.Dst = addr(p.Version), addr(p.Version)
			}
		}
		h.SetDirections(group)
		for i := range group {
			p, want := &group[i], Unknown
			if p.Version != 0 {
				want = h.Direction(p.Src, p.Dst)
			}
			if p.Direction != want {
				t.Errorf("%q: from %v to %v is %d, want %d", spec, p.Src, p.Dst, p.Direction, want)
			}
		}
	}
}

// TestManyHosts: a set of many subnets gives the directions that the same subnets give when they are compared one by one.
func TestManyHosts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{fewNets, fewNets + 1, 60, 10_000} {
		var prefixes []netip.Prefix
		for range n {
			// Addresses that are close to each other, so that subnets overlap.
			a4 := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(4)), byte(r.IntN(256))})
			a6 := netip.AddrFrom16([16]byte{0x20, 1, 13: byte(r.IntN(2)), 14: byte(r.IntN(4)), 15: byte(r.IntN(256))})
			bits := 32
			if r.IntN(8) == 0 {
				bits = 24 + r.IntN(8)
			}
			prefixes = append(prefixes, netip.PrefixFrom(a4, bits).Masked(), netip.PrefixFrom(a6, 96+bits).Masked())
		}
		h := NewHosts(prefixes)
		if (h.many != nil) != (n > fewNets) || len(h.Prefixes()) != 2*n {
			t.Fatalf("%d subnets: searched %t", n, h.many != nil)
		}
		one := Hosts{prefixes: prefixes}
		for _, p := range prefixes {
			few := NewHosts([]netip.Prefix{p})
			one.nets4, one.nets6 = append(one.nets4, few.nets4...), append(one.nets6, few.nets6...)
		}
		seen := map[Direction]int{}
		for range 2000 {
			addr := func(version int) decode.Addr {
				if version == 4 {
					return decode.AddrFromNetip(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(6)), byte(r.IntN(256))}))
				}
				return decode.AddrFromNetip(netip.AddrFrom16([16]byte{0x20, 1, 13: byte(r.IntN(3)), 14: byte(r.IntN(6)), 15: byte(r.IntN(256))}))
			}
			version := 4 + 2*r.IntN(2)
			src, dst := addr(version), addr(version)
			want := one.Direction(src, dst)
			seen[want]++
			if got := h.Direction(src, dst); got != want {
				t.Fatalf("%d subnets: from %v to %v is %d, want %d", n, src.Netip(), dst.Netip(), got, want)
			}
		}
		if len(seen) != 3 {
			t.Errorf("%d subnets: only the directions %v", n, seen)
		}
	}
}

// BenchmarkDirections measures a packet's direction with few and with very many addresses of the host.
func BenchmarkDirections(b *testing.B) {
	for _, n := range []int{1, fewNets, fewNets + 1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var prefixes []netip.Prefix
			for i := range n {
				prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
			}
			h := NewHosts(prefixes)
			group := make([]Packet, 128)
			for i := range group {
				group[i].Version = 4
				group[i].Src = decode.AddrFromNetip(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				group[i].Dst = decode.AddrFromNetip(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(7 * i)}))
			}
			for b.Loop() {
				h.SetDirections(group)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(group)), "ns/packet")
		})
	}
}
