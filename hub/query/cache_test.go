package query

import (
	"crypto/sha256"
	"testing"

	"pktvisor/metric"
)

// TestCacheSheds: while memory is short, merges are dropped and none is kept.
func TestCacheSheds(t *testing.T) {
	c := newCache(10 << 20)
	key := func(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
	has := func(s string) bool { _, _, ok := c.get(key(s)); return ok }
	put := func(s string) { c.put(key(s), new(metric.Bucket), Info{}, 1000) }
	put("a")
	if !has("a") || c.bytes == 0 {
		t.Fatal("a merge is not kept")
	}
	c.shed(true)
	put("b")
	if has("a") || has("b") || c.bytes != 0 {
		t.Errorf("a %v, b %v, %d bytes are kept while memory is short", has("a"), has("b"), c.bytes)
	}
	c.shed(false)
	put("c")
	if has("a") || !has("c") {
		t.Errorf("afterwards: a %v, c %v", has("a"), has("c"))
	}
}
