package capture

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"pktvisor/decode"
)

// fanoutVM runs the program on a frame with its Ethernet header, from the point where A has the EtherType.
func fanoutVM(t testing.TB, seed uint32) func(frame []byte) uint32 {
	t.Helper()
	p := newFanout()
	p.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadAbsolute{Off: 12, Size: 2})
	p.layers(seed)
	raw, err := p.assemble()
	if err != nil {
		t.Fatal(err)
	}
	ins, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program has unknown instructions")
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	return func(frame []byte) uint32 {
		v, err := vm.Run(frame)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(v)
	}
}

// layersOf makes up the bytes between an Ethernet header's addresses and an IP header: at most n tags, and perhaps
// other layers. v6 selects the EtherType of the IP version.
func layersOf(rng *rand.Rand, n int, v6 bool) []byte {
	etherType, ppp := tag(0, 0x0800)[2:], byte(0x21)
	if v6 {
		etherType, ppp = tag(0, 0x86dd)[2:], 0x57
	}
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var tags []byte
	for range rng.IntN(n + 1) {
		switch rng.IntN(7) {
		case 0, 1:
			tags = append(tags, tag(0x8100, uint16(rng.Uint32()))...)
		case 2:
			tags = append(tags, tag(0x88a8, uint16(rng.Uint32()))...)
		case 3:
			tags = append(tags, tag(0x9100, uint16(rng.Uint32()))...)
		case 4:
			tags = slices.Concat(tags, []byte{0x89, 0x26}, random(4))
		case 5:
			tags = slices.Concat(tags, []byte{0x89, 0x09}, random(6))
		case 6:
			tags = slices.Concat(tags, []byte{0x88, 0xe7}, random(4+12))
		}
	}
	labels := func() (b []byte) {
		for range rng.IntN(15) {
			b = append(b, 0x12, 0x34, 0x50, 64)
		}
		return append(b, 0, 0x10, 0x11, 64)
	}
	// noWord is an inner Ethernet header whose destination address begins like a control word, followed by IPv4 or IPv6.
	noWord := func() []byte {
		b := random(12)
		b[0] = [...]byte{0x00, 0x02, 0x45, 0x48, 0x4f, 0x60, 0x6c, 0xac}[rng.IntN(8)]
		return b
	}
	switch rng.IntN(11) {
	case 9: // a pseudowire without control word
		return slices.Concat(tags, []byte{0x88, 0x47}, labels(), noWord(), etherType)
	case 10:
		return slices.Concat(tags, []byte{0x88, 0x47}, labels(), noWord(), tag(0x8100, 3), etherType)
	case 0:
		return slices.Concat(tags, []byte{0x88, 0x47}, labels())
	case 1: // a pseudowire
		return slices.Concat(tags, []byte{0x88, 0x48}, labels(), []byte{0, 0, 0, 9}, random(12), tag(0x8100, 3), etherType)
	case 2:
		return slices.Concat(tags, []byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 60, 0, ppp})
	case 3:
		return slices.Concat(tags, []byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 60, 0xff, 3, ppp})
	case 4:
		return slices.Concat(tags, []byte{0x88, 0x64, 0x11, 0, 0, 1, 0, 60, 2, 0x81}, labels())
	case 5: // LLC and SNAP
		return slices.Concat(tags, []byte{0, 60, 0xaa, 0xaa, 3, 0, 0, 0}, etherType)
	case 6: // a service header, and an Ethernet frame
		return slices.Concat(tags, []byte{0x89, 0x4f, 0, 3, 1, 3, 0, 0, 0, 0, 1, 2, 3, 4}, random(12), tag(0x88a8, 3), etherType)
	}
	return append(tags, etherType...)
}

