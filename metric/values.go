package metric

import "pktvisor/sketch"

// Sum returns the number of seconds that the rate covers, and the events of all of them together. It allocates nothing.
func (r *Rate) Sum() (seconds, events uint64) {
	for _, b := range r.blocks {
		for _, v := range b.events {
			events += v
		}
	}
	if r.older != nil {
		events += r.older.Sum()
	}
	return r.seconds(), events
}

// Minus returns a rate with the events of r that others do not have, second by second. No other rate may have more events in a
// second than r; if one has, the second counts as 0. It returns nil if r or another no longer has all of its seconds one by one.
func (r *Rate) Minus(others ...*Rate) *Rate {
	if r.older != nil {
		return nil
	}
	rest := new(Rate)
	rest.Cover(r.from, r.end)
	for _, b := range r.blocks {
		left := b.events
		for _, o := range others {
			if o.older != nil {
				return nil
			}
			if at, found := o.find(b.start); found {
				for i, v := range o.blocks[at].events {
					left[i] -= min(v, left[i])
				}
			}
		}
		rest.addBlock(b.start, left[:])
	}
	return rest
}

// Quantiles returns the values whose quantiles the histogram shows. In a sample of changing share, a value occurs in it as often
// as it stands for, in an unspecified unit. Do not change it.
func (h *Histogram) Quantiles() *sketch.Histogram {
	if h.whole != nil {
		return h.whole
	}
	return &h.Histogram
}

// Heaviest returns the rows that the table shows: the n keys that stand for most, with their bounds in the table. It puts them into
// the memory of buf.
func (t *Top) Heaviest(buf []sketch.Row, n int) []sketch.Row {
	return t.scaling.rows(buf[:0], n, t.Frequent)
}
