package decode

import "testing"

// TestSpread: the number is the same in both directions. If addresses count up as they do in networks, each of 16
// workers gets the same share.
func TestSpread(t *testing.T) {
	const n = 1 << 14
	v6 := func(net, host int) Addr { return Addr{0x20010db8<<32 | uint64(net), uint64(host)} }
	for name, pair := range map[string]func(i int) (client, server Addr){
		"IPv4, one server": func(i int) (Addr, Addr) { return AddrFrom4(0x0a000000 + uint32(i)), AddrFrom4(0xc0000201) },
		"IPv4, many servers": func(i int) (Addr, Addr) {
			return AddrFrom4(0x0a000000 + uint32(i>>4)), AddrFrom4(0xc0000200 + uint32(i&15))
		},
		"IPv4, clients' networks":    func(i int) (Addr, Addr) { return AddrFrom4(uint32(i) << 16), AddrFrom4(0xc0000201) },
		"IPv6, one server":           func(i int) (Addr, Addr) { return v6(0, i), v6(1, 1) },
		"IPv6, the same of each /64": func(i int) (Addr, Addr) { return v6(i, 1), v6(1<<20, 1) },
		"IPv6, many servers":         func(i int) (Addr, Addr) { return v6(i>>4, i>>4), v6(1<<20, i&15) },
		"IPv6, high bits":            func(i int) (Addr, Addr) { return Addr{0x2001 << 48, uint64(i) << 48}, v6(1, 1) },
	} {
		var workers [16]int
		for i := range n {
			client, server := pair(i)
			p, back := Packet{Src: client, Dst: server, SrcPort: 1}, Packet{Src: server, Dst: client}
			s := p.Spread()
			if s != back.Spread() {
				t.Fatalf("%s: %v: another number backwards", name, p)
			}
			workers[uint64(s)*uint64(len(workers))>>32]++
		}
		for i, got := range workers { // 6 standard deviations of a random choice
			if got < n/16-190 || got > n/16+190 {
				t.Errorf("%s: worker %d got %d of %d", name, i, got, n)
			}
		}
	}
}
