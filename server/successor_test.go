package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/server"
)

// TestDefaultHandlers: the policy of a command line has the handlers of the successor's policy default, as far as it has the sections.
func TestDefaultHandlers(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	cfg := config(w)
	cfg.SuccessorInstance = "ns1"
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
