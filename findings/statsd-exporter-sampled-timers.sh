#!/usr/bin/env bash
# Prometheus' statsd_exporter counts up to half too few events of a sampled timer, and the counter beside it right.
#
# A client that sends a part of its events says so: |@0.6. The server divides a counter's value by it, and counts a timer 1/0.6 times
# (StatsD, docs/metric_types.md, "Timing"; its own server adds 1/sampleRate to the timer's count). This exporter repeats a timer int(1/0.6)
# times, which is once. 1,000 requests become 600 at a rate of 0.6 and 900 at 0.3, in the _count, the _sum and each bucket, while quantiles and
# the mean look right. 0.5 and 0.1, which everybody tries, are exact. The counter in the same packets says 1,000 each time.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/line"
)

func main() {
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "errors"}, []string{"reason"})
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "other"})
	parser := line.NewParser()
	for _, rate := range []float64{1, 0.75, 0.6, 0.5, 0.3, 0.1} {
		counter, timer := 0.0, 0
		for range int(1000 * rate) { // of 1,000 requests, the client sends those of its sample
			for _, e := range parser.LineToEvents(fmt.Sprintf("requests:1|c|@%g", rate), *errors, other, other, other, slog.Default()) {
				counter += e.Value()
			}
			timer += len(parser.LineToEvents(fmt.Sprintf("latency:20|ms|@%g", rate), *errors, other, other, other, slog.Default()))
		}
		fmt.Printf("sample rate %g: the counter says %.0f requests, the timer %d\n", rate, counter, timer)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/prometheus/statsd_exporter@v0.31.0 2>/dev/null
echo "statsd_exporter v0.31.0; expected: 1000 each time"
go run . | tee out.txt
diff out.txt - <<'OUT'
sample rate 1: the counter says 1000 requests, the timer 1000
sample rate 0.75: the counter says 1000 requests, the timer 750
sample rate 0.6: the counter says 1000 requests, the timer 600
sample rate 0.5: the counter says 1000 requests, the timer 1000
sample rate 0.3: the counter says 1000 requests, the timer 900
sample rate 0.1: the counter says 1000 requests, the timer 1000
OUT
echo "as found"
