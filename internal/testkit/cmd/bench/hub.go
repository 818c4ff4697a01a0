package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// figures are what one run of benchmarks reported: by benchmark without the number of CPUs, then by unit.
type figures map[string]map[string]float64

// benchmarks runs the benchmarks of a package that match a pattern once, and returns what they reported. The test program is
// built once.
func (o *options) benchmarks(pkg, pattern, time string) (figures, error) {
	program, err := filepath.Abs(filepath.Join(o.dir, strings.ReplaceAll(pkg, "/", "-")+".test"))
	if err != nil {
		return nil, err
	}
	if !o.built[program] {
		build := exec.Command("go", "test", "-c", "-vet=off", "-o", program, "./"+pkg)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s: %w\n%s", pkg, err, out)
		}
		o.built[program] = true
	}
	cmd := exec.Command(program, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", time, "-test.timeout", "30m")
	cmd.Dir = pkg // where the tests find their files
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, out)
	}
	return parseBenchmarks(out), nil
}

// parseBenchmarks reads the lines that a test program prints for benchmarks: a name, the number of runs, and pairs of a value and
// its unit.
func parseBenchmarks(out []byte) figures {
	found := make(figures)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			name = name[:at]
		}
		units := make(map[string]float64)
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				units[fields[i+1]] = v
			}
		}
		found[name] = units
	}
	return found
}

// medianOf returns the median of a figure of all turns.
func medianOf(turns []figures, of func(f figures) float64) float64 {
	values := make([]float64, len(turns))
	for i, f := range turns {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// versus are two benchmarks of one package that do the same work.
type versus struct{ what, pkg, ours, theirs string }

// hubPairs are compared by time and allocations.
var hubPairs = []versus{
	{"read and merge a test snapshot of few tables, zstd / old path, deflate", "metric", "Merger", "ReadAndMerge"},
	{"read an HLL sketch / datasketches-go", "sketch", "DistinctBorrow", "LibraryHLLUnmarshal"},
	{"union of HLL sketches / datasketches-go", "sketch", "DistinctMerge", "LibraryHLLMerge"},
	{"read and merge frequent items / datasketches-go", "sketch", "FrequentReadAndMerge", "LibraryFrequentReadAndMerge"},
}

// measureHub prints what a hub costs, beside what the parts before it and the DataSketches library cost in the same run.
func (o *options) measureHub(stdout io.Writer) error {
	o.built = make(map[string]bool)
	fmt.Fprintf(stdout, "hub: medians of %d turns; ratios are medians of the ratios of each turn\n", o.runs)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "work\tours\ttheirs\tratio\tallocations, ours / theirs")
	for _, v := range hubPairs {
		turns := make([]figures, o.runs)
		for i := range turns {
			var err error
			if turns[i], err = o.benchmarks(v.pkg, "^Benchmark("+v.ours+"|"+v.theirs+")$", "200ms"); err != nil {
				return err
			}
		}
		of := func(name, unit string) float64 {
			return medianOf(turns, func(f figures) float64 { return f[name][unit] })
		}
		fmt.Fprintf(w, "%s\t%.1f µs\t%.1f µs\t%.2f\t%.0f / %.0f\n", v.what, of(v.ours, "ns/op")/1000, of(v.theirs, "ns/op")/1000,
			medianOf(turns, func(f figures) float64 { return f[v.ours]["ns/op"] / f[v.theirs]["ns/op"] }), of(v.ours, "allocs/op"), of(v.theirs, "allocs/op"))
		fmt.Fprintln(os.Stderr, "bench: measured", v.ours)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return cmp.Or(o.measureMinute(stdout), o.measureRange(stdout), o.measureFleet(stdout))
}

// measureMinute prints what a minute of 1,000 hosts costs.
func (o *options) measureMinute(stdout io.Writer) error {
	f, err := o.benchmarks("hub/ingest", "^BenchmarkMinute$", strconv.Itoa(max(o.runs, 1))+"x")
	if err != nil {
		return err
	}
	m := f["Minute"]
	fmt.Fprintf(stdout, "1,000 hosts a minute in 26 groups, each write synced: %.2f%% of a core, %.2f times the old parts (%.2f%%); "+
		"merging and writing alone %.2f times\n", m["%core"], m["ratio"], m["old-%core"], m["merge-ratio"])
	fmt.Fprintf(stdout, "  of these, a minute: store raw %.0f ms, consume %.0f ms, merge and write %.0f ms, longer rollups %.0f ms; to read and merge all once takes %.0f ms, %.2f times the old parts (%.0f ms)\n",
		m["raw-ms/min"], m["consume-ms/min"], m["write-ms/min"], m["levels-ms/min"], m["floor-ms/min"],
		m["floor-ms/min"]/m["old-read-ms/min"], m["old-read-ms/min"])
	fmt.Fprintf(stdout, "catch-up: %.0f host-minutes a second of a core\n", m["hostmin/s/core"])
	return nil
}

// measureRange prints what queries over a long time take.
func (o *options) measureRange(stdout io.Writer) error {
	turns := make([]figures, o.runs)
	for i := range turns {
		var err error
		if turns[i], err = o.benchmarks("hub/query", "^BenchmarkRange$", "20x"); err != nil {
			return err
		}
	}
	for _, span := range []string{"1d", "7d"} {
		of := func(unit string) float64 {
			return medianOf(turns, func(f figures) float64 { return f["Range/"+span][unit] })
		}
		fmt.Fprintf(stdout, "top 100 of 1,000 hosts over %s, cold: CPU %.0f ms, mean %.0f ms, p99 %.0f ms\n", span, of("cpu-ms"), of("ns/op")/1e6, of("p99-ms"))
	}
	return nil
}

// fleetMinutes is for how many minutes a hub is fed to learn its memory. fleetStart is for the start of the fleet, and for the hub
// to write the last minute. Soon after, the hub would miss the hosts.
const (
	fleetMinutes = 3
	fleetStart   = 40 * time.Second
)

// runFor runs a program for a time, then interrupts it.
func runFor(cmd *exec.Cmd, d time.Duration) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(d):
		cmd.Process.Signal(os.Interrupt)
		<-ended
		return nil
	}
}