// TestFanoutFindsAddresses: the kernel's choice depends on the addresses alone, whatever their order and whatever
// precedes them, and the program finds them where package decode does.
func TestFanoutFindsAddresses(t *testing.T) {
	run := fanoutVM(t, 77)
	rng := rand.New(rand.NewPCG(1, 2))
	d := decode.Decoder{}
	seen := make(map[uint32]bool)
	for i := range 20_000 {
		a, b := netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 1}), netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.Uint32())})
		v6 := i%2 == 1
		if v6 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
			b = netip.AddrFrom16([16]byte{0xfe, 0x80, 7: byte(rng.Uint32()), 15: 1})
		}
		plain := run(etherFrame(ipPacket(a, b, 1, 2, -1, nil)))
		there := etherFrame(layersOf(rng, 12, v6), ipPacket(a, b, 5353, 53, -1, []byte("query"))[2:])
		back := etherFrame(layersOf(rng, 12, v6), ipPacket(b, a, 53, 5353, -1, []byte("and response"))[2:])
		for _, frame := range [][]byte{there, back} {
			var p decode.Packet
			d.Decode(&p, frame, uint32(len(frame)), 1, 0)
			if p.Kind != decode.KindIP {
				t.Fatalf("cannot be decoded: %x", frame)
			}
			if v := run(frame); v != plain {
				t.Fatalf("%#x, without tags %#x: %x", v, plain, frame)
			}
		}
		if x, y := d.Spread(there, uint32(len(there)), 1), d.Spread(back, uint32(len(back)), 1); x != y || x == 0 {
			t.Fatalf("file: %#x and %#x", x, y)
		}
		seen[plain] = true
	}
	if len(seen) < 15_000 { // some have equal sums
		t.Errorf("only %d values", len(seen))
	}
}

// TestFanoutNests: tags up to the last that package decode reads, and one more, which neither reads.
func TestFanoutNests(t *testing.T) {
	run := fanoutVM(t, 77)
	d := decode.Decoder{}
	packet := ipPacket(hostA, hostB, 1, 2, -1, []byte("query"))
	plain := run(etherFrame(packet))
	for n := range 20 {
		tags := slices.Repeat(tag(0x8100, 1), n)
		labels := slices.Concat([]byte{0x88, 0x47}, slices.Repeat([]byte{0, 0, 0, 1}, n), []byte{0, 0, 1, 1}, packet[2:])
		for name, frame := range map[string][]byte{"tags": etherFrame(tags, packet), "labels": etherFrame(labels)} {
			want := plain
			if d.Spread(frame, uint32(len(frame)), 1) == 0 {
				want = 0
			}
			if (want == 0) != (n > 15) {
				t.Errorf("%d %s: decode gives %d", n, name, d.Spread(frame, uint32(len(frame)), 1))
			}
			if got := run(frame); got != want {
				t.Errorf("%d %s: %#x, want %#x", n, name, got, want)
			}
		}
	}
	for _, frame := range [][]byte{
		etherFrame([]byte{8, 6, 1, 2, 3, 4}), etherFrame([]byte{0, 3, 0x42, 0x42, 3}), etherFrame([]byte{0x88, 0x63, 0x11, 9, 0, 0, 0, 0}),
		etherFrame([]byte{8, 0}), etherFrame(packet[:15]), etherFrame([]byte{0x81, 0}), {1, 2, 3}, {},
	} {
		if v := run(frame); v != 0 {
			t.Errorf("%#x for %x", v, frame)
		}
	}
}

// TestFanoutProgram: the program has no more than the 4096 instructions that the kernel accepts.
func TestFanoutProgram(t *testing.T) {
	prog, err := fanoutProgram(1)
	if err != nil || len(prog) > 3072 {
		t.Errorf("%d instructions, %v", len(prog), err)
	}
}

