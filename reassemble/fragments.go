// Package reassemble puts back together what the network cut up: datagrams from IP fragments
// ([Fragments]) and DNS messages from TCP segments ([Streams]).
//
// What cannot be put together is given out by what there is of it, if that is its start: once,
// and soon enough for its query to be waiting still.
//
// Both work within a budget of memory that is allocated at once and never grows, whatever
// arrives; what does not fit evicts the oldest. They measure time by the packets' own. Neither
// allocates per packet, keeps a reference to a frame, or checks checksums. A value belongs to
// one goroutine.
package reassemble

import (
	"bytes"

	"pktvisor/decode"
)

const (
	// fragmentTimeout is how long a datagram may take from its first fragment to arrive, in
	// nanoseconds. RFC 8200 (section 4.5) would wait 60 s; Linux takes 30.
	fragmentTimeout = 30e9
	// maxFragmentPieces bounds the pieces of a datagram: 64 KiB in fragments as small as a
	// link of 576 bytes makes them.
	maxFragmentPieces = 128
	// headLen is how much of two first fragments is compared to tell their datagrams apart:
	// an extension header, the UDP header and the DNS header.
	headLen = 28

	maxDatagram = 65535
)

// FragmentsConfig bounds Fragments. Zero means the default.
type FragmentsConfig struct {
	MaxBytes  int   // at least 192 KiB, the default
	WaitNanos int64 // how long a datagram whose first fragment is there waits for the others; 1 s
	// Datagram is called with each datagram. It must not call the Fragments.
	Datagram func(d *Datagram)
}

// Datagram is an IP datagram that came in fragments.
type Datagram struct {
	Src, Dst decode.Addr
	Version  uint8
	Proto    uint8 // of what Bytes start with, by the first fragment
	Tag      uint8 // see [Fragments.Add]
	Time     int64 // of the first fragment: the one that the datagram starts with
	Size     int   // of what follows the IP headers; 0 where it is not known
	// Bytes are what follows the IP headers, as far as it is there without a hole: all of it,
	// or at least the captured part of the first fragment. They are valid during the call.
	Bytes []byte
}

// Fragments reassembles fragmented IP datagrams (RFC 791, section 3.2; RFC 8200, section 4.5).
// Overlapping fragments lose to the bytes that came before them in IPv4, and spoil their
// datagram in IPv6 (RFC 5722); repeated ones are ignored.
//
// Each datagram whose first fragment was captured comes out once: when it is whole, when the
// time to wait is over, or when nothing more can be had of it. A first fragment with other
// content, or long after that of a datagram that came out, is another datagram's of the same
// identification.
type Fragments struct {
	cfg   FragmentsConfig
	table lru[datagram]
	pool  pool
	now   int64 // the packets' time
	out   []byte
	give  Datagram
	stats FragmentsStats
}

// queueRest is the queue of the datagrams whose first fragment is there.
const queueRest = 1

// FragmentsStats counts datagrams since the start.
type FragmentsStats struct {
	Incomplete uint64 // given out without being whole
	Headless   uint64 // given up without their first fragment
	Evicted    uint64 // of the two before, those given up for others, or cut into too many pieces
}

type datagram struct {
	list
	time    int64  // of the fragment that came first
	head    int64  // of the first fragment
	have    uint32 // bytes
	end     uint32 // of the furthest fragment
	total   uint32 // 0 before the last fragment is seen
	proto   uint8
	version uint8
	tag     uint8
	starts  [headLen]byte // what the first fragment starts with
	headed  bool          // the first fragment is there
	broken  bool          // some of it was not captured, or makes no sense: it cannot become whole
	done    bool          // it came out, and waits for its time to end, so that its other fragments are no new datagram
}

// NewFragments returns Fragments within cfg's bounds.
func NewFragments(cfg FragmentsConfig) *Fragments {
	if cfg.WaitNanos <= 0 {
		cfg.WaitNanos = endTimeout
	}
	// Datagrams that are done need no block; there may be more of them.
	const perEntry = 170 // with its share of the hash table
	const entriesPerBlock = 2
	blocks := (max(cfg.MaxBytes, 192<<10) - maxDatagram) / (blockSize + entriesPerBlock*perEntry)
	return &Fragments{
		cfg:   cfg,
		table: newLRU[datagram](entriesPerBlock * blocks),
		pool:  newPool(blocks * blockSize),
		out:   make([]byte, 0, maxDatagram),
	}
}

// Stats returns the counters.
func (f *Fragments) Stats() FragmentsStats { return f.stats }

// Add takes the fragment p of frame, and gives out the datagram that becomes whole with it.
// Packets that are no fragments are ignored. The tag, whatever it means, comes with the datagram
// if p is the first fragment.
func (f *Fragments) Add(p *decode.Packet, frame []byte, tag uint8) {
	pos := uint32(p.FragOffset)
	end := pos + p.PayloadLen
	if p.Flags&decode.FlagFragment == 0 || p.PayloadLen == 0 || end > maxDatagram {
		return
	}
	b := frame[p.Payload : p.Payload+p.CapLen]
	f.Tick(p.Time)
	i := f.entry(p, b)
	d := f.table.val(i)
	if d.done {
		return
	}
	if pos == 0 && !d.headed {
		d.headed, d.head, d.proto, d.tag = true, p.Time, p.FragProto, tag
		copy(d.starts[:], b)
		f.table.enqueue(i, queueRest, f.now)
	}
	cut := p.CapLen < p.PayloadLen || p.FragMore && p.PayloadLen%8 != 0
	d.broken = d.broken || cut
	conflict := !p.FragMore && d.total != 0 && d.total != end
	d.end = max(d.end, end)
	if !p.FragMore && !conflict {
		d.total = end
	}
	if conflict || d.total != 0 && d.end > d.total {
		f.giveUp(i)
		return
	}
	for f.pool.left() < len(b)/blockSize+2 && f.evictOther(i) {
	}
	stored, fits := f.pool.insert(&d.list, 0, run{pos: pos, data: b, time: p.Time}, false, maxFragmentPieces)
	d.have += uint32(stored)
	switch {
	case !fits:
		f.stats.Evicted++
		f.giveUp(i)
	case stored != 0 && stored != len(b): // it overlaps others (RFC 5722)
		if p.Version == 6 {
			f.giveUp(i)
		}
	case cut && pos == 0: // what there is will not become more
		f.giveUp(i)
	}
	if !d.done && !d.broken && d.total != 0 && d.have >= d.total {
		f.end(i)
	}
}

