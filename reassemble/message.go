package reassemble

// segment stores a segment's bytes at their place in stream i: the captured bytes, followed by as many void bytes as
// the capture cut off.
func (s *Streams) segment(i, seq uint32, b []byte, void uint32) {
	st := s.flows.val(i)
	st.time = s.now
	s.flows.touch(i)
	start := true
	if d := int32(st.next() - seq); d > 0 { // seen before, or the byte of a keep-alive
		seen := min(uint32(d), uint32(len(b)))
		b, seq, start = b[seen:], st.next(), false
		void -= min(void, uint32(d)-seen)
	}
	ahead := seq != st.next()
	if len(b) > 0 || void > 0 {
		s.store(i, seq, b, void, start)
		s.settle(i)
	}
	if n := &s.flows.nodes[i]; st.holed && (st.lost && s.now-n.since > lostTimeout || ahead && n.queue == queueHole && s.now-n.since > holeTimeout) {
		s.giveUp(i)
		s.settle(i)
	}
	if st.closed() && st.first != 0 { // the stream ends in the middle of a message
		s.giveUp(i)
		s.settle(i)
	}
	// A closed stream stays in the table, so that a segment sent again does not seem to start a new connection.
}

// store takes the bytes at seq, which is not before the next expected byte, and the void bytes that follow them.
func (s *Streams) store(i, seq uint32, b []byte, void uint32, start bool) {
	st := s.flows.val(i)
	for len(b) > 0 || void > 0 {
		if d := int32(st.next() - seq); d > 0 { // a message that was returned without its end reached further
			seen := min(uint32(d), uint32(len(b)))
			b, seq, start = b[seen:], st.next(), false
			void -= min(void, uint32(d)-seen)
			continue
		}
		if st.first == 0 && seq == st.base {
			s.direct(i, b, void, start)
			return
		}
		r := run{pos: seq, data: b, start: start, time: s.time}
		inOrder := seq == st.next() && st.have > 0 && !st.holed
		switch {
		case len(b) == 0:
			r.n = void
		case inOrder: // only as much as belongs to the message, so that the next one has its own time
			r.data = b[:min(uint32(len(b)), st.missing(&s.pool))]
		}
		if !s.keep(i, r, inOrder) {
			continue // pieces have become free
		}
		b, seq, void, start = b[len(r.data):], seq+uint32(len(r.data))+r.n, void-r.n, false
	}
}

// keep holds a run of bytes that cannot be returned yet. If the run does not fit, keep gives up what the stream waits
// for, and returns false.
func (s *Streams) keep(i uint32, r run, fill bool) bool {
	for s.pool.left() < len(r.data)/blockSize+2 && s.evictOther(i) {
	}
	st := s.flows.val(i)
	if st.first == 0 {
		st.held = r.time
	}
	_, fits := s.pool.insert(&st.list, st.tail, r, fill, s.limit)
	s.advance(i)
	if !fits && st.first != 0 {
		s.giveUp(i)
	}
	return fits
}

// direct returns the messages from bytes at the stream's base, where the stream holds none, and keeps the rest.
func (s *Streams) direct(i uint32, b []byte, void uint32, start bool) {
	st := s.flows.val(i)
	for len(b) > 0 {
		if st.adrift {
			if start && s.joins(st, b, void) {
				st.adrift, st.halved = false, false
				st.base--
				s.keep(i, run{pos: st.base, data: []byte{st.half}, time: st.held}, false)
				s.store(i, st.base+1, b, void, false)
				return
			}
			if !start || !plausible(b, uint32(len(b))+void) {
				st.halved = start && len(b) == 1 && void == 0
				st.half, st.held = b[0], s.time
				break
			}
			st.adrift = false
		}
		st.halved, start = false, false
		if len(b) == 1 && void > 0 {
			break // the first byte of a length
		}
		size := uint32(maxMessage)
		if len(b) > 1 {
			size = uint32(be16(b))
			if size < minMessage {
				s.stats.Lost++
				st.adrift = true
				st.base += uint32(len(b)) + void
				return
			}
			if uint32(len(b)) >= 2+size {
				s.give(i, b[2:2+size:2+size], size, s.time)
				b = b[2+size:]
				st.base += 2 + size
				continue
			}
		}
		if void == 0 {
			s.keep(i, run{pos: st.base, data: b, start: true, time: s.time}, false)
			return
		}
		s.give(i, b[2:], size, s.time)
		st.base += 2 + size
		if cut := 2 + size - uint32(len(b)); cut >= void {
			return
		} else {
			void -= cut
		}
		b = nil
	}
	if void > 0 && !st.adrift { // a message starts among the bytes cut off
		s.stats.Gaps++
		st.adrift = true
	}
	st.base += uint32(len(b)) + void
}

