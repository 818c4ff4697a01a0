// Package seedhash hashes the keys of tables whose keys come from the network. It uses a secret that each process
// draws anew, so that an attacker cannot choose keys that collide. Nothing that leaves the process may depend on such
// a hash.
package seedhash

import (
	"hash/maphash"
	"math/bits"

	"pktvisor/decode"
)

// Seed is a secret. Its zero value is not valid: use [New].
type Seed struct {
	bytes      maphash.Seed
	a, b, c, d uint64
}

// New draws a seed.
func New() Seed {
	random := func() uint64 { return maphash.Bytes(maphash.MakeSeed(), nil) | 1 }
	return Seed{bytes: maphash.MakeSeed(), a: random(), b: random(), c: random(), d: random()}
}

// Bytes hashes a key of bytes.
func (s *Seed) Bytes(key []byte) uint64 { return maphash.Bytes(s.bytes, key) }

// fold multiplies x and y, which mixes their bits, and folds the product into 64 bits.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// Words hashes four words.
func (s *Seed) Words(w, x, y, z uint64) uint64 {
	return fold(fold(w^s.a, x^s.b)^s.c, fold(y^s.c, z^s.d)^s.a)
}

// Words5 hashes five words.
func (s *Seed) Words5(w, x, y, z, v uint64) uint64 {
	return fold(fold(w^s.a, x^s.b)^v, fold(y^s.c, z^s.d)^s.a)
}

// Pair hashes two words, for [Seed.Join].
func (s *Seed) Pair(x, y uint64) uint64 { return fold(x^s.a, y^s.b) }

// Join combines two hashes of [Seed.Pair] and a word into one hash. Where only the word differs, and in few bits, the result
// of one multiplication would have lower bits that are too regular to find a place in a table by.
func (s *Seed) Join(x, y, word uint64) uint64 { return fold(fold(x^word, y^s.c)^s.b, s.d) }

// Mix combines two words into one hash.
func (s *Seed) Mix(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x^s.a, y^s.b)
	return fold(hi^s.c, lo^s.a)
}

// Addr hashes an address.
func (s *Seed) Addr(a decode.Addr) uint64 { return s.Mix(a.Hi, a.Lo) }
