package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/geo"
	"pktvisor/internal/logging"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/psl"
	"pktvisor/window"
)

// errInterrupted ends a run that the user interrupted.
var errInterrupted = errors.New("interrupted")

// errSoFar is errInterrupted for a file.
var errSoFar = fmt.Errorf("%w: the summary covers what was read so far", errInterrupted)

// errStuck is errInterrupted for a file if a read does not return, so that the shards cannot flush their current
// counts.
var errStuck = fmt.Errorf("%w: a read of the file does not return; the summary lacks the packets that were being counted", errInterrupted)

// start does what the command line requests.
func (o *options) start(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if o.cpuProfile != "" {
		f, err := os.Create(o.cpuProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if o.dumpFilter {
		return o.printFilter(ctx, stdout)
	}
	if o.loadsBPF {
		return o.loadBPF()
	}
	if o.report {
		return o.writeReport(ctx, stdin, stdout, stderr)
	}
	if o.checks {
		return o.printCheck(stderr)
	}
	if o.shows {
		return o.showConfig(ctx, stdout)
	}
	if o.Replay || o.document != nil || !isFile(o.Target) {
		log, err := logging.New(stderr, o.LogFormat, o.LogLevel)
		if err != nil {
			return err
		}
		o.logNoEffect(log)
		return o.runLive(ctx, log)
	}
	return o.summariseFile(ctx, stdin, stdout, stderr)
}

// setup is the configuration from the command line: one tap and one policy.
type setup struct {
	// The identity of the buckets of a live capture; empty for a file.
	name string
	tags metric.Tags
	boot uint64

	tap      agent.TapConfig
	policy   agent.PolicyConfig
	budget   policy.Budget
	scale    int         // of the tables, without a budget
	geo      *geo.DB     // nil without databases
	suffixes *psl.Source // nil for the embedded list
}

// memory returns how many bytes the tap and the policy take at most at a scale.
func (p *setup) memory(scale int) int64 {
	return p.tap.Memory(scale) + p.policy.Memory(p.tap.Shards, scale)
}

// leastMemory returns how many bytes a configuration without GeoIP databases takes at most at a scale.
func leastMemory(c *policy.Config, scale int) int64 {
	p := setup{
		tap:    agent.TapConfig{Shards: cmp.Or(c.Program.Shards, runtime.GOMAXPROCS(0))},
		policy: agent.PolicyConfig{Topics: agent.Topics(nil, 0), Periods: c.Policy.Periods},
	}
	return p.memory(scale)
}

// tapConfig returns what the taps of an agent share.
func (o *options) tapConfig() agent.TapConfig {
	ports, _ := policy.ParsePorts(o.DNSPorts) // Validate has checked it
	return agent.TapConfig{Shards: cmp.Or(o.Shards, runtime.GOMAXPROCS(0)), DNSPorts: ports, MaxCPU: float64(o.MaxCPU) / 100}
}

// setup translates the command line into the agent's configuration. It opens the GeoIP databases and the public suffix
// list. open opens the databases.
func (o *options) setup(open func(city, asn string) (*geo.DB, error)) (setup, error) {
	hosts, _ := analyze.ParseHosts(o.Hosts) // Validate has checked them
	ports, _ := policy.ParsePorts(o.DNSPorts)
	p := setup{
		tap:    agent.TapConfig{Shards: o.Shards, Hosts: hosts, Decap: o.Decap, DNSPorts: ports, DNSTimeout: o.DNSTimeout, MaxCPU: float64(o.MaxCPU) / 100},
		policy: agent.PolicyConfig{Periods: o.Periods, Single: o.Summary, DeepSamplePercent: o.DeepSamplePercent, MinDeepSamplePercent: o.MinDeepSamplePercent},
		budget: o.Budget,
	}
	if p.tap.Shards == 0 {
		p.tap.Shards = runtime.GOMAXPROCS(0)
	}
	if err := p.openLists(o, open); err != nil {
		return p, err
	}
	var err error
	if p.policy.Anonymizer, err = anonymizerOf(&o.Policy, p.suffixes); err != nil {
		return p, err
	}
	p.policy.Topics = agent.TopicsWith(locatorOf(p.geo), o.DNSTimeout, p.suffixes)
	return p, nil
}

// openLists opens the GeoIP databases and the public suffix list. open opens the databases.
func (p *setup) openLists(o *options, open func(city, asn string) (*geo.DB, error)) (err error) {
	for _, path := range []string{o.GeoCity, o.GeoASN} {
		// Opening a named pipe would wait for a writer.
		if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeDevice) != 0 {
			return fmt.Errorf("open %s: not a regular file: give a MaxMind database", path)
		}
	}
	if o.GeoCity != "" || o.GeoASN != "" {
		if p.geo, err = open(o.GeoCity, o.GeoASN); err != nil {
			return err
		}
	}
	if o.SuffixList != "" {
		p.suffixes, err = psl.Open(o.SuffixList)
	}
	return err
}

// locatorOf returns a nil interface, not an interface with a nil database, if there are no databases.
func locatorOf(db *geo.DB) packets.Locator {
	if db == nil {
		return nil
	}
	return db
}

// maxFileShards is the maximum number of shards for a file unless the user asks for more. One shard at a time reads the
// file and deals its frames, which is 18% of the work. So more than six shards would wait for it, and each takes 10 MB.
const maxFileShards = 6

// fileSetup returns [options.setup] for a file.
func (o *options) fileSetup() (setup, error) {
	p, err := o.setup(geo.Open)
	if o.Shards == 0 {
		p.tap.Shards = min(p.tap.Shards, maxFileShards)
	}
	return p, err
}

// collection is held while garbage collection is off. It is a setting of the whole process: of two that switched it off at once, the
// second would restore what the first has set.
var collection sync.Mutex

// build makes the agent with all its tables. It switches garbage collection off meanwhile. There is no garbage yet, but
// as the heap grows from zero, three or four collections would look for it.
func (p *setup) build() (*agent.Agent, error) {
	scale, ok := p.budget.Scale(p.memory)
	if !ok {
		return nil, fmt.Errorf("a budget of %d bytes is too small: give at least %d", p.budget, p.memory(policy.MinScale))
	}
	if p.budget == 0 {
		scale = p.scale
	}
	p.tap.Scale, p.policy.Scale = scale, scale
	collection.Lock()
	defer collection.Unlock()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return agent.New(agent.Config{
		Host: p.name, Tags: p.tags, Boot: p.boot,
		Taps: []agent.TapConfig{p.tap}, Policies: []agent.PolicyConfig{p.policy},
	})
}

// summariseFile prints the summary of a capture file, or of standard input. When ctx is done, it prints the summary of
// what was read so far.
func (o *options) summariseFile(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := checkOutput(stdout); err != nil {
		return err
	}
	if err := o.confineFile(); err != nil {
		return err
	}
	c, err := o.readCapture(ctx, stdin, stderr)
	if c == nil {
		return err
	}
	defer c.close()
	b := o.result(c.window, c.ended)
	b.Anonymity = c.anonymity
	if c.ended {
		o.warnOfTimes(stderr, c.tap, b)
	}
	return errors.Join(err, o.print(ctx, stdout, b))
}

// captured is a capture file that was read.
type captured struct {
	tap       *agent.Tap
	policy    *agent.Policy
	window    *window.Window // nil if nothing was read
	source    capture.Source
	anonymity metric.Anonymity
	ended     bool // otherwise a read does not return, and all of this is still in use
}

func (c *captured) close() {
	if c.ended && c.source != nil {
		c.source.Close()
	}
}

// readCapture reads a capture file, or standard input. If the error is [errSoFar], errStuck or one of the file, there is still
// what was read so far. If there is nothing to show, it returns nil.
func (o *options) readCapture(ctx context.Context, stdin io.Reader, stderr io.Writer) (*captured, error) {
	if err := checkFilter(o.Filter); err != nil {
		return nil, err
	}
	p, err := o.fileSetup()
	if err != nil {
		return nil, err
	}
	c := new(captured)
	if o.Target == "-" {
		c.source, err = capture.OpenReaderContext(ctx, stdin, 0)
	} else {
		c.source, err = capture.OpenFileContext(ctx, o.Target)
	}
	if ctx.Err() != nil {
		return &captured{}, errSoFar
	}
	if err != nil {
		return nil, err
	}
	if len(p.tap.Hosts.Prefixes()) == 0 {
		fmt.Fprintln(stderr, "pktvisord: warning: no host subnets, so directions are unknown; give them with -H, for example -H 10.0.1.0/24")
	}

	a, err := p.build()
	if err != nil {
		return nil, err
	}
	c.tap, c.policy = a.Tap(agent.Default), a.Policy(agent.Default)
	c.window, c.anonymity = c.policy.Window(), p.policy.Anonymizer.Anonymity()
	showing := showProgress(stderr, c.tap, c.source)
	c.ended, err = o.readFile(ctx, a, c.source)
	showing()
	if c.ended {
		o.warnUndecoded(stderr, c.tap)
	}
	switch {
	case !c.ended:
		err = errStuck
	case ctx.Err() != nil:
		err = errSoFar
	}
	if e := (*filterError)(nil); errors.As(err, &e) {
		c.close()
		return nil, err // a wrong filter has no summary
	}
	var damage *capture.DamageError
	if errors.As(err, &damage) && !o.Strict {
		fmt.Fprintf(stderr, "pktvisord: warning: %v; the summary covers what precedes the damage\n", err)
		err = nil
	}
	return c, err
}

// stuckWait is how long a pending read may take after a signal. A read from a failed disk or an unreachable machine may
// never return.
const stuckWait = 2 * time.Second

// readFile lets the agent summarise the source. It returns false if ctx is done and a read of the source does not
// return. The agent and the source are then still in use.
func (o *options) readFile(ctx context.Context, a *agent.Agent, src capture.Source) (ended bool, err error) {
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, map[string][]capture.Source{agent.Default: {filterFile(o.Filter, src)}}) }()
	select {
	case err = <-done:
		return true, err
	case <-ctx.Done():
	}
	select {
	case err = <-done:
		return true, err
	case <-time.After(stuckWait):
		return false, ctx.Err()
	}
}

