package agent

import (
	"runtime"
	"slices"
	"sync"

	"pktvisor/capture"
)

// The size of a parcel, unless one frame is longer, and how many there are. Few are used, again and again,
// so that they stay in the CPU's caches; more while a shard is busy with a flush and the others go on.
const (
	parcelBytes  = 64 << 10
	parcelFrames = 512
	parcelMarks  = 16
	parcelsAhead = 4  // of each shard, while all shards read on
	maxParcels   = 48 // for each shard
)

// parcel is frames for one shard, and the steps of the clock between them. They lie in memory of the
// parcel's own: one that other frames lie between, read and looked at by another CPU, would be slow to read.
type parcel struct {
	frames [parcelFrames]parcelFrame
	n      int // of them are in use
	buf    []byte
	used   int // bytes of it
	marks  []mark
}

// parcelFrame is a [capture.Frame] whose bytes lie in the parcel, from start to end.
type parcelFrame struct {
	time       int64
	start, end uint32
	wireLen    uint32
	link       capture.LinkType
}

// mark is a step of the clock before frame at of a parcel.
type mark struct {
	at   int
	step step
}

func newParcel() *parcel {
	return &parcel{buf: make([]byte, parcelBytes), marks: make([]mark, 0, parcelMarks)}
}

// add copies a frame into the parcel, unless there is no room.
func (p *parcel) add(f *capture.Frame) bool {
	if p.n == len(p.frames) || len(f.Data) > len(p.buf)-p.used {
		if p.n > 0 {
			return false
		}
		p.buf = make([]byte, len(f.Data))
	}
	to := &p.frames[p.n]
	to.time, to.wireLen, to.link = f.Time, f.WireLen, f.Link
	to.start = uint32(p.used)
	p.used += copy(p.buf[p.used:], f.Data)
	to.end = uint32(p.used)
	p.n++
	return true
}

// mark adds a step of the clock, unless there is no room.
func (p *parcel) mark(st step) bool {
	if len(p.marks) == cap(p.marks) {
		return false
	}
	p.marks = append(p.marks, mark{p.n, st})
	return true
}

func (p *parcel) reset() {
	if len(p.buf) > parcelBytes {
		p.buf = make([]byte, parcelBytes)
	}
	p.n, p.used, p.marks = 0, 0, p.marks[:0]
}

// exchange is where the reader of a file hands parcels to the shards, and gets them back.
type exchange struct {
	to []chan *parcel

	mu    sync.Mutex
	more  sync.Cond // wanted may have become true
	free  []*parcel
	made  int
	ahead []int // of each shard, how many parcels it is not done with
}

func newExchange(shards int) *exchange {
	x := &exchange{ahead: make([]int, shards)}
	x.more.L = &x.mu
	for range shards {
		x.to = append(x.to, make(chan *parcel, shards*maxParcels)) // never full
	}
	return x
}

// wanted tells whether the reader is to fill one more parcel: there is one, and some shard may soon have
// nothing to do.
func (x *exchange) wanted() bool {
	return (len(x.free) > 0 || x.made < len(x.to)*maxParcels) && slices.Min(x.ahead) < parcelsAhead
}

// take waits until one more parcel is wanted, and returns an empty one: that which was used last, as it may
// still be in a cache.
func (x *exchange) take() *parcel {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.wanted() {
		x.more.Wait()
	}
	n := len(x.free)
	if n == 0 {
		x.made++
		return newParcel()
	}
	p := x.free[n-1]
	x.free = x.free[:n-1]
	return p
}

// send gives a shard a parcel.
func (x *exchange) send(shard int, p *parcel) {
	x.mu.Lock()
	x.ahead[shard]++
	x.mu.Unlock()
	x.to[shard] <- p
}

// done takes back a parcel that a shard is done with.
func (x *exchange) done(shard int, p *parcel) {
	p.reset()
	x.mu.Lock()
	x.free = append(x.free, p)
	x.ahead[shard]--
	wanted := x.wanted()
	x.mu.Unlock()
	if wanted {
		// The reader goes on in this shard's place, which has some work left: it would else wait until a shard
		// has none.
		x.more.Signal()
		runtime.Gosched()
	}
}

// close tells the shards that there is nothing more to come.
func (x *exchange) close() {
	for _, to := range x.to {
		close(to)
	}
}
