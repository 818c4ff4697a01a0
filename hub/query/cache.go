package query

import (
	"crypto/sha256"
	"sync"

	"pktvisor/metric"
)

// cache keeps merges. Their keys contain the revisions of all that was merged.
type cache struct {
	most int // bytes

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*cached
	bytes   int
	clock   uint64
	none    bool // nothing is kept, because memory is short
}

type cached struct {
	bucket *metric.Bucket
	info   Info
	size   int
	used   uint64 // the clock at its last use
}

func newCache(most int) *cache {
	return &cache{most: most, entries: make(map[[sha256.Size]byte]*cached)}
}

func (c *cache) get(key [sha256.Size]byte) (*metric.Bucket, Info, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil, Info{}, false
	}
	c.clock++
	e.used = c.clock
	return e.bucket, e.info, true
}

// The memory of a merge is estimated by the stored bytes that it was made of: a snapshot takes about eight times as much
// when it is read. A merge takes no more than a full bucket.
const (
	expansion  = 8
	fullBucket = 6 << 20
	leastEntry = 64 << 10
)

// put keeps a merge of the given number of stored bytes. It drops those that were not used for longest.
func (c *cache) put(key [sha256.Size]byte, b *metric.Bucket, info Info, stored int) {
	size := leastEntry + min(expansion*stored, fullBucket)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok || size > c.most || c.none {
		return
	}
	for c.bytes+size > c.most {
		var oldest [sha256.Size]byte
		least := ^uint64(0)
		for k, e := range c.entries {
			if e.used < least {
				oldest, least = k, e.used
			}
		}
		c.bytes -= c.entries[oldest].size
		delete(c.entries, oldest)
	}
	c.clock++
	c.entries[key] = &cached{b, info, size, c.clock}
	c.bytes += size
}

// shed drops all merges, and keeps none until it is called with false.
func (c *cache) shed(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.none = on
	if on {
		clear(c.entries)
		c.bytes = 0
	}
}
