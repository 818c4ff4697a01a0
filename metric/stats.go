package metric

import (
	"iter"

	"pktvisor/sketch"
)

// Stat is one number of a metric, for a chart over time.
type Stat struct {
	// Name is the number's name in the API, such as count or p95.
	Name string
	// Of returns the number for metric i of a section, in the unit of the metric. ok is false if there is none.
	Of func(s *Section, i int) (v float64, ok bool)
}

// Stats returns the numbers that a chart of a metric of the kind shows. It is empty for a kind with [Rows].
func (k *Kind) Stats() []Stat { return k.stats }

// quantile is a quantile with its name in the API.
type quantile struct {
	name string
	q    float64
}

// quantilesAndMax are the quantiles that a chart shows.
var quantilesAndMax = []quantile{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1}}

func quantileStats(list []quantile, of func(s *Section, i int, q float64) (float64, bool)) (stats []Stat) {
	for _, q := range list {
		stats = append(stats, Stat{q.name, func(s *Section, i int) (float64, bool) { return of(s, i, q.q) }})
	}
	return stats
}

// Rows is a metric whose value is a table of keys, each with a number. Any number of goroutines may read the rows of a bucket
// that nothing changes any more.
type Rows interface {
	// Bounds returns what the key has at least and at most. Without a row, that is 0 and the error of the table.
	Bounds(key []byte) (lower, upper uint64)
	// Total returns the whole of which a row is a part, and TotalBounds what that is at least and at most.
	Total() uint64
	TotalBounds() (lower, upper uint64)
	// Additive reports whether the numbers of two minutes add up to those of both.
	Additive() bool
	// Each yields the keys that have a row, with their bounds. A key is valid until the next one.
	Each() iter.Seq2[[]byte, sketch.Bounds]
	// Missing returns the most that a key without a row can have.
	Missing() uint64
}

// Rows returns the rows of metric i of the section's table, or nil if a metric of its kind has none.
func (s *Section) Rows(i int) Rows {
	r, ok := s.values[i].(Rows)
	if !ok {
		return nil
	}
	return s.limitRows(i, r)
}

// TotalBounds implements [Rows]: the weights of all keys were added up.
func (t *Top) TotalBounds() (lower, upper uint64) { return t.Frequent.TotalBounds() }

// Additive implements [Rows].
func (t *Top) Additive() bool { return true }

// Missing implements [Rows].
func (t *Top) Missing() uint64 { return t.Frequent.Missing() }

// Total returns the estimated number of distinct pairs of a key and an item.
func (t *Distinct) Total() uint64 { return uint64(t.Estimate() + 0.5) }

// Additive implements [Rows]. What two minutes have in common counts once.
func (t *Distinct) Additive() bool { return false }

// TotalBounds implements [Rows]: the bytes of all responses were added up.
func (t *Amplification) TotalBounds() (lower, upper uint64) { return t.Amplification.TotalBounds() }

// Additive implements [Rows].
func (t *Amplification) Additive() bool { return true }

// Missing implements [Rows].
func (t *Amplification) Missing() uint64 { return t.Amplification.Missing() }
