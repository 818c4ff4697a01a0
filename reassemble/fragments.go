// Package reassemble puts back together what the network cut up: UDP datagrams from IP
// fragments ([Fragments]) and DNS messages from TCP segments ([Streams]).
//
// Both work within a budget of memory that is allocated at once and never grows, whatever
// arrives; what does not fit evicts the oldest. They measure time by the packets' own. Neither
// allocates per packet, keeps a reference to a frame, or checks checksums. A value belongs to
// one goroutine.
package reassemble

import "pktvisor/decode"

const (
	// fragmentTimeout is how long a datagram may take from its first fragment to arrive, in
	// nanoseconds. RFC 8200 (section 4.5) would wait 60 s; Linux takes 30.
	fragmentTimeout = 30e9
	// maxFragmentPieces bounds the pieces of a datagram: 64 KiB in fragments as small as a
	// link of 576 bytes makes them.
	maxFragmentPieces = 128

	maxDatagram = 65535
)

// Fragments reassembles fragmented UDP datagrams (RFC 791, section 3.2; RFC 8200, section
// 4.5). Overlapping fragments lose to the bytes that came before them in IPv4, and spoil
// their datagram in IPv6 (RFC 5722); repeated ones are ignored, and so are those that the
// capture cut short.
type Fragments struct {
	table lru[datagram]
	pool  pool
	out   []byte
	stats FragmentsStats
}

// FragmentsStats counts datagrams since the start.
type FragmentsStats struct {
	Completed   uint64
	Expired     uint64 // not whole within 30 s
	Evicted     uint64 // given up for others, or cut into too many pieces
	Overlapping uint64 // that had fragments which overlap or disagree on the length
	Open        int    // waiting for more fragments now
}

type datagram struct {
	list
	time    int64
	have    uint32 // bytes
	end     uint32 // of the furthest fragment
	total   uint32 // 0 before the last fragment is seen
	overlap bool
	dead    bool // waits for its time to end, so that its other fragments are no new datagram
}

// NewFragments returns Fragments that use no more than about maxBytes, and at least 192 KiB.
func NewFragments(maxBytes int) *Fragments {
	maxBytes = max(maxBytes, 192<<10) - maxDatagram
	const perEntry = 128 // with its share of the hash table
	entries := maxBytes / (blockSize + perEntry)
	return &Fragments{
		table: newLRU[datagram](entries),
		pool:  newPool(entries * blockSize),
		out:   make([]byte, 0, maxDatagram),
	}
}

// Stats returns the counters.
func (f *Fragments) Stats() FragmentsStats {
	s := f.stats
	s.Open = f.table.count
	return s
}

// Add takes the fragment p of frame. If it was the last missing one of its datagram, Add
// returns what follows the datagram's IP headers, the UDP header first, valid until the next
// Add. Packets that are no fragments of UDP are ignored.
func (f *Fragments) Add(p *decode.Packet, frame []byte) (b []byte, ok bool) {
	if p.Flags&decode.FlagFragment == 0 || p.Proto != decode.ProtoUDP {
		return nil, false
	}
	pos := uint32(p.FragOffset)
	end := pos + p.PayloadLen
	if p.CapLen < p.PayloadLen || p.PayloadLen == 0 || end > maxDatagram || p.FragMore && p.PayloadLen%8 != 0 {
		return nil, false
	}
	f.expire(p.Time)
	i := f.entry(p)
	d := f.table.val(i)
	if d.dead {
		return nil, false
	}
	conflict := !p.FragMore && d.total != 0 && d.total != end
	d.end = max(d.end, end)
	if !p.FragMore {
		d.total = end
	}
	if conflict || d.total != 0 && d.end > d.total {
		f.overlaps(d)
		f.kill(d)
		return nil, false
	}
	for f.pool.left() < int(p.CapLen)/blockSize+2 && f.evictOther(i) {
	}
	stored, fits := f.pool.insert(&d.list, 0, pos, frame[p.Payload:p.Payload+p.CapLen], false, maxFragmentPieces)
	d.have += uint32(stored)
	switch {
	case !fits:
		f.stats.Evicted++
		f.kill(d)
		return nil, false
	case stored != 0 && stored != int(p.CapLen):
		f.overlaps(d)
		if p.Version == 6 {
			f.kill(d)
			return nil, false
		}
	}
	if d.total == 0 || d.have < d.total {
		return nil, false
	}
	f.out = f.out[:0]
	for c := d.first; c != 0; c = f.pool.pieces[c].next {
		f.out = append(f.out, f.pool.bytes(c)...)
	}
	f.drop(i)
	f.stats.Completed++
	return f.out, true
}

// entry finds the packet's datagram, or makes it.
func (f *Fragments) entry(p *decode.Packet) uint32 {
	// Version, protocol and identification tell the datagrams between two addresses apart.
	k := key{p.Src, p.Dst, uint64(p.Version)<<40 | uint64(p.Proto)<<32 | uint64(p.FragID)}
	i := f.table.find(k)
	if i == 0 {
		if f.table.full() {
			f.stats.Evicted++
			f.drop(f.table.oldest)
		}
		i = f.table.insert(k)
		f.table.val(i).time = p.Time
	}
	return i
}

func (f *Fragments) expire(now int64) {
	for i := f.table.oldest; i != 0 && now-f.table.val(i).time > fragmentTimeout; i = f.table.oldest {
		if !f.table.val(i).dead {
			f.stats.Expired++
		}
		f.drop(i)
	}
}

// evictOther drops the oldest datagram but keep, and reports whether there was one.
func (f *Fragments) evictOther(keep uint32) bool {
	i := f.table.oldest
	if i != 0 && i == keep {
		i = f.table.nodes[i].newer
	}
	if i == 0 {
		return false
	}
	if !f.table.val(i).dead {
		f.stats.Evicted++
	}
	f.drop(i)
	return true
}

func (f *Fragments) overlaps(d *datagram) {
	if !d.overlap {
		d.overlap = true
		f.stats.Overlapping++
	}
}

func (f *Fragments) kill(d *datagram) {
	d.dead = true
	f.pool.clear(&d.list)
}

func (f *Fragments) drop(i uint32) {
	f.pool.clear(&f.table.val(i).list)
	f.table.remove(i)
}

// Datagram makes p, the packet with which b became whole, describe b, which [Fragments.Add]
// returned: it sets ports and payload, which then is b[p.Payload : p.Payload+p.CapLen], and
// the flags of a packet that is no fragment. It reports whether b starts with a UDP header;
// else p stays as it was.
func Datagram(p *decode.Packet, b []byte) bool {
	if p.Proto != decode.ProtoUDP || len(b) < 8 {
		return false
	}
	n := int(be16(b[4:]))
	if n == 0 && p.Version == 6 {
		n = len(b)
	}
	if n < 8 {
		return false
	}
	p.Flags = p.Flags&^(decode.FlagFragment|decode.FlagLaterFragment|decode.FlagL4Malformed) | decode.FlagL4
	if n > len(b) {
		n = len(b)
		p.Flags |= decode.FlagL4Malformed
	}
	p.FragID, p.FragOffset, p.FragMore = 0, 0, false
	p.SrcPort, p.DstPort = be16(b), be16(b[2:])
	p.Payload, p.CapLen, p.PayloadLen = 8, uint32(n-8), uint32(n-8)
	return true
}

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
