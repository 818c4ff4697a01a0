package dns

// maxValues is how many values a smallTally has.
const maxValues = 1 << 16

// smallTally counts values of a small range in an array: the low bytes of the counts, which fit into
// the CPU's cache, apart from the rest of them. The zero value has no memory and counts nothing.
type smallTally struct {
	low     *[maxValues]uint8
	high    *[maxValues]uint32 // in 256s
	touched []uint16           // the values that were counted, in the order in which they came
}

func newSmallTally(wanted bool) smallTally {
	if !wanted {
		return smallTally{}
	}
	return smallTally{low: new([maxValues]uint8), high: new([maxValues]uint32)}
}

func (t *smallTally) add(v uint16) {
	if t.low == nil {
		return
	}
	n := t.low[v] + 1
	t.low[v] = n
	if n <= 1 {
		t.turn(v, n)
	}
}

// addMany counts a value n times.
func (t *smallTally) addMany(v uint16, n uint64) {
	if t.low == nil {
		return
	}
	sum := t.count(v) + n
	if sum == n && n > 0 {
		t.touched = append(t.touched, v)
	}
	t.low[v], t.high[v] = uint8(sum), uint32(sum>>8)
}

// turn finishes add when the low byte of a count has become 0 or 1.
func (t *smallTally) turn(v uint16, n uint8) {
	if n == 0 {
		t.high[v]++
	} else if t.high[v] == 0 {
		t.touched = append(t.touched, v)
	}
}

// count returns how often a value came.
func (t *smallTally) count(v uint16) uint64 { return uint64(t.high[v])<<8 | uint64(t.low[v]) }

// reset forgets all values.
func (t *smallTally) reset() {
	for _, v := range t.touched {
		t.low[v] = 0
		if t.high[v] != 0 { // else its memory need not be written
			t.high[v] = 0
		}
	}
	t.touched = t.touched[:0]
}
