#!/usr/bin/env bash
# go-statsd-client (cactus, Go) and Prometheus' statsd_exporter: a temperature that falls from 4 to -5 and stays there is shown as -1, -6, -11.
#
# A gauge's value with a sign is a change: "you can't explicitly set a gauge to a negative number without first setting it to zero" (StatsD,
# docs/metric_types.md, "Gauges"). Gauge(-5) of this client, which "submits/updates" a gauge, sends what GaugeDelta(-5) sends. Each report of a negative
# value is subtracted from the last one. Positive values set the gauge, so a gauge that is below zero for a while falls, and is right again afterwards.
# smira/go-statsd, for comparison, sends a zero before a negative value.
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
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/event"
	"github.com/prometheus/statsd_exporter/pkg/exporter"
	"github.com/prometheus/statsd_exporter/pkg/line"
	"github.com/prometheus/statsd_exporter/pkg/mapper"
	smira "github.com/smira/go-statsd"
)

// server is a UDP socket for the clients, and the exporter's own parser and registry behind it.
type server struct {
	conn     net.PacketConn
	registry *prometheus.Registry
	events   chan event.Events
}

func newServer() *server {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{conn, prometheus.NewRegistry(), make(chan event.Events)}
	vec := func(name string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	m := &mapper.MetricMapper{Logger: log}
	if err := m.InitFromYAMLString(""); err != nil {
		panic(err)
	}
	e := exporter.NewExporter(s.registry, m, log, vec("a", "action"), prometheus.NewCounter(prometheus.CounterOpts{Name: "b"}),
		vec("c", "reason"), vec("d", "type"), vec("e", "type"), prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "f"}, []string{"type"}))
	go e.Listen(s.events)
	return s
}

// receive passes one packet on and returns its text.
func (s *server) receive() string {
	b := make([]byte, 1500)
	s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := s.conn.ReadFrom(b)
	if err != nil {
		panic(err)
	}
	parser := line.NewParser()
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "errors"}, []string{"reason"})
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "other"})
	text := strings.Fields(string(b[:n]))
	for _, l := range text {
		s.events <- parser.LineToEvents(l, *errors, other, other, other, slog.Default())
	}
	s.events <- nil // taken after the last line has been processed
	return strings.Join(text, " ")
}

func (s *server) gauge() float64 {
	families, err := s.registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() == "temperature" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	panic("no such gauge")
}

func main() {
	for _, name := range []string{"cactus/go-statsd-client", "smira/go-statsd"} {
		s := newServer()
		address := s.conn.LocalAddr().String()
		var gauge func(int64)
		if name == "smira/go-statsd" {
			client := smira.NewClient(address)
			gauge = func(v int64) { client.Gauge("temperature", v) }
		} else {
			client, err := statsd.NewClientWithConfig(&statsd.ClientConfig{Address: address})
			if err != nil {
				panic(err)
			}
			gauge = func(v int64) { client.Gauge("temperature", v, 1) }
		}
		fmt.Println(name)
		for _, v := range []int64{4, -5, -5, -5, 4} {
			gauge(v)
			text := s.receive()
			fmt.Printf("  Gauge(%d) sends %s; the exporter shows %g\n", v, text, s.gauge())
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/cactus/go-statsd-client/v5@v5.1.0 github.com/smira/go-statsd@v1.3.4 github.com/prometheus/statsd_exporter@v0.31.0 2>/dev/null
echo "cactus/go-statsd-client v5.1.0, smira/go-statsd v1.3.4, statsd_exporter v0.31.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
cactus/go-statsd-client
  Gauge(4) sends temperature:4|g; the exporter shows 4
  Gauge(-5) sends temperature:-5|g; the exporter shows -1
  Gauge(-5) sends temperature:-5|g; the exporter shows -6
  Gauge(-5) sends temperature:-5|g; the exporter shows -11
  Gauge(4) sends temperature:4|g; the exporter shows 4
smira/go-statsd
  Gauge(4) sends temperature:4|g; the exporter shows 4
  Gauge(-5) sends temperature:0|g temperature:-5|g; the exporter shows -5
  Gauge(-5) sends temperature:0|g temperature:-5|g; the exporter shows -5
  Gauge(-5) sends temperature:0|g temperature:-5|g; the exporter shows -5
  Gauge(4) sends temperature:4|g; the exporter shows 4
OUT
echo "as found"
