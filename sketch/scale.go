package sketch

import "math/bits"

// Scale is the scale of every histogram, as OpenTelemetry uses the word: buckets grow by a factor of 2^(1/2^Scale) =
// 1.0109. Prometheus calls it the schema of a native histogram.
const Scale = 6

const (
	perOctave    = 1 << Scale
	numPositions = 64*perOctave + 1
	numSparse    = 409 // the positions before this one may hold no integer
)

// In this package, a bucket is identified by its position: its OpenTelemetry index plus one. Values from 1 to 2^64-1
// have the positions 0 (1 alone) to 4096. The bucket at position p holds the values above 2^((p-1)/64) up to and
// including 2^(p/64).

// boundaries are the floors of 2^63 times 2^(j/64): the lower boundaries of an octave's buckets. The last is above
// any mantissa. All but the first are irrational, so an integer exceeds the boundary exactly if it exceeds its floor.
var boundaries = [perOctave + 1]uint64{
	0x8000000000000000, 0x8164d1f3bc030773, 0x82cd8698ac2ba1d7, 0x843a28c3acde4046,
	0x85aac367cc487b14, 0x871f61969e8d1010, 0x88980e8092da8527, 0x8a14d575496efd9a,
	0x8b95c1e3ea8bd6e6, 0x8d1adf5b7e5ba9e5, 0x8ea4398b45cd53c0, 0x9031dc431466b1dc,
	0x91c3d373ab11c336, 0x935a2b2f13e6e92b, 0x94f4efa8fef70961, 0x96942d3720185a00,
	0x9837f0518db8a96f, 0x99e0459320b7fa64, 0x9b8d39b9d54e5538, 0x9d3ed9a72cffb750,
	0x9ef5326091a111ad, 0xa0b0510fb9714fc2, 0xa27043030c496818, 0xa43515ae09e6809e,
	0xa5fed6a9b15138ea, 0xa7cd93b4e9653569, 0xa9a15ab4ea7c0ef8, 0xab7a39b5a93ed337,
	0xad583eea42a14ac6, 0xaf3b78ad690a4374, 0xb123f581d2ac258f, 0xb311c412a9112489,
	0xb504f333f9de6484, 0xb6fd91e328d17791, 0xb8fbaf4762fb9ee9, 0xbaff5ab2133e45fb,
	0xbd08a39f580c36be, 0xbf1799b67a731082, 0xc12c4cca66709456, 0xc346ccda24976407,
	0xc5672a115506dadd, 0xc78d74c8abb9b15c, 0xc9b9bd866e2f27a2, 0xcbec14fef2727c5c,
	0xce248c151f8480e3, 0xd06333daef2b2594, 0xd2a81d91f12ae45a, 0xd4f35aabcfedfa1f,
	0xd744fccad69d6af4, 0xd99d15c278afd7b5, 0xdbfbb797daf23755, 0xde60f4825e0e9123,
	0xe0ccdeec2a94e111, 0xe33f8972be8a5a51, 0xe5b906e77c8348a8, 0xe8396a503c4bdc68,
	0xeac0c6e7dd24392e, 0xed4f301ed9942b84, 0xefe4b99bdcdaf5cb, 0xf281773c59ffb139,
	0xf5257d152486cc2c, 0xf7d0df730ad13bb8, 0xfa83b2db722a033a, 0xfd3e0c0cf486c174,
	0xffffffffffffffff,
}

// cell is what a mantissa's first eight bits say about its position within the octave.
type cell struct {
	below    uint64 // boundaries below the cell's smallest mantissa
	boundary uint64 // the next boundary, inside the cell or beyond it
}

// cells are indexed by the seven bits after a mantissa's first bit. A cell, 1/128 wide, is narrower than any bucket
// (1/92 at least), so it contains at most one boundary.
var cells = makeCells()

func makeCells() (cells [2 * perOctave]cell) {
	j := 0
	for i := range cells {
		for boundaries[j] < 1<<63|uint64(i)<<56 {
			j++
		}
		cells[i] = cell{uint64(j), boundaries[j]}
	}
	return cells
}

// position returns the position of the bucket of v, which must not be 0.
func position(v uint64) int {
	octave := bits.Len64(v) - 1
	m := v << ((63 - octave) & 63) // with the mask, the compiler omits a check of the shift
	c := &cells[m>>56&(2*perOctave-1)]
	_, above := bits.Sub64(c.boundary, m, 0) // 1 if the boundary is below m
	return octave*perOctave + int(c.below+above)
}

// positionRange returns the smallest and the greatest integer in the bucket at p. Some buckets below position 409
// hold no integer: for them first is greater than last.
func positionRange(p int) (first, last uint64) {
	if p == 0 {
		return 1, 1
	}
	octave, j := (p-1)/perOctave, (p-1)%perOctave
	first = boundaries[j]>>(63-octave) + 1
	switch {
	case j < perOctave-1:
		last = boundaries[j+1] >> (63 - octave)
	case octave < 63:
		last = 2 << octave
	default:
		last = 1<<64 - 1
	}
	return first, last
}

// holdsInteger reports whether the bucket at p holds any integer.
func holdsInteger(p int) bool {
	first, last := positionRange(p)
	return first <= last
}
