package reassemble

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/decode"
)

// fragment returns the packet of a fragment. Its frame is the data itself.
func fragment(version uint8, id uint32, offset int, more bool, data []byte) decode.Packet {
	p := decode.Packet{
		Kind: decode.KindIP, Version: version, Proto: decode.ProtoUDP, Flags: decode.FlagFragment,
		Src: decode.AddrFrom4(1), Dst: decode.AddrFrom4(2),
		FragProto: decode.ProtoUDP, FragID: id, FragOffset: uint16(offset), FragMore: more,
		CapLen: uint32(len(data)), PayloadLen: uint32(len(data)),
	}
	if offset > 0 {
		p.Flags |= decode.FlagLaterFragment
	}
	return p
}

// udpOf makes a UDP datagram of n bytes.
func udpOf(n int) []byte {
	b := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, n/7+1)[:n]
	copy(b, []byte{0x10, 0, 0, 53, byte(n >> 8), byte(n), 0, 0})
	return b
}

func add(f *fragCollector, version uint8, id uint32, d []byte, from, to int) ([]byte, bool) {
	p := fragment(version, id, from, to < len(d), d[from:to])
	return f.add(&p, d[from:to])
}

// fragCollector is Fragments and the datagrams that it returned.
type fragCollector struct {
	*Fragments
	whole [][]byte
	parts [][]byte
	last  Datagram
}

func collectFragments(maxBytes int) *fragCollector {
	c := new(fragCollector)
	c.Fragments = NewFragments(FragmentsConfig{MaxBytes: maxBytes, Datagram: func(d *Datagram) {
		c.last = *d
		if d.Size == len(d.Bytes) {
			c.whole = append(c.whole, d.Bytes)
		} else {
			c.parts = append(c.parts, bytes.Clone(d.Bytes))
		}
	}})
	return c
}

// add adds a fragment, and returns the datagram that it completed.
func (c *fragCollector) add(p *decode.Packet, frame []byte) ([]byte, bool) {
	c.whole = c.whole[:0]
	c.Add(p, frame, 3)
	if len(c.whole) == 0 {
		return nil, false
	}
	return c.whole[0], true
}

// TestAnyFragmentation cuts, shuffles and repeats the fragments of two datagrams.
func TestAnyFragmentation(t *testing.T) { rapid.Check(t, anyFragmentation) }

// FuzzFragmentation lets coverage guide the choices of TestAnyFragmentation.
func FuzzFragmentation(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyFragmentation)) }

func anyFragmentation(t *rapid.T) {
	type piece struct {
		id       uint32
		from, to int
	}
	f := collectFragments(1 << 20)
	version := rapid.SampledFrom([]uint8{4, 6}).Draw(t, "version")
	var pieces []piece
	datagrams := map[uint32][]byte{}
	for id := range uint32(2) {
		d := udpOf(rapid.OneOf(rapid.IntRange(9, 4000), rapid.Just(65535)).Draw(t, "size"))
		datagrams[id] = d
		step := 8 * rapid.IntRange(len(d)/8/100+1, 1500).Draw(t, "step")
		for from := 0; from < len(d); from += step {
			pieces = append(pieces, piece{id, from, min(from+step, len(d))})
		}
		if len(d) <= step { // a single piece would not be a fragment
			pieces = append(pieces[:len(pieces)-1], piece{id, 0, 8}, piece{id, 8, len(d)})
		}
	}
	twice := pieces[rapid.IntRange(0, len(pieces)-1).Draw(t, "twice")]
	pieces = append(pieces, twice)
	rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(pieces), func(i, j int) {
		pieces[i], pieces[j] = pieces[j], pieces[i]
	})
	done := 0
	for _, g := range pieces {
		b, ok := add(f, version, g.id, datagrams[g.id], g.from, g.to)
		if !ok {
			continue
		}
		done++
		if !bytes.Equal(b, datagrams[g.id]) {
			t.Fatalf("datagram %d differs", g.id)
		}
	}
	st := f.Stats()
	if done != 2 || st != (FragmentsStats{}) {
		t.Fatalf("%d whole, %+v", done, st)
	}
	if f.table.count != 2 || f.pool.used != 0 {
		t.Fatalf("left: %d datagrams, %d blocks", f.table.count, f.pool.used)
	}
}

