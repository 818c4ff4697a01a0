package server_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/server"
)

// TestDefaultHandlers: the policy of a command line has the handlers of the successor's policy default, as far as it has the sections.
func TestDefaultHandlers(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	cfg := config(w)
	cfg.PromInstance = "ns1"
	h := server.New(cfg).Handler()
	var doc map[string]map[string]map[string]struct {
		Events uint64 `json:"events"`
		Wire   struct {
			Events uint64 `json:"events"`
		} `json:"wire_packets"`
		OSDrops *uint64 `json:"os_drops"`
	}
	if err := json.Unmarshal(get(t, h, "/api/v1/policies/default/metrics/window/2").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	p := doc["default"]
	if len(p) != 3 || p["default-default-net"]["packets"].Events == 0 || p["default-default-dns"]["dns"].Wire.Events == 0 || p["default-default-pcap_stats"]["pcap"].OSDrops == nil {
		t.Errorf("%+v", doc)
	}
	text := get(t, h, "/api/v1/policies/default/metrics/prometheus").Body.String()
	if want := `dns_wire_packets_events{handler="dns",instance="ns1",policy="default",tap="default"} `; !strings.Contains(text, "\n"+want) {
		t.Errorf("no %s in %s", want, text)
	}
	if list := server.DefaultHandlers([]*metric.Table{metric.Define[struct{}]("dns")}); len(list) != 1 || list[0].Type != "dns" {
		t.Errorf("%+v", list)
	}
}

// TestAppendSuccessor: all policies are in one text that Prometheus can read. Two handlers of one type differ by their label.
func TestAppendSuccessor(t *testing.T) {
	p := summary(t, testkit.TinyMixed())
	w := p.Window()
	if len(w.Minutes()) == 0 {
		t.Fatal("no finished minute")
	}
	window := func(tap string, handlers ...server.Handler) server.PolicyWindow {
		return server.PolicyWindow{Tap: tap, Views: w, Tables: p.Tables(), Handlers: handlers}
	}
	names, codes := server.Handler{Name: "names", Type: "dns"}, server.Handler{Name: "codes", Type: "dns"}
	text := server.AppendSuccessor(nil, []*server.Policy{
		{Name: "default", Windows: []server.PolicyWindow{window("eth0", server.DefaultHandlers(p.Tables())...)}},
		{Name: "two", Windows: []server.PolicyWindow{window("eth0", names), window("eth0", codes), window("eth1", names)}},
	}, "ns1")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var got []string
	for _, m := range families["dns_wire_packets_total"].Metric {
		var labels []string
		for _, l := range m.Label {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		got = append(got, strings.Join(labels, ","))
	}
	want := "instance=ns1,policy=default,tap=eth0 instance=ns1,policy=two,tap=eth0 handler=codes,instance=ns1,policy=two,tap=eth0 instance=ns1,policy=two,tap=eth1"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, " "), want)
	}
	if n := len(families["packets_total"].Metric); n != 1 {
		t.Errorf("%d handlers net", n)
	}
}

// TestPromCompat: /metrics has the successor's names beside our own, in each format, if it is asked for.
func TestPromCompat(t *testing.T) {
	cfg := config(summary(t, testkit.TinyMixed()).Window())
	plain := server.New(cfg).Handler()
	if text := get(t, plain, "/metrics").Body.String(); strings.Contains(text, "\ndns_wire_packets_total{") {
		t.Error("the successor's names are there without being asked for")
	}
	cfg.PromCompat, cfg.PromInstance = true, "ns1"
	h := server.New(cfg).Handler()
	for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0"} {
		text := get(t, h, "/metrics", "Accept", accept).Body.String()
		for _, want := range []string{
			"dns_wire_packets_total{instance=\"ns1\",policy=\"default\",tap=\"default\"} ", "packets_rates_pps_in{instance=\"ns1\",policy=\"default\",tap=\"default\",quantile=\"0.95\"} ",
			"pcap_os_drops{instance=\"ns1\",policy=\"default\",tap=\"default\"} 0", "pktvisor_dns_wire_packets_queries_total ",
		} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("%s: no %s", accept, want)
			}
		}
		if n := strings.Count(text, "# TYPE dns_wire_packets_total "); n != 1 {
			t.Errorf("%s: %d types", accept, n)
		}
	}
	protobuf := "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	d := expfmt.NewDecoder(get(t, h, "/metrics", "Accept", protobuf).Body, expfmt.NewFormat(expfmt.TypeProtoDelim))
	found := false
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); err != nil {
			break
		}
		found = found || f.GetName() == "dns_xact_counts_total" && f.GetType() == dto.MetricType_GAUGE
	}
	if !found {
		t.Error("the protobuf form has no dns_xact_counts_total")
	}
}
