#!/usr/bin/env bash
# OpenTelemetry's Prometheus exporter for JavaScript writes the same label twice, and Prometheus then refuses the whole page.
#
# The attributes q.name and q_name are different in OpenTelemetry and one label in Prometheus' classic names. The specification
# ("Prometheus and OpenMetrics Compatibility", metric attributes) has the exporter join the values with ";". This one writes both.
# Counters whose names become the same are written as equal series with different values. One attribute of one instrument costs
# all metrics of the process: the parser of Prometheus' own Go library stops at the line.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @opentelemetry/exporter-prometheus@0.301.0 @opentelemetry/sdk-metrics@3.1.1 >/dev/null 2>&1
cat >run.js <<'JS'
const { PrometheusExporter, PrometheusSerializer } = require('@opentelemetry/exporter-prometheus');
const { MeterProvider } = require('@opentelemetry/sdk-metrics');
const reader = new PrometheusExporter({ preventServerStart: true });
const meter = new MeterProvider({ readers: [reader] }).getMeter('m');
meter.createCounter('healthy').add(1);
if (process.argv[2] === 'attributes') meter.createCounter('queries').add(1, { 'q.name': 'a', 'q_name': 'b' });
if (process.argv[2] === 'names') {
  meter.createCounter('dns/queries').add(2);
  meter.createCounter('dns.queries').add(3);
}
reader.collect().then((r) => process.stdout.write(new PrometheusSerializer('', false).serialize(r.resourceMetrics)));
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
		fmt.Println("refused:", err)
		return
	}
	fmt.Println("read,", len(families["dns_queries_total"].GetMetric()), "series of dns_queries_total")
}
GO
export GOFLAGS=-mod=mod
go get github.com/prometheus/common@v0.74.0 2>/dev/null
go build -o parse .
echo "@opentelemetry/exporter-prometheus 0.301.0, read with prometheus/common v0.74.0"
for what in attributes names; do
  node run.js $what >$what.prom
  grep -E '^(queries|dns_queries)_total' $what.prom
  ./parse <$what.prom
done | tee out.txt
diff out.txt - <<'OUT'
queries_total{q_name="a",q_name="b",otel_scope_name="m"} 1
refused: text format parsing error in line 9: duplicate label names for metric "queries_total"
dns_queries_total{otel_scope_name="m"} 2
dns_queries_total{otel_scope_name="m"} 3
read, 2 series of dns_queries_total
OUT
echo "as found"
