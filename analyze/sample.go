package analyze

import (
	"math"
	"math/bits"

	"pktvisor/decode"
	"pktvisor/metric"
)

// Sampler decides which packets and messages are analysed deeply. It decides by the pair of addresses and by nothing else. So
// all packets between two hosts, in both directions, are in the sample or out of it: a query and its response, the segments of a
// stream, all fragments of a datagram. A smaller sample is a part of a greater one.
//
// The seed decides which pairs these are. With a secret seed, a sender cannot choose addresses that stay out of the tables.
//
// After a change of the share, some pairs are in the sample whose queries were not, or the other way round. For such a pair, a
// response counts only if its query waits for it. So a change makes neither timeouts nor orphans.
//
// A Sampler belongs to one shard.
type Sampler struct {
	seed uint32
	// kernel says that the hash is that of the program in the kernel, package capture/count.
	kernel bool
	share  metric.Share
	below  uint64 // pairs whose hash, of 32 bits, is below this are in the sample
	// Pairs whose hash is from low to high have joined or left the sample lately, until a time in nanoseconds.
	low, high uint64
	until     int64
}

// NewSampler returns a sampler of the given percentage of pairs, from 0 to 100, with the seed 0.
func NewSampler(percent int) *Sampler { return SeededSampler(0, metric.Percent(percent)) }

// SeededSampler returns a sampler with a seed.
func SeededSampler(seed uint32, share metric.Share) *Sampler {
	s := &Sampler{seed: seed}
	s.set(share)
	s.low, s.high = s.below, s.below
	return s
}

// KernelSampler returns a sampler that decides as the program of package capture/count does with the same seed and the
// [Threshold] of the share.
func KernelSampler(seed uint32, share metric.Share) *Sampler {
	s := SeededSampler(seed, share)
	s.kernel = true
	return s
}

// Threshold returns the number of 32 bits below which a hash is in a sample. All ones stand for everything.
func Threshold(share metric.Share) uint32 {
	return uint32(min(below(share), math.MaxUint32))
}

// below returns the number below which a hash of 32 bits is in a sample.
func below(share metric.Share) uint64 {
	return uint64(min(share, metric.Whole)) << 32 / uint64(metric.Whole)
}

func (s *Sampler) set(share metric.Share) {
	s.share, s.below = min(share, metric.Whole), below(share)
}

// SetShare changes the share of the pairs that are in the sample, at a time in nanoseconds. Responses may wait for their query
// for the timeout. Flush everything that was counted before: see [metric.SampleCounts].
func (s *Sampler) SetShare(share metric.Share, now, timeout int64) {
	s.Settle(now)
	s.low, s.high = min(s.low, s.below), max(s.high, s.below)
	s.set(share)
	s.low, s.high = min(s.low, s.below), max(s.high, s.below)
	s.until = now + timeout
}

// Settle tells the sampler the time. Once the last change is long ago, no pair has joined or left lately.
func (s *Sampler) Settle(now int64) {
	if s.low != s.high && now > s.until {
		s.low, s.high = s.below, s.below
	}
}

// Seed returns the seed. Do not show it to anybody.
func (s *Sampler) Seed() uint32 { return s.seed }

// Share returns the share of the pairs that are in the sample.
func (s *Sampler) Share() metric.Share { return s.share }

// All reports whether everything is analysed deeply, and was before.
func (s *Sampler) All() bool { return s.share == metric.Whole && s.low == s.high }

// Packet reports whether a packet is analysed deeply. class is the class of its pair: see [metric.Load].
func (s *Sampler) Packet(p *Packet) (class uint32, in bool) {
	h := s.hash(p.Src, p.Dst)
	return h % metric.LoadClasses, uint64(h) < s.below
}

// Pair reports whether what passes between two addresses is analysed deeply, and whether that has changed lately. class is as in
// [Sampler.Packet].
func (s *Sampler) Pair(a, b decode.Addr) (class uint32, in, changed bool) {
	h := s.hash(a, b)
	return h % metric.LoadClasses, uint64(h) < s.below, uint64(h) >= s.low && uint64(h) < s.high
}

func (s *Sampler) hash(a, b decode.Addr) uint32 {
	if s.kernel {
		return s.kernelHash(a, b)
	}
	h := a.PairHash(b) ^ s.seed
	h ^= h >> 16
	h *= 0x7feb352d // Chris Wellons' lowbias32 constants: github.com/skeeto/hash-prospector
	h ^= h >> 15
	h *= 0x846ca68b
	h ^= h >> 16
	return h
}

// kernelHash is the hash of capture/count/program/count.c: the finalizer of MurmurHash3, of the sum of the addresses' words as a
// little-endian CPU reads them. Pairs with the same sum are in the sample together. They have the same class, so the bounds
// account for that.
func (s *Sampler) kernelHash(a, b decode.Addr) uint32 {
	h := s.seed + words(a) + words(b)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// words sums up the words of an address.
func words(a decode.Addr) uint32 {
	sum := bits.ReverseBytes32(uint32(a.Lo))
	if !a.Is4() {
		sum += bits.ReverseBytes32(uint32(a.Lo>>32)) + bits.ReverseBytes32(uint32(a.Hi)) + bits.ReverseBytes32(uint32(a.Hi>>32))
	}
	return sum
}
