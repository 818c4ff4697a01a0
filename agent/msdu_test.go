package agent

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/linktype"
)

// onceSource gives one batch.
type onceSource struct {
	recorded
	frames   []capture.Frame
	sameLink bool
	done     bool
}

func (s *onceSource) ReadBatch(b *capture.Batch) error {
	if s.done {
		b.Frames = b.Frames[:0]
		return io.EOF
	}
	s.done = true
	b.Frames, b.SameLink = append(b.Frames[:0], s.frames...), s.sameLink
	return nil
}
func (s *onceSource) Stats() capture.Stats { return capture.Stats{} }
func (s *onceSource) Close() error         { return nil }

// msdu is one packet, from a port and of UDP, in a subframe of an aggregate.
func msdu(last byte) []byte {
	ip := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, last, 198, 51, 100, last, 0x30, last, 0, 80, 0, 8, 0, 0}
	b := append(make([]byte, 12), 0, 36, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0)
	return append(append(b, ip...), 0, 0) // and padding
}

// Three packets in one 802.11 frame are three packets, on the shards of their own addresses, between what came before and after.
func TestMSDUs(t *testing.T) {
	head := append([]byte{0x88, 1}, make([]byte, 24)...)
	head[24] = 0x80
	aggregate := head
	for i := range byte(3) {
		aggregate = append(aggregate, msdu(i+2)...)
	}
	single := append(append([]byte{0x88, 1}, make([]byte, 24)...), msdu(1)[14:]...)
	src := func(sameLink bool) *onceSource {
		s := &onceSource{sameLink: sameLink}
		for _, data := range [][]byte{single, aggregate, single} {
			s.frames = append(s.frames, capture.Frame{Data: data, WireLen: uint32(len(data)), Link: linktype.IEEE80211, Time: 1_700_000_000e9})
		}
		return s
	}
	var b capture.Batch
	if err := (&msduSource{Source: src(true)}).ReadBatch(&b); err != nil || len(b.Frames) != 5 || b.SameLink {
		t.Fatalf("%d frames, of the same link type %v, %v", len(b.Frames), b.SameLink, err)
	}
	sum := uint32(0)
	for i, want := range []linktype.Type{linktype.IEEE80211, linktype.Ethernet, linktype.Ethernet, linktype.Ethernet, linktype.IEEE80211} {
		f := b.Frames[i]
		if f.Link != want || f.Time != 1_700_000_000e9 {
			t.Errorf("frame %d: link type %s, time %d", i, f.Link, f.Time)
		}
		if i > 0 && i < 4 {
			sum += f.WireLen
			if last := f.Data[14+8+15]; int(last) != i+1 {
				t.Errorf("frame %d comes from …%d", i, binary.BigEndian.Uint16(f.Data))
			}
		}
	}
	if sum != uint32(len(aggregate)) {
		t.Errorf("%d bytes, of %d", sum, len(aggregate))
	}
	for _, shards := range []int{1, 3} {
		a := newAgent(t, func(c *setup) {
			c.Shards, c.Hosts = shards, analyze.NewHosts([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")})
		})
		if err := a.RunFile(t.Context(), src(false)); err != nil {
			t.Fatal(err)
		}
		if n := a.Frames(); n != 5 {
			t.Errorf("%d shards: %d packets, want 5", shards, n)
		}
	}
}
