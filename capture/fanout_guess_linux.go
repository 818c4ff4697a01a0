package capture

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Nothing says what follows MPLS labels. Package decode requires proof that IP follows. Without proof it assumes an
// Ethernet frame, without or with a control word. The fanout program does the same, with two differences. It does not
// check whether the Ethernet frame contains a packet; this makes no difference if it does not. And if the data begins
// with a half byte of 0, it is an Ethernet frame only if there is an EtherType at its offset that fits what follows: that
// of IP before the right version, or that of a VLAN tag before a tag or IP. Otherwise it is a control word before an
// Ethernet frame. So the program is mistaken about a frame without a control word if its destination address begins
// with a half byte of 0 and it carries labels, PPPoE or LLC.

// The scratch slots of the guesses. Slots 0 to 2 have other uses. The hash runs after the guesses and reuses the slots.
const (
	guessBase = 3 + iota // X
	guessRoom            // bytes from the guessed packet's start to the frame's end
	guessHead            // its header's length
	guessSum
)

// mpls emits the code that skips labels (RFC 3032).
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

// proveIPv4 continues at ip if the header's checksum is right and its lengths fit, and at other otherwise.
func (p *fanout) proveIPv4(other label) {
	const fcs = 4 // bytes that package decode allows to be missing
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
	for range 2 { // add the carries
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

// guessNext are the protocols that follow an IPv6 header in practice, the same as in package decode.
var guessNext = []uint32{
	0, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 97, 103, 112, 115, 132, 135, 136, 137, 139, 140, 143,
}

// proveIPv6 continues at ip if the header's length fits the remaining bytes (except for padding), its hop limit is
// not 0, and its next header is in guessNext. It continues at other otherwise.
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

// controlWord skips a control word (RFC 4385). If an Ethernet frame starts there already, it continues at ether.
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
