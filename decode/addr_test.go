package decode

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	for _, s := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1:0:2", "::fffe:192.0.2.1", "fe80::1"} {
		want := netip.MustParseAddr(s)
		a := AddrFromNetip(want)
		if a.Netip() != want || a.String() != want.String() || string(a.AppendTo([]byte("x"))) != "x"+want.String() || a.Is4() != want.Is4() {
			t.Errorf("%s: %s, Is4 %v", want, a, a.Is4())
		}
	}
	if a := AddrFrom4(0xc0000201); a.String() != "192.0.2.1" || a != AddrFromNetip(netip.MustParseAddr("::ffff:192.0.2.1")) {
		t.Errorf("AddrFrom4: %s", a)
	}
	if b := netip.MustParseAddr("2001:db8::2").As16(); AddrFrom16(&b).String() != "2001:db8::2" {
		t.Error("AddrFrom16")
	}
	if AddrFromNetip(netip.Addr{}) != (Addr{}) {
		t.Error("the zero netip.Addr")
	}
}

// FuzzAddrText compares the text of addresses with that of net/netip.
func FuzzAddrText(f *testing.F) {
	for _, s := range []string{"0.0.0.0", "10.20.100.255", "::", "::1", "1::", "1:0:0:2::", "0:0:1::", "1:0:2:3:4:5:6:7", "fe80::abcd:ef01:2345:6789", "::fffe:192.0.2.1"} {
		a := AddrFromNetip(netip.MustParseAddr(s))
		f.Add(a.Hi, a.Lo, uint8(0))
	}
	f.Add(^uint64(0), ^uint64(0), uint8(0b10010110))
	f.Fuzz(func(t *testing.T, hi, lo uint64, zeros uint8) {
		for i := range 8 {
			if zeros>>i&1 != 0 { // groups of zeros would be rare otherwise
				w := &hi
				if i >= 4 {
					w = &lo
				}
				*w &^= 0xffff << (16 * (i & 3))
			}
		}
		for _, a := range []Addr{{hi, lo}, {0, lo}, AddrFrom4(uint32(lo))} {
			if got, want := string(a.AppendTo([]byte("x"))), "x"+a.Netip().String(); got != want {
				t.Errorf("%x:%x is printed %s, want %s", a.Hi, a.Lo, got, want)
			}
		}
	})
}

// TestPairHash: the hash is the same in both directions and differs between pairs. If addresses count up as they do
// in networks, each of 16 shards gets the same share.
func TestPairHash(t *testing.T) {
	var shards [16]int
	seen := map[uint32]bool{}
	const n = 1 << 14
	for i := range n {
		client, server := AddrFrom4(0x0a000000+uint32(i)), AddrFrom4(0x0a0a0000+uint32(i&3))
		if i&1 != 0 {
			client, server = Addr{0x20010db8 << 32, uint64(i)}, Addr{0x20010db8 << 32, uint64(i >> 8)}
		}
		p, back := Packet{Src: client, Dst: server, SrcPort: 1}, Packet{Src: server, Dst: client}
		h := p.PairHash()
		if h != back.PairHash() {
			t.Fatalf("%v: another hash backwards", p)
		}
		seen[h] = true
		shards[h>>28]++
	}
	if len(seen) < n-3 { // the birthday bound is 0.03 collisions
		t.Errorf("%d hashes of %d pairs", len(seen), n)
	}
	for i, got := range shards { // 6 standard deviations
		if got < n/16-190 || got > n/16+190 {
			t.Errorf("shard %d got %d of %d", i, got, n)
		}
	}
}
