package reassemble

// blockSize holds what an Ethernet frame carries of a fragment or segment.
const blockSize = 1536

// piece is a run of bytes at a place in a datagram or stream, held in the block of the same
// index. The bytes of a void piece were not captured: all that is known is that they were sent.
type piece struct {
	pos   uint32 // of its first byte; wraps as TCP's sequence numbers do
	n     uint32 // bytes
	off   uint16 // where they lie in the block
	start bool   // a segment started here
	void  bool
	next  uint32
	time  int64 // when the first of them came, in nanoseconds
}

func (c *piece) end() uint32 { return c.pos + c.n }

// pool is a fixed number of blocks. Pieces are known by their index; 0 is none. Memory that
// was never used is never touched.
type pool struct {
	data   []byte
	pieces []piece
	fresh  uint32 // the first piece never used
	free   uint32 // a list
	used   int
	steps  uint64 // pieces that insert has passed, for tests of what an attacker can make it cost
}

func newPool(maxBytes int) pool {
	n := max(maxBytes/blockSize, 1)
	return pool{data: make([]byte, (n+1)*blockSize), pieces: make([]piece, n+1), fresh: 1}
}

// left is how many pieces can still be had.
func (b *pool) left() int { return len(b.pieces) - 1 - b.used }

func (b *pool) bytes(i uint32) []byte {
	c := &b.pieces[i]
	at := int(i)*blockSize + int(c.off)
	return b.data[at : at+int(c.n) : at+int(c.n)]
}

func (b *pool) alloc() uint32 {
	i := b.free
	if i != 0 {
		b.free = b.pieces[i].next
	} else {
		i = b.fresh
		b.fresh++
	}
	b.used++
	return i
}

func (b *pool) release(i uint32) {
	b.pieces[i].next, b.free = b.free, i
	b.used--
}

// list is a run of pieces by position, without overlaps.
type list struct {
	first uint32
	count int
}

// clear releases all pieces.
func (b *pool) clear(l *list) {
	for i := l.first; i != 0; {
		next := b.pieces[i].next
		b.release(i)
		i = next
	}
	*l = list{}
}

// pop releases the first piece.
func (b *pool) pop(l *list) {
	i := l.first
	l.first = b.pieces[i].next
	l.count--
	b.release(i)
}

// run is bytes to be inserted: those of data, or n void ones.
type run struct {
	pos   uint32
	data  []byte
	n     uint32 // of a void run
	start bool   // a segment starts with it
	time  int64
}

// insert puts those bytes of r into l that it does not hold yet, and returns how many these are.
// It looks on from after, a piece that ends at or before them, or 0. Where fill is set, they go
// into the room left behind the piece before them, as far as there is some.
//
// Bytes that would need more than limit pieces are left out, and ok is false.
func (b *pool) insert(l *list, after uint32, r run, fill bool, limit int) (stored int, ok bool) {
	prev, cur := after, l.first
	if prev != 0 {
		cur = b.pieces[prev].next
	}
	pos, end, void, start := r.pos, r.pos+r.n, r.n > 0, r.start
	if !void {
		end = pos + uint32(len(r.data))
	}
	for pos != end {
		for cur != 0 && int32(b.pieces[cur].end()-pos) <= 0 {
			prev, cur = cur, b.pieces[cur].next
			b.steps++
		}
		n := end - pos
		if cur != 0 {
			c := &b.pieces[cur]
			if int32(c.pos-pos) <= 0 { // the first bytes are there already
				skip := min(c.end()-pos, n)
				pos, start = pos+skip, false
				continue
			}
			n = min(n, c.pos-pos)
		}
		if !void {
			if fill && prev != 0 && b.pieces[prev].end() == pos && !b.pieces[prev].void {
				c := &b.pieces[prev]
				at := uint32(c.off) + c.n
				if room := min(n, blockSize-at); room > 0 {
					copy(b.data[int(prev)*blockSize+int(at):], r.data[pos-r.pos:][:room])
					c.n += room
					pos, stored, start = pos+room, stored+int(room), false
					continue
				}
			}
			n = min(n, blockSize)
		}
		if l.count >= limit || b.left() == 0 {
			return stored, false
		}
		i := b.alloc()
		b.pieces[i] = piece{pos: pos, n: n, start: start, void: void, next: cur, time: r.time}
		if !void {
			copy(b.data[int(i)*blockSize:], r.data[pos-r.pos:][:n])
		}
		if prev != 0 {
			b.pieces[prev].next = i
		} else {
			l.first = i
		}
		l.count++
		prev = i
		pos, stored, start = pos+n, stored+int(n), false
	}
	return stored, true
}
