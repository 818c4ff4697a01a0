package exposition

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// constant are metrics whose value lies between those of a reading before and one after it, or outside by that share.
var constant = map[string]float64{
	"process_start_time_seconds": 1e-9, "process_max_fds": 0, "process_virtual_memory_max_bytes": 0, "go_gc_gogc_percent": 0, "go_gc_gomemlimit_bytes": 0,
	"go_sched_gomaxprocs_threads": 0, "go_info": 0, "process_virtual_memory_bytes": 0.2, "process_resident_memory_bytes": 0.3, "go_memstats_sys_bytes": 0.3,
	"process_cpu_seconds_total": 0.5, "process_open_fds": 0.5, "process_network_receive_bytes_total": 0.5, "process_network_transmit_bytes_total": 0.5,
	"go_memstats_mallocs_total": 0.5, "go_memstats_alloc_bytes_total": 0.5, "go_memstats_heap_sys_bytes": 0.3,
}

// TestProcess: the names, types, labels and values are those of Prometheus' own library.
func TestProcess(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	want, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	e := NewEncoder(nil, Protobuf, nil)
	AppendProcess(e, time.Now())
	got := make(map[string]*dto.MetricFamily)
	for _, f := range decode(t, e.Bytes(), expfmt.TypeProtoDelim) {
		got[f.GetName()] = f
	}
	after, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, w := range want {
		g := got[w.GetName()]
		if g == nil || g.GetType() != w.GetType() || len(g.Metric) != len(w.Metric) || len(g.Metric[0].Label) != len(w.Metric[0].Label) {
			t.Errorf("%s: %v\nwant %v", w.GetName(), g, w)
			continue
		}
		if w.GetType() == dto.MetricType_SUMMARY && len(g.Metric[0].Summary.Quantile) != len(w.Metric[0].Summary.Quantile) {
			t.Errorf("%s: %v", w.GetName(), g)
		}
		value := func(m *dto.Metric) float64 { return m.GetCounter().GetValue() + m.GetGauge().GetValue() }
		if share, ok := constant[w.GetName()]; ok {
			compared++
			a, least, most := value(g.Metric[0]), value(w.Metric[0]), value(after[i].Metric[0]) // Gather sorts by name
			if least, most = min(least, most), max(least, most); !(a >= least*(1-share)-1 && a <= most*(1+share)+1) {
				t.Errorf("%s: %v, want %v to %v", w.GetName(), a, least, most)
			}
		}
	}
	if len(got) != len(want) || compared != len(constant) {
		t.Errorf("%d families, want %d; %d of %d values compared", len(got), len(want), compared, len(constant))
	}
}

// TestParseProc: what /proc may hold is read, and what it should not hold is left out.
func TestParseProc(t *testing.T) {
	line := []byte("7 (a) b (c)) S 1 7 7 0 -1 4194560 9 8 7 6 250 150 3 4 20 0 9 0 12345 1000 50 18446744073709551615 1\n")
	if s, ok := parseStat(line); !ok || s != (stat{cpu: 4, start: 123.45, virtual: 1000, resident: 50}) {
		t.Errorf("%+v %v", s, ok)
	}
	for n := range len(line) - 25 { // the last field that is read must be whole
		if s, ok := parseStat(line[:n]); ok && n < bytes.Index(line, []byte("1000")) {
			t.Errorf("%q: %+v", line[:n], s)
		}
	}
	limits := []byte("Limit                     Soft Limit           Hard Limit           Units\nMax address space         unlimited            unlimited            bytes\nMax open files            1024                 4096                 files\nMax cut\n")
	for name, want := range map[string]float64{"Max open files": 1024, "Max address space": math.MaxUint64} {
		if v, ok := parseLimit(limits, name); !ok || v != want {
			t.Errorf("%s: %v %v", name, v, ok)
		}
	}
	for _, name := range []string{"Max cut", "Max other", "Limit"} {
		if v, ok := parseLimit(limits, name); ok {
			t.Errorf("%s: %v", name, v)
		}
	}
	for text, want := range map[string][2]float64{
		"TcpExt: A\nTcpExt: 1\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 11 22\n": {11, 22},
		"IpExt: OutOctets InOctets More\nIpExt: 22 11\n":                               {11, 22},
	} {
		if in, out, ok := parseNetstat(text); !ok || in != want[0] || out != want[1] {
			t.Errorf("%q: %v %v %v", text, in, out, ok)
		}
	}
	for _, text := range []string{"", "IpExt:", "IpExt: InOctets OutOctets\n", "IpExt: InOctets\nIpExt: 1\n", "IpExt: InOctets OutOctets\nIpExt: x y\n"} {
		if _, _, ok := parseNetstat(text); ok {
			t.Errorf("%q is accepted", text)
		}
	}
}
