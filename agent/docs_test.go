package agent

import (
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

const metricsHead = `# Metrics

This page is generated from the metric tables in the code (` + "`make golden`" + `). The names are those of the
JSON: a dot is a nested object.

- A **counter** is exact. Over HTTP it is that of one minute or window; in Prometheus it grows for ever.
- A **rate** is the quantiles (p50, p90, p95, p99) of what each second of the time had, exact, and ` + "`live`" + `,
  the last whole second. A packet counts in the second that its own time names, in whatever order packets come, as long as that
  minute is open ([clocks](operations.md#clocks)); after that it is in ` + "`packets.late`" + ` and in no second.
- A **histogram** is the quantiles of what each event had, within 1% of the value, with exact ` + "`min`, `max`, `mean`" + `
  and ` + "`count`" + `. It is an empty object where there was no event.
- A **cardinality** is how many distinct keys there were; beside it, ` + "`NAME_error`" + ` is half the width of the 95% interval
  as a share of the estimate: 0 where the number is exact.
- A **top** table has the ten keys of most weight. ` + "`estimate`" + ` is what a key certainly had. Where it may have had more,
  ` + "`lower` and `upper`" + ` are the bounds; a table is exact up to the number of distinct keys a minute given here.

Counters and histograms of a sampled agent (` + "`deep_sample_factor`" + ` over 1) count everything that is said to count
packets or messages; tables, cardinalities and transactions are those of the sample, as they are.
`

// TestMetricsDoc holds docs/metrics.md to the tables.
func TestMetricsDoc(t *testing.T) {
	testkit.Golden(t, "../docs/metrics.md", metric.AppendDocs([]byte(metricsHead), Tables))
}
