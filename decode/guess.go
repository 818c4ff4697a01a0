package decode

// walk is the state of the walk through the layers of one frame.
type walk struct {
	end     int  // where the frame, or the tunnel's payload, ends on the wire
	open    bool // the end is further away, because the rest is in other frames
	guesses int  // how often only the bytes themselves showed what followed
	nested  int  // the number of link layers inside others

	base      int // offset of the innermost link layer in the frame
	aggregate int // offset of an A-MSDU in the frame, if there is one

	etherType uint16 // what a frame that does not carry IP carries instead; 0 if no field names it
}

// maxGuesses bounds how often a frame may leave open what follows. A pseudowire in a pseudowire is rare. Without a
// bound, a frame could offer two continuations at each of hundreds of places.
const maxGuesses = 4

// guess finds the next layer if no field names it, for instance after MPLS labels. A first half byte of 4 or 6 is not
// enough for IP, because it may be the start of an Ethernet address: the packet must prove itself. Otherwise the
// bytes are an Ethernet frame if a packet in it can prove itself: either directly (RFC 4448) or after a control word
// that starts with 0 (RFC 4385, section 3). If nothing proves itself, the frame is not IP.
func (w *walk) guess(frame []byte, off int) (network, int) {
	if off >= len(frame) {
		return netMalformed, off
	}
	net := w.provenIP(frame, off)
	if net == netIPv4 || net == netIPv6 {
		return net, off
	}
	unproven := net // netMalformed if the capture has cut off the proof of one possibility
	if w.guesses++; w.guesses > maxGuesses {
		return netNone, off
	}
	at := off
	for range 2 {
		if net, inner := w.ethernet(frame, at); net == netIPv4 || net == netIPv6 {
			switch proven := w.provenIP(frame, inner); proven {
			case net:
				return net, inner
			case netMalformed:
				unproven = netMalformed
			}
		}
		if frame[off]>>4 != 0 {
			break
		}
		at = off + 4
	}
	w.etherType = 0 // an attempt may have set it
	return unproven, off
}

// provenIP returns netIPv4 or netIPv6 if the packet at off proves to be one, and netMalformed if too little of it was
// captured either to prove that or to count as one. Otherwise it returns netNone.
func (w *walk) provenIP(frame []byte, off int) network {
	if off < 0 || off >= len(frame) {
		return malformedIf(off >= 0 && off < w.end)
	}
	b, room := frame[off:], w.end-off
	cut := w.end > len(frame)
	const fcs = 4 // bytes that some tools have cut off although they were not there
	switch b[0] >> 4 {
	case 4:
		headLen := int(b[0]&15) << 2
		switch {
		case headLen < 20 || headLen > room:
			return netNone
		case headLen > len(b):
			return malformedIf(cut)
		}
		total := int(be16(b[2:]))
		fits := total >= headLen && (total <= room+fcs || w.open)
		if (fits || total == 0) && onesSum(b[:headLen]) == 0xffff { // 0: see Packet.ipv4
			return netIPv4
		}
	case 6:
		const headLen, padding = 40, 46
		switch {
		case headLen > room:
			return netNone
		case headLen > len(b):
			return malformedIf(cut)
		}
		// There is no checksum. The length must fit the available bytes, except for the padding of a short
		// frame, and the next header must be one that is in use.
		total := headLen + int(be16(b[4:]))
		exact := total <= room && room-total <= padding
		if (exact || w.open) && nextHeaders[b[6]] && b[7] != 0 {
			return netIPv6
		}
	}
	return netNone
}

func malformedIf(cut bool) network {
	if cut {
		return netMalformed
	}
	return netNone
}

// onesSum returns the ones' complement sum of the 16-bit words of b (RFC 1071). b has at most 30 words.
func onesSum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(be16(b))
	}
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// nextHeaders are the protocols that follow an IPv6 header in practice.
var nextHeaders = [256]bool{
	protoHopByHop: true, ProtoTCP: true, ProtoUDP: true, protoRouting: true, protoFragment: true, protoAH: true,
	protoNoNext: true, protoDestOpts: true, protoMobility: true, protoHIP: true, protoShim6: true,
	protoIPv4: true, protoIPv6: true, protoGRE: true, protoEtherIP: true, protoL2TP: true, protoMPLS: true, protoEthernet: true,
	50: true, 58: true, 89: true, 103: true, 112: true, 132: true, 136: true, // ESP, ICMPv6, OSPF, PIM, VRRP, SCTP, UDP-Lite
}
