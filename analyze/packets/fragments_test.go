package packets

import (
	"encoding/binary"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// fragment6 returns an IPv6 fragment at an offset. The fragmentable part of its datagram starts with a header of the given
// number.
func fragment6(next uint8, id uint32, offset int, more bool, part []byte) []byte {
	p := testkit.Packet{Src: far6, Dst: host6, Proto: testkit.ProtoUDP, SrcPort: 40000, DstPort: 53}
	f := p.AppendFrame(nil)[:14+40]
	f[14+6] = 44
	binary.BigEndian.PutUint16(f[14+4:], uint16(8+len(part)))
	v := uint16(offset)
	if more {
		v |= 1
	}
	f = binary.BigEndian.AppendUint16(append(f, next, 0), v)
	return append(binary.BigEndian.AppendUint32(f, id), part...)
}

// TestLaterFragments: all fragments of a datagram count by the protocol of the first one. This also holds if extension
// headers follow its fragment header, or if a later fragment names another protocol (RFC 8200, section 4.5).
func TestLaterFragments(t *testing.T) {
	options, udp, part := []byte{17, 0, 1, 4, 0, 0, 0, 0}, []byte{0x9c, 0x40, 0, 53, 7, 0, 0, 0}, make([]byte, 800)
	for _, c := range []struct {
		name         string
		first, later uint8
		head         []byte
	}{
		{"UDP", 17, 17, udp},
		{"options", 60, 60, append(append([]byte{}, options...), udp...)},
		{"another number", 17, 59, udp},
	} {
		b := newBench(t, 100, nil)
		b.frame(fragment6(c.first, 1, 0, true, append(append([]byte{}, c.head...), part...)), 900, linktype.Ethernet)
		b.frame(fragment6(c.later, 1, 808, true, part), 900, linktype.Ethernet)
		b.frame(fragment6(c.later, 1, 1608, false, part), 900, linktype.Ethernet)
		b.FlushCounts(b.section, 0)
		m := metric.Of[Metrics](b.section)
		if m.UDP != 3 || m.OtherL4 != 0 || m.Fragments != 3 || m.Total != 3 || m.BytesIn != 2700 {
			t.Errorf("%s: %d UDP, %d other, %d fragments of %d packets", c.name, m.UDP, m.OtherL4, m.Fragments, m.Total)
		}
		b.frame(fragment6(60, 2, 808, true, part), 900, linktype.Ethernet)
		b.FlushCounts(b.section, 0)
		if m.UDP != 3 || m.OtherL4 != 1 {
			t.Errorf("%s: a later fragment without a first counts as UDP", c.name)
		}
	}
}
