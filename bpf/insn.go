package bpf

// RawInsn is one instruction of classic BPF, with the layout of the kernel's struct sock_filter.
type RawInsn struct {
	Code   uint16
	Jt, Jf uint8 // the number of instructions that a conditional jump skips
	K      uint32
}

// Instruction codes: the class, then for loads the size and mode, and for the others the operation and source
// (linux/filter.h).
const (
	clsLd   = 0x00
	clsLdx  = 0x01
	clsSt   = 0x02
	clsStx  = 0x03
	clsALU  = 0x04
	clsJmp  = 0x05
	clsRet  = 0x06
	clsMisc = 0x07

	sizeW = 0x00
	sizeH = 0x08
	sizeB = 0x10

	modeImm = 0x00
	modeAbs = 0x20
	modeInd = 0x40
	modeMem = 0x60
	modeLen = 0x80
	modeMsh = 0xa0

	aluAdd = 0x00
	aluSub = 0x10
	aluMul = 0x20
	aluDiv = 0x30
	aluOr  = 0x40
	aluAnd = 0x50
	aluLsh = 0x60
	aluRsh = 0x70
	aluNeg = 0x80
	aluMod = 0x90
	aluXor = 0xa0

	jmpJA   = 0x00
	jmpJEQ  = 0x10
	jmpJGT  = 0x20
	jmpJGE  = 0x30
	jmpJSET = 0x40

	srcK = 0x00
	srcX = 0x08

	retK = 0x00
	retA = 0x10

	miscTAX = 0x00
	miscTXA = 0x80
)

const (
	scratchSlots = 16   // M[0] … M[15]
	maxInsns     = 4096 // the kernel's BPF_MAXINSNS
)

// Ancillary data: what Linux returns for a load at ancillaryBase + n.
const (
	ancillaryBase   = 0xfffff000 // SKF_AD_OFF
	ancillaryPkt    = 4          // SKF_AD_PKTTYPE
	ancillaryIface  = 8          // SKF_AD_IFINDEX
	ancillaryTCI    = 44         // SKF_AD_VLAN_TAG
	ancillaryTagged = 48         // SKF_AD_VLAN_TAG_PRESENT
)

// relation is a comparison that BPF can jump on.
type relation uint16

const (
	relEQ  relation = jmpJEQ
	relGT  relation = jmpJGT
	relGE  relation = jmpJGE
	relSet relation = jmpJSET // any bit in common
)

func (r relation) holds(a, b uint32) bool {
	switch r {
	case relEQ:
		return a == b
	case relGT:
		return a > b
	case relGE:
		return a >= b
	}
	return a&b != 0
}
