package capture

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// dropAll rejects every frame. A socket has this filter from before it is bound until it may receive, so that no
// unfiltered frame gets into its ring, and no frame gets there twice.
var dropAll = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}

// attach makes prog the socket's filter and replaces the previous one.
func attach(fd int, prog []bpf.RawInstruction) error {
	return setProgram(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog)
}

func setProgram(fd, level, opt int, prog []bpf.RawInstruction) error {
	filter := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return unix.SetsockoptSockFprog(fd, level, opt, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// captureProgram returns the program that decides in the kernel whether a frame enters the ring, and how much of it.
// hatype is the interface's hardware type. anyLink means that frames of all types come.
//
// The kernel shows a frame on the loopback interface twice: when it is sent and when it is received. The program
// rejects the sent one.
func captureProgram(cfg LiveConfig, hatype uint16, anyLink bool) ([]bpf.RawInstruction, error) {
	if !anyLink {
		link, ok := linkOf(hatype)
		if !ok {
			return nil, fmt.Errorf("the link layer (hardware type %d) cannot be captured", hatype)
		}
		prog, err := filterProgram(cfg, link)
		if err != nil || hatype != unix.ARPHRD_LOOPBACK {
			return prog, err
		}
		return slices.Concat([]bpf.RawInstruction{
			extension(bpf.ExtType),
			jumpEqual(unix.PACKET_OUTGOING, 0, 1),
			dropAll[0],
		}, prog), nil
	}

	ether, err := filterProgram(cfg, linktype.Ethernet)
	if err != nil {
		return nil, err
	}
	raw, err := filterProgram(cfg, linktype.Raw)
	if err != nil {
		raw = dropAll
	}
	return slices.Concat([]bpf.RawInstruction{
		extension(bpf.ExtLinkLayerType),
		jumpEqual(unix.ARPHRD_ETHER, 5, 0),                          // to ether
		jumpEqual(unix.ARPHRD_LOOPBACK, 1, 0),                       // to the check of the direction
		{Op: unix.BPF_JMP | unix.BPF_JA, K: uint32(3 + len(ether))}, // to raw
		extension(bpf.ExtType),
		jumpEqual(unix.PACKET_OUTGOING, 0, 1),
		dropAll[0],
	}, ether, raw), nil
}

// filterProgram returns the configured filter for a link type, cut to the snaplen.
func filterProgram(cfg LiveConfig, link linktype.Type) ([]bpf.RawInstruction, error) {
	const ret = unix.BPF_RET | unix.BPF_K
	prog := []bpf.RawInstruction{{Op: ret, K: uint32(cfg.SnapLen)}}
	if cfg.Filter == nil {
		return prog, nil
	}
	filter, err := cfg.Filter(link)
	if err != nil || len(filter) == 0 {
		return prog, err
	}
	prog = slices.Clone(filter)
	for i := range prog {
		if prog[i].Op == ret {
			prog[i].K = min(prog[i].K, uint32(cfg.SnapLen))
		}
	}
	return prog, nil
}

func extension(ext bpf.Extension) bpf.RawInstruction {
	return bpf.RawInstruction{Op: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: skfADOff + uint32(ext)}
}

func jumpEqual(k uint32, jt, jf uint8) bpf.RawInstruction {
	return bpf.RawInstruction{Op: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: jt, Jf: jf, K: k}
}

// The base of a load in classic BPF, by the high bits of its offset (linux/filter.h).
const (
	skfADOff uint32 = 0xfffff000 // what the kernel knows about the frame
	skfLLOff uint32 = 0xffe00000 // at the link header
)
