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
  the last whole second. A packet counts in the second of its own timestamp, in whatever order packets come, as long as that
  minute is open ([clocks](operations.md#clocks)). After that it counts in ` + "`packets.late`" + ` and in no second.
- A **histogram** is the quantiles of what each event had, within 1% of the value, with exact ` + "`min`, `max`, `mean`" + `
  and ` + "`count`" + `. It is an empty object where there was no event.
- A **cardinality** is how many distinct keys there were; beside it, ` + "`NAME_error`" + ` is half the width of the 95% interval
  as a share of the estimate: 0 where the number is exact.
- A **top** table has the ten keys of most weight. ` + "`estimate`" + ` is what a key certainly had. Where it may have had more,
  ` + "`lower` and `upper`" + ` are the bounds; a table is exact up to the number of distinct keys a minute given here.

A DNS message counts once if its header was captured, whether it came in one datagram, in IP fragments or in TCP segments. It has
the time of its first byte, and counts in the second in which it is complete. If some of its fragments or segments were not
captured, or were cut by the capture, the captured part counts:

- at once, if nothing more can come;
- when a missing segment is given up, or the stream ends;
- else a second after its start, or half the DNS timeout if that is shorter.

Bytes of the message that come later do not count again. Its size is the one that its headers claim.

On an agent that samples (` + "`" + `deep_sample_factor` + "`" + ` over 1), these count everything, sampled or not: all counters of packets or messages, the rates,
and the histograms of sizes (` + "`" + `size` + "`" + `, ` + "`" + `payload_size` + "`" + `, ` + "`" + `response_size` + "`" + `). All else covers only the sample: tables, cardinalities, and
everything under ` + "`" + `xact` + "`" + `, with its histograms of times and ratios.

How DNS messages are paired (` + "`" + `xact` + "`" + `):

- A **query** is paired with the first response that has its addresses, ports, transport, ID and question. If the question of
  either cannot be read, the rest decides. A query waits for ` + "`" + `--dns-timeout` + "`" + `, 5 seconds by default. Then it is a **timeout**, in the second
  that begins after that. Queries to multicast addresses, and unidirectional messages of DNS Stateful Operations, do not wait.
- A response may come before its query in the capture, by up to a second of the packets' clock. Its own timestamp may be up
  to 10 ms earlier than its query's; the latency is then 0. A response that is earlier by more belongs to another query.
- A response that still has no query then is an **orphan**. It counts a second or two after it came, maybe in the next minute. A shard lets
  up to 4,096 responses wait. In a flood of unsolicited responses, the oldest become orphans sooner.
- A further response to an answered query is a repeat (` + "`" + `response_repeats` + "`" + `), whatever its rcode, until the timeout after the first response has
  passed. The first response is the one that a client takes, forged or not. A further response in a zone transfer over TCP is a
  further message (` + "`" + `transfer_messages` + "`" + `), until the timeout after the message before has passed. For this a shard remembers its newest
  65,536 transactions.
- A shard has room for 131,072 waiting queries. In a flood of unanswered queries, the oldest are **evicted**.
- So each query that may be answered is a transaction, a repeat, a timeout, evicted, or still waiting. Each response that is not multicast
  is a transaction, a repeat, a message of a transfer, an orphan, or still waiting.
- If only the start of a message was captured, that part counts. Without its header the message counts only in ` + "`" + `header_cut` + "`" + `.
  Without its question it is paired by the rest.
`

// TestMetricsDoc holds docs/metrics.md to the tables.
func TestMetricsDoc(t *testing.T) {
	testkit.Golden(t, "../docs/metrics.md", metric.AppendDocs([]byte(metricsHead), Tables))
}