// joins reports whether the first byte of a length came alone, in the segment before b.
func (s *Streams) joins(st *stream, b []byte, void uint32) bool {
	if !st.halved {
		return false
	}
	head := append(append(s.out[:0], st.half), b[:min(len(b), maxMessage-1)]...)
	return plausible(head, uint32(len(head))+void)
}

// extend adds the pieces that follow without a hole, up to and including a void one.
func (s *Streams) extend(st *stream) {
	c := st.first
	if st.tail != 0 {
		if s.pool.pieces[st.tail].void {
			return
		}
		st.have = s.pool.pieces[st.tail].end() - st.base
		c = s.pool.pieces[st.tail].next
	}
	for c != 0 && s.pool.pieces[c].pos == st.next() {
		st.have += s.pool.pieces[c].n
		st.tail = c
		if s.pool.pieces[c].void {
			return
		}
		c = s.pool.pieces[c].next
	}
}

// advance returns the messages that the pieces of stream i now contain.
func (s *Streams) advance(i uint32) {
	st := s.flows.val(i)
	for s.extend(st); st.have > 0; s.extend(st) {
		c := &s.pool.pieces[st.first]
		if st.adrift {
			if c.void || !c.start || !plausible(s.pool.bytes(st.first), s.segmentLen(st.first)) {
				s.skip(st, c.n)
				continue
			}
			st.adrift = false
		}
		if c.void {
			s.lose(st)
			continue
		}
		size, known := st.size(&s.pool)
		cut := s.pool.pieces[st.tail].void
		switch {
		case !known && !cut:
			return
		case !known:
			s.lose(st)
		case size < minMessage:
			s.stats.Lost++
			st.adrift = true
		case st.have >= 2+size || cut:
			s.endMessage(i)
		default:
			return
		}
	}
}

// segmentLen returns how many bytes, on the wire, the part of a segment had that starts with piece c.
func (s *Streams) segmentLen(c uint32) uint32 {
	n := s.pool.pieces[c].n
	if next := s.pool.pieces[c].next; next != 0 && s.pool.pieces[next].void && s.pool.pieces[next].pos == s.pool.pieces[c].end() {
		n += s.pool.pieces[next].n
	}
	return n
}

// lose records a gap in the stream: the start of a message is missing.
func (s *Streams) lose(st *stream) {
	if !st.adrift {
		s.stats.Gaps++
		st.adrift = true
	}
}

// size returns the length of the message at the stream's base, which is not void, and whether the length is known.
func (st *stream) size(b *pool) (n uint32, known bool) {
	c := b.bytes(st.first)
	switch {
	case st.have < 2:
		return 0, false
	case len(c) > 1:
		return uint32(be16(c)), true
	}
	next := b.pieces[st.first].next
	if b.pieces[next].void {
		return 0, false
	}
	return uint32(c[0])<<8 | uint32(b.bytes(next)[0]), true
}

// missing returns how many bytes the message at the stream's base, or its length, lacks.
func (st *stream) missing(b *pool) uint32 {
	size, known := st.size(b)
	if !known {
		return 1
	}
	return 2 + size - st.have
}

