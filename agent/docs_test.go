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

A DNS message counts once if its header was captured, whatever brought it: a datagram, IP fragments, TCP segments. It has
the time of its first byte, and counts in the second in which it is whole. If fragments or segments of it were not
captured, or were cut by the capture, it counts by what there is: at once if nothing more can come; when a missing segment is given
up or the stream ends; or a second after its start, or half the DNS timeout if that is shorter. Bytes of it that come later do not
count again. Its size is the one that it claims.

Of a sampled agent (` + "`deep_sample_factor`" + ` over 1), what has the unit packets or messages and is no table counts everything, sampled or
not; so do rates and the histograms of sizes (` + "`size`" + `, ` + "`payload_size`" + `, ` + "`response_size`" + `). All else is of the sample, as it is: tables,
cardinalities, and all under ` + "`xact`" + `, its histograms of times and ratios included.

How DNS messages are paired (` + "`xact`" + `):

- A **query** is paired with the first response that has its addresses, ports, transport, ID and question, where either
  of the two may lack a question that can be read. It waits for ` + "`--dns-timeout`" + `, 5 seconds unless told otherwise; then it is a
  **timeout**, in the second that begins after that. Queries to multicast addresses, and unidirectional messages of DNS
  Stateful Operations, wait for nothing.
- A response may come before its query in the capture, up to a second of the packets' clock. By its own time it may be up
  to 10 ms earlier than its query, and has then taken no time; what is earlier by more belongs to another query.
- A response that still has no query then is an **orphan**. It counts a second or two after it came, maybe in the next minute. A shard lets
  up to 4,096 responses wait; in a flood of responses that nobody asked for, the oldest are orphans sooner.
- A further response to a query that was answered is a repeat (` + "`response_repeats`" + `), up to the timeout after the first, whatever its rcode: the first response
  is the one that a client takes, be it forged or not. To a zone transfer over TCP it is a further message
  (` + "`transfer_messages`" + `), up to the timeout after the one before. A shard remembers its newest 65,536 transactions for that.
- A shard has room for 131,072 waiting queries. In a flood of unanswered ones the oldest are given up: **evicted**.
- So queries that may be answered are transactions, repeats, timeouts, evicted, or still waiting; and responses that are not multicast
  are transactions, repeats, messages of transfers, orphans, or still waiting.
- A message of which only the start was captured counts by what there is of it. Without its header it counts in ` + "`header_cut`" + `
  alone; without its question it pairs by the rest.
`

// TestMetricsDoc holds docs/metrics.md to the tables.
func TestMetricsDoc(t *testing.T) {
	testkit.Golden(t, "../docs/metrics.md", metric.AppendDocs([]byte(metricsHead), Tables))
}
