package testkit

import (
	"encoding/binary"
	"slices"

	"pktvisor/linktype"
)

// formatCaptures has the conversation in every file format, and in those of other machines.
func formatCaptures() []synthetic {
	frames := each(inEthernet)
	return []synthetic{
		{name: "format-nano.pcap", bytes: capturePcap(true, linktype.Ethernet, frames...)},
		{name: "format-big-endian.pcap", bytes: pcapBigEndian(0xa1b2c3d4, 1000, 65535, frames)},
		{name: "format-big-endian-nano.pcap", bytes: pcapBigEndian(0xa1b23c4d, 1, 65535, frames)},
		{name: "format-snaplen.pcap", bytes: pcapBigEndian(0xa1b2c3d4, 1000, 58, frames)},
		{name: "format.snoop", bytes: snoop(frames)},
		{name: "format-options.pcapng", bytes: pcapng(binary.LittleEndian, frames, 0, len(frames), false)},
		{name: "format-sections.pcapng", bytes: slices.Concat(pcapng(binary.BigEndian, frames, 0, 5, true), pcapng(binary.LittleEndian, frames, 5, len(frames), true))},
	}
}

// pcapBigEndian makes a pcap file of a big-endian machine whose frames are cut to snap bytes. A unit of its times is so many
// nanoseconds.
func pcapBigEndian(magic uint32, unit int64, snap int, frames [][]byte) []byte {
	b := slices.Concat(be32(magic), be16(2), be16(4), be32(0), be32(0), be32(uint32(snap)), be32(uint32(linktype.Ethernet)))
	for i, f := range frames {
		at := syntheticStart + int64(i)*millisecond
		n := min(len(f), snap)
		b = slices.Concat(b, be32(uint32(at/1e9)), be32(uint32(at%1e9/unit)), be32(uint32(n)), be32(uint32(len(f))), f[:n])
	}
	return b
}

// snoop makes a file as Solaris' snoop does (RFC 1761).
func snoop(frames [][]byte) []byte {
	b := slices.Concat([]byte("snoop\x00\x00\x00"), be32(2), be32(4))
	for i, f := range frames {
		at := syntheticStart + int64(i)*millisecond
		pad := -len(f) & 3
		b = slices.Concat(b, be32(uint32(len(f))), be32(uint32(len(f))), be32(uint32(24+len(f)+pad)), be32(0),
			be32(uint32(at/1e9)), be32(uint32(at%1e9/1000)), f, make([]byte, pad))
	}
	return b
}

// order writes numbers in one of the two orders.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// pcapng makes a section of a pcapng file of the frames from one number to before another. They are of two interfaces, one of them raw IP with times in
// nanoseconds. There are blocks and options that say nothing about packets, unless plain.
func pcapng(o order, frames [][]byte, from, to int, plain bool) []byte {
	words := func(v ...uint32) (b []byte) {
		for _, w := range v {
			b = o.AppendUint32(b, w)
		}
		return b
	}
	block := func(kind uint32, parts ...[]byte) []byte {
		body := slices.Concat(parts...)
		body = append(body, make([]byte, -len(body)&3)...)
		n := uint32(12 + len(body))
		return slices.Concat(words(kind, n), body, words(n))
	}
	option := func(code uint16, value string) []byte {
		b := o.AppendUint16(o.AppendUint16(nil, code), uint16(len(value)))
		return append(append(b, value...), make([]byte, -len(value)&3)...)
	}
	iface := func(link linktype.Type, options ...[]byte) []byte {
		return block(1, o.AppendUint16(nil, uint16(link)), []byte{0, 0}, words(262144), slices.Concat(options...))
	}
	end := words(0) // opt_endofopt
	version := o.AppendUint16(o.AppendUint16(nil, 1), 0)
	b := block(0x0a0d0d0a, words(0x1a2b3c4d), version, words(^uint32(0), ^uint32(0)))
	if !plain {
		b = block(0x0a0d0d0a, words(0x1a2b3c4d), version, words(^uint32(0), ^uint32(0)), option(1, "made by hand"), option(4, "pktvisor"), end)
	}
	b = append(b, iface(linktype.Ethernet, option(2, "eth0"), end)...)
	b = append(b, iface(linktype.Raw, option(2, "tun0"), option(9, "\x09"), option(1, "a comment"), end)...)
	for i := from; i < to; i++ {
		f, at := frames[i], syntheticStart+int64(i)*millisecond
		id, units, data := uint32(0), uint64(at/1000), f
		if i%3 == 2 {
			id, units, data = 1, uint64(at), f[14:]
		}
		var options []byte
		if i%4 == 1 && !plain {
			options = slices.Concat(option(1, "a packet"), option(2, string(words(1))), end) // a comment; flags: inbound
		}
		pad := make([]byte, -len(data)&3)
		b = append(b, block(6, words(id, uint32(units>>32), uint32(units), uint32(len(data)), uint32(len(data))), data, pad, options)...)
		if i == 3 && !plain {
			b = append(b, block(5, words(0, uint32(units>>32), uint32(units)), option(4, string(words(7, 0))), end)...) // interface statistics
			b = append(b, block(4, o.AppendUint16(nil, 0), o.AppendUint16(nil, 0))...)                                  // name resolution, empty
			b = append(b, block(0x0bad1234, []byte("a kind that nobody knows"))...)
		}
	}
	return b
}
