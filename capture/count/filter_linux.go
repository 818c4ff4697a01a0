//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filterProgram is a loaded filter.
type filterProgram struct {
	filter  []bpf.RawInstruction
	program *ebpf.Program
}

// maxFilters bounds the filters that are kept. There is one for each link type that the target has had.
const maxFilters = 8

// filtered returns a program that runs a filter, and continues with the counting program for the frames that it accepts. The
// counter keeps the program: a socket that is opened again needs it when the process may not load any more.
func (c *Counter) filtered(filter []bpf.RawInstruction) (*ebpf.Program, error) {
	for _, f := range c.filters {
		if slices.Equal(f.filter, filter) {
			return f.program, nil
		}
	}
	program, err := c.loadFilter(filter)
	if err != nil {
		return nil, err
	}
	if len(c.filters) == maxFilters {
		if err := c.filters[0].program.Close(); err != nil { // a socket that uses it keeps it
			return nil, errors.Join(err, program.Close())
		}
		c.filters = c.filters[1:]
	}
	c.filters = append(c.filters, filterProgram{slices.Clone(filter), program})
	return program, nil
}

func (c *Counter) loadFilter(filter []bpf.RawInstruction) (*ebpf.Program, error) {
	if c.next == nil {
		next, err := ebpf.NewMap(&ebpf.MapSpec{Name: "next", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			return nil, fmt.Errorf("the filter: %w", err)
		}
		c.next = next
	}
	if err := c.next.Put(uint32(0), c.program); err != nil {
		return nil, fmt.Errorf("the filter: %w", err)
	}
	instructions, err := translate(filter, c.next.FD())
	if err != nil {
		return nil, err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "filter", Type: ebpf.SocketFilter, Instructions: instructions, License: "Dual MIT/GPL"})
	if err != nil {
		return nil, fmt.Errorf("the filter: %w", err)
	}
	return program, nil
}

// Where a translated filter keeps the registers of classic BPF, and what else it needs. Loads from the frame put their result
// into R0, and need the context in R6.
const (
	regA      = asm.R7
	regX      = asm.R8
	regResult = asm.R9
	regFrame  = asm.R6
)

// fields are the offsets in struct __sk_buff of what classic BPF loads from skfAD on.
var fields = map[uint32]int16{
	uint32(bpf.ExtType):           4,
	uint32(bpf.ExtInterfaceIndex): 40,
	uint32(bpf.ExtVLANTag):        24,
	uint32(bpf.ExtVLANTagPresent): 20,
}

const (
	skfAD     = 0xfffff000 // SKF_AD_OFF
	acceptAt  = "accept"
	rejectAt  = "reject"
	wordBytes = 8
)

// translator translates one filter.
type translator struct {
	out asm.Instructions
	// label is the symbol of the next instruction. It is empty if no jump leads there.
	label string
}

func (t *translator) emit(ins ...asm.Instruction) {
	if t.label != "" {
		ins[0] = ins[0].WithSymbol(t.label)
		t.label = ""
	}
	t.out = append(t.out, ins...)
}

// translate translates a classic program for the kernel, instruction by instruction. For a frame that the filter accepts, it
// jumps to the first program in the array. If it were not there, the frame would enter the ring without being counted.
func translate(filter []bpf.RawInstruction, array int) (asm.Instructions, error) {
	t := &translator{}
	t.emit(asm.Mov.Reg(regFrame, asm.R1), asm.Mov.Imm(regA, 0), asm.Mov.Imm(regX, 0))
	for _, i := range scratchSlots(filter) {
		t.emit(asm.StoreMem(asm.RFP, scratch(i), regA, asm.DWord))
	}
	targets := jumpTargets(filter)
	for i, ins := range filter {
		if targets[i] {
			t.label = label(i)
		}
		if err := t.one(ins, i); err != nil {
			return nil, fmt.Errorf("instruction %d of the filter: %w", i, err)
		}
	}
	t.label = acceptAt
	t.emit(asm.Mov.Reg(asm.R1, regFrame), asm.LoadMapPtr(asm.R2, array), asm.Mov.Imm(asm.R3, 0), asm.FnTailCall.Call(),
		asm.Mov.Reg32(asm.R0, regResult), asm.Return())
	t.label = rejectAt
	t.emit(asm.Mov.Imm(asm.R0, 0), asm.Return())
	return t.out, nil
}

