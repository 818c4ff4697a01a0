package metric

import (
	"pktvisor/sketch"
)

// defaultSlots is the size of a top table whose declaration says nothing else.
const defaultSlots = 8192

// Counter is a number that only grows.
type Counter uint64

// Histogram is a summary of integer values, for quantiles (see [sketch.Histogram]).
type Histogram struct{ sketch.Histogram }

// Merge adds the values of o.
func (h *Histogram) Merge(o *Histogram) { h.Histogram.Merge(&o.Histogram) }

// Cardinality counts distinct keys (see [sketch.Distinct]).
type Cardinality struct{ sketch.Distinct }

// Merge adds the keys of o.
func (c *Cardinality) Merge(o *Cardinality) { c.Distinct.Merge(&o.Distinct) }

// Top finds the keys of the greatest weight (see [sketch.Frequent]).
type Top struct{ *sketch.Frequent }

func (t *Top) init(slots int) { t.Frequent = sketch.NewFrequent(slots) }

// Merge adds the keys of o.
func (t *Top) Merge(o *Top) { t.Frequent.Merge(o.Frequent) }
