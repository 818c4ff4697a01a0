package deal

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// TestChoose: a frame goes to the shard that follows from the addresses of the decoded packet, whatever its link layer is, even
// if the bytes look like Ethernet. A frame that moves the clock, and the end of a round, stop the choice.
func TestChoose(t *testing.T) {
	const shards = 5
	start := time.Date(2024, 3, 1, 12, 0, 20, 0, time.UTC).UnixNano()
	for _, decap := range []bool{false, true} {
		var frames []capture.Frame
		for i := range 6 * roundFrames {
			inner := testkit.Packet{
				Src: netip.AddrFrom4([4]byte{8, 0, 1, byte(i)}), Dst: netip.AddrFrom4([4]byte{192, 0, 2, byte(i >> 8)}),
				Proto: testkit.ProtoUDP, SrcPort: 4242, DstPort: 53, Payload: make([]byte, 50),
			}
			f := capture.Frame{Link: linktype.Ethernet, Time: start + int64(i)}
			switch i % 8 {
			case 0, 1:
				f.Data = inner.AppendFrame(nil)
			case 2:
				inner.VLAN = []uint16{7}
				f.Data = inner.AppendFrame(nil)
			case 3: // raw IP, with addresses that look like Ethernet's type of IPv4
				f.Link, f.Data = linktype.Raw, inner.AppendIP(nil)
			case 4: // the same with the type of IPv6
				inner.Src = netip.AddrFrom4([4]byte{0x86, 0xdd, 1, byte(i)})
				f.Link, f.Data = linktype.Raw, inner.AppendIP(nil)
			case 5:
				inner.Src, inner.Dst = netip.AddrFrom16([16]byte{0x20, 1, 6: byte(i), 15: 1}), netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i >> 8)})
				f.Data = inner.AppendFrame(nil)
			case 6: // IP in IP
				tunnel := testkit.Packet{Src: netip.MustParseAddr("203.0.113.1"), Dst: netip.MustParseAddr("203.0.113.2"), Proto: 4, Payload: inner.AppendIP(nil)}
				f.Data = tunnel.AppendFrame(nil)
			default:
				f.Data = testkit.AppendARP(nil, inner.Src, inner.Dst)
				if i&8 != 0 {
					f.Data = slices.Concat(binary.BigEndian.AppendUint16(make([]byte, 12), 0x88b5), make([]byte, 60))
				}
			}
			f.WireLen = uint32(len(f.Data))
			frames = append(frames, f)
		}
		newest := len(frames) / 2
		frames[newest].Time += int64(time.Second / 2)
		frames = append(frames, capture.Frame{Link: linktype.Ethernet, Data: frames[0].Data, Time: start + int64(time.Second)})

		r := newReader(Config{Shards: shards, Decap: decap}, nil, nil)
		end := start + int64(time.Second)
		got := make([]int, len(frames)-1)
		for i := range got {
			got[i] = -1
		}
		from := 0
		for n := r.choose(frames, from, start, end); n > 0; n = r.choose(frames, from, start, end) {
			if n > roundFrames {
				t.Fatalf("a round of %d frames", n)
			}
			from += n
			for shard, c := range r.chosen {
				for _, place := range c.places[:c.n] {
					got[place] = shard
				}
			}
		}
		if from != len(got) || r.newest != frames[newest].Time {
			t.Errorf("decap %v: stopped at frame %d, newest time %d, want %d and %d", decap, from, r.newest, len(got), frames[newest].Time)
		}
		var d decode.Decoder
		d.Decap = decap
		var used [shards]int
		for i, f := range frames[:len(got)] {
			var p decode.Packet
			d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			want := 0
			if p.Kind == decode.KindIP {
				want = int(uint64(p.Spread()) * shards >> 32)
			}
			used[want]++
			if got[i] != want {
				t.Fatalf("decap %v: frame %d (%x) goes to shard %d, want %d", decap, i, f.Data, got[i], want)
			}
		}
		if slices.Min(used[:]) == 0 {
			t.Errorf("decap %v: the shards got %d frames, want some for each", decap, used)
		}
	}
}
