package otlp

import "pktvisor/metric"

// ucum are the units that are not things to count, by their names in the tables, in the Unified Code for Units of Measure.
var ucum = map[string]string{"bytes": "By", "bits": "bit", "us": "us", "seconds": "s", "ratio": "1"}

// unitOf returns the unit of a metric's family in UCUM. Things that are counted are an annotation, as in {packets}.
func unitOf(d *metric.Desc, family int) string {
	switch {
	case d.Kind == metric.KindCardinality && family == 1: // the error
		return ucum["ratio"]
	case d.Kind == metric.KindAmplification:
		return ucum["bytes"]
	case d.Kind == metric.KindHistogram:
		return baseUnit(d.Unit)
	}
	u := d.Unit
	name := u.Base
	if u.Dimension == metric.Time {
		name = "us" // only histograms are in the base unit
	}
	unit := codeOf(name)
	if u.PerSecond {
		unit += "/s"
	}
	return unit
}

// baseUnit returns the base unit of a unit that is not one per second.
func baseUnit(u metric.Unit) string { return codeOf(u.Base) }

func codeOf(name string) string {
	if code, ok := ucum[name]; ok {
		return code
	}
	return "{" + name + "}"
}
