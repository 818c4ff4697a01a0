package anon

import (
	"crypto/aes"
	"crypto/cipher"
	"net/netip"
)

// KeyLen is the length of a key of Crypto-PAn in bytes: that of AES-128, and a block from which the padding is made.
const KeyLen = 32

// pan is Crypto-PAn (Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", 2002; RFC 8932, appendix B): addresses
// with the same first n bits have pseudonyms with the same first n bits. For IPv6, it does with 128 bits what the original does
// with 32, as other implementations do.
type pan struct {
	block cipher.Block
	pad   [aes.BlockSize]byte
	in    [aes.BlockSize]byte // local arrays would escape
	out   [aes.BlockSize]byte
}

func newPan(key *[KeyLen]byte) *pan {
	block, err := aes.NewCipher(key[:KeyLen/2])
	if err != nil {
		panic(err) // only for a wrong length
	}
	p := &pan{block: block}
	block.Encrypt(p.pad[:], key[KeyLen/2:])
	return p
}

// addr returns the pseudonym of an address: of IPv4 for an IPv4 address.
func (p *pan) addr(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		p.bits(b[:], 32)
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	p.bits(b[:], 128)
	return netip.AddrFrom16(b)
}

// bits replaces the first n bits of an address, or of the beginning of one, by those of its pseudonym. Bit i is flipped if the
// cipher says so of the i bits before it, followed by the rest of the padding.
func (p *pan) bits(b []byte, n int) {
	p.in = p.pad
	for i := range n {
		at, bit := i/8, byte(0x80)>>(i%8)
		p.block.Encrypt(p.out[:], p.in[:])
		was := b[at] & bit
		p.in[at] = p.in[at]&^bit | was
		if p.out[0]&0x80 != 0 {
			b[at] ^= bit
		}
	}
}
