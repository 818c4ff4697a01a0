package sketch

import (
	"encoding/binary"
	"math/bits"
)

// hashSeed is the default seed of all DataSketches libraries.
const hashSeed = 9001

const (
	murmurC1 = 0x87c37b91114253d5
	murmurC2 = 0x4cf5ad432745937f
)

// Hash returns the 128-bit MurmurHash3 (x64) of key with the seed 9001. [Distinct.AddHash] takes this hash, for keys
// that are added to several sketches. The hash is fixed, and an attacker can craft keys that collide. So it must not
// index a table.
func Hash(key []byte) (h1, h2 uint64) {
	h1, h2 = hashSeed, hashSeed
	b := key
	for ; len(b) >= 16; b = b[16:] {
		h1 ^= mixK1(binary.LittleEndian.Uint64(b))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mixK2(binary.LittleEndian.Uint64(b[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	if n := len(key); n >= 8 {
		// The number of bytes left cannot be predicted, so there is no branch on it: no bytes at all mix to 0.
		second := max(len(b)-8, 0)
		h2 ^= mixK2(lastBytes(key, n, second))
		h1 ^= mixK1(lastBytes(key, n-second, len(b)-second))
	} else {
		h1 ^= mixK1(tail(b))
	}
	h1 ^= uint64(len(key))
	h2 ^= uint64(len(key))
	h1 += h2
	h2 += h1
	h1 = finalMix(h1)
	h2 = finalMix(h2)
	h1 += h2
	h2 += h1
	return h1, h2
}

// lastBytes returns the last n bytes, at most eight, of the first end bytes of key, as a little-endian number. end
// must be at least eight.
func lastBytes(key []byte, end, n int) uint64 {
	return binary.LittleEndian.Uint64(key[end-8:end]) >> (64 - 8*uint(n))
}

// tail returns the bytes of b, at most seven, as a little-endian number.
func tail(b []byte) uint64 {
	var k uint64
	for i := len(b) - 1; i >= 0; i-- {
		k = k<<8 | uint64(b[i])
	}
	return k
}

func mixK1(k uint64) uint64 { return bits.RotateLeft64(k*murmurC1, 31) * murmurC2 }

func mixK2(k uint64) uint64 { return bits.RotateLeft64(k*murmurC2, 33) * murmurC1 }

func finalMix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}

// HashWord returns a fixed hash of 64 bits. Like [Hash], it must not index a table. It mixes well enough for a [Distinct], and
// takes a tenth of the time. kind makes different hashes of equal words.
func HashWord(word uint64, kind uint64) uint64 { return finalMix(word ^ (kind+1)*0x9e3779b97f4a7c15) }

// HashWords does the same for two words.
func HashWords(a, b uint64, kind uint64) uint64 { return HashWord(a*0xd6e8feb86659fd93^b, kind) }

// HashItem returns a fixed hash of an item for [ItemOf]. It takes half the time of [Hash].
func HashItem(item []byte) uint64 {
	const odd = 0xd6e8feb86659fd93
	h := uint64(len(item)+1) * odd
	rest := item
	for ; len(rest) >= 8; rest = rest[8:] {
		high, low := bits.Mul64(h^binary.LittleEndian.Uint64(rest), odd)
		h = high ^ low
	}
	if len(rest) > 0 {
		word := tail(rest)
		if n := len(item); n >= 8 {
			word = lastBytes(item, n, len(rest))
		}
		high, low := bits.Mul64(h^word^odd>>1, odd)
		h = high ^ low
	}
	return finalMix(h)
}

// ItemOf returns a hash of a pair for [Spread.AddPair]. Both hashes must be well mixed and belong to this kind of pair only, as those of
// [HashWord] and [HashItem].
func ItemOf(key, item uint64) uint32 { return uint32((key ^ item) * 0x9e3779b97f4a7c15 >> 32) }
