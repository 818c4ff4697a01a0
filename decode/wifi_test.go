package decode

import (
	"bytes"
	"slices"
	"testing"

	"pktvisor/linktype"
)

// amsdu is an 802.11 QoS data frame that carries each packet in its own subframe.
func amsdu(packets ...[]byte) []byte {
	b := cat([]byte{0x88, 0x01}, make([]byte, 22), []byte{0x80, 0})
	for i, p := range packets {
		snap := snap4
		if p[0]>>4 == 6 {
			snap = snap6
		}
		b = cat(b, macs, u16(len(snap)+len(p)), snap, p)
		if i < len(packets)-1 {
			b = append(b, make([]byte, -(14+len(snap)+len(p))&3)...)
		}
	}
	return b
}

// query is a packet that is n bytes longer than the shortest.
func query(n int) []byte { return ip4(ProtoUDP, udp(50000+n, 53, make([]byte, 20+n))) }

func TestMSDUs(t *testing.T) {
	packets := [][]byte{query(0), query(1), query(2), query6, query(3)}
	frame := amsdu(packets...)
	radiotap := []byte{0, 0, 8, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		link  linktype.Type
		frame []byte
	}{
		{linktype.IEEE80211, frame},
		{linktype.IEEE80211, cat(frame, []byte("FCS!"))},
		{linktype.Radiotap, cat(radiotap, frame)},
		{linktype.PPI, cat([]byte{0, 0}, le16(8), le32(int(linktype.IEEE80211)), frame)},
		{linktype.PPI, cat([]byte{0, 0}, le16(8), le32(int(linktype.Radiotap)), radiotap, frame)},
	} {
		subs, lens := MSDUs(nil, nil, c.frame, uint32(len(c.frame)), c.link)
		if len(subs) != len(packets) || len(lens) != len(packets) || !HasMSDUs(c.link) {
			t.Fatalf("link type %d: %d frames, want %d", c.link, len(subs), len(packets))
		}
		sum := 0
		for i, sub := range subs {
			if !bytes.HasSuffix(sub, packets[i]) {
				t.Errorf("link type %d, frame %d: %x", c.link, i, sub)
			}
			if p := decodeOne(Decoder{}, linktype.Ethernet, sub); p.Flags != FlagL4 || p.DstPort != 53 {
				t.Errorf("link type %d, frame %d: %+v", c.link, i, p)
			}
			sum += int(lens[i])
		}
		if sum != len(c.frame) {
			t.Errorf("link type %d: the frames have %d bytes, of %d", c.link, sum, len(c.frame))
		}
		// The decoder alone counts the first packet.
		if p := decodeOne(Decoder{}, c.link, c.frame); p.Flags != FlagL4 || p.SrcPort != 50000 {
			t.Errorf("link type %d: %+v", c.link, p)
		}
	}
}

// TestMSDUsCut: cut anywhere, an aggregate gives its captured part, and the lengths on the wire add up.
func TestMSDUsCut(t *testing.T) {
	frame := amsdu(query(0), query(1), query(2))
	for n := range frame {
		subs, lens := MSDUs(nil, nil, frame[:n], uint32(len(frame)), linktype.IEEE80211)
		sum := uint32(0)
		for i, sub := range subs {
			sum += lens[i]
			if uint32(len(sub)) > lens[i] {
				t.Errorf("%d bytes: %d captured, of %d", n, len(sub), lens[i])
			}
		}
		if len(subs) > 0 && sum != uint32(len(frame)) || len(subs) == 0 && n >= 26+14 {
			t.Errorf("%d bytes: %d frames of %d bytes", n, len(subs), sum)
		}
	}
	for name, b := range map[string][]byte{
		"no aggregate":  cat([]byte{0x88, 1}, make([]byte, 24), snap4, query(0)),
		"encrypted":     cat([]byte{0x88, 0x41}, frame[2:]),
		"a length of 0": cat(frame[:26], macs, u16(0), snap4, query(0)),
		"too long":      cat(frame[:26], macs, u16(2000), snap4, query(0)),
		"nothing":       nil,
	} {
		if subs, _ := MSDUs(nil, nil, b, uint32(len(b)), linktype.IEEE80211); len(subs) > 0 {
			t.Errorf("%s: %x", name, subs)
		}
	}
	many := cat(frame[:26], bytes.Repeat(cat(macs, u16(2), []byte{0, 0}), 2000))
	if subs, _ := MSDUs(nil, nil, many, uint32(len(many)), linktype.IEEE80211); len(subs) != maxMSDUs {
		t.Errorf("%d frames of one", len(subs))
	}
}

func FuzzMSDUs(f *testing.F) {
	f.Add(amsdu(query(0), query6), 100)
	f.Add(slices.Concat([]byte{0, 0, 8, 0, 0, 0, 0, 0}, amsdu(query(1))), 0)
	f.Fuzz(func(t *testing.T, frame []byte, more int) {
		wireLen := uint32(len(frame) + max(more, 0)&0xffff)
		for _, link := range []linktype.Type{linktype.IEEE80211, linktype.Radiotap, linktype.Prism, linktype.AVS, linktype.PPI} {
			subs, lens := MSDUs(nil, nil, frame, wireLen, link)
			sum := uint32(0)
			for i := range subs {
				sum += lens[i]
				if uint32(len(subs[i])) > lens[i] {
					t.Fatal("more bytes were captured than there are")
				}
			}
			if len(subs) > 0 && sum != wireLen {
				t.Fatalf("%d bytes of %d", sum, wireLen)
			}
		}
	})
}
