package agent

import (
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

const metricsHead = `# Metrics

This page is generated from the metric tables in the code (` + "`make golden`" + `). The names are those of the
JSON: a dot is a nested object.

`

const metricsRest = `
A DNS message counts once if its header was captured, whether it came in one datagram, in IP fragments or in TCP segments. It has
the time of its first byte, and counts in the second in which it is complete. If some of its fragments or segments were not
captured, or were cut by the capture, the captured part counts:

- at once, if nothing more can come;
- when a missing segment is given up, or the stream ends;
- else a second after its start, or half the DNS timeout if that is shorter.

Bytes of the message that come later do not count again. Its size is the one that its headers claim.

On an agent that samples (` + "`" + `deep_sample_factor` + "`" + ` over 1), these count everything, sampled or not: all counters of packets or messages, the rates,
and the histograms of sizes (` + "`" + `size` + "`" + `, ` + "`" + `payload_size` + "`" + `, ` + "`" + `response_size` + "`" + `). All else covers only the sample: tables, cardinalities, and
everything under ` + "`" + `xact` + "`" + `, with its histograms of times and ratios. Rows, cardinalities and these histograms say what they stand for: ` + "`" + `scaled` + "`" + `, with
bounds ([sampling](operations.md#sampling)).

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

// TestMetricsDoc checks that docs/metrics.md describes the tables.
func TestMetricsDoc(t *testing.T) {
	doc := append(metric.AppendKindDocs([]byte(metricsHead)), metricsRest...)
	doc = metric.AppendDocs(doc, Tables)
	testkit.Golden(t, "../docs/metrics.md", doc)
}

// TestTables: no two metrics have the same name.
func TestTables(t *testing.T) {
	if err := metric.Check(append([]*metric.Table{SourceTable}, Tables...)); err != nil {
		t.Error(err)
	}
}
