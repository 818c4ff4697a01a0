package capture

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	pcapfilter "pktvisor/bpf"
	"pktvisor/capture/count"
	"pktvisor/linktype"
)

// openCounted captures on an interface with a counter in the kernel.
func openCounted(t *testing.T, cfg LiveConfig, counting count.Config) (*count.Counter, []Source) {
	t.Helper()
	counting.SnapLen, counting.Split = DefaultSnapLen, MarksSuperFrames()
	c, err := count.Open(counting)
	if err != nil {
		t.Skipf("the kernel does not count: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	cfg.Counter = c
	sources := openLiveTest(t, cfg)
	if err := c.Disabled(); err != nil {
		t.Fatal(err)
	}
	return c, sources
}

// countedFrames makes frames of several kinds between many pairs of addresses, with the number of those that are not plain.
func countedFrames(n int) (frames [][]byte, other int) {
	query := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1}
	denial := []byte{0, 1, 0x84, 3, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1}
	for i := range n {
		v4, v6 := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7, 14: byte(i >> 8), 15: byte(i)})
		host4, host6 := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::53")
		frames = append(frames,
			etherFrame(ipPacket(v4, host4, 4096, 53, -1, query)),
			etherFrame(ipPacket(host4, v4, 53, 4096, -1, denial)),
			etherFrame(tag(0x8100, 7), ipPacket(v6, host6, 4096, 53, -1, query)),
			etherFrame(ipPacket(v4, host4, 4096, 53, 0, slices.Concat(query, make([]byte, 5)))))
		other++ // the fragment
	}
	return frames, other
}

var countHosts = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:53::/48")}

// TestKernelCountsEveryFrame: while the sample changes, each frame counts once, in its cell. The ring has exactly those that
// are in the sample or not plain.
func TestKernelCountsEveryFrame(t *testing.T) {
	enterNetns(t, vethPair...)
	sender := rawSender(t, "vtx")
	for _, shards := range []int{1, 3} {
		c, sources := openCounted(t, LiveConfig{Interface: "vrx", Shards: shards}, count.Config{Ports: []uint16{53}, Hosts: countHosts, Seed: 1})
		const n = 250
		var sent, others, wantSkipped int
		for _, threshold := range []uint32{count.All, 0, 1 << 31, 1 << 26, count.All, 0} {
			c.SetThreshold(threshold)
			frames, other := countedFrames(n)
			send(t, sender, frames...)
			sent, others = sent+len(frames), others+other
			if threshold == 0 {
				wantSkipped += len(frames) - other
			}
		}
		got := c.Total()
		skipped, sampled, other := &got[count.Skipped], &got[count.Sampled], &got[count.Other]
		if all := skipped.Frames + sampled.Frames + other.Frames; all != uint64(sent) || other.Frames != uint64(others) || skipped.Frames < uint64(wantSkipped) {
			t.Errorf("%d shards: %d sent, %d of them not plain; skipped %d, sampled %d, other %d", shards, sent, others, skipped.Frames, sampled.Frames, other.Frames)
		}
		rings := 0
		for _, r := range receive(t, sources, int(sampled.Frames+other.Frames)) {
			rings += len(r)
		}
		if rings != int(sampled.Frames+other.Frames) {
			t.Errorf("%d shards: %d frames in the rings, want %d", shards, rings, sampled.Frames+other.Frames)
		}
		var plain count.Counts
		plain.Add(skipped)
		plain.Add(sampled)
		rounds := uint64(6 * n)
		want := map[int]count.Cell{
			8*1 + count.UDP:     {Packets: rounds, Bytes: rounds * uint64(14+20+8+19)},
			8*2 + count.UDP:     {Packets: rounds, Bytes: rounds * uint64(14+20+8+19)},
			8*1 + 4 + count.UDP: {Packets: rounds, Bytes: rounds * uint64(18+40+8+19)},
		}
		for i, x := range plain.Cells {
			if x != want[i] {
				t.Errorf("%d shards: cell %d: %+v, want %+v", shards, i, x, want[i])
			}
		}
		if q4, d4, q6 := plain.DNS[16+count.Asked], plain.DNS[32+count.NXDomain], plain.DNS[16+8+count.Asked]; q4 != rounds || d4 != rounds || q6 != rounds {
			t.Errorf("%d shards: %d and %d queries, %d NXDOMAIN; want %d each", shards, q4, q6, d4, rounds)
		}
	}
}