// maxWarned is how many link types warnUndecoded reports one by one. A file may have thousands.
const maxWarned = 5

// warnUndecoded reports the link types of frames that are not decoded.
func (o *options) warnUndecoded(w io.Writer, t *agent.Tap) {
	all := t.Undecoded()
	for _, u := range all[:min(maxWarned, len(all))] {
		name := fmt.Sprintf("%s (%d)", u.Link, u.Link)
		if u.Link.String() == strconv.Itoa(int(u.Link)) {
			name = u.Link.String()
		}
		fmt.Fprintf(w, "pktvisord: warning: %d of %d frames have link type %s, which is not decoded: they count only in unsupported_link, not in addresses, ports or names\n", u.Frames, t.Frames(), name)
	}
	if more := len(all) - maxWarned; more > 0 {
		fmt.Fprintf(w, "pktvisord: warning: %d more link types are not decoded\n", more)
	}
}

// result returns the bucket to print. It is empty if there is no window. If ended is set, the window must not be used
// afterwards.
func (o *options) result(w *window.Window, ended bool) *metric.Bucket {
	periods := o.Periods
	if o.Summary {
		periods = 1
	}
	var b *metric.Bucket
	switch {
	case w == nil:
	case ended:
		b = w.Last(periods)
	default:
		b = w.Merged(periods)
	}
	if b == nil {
		b = metric.NewBucket(agent.Tables)
		b.DeepSamplePercent = o.DeepSamplePercent
	}
	return b
}

