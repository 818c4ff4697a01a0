package capture

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// fanoutProgram returns the program that chooses a frame's shard: the kernel takes its result modulo the number of
// shards.
//
// It hashes the unordered pair of IP addresses and nothing else. A query and its response must reach the same shard,
// so the hash is symmetric. All fragments of a datagram must, too, and only the first has ports, so the hash does not
// use ports. (The kernel's own flow hash is of the five-tuple. It separates fragments, unless they are reassembled
// first, which would hide them from us.) As a consequence, all traffic between two hosts goes to one shard, however
// much it is.
//
// The program finds the addresses behind the same tags and labels as package decode does. So a query behind three
// tags reaches the same shard as its response behind two, and live capture chooses shards as reading a file does.
// Classic BPF has no loops, so each tag has its own instructions. Frames that are not IP go to shard 0, and so does
// an Ethernet frame within an Ethernet frame within another. What follows labels must prove itself: see
// fanout_guess_linux.go.
//
// seed makes the choice unpredictable, so that an attacker cannot aim a flood at one shard.
//
// When the program runs, the data of a received frame begins after the Ethernet header, and the data of a sent frame
// begins with that header. So X is where the Ethernet header begins, and all loads are relative to it, with offsets
// from the start of the data. Loads relative to a header would not do: before Linux 6.16 they see only the first
// fragment of the data's memory. The offset of the network header is of no use either: with VLAN tags it is before or
// after them.
func fanoutProgram(seed uint32) ([]bpf.RawInstruction, error) {
	const (
		withHeader = 0
		noHeader   = ^uint32(etherLen - 1) // -14
	)
	p := newFanout()
	p.emit(
		bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
		bpf.JumpIf{Val: unix.ARPHRD_ETHER, SkipTrue: 3},
		bpf.JumpIf{Val: unix.ARPHRD_LOOPBACK, SkipTrue: 2},
		bpf.LoadConstant{Dst: bpf.RegX, Val: noHeader},
	)
	p.jump(p.ip)
	p.emit(
		bpf.LoadConstant{Dst: bpf.RegX, Val: noHeader},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Val: unix.PACKET_OUTGOING, SkipFalse: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: withHeader},
		bpf.LoadAbsolute{Off: skfLLOff + 12, Size: 2}, // the EtherType
	)
	p.layers(seed)
	return p.assemble()
}

const (
	etherLen = 14 // X + etherLen is where the payload of the EtherType begins

	// fanoutTags is the number of EtherTypes that are examined, and the number of labels: as many as package decode reads.
	fanoutTags = 16
)

// fanout is a fanout program while it is written. Its labels are where it continues for what it finds.
type fanout struct {
	assembler
	inner, ip, none label // none is for frames without IP
}

func newFanout() *fanout {
	p := new(fanout)
	p.inner, p.ip, p.none = p.newLabel(), p.newLabel(), p.newLabel()
	return p
}

// layers emits the code for the layers of a frame. A must have an EtherType, and X must be set.
func (p *fanout) layers(seed uint32) {
	p.ethernet(p.inner)
	p.place(p.inner)
	p.ethernet(p.none)

	v4, v6, mix := p.newLabel(), p.newLabel(), p.newLabel()
	p.place(p.ip)
	p.version()
	p.on(4, v4)
	p.on(6, v6)
	p.place(p.none)
	p.emit(bpf.RetConstant{Val: 0})
	p.place(v4)
	p.emit(sumWords(etherLen+12, 2)...)
	p.jump(mix)
	p.place(v6)
	p.emit(sumWords(etherLen+8, 8)...)
	p.place(mix)
	p.emit(
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: seed}, // the finalizer of MurmurHash3
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x85ebca6b},
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 13}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0xc2b2ae35},
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.RetA{},
	)
}

