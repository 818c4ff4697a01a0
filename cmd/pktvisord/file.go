package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"time"

	"golang.org/x/term"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/geo"
	"pktvisor/metric"
	"pktvisor/policy"
)

// errInterrupted ends a run that the user broke off.
var errInterrupted = errors.New("interrupted")

// start does what the command line asks for.
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
		return o.printFilter(stdout)
	}
	if o.Replay || !isFile(o.Target) {
		log, err := newLogger(stderr, o.logFormat, o.logLevel)
		if err != nil {
			return err
		}
		return o.runLive(ctx, log)
	}
	return o.summariseFile(ctx, stdin, stdout, stderr)
}

// agentConfig translates the command line. It opens the GeoIP databases.
func (o *options) agentConfig() (agent.Config, error) {
	hosts, _ := analyze.ParseHosts(o.Hosts) // Validate has read them before
	ports, _ := policy.ParsePorts(o.DNSPorts)
	cfg := agent.Config{
		Shards: o.Shards, Periods: o.Periods, Single: o.Summary, Hosts: hosts,
		DeepSamplePercent: o.DeepSamplePercent, Decap: o.Decap,
		DNSPorts: ports, DNSTimeout: o.DNSTimeout,
	}
	if cfg.Shards == 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if o.GeoCity != "" || o.GeoASN != "" {
		db, err := geo.Open(o.GeoCity, o.GeoASN)
		if err != nil {
			return cfg, err
		}
		cfg.Locate = db
	}
	return cfg, nil
}

// maxFileShards is how many shards a file gets unless more are asked for. To read it and deal out its frames, which one
// shard at a time does for all, is 18% of the work: of more than six, the rest would wait, with 10 MB each.
const maxFileShards = 6

// fileConfig is agentConfig for a file.
func (o *options) fileConfig() (agent.Config, error) {
	cfg, err := o.agentConfig()
	if o.Shards == 0 {
		cfg.Shards = min(cfg.Shards, maxFileShards)
	}
	return cfg, err
}

// buildAgent makes an agent with all its tables, without collecting garbage meanwhile: there is none, but as the
// heap grows from nothing, three or four collections would look for it.
func buildAgent(cfg agent.Config) *agent.Agent {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return agent.New(cfg)
}

// summariseFile prints the summary of a capture file, or of standard input.
func (o *options) summariseFile(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	cfg, err := o.fileConfig()
	if err != nil {
		return err
	}
	var src capture.Source
	if o.Target == "-" {
		src, err = capture.OpenReader(untilDone(ctx, stdin), 0)
	} else {
		src, err = capture.OpenFile(o.Target)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	if len(cfg.Hosts.Prefixes()) == 0 {
		fmt.Fprintln(stderr, "pktvisord: warning: no host subnets: directions are unknown; name them with -H, for example -H 10.0.1.0/24")
	}

	a := buildAgent(cfg)
	showing := showProgress(stderr, a, src)
	err = a.RunFile(ctx, o.filterFile(src))
	showing()
	if cause := ctx.Err(); cause != nil {
		err = errInterrupted
	}
	if e := (*filterError)(nil); errors.As(err, &e) {
		return err // there is no summary of what was not asked for
	}
	var damage *capture.DamageError
	if errors.As(err, &damage) && !o.Strict {
		fmt.Fprintf(stderr, "pktvisord: warning: %v; summarised up to there\n", err)
		err = nil
	}
	b := o.result(a)
	o.warnOfTimes(stderr, a, b)
	if werr := o.print(stdout, b); err == nil {
		err = werr
	}
	return err
}

// untilDone reads from r until ctx is done, even while r keeps it waiting, as a pipe may for ever.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	return pr
}

// result is the bucket that is printed. The window must not be used any more.
func (o *options) result(a *agent.Agent) *metric.Bucket {
	periods := o.Periods
	if o.Summary {
		periods = 1
	}
	b := a.Window().Last(periods)
	if b == nil {
		b = metric.NewBucket(agent.Tables)
		b.DeepSamplePercent = o.DeepSamplePercent
	}
	return b
}

// print writes a bucket as JSON.
func (o *options) print(w io.Writer, b *metric.Bucket) error {
	key := strconv.Itoa(o.Periods) + "m"
	if o.Summary {
		key = "1m"
	}
	_, err := w.Write(append(b.AppendJSON(nil, metric.JSONOptions{Key: key}), '\n'))
	return err
}

// showProgress draws a progress bar after the first second, where w is a terminal. The function
// that it returns takes the bar away.
func showProgress(w io.Writer, a *agent.Agent, src capture.Source) (stop func()) {
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
				n := a.Frames()
				fmt.Fprintf(w, "\r\x1b[K%s", progressLine(src.Stats(), n, n-frames, now.Sub(start)))
				frames = n
			}
		}
	}()
	return func() { close(done); <-gone }
}

// progressLine is the bar: share of the file, packets, and packets of the last second.
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
