package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is what the agent uses at a moment.
type sample struct {
	at                       time.Time
	rss, heap                uint64 // bytes
	goroutines, fds, threads uint64
	cpu                      time.Duration // since the agent's start
}

// sampleEvery is the time between two samples.
const sampleEvery = 3 * time.Second

// sampleAgent takes samples of the agent until ctx is done. It drops those of an earlier run.
func (s *soak) sampleAgent(ctx context.Context) {
	last := s.agent.epoch.Load()
	for wait(ctx, sampleEvery) {
		epoch := s.agent.epoch.Load()
		if epoch%2 == 1 {
			continue
		}
		v, err := s.sample(ctx)
		if err != nil {
			if s.agent.epoch.Load() == epoch && ctx.Err() == nil {
				s.fail("sample: %v", err)
			}
			continue
		}
		s.mu.Lock()
		if epoch != last {
			last, s.samples = epoch, nil
		}
		s.samples = append(s.samples, v)
		s.mu.Unlock()
	}
}

func (s *soak) sample(ctx context.Context) (v sample, err error) {
	v.at = time.Now()
	proc := "/proc/" + strconv.FormatInt(s.agent.pid.Load(), 10)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return v, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		f := strings.Fields(value)
		switch name {
		case "VmRSS":
			kB, _ := strconv.ParseUint(f[0], 10, 64)
			v.rss = kB << 10
		case "Threads":
			v.threads, _ = strconv.ParseUint(f[0], 10, 64)
		}
	}
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return v, err
	}
	// The name in parentheses may contain anything. The times are the 12th and 13th field after it.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, ticks := range f[11:13] {
		n, _ := strconv.ParseInt(ticks, 10, 64)
		v.cpu += time.Duration(n) * (time.Second / 100)
	}
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return v, err
	}
	v.fds = uint64(len(fds))
	_, body, err := s.agent.get(ctx, "/api/v1/metrics/app")
	if err != nil {
		return v, err
	}
	var app struct {
		App struct {
			Goroutines uint64 `json:"goroutines"`
			Memory     struct {
				Heap uint64 `json:"heap_bytes"`
			} `json:"memory"`
		} `json:"app"`
	}
	err = json.Unmarshal(body, &app)
	v.goroutines, v.heap = app.App.Goroutines, app.App.Memory.Heap
	return v, err
}

// resource is something that must not grow: a quantile of the samples in the second half must not exceed that of the
// first half by more than a share and an amount.
type resource struct {
	name     string
	of       func(sample) uint64
	quantile float64
	share    float64
	amount   uint64
	unit     uint64
}

// For memory the peak counts, for the others the median: it is a matter of chance whether a sample is taken during
// many requests, each with its own goroutines.
var resources = []resource{
	{"RSS peak (MiB)", func(v sample) uint64 { return v.rss }, 1, 0.05, 4 << 20, 1 << 20},
	{"heap peak (MiB)", func(v sample) uint64 { return v.heap }, 1, 0.10, 4 << 20, 1 << 20},
	{"goroutines", func(v sample) uint64 { return v.goroutines }, 0.5, 0, 4, 1},
	{"file handles", func(v sample) uint64 { return v.fds }, 0.5, 0, 4, 1},
	{"threads", func(v sample) uint64 { return v.threads }, 0.5, 0, 2, 1},
}

// grew returns a resource in the two halves of the samples, and reports whether it grew.
func (r *resource) grew(samples []sample) (first, second uint64, grew bool) {
	var values []uint64
	for _, v := range samples {
		values = append(values, r.of(v))
	}
	half := len(values) / 2
	first, second = quantile(values[:half], r.quantile), quantile(values[half:], r.quantile)
	return first, second, second > first+uint64(r.share*float64(first))+r.amount
}

// warmUp is how long an agent's memory may rise, until the window is full.
const warmUp = 6 * period * time.Second

// steady returns the samples after the warm-up.
func (s *soak) steady() []sample {
	for i, v := range s.samples {
		if v.at.Sub(s.samples[0].at) > warmUp {
			return s.samples[i:]
		}
	}
	return nil
}

// checkGrowth fails the run if a resource has grown. It needs a run that is long enough.
func (s *soak) checkGrowth() {
	if n := len(s.steady()); time.Duration(n)*sampleEvery < warmUp {
		s.logf("the run was too short to check for growth: run for %v or longer", 3*warmUp)
		return
	}
	for _, r := range resources {
		if first, second, grew := r.grew(s.steady()); grew {
			s.fail("%s: %d in the first half, %d in the second", r.name, first/r.unit, second/r.unit)
		}
	}
}

// checkLog fails the run if the agent has logged an error.
func (s *soak) checkLog() {
	b, err := os.ReadFile(s.agent.log)
	if err != nil {
		s.fail("%v", err)
		return
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			s.fail("log: %s", strings.TrimSpace(line))
		}
	}
}

// summary prints the figures of the run.
func (s *soak) summary() {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, c := range cells {
			fmt.Fprint(w, c, "\t")
		}
		fmt.Fprintln(w)
	}
	t := &s.total
	fmt.Fprintf(s.out, "\nsent %d, received %d, os_drops %d, if_drops %d, dropped before the agent %d, unseen at most %d\n",
		t.sent, t.received, t.osDrops, t.ifDrops, t.wire, t.unseen)
	if samples := s.samples; len(samples) > 1 {
		first, last := samples[0], samples[len(samples)-1]
		share := float64(last.cpu-first.cpu) / float64(last.at.Sub(first.at))
		fmt.Fprintf(s.out, "agent: %.1f%% of a core since its start %v ago; stops took %v\n",
			100*share, last.at.Sub(first.at).Round(time.Second), s.stops)
	}
	fmt.Fprintf(s.out, "%d sealed buckets checked\n\n", s.watch.checked)
	row("", "first half", "second half")
	for _, r := range resources {
		first, second, _ := r.grew(s.steady())
		row(r.name, first/r.unit, second/r.unit)
	}
	row()
	row("answers", "number", "p50", "p99", "max", "bytes")
	answers := 0
	for _, view := range views {
		path := view[0]
		d := s.polls.latency[path]
		answers += len(d)
		round := func(q float64) time.Duration { return quantile(d, q).Round(10 * time.Microsecond) }
		row(path, len(d), round(0.5), round(0.99), round(1), s.polls.bytes[path])
	}
	w.Flush()
	fmt.Fprintf(s.out, "\n%d failures; %d answers missed while the agent was restarted\n", len(s.failures), s.polls.restarted)
}
