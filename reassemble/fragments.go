// Package reassemble restores what the network divided: datagrams from IP fragments ([Fragments]) and DNS messages
// from TCP segments ([Streams]).
//
// If a datagram or message cannot be completed but its start was captured, the captured part is returned. It is
// returned once, and soon enough that its query is still waiting.
//
// Both types work within a budget of memory. They allocate it at once and never grow, whatever arrives; if the budget
// is used up, they evict the oldest entry. They take the time from the packets' timestamps. Neither allocates per
// packet, keeps a reference to a frame, or verifies checksums. A value belongs to one goroutine.
package reassemble

import (
	"bytes"

	"pktvisor/decode"
)

const (
	// fragmentTimeout is how long a datagram may take to arrive, from its first fragment on, in nanoseconds. RFC
	// 8200 (section 4.5) would wait 60 s, and Linux takes 30 s.
	fragmentTimeout = 30e9
	// maxFragmentPieces bounds the pieces of a datagram: 64 KiB in fragments of the size that a link with an MTU
	// of 576 bytes makes.
	maxFragmentPieces = 128
	// headLen is how many bytes of two first fragments are compared to distinguish their datagrams: an extension
	// header, the UDP header and the DNS header.
	headLen = 28

	maxDatagram = 65535
)

// FragmentsConfig bounds Fragments. Zero means the default.
type FragmentsConfig struct {
	MaxBytes  int   // at least 192 KiB, the default
	WaitNanos int64 // how long a datagram waits for the others once it has its first fragment; 1 s
	// Datagram is called with each datagram. It must not call the Fragments.
	Datagram func(d *Datagram)
}

// Datagram is an IP datagram that arrived in fragments.
type Datagram struct {
	Src, Dst decode.Addr
	Version  uint8
	Proto    uint8 // the protocol that Bytes start with, from the first fragment
	Tag      uint8 // see [Fragments.Add]
	Time     int64 // of the fragment at offset 0
	Size     int   // length of what follows the IP headers; 0 if it is not known
	// Bytes are the bytes that follow the IP headers, up to the first hole: all of them, or at least the captured
	// part of the first fragment. They are valid during the call.
	Bytes []byte
}

// Fragments reassembles fragmented IP datagrams (RFC 791, section 3.2; RFC 8200, section 4.5). If fragments overlap,
// the bytes that came first count in IPv4. In IPv6, an overlap discards the datagram (RFC 5722). Repeated fragments
// are ignored.
//
// Each datagram whose first fragment was captured is returned once: when it is whole, when the waiting time is over,
// or when no more of it can be added. A first fragment with different content, or long after that of a returned
// datagram, belongs to another datagram with the same identification.
type Fragments struct {
	cfg   FragmentsConfig
	table lru[datagram]
	pool  pool
	now   int64 // the packets' clock
	out   []byte
	give  Datagram
	stats FragmentsStats
}

// queueRest is the queue of the datagrams whose first fragment has arrived.
const queueRest = 1

// FragmentsStats counts datagrams since the start.
type FragmentsStats struct {
	Incomplete uint64 // returned without being whole
	Headless   uint64 // discarded without their first fragment
	Evicted    uint64 // those of the two above that were evicted for others, or had too many pieces
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
	starts  [headLen]byte // the first bytes of the first fragment
	headed  bool          // the first fragment has arrived
	broken  bool          // a part was not captured or is invalid, so it cannot become whole
	done    bool          // it was returned; it stays until its time ends, so that its other fragments do not start a new datagram
}

// NewFragments returns Fragments within cfg's bounds.
func NewFragments(cfg FragmentsConfig) *Fragments {
	if cfg.WaitNanos <= 0 {
		cfg.WaitNanos = endTimeout
	}
	// Datagrams that are done need no block, so there may be more of them.
	const perEntry = 170 // bytes, including its share of the hash table
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

// Add takes the fragment p of frame, and returns the datagram that it completes, if any. It ignores packets that are
// not fragments. If p is the first fragment, the datagram gets the tag, which Fragments does not interpret.
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
	case cut && pos == 0: // no more bytes of it will come
		f.giveUp(i)
	}
	if !d.done && !d.broken && d.total != 0 && d.have >= d.total {
		f.end(i)
	}
}

// Ignore takes the first fragment of a datagram that the caller does not need, so that the datagram's other fragments
// take no memory.
func (f *Fragments) Ignore(p *decode.Packet, frame []byte) {
	f.Tick(p.Time)
	i := f.entry(p, frame[p.Payload:p.Payload+p.CapLen])
	if d := f.table.val(i); !d.done {
		d.headed, d.head = true, p.Time
		copy(d.starts[:], frame[p.Payload:p.Payload+p.CapLen])
		f.close(i)
	}
}

// entry returns the entry for the datagram of p, whose data is b. It makes the entry if there is none.
func (f *Fragments) entry(p *decode.Packet, b []byte) uint32 {
	// Version and identification distinguish the datagrams between two addresses, and in IPv4 so does the
	// protocol. In IPv6 only the protocol of the first fragment counts.
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

// another reports whether a first fragment with b belongs to a datagram other than i.
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

// Tick returns the available part of each datagram that has waited too long at the given time.
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

// Oldest returns a time before that of every datagram that the held fragments may still produce. It is at most now,
// and at least now minus the waiting time.
func (f *Fragments) Oldest(now int64) int64 {
	if i := f.table.queues[queueRest].first; i != 0 {
		return max(min(now, f.table.val(i).head), now-f.cfg.WaitNanos)
	}
	return now
}

// Finish returns the available part of every datagram, and forgets all of them.
func (f *Fragments) Finish() {
	for i := f.table.oldest; i != 0; i = f.table.oldest {
		f.giveUp(i)
		f.table.remove(i)
	}
}

// evictOther evicts the oldest datagram other than keep, and reports whether there was one.
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

// giveUp ends the wait for more of datagram i, unless it has ended already.
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

// end returns datagram i up to its first hole.
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

// close releases the pieces of datagram i.
func (f *Fragments) close(i uint32) {
	f.pool.clear(&f.table.val(i).list)
	f.table.val(i).done = true
	f.table.dequeue(i)
}

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
