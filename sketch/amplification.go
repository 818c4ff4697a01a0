package sketch

import "iter"

// Amplification finds the keys with the most bytes of responses, as a [Frequent] with the same bounds, and keeps for each
// what is known of its queries.
//
// The bytes of a key's queries have bounds of their own: they are at least those that were counted since the sketch has
// held the key, and at most as many more as a key may have lost when it was dropped before. While the sketch is exact,
// they are exact too. The other facts are about the queries that were counted.
//
// A key without responses is held too, as long as there is space: its responses may come in the next flush, or at another
// host.
//
// Memory: that of a [Frequent], and 32 bytes a key with up to four times as much allocated ahead.
type Amplification struct{ f Frequent }

// askedRows has the queries of the entries of a Frequent, in their order.
type askedRows struct {
	rows []askedRow
	next askedRow // of the entry that is about to be inserted
	lost uint64   // the most bytes of queries that a key may have lost

	thinned thinned // of the bytes of queries
}

// askedRow is what was counted for a key, and the bytes of queries that it may have lost before. missing is at most lost.
type askedRow struct {
	Asked
	missing uint64
}

func (r *askedRow) upper() uint64 { return addWeight(r.Bytes, r.missing) }

// drop forgets row i.
func (a *askedRows) drop(i int) { a.lost = max(a.lost, a.rows[i].upper()) }

// empty returns rows without content and with space for n, which have lost as much as a.
func (a *askedRows) empty(n int) *askedRows {
	if a == nil {
		return nil
	}
	return &askedRows{rows: make([]askedRow, 0, n), lost: a.lost, thinned: a.thinned}
}

// AmplificationRow is a key of an [Amplification]. The bytes of its responses are from Lower to Upper, and those of its queries
// are from Bytes to QueriesUpper.
type AmplificationRow struct {
	Row
	Asked
	QueriesUpper uint64
}

// NewAmplification returns an empty sketch of at most slots slots: see [NewFrequent].
func NewAmplification(slots int) *Amplification {
	a := &Amplification{*NewFrequent(slots)}
	a.f.asked = new(askedRows)
	return a
}

// AddPrepared counts a key with bytes of responses and what is known of its queries.
func (a *Amplification) AddPrepared(p Prepared, responses uint64, asked *Asked) {
	a.f.total = addWeight(a.f.total, responses)
	a.add(p.key, p.hash, responses, 0, asked, 0)
}

// add adds to a key. cover is what is covered of the offset for it, and known is the part of the bytes of queries that keys may
// have lost that this key has not lost.
func (a *Amplification) add(key []byte, hash uint32, responses, cover uint64, asked *Asked, known uint64) {
	f := &a.f
	at, slot := f.find(key, hash)
	if at < 0 {
		f.asked.next = askedRow{*asked, f.asked.lost - known}
		f.insert(key, hash, slot, responses, cover)
		return
	}
	f.entries[at].weight = addWeight(f.entries[at].weight, responses)
	if cover > 0 {
		f.makeCovered(len(f.entries))
		f.covered[at] = addWeight(f.covered[at], cover)
	}
	row := &f.asked.rows[at]
	row.Merge(asked)
	row.missing -= known
}

// AmplificationSieve says which keys of a batch are to be added: see [Amplification.Shed].
type AmplificationSieve struct {
	sieve Sieve
	all   bool
}

// Passes reports whether the next key of the batch, with the given bytes of responses, is to be added.
func (s *AmplificationSieve) Passes(responses uint64) bool { return s.all || s.sieve.Passes(responses) }

// Shed decides which keys of a batch are too light to be added, and accounts for them, as [Frequent.Shed] does. responses
// has the bytes of responses of all distinct keys of the batch, in order, and queries those of their queries.
func (a *Amplification) Shed(responses []uint64, queries func(i int) uint64) AmplificationSieve {
	s := AmplificationSieve{all: len(responses) <= a.f.Capacity()}
	if s.all {
		return s
	}
	s.sieve = a.f.Shed(responses)
	trial, lost := s, uint64(0)
	for i, n := range responses {
		if !trial.Passes(n) {
			lost = max(lost, queries(i))
		}
	}
	a.lose(lost)
	return s
}

