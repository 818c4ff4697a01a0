package testkit

// queue is a heap of frames ordered by time. Frames of the same time leave in the order in which they came. Frames
// are reused, so that memory grows only with the traffic in flight.
type queue struct {
	heap   []queued
	frames []frame
	free   []uint32
	seq    uint64
}

type queued struct {
	at    int64
	seq   uint64
	frame uint32
}

func (a queued) before(b queued) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// push adds an empty frame, valid until the next push.
func (q *queue) push(at int64) *frame {
	if len(q.free) == 0 {
		q.free = append(q.free, uint32(len(q.frames)))
		q.frames = append(q.frames, frame{})
	}
	i := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	q.seq++
	x := queued{at, q.seq, i}
	q.heap = append(q.heap, x)
	c := len(q.heap) - 1
	for c > 0 {
		p := (c - 1) / 2
		if !x.before(q.heap[p]) {
			break
		}
		q.heap[c] = q.heap[p]
		c = p
	}
	q.heap[c] = x
	f := &q.frames[i]
	f.b, f.note.dns = f.b[:0], f.note.dns[:0]
	return f
}

// pop removes the first frame, which stays valid until the next push.
func (q *queue) pop() (int64, *frame) {
	first, n := q.heap[0], len(q.heap)-1
	x := q.heap[n]
	q.heap = q.heap[:n]
	if n > 0 {
		p := 0
		for {
			c := 2*p + 1
			if c >= n {
				break
			}
			if c+1 < n && q.heap[c+1].before(q.heap[c]) {
				c++
			}
			if !q.heap[c].before(x) {
				break
			}
			q.heap[p] = q.heap[c]
			p = c
		}
		q.heap[p] = x
	}
	q.free = append(q.free, first.frame)
	return first.at, &q.frames[first.frame]
}
