package arp

import (
	"testing"
	"time"
)

// TestClaims: an address is in conflict while two hardware addresses have claimed it within five minutes, and as long as
// it is remembered.
func TestClaims(t *testing.T) {
	const minute = int64(time.Minute)
	var c claims
	step := func(what string, want int) {
		t.Helper()
		if int(c.conflicts) != want {
			t.Errorf("%s: %d conflicts, want %d", what, c.conflicts, want)
		}
	}
	c.add(7, 1, 0xa, 10*minute)
	c.add(7, 1, 0xa, 11*minute)
	step("one claims twice", 0)
	c.add(7, 1, 0xb, 16*minute)
	step("another five minutes later", 0)
	c.add(7, 1, 0xa, 17*minute)
	c.add(7, 1, 0xb, 18*minute)
	step("both", 1)
	c.add(8, 2, 0xa, 18*minute)
	c.add(8, 2, 0xc, 18*minute)
	step("two addresses", 2)
	c.add(7+numClaims, 3, 0xa, 19*minute)
	step("one is forgotten", 1)
	c.expire(23*minute - 1)
	step("before it ends", 1)
	c.expire(23 * minute)
	c.expire(24 * minute)
	step("it ends", 0)
}