// TestFanoutProof: bytes that begin like IP after labels count as IP if they prove to be, with any header length.
func TestFanoutProof(t *testing.T) {
	run := fanoutVM(t, 77)
	d := decode.Decoder{}
	rng := rand.New(rand.NewPCG(7, 8))
	kinds := make(map[decode.Kind]int)
	label := []byte{0x88, 0x47, 0, 0, 1, 64}
	for range 20_000 {
		words := 5 + rng.IntN(11)
		ip := make([]byte, 4*words+rng.IntN(60)) // meaningless options, in a header whose checksum is right
		for i := range ip {
			ip[i] = byte(rng.Uint32())
		}
		ip[0] = byte(0x40 + words)
		total := len(ip) + []int{0, 0, 0, 4, 5, -8, 20 - len(ip), -len(ip)}[rng.IntN(8)]
		ip[2], ip[3] = byte(total>>8), byte(total)
		ip[6], ip[7], ip[10], ip[11] = 0x40, 0, 0, 0
		sum := uint32(0)
		for i := 0; i < 4*words; i += 2 {
			sum += uint32(ip[i])<<8 + uint32(ip[i+1])
		}
		sum = sum>>16 + sum&0xffff
		sum = sum>>16 + sum&0xffff
		ip[10], ip[11] = byte(^sum>>8), byte(^sum)
		if rng.IntN(4) == 0 {
			ip[8+rng.IntN(12)] ^= 1 << rng.IntN(8)
		}
		frame := etherFrame(label, ip)
		var p decode.Packet
		d.Decode(&p, frame, uint32(len(frame)), 1, 0)
		kinds[p.Kind]++
		want := uint32(0)
		if p.Kind == decode.KindIP {
			want = run(etherFrame(ipPacket(p.Src.Netip(), p.Dst.Netip(), 1, 2, -1, nil)))
		} else if _, _, found := d.Addrs(frame, uint32(len(frame)), 1); found {
			continue // proved to be IP, but damaged
		}
		if got := run(frame); got != want {
			t.Fatalf("%#x, want %#x, decoded as kind %v: %x", got, want, p.Kind, frame)
		}
	}
	if kinds[decode.KindIP] < 2000 || len(kinds) < 2 {
		t.Errorf("kinds %v", kinds)
	}
	v6 := ipPacket(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 1, 2, -1, nil)[2:]
	for next := range 256 {
		for _, change := range []func(b []byte) []byte{
			func(b []byte) []byte { return b },
			func(b []byte) []byte { return append(b, make([]byte, 46)...) },
			func(b []byte) []byte { return append(b, make([]byte, 47)...) },
			func(b []byte) []byte { b[7] = 0; return b },
			func(b []byte) []byte { b[5]++; return b },
		} {
			ip := slices.Clone(v6)
			ip[6] = byte(next)
			frame := etherFrame(label, change(ip))
			_, _, want := d.Addrs(frame, uint32(len(frame)), 1)
			if got := run(frame) != 0; got != want {
				t.Fatalf("IP %v, package decode says %v: %x", got, want, frame)
			}
		}
	}
}

// FuzzFanout: for any bytes in which package decode finds addresses, the kernel's program finds the same ones, unless
// they are deeper than it reads.
func FuzzFanout(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 40 {
		f.Add(etherFrame(layersOf(rng, 3, i%2 == 1), ipPacket(hostA, hostB, 1, 2, -1, nil)[2:]))
	}
	run := fanoutVM(f, 77)
	f.Fuzz(func(t *testing.T, frame []byte) {
		var p decode.Packet
		d := decode.Decoder{}
		d.Decode(&p, frame, uint32(len(frame)), 1, 0)
		if p.Kind != decode.KindIP {
			return
		}
		want := run(etherFrame(ipPacket(p.Src.Netip(), p.Dst.Netip(), 1, 2, -1, nil)))
		if got := run(frame); got != want && got != 0 {
			t.Fatalf("%#x, want %#x: %x", got, want, frame)
		}
	})
}

// TestLiveFanoutTags: the choice in the kernel, with tags that it removes from a frame or leaves in it, sent and received.
func TestLiveFanoutTags(t *testing.T) {
	enterNetns(t, vethPair...)
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", Shards: 4})
	queries, responses := rawSender(t, "vtx"), rawSender(t, "vrx")
	rng := rand.New(rand.NewPCG(5, 6))
	const pairs = 400
	for i := range pairs {
		a, b := netip.AddrFrom4([4]byte{10, 0, byte(i), byte(i >> 8)}), netip.AddrFrom4([4]byte{192, 0, 2, 9})
		v6 := i%2 == 1
		if v6 {
			a, b = netip.AddrFrom16([16]byte{0x20, 1, 14: byte(i >> 8), 15: byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 15: 9})
		}
		body := []byte(fmt.Sprintf("%04d", i))
		send(t, queries, etherFrame(layersOf(rng, 5, v6), ipPacket(a, b, 5353, 53, -1, body)[2:]))
		send(t, responses, etherFrame(layersOf(rng, 5, v6), ipPacket(b, a, 53, 5353, -1, body)[2:]))
	}
	shardOf := make(map[string]int)
	for shard, frames := range receive(t, sources, 2*pairs) {
		if len(frames) < pairs/4 {
			t.Errorf("shard %d has %d frames of %d", shard, len(frames), 2*pairs)
		}
		for _, f := range frames {
			id := string(f.Data[len(f.Data)-4:])
			if s, ok := shardOf[id]; ok && s != shard {
				t.Fatalf("pair %s is in shards %d and %d: %x", id, s, shard, f.Data)
			}
			shardOf[id] = shard
		}
	}
	if len(shardOf) != pairs {
		t.Errorf("%d pairs of %d", len(shardOf), pairs)
	}
}
