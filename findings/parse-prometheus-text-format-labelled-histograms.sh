#!/usr/bin/env bash
# parse-prometheus-text-format (npm): of a histogram with labels, one series remains, without its labels, sum and count.
#
# Each set of labels beside "le" is a histogram of its own, with its own _sum and _count (Prometheus exposition formats, "Histograms and
# summaries"). This parser puts the buckets of all into one map by "le" alone, where later series overwrite earlier ones. The sums and
# counts are kept only where there are no labels. The output aims "to be compatible with that of prom2json", which is built on Prometheus' own
# parser and gives a histogram for each set of labels. Counters and gauges keep their labels, as do summaries until they have quantiles:
# then the same happens to them. Nothing shows that something is missing.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >page.prom <<'PROM'
# TYPE latency_seconds histogram
latency_seconds_bucket{method="GET",le="0.1"} 900
latency_seconds_bucket{method="GET",le="+Inf"} 1000
latency_seconds_sum{method="GET"} 70
latency_seconds_count{method="GET"} 1000
latency_seconds_bucket{method="POST",le="0.1"} 1
latency_seconds_bucket{method="POST",le="+Inf"} 20
latency_seconds_sum{method="POST"} 31
latency_seconds_count{method="POST"} 20
PROM
npm install --silent --no-audit --no-fund --prefix . parse-prometheus-text-format@1.1.1 >/dev/null
cat >run.js <<'JS'
const parse = require('parse-prometheus-text-format');
const [family] = parse(require('fs').readFileSync('page.prom', 'utf8'));
for (const m of family.metrics) console.log('npm:', JSON.stringify(m));
JS
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func main() {
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(os.Stdin)
	if err != nil {
		panic(err)
	}
	for _, m := range families["latency_seconds"].GetMetric() {
		h := m.GetHistogram()
		fmt.Printf("go: %s: %d of %d within 0.1 s, sum %g\n", m.GetLabel()[0].GetValue(), h.GetBucket()[0].GetCumulativeCount(), h.GetSampleCount(), h.GetSampleSum())
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/prometheus/common@v0.74.0 2>/dev/null
echo "parse-prometheus-text-format 1.1.1, and prometheus/common v0.74.0 for comparison"
{ go run . <page.prom; node run.js; } | tee out.txt
diff out.txt - <<'OUT'
go: GET: 900 of 1000 within 0.1 s, sum 70
go: POST: 1 of 20 within 0.1 s, sum 31
npm: {"buckets":{"0.1":"1","+Inf":"20"}}
OUT
echo "as found"
