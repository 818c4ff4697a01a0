package analyze

import "pktvisor/metric"

// Sifted is implemented by analyzers that count what the filter of their policy rejected.
type Sifted interface {
	// Offered adds n events from which the filter chose those that the analyzer got. It is called after the analyzer has counted
	// these.
	Offered(n uint64)
}

// Offered finds out how many events a filter rejected: those that were offered, without those that passed.
type Offered struct{ rest int64 }

// Add adds events that were offered.
func (o *Offered) Add(n uint64) { o.rest += int64(n) }

// Filtered returns how many events were rejected since the last call, of which the given number passed. If a flush comes in
// the middle of a group, more have passed than were offered. The next call accounts for that.
func (o *Offered) Filtered(passed metric.Counter) metric.Counter {
	o.rest -= int64(passed)
	if o.rest <= 0 {
		return 0
	}
	n := metric.Counter(o.rest)
	o.rest = 0
	return n
}
