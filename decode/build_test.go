package decode

import (
	"encoding/binary"
	"slices"
)

// The builders make frames for tests, from the outside in. UDP and TCP checksums are zero.

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func ether(etherType int, payload ...[]byte) []byte {
	return cat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, u16(etherType), cat(payload...))
}

func sll(proto int, payload []byte) []byte {
	return cat([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, u16(proto), payload)
}

func ip4(proto byte, payload []byte) []byte { return ip4Frag(proto, 0, 0, payload) }

// ip4Frag takes the flags and offset as they are in the header.
func ip4Frag(proto byte, id, frag int, payload []byte) []byte {
	head := cat([]byte{0x45, 0}, u16(20+len(payload)), u16(id), u16(frag), []byte{64, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2})
	sum := 0
	for i := 0; i < len(head); i += 2 {
		sum += int(binary.BigEndian.Uint16(head[i:]))
	}
	sum = sum>>16 + sum&0xffff
	copy(head[10:], u16(^(sum>>16 + sum)))
	return cat(head, payload)
}

func ip6(next byte, payload []byte) []byte {
	return cat([]byte{0x60, 0, 0, 0}, u16(len(payload)), []byte{next, 64},
		[]byte{0x20, 1, 0xd, 0xb8, 15: 1}, []byte{0x20, 1, 0xd, 0xb8, 15: 2}, payload)
}

func udp(src, dst int, payload []byte) []byte {
	return cat(u16(src), u16(dst), u16(8+len(payload)), u16(0), payload)
}

func tcp(src, dst int, flags byte, payload []byte) []byte {
	return cat(u16(src), u16(dst), []byte{0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 255, 255, 0, 0, 0, 0}, payload)
}
