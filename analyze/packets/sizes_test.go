package packets

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"strconv"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
)

// names is a Locator that knows a different name for each address.
type names []string

func (n names) City(a netip.Addr) string { b := a.As4(); return n[binary.BigEndian.Uint32(b[:])] }
func (n names) ASN(a netip.Addr) string  { return n.City(a) }

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBytes: when a flood of addresses fills an analyzer, it takes no more than its maximum at any scale, and is flushed
// each time that its tally is full. By default, it has the sizes with which its figures were measured.
func TestBytes(t *testing.T) {
	for _, c := range []struct{ scale, size int }{{0, 32_768}, {5, 32_768}, {-1, 16_384}, {-4, 2048}, {-6, 2048}} {
		all := make(names, 2*c.size)
		for i := range all {
			all[i] = strconv.Itoa(i)
		}
		var group [analyze.GroupSize]analyze.Packet
		for _, locate := range []Locator{nil, all} {
			seed, flushes := seedhash.New(), 0
			var a *Analyzer
			before := heap()
			topic := Topic(locate)
			a = topic.New(analyze.Settings{Seed: &seed, Scale: c.scale})(analyze.Shard{Sampler: analyze.NewSampler(100), Flush: func() {
				flushes++
				if locate != nil {
					a.locate(a.peers.Entries())
				}
				a.peers.Reset()
			}}).(*Analyzer)
			for n := range 2 * uint32(c.size) / analyze.GroupSize {
				for i := range group {
					p := &group[i]
					p.Kind, p.Version, p.Direction, p.Proto = decode.KindIP, 4, analyze.Ingress, 17
					var b [4]byte
					binary.BigEndian.PutUint32(b[:], n*analyze.GroupSize+uint32(i))
					p.Src, p.Dst = decode.AddrFromNetip(netip.AddrFrom4(b)), decode.AddrFromNetip(host4)
				}
				a.Packets(group[:])
			}
			got, most := heap()-before, topic.Memory(topic.Table, c.scale)
			t.Logf("scale %d, located %t: %d kB of %d", c.scale, locate != nil, got>>10, most>>10)
			if got > most || got < most/3 {
				t.Errorf("scale %d: %d bytes, want at most %d and not much less", c.scale, got, most)
			}
			if flushes != 1 || cap(a.peers.Entries()) != c.size {
				t.Errorf("scale %d: %d flushes, a tally of %d; want 1, %d", c.scale, flushes, cap(a.peers.Entries()), c.size)
			}
			runtime.KeepAlive(a)
			runtime.KeepAlive(all)
		}
	}
}
