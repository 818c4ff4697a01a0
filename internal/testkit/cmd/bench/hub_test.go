package main

import "testing"

// TestParseBenchmarks: names lose the number of CPUs, other lines are ignored, and a metric of a benchmark's own is found by its unit.
func TestParseBenchmarks(t *testing.T) {
	f := parseBenchmarks([]byte(`goos: linux
BenchmarkMinute-2   	       4	         3.973 %core	       149.3 MB	      1200 floor-ms/min
--- BENCH: BenchmarkMinute-2
    bench_test.go:61: 1000 snapshots
BenchmarkRange/7d-16         	      20	  93000000 ns/op	       110.5 p99-ms	  12 allocs/op
PASS
`))
	if len(f) != 2 || f["Minute"]["%core"] != 3.973 || f["Minute"]["MB"] != 149.3 || f["Minute"]["floor-ms/min"] != 1200 {
		t.Errorf("%v", f)
	}
	if r := f["Range/7d"]; r["ns/op"] != 93e6 || r["p99-ms"] != 110.5 || r["allocs/op"] != 12 {
		t.Errorf("%v", r)
	}
}