func label(i int) string { return "i" + strconv.Itoa(i) }

// scratch is where a slot of the scratch memory is on the stack.
func scratch(slot uint32) int16 { return -wordBytes * int16(slot+1) }

// scratchSlots returns the slots of the scratch memory that a filter loads or stores.
func scratchSlots(filter []bpf.RawInstruction) (slots []uint32) {
	used := [16]bool{}
	for _, ins := range filter {
		class, mode := ins.Op&7, ins.Op&0xe0
		store := class == unix.BPF_ST || class == unix.BPF_STX
		load := (class == unix.BPF_LD || class == unix.BPF_LDX) && mode == unix.BPF_MEM
		if (store || load) && ins.K < 16 && !used[ins.K] {
			used[ins.K] = true
			slots = append(slots, ins.K)
		}
	}
	return slots
}

// jumpTargets marks the instructions that are reached by a jump.
func jumpTargets(filter []bpf.RawInstruction) map[int]bool {
	targets := map[int]bool{}
	for i, ins := range filter {
		if ins.Op&7 != unix.BPF_JMP {
			continue
		}
		if ins.Op&0xf0 == unix.BPF_JA {
			targets[i+1+int(ins.K)] = true
			continue
		}
		targets[i+1+int(ins.Jt)], targets[i+1+int(ins.Jf)] = true, true
	}
	return targets
}

var errUnknown = errors.New("it cannot be translated to eBPF")

// one translates the instruction at index i.
func (t *translator) one(ins bpf.RawInstruction, i int) error {
	switch ins.Op & 7 {
	case unix.BPF_LD:
		return t.load(ins)
	case unix.BPF_LDX:
		return t.loadX(ins)
	case unix.BPF_ST, unix.BPF_STX:
		if ins.K >= 16 {
			return errUnknown
		}
		from := regA
		if ins.Op&7 == unix.BPF_STX {
			from = regX
		}
		t.emit(asm.StoreMem(asm.RFP, scratch(ins.K), from, asm.Word))
	case unix.BPF_ALU:
		return t.arithmetic(ins)
	case unix.BPF_JMP:
		return t.jump(ins, i)
	case unix.BPF_RET:
		if ins.Op&0x18 == unix.BPF_A {
			t.emit(asm.JEq.Imm32(regA, 0, rejectAt), asm.Mov.Reg32(regResult, regA), asm.Ja.Label(acceptAt))
		} else if ins.K == 0 {
			t.emit(asm.Ja.Label(rejectAt))
		} else {
			t.emit(asm.Mov.Imm32(regResult, int32(ins.K)), asm.Ja.Label(acceptAt))
		}
	default:
		if ins.Op&0xf8 == unix.BPF_TXA {
			t.emit(asm.Mov.Reg32(regA, regX))
		} else {
			t.emit(asm.Mov.Reg32(regX, regA))
		}
	}
	return nil
}

var sizes = map[uint16]asm.Size{unix.BPF_W: asm.Word, unix.BPF_H: asm.Half, unix.BPF_B: asm.Byte}

