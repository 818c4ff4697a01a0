package decode

import "encoding/binary"

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

// wifi reads an IEEE 802.11 header (section 9.3.2 of the standard). Only data frames that
// are neither encrypted nor aggregates carry something to be found. padded says that the
// header is padded to a multiple of four.
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
	n := 24
	if flags&toAndFrom == toAndFrom {
		n += 6
	}
	if control&qos != 0 {
		n += 2
		if len(frame)-off < n {
			return netMalformed, off
		}
		if frame[off+n-2]&aggregate != 0 {
			return netNone, off
		}
		if flags&order != 0 {
			n += 4
		}
	}
	if padded {
		n = (n + 3) &^ 3
	}
	if frag := off + 22; len(frame) >= frag+2 && frame[frag]&15 != 0 {
		return netNone, off // a later fragment starts anywhere
	}
	if len(frame)-off < n {
		return netMalformed, off
	}
	return w.llc(frame, off+n)
}
