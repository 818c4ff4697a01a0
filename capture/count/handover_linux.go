//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// handover is what takes the frames from some sockets and gives them to others, so that each frame enters one of the two rings.
//
// The kernel shows a frame to all sockets of an interface one after the other, on one CPU, and to the newest first. So the program of the new sockets
// decides who takes a frame, and leaves the decision in memory of that CPU. The program of the old sockets follows it.
type handover struct {
	turn     *ebpf.Map // 1 if the new sockets take the frames
	taken    *ebpf.Map // for each CPU, whether the new sockets have taken the frame that it works on
	programs *ebpf.Map // the program that runs for a frame that a socket takes
	old, new *ebpf.Program
	none     *ebpf.Program // rejects every frame
}

// The results of a turn.
const (
	oldTakes = uint32(iota)
	newTakes
)

// PrepareHandOver loads what [Counter.HandOver] needs. Its error says why frames cannot be handed over. The counter still counts.
func (c *Counter) PrepareHandOver() error {
	if c.handover != nil {
		return nil
	}
	if c.lock != nil {
		return errors.New("the program is one that load-bpf has left, and a hand-over needs CAP_BPF")
	}
	h := new(handover)
	if err := h.load(); err != nil {
		h.close()
		return explain(fmt.Errorf("load the programs of a hand-over: %w", err))
	}
	c.handover = h
	return nil
}

func (h *handover) load() (err error) {
	// The library reads this from a file, once. A hand-over may come when the process may not read it any more.
	if _, err := ebpf.PossibleCPU(); err != nil {
		return err
	}
	for _, m := range []struct {
		to   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&h.turn, ebpf.MapSpec{Name: "turn", Type: ebpf.Array}},
		{&h.taken, ebpf.MapSpec{Name: "taken", Type: ebpf.PerCPUArray}},
		{&h.programs, ebpf.MapSpec{Name: "programs", Type: ebpf.ProgramArray}},
	} {
		m.spec.KeySize, m.spec.ValueSize, m.spec.MaxEntries = 4, 4, 1
		if *m.to, err = ebpf.NewMap(&m.spec); err != nil {
			return err
		}
	}
	if h.new, err = h.program("new", h.ofNew()); err != nil {
		return err
	}
	if h.old, err = h.program("old", h.ofOld()); err != nil {
		return err
	}
	h.none, err = h.program("none", asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()})
	return err
}

func (h *handover) program(name string, ins asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SocketFilter, Instructions: ins, License: "Dual MIT/GPL"})
}

// at loads the address of a map's only value into R0, or jumps to a label.
func at(m *ebpf.Map, none string) asm.Instructions {
	const key = -4
	return asm.Instructions{
		asm.StoreImm(asm.RFP, key, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, none),
	}
}

// take continues with the program in h.programs, or rejects the frame at rejectAt.
func (h *handover) take() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, regFrame),
		asm.LoadMapPtr(asm.R2, h.programs.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(rejectAt),
		asm.Return(),
	}
}

// ofNew is the program of the new sockets.
func (h *handover) ofNew() (ins asm.Instructions) {
	ins = append(ins, asm.Mov.Reg(regFrame, asm.R1))
	ins = append(ins, at(h.turn, rejectAt)...)
	ins = append(ins, asm.LoadMem(regResult, asm.R0, 0, asm.Word))
	ins = append(ins, at(h.taken, rejectAt)...)
	ins = append(ins, asm.StoreMem(asm.R0, 0, regResult, asm.Word), asm.JEq.Imm(regResult, int32(oldTakes), rejectAt))
	return append(ins, h.take()...)
}

// ofOld is the program of the old sockets.
func (h *handover) ofOld() (ins asm.Instructions) {
	ins = append(ins, asm.Mov.Reg(regFrame, asm.R1))
	ins = append(ins, at(h.taken, rejectAt)...)
	ins = append(ins, asm.LoadMem(regResult, asm.R0, 0, asm.Word), asm.JNE.Imm(regResult, int32(oldTakes), rejectAt))
	return append(ins, h.take()...)
}

func (h *handover) close() error {
	var errs []error
	for _, m := range []*ebpf.Map{h.turn, h.taken, h.programs} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	for _, p := range []*ebpf.Program{h.old, h.new, h.none} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// HandOver gives the frames of an interface to other sockets: of each frame that from has not counted, to counts it. No frame is lost, and none
// counts twice. The sockets of to must have been bound after those of from, and must not receive anything. When HandOver returns, no
// further frame enters a ring of from. [Counter.PrepareHandOver] must have succeeded. The other arguments are those of [Counter.Attach].
//
// If it fails, from still has the frames, and to must be closed.
func (c *Counter) HandOver(from, to []int, filter []bpf.RawInstruction, raw, received bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	program := c.program
	if len(filter) > 0 {
		var err error
		if program, err = c.filtered(filter); err != nil {
			return explain(err)
		}
	}
	settle, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	if err := c.handover.turnTo(c, from, to, program, raw, received); err != nil {
		return errors.Join(explain(err), attachAll(from, program), unix.Close(settle))
	}
	unix.Close(settle) // The kernel waits until it has shown every frame that came before the turn to all sockets.
	if attachAll(from, c.handover.none) == nil {
		attachAll(to, program) // Otherwise the programs of the hand-over stay. They cost more, and are as right.
	}
	return nil
}

// turnTo makes the sockets of to take the frames.
func (h *handover) turnTo(c *Counter, from, to []int, program *ebpf.Program, raw, received bool) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	if err := attachAll(from, program); err != nil { // if an earlier call has failed, they may still follow the turn
		return err
	}
	if err := errors.Join(h.programs.Put(uint32(0), program), h.turn.Put(uint32(0), oldTakes), h.taken.Put(uint32(0), make([]uint32, cpus))); err != nil {
		return err
	}
	c.setKind(raw, received)
	if err := attachAll(from, h.old); err != nil {
		return err
	}
	if err := attachAll(to, h.new); err != nil {
		return err
	}
	return h.turn.Put(uint32(0), newTakes)
}

// attachAll makes a program the filter of sockets.
func attachAll(fds []int, program *ebpf.Program) error {
	for _, fd := range fds {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program.FD()); err != nil {
			return fmt.Errorf("attach the program: %w", err)
		}
	}
	return nil
}
