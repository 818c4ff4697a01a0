package seedhash

import (
	"testing"

	"pktvisor/decode"
)

// TestSeed: two seeds hash differently, one seed always in the same way, and no two of many keys share a hash.
func TestSeed(t *testing.T) {
	a, b := New(), New()
	if a.Mix(1, 2) == b.Mix(1, 2) || a.Bytes([]byte("x")) == b.Bytes([]byte("x")) {
		t.Error("two seeds hash alike")
	}
	again := a
	if a.Mix(1, 2) != again.Mix(1, 2) || a.Bytes([]byte("x")) != again.Bytes([]byte("x")) {
		t.Error("a seed hashes a key in two ways")
	}
	seen := map[uint64]bool{}
	const n = 200_000
	for i := range uint64(n) {
		seen[a.Addr(decode.Addr{Hi: i >> 9, Lo: i & 511})] = true
	}
	if len(seen) != n {
		t.Errorf("%d keys share a hash", n-len(seen))
	}
}
