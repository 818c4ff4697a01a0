package bpf

import "encoding/binary"

// Run applies the program to a packet. pkt is its captured bytes from the link layer on, and wireLen its length on
// the wire, in bytes. Run returns the number of bytes to keep, or 0 to reject the packet. It does not allocate, and
// is safe for concurrent use.
//
// Programs that were compiled for live capture are for the kernel. Here they find no separate VLAN tag, and treat
// every packet as incoming.
func (p *Program) Run(pkt []byte, wireLen uint32) uint32 {
	return p.run(pkt, wireLen, nil)
}

// Match reports whether the program accepts the packet: see [Program.Run].
func (p *Program) Match(pkt []byte, wireLen uint32) bool {
	return p.run(pkt, wireLen, nil) != 0
}

// ancillary is what the kernel knows about a packet in addition to its bytes.
type ancillary struct {
	pktType, ifIndex, tci, tagged uint32
}

// read returns ok = false if n is not ancillary data but an offset beyond any packet.
func (a *ancillary) read(n uint32) (v uint32, ok bool) {
	if a == nil {
		a = &ancillary{}
	}
	switch n {
	case ancillaryPkt:
		return a.pktType, true
	case ancillaryIface:
		return a.ifIndex, true
	case ancillaryTCI:
		return a.tci, true
	case ancillaryTagged:
		return a.tagged, true
	}
	return 0, false
}

// step is an instruction in the interpreter's form: jumps have an absolute target, and a load and the comparison
// after it are one step.
type step struct {
	op     stepOp
	jt, jf uint16
	off    uint32 // offset of a load
	k      uint32
	insn   RawInsn // stepOther
}

type stepOp uint8

const (
	stepOther stepOp = iota // any instruction without its own case
	stepRet
	stepJump
	stepEQ // comparisons of A with k
	stepGT
	stepGE
	stepSet
	stepIPHdr
	stepWord // loads from off
	stepHalf
	stepByte
	stepWordX // loads from X + off
	stepHalfX
	stepByteX
	stepWordEQ // loads with a comparison
	stepHalfEQ
	stepByteEQ
	stepHalfXEQ
	stepByteSet
	stepHalfSet
)

var plainSteps = map[uint16]stepOp{
	clsRet | retK:            stepRet,
	clsJmp | jmpJA:           stepJump,
	clsJmp | jmpJEQ | srcK:   stepEQ,
	clsJmp | jmpJGT | srcK:   stepGT,
	clsJmp | jmpJGE | srcK:   stepGE,
	clsJmp | jmpJSET | srcK:  stepSet,
	clsLdx | sizeB | modeMsh: stepIPHdr,
	clsLd | sizeW | modeAbs:  stepWord,
	clsLd | sizeH | modeAbs:  stepHalf,
	clsLd | sizeB | modeAbs:  stepByte,
	clsLd | sizeW | modeInd:  stepWordX,
	clsLd | sizeH | modeInd:  stepHalfX,
	clsLd | sizeB | modeInd:  stepByteX,
}

var fusedSteps = map[[2]stepOp]stepOp{
	{stepWord, stepEQ}: stepWordEQ, {stepHalf, stepEQ}: stepHalfEQ, {stepByte, stepEQ}: stepByteEQ,
	{stepHalfX, stepEQ}: stepHalfXEQ, {stepByte, stepSet}: stepByteSet, {stepHalf, stepSet}: stepHalfSet,
}

// decode prepares verified instructions for the interpreter.
func decode(insns []RawInsn) *Program {
	p := &Program{insns: insns, steps: make([]step, len(insns))}
	for i := len(insns) - 1; i >= 0; i-- {
		in := insns[i]
		s := step{op: plainSteps[in.Code], off: in.K, k: in.K, insn: in}
		switch {
		case s.op == stepJump:
			s.jt = uint16(i + 1 + int(in.K))
		case in.Code&7 == clsJmp:
			s.jt, s.jf = uint16(i+1+int(in.Jt)), uint16(i+1+int(in.Jf))
		case in.Code&0xe7 == clsLd|modeAbs && in.K >= ancillaryBase:
			s.op = stepOther
		}
		// The comparison also stays at its own place, in case a jump leads to it.
		if i+1 < len(insns) {
			next := p.steps[i+1]
			if op, ok := fusedSteps[[2]stepOp{s.op, next.op}]; ok {
				s = step{op: op, jt: next.jt, jf: next.jf, off: s.off, k: next.k}
			}
		}
		p.steps[i] = s
	}
	return p
}

