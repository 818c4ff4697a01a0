package capture

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Behind MPLS labels nothing says what follows. Package decode has a packet prove itself, and takes what cannot for an Ethernet
// frame, without a control word or with one. The fanout program does the same, with two differences: it does not look whether the
// Ethernet frame has a packet, which changes nothing where there is none; and what begins with a half byte of 0 is an Ethernet frame
// where the EtherType of IP stands in its place and the right version behind it, or that of a VLAN tag with a tag or IP behind it, and
// a control word before one otherwise. So a frame without a control word to an address that begins so is mistaken if it carries
// labels, PPPoE or LLC.

// Scratch memory of the guesses. The hash begins with memory of its own.
const (
	guessBase = 3 + iota // X
	guessRoom            // bytes from the guessed packet's start to the frame's end
	guessHead            // its header's length
	guessSum
)

// mpls writes the way through labels (RFC 3032).
func (p *fanout) mpls(inner label) {
	bottom, v4, v6, zero, ether := p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel()
	for range fanoutTags {
		p.emit(bpf.LoadIndirect{Off: etherLen + 2, Size: 1})
		p.skipKeepA(4)
		p.emit(bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipFalse: 1})
		p.jump(bottom)
	}
	p.jump(p.none)
	p.place(bottom)
	p.emit(
		bpf.TXA{}, bpf.StoreScratch{Src: bpf.RegA, N: guessBase},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.ALUOpX{Op: bpf.ALUOpSub}, bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: etherLen}, bpf.StoreScratch{Src: bpf.RegA, N: guessRoom},
	)
	p.version()
	p.on(0, zero)
	p.on(4, v4)
	p.on(6, v6)
	p.jump(ether)
	p.place(v4)
	p.proveIPv4(ether)
	p.place(v6)
	p.proveIPv6(ether)
	p.place(zero)
	p.controlWord(ether)
	p.place(ether)
	p.emit(bpf.LoadScratch{Dst: bpf.RegX, N: guessBase})
	p.skip(etherLen)
	p.emit(bpf.LoadIndirect{Off: 12, Size: 2})
	p.jump(inner)
}

// proveIPv4 goes on at ip if the header's checksum is right and its lengths fit, and at other otherwise.
func (p *fanout) proveIPv4(other label) {
	const fcs = 4 // bytes that package decode does not miss
	sum, fold := p.newLabel(), p.newLabel()
	base, room, head := bpf.LoadScratch{Dst: bpf.RegX, N: guessBase}, bpf.LoadScratch{Dst: bpf.RegX, N: guessRoom}, bpf.LoadScratch{Dst: bpf.RegX, N: guessHead}
	p.emit(
		bpf.LoadIndirect{Off: etherLen, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 15}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.StoreScratch{Src: bpf.RegA, N: guessHead},
		room,
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 20, SkipTrue: 1},
		bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipFalse: 1},
	)
	p.jump(other)
	p.emit(base, bpf.LoadIndirect{Off: etherLen + 2, Size: 2}) // total length
	p.on(0, sum)
	p.emit(head, bpf.JumpIfX{Cond: bpf.JumpLessThan, SkipTrue: 3}, bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: fcs},
		room, bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipFalse: 1})
	p.jump(other)
	p.place(sum)
	p.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: guessSum})
	for off := uint32(0); off < 60; off += 2 {
		if off >= 20 && off%4 == 0 {
			p.emit(bpf.LoadScratch{Dst: bpf.RegA, N: guessHead})
			p.on(off, fold)
		}
		p.emit(base, bpf.LoadIndirect{Off: etherLen + off, Size: 2},
			bpf.LoadScratch{Dst: bpf.RegX, N: guessSum}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.StoreScratch{Src: bpf.RegA, N: guessSum})
	}
	p.place(fold)
	for range 2 { // the carries
		p.emit(
			bpf.LoadScratch{Dst: bpf.RegA, N: guessSum}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.TAX{},
			bpf.LoadScratch{Dst: bpf.RegA, N: guessSum}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffff},
			bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.StoreScratch{Src: bpf.RegA, N: guessSum},
		)
	}
	p.emit(base)
	p.unless(0xffff, other)
	p.jump(p.ip)
}

// guessNext are the protocols that an IPv6 header has next in practice: those of package decode.
var guessNext = []uint32{
	0, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 97, 103, 112, 115, 132, 135, 136, 137, 139, 140, 143,
}

// proveIPv6 goes on at ip if the header's length is the room's but for padding, its hop limit is not 0, and its next header is
// one that is in use; and at other otherwise.
func (p *fanout) proveIPv6(other label) {
	const headLen, padding = 40, 46
	base, room := bpf.LoadScratch{Dst: bpf.RegX, N: guessBase}, bpf.LoadScratch{Dst: bpf.RegX, N: guessRoom}
	p.emit(
		bpf.LoadIndirect{Off: etherLen + 4, Size: 2}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: headLen},
		room, bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipTrue: 2},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: padding},
		bpf.JumpIfX{Cond: bpf.JumpLessThan, SkipFalse: 1},
	)
	p.jump(other)
	p.emit(base, bpf.LoadIndirect{Off: etherLen + 7, Size: 1})
	p.on(0, other)
	p.emit(bpf.LoadIndirect{Off: etherLen + 6, Size: 1})
	for _, v := range guessNext {
		p.on(v, p.ip)
	}
	p.jump(other)
}

// controlWord passes a control word (RFC 4385), unless an Ethernet frame is there already; then it goes on at ether.
func (p *fanout) controlWord(ether label) {
	v4, v6, tag, word := p.newLabel(), p.newLabel(), p.newLabel(), p.newLabel()
	p.emit(bpf.LoadIndirect{Off: etherLen + 12, Size: 2})
	p.on(unix.ETH_P_IP, v4)
	p.on(unix.ETH_P_IPV6, v6)
	for _, v := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD, unix.ETH_P_QINQ1} {
		p.on(v, tag)
	}
	p.jump(word)
	p.place(tag)
	p.emit(bpf.LoadIndirect{Off: etherLen + 16, Size: 2})
	for _, v := range []uint32{unix.ETH_P_IP, unix.ETH_P_IPV6, unix.ETH_P_8021Q, unix.ETH_P_8021AD, unix.ETH_P_QINQ1} {
		p.on(v, ether)
	}
	p.jump(word)
	for _, ip := range []struct {
		at      label
		version uint32
	}{{v4, 4}, {v6, 6}} {
		p.place(ip.at)
		p.emit(bpf.LoadIndirect{Off: 2 * etherLen, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
		p.on(ip.version, ether)
		p.jump(word)
	}
	p.place(word)
	p.skip(4)
	p.emit(bpf.TXA{}, bpf.StoreScratch{Src: bpf.RegA, N: guessBase})
}
