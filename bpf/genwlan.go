package bpf

// wlanState is the scratch slots for an 802.11 header, whose length varies, and for the radiotap header before it. A
// program that reads them sets them at its start.
type wlanState struct {
	hdr     *slotRef // nil without radiotap
	payload *slotRef
}

// wlanHeader returns the assignments, or nil if nothing reads them.
func (g *gen) wlanHeader() *cond {
	vs, w := g.values, &g.wlan
	if w.payload == nil {
		return nil
	}
	var cs []*cond
	var start *value
	if w.hdr != nil && (w.hdr.given || w.payload.given) {
		hdr := offset{slot: w.hdr}
		start = hdr.get(g)
		// Radiotap's length is little-endian.
		cs = append(cs, assign(w.hdr.n, vs.bin(aluOr,
			vs.bin(aluLsh, vs.load(nil, 3, 1), vs.num(8)), vs.load(nil, 2, 1))))
	}
	if !w.payload.given {
		return and(cs...)
	}
	payload := offset{slot: w.payload}
	end := payload.get(g)
	headerLen := func(n uint32) *value {
		if start == nil {
			return vs.num(n)
		}
		return vs.bin(aluAdd, start, vs.num(n))
	}
	fc := vs.load(start, 0, 1)
	bit := func(b uint32) *cond { return g.testNum(fc, relSet, b) }
	// A data frame has a header of 24 bytes, and one with quality of service has two more. The fourth address of
	// a frame between access points is ignored, as in libpcap.
	cs = append(cs, assign(w.payload.n, headerLen(24)))
	qos := optionally(bit(0x80), assign(w.payload.n, headerLen(26)))
	data := and(qos, g.radiotapPad(end))
	cs = append(cs, optionally(and(bit(0x08), not(bit(0x04))), data))
	return and(cs...)
}

// optionally evaluates then if c holds, and is always true.
func optionally(c, then *cond) *cond { return or(and(c, then), always(true)) }

// radiotapPad rounds the header up to four bytes if radiotap's flags say that it is padded.
func (g *gen) radiotapPad(end *value) *cond {
	if g.wlan.hdr == nil {
		return nil
	}
	vs := g.values
	const (
		// Bits of the word of present fields, which is little-endian.
		tsft  = 0x01000000
		flags = 0x02000000
		more  = 0x00000080 // another such word follows
		pad   = 0x20       // in the flags
	)
	present := func(b uint32) *cond { return g.testNum(vs.load(nil, 4, 4), relSet, b) }
	padded := or(
		and(present(tsft), g.testNum(vs.load(nil, 16, 1), relSet, pad)),
		and(not(present(tsft)), g.testNum(vs.load(nil, 8, 1), relSet, pad)))
	rounded := vs.bin(aluAnd, vs.bin(aluAdd, end, vs.num(3)), vs.num(^uint32(3)))
	return optionally(and(present(flags), not(present(more)), padded),
		assign(g.wlan.payload.n, rounded))
}

func (g *gen) wlanDataFrame() *cond {
	return and(not(g.anyBit(fromLinkHdr, 0, 0x04)), g.anyBit(fromLinkHdr, 0, 0x08))
}

// wlanBits generates the test for "type", "subtype" or "dir".
func (g *gen) wlanBits(e wlanExpr) *cond {
	if !g.isWLAN() {
		return g.unsupported("the type or direction of an 802.11 frame")
	}
	if e.direction {
		return g.masked(fromLinkHdr, 1, 1, e.value, e.mask)
	}
	return g.masked(fromLinkHdr, 0, 1, e.value, e.mask)
}

// The first two bytes of an 802.11 header.
func (g *gen) toDS() *cond    { return g.anyBit(fromLinkHdr, 1, 0x01) }
func (g *gen) fromDS() *cond  { return g.anyBit(fromLinkHdr, 1, 0x02) }
func (g *gen) dataBit() *cond { return g.anyBit(fromLinkHdr, 0, wlanData) }
func (g *gen) ctlBit() *cond  { return g.anyBit(fromLinkHdr, 0, wlanControl) }
func (g *gen) notControl() *cond {
	return not(g.masked(fromLinkHdr, 0, 1, wlanControl, wlanTypeMask))
}

// hasTransmitter returns a test that a frame is not one of the two control types that have only one address.
func (g *gen) hasTransmitter() *cond {
	const cts, ack = 0xc0, 0xd0
	return or(g.notControl(),
		and(not(g.masked(fromLinkHdr, 0, 1, cts, wlanSubtypeMask)),
			not(g.masked(fromLinkHdr, 0, 1, ack, wlanSubtypeMask))))
}

// wlanHost matches a MAC address. Its offset depends on the frame's type and direction.
func (g *gen) wlanHost(mac [6]byte, d direction) *cond {
	addr := func(at uint32) *cond { return g.bytes(fromLinkHdr, at, mac[:]) }
	return bothWays(d, func(d direction) *cond {
		switch d {
		case dirSrc:
			return and(not(g.ctlBit()), or(
				and(not(g.dataBit()), addr(10)),
				and(g.dataBit(), or(
					and(not(g.fromDS()), addr(10)),
					and(g.fromDS(), or(and(not(g.toDS()), addr(16)), and(g.toDS(), addr(24))))))))
		case dirDst:
			return and(not(g.ctlBit()), or(
				and(not(g.dataBit()), addr(4)),
				and(g.dataBit(), or(and(not(g.toDS()), addr(4)), and(g.toDS(), addr(16))))))
		case dirAddr1:
			return addr(4)
		case dirAddr2:
			return and(g.hasTransmitter(), addr(10))
		case dirAddr3:
			return and(g.notControl(), addr(16))
		case dirAddr4:
			return and(g.masked(fromLinkHdr, 1, 1, 3, wlanDirMask), addr(24))
		case dirRA:
			return and(g.dataBit(), addr(4))
		}
		return and(g.dataBit(), g.hasTransmitter(), addr(10))
	})
}

// wlanMulticast returns a test of the group bit of the destination.
func (g *gen) wlanMulticast() *cond {
	group := func(at uint32) *cond { return g.anyBit(fromLinkHdr, at, 1) }
	return and(not(g.ctlBit()), or(
		and(not(g.dataBit()), group(4)),
		and(g.dataBit(), or(and(not(g.toDS()), group(4)), and(g.toDS(), group(16))))))
}
