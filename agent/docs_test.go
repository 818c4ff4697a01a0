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
  the last whole second.
- A **histogram** is the quantiles of what each event had, within 1% of the value, with exact ` + "`min`, `max`, `mean`" + `
  and ` + "`count`" + `. It is an empty object where there was no event.
- A **cardinality** is how many distinct keys there were; beside it, ` + "`NAME_error`" + ` is half the width of the 95% interval
  as a share of the estimate: 0 where the number is exact.
- A **top** table has the ten keys of most weight. ` + "`estimate`" + ` is what a key certainly had. Where it may have had more,
  ` + "`lower` and `upper`" + ` are the bounds; a table is exact up to the number of distinct keys a minute given here.

A DNS message counts once if its header was captured, whatever brought it: a datagram, IP fragments, TCP segments. It has
the time of its first byte, and counts in the second in which it is whole. If fragments or segments of it were not
captured, or were cut by the capture, it counts by what there is: at once if nothing more can come; when a missing segment is given
up or the stream ends; or a second after its start, or half the DNS timeout if that is shorter. Bytes of it that come later do not
count again. Its size is the one that it claims.

Counters and histograms of a sampled agent (` + "`deep_sample_factor`" + ` over 1) count everything that is said to count
packets or messages; tables, cardinalities and transactions are those of the sample, as they are.
`

// TestMetricsDoc holds docs/metrics.md to the tables.
func TestMetricsDoc(t *testing.T) {
	testkit.Golden(t, "../docs/metrics.md", metric.AppendDocs([]byte(metricsHead), Tables))
}