// print writes a bucket as JSON. After a signal, it gives up if the output blocks.
func (o *options) print(ctx context.Context, out io.Writer, b *metric.Bucket) error {
	key := strconv.Itoa(o.Periods) + "m"
	if o.Summary {
		key = "1m"
	}
	return writeOut(ctx, out, append(b.AppendJSON(nil, metric.JSONOptions{Key: key}), '\n'))
}

// showProgress draws a progress bar after the first second if w is a terminal. The returned function removes the bar.
func showProgress(w io.Writer, t *agent.Tap, src capture.Source) (stop func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		start := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var frames int64
		for drawn := false; ; drawn = true {
			select {
			case <-done:
				if drawn {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case now := <-tick.C:
				n := t.Frames()
				fmt.Fprintf(w, "\r\x1b[K%s", progressLine(src.Stats(), n, n-frames, now.Sub(start)))
				frames = n
			}
		}
	}()
	return func() { close(done); <-gone }
}

// progressLine returns the bar: the share of the file, the packets, and the packets of the last second.
func progressLine(st capture.Stats, frames, perSecond int64, elapsed time.Duration) string {
	line := fmt.Sprintf("%d packets, %d/s, %s", frames, perSecond, elapsed.Round(time.Second))
	if st.Size <= 0 {
		return line
	}
	const width = 30
	share := min(float64(st.Bytes)/float64(st.Size), 1)
	bar := make([]byte, width)
	for i := range bar {
		bar[i] = '.'
		if float64(i) < share*width {
			bar[i] = '#'
		}
	}
	return fmt.Sprintf("[%s] %3.0f%% %s", bar, 100*share, line)
}
