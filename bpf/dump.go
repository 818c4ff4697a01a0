package bpf

import (
	"fmt"
	"strings"
)

// Dump returns the program's text as tcpdump -d prints it.
func (p *Program) Dump() string {
	var b strings.Builder
	for i, in := range p.insns {
		op, operand := in.text(i)
		if in.Code&7 == clsJmp && in.Code != clsJmp|jmpJA {
			fmt.Fprintf(&b, "(%03d) %-8s %-16s jt %d\tjf %d\n", i, op, operand,
				i+1+int(in.Jt), i+1+int(in.Jf))
		} else {
			fmt.Fprintf(&b, "(%03d) %-8s %s\n", i, op, operand)
		}
	}
	return b.String()
}

var aluNames = map[uint16]string{
	aluAdd: "add", aluSub: "sub", aluMul: "mul", aluDiv: "div", aluOr: "or", aluAnd: "and",
	aluLsh: "lsh", aluRsh: "rsh", aluNeg: "neg", aluMod: "mod", aluXor: "xor",
}

var jumpNames = map[uint16]string{
	jmpJA: "ja", jmpJEQ: "jeq", jmpJGT: "jgt", jmpJGE: "jge", jmpJSET: "jset",
}

var ancillaryNames = map[uint32]string{
	ancillaryPkt: "type", ancillaryIface: "ifidx", ancillaryTCI: "vlan_tci",
	ancillaryTagged: "vlanp",
}

// text returns the instruction's name and operand. n is its number.
func (in RawInsn) text(n int) (op, operand string) {
	switch in.Code & 7 {
	case clsLd, clsLdx:
		return in.loadText()
	case clsSt:
		return "st", fmt.Sprintf("M[%d]", in.K)
	case clsStx:
		return "stx", fmt.Sprintf("M[%d]", in.K)
	case clsRet:
		if in.Code&0x18 == retA {
			return "ret", ""
		}
		return "ret", fmt.Sprintf("#%d", in.K)
	case clsMisc:
		if in.Code&miscTXA != 0 {
			return "txa", ""
		}
		return "tax", ""
	case clsJmp:
		name := jumpNames[in.Code&0xf0]
		switch {
		case in.Code&0xf0 == jmpJA:
			return name, fmt.Sprint(n + 1 + int(in.K))
		case in.Code&srcX != 0:
			return name, "x"
		}
		return name, fmt.Sprintf("#0x%x", in.K)
	}
	name := aluNames[in.Code&0xf0]
	switch alu := in.Code & 0xf0; {
	case alu == aluNeg:
		return name, ""
	case in.Code&srcX != 0:
		return name, "x"
	case alu == aluAnd || alu == aluOr || alu == aluXor:
		return name, fmt.Sprintf("#0x%x", in.K)
	}
	return name, fmt.Sprintf("#%d", int32(in.K))
}

func (in RawInsn) loadText() (op, operand string) {
	op = "ld"
	if in.Code&7 == clsLdx {
		op = "ldx"
	}
	switch in.Code & 0x18 {
	case sizeH:
		op += "h"
	case sizeB:
		op += "b"
	}
	switch in.Code & 0xe0 {
	case modeImm:
		return op, fmt.Sprintf("#0x%x", in.K)
	case modeAbs:
		if name := ancillaryNames[in.K-ancillaryBase]; name != "" {
			return op, "[" + name + "]"
		}
		return op, fmt.Sprintf("[%d]", in.K)
	case modeInd:
		return op, fmt.Sprintf("[x + %d]", in.K)
	case modeMem:
		return op, fmt.Sprintf("M[%d]", in.K)
	case modeLen:
		return op, "#pktlen"
	}
	return op, fmt.Sprintf("4*([%d]&0xf)", in.K)
}
