package bpf

import "fmt"

// verify checks a program as the kernel does before it runs one: only known instructions, jumps forward and within
// the program, a return at the end, scratch slots written before they are read, and no division by a constant zero.
func verify(prog []RawInsn) error {
	if len(prog) == 0 || len(prog) > maxInsns {
		return fmt.Errorf("bpf: a program has 1 to %d instructions, not %d", maxInsns, len(prog))
	}
	// written[i] is the set of slots that are written on every path to instruction i. Like the kernel, verify
	// assumes that execution also continues after a return.
	written := make([]uint16, len(prog)+1)
	for i := range written {
		written[i] = 0xffff
	}
	written[0] = 0
	for i, in := range prog {
		have := written[i]
		next := []uint64{uint64(i) + 1}
		switch in.Code {
		case clsLd | modeMem, clsLdx | modeMem:
			if in.K >= scratchSlots || have&(1<<in.K) == 0 {
				return fmt.Errorf("bpf: instruction %d reads a scratch slot that may be unwritten", i)
			}
		case clsSt, clsStx:
			if in.K >= scratchSlots {
				return fmt.Errorf("bpf: instruction %d writes a slot that does not exist", i)
			}
			have |= 1 << in.K
		case clsALU | aluDiv | srcK, clsALU | aluMod | srcK:
			if in.K == 0 {
				return fmt.Errorf("bpf: instruction %d divides by zero", i)
			}
		case clsALU | aluLsh | srcK, clsALU | aluRsh | srcK:
			if in.K > 31 {
				return fmt.Errorf("bpf: instruction %d shifts by more than 31 bits", i)
			}
		case clsJmp | jmpJA:
			next[0] += uint64(in.K)
		case clsRet | retK, clsRet | retA:
			written[i+1] &= have
			continue
		default:
			switch {
			case in.Code&7 == clsJmp && validJump(in.Code):
				next = []uint64{next[0] + uint64(in.Jt), next[0] + uint64(in.Jf)}
			case !validPlain(in.Code):
				return fmt.Errorf("bpf: instruction %d has the unknown code %#x", i, in.Code)
			}
		}
		for _, to := range next {
			if to >= uint64(len(prog)) {
				return fmt.Errorf("bpf: instruction %d leads out of the program", i)
			}
			written[to] &= have
		}
	}
	return nil
}

func validJump(code uint16) bool {
	op := code &^ (clsJmp | srcX)
	return op == jmpJEQ || op == jmpJGT || op == jmpJGE || op == jmpJSET
}

// validPlain reports whether a code is one of those that need no check of their operand.
func validPlain(code uint16) bool {
	switch code & 7 {
	case clsLd:
		switch code {
		case modeImm, modeLen, modeAbs | sizeW, modeAbs | sizeH, modeAbs | sizeB,
			modeInd | sizeW, modeInd | sizeH, modeInd | sizeB:
			return true
		}
	case clsLdx:
		return code == clsLdx|modeImm || code == clsLdx|modeLen || code == clsLdx|modeMsh|sizeB
	case clsALU:
		op := code &^ (clsALU | srcX)
		return op <= aluXor && code&^0xff == 0 && (op != aluNeg || code&srcX == 0)
	case clsMisc:
		return code == clsMisc|miscTAX || code == clsMisc|miscTXA
	}
	return false
}
