package bpf

import "encoding/binary"

// Run applies the program to a packet: pkt is its captured bytes from the link layer on,
// wireLen its length on the wire. It returns how many bytes to keep of the packet, 0 to
// turn it away. It does not allocate, and may be called from several goroutines at once.
//
// A program compiled for live capture finds no VLAN tag kept apart here, and takes every
// packet as one that came in: such programs are for the kernel.
func (p *Program) Run(pkt []byte, wireLen uint32) uint32 {
	return p.run(pkt, wireLen, nil)
}

// Match reports whether the program accepts the packet: see [Program.Run].
func (p *Program) Match(pkt []byte, wireLen uint32) bool {
	return p.run(pkt, wireLen, nil) != 0
}

// ancillary is what the kernel knows of a packet besides its bytes.
type ancillary struct {
	pktType, ifIndex, tci, tagged uint32
}

func (a *ancillary) read(n uint32) uint32 {
	if a != nil {
		switch n {
		case ancillaryPkt:
			return a.pktType
		case ancillaryIface:
			return a.ifIndex
		case ancillaryTCI:
			return a.tci
		case ancillaryTagged:
			return a.tagged
		}
	}
	return 0
}

// run needs a verified program: it checks packet offsets alone.
func (p *Program) run(pkt []byte, wireLen uint32, anc *ancillary) uint32 {
	var a, x uint32
	var mem [scratchSlots]uint32
	prog := p.insns
	n := uint64(len(pkt))
	for pc := 0; pc < len(prog); pc++ {
		in := &prog[pc]
		switch in.Code {
		case clsLd | sizeW | modeAbs:
			if uint64(in.K)+4 > n {
				if in.K >= ancillaryBase {
					a = anc.read(in.K - ancillaryBase)
					continue
				}
				return 0
			}
			a = binary.BigEndian.Uint32(pkt[in.K:])
		case clsLd | sizeH | modeAbs:
			if uint64(in.K)+2 > n {
				if in.K >= ancillaryBase {
					a = anc.read(in.K - ancillaryBase)
					continue
				}
				return 0
			}
			a = uint32(binary.BigEndian.Uint16(pkt[in.K:]))
		case clsLd | sizeB | modeAbs:
			if uint64(in.K) >= n {
				if in.K >= ancillaryBase {
					a = anc.read(in.K - ancillaryBase)
					continue
				}
				return 0
			}
			a = uint32(pkt[in.K])
		case clsLd | sizeW | modeInd:
			k := uint64(x) + uint64(in.K)
			if k+4 > n {
				return 0
			}
			a = binary.BigEndian.Uint32(pkt[k:])
		case clsLd | sizeH | modeInd:
			k := uint64(x) + uint64(in.K)
			if k+2 > n {
				return 0
			}
			a = uint32(binary.BigEndian.Uint16(pkt[k:]))
		case clsLd | sizeB | modeInd:
			k := uint64(x) + uint64(in.K)
			if k >= n {
				return 0
			}
			a = uint32(pkt[k])
		case clsLdx | sizeB | modeMsh:
			if uint64(in.K) >= n {
				return 0
			}
			x = uint32(pkt[in.K]&0xf) << 2
		case clsLd | modeImm:
			a = in.K
		case clsLdx | modeImm:
			x = in.K
		case clsLd | modeLen:
			a = wireLen
		case clsLdx | modeLen:
			x = wireLen
		case clsLd | modeMem:
			a = mem[in.K%scratchSlots]
		case clsLdx | modeMem:
			x = mem[in.K%scratchSlots]
		case clsSt:
			mem[in.K%scratchSlots] = a
		case clsStx:
			mem[in.K%scratchSlots] = x
		case clsJmp | jmpJEQ | srcK:
			pc += jump(a == in.K, in)
		case clsJmp | jmpJGT | srcK:
			pc += jump(a > in.K, in)
		case clsJmp | jmpJGE | srcK:
			pc += jump(a >= in.K, in)
		case clsJmp | jmpJSET | srcK:
			pc += jump(a&in.K != 0, in)
		case clsJmp | jmpJEQ | srcX:
			pc += jump(a == x, in)
		case clsJmp | jmpJGT | srcX:
			pc += jump(a > x, in)
		case clsJmp | jmpJGE | srcX:
			pc += jump(a >= x, in)
		case clsJmp | jmpJSET | srcX:
			pc += jump(a&x != 0, in)
		case clsJmp | jmpJA:
			pc += int(in.K)
		case clsMisc | miscTAX:
			x = a
		case clsMisc | miscTXA:
			a = x
		case clsRet | retK:
			return in.K
		case clsRet | retA:
			return a
		case clsALU | aluNeg:
			a = -a
		default:
			operand := in.K
			if in.Code&srcX != 0 {
				operand = x
			}
			v, ok := alulate(in.Code&0xf0, a, operand)
			if !ok {
				return 0
			}
			a = v
		}
	}
	return 0
}

func jump(taken bool, in *RawInsn) int {
	if taken {
		return int(in.Jt)
	}
	return int(in.Jf)
}
