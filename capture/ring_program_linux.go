package capture

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// dropAll turns every frame away. A socket has it from before it is bound until it may
// receive, so that nothing unfiltered, and nothing twice, gets into its ring.
var dropAll = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}

// attach makes prog the socket's filter, in the place of the one that it had.
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

// captureProgram returns what decides in the kernel whether a frame enters the ring, and
// how much of it. hatype is the interface's hardware type; anyLink means that frames of all types come.
//
// The kernel shows a frame on the loopback interface twice: when it is sent and when it is
// received. The program turns the sent one away.
func captureProgram(cfg LiveConfig, hatype uint16, anyLink bool) ([]bpf.RawInstruction, error) {
	if !anyLink {
		link, ok := linkOf(hatype)
		if !ok {
			return nil, fmt.Errorf("its link layer (hardware type %d) cannot be captured", hatype)
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

	ether, err := filterProgram(cfg, liveEthernet)
	if err != nil {
		return nil, err
	}
	raw, err := filterProgram(cfg, liveRawIP)
	if err != nil {
		raw = dropAll
	}
	return slices.Concat([]bpf.RawInstruction{
		extension(bpf.ExtLinkLayerType),
		jumpEqual(unix.ARPHRD_ETHER, 5, 0),                          // to ether
		jumpEqual(unix.ARPHRD_LOOPBACK, 1, 0),                       // to the look at the direction
		{Op: unix.BPF_JMP | unix.BPF_JA, K: uint32(3 + len(ether))}, // to raw
		extension(bpf.ExtType),
		jumpEqual(unix.PACKET_OUTGOING, 0, 1),
		dropAll[0],
	}, ether, raw), nil
}

// filterProgram returns the configured filter for a link type, cut to the snaplen.
func filterProgram(cfg LiveConfig, link LinkType) ([]bpf.RawInstruction, error) {
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

// Where a load of classic BPF starts, by the high bits of its offset (linux/filter.h).
const (
	skfADOff uint32 = 0xfffff000 // what the kernel knows of the frame
	skfLLOff uint32 = 0xffe00000 // at the link header
)

// fanoutProgram returns the program that chooses a frame's shard: the kernel takes its
// result modulo the number of shards.
//
// It hashes the unordered pair of IP addresses and nothing else. Query and response must
// reach the same shard, so the hash is symmetric, and so must all fragments of a datagram,
// of which only the first has ports, so ports are left out. (The kernel's own flow hash is
// of the five-tuple: it parts fragments, unless they are reassembled first, which would
// hide them from us.) The price: the traffic of one pair of hosts is one shard's, be it ever
// so much. What is not IP, after up to two VLAN tags, goes to shard 0.
//
// seed makes the choice unforeseeable, so that nobody can aim a flood at one shard.
//
// When the program runs, the frame's data begins behind the Ethernet header if it was received,
// with that header if it is sent. So X is where the Ethernet header would begin: all loads
// are relative to it, with offsets from the data's beginning, since older kernels (before
// 6.16) see only the first fragment of the data's memory when they load relative to a
// header. (The network header's place is of no use besides: with VLAN tags it is before or
// behind them.)
func fanoutProgram(seed uint32) ([]bpf.RawInstruction, error) {
	const (
		etherLen   = 14
		withHeader = 0
		noHeader   = ^uint32(etherLen - 1) // -14
	)
	v4, v6 := sumWords(etherLen+12, 2), sumWords(etherLen+8, 8)
	v4 = append(v4, bpf.Jump{Skip: uint32(len(v6))})
	return bpf.Assemble(slices.Concat([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
		bpf.JumpIf{Val: unix.ARPHRD_ETHER, SkipTrue: 3},
		bpf.JumpIf{Val: unix.ARPHRD_LOOPBACK, SkipTrue: 2},
		bpf.LoadConstant{Dst: bpf.RegX, Val: noHeader},
		bpf.Jump{Skip: 20}, // to the IP header

		bpf.LoadConstant{Dst: bpf.RegX, Val: noHeader},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Val: unix.PACKET_OUTGOING, SkipFalse: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: withHeader},
		bpf.LoadAbsolute{Off: skfLLOff + 12, Size: 2}, // the EtherType

		bpf.JumpIf{Val: unix.ETH_P_8021Q, SkipTrue: 1},
		bpf.JumpIf{Val: unix.ETH_P_8021AD, SkipFalse: 10}, // to the EtherType's use
		bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 4}, bpf.TAX{},
		bpf.LoadIndirect{Off: 12, Size: 2},
		bpf.JumpIf{Val: unix.ETH_P_8021Q, SkipTrue: 1},
		bpf.JumpIf{Val: unix.ETH_P_8021AD, SkipFalse: 4},
		bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 4}, bpf.TAX{},
		bpf.LoadIndirect{Off: 12, Size: 2},

		bpf.JumpIf{Val: unix.ETH_P_IP, SkipTrue: 2},
		bpf.JumpIf{Val: unix.ETH_P_IPV6, SkipTrue: 1},
		bpf.RetConstant{Val: 0},

		bpf.LoadIndirect{Off: etherLen, Size: 1}, // the IP header: the version, then the addresses
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Val: 4, SkipTrue: 2},
		bpf.JumpIf{Val: 6, SkipTrue: 1 + uint8(len(v4))},
		bpf.RetConstant{Val: 0},
	}, v4, v6, []bpf.Instruction{
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: seed}, // the finalizer of MurmurHash3
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x85ebca6b},
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 13}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0xc2b2ae35},
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.RetA{},
	}))
}

// sumWords leaves the sum of n words from X + off in A. A sum does not mind the order of its
// terms: that makes the hash symmetric.
func sumWords(off uint32, n int) []bpf.Instruction {
	var ins []bpf.Instruction
	for i := range n {
		ins = append(ins, bpf.LoadIndirect{Off: off + uint32(4*i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: i})
	}
	for i := range n - 1 {
		ins = append(ins, bpf.LoadScratch{Dst: bpf.RegX, N: i}, bpf.ALUOpX{Op: bpf.ALUOpAdd})
	}
	return ins
}
