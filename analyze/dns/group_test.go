package dns

import (
	"math/rand/v2"
	"testing"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// mixed makes frames of many kinds: queries and responses over UDP and TCP and in fragments, in any order, repeated and
// unanswered, and frames without DNS.
func mixed(rng *rand.Rand) [][]byte {
	var frames [][]byte
	names := []string{"a.example", "b.example", "www.c.example", "d"}
	seqs := [2]uint32{1, 1}
	for range 400 {
		id, name := uint16(rng.IntN(6)), names[rng.IntN(len(names))]
		switch rng.IntN(9) {
		case 0, 1, 2:
			frames = append(frames, udp(farClient, hostServer, query(id, name)))
		case 3, 4:
			frames = append(frames, udp(hostServer, farClient, response(id, uint16(rng.IntN(7)), name)))
		case 5:
			frames = append(frames, fragments(udp(hostServer, farClient, big(id, 2000)), uint16(rng.Uint32()), 1480)...)
		case 6:
			frames = append(frames, udp(farClient, hostServer, query(id, "big.example")))
		case 7:
			frames = append(frames, udp(farClient, hostServer, make([]byte, rng.IntN(12))), testkit.AppendARP(nil, farClient.Addr(), hostServer.Addr()))
		case 8:
			side, src, dst, msg := 0, farClient, hostServer, query(id, name)
			if rng.IntN(2) == 0 {
				side, src, dst, msg = 1, hostServer, farClient, response(id, 0, name)
			}
			p := testkit.Packet{
				Src: src.Addr(), Dst: dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: src.Port(), DstPort: dst.Port(),
				Seq: seqs[side], Flags: testkit.TCPAck, Payload: framed(msg),
			}
			seqs[side] += uint32(len(p.Payload))
			frames = append(frames, p.AppendFrame(nil))
		}
	}
	return frames
}

// TestGroups: packets count the same in groups as one by one.
func TestGroups(t *testing.T) {
	for seed := range uint64(20) {
		frames := mixed(rand.New(rand.NewPCG(seed, 0)))
		one, many := newLab(t, nil).at(second), newLab(t, nil).at(second)
		rng := rand.New(rand.NewPCG(seed, 1))
		var group []analyze.Packet
		size := 1
		for i, f := range frames {
			one.now += ms
			one.frame(f)
			many.now += ms
			group = append(group, analyze.Packet{Frame: f})
			p := &group[len(group)-1]
			(&decode.Decoder{}).Decode(&p.Packet, f, uint32(len(f)), linktype.Ethernet, many.now)
			if p.Kind == decode.KindIP {
				p.Direction = many.hosts.Direction(p.Src, p.Dst)
			}
			if len(group) == size || i == len(frames)-1 {
				many.reader.Packets(group)
				group, size = group[:0], 1+rng.IntN(analyze.GroupSize)
			}
		}
		image := func(l *lab) string {
			l.settle().flush()
			b := metric.Bucket{Sections: []*metric.Section{l.section}}
			return string(b.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 100}))
		}
		if got, want := image(many), image(one); got != want {
			t.Errorf("seed %d: in groups\n%s\none by one\n%s", seed, got, want)
		}
		if m := metric.Of[Metrics](one.section); m.Xacts < 50 || m.Orphans == 0 || m.Repeats == 0 || m.ResponseRepeats == 0 || m.TCP == 0 || m.NotDNS == 0 {
			t.Errorf("seed %d: the traffic lacks some kinds of messages: %+v", seed, m.Counters)
		}
	}
}