// Ignore takes a first fragment of a datagram that nobody wants to have, so that its other
// fragments need no room.
func (f *Fragments) Ignore(p *decode.Packet, frame []byte) {
	f.Tick(p.Time)
	i := f.entry(p, frame[p.Payload:p.Payload+p.CapLen])
	if d := f.table.val(i); !d.done {
		d.headed, d.head = true, p.Time
		copy(d.starts[:], frame[p.Payload:p.Payload+p.CapLen])
		f.close(i)
	}
}

// entry finds the datagram of a packet that brings b, or makes it.
func (f *Fragments) entry(p *decode.Packet, b []byte) uint32 {
	// Version and identification tell the datagrams between two addresses apart, and in IPv4
	// the protocol. In IPv6 only that of the first fragment counts.
	k := key{p.Src, p.Dst, uint64(p.Version)<<40 | uint64(p.FragID)}
	if p.Version == 4 {
		k.what |= uint64(p.FragProto) << 32
	}
	i := f.table.find(k)
	if i != 0 && p.FragOffset == 0 && f.another(i, b) {
		f.giveUp(i)
		f.table.remove(i)
		i = 0
	}
	if i == 0 {
		if f.table.full() {
			f.evictOther(0)
		}
		i = f.table.insert(k)
		d := f.table.val(i)
		d.time, d.version = f.now, p.Version
	}
	return i
}

// another reports whether a first fragment with b is another datagram's than i.
func (f *Fragments) another(i uint32, b []byte) bool {
	d := f.table.val(i)
	if !d.headed {
		return false
	}
	if d.done && f.now-d.head > f.cfg.WaitNanos {
		return true
	}
	n := min(len(b), headLen)
	return !bytes.Equal(d.starts[:n], b[:n])
}

// Tick gives out what there is of the datagrams that have waited too long at the given time.
func (f *Fragments) Tick(now int64) {
	if now > f.now || now < f.now-maxBack {
		f.now = now
	}
	for i := f.table.due(queueRest, f.now, f.cfg.WaitNanos); i != 0; i = f.table.due(queueRest, f.now, f.cfg.WaitNanos) {
		f.giveUp(i)
	}
	for i := f.table.oldest; i != 0 && f.now-f.table.val(i).time > fragmentTimeout; i = f.table.oldest {
		f.giveUp(i)
		f.table.remove(i)
	}
}

// Oldest returns a time before that of every datagram that may still come out of the fragments
// that are there, at the latest now and at the earliest the time to wait before.
func (f *Fragments) Oldest(now int64) int64 {
	if i := f.table.queues[queueRest].first; i != 0 {
		return max(min(now, f.table.val(i).head), now-f.cfg.WaitNanos)
	}
	return now
}

// Finish gives out what there is of all datagrams, and forgets them.
func (f *Fragments) Finish() {
	for i := f.table.oldest; i != 0; i = f.table.oldest {
		f.giveUp(i)
		f.table.remove(i)
	}
}

// evictOther gives up the oldest datagram but keep, and reports whether there was one.
func (f *Fragments) evictOther(keep uint32) bool {
	i := f.table.oldest
	if i != 0 && i == keep {
		i = f.table.nodes[i].newer
	}
	if i == 0 {
		return false
	}
	if !f.table.val(i).done {
		f.stats.Evicted++
	}
	f.giveUp(i)
	f.table.remove(i)
	return true
}

// giveUp ends the wait for more of datagram i, unless it has ended.
func (f *Fragments) giveUp(i uint32) {
	d := f.table.val(i)
	switch {
	case d.done:
	case d.headed && d.first != 0:
		f.stats.Incomplete++
		f.end(i)
	default:
		f.stats.Headless++
		f.close(i)
	}
}

// end gives out datagram i, as far as it is there without a hole from its start.
func (f *Fragments) end(i uint32) {
	k, d, to := &f.table.nodes[i].key, f.table.val(i), &f.give
	f.out = f.out[:0]
	for c := d.first; c != 0 && f.pool.pieces[c].pos == uint32(len(f.out)); c = f.pool.pieces[c].next {
		f.out = append(f.out, f.pool.bytes(c)...)
	}
	to.Src, to.Dst = k.src, k.dst
	to.Version, to.Proto, to.Tag = d.version, d.proto, d.tag
	to.Time, to.Size, to.Bytes = d.head, int(d.total), f.out
	f.close(i)
	f.cfg.Datagram(to)
}

// close lets go of what is there of datagram i.
func (f *Fragments) close(i uint32) {
	f.pool.clear(&f.table.val(i).list)
	f.table.val(i).done = true
	f.table.dequeue(i)
}

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