// run needs a verified program, because it checks only packet offsets.
func (p *Program) run(pkt []byte, wireLen uint32, anc *ancillary) uint32 {
	var a, x uint32
	var mem [scratchSlots]uint32
	var taken bool
	n := uint64(len(pkt))
	for pc := 0; ; {
		s := &p.steps[pc]
		pc++
		off := uint64(s.off)
		switch s.op {
		case stepRet:
			return s.k
		case stepJump:
			pc = int(s.jt)
			continue
		case stepEQ:
			taken = a == s.k
		case stepGT:
			taken = a > s.k
		case stepGE:
			taken = a >= s.k
		case stepSet:
			taken = a&s.k != 0
		case stepIPHdr:
			if off >= n {
				return 0
			}
			x = uint32(pkt[off]&0xf) << 2
			continue
		case stepWordX, stepWord:
			if s.op == stepWordX {
				off += uint64(x)
			}
			if off+4 > n {
				return 0
			}
			a = binary.BigEndian.Uint32(pkt[off:])
			continue
		case stepHalfX, stepHalf:
			if s.op == stepHalfX {
				off += uint64(x)
			}
			if off+2 > n {
				return 0
			}
			a = uint32(binary.BigEndian.Uint16(pkt[off:]))
			continue
		case stepByteX, stepByte:
			if s.op == stepByteX {
				off += uint64(x)
			}
			if off >= n {
				return 0
			}
			a = uint32(pkt[off])
			continue
		case stepWordEQ:
			if off+4 > n {
				return 0
			}
			a = binary.BigEndian.Uint32(pkt[off:])
			taken = a == s.k
		case stepHalfEQ, stepHalfXEQ:
			if s.op == stepHalfXEQ {
				off += uint64(x)
			}
			if off+2 > n {
				return 0
			}
			a = uint32(binary.BigEndian.Uint16(pkt[off:]))
			taken = a == s.k
		case stepHalfSet:
			if off+2 > n {
				return 0
			}
			a = uint32(binary.BigEndian.Uint16(pkt[off:]))
			taken = a&s.k != 0
		case stepByteEQ:
			if off >= n {
				return 0
			}
			a = uint32(pkt[off])
			taken = a == s.k
		case stepByteSet:
			if off >= n {
				return 0
			}
			a = uint32(pkt[off])
			taken = a&s.k != 0
		default:
			m := machine{a, x, taken, wireLen, anc, &mem}
			switch m.do(&s.insn) {
			case machineNext:
				a, x = m.a, m.x
				continue
			case machineReturn:
				return m.a
			}
			taken = m.taken
		}
		if pc = int(s.jf); taken {
			pc = int(s.jt)
		}
	}
}

// machine is the interpreter's state for instructions that are rare or slow.
type machine struct {
	a, x    uint32
	taken   bool
	wireLen uint32
	anc     *ancillary
	mem     *[scratchSlots]uint32
}

// machineResult says what follows an instruction.
type machineResult uint8

const (
	machineNext   machineResult = iota // the next one
	machineJump                        // to where taken says
	machineReturn                      // nothing: A is the program's result
)

func (m *machine) do(in *RawInsn) machineResult {
	switch in.Code {
	case clsRet | retA:
		return machineReturn
	case clsLd | modeImm:
		m.a = in.K
	case clsLdx | modeImm:
		m.x = in.K
	case clsLd | modeLen:
		m.a = m.wireLen
	case clsLdx | modeLen:
		m.x = m.wireLen
	case clsLd | modeMem:
		m.a = m.mem[in.K%scratchSlots]
	case clsLdx | modeMem:
		m.x = m.mem[in.K%scratchSlots]
	case clsSt:
		m.mem[in.K%scratchSlots] = m.a
	case clsStx:
		m.mem[in.K%scratchSlots] = m.x
	case clsMisc | miscTAX:
		m.x = m.a
	case clsMisc | miscTXA:
		m.a = m.x
	case clsALU | aluNeg:
		m.a = -m.a
	default:
		return m.compute(in)
	}
	return machineNext
}

// compute executes arithmetic, comparisons with X, and loads of ancillary data.
func (m *machine) compute(in *RawInsn) machineResult {
	var ok bool
	switch in.Code & 7 {
	case clsJmp:
		m.taken = relation(in.Code&0xf0).holds(m.a, m.x)
		return machineJump
	case clsLd:
		m.a, ok = m.anc.read(in.K - ancillaryBase)
	default:
		operand := in.K
		if in.Code&srcX != 0 {
			operand = m.x
		}
		m.a, ok = alulate(in.Code&0xf0, m.a, operand)
	}
	if !ok { // beyond the packet, or a division by zero
		m.a = 0
		return machineReturn
	}
	return machineNext
}