// lose accounts for bytes of queries that each key may have lost.
func (a *Amplification) lose(bytes uint64) {
	if bytes == 0 {
		return
	}
	asked := a.f.asked
	for i := range asked.rows {
		asked.rows[i].missing = addWeight(asked.rows[i].missing, bytes)
	}
	asked.lost = addWeight(asked.lost, bytes)
}

// Merge adds the stream that o summarised. It does not change o.
func (a *Amplification) Merge(o *Amplification) {
	if a == o {
		o = o.Clone()
	}
	f := &a.f
	f.total = addWeight(f.total, o.f.total)
	f.offset = addWeight(f.offset, o.f.offset)
	a.Sampled(o.SampledBy())
	// Every key may have lost something in o. For the keys of o, it is known how much.
	theirs := o.f.asked.lost
	a.lose(theirs)
	for i, e := range o.f.entries {
		row := &o.f.asked.rows[i]
		a.add(o.f.key(i), e.hash, e.weight, o.f.cover(i), &row.Asked, theirs-row.missing)
	}
}

// Total returns the bytes of all responses, at most 2^63-1.
func (a *Amplification) Total() uint64 { return a.f.total }

// MaxError returns the most by which the lower bound of responses may be too small.
func (a *Amplification) MaxError() uint64 { return a.f.offset }

// Len returns the number of keys held.
func (a *Amplification) Len() int { return len(a.f.entries) }

// Capacity returns the number of keys up to which a is exact.
func (a *Amplification) Capacity() int { return a.f.Capacity() }

// Bounds returns the bounds of the bytes of a key's responses.
func (a *Amplification) Bounds(key []byte) (lower, upper uint64) { return a.f.Bounds(key) }

// Each yields all keys that are held with the bounds of the bytes of their responses: see [Frequent.Each].
func (a *Amplification) Each() iter.Seq2[[]byte, Bounds] { return a.f.Each() }

// All calls yield with each key that is held and the lower bound of its responses: see [Frequent.All].
func (a *Amplification) All() func(yield func([]byte, uint64) bool) { return a.f.All() }

// Find returns the row of a key, and whether it is held.
func (a *Amplification) Find(key []byte) (AmplificationRow, bool) {
	for i := range a.f.entries {
		if string(a.f.key(i)) == string(key) {
			return a.row(i), true
		}
	}
	return AmplificationRow{}, false
}

func (a *Amplification) row(i int) AmplificationRow {
	row, asked := &a.f.asked.rows[i], a.f.asked
	r := AmplificationRow{a.f.row(i), row.Asked, 0}
	r.Bytes, r.QueriesUpper = asked.thinned.bounds(row.Bytes, row.upper())
	return r
}

// Top appends the n keys with the most bytes of responses to dst, ordered as in [Frequent.Top].
func (a *Amplification) Top(dst []AmplificationRow, n int) []AmplificationRow {
	var few [64]int32
	for _, i := range a.f.heaviest(few[:0], n) {
		dst = append(dst, a.row(int(i)))
	}
	return dst
}

// Trim keeps the n heaviest keys and compacts: see [Frequent.Trim].
func (a *Amplification) Trim(n int) {
	if n < a.Len() {
		*a = *a.Trimmed(n)
		return
	}
	a.Compact()
}

// Trimmed returns a copy that shares nothing with a and holds the n heaviest keys.
func (a *Amplification) Trimmed(n int) *Amplification { return &Amplification{*a.f.Trimmed(n)} }

// Compact frees the memory that only a growing sketch needs.
func (a *Amplification) Compact() {
	a.f.Compact()
	a.f.asked.rows = fitted(a.f.asked.rows)
}

// Reset empties a. It keeps the memory for the next stream.
func (a *Amplification) Reset() {
	asked := a.f.asked
	*asked = askedRows{rows: asked.rows[:0]}
	a.f.Reset()
	a.f.asked = asked
}

// Clone returns a copy that shares nothing with a.
func (a *Amplification) Clone() *Amplification {
	c := &Amplification{*a.f.Clone()}
	c.f.asked = a.f.asked.empty(a.Len())
	c.f.asked.rows = append(c.f.asked.rows, a.f.asked.rows...)
	return c
}

// KeyBytes returns the bytes of all keys that are held.
func (a *Amplification) KeyBytes() int { return len(a.f.keys) }
