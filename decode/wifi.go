package decode

import (
	"encoding/binary"

	"pktvisor/linktype"
)

// radiotap skips a radiotap header (https://www.radiotap.org) before an 802.11 frame.
func (w *walk) radiotap(frame []byte) (network, int) {
	const (
		presentTSFT  = 1 << 0
		presentFlags = 1 << 1
		presentMore  = 1 << 31
		flagDataPad  = 0x20
	)
	if len(frame) < 8 {
		return netMalformed, 0
	}
	n := int(binary.LittleEndian.Uint16(frame[2:]))
	if n < 8 || n > len(frame) {
		return netMalformed, 0
	}
	head := frame[:n]
	present := binary.LittleEndian.Uint32(head[4:])
	off := 8
	for more := present; more&presentMore != 0; off += 4 {
		if len(head)-off < 4 {
			return netMalformed, 0
		}
		more = binary.LittleEndian.Uint32(head[off:])
	}
	if present&presentTSFT != 0 {
		off = (off+7)&^7 + 8
	}
	padded := present&presentFlags != 0 && off < len(head) && head[off]&flagDataPad != 0
	return w.wifi(frame, n, padded)
}

// wifi reads an IEEE 802.11 header (section 9.3.2 of the standard). Only data frames that are not encrypted carry a
// packet. In an aggregate, the first MSDU counts: see [MSDUs]. padded says that the header is padded to a multiple of
// four bytes.
func (w *walk) wifi(frame []byte, off int, padded bool) (network, int) {
	if len(frame)-off < 2 {
		return netMalformed, off
	}
	control, flags := frame[off], frame[off+1]
	const (
		typeData  = 2
		noData    = 0x40 // subtype bits
		qos       = 0x80
		toAndFrom = 0x03 // flags
		protected = 0x40
		order     = 0x80
		aggregate = 0x80 // in the QoS field
	)
	if control>>2&3 != typeData || control&noData != 0 || flags&protected != 0 {
		return netNone, off
	}
	aggregated := false
	n := 24
	if flags&toAndFrom == toAndFrom {
		n += 6
	}
	if control&qos != 0 {
		n += 2
		if len(frame)-off < n {
			return netMalformed, off
		}
		aggregated = frame[off+n-2]&aggregate != 0
		if flags&order != 0 {
			n += 4
		}
	}
	if padded {
		n = (n + 3) &^ 3
	}
	if frag := off + 22; len(frame) >= frag+2 && frame[frag]&15 != 0 {
		return netNone, off // a later fragment may start anywhere in the packet
	}
	if len(frame)-off < n {
		return netMalformed, off
	}
	if aggregated {
		w.aggregate = w.base + off + n
		return w.ethernet(frame, off+n)
	}
	return w.llc(frame, off+n)
}

// maxMSDUs bounds the MSDUs of an aggregate. An aggregate has at most 11,454 bytes, and the shortest IP packet in it takes 44.
const maxMSDUs = 256

// HasMSDUs reports whether frames of a link type may be aggregates: see [MSDUs].
func HasMSDUs(link linktype.Type) bool {
	return link == linktype.IEEE80211 || link == linktype.Radiotap || link == linktype.Prism || link == linktype.AVS || link == linktype.PPI
}

// MSDUs appends the frames that an 802.11 frame with an A-MSDU contains (IEEE 802.11, section 9.3.2.2.2). Each is an
// Ethernet frame with a length (IEEE 802.3). subs gets their captured bytes, as parts of frame, and lens how many of
// frame's bytes on the wire each has. The first also has those of the header. MSDUs appends nothing if frame is not
// an aggregate.
func MSDUs(subs [][]byte, lens []uint32, frame []byte, wireLen uint32, link linktype.Type) ([][]byte, []uint32) {
	const head = 14 // destination, source, length
	w := walk{end: max(int(wireLen), len(frame))}
	w.linkLayer(frame, link)
	if w.aggregate == 0 {
		return subs, lens
	}
	first, rest := len(lens), w.end
	for off := w.aggregate; len(frame)-off >= head && len(lens)-first < maxMSDUs; {
		n := head + int(be16(frame[off+12:]))
		if n == head || n > w.end-off {
			break
		}
		subs, lens = append(subs, frame[off:min(off+n, len(frame))]), append(lens, uint32(n))
		rest -= n
		off += n
		off += (w.aggregate - off) & 3 // each except the last is padded to a multiple of four
	}
	if len(lens) > first {
		lens[first] += uint32(rest)
	}
	return subs, lens
}