// ethernet emits the code that skips the tags of an Ethernet frame, and the labels and PPP that may follow them. For
// an Ethernet frame inside, it continues at inner.
func (p *fanout) ethernet(inner label) {
	mpls, pppoe, nsh, llc := p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel()
	for range fanoutTags {
		next := p.newLabel()
		p.on(unix.ETH_P_IP, p.ip)
		p.on(unix.ETH_P_IPV6, p.ip)
		for _, tag := range []struct {
			length     uint32
			etherTypes []uint32
		}{
			{4, []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD, unix.ETH_P_QINQ1}},
			{6, []uint32{0x8926}},                       // VN-Tag
			{8, []uint32{0x8909}},                       // Cisco metadata
			{4 + etherLen, []uint32{unix.ETH_P_8021AH}}, // with the inner frame's addresses
		} {
			for i, v := range tag.etherTypes {
				if others := len(tag.etherTypes) - 1 - i; others > 0 {
					p.emit(bpf.JumpIf{Val: v, SkipTrue: uint8(others)})
				} else {
					p.emit(bpf.JumpIf{Val: v, SkipFalse: 5})
				}
			}
			p.skip(tag.length)
			p.emit(bpf.LoadIndirect{Off: 12, Size: 2})
			p.jump(next)
		}
		p.on(unix.ETH_P_MPLS_UC, mpls)
		p.on(unix.ETH_P_MPLS_MC, mpls)
		p.on(unix.ETH_P_PPP_SES, pppoe)
		p.on(unix.ETH_P_NSH, nsh)
		p.emit(bpf.JumpIf{Cond: bpf.JumpLessThan, Val: unix.ETH_P_802_3_MIN, SkipFalse: 1})
		p.jump(llc)
		p.jump(p.none)
		p.place(next)
	}
	p.jump(p.none)

	p.place(llc) // the SAP of IP itself, or SNAP (RFC 1042) with an EtherType
	snap, bridge := p.newLabel(), p.newLabel()
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 2}, bpf.JumpIf{Val: 0xaaaa, SkipFalse: 1})
	p.jump(snap)
	p.unless(0x0606, p.none)
	p.emit(bpf.LoadIndirect{Off: etherLen + 2, Size: 1})
	p.unless(3, p.none)
	p.skip(3)
	p.jump(p.ip)
	p.place(snap)
	p.emit(bpf.LoadIndirect{Off: etherLen + 2, Size: 4}) // control, and the organisation
	p.on(0x03000000, bridge)
	p.unless(0x030000f8, p.none)
	p.place(bridge)
	p.skip(8)
	p.emit(bpf.LoadIndirect{Off: 12, Size: 2}, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: unix.ETH_P_802_3_MIN, SkipFalse: 1})
	p.jump(p.none)
	p.jump(inner)

	p.place(pppoe)
	p.pppoe(mpls)
	p.place(nsh)
	p.nsh(mpls, inner)
	p.place(mpls)
	p.mpls(inner)
}

// pppoe emits the code that skips a PPPoE header (RFC 2516) and PPP.
func (p *fanout) pppoe(mpls label) {
	short, ppp := p.newLabel(), p.newLabel()
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 2}) // version and type, and the code for session data
	p.unless(0x1100, p.none)
	p.skip(6)
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 2})
	p.unless(0xff03, ppp)
	p.skip(2)
	p.place(ppp)
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 1}, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipFalse: 1})
	p.jump(short)
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 2})
	p.skipKeepA(2)
	p.on(0x0021, p.ip)
	p.on(0x0057, p.ip)
	p.on(0x0281, mpls)
	p.on(0x0283, mpls)
	p.jump(p.none)
	p.place(short)
	p.skipKeepA(1)
	p.on(0x21, p.ip)
	p.on(0x57, p.ip)
	p.jump(p.none)
}

// nsh emits the code that skips a network service header (RFC 8300).
func (p *fanout) nsh(mpls, inner label) {
	const next = 0 // scratch
	ether := p.newLabel()
	p.emit(
		bpf.LoadIndirect{Off: etherLen + 3, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: next},
		bpf.LoadIndirect{Off: etherLen + 1, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 63}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: next},
	)
	p.on(1, p.ip)
	p.on(2, p.ip)
	p.on(5, mpls)
	p.on(3, ether)
	p.jump(p.none)
	p.place(ether)
	p.skip(etherLen)
	p.emit(bpf.LoadIndirect{Off: 12, Size: 2})
	p.jump(inner)
}

// version loads an IP header's version into A.
func (p *fanout) version() {
	p.emit(bpf.LoadIndirect{Off: etherLen, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
}

// skip adds n to X. It changes A.
func (p *fanout) skip(n uint32) {
	p.emit(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{})
}

// skipKeepA adds n to X. It does not change A.
func (p *fanout) skipKeepA(n uint32) {
	const a = 2 // scratch
	p.emit(bpf.StoreScratch{Src: bpf.RegA, N: a})
	p.skip(n)
	p.emit(bpf.LoadScratch{Dst: bpf.RegA, N: a})
}

// sumWords sums n words from X + off into A. The order of the terms does not change a sum, which makes the hash
// symmetric.
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

// assembler builds a program. Its jumps are to labels, which may be further away than the 255 instructions that a
// conditional jump can skip.
type assembler struct {
	ins    []bpf.Instruction
	places []int         // of each label
	jumps  map[int]label // the instructions that jump to labels
}

type label int

func (a *assembler) newLabel() label {
	a.places = append(a.places, -1)
	return label(len(a.places) - 1)
}

// place puts label l before the next instruction.
func (a *assembler) place(l label) { a.places[l] = len(a.ins) }

func (a *assembler) emit(ins ...bpf.Instruction) { a.ins = append(a.ins, ins...) }

func (a *assembler) jump(to label) {
	if a.jumps == nil {
		a.jumps = make(map[int]label)
	}
	a.jumps[len(a.ins)] = to
	a.emit(bpf.Jump{})
}

// on emits a jump that is taken if A is v.
func (a *assembler) on(v uint32, to label) {
	a.emit(bpf.JumpIf{Val: v, SkipFalse: 1})
	a.jump(to)
}

// unless emits a jump that is taken if A is not v.
func (a *assembler) unless(v uint32, to label) {
	a.emit(bpf.JumpIf{Val: v, SkipTrue: 1})
	a.jump(to)
}

func (a *assembler) assemble() ([]bpf.RawInstruction, error) {
	ins := slices.Clone(a.ins)
	for at, to := range a.jumps {
		ins[at] = bpf.Jump{Skip: uint32(a.places[to] - at - 1)}
	}
	return bpf.Assemble(ins)
}