// TestKernelCountsWithFilter: only frames that the filter accepts count, whatever the sample.
func TestKernelCountsWithFilter(t *testing.T) {
	enterNetns(t, vethPair...)
	sender := rawSender(t, "vtx")
	for _, f := range []struct {
		expr  string
		share int // of four frames
	}{
		{"ip", 3}, {"udp src port 53", 1}, {"vlan 7", 1}, {"not ip[6:2] & 0x3fff != 0 and dst port 53", 2}, {"inbound", 4}, {"outbound", 0},
		{"ip[2:2] - ((ip[0] & 0xf) << 2) > 30 and ether[0] / 2 = 1", 1},
	} {
		filter := func(link linktype.Type) ([]bpf.RawInstruction, error) {
			p, err := pcapfilter.Compile(f.expr, link, pcapfilter.Options{Live: true})
			if err != nil {
				return nil, err
			}
			var raw []bpf.RawInstruction
			for _, in := range p.Raw() {
				raw = append(raw, bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K})
			}
			return raw, nil
		}
		c, _ := openCounted(t, LiveConfig{Interface: "vrx", Filter: filter}, count.Config{Ports: []uint16{53}, Hosts: countHosts})
		frames, _ := countedFrames(100)
		send(t, sender, frames...)
		got := c.Total()
		if all := got[count.Skipped].Frames + got[count.Sampled].Frames + got[count.Other].Frames; all != uint64(f.share*100) {
			t.Errorf("%q: %d frames count, want %d", f.expr, all, f.share*100)
		}
	}
}

// TestKernelCountsBySecond: a frame counts in the second of its own timestamp. Between the two moments at which the program
// and the ring ask the clock, a second may end, for at most one frame.
func TestKernelCountsBySecond(t *testing.T) {
	enterNetns(t, vethPair...)
	sender := rawSender(t, "vtx")
	c, sources := openCounted(t, LiveConfig{Interface: "vrx"}, count.Config{Ports: []uint16{53}, Threshold: count.All})
	frames, _ := countedFrames(100)
	byTime := map[int64]int64{}
	n := 0
	var b Batch
	received := 0
	for len(byTime) < 2 || n < 4_000 {
		send(t, sender, frames...)
		n += len(frames)
		for received < n { // the ring never fills up
			if err := sources[0].ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Frames {
				byTime[f.Time/1e9]++
			}
			received += len(b.Frames)
		}
	}
	newest := int64(0)
	for s := range byTime {
		newest = max(newest, s)
	}
	c.Read(newest, func(s *count.Second) {
		byTime[s.Second] -= int64(s.Groups[count.Sampled].Frames + s.Groups[count.Other].Frames)
	})
	for s, difference := range byTime {
		if difference < -1 || difference > 1 {
			t.Errorf("second %d has %d more frames by their timestamps than by the kernel's counts", s, difference)
		}
	}
}

// TestKernelDoesNotCountAny: on any, the counter is disabled, with a reason, and the frames are captured as without it.
func TestKernelDoesNotCountAny(t *testing.T) {
	enterNetns(t, vethPair...)
	sender := rawSender(t, "vtx")
	c, err := count.Open(count.Config{SnapLen: DefaultSnapLen})
	if err != nil {
		t.Skipf("the kernel does not count: %v", err)
	}
	defer c.Close()
	sources := openLiveTest(t, LiveConfig{Interface: AnyInterface, Counter: c})
	if c.Disabled() == nil {
		t.Error("the counter is not disabled")
	}
	frames, _ := countedFrames(10)
	send(t, sender, frames...)
	receive(t, sources, len(frames))
}