// natsAddr finds the address to push to in the log of a hub.
var natsAddr = regexp.MustCompile(`nats=(\S+)`)

// measureFleet prints the memory and the CPU of a hub that 1,000 simulated agents push their minutes to in real time.
func (o *options) measureFleet(stdout io.Writer) error {
	program := filepath.Join(filepath.Dir(o.program), "pktvisor-hub")
	data, err := os.MkdirTemp(o.dir, "hub-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	hub := exec.Command(program, "--data", data, "-p", "0", "--nats-listen", "127.0.0.1:0")
	log, err := hub.StderrPipe()
	if err != nil {
		return err
	}
	if err := hub.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(log)
	addr := ""
	for addr == "" && lines.Scan() {
		if m := natsAddr.FindSubmatch(lines.Bytes()); m != nil {
			addr = string(m[1])
		}
	}
	go io.Copy(io.Discard, log)
	var out bytes.Buffer
	fleet := exec.Command(program, "simulate", "--push", "nats://"+addr, "--hosts", "1000", "--minutes", strconv.Itoa(fleetMinutes))
	fleet.Stdout, fleet.Stderr = &out, &out
	fleetErr := runFor(fleet, fleetMinutes*time.Minute+fleetStart)
	hub.Process.Signal(syscall.SIGTERM)
	if err := errors.Join(fleetErr, hub.Wait()); err != nil {
		return fmt.Errorf("a hub and its fleet: %w\n%s", err, out.Bytes())
	}
	usage := hub.ProcessState.SysUsage().(*syscall.Rusage)
	spent := hub.ProcessState.UserTime() + hub.ProcessState.SystemTime()
	fmt.Fprintf(stdout, "hub of 1,000 hosts that push for %d minutes: peak memory %.0f MB, CPU %.1f s a minute\n", fleetMinutes, float64(usage.Maxrss)/1e3, spent.Seconds()/fleetMinutes)
	return nil
}
