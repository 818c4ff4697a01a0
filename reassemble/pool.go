package reassemble

// blockSize holds what an Ethernet frame carries of a fragment or segment.
const blockSize = 1536

// piece is a run of bytes at a place in a datagram or stream, held in the block of the same
// index.
type piece struct {
	pos    uint32 // of its first byte; wraps as TCP's sequence numbers do
	off, n uint16 // where the bytes lie in the block
	start  bool   // a segment started here
	next   uint32
}

func (c *piece) end() uint32 { return c.pos + uint32(c.n) }

// pool is a fixed number of blocks. Pieces are known by their index; 0 is none. Memory that
// was never used is never touched.
type pool struct {
	data   []byte
	pieces []piece
	fresh  uint32 // the first piece never used
	free   uint32 // a list
	used   int
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
	return b.data[at : at+int(c.n)]
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

// insert puts those of the bytes at pos into l that it does not hold yet, and returns how many
// these are. It looks on from after, a piece that ends at or before pos, or 0. Where fill is
// set, bytes go into the room left behind the piece before them.
//
// Bytes that would need more than limit pieces are left out, and ok is false.
func (b *pool) insert(l *list, after, pos uint32, data []byte, fill bool, limit int) (stored int, ok bool) {
	prev, cur := after, l.first
	if prev != 0 {
		cur = b.pieces[prev].next
	}
	start := true
	for len(data) > 0 {
		for cur != 0 && int32(b.pieces[cur].end()-pos) <= 0 {
			prev, cur = cur, b.pieces[cur].next
		}
		n := len(data)
		if cur != 0 {
			c := &b.pieces[cur]
			if int32(c.pos-pos) <= 0 { // the first bytes are there already
				skip := min(int(c.end()-pos), n)
				data, pos, start = data[skip:], pos+uint32(skip), false
				continue
			}
			n = min(n, int(c.pos-pos))
		}
		if fill && prev != 0 && b.pieces[prev].end() == pos {
			c := &b.pieces[prev]
			at := int(c.off) + int(c.n)
			if room := min(n, blockSize-at); room > 0 {
				copy(b.data[int(prev)*blockSize+at:], data[:room])
				c.n += uint16(room)
				data, pos, stored, start = data[room:], pos+uint32(room), stored+room, false
				continue
			}
		}
		if l.count >= limit || b.left() == 0 {
			return stored, false
		}
		n = min(n, blockSize)
		i := b.alloc()
		b.pieces[i] = piece{pos: pos, n: uint16(n), start: start, next: cur}
		copy(b.data[int(i)*blockSize:], data[:n])
		if prev != 0 {
			b.pieces[prev].next = i
		} else {
			l.first = i
		}
		l.count++
		prev = i
		data, pos, stored, start = data[n:], pos+uint32(n), stored+n, false
	}
	return stored, true
}
