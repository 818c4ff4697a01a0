#!/usr/bin/env bash
# Builds programs that collect summaries from their Go modules into out/chain, for the tests of internal/testkit/chain. Each
# argument is one of the folders there; without arguments, all are built, one after the other.
#
# To change a version, edit the go.mod there and run this with GOFLAGS=-mod=mod.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/out/chain
mkdir -p "$out"
export CGO_ENABLED=0 GOFLAGS="-trimpath ${GOFLAGS:-}"
[ $# -gt 0 ] || set -- telegraf victoriametrics otelcol

for program in "$@"; do
  case $program in
  telegraf) # with the plugins that examples/telegraf uses
    tags=custom,inputs.http,processors.starlark,outputs.elasticsearch,outputs.file,parsers.value,serializers.json
    package=github.com/influxdata/telegraf/cmd/telegraf
    ;;
  victoriametrics) tags= package=github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics ;;
  otelcol) tags= package=. ;;
  *)
    echo "usage: scripts/chain.sh [telegraf] [victoriametrics] [otelcol]" >&2
    exit 2
    ;;
  esac
  (cd "internal/testkit/chain/$program" && nice -n 15 go build -tags "$tags" -o "$out/$program" "$package")
  echo "chain: $program is built (${SECONDS}s)"
done
