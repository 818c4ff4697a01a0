package dns

// maxValues is the number of values that a smallTally counts.
const maxValues = 1 << 16

// smallTally counts values of a small range. The low bytes of the counts are in an array of their own, which fits into the
// CPU's cache. The zero value has no memory and counts nothing.
type smallTally struct {
	low    *[maxValues]uint8
	high   *[maxValues]uint32 // the rest of each count, divided by 256
	values []uint16           // the values that were counted, in the order in which they first came
}

func newSmallTally(wanted bool) smallTally {
	if !wanted {
		return smallTally{}
	}
	return smallTally{low: new([maxValues]uint8), high: new([maxValues]uint32)}
}

// add counts a value once.
func (t *smallTally) add(v uint16) {
	if t.low == nil {
		return
	}
	n := t.low[v] + 1
	t.low[v] = n
	if n <= 1 {
		t.carry(v, n)
	}
}

// addMany counts a value n times.
func (t *smallTally) addMany(v uint16, n uint64) {
	if t.low == nil {
		return
	}
	sum := t.count(v) + n
	if sum == n && n > 0 {
		t.values = append(t.values, v)
	}
	t.low[v], t.high[v] = uint8(sum), uint32(sum>>8)
}

// carry finishes add if the low byte of a count has become 0 or 1.
func (t *smallTally) carry(v uint16, n uint8) {
	if n == 0 {
		t.high[v]++
	} else if t.high[v] == 0 {
		t.values = append(t.values, v)
	}
}

// count returns how often a value was counted.
func (t *smallTally) count(v uint16) uint64 { return uint64(t.high[v])<<8 | uint64(t.low[v]) }

// reset forgets all values.
func (t *smallTally) reset() {
	for _, v := range t.values {
		t.low[v] = 0
		if t.high[v] != 0 { // otherwise, the memory may never have been written, and then takes no page
			t.high[v] = 0
		}
	}
	t.values = t.values[:0]
}