// load translates a load into A.
func (t *translator) load(ins bpf.RawInstruction) error {
	size, ok := sizes[ins.Op&0x18]
	if !ok {
		return errUnknown
	}
	switch ins.Op & 0xe0 {
	case unix.BPF_IMM:
		t.emit(asm.Mov.Imm32(regA, int32(ins.K)))
	case unix.BPF_ABS:
		if ins.K >= skfAD {
			field, ok := fields[ins.K-skfAD]
			if !ok {
				return fmt.Errorf("eBPF does not have what it loads (%d)", ins.K-skfAD)
			}
			t.emit(asm.LoadMem(regA, regFrame, field, asm.Word))
			return nil
		}
		t.emit(asm.LoadAbs(int32(ins.K), size), asm.Mov.Reg32(regA, asm.R0))
	case unix.BPF_IND:
		t.emit(asm.LoadInd(asm.R0, regX, int32(ins.K), size), asm.Mov.Reg32(regA, asm.R0))
	case unix.BPF_MEM:
		if ins.K >= 16 {
			return errUnknown
		}
		t.emit(asm.LoadMem(regA, asm.RFP, scratch(ins.K), asm.Word))
	case unix.BPF_LEN:
		t.emit(asm.LoadMem(regA, regFrame, 0, asm.Word))
	default:
		return errUnknown
	}
	return nil
}

// loadX translates a load into X.
func (t *translator) loadX(ins bpf.RawInstruction) error {
	switch ins.Op & 0xe0 {
	case unix.BPF_IMM:
		t.emit(asm.Mov.Imm32(regX, int32(ins.K)))
	case unix.BPF_MEM:
		if ins.K >= 16 {
			return errUnknown
		}
		t.emit(asm.LoadMem(regX, asm.RFP, scratch(ins.K), asm.Word))
	case unix.BPF_LEN:
		t.emit(asm.LoadMem(regX, regFrame, 0, asm.Word))
	case unix.BPF_MSH: // the length of an IPv4 header
		t.emit(asm.LoadAbs(int32(ins.K), asm.Byte), asm.And.Imm32(asm.R0, 15), asm.LSh.Imm32(asm.R0, 2), asm.Mov.Reg32(regX, asm.R0))
	default:
		return errUnknown
	}
	return nil
}

var operations = map[uint16]asm.ALUOp{
	unix.BPF_ADD: asm.Add, unix.BPF_SUB: asm.Sub, unix.BPF_MUL: asm.Mul, unix.BPF_DIV: asm.Div, unix.BPF_OR: asm.Or,
	unix.BPF_AND: asm.And, unix.BPF_LSH: asm.LSh, unix.BPF_RSH: asm.RSh, unix.BPF_MOD: asm.Mod, unix.BPF_XOR: asm.Xor,
}

func (t *translator) arithmetic(ins bpf.RawInstruction) error {
	op := ins.Op & 0xf0
	if op == unix.BPF_NEG {
		t.emit(asm.Neg.Imm32(regA, 0))
		return nil
	}
	to, ok := operations[op]
	if !ok {
		return errUnknown
	}
	byX := ins.Op&8 == unix.BPF_X
	if byX && (op == unix.BPF_DIV || op == unix.BPF_MOD) { // classic BPF rejects the frame if X is 0
		t.emit(asm.JEq.Imm32(regX, 0, rejectAt))
	}
	if byX {
		t.emit(to.Reg32(regA, regX))
	} else {
		t.emit(to.Imm32(regA, int32(ins.K)))
	}
	return nil
}

var comparisons = map[uint16]asm.JumpOp{
	unix.BPF_JEQ: asm.JEq, unix.BPF_JGT: asm.JGT, unix.BPF_JGE: asm.JGE, unix.BPF_JSET: asm.JSet,
}

func (t *translator) jump(ins bpf.RawInstruction, i int) error {
	op := ins.Op & 0xf0
	if op == unix.BPF_JA {
		t.emit(asm.Ja.Label(label(i + 1 + int(ins.K))))
		return nil
	}
	to, ok := comparisons[op]
	if !ok {
		return errUnknown
	}
	yes, no := label(i+1+int(ins.Jt)), label(i+1+int(ins.Jf))
	if ins.Op&8 == unix.BPF_X {
		t.emit(to.Reg32(regA, regX, yes))
	} else {
		t.emit(to.Imm32(regA, int32(ins.K), yes))
	}
	if ins.Jf != 0 {
		t.emit(asm.Ja.Label(no))
	}
	return nil
}
