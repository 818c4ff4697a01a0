package capture

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// FuzzBlocks builds pcapng files of sections, interfaces, packets and blocks to skip, in both byte orders and with options, and checks
// that the reader finds the packets that were put into them.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte("\x01\x01\x01\x03\x01\x02\x04hello\x02\x00\x01\x00"))
	f.Add(bytes.Repeat([]byte{1, 0, 2, 3, 1, 1, 2, 5, 0}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, want := pcapngOf(testkit.NewChoices(b))
		got, err := readLimited(t, bytes.NewReader(file))
		if len(want) == 0 {
			return // a file without packets may have an error of its own
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v: %s\n%x", err, diff, file)
		}
	})
}

// pcapngOf returns a file, and the packets in it.
func pcapngOf(c *testkit.Choices) (file []byte, packets []plain) {
	type iface struct {
		link linktype.Type
		unit int64 // of its timestamps, in nanoseconds
		snap int
	}
	var order binary.AppendByteOrder
	var ifaces []iface
	block := func(kind uint32, body []byte) {
		body = append(body, make([]byte, -len(body)&3)...)
		n := uint32(len(body) + 12)
		file = order.AppendUint32(order.AppendUint32(file, kind), n)
		file = order.AppendUint32(append(file, body...), n)
	}
	option := func(b []byte, code uint16, value []byte) []byte {
		b = order.AppendUint16(order.AppendUint16(b, code), uint16(len(value)))
		return append(append(b, value...), make([]byte, -len(value)&3)...)
	}
	section := func() {
		order, ifaces = testkit.Pick[binary.AppendByteOrder](c, binary.LittleEndian, binary.BigEndian), nil
		body := order.AppendUint32(nil, 0x1a2b3c4d)
		body = append(order.AppendUint16(order.AppendUint16(body, 1), 0), bytes.Repeat([]byte{0xff}, 8)...)
		if c.Chance(3) {
			body = option(option(body, 4, c.Bytes(c.IntN(9))), 0, nil)
		}
		block(0x0a0d0d0a, body)
	}
	section()
	for c.More() && len(file) < 1<<16 {
		switch c.IntN(6) {
		case 0:
			if c.Chance(4) {
				section()
			}
		case 1:
			i := iface{testkit.Pick(c, linktype.Ethernet, linktype.Type(101), linktype.Type(113)), 1000, testkit.Pick(c, 0, 65535, 20)}
			body := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, uint16(i.link)), 0), uint32(i.snap))
			if c.Chance(2) {
				digits := byte(c.IntN(10))
				for i.unit = 1_000_000_000; digits > 0 && i.unit > 1; i.unit /= 10 {
					digits--
				}
				n := byte(0)
				for u := int64(1_000_000_000); u > i.unit; u /= 10 {
					n++
				}
				body = option(option(option(body, 2, []byte("eth0")), 9, []byte{n}), 0, nil)
			}
			block(1, body)
			ifaces = append(ifaces, i)
		case 2, 3: // an enhanced packet
			if len(ifaces) == 0 {
				break
			}
			n := c.IntN(len(ifaces))
			i, data := ifaces[n], c.Bytes(c.IntN(64))
			at := int64(1_700_000_000)*(1_000_000_000/i.unit) + int64(c.Uint16())
			body := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, uint32(n)), uint32(at>>32)), uint32(at))
			wire := len(data) + c.IntN(4)
			body = append(order.AppendUint32(order.AppendUint32(body, uint32(len(data))), uint32(wire)), data...)
			body = append(body, make([]byte, -len(data)&3)...)
			if c.Chance(3) {
				body = option(option(body, 1, c.Bytes(c.IntN(9))), 0, nil)
			}
			block(6, body)
			packets = append(packets, plain{Data: string(data), Time: at * i.unit, Wire: uint32(wire), Link: i.link})
		default: // a block to skip
			block(testkit.Pick(c, uint32(4), 5, 0x0bad, 0x80000001), c.Bytes(c.IntN(40)))
		}
	}
	return file, packets
}