func TestOverlap(t *testing.T) {
	d := udpOf(64)
	other := bytes.Repeat([]byte{0xee}, 64)
	for _, version := range []uint8{4, 6} {
		f := collectFragments(1)
		add(f, version, 1, d, 0, 32)
		add(f, version, 1, other, 24, 48)
		b, ok := add(f, version, 1, d, 40, 64)
		if version == 6 {
			if ok {
				t.Error("an IPv6 datagram with overlaps came out")
			}
			if _, ok := add(f, version, 1, d, 32, 64); ok {
				t.Error("its other fragments made a datagram")
			}
		} else if want := append(append(bytes.Clone(d[:32]), other[32:48]...), d[48:]...); !ok || !bytes.Equal(b, want) {
			t.Errorf("got % x\nwant % x", b, want)
		}
		if f.pool.used != 0 {
			t.Errorf("IPv%d: %d blocks", version, f.pool.used)
		}
	}
}

// TestContradictions sends fragments that disagree on where the datagram ends.
func TestContradictions(t *testing.T) {
	d, long := udpOf(64), udpOf(80)
	f := collectFragments(1)
	add(f, 4, 1, long, 64, 72) // more follows at 72
	if _, ok := add(f, 4, 1, d, 0, 64); ok {
		t.Error("a fragment after the last one completed a datagram")
	}
	add(f, 4, 2, d, 32, 64)
	add(f, 4, 2, long, 64, 80)
	if _, ok := add(f, 4, 2, d, 0, 32); ok {
		t.Error("two last fragments")
	}
	if f.pool.used != 0 {
		t.Errorf("%d blocks", f.pool.used)
	}
	// These fragments are ignored.
	p := fragment(4, 3, 65528, false, d[:8]) // past 65535
	f.add(&p, d)
	p = fragment(4, 3, 0, true, nil)
	f.add(&p, d)
	p = fragment(4, 3, 0, false, d)
	p.Flags = decode.FlagL4
	f.add(&p, d)
	if f.table.count != 2 {
		t.Errorf("%d datagrams", f.table.count)
	}
}

func TestFragmentBounds(t *testing.T) {
	f := collectFragments(1)
	// Fragments of 8 bytes.
	d := udpOf(8 * 200)
	for from := 0; from < len(d); from += 8 {
		add(f, 4, 1, d, from, from+8)
	}
	if st := f.Stats(); st.Evicted != 1 || f.pool.used != 0 {
		t.Errorf("tiny: %+v, %d blocks", st, f.pool.used)
	}
	// Fragments that are too far apart in time do not make a datagram.
	p := fragment(4, 2, 800, false, d[800:])
	f.add(&p, d[800:])
	p = fragment(4, 2, 0, true, d[:800])
	p.Time = 1 + fragmentTimeout
	if _, ok := f.add(&p, d); ok {
		t.Error("a datagram became whole after its time")
	}
	if st := f.Stats(); st.Headless != 1 || f.table.count != 1 {
		t.Errorf("time: %+v, %d datagrams", st, f.table.count)
	}
	// More datagrams than fit: the oldest are evicted.
	f = collectFragments(1)
	n := f.pool.left()
	for id := range uint32(3 * n) {
		add(f, 4, id, d, 0, 1600)
		add(f, 4, id, udpOf(4000), 0, 1600)
	}
	if st := f.Stats(); f.pool.used > n || f.table.count > n || st.Evicted == 0 {
		t.Errorf("many: %+v, %d blocks of %d", st, f.pool.used, n)
	}
	if _, ok := add(f, 4, uint32(3*n-1), udpOf(4000), 1600, 4000); !ok {
		t.Error("the newest did not become whole")
	}
}

func TestFragmentsAllocations(t *testing.T) {
	f := collectFragments(1)
	d := udpOf(4000)
	id := uint32(0)
	if n := testing.AllocsPerRun(1000, func() {
		id++
		add(f, 4, id, d, 0, 1480)
		add(f, 4, id, d, 2960, 4000)
		if _, ok := add(f, 4, id, d, 1480, 2960); !ok {
			t.Fatal("not whole")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFragments(b *testing.B) {
	f := collectFragments(1 << 20)
	d := udpOf(2900)
	b.SetBytes(int64(len(d)))
	b.ReportAllocs()
	id := uint32(0)
	for b.Loop() {
		id++
		add(f, 4, id, d, 0, 1480)
		add(f, 4, id, d, 1480, 2900)
	}
}
