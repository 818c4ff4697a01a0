package sketch

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// BlindKeyLen is the length of the key of a [Blind] in bytes.
const BlindKeyLen = 16

// Blind replaces the fixed hashes of this package by others, which only those who have a key can compute. Without, somebody who has a
// sketch can find out whether a certain address or name was added to it: until there are many, a [Distinct] has nearly all
// bits of their hashes, and a [Spread] has 32 bits of each.
//
// A sketch with blind hashes counts the same keys, and merges with those of the same key. With others, a key that both have counts
// twice.
//
// A nil Blind leaves hashes as they are. A Blind may be used by one goroutine at a time.
type Blind struct {
	block cipher.Block
	buf   [aes.BlockSize]byte // a local array would escape
}

// NewBlind returns a Blind. If key is nil, so is the Blind.
func NewBlind(key *[BlindKeyLen]byte) *Blind {
	if key == nil {
		return nil
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong length
	}
	return &Blind{block: block}
}

// Word replaces a hash of [HashWord], [HashWords] or [HashItem].
func (b *Blind) Word(hash uint64) uint64 {
	if b == nil {
		return hash
	}
	return b.encrypt(hash, 0).h1
}

// Key replaces the [Hash] of a key. Different hashes stay different.
func (b *Blind) Key(hash Hashed) Hashed {
	if b == nil {
		return hash
	}
	return b.encrypt(hash.h1, hash.h2)
}

func (b *Blind) encrypt(h1, h2 uint64) Hashed {
	binary.LittleEndian.PutUint64(b.buf[:8], h1)
	binary.LittleEndian.PutUint64(b.buf[8:], h2)
	b.block.Encrypt(b.buf[:], b.buf[:])
	return Hashed{binary.LittleEndian.Uint64(b.buf[:8]), binary.LittleEndian.Uint64(b.buf[8:])}
}