// endMessage returns the captured part of the message at the base of stream i. The stream then continues after that
// message.
func (s *Streams) endMessage(i uint32) {
	st := s.flows.val(i)
	size, known := st.size(&s.pool)
	if !known {
		s.lose(st)
		s.skip(st, st.have)
		return
	}
	first := &s.pool.pieces[st.first]
	b := s.pool.bytes(st.first)
	if first.n < min(2+size, st.have) {
		out := s.out[:0]
		for c := st.first; c != 0 && !s.pool.pieces[c].void; c = s.pool.pieces[c].next {
			out = append(out, s.pool.bytes(c)[:min(s.pool.pieces[c].n, 2+size-uint32(len(out)))]...)
			if c == st.tail || uint32(len(out)) == 2+size {
				break
			}
		}
		b = out
	}
	s.give(i, b[2:min(uint32(len(b)), 2+size)], size, first.time)
	s.skip(st, 2+size)
}

// give returns a message of stream i, of which b was captured, unless less than a header was.
func (s *Streams) give(i uint32, b []byte, size uint32, time int64) {
	if len(b) < minMessage {
		s.stats.Gaps++
		return
	}
	if uint32(len(b)) < size {
		s.stats.Incomplete++
	}
	k, st, m := &s.flows.nodes[i].key, s.flows.val(i), &s.msg
	m.Src, m.Dst, m.SrcPort, m.DstPort = k.src, k.dst, uint16(k.what>>16), uint16(k.what)
	m.Version, m.Tag = st.version, st.tag
	m.Time, m.Size, m.Bytes = time, size, b
	s.cfg.Message(m)
}

// skip moves the stream's base forward by n bytes, whether the stream has them or not.
func (s *Streams) skip(st *stream, n uint32) {
	st.base += n
	if n < st.have {
		st.have -= n
	} else {
		st.have, st.tail = 0, 0
	}
	for st.first != 0 {
		c := &s.pool.pieces[st.first]
		passed := int32(st.base - c.pos)
		if passed <= 0 {
			break
		}
		if uint32(passed) < c.n {
			c.pos, c.n, c.start = st.base, c.n-uint32(passed), false
			if !c.void {
				c.off += uint16(passed)
			}
			break
		}
		s.pool.pop(&st.list)
	}
}

// giveUp ends the wait for what stream i lacks: the end of a message, or a segment before those that have arrived.
func (s *Streams) giveUp(i uint32) {
	st := s.flows.val(i)
	if st.have > 0 {
		s.endMessage(i)
	}
	if st.first != 0 && s.pool.pieces[st.first].pos != st.base {
		s.lose(st)
		st.base = s.pool.pieces[st.first].pos
	}
	s.advance(i)
}

// settle puts stream i into the queue for what it waits for. The waiting time continues as long as it waits for the
// same thing, so each hole has its own age.
func (s *Streams) settle(i uint32) {
	st := s.flows.val(i)
	behind := st.first
	if st.tail != 0 {
		behind = s.pool.pieces[st.tail].next
	}
	if holed := behind != 0; holed != st.holed {
		st.holed = holed
		s.holes--
		if holed {
			s.holes += 2
		}
	}
	if st.first != 0 && st.first == st.tail {
		st.held = s.pool.pieces[st.first].time
	}
	n := &s.flows.nodes[i]
	switch {
	case st.have >= 2+minMessage:
		if n.queue != queueEnd || st.await != st.base {
			st.await, st.lost = st.base, false
			s.flows.enqueue(i, queueEnd, s.now)
		}
	case st.holed:
		if end := s.pool.pieces[behind].pos; n.queue < queueHole || st.await != end {
			st.await, st.lost = end, false
			s.flows.enqueue(i, queueHole, s.now)
		}
	default:
		st.lost = false
		s.flows.dequeue(i)
	}
}
