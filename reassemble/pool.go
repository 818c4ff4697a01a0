package reassemble

// blockSize is what an Ethernet frame carries of a fragment or segment, in bytes.
const blockSize = 1536

// piece is a run of bytes at a position in a datagram or stream. The block with the same index holds them. The bytes
// of a void piece were sent but not captured.
type piece struct {
	pos   uint32 // of its first byte; it wraps as TCP's sequence numbers do
	n     uint32 // bytes
	off   uint16 // their offset in the block
	start bool   // a segment started here
	void  bool
	next  uint32
	time  int64 // when the first of them came, in nanoseconds
}

func (c *piece) end() uint32 { return c.pos + c.n }

// pool is a fixed number of blocks. Pieces are identified by their index; 0 means none. The pool does not touch
// memory that it has never used.
type pool struct {
	data   []byte
	pieces []piece
	fresh  uint32 // the first piece never used
	free   uint32 // a list
	used   int
	steps  uint64 // pieces that insert has stepped over, for tests that bound the work an attacker can cause
}

func newPool(maxBytes int) pool {
	n := max(maxBytes/blockSize, 1)
	return pool{data: make([]byte, (n+1)*blockSize), pieces: make([]piece, n+1), fresh: 1}
}

// left returns how many pieces are free.
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

// list is a list of pieces in order of position, without overlaps.
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

// run is a run of bytes to insert: data, or n void bytes.
type run struct {
	pos   uint32
	data  []byte
	n     uint32 // length of a void run
	start bool   // a segment starts here
	time  int64
}

// insert puts those bytes of r into l that l does not have yet, and returns how many these are. The search begins
// after the piece after, which ends at or before r, or at the start of l if after is 0. If fill is set, bytes go into
// the free space of the piece before them, as far as there is some.
//
// If r needs more than limit pieces, the bytes beyond are left out, and ok is false.
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
			if int32(c.pos-pos) <= 0 { // l already has the first bytes
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
