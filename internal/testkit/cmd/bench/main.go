// Command bench measures what pktvisord costs, side by side with tcpdump on the same captures: CPU a packet with one
// shard and with two, wall time, peak memory, allocations, the time from start to JSON for a small file, and
// instructions a packet. It generates the captures once and keeps them. Then it measures what a hub costs: see hub.go.
//
// All programs take turns, and bench prints the median of their runs. Absolute times vary from minute to minute and
// from machine to machine, but ratios within one turn vary much less. So the ratios are the medians of the ratios in
// each turn. How much faster two shards can be depends on the machine. The column beside the speed-up says how much
// more work two independent processes do at once.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"pktvisor/internal/testkit"
)

type options struct {
	program string
	base    string // another pktvisord to compare with; "" means no comparison
	dir     string
	presets []string
	packets int
	runs    int
	pace    pacing
	built   map[string]bool // the test programs that are up to date
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.program, "program", "bin/pktvisord", "pktvisord to measure")
	flags.StringVar(&o.base, "base", "", "only compare with this pktvisord, for instance an older one")
	flags.StringVar(&o.dir, "dir", "out/bench", "folder that keeps the captures")
	flags.IntVar(&o.packets, "packets", 2_000_000, "packets of each capture")
	flags.IntVar(&o.runs, "runs", 5, "runs of each program")
	presets := flags.String("presets", strings.Join(testkit.PresetNames(), ","), "traffic to measure with")
	generate := flags.String("generate", "", "only write the capture of this preset")
	count := flags.String("count-allocations", "", "only print the allocations that summarising this capture takes")
	summary := flags.String("summarise", "", "only summarise this capture, without a profile, and print nothing")
	without := flags.String("without", "", "groups of metrics to leave out of this summary")
	policies := flags.String("policies", "", "only summarise with these policies, or measure all of them: all")
	groups := flags.Bool("groups", false, "only measure the groups of metrics "+costly)
	hub := flags.Bool("hub", false, "only measure the hub")
	onlyPaced := flags.Bool("paced", false, "only measure packets that arrive in bursts; with -base, beside that pktvisord too")
	pipe := flags.Bool("pipe", false, "let these packets arrive in a pipe, as without root")
	rates := flags.String("rates", "10000,100000,300000", "their rates in packets a second")
	flags.DurationVar(&o.pace.burst, "burst", 3*time.Millisecond, "the time whose packets arrive in one burst")
	flags.Float64Var(&o.pace.seconds, "seconds", 10, "how long they arrive in a run; the agent flushes keys every 10 s")
	flags.IntVar(&o.pace.sample, "deep-sample", 100, "the agent's deep sample of these packets, in percent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.pace.parseRates(*rates); err != nil {
		return err
	}
	switch {
	case *generate != "":
		return o.generate(*generate)
	case *count != "":
		n, err := allocations(*count, "")
		fmt.Fprintln(stdout, n)
		return err
	case *summary != "" && *policies != "":
		return summarisePolicies(*summary, *policies)
	case *summary != "":
		_, err := allocations(*summary, *without)
		return err
	}
	// The main capture first: the others are compared with it.
	o.presets = strings.Split(*presets, ",")
	slices.SortStableFunc(o.presets, func(a, b string) int {
		return cmp.Compare(b2i(a != mainPreset), b2i(b != mainPreset))
	})
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if *onlyPaced {
		return o.measurePaced(stdout, *pipe)
	}
	if o.base != "" {
		return o.compare(stdout)
	}
	if *groups {
		return o.measureGroups(stdout)
	}
	if *policies != "" {
		return o.measurePolicies(stdout)
	}
	if *hub {
		return o.measureHub(stdout)
	}
	return o.measureAll(stdout)
}

// measureAll measures everything.
func (o *options) measureAll(stdout io.Writer) error {
	if err := o.measureCaptures(stdout); err != nil {
		return err
	}
	if err := o.measureStart(stdout); err != nil {
		return err
	}
	if err := o.measureInstructions(stdout); err != nil {
		return err
	}
	// In a process of its own, which moves into a network namespace.
	table, err := self("-paced", "-program", o.program, "-dir", o.dir, "-packets", strconv.Itoa(o.packets), "-runs", strconv.Itoa(min(o.runs, 3)))
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, table)
	if err := o.measureGroups(stdout); err != nil {
		return err
	}
	if err := o.measurePolicies(stdout); err != nil {
		return err
	}
	return o.measureHub(stdout)
}

// mainPreset is the traffic that has targets.
const mainPreset = "dns-heavy"

// quietPreset is traffic for which the rate matters.
const quietPreset = "quiet"

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// path returns the path for the capture of a preset.
func (o *options) path(preset string, packets int) string {
	return filepath.Join(o.dir, fmt.Sprintf("%s-%d.pcap", preset, packets))
}

// capture returns the path of a preset's capture. It generates the capture if there is none.
func (o *options) capture(preset string, packets int) (string, error) {
	path := o.path(preset, packets)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	_, err := self("-dir", o.dir, "-packets", strconv.Itoa(packets), "-generate", preset)
	return path, err
}

// self runs this program in a separate process. Work that needs memory is done there, because Linux counts the
// parent's memory at the start of a child as used by the child.
func self(args ...string) (stdout string, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// generate writes the capture of a preset.
func (o *options) generate(preset string) error {
	config, ok := testkit.Presets[preset]
	if !ok {
		return fmt.Errorf("unknown preset %q: the presets are %s", preset, strings.Join(testkit.PresetNames(), ", "))
	}
	cfg := config()
	cfg.Packets, cfg.Seed = o.packets, 1
	if preset != quietPreset {
		cfg.Rate = 0 // the default, at which 2 M packets last a minute and a half
	}
	f, err := os.CreateTemp(o.dir, "new-*.pcap")
	if err != nil {
		return err
	}
	_, err = testkit.Generate(f, cfg)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), o.path(preset, o.packets))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// cost is what a run of a program took.
type cost struct {
	cpu, wall time.Duration
	rss       int64 // the peak, in bytes
}

// execute runs a program to its end, and discards its output.
func execute(args []string) (cost, error) {
	cmd := exec.Command(args[0], args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	c := cost{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.rss = int64(usage.Maxrss) << 10
	}
	return c, nil
}

// twice runs a program twice at the same time, and returns the wall time that both took.
func twice(args []string) (time.Duration, error) {
	other := make(chan error)
	start := time.Now()
	go func() {
		_, err := execute(args)
		other <- err
	}()
	_, err := execute(args)
	err = errors.Join(err, <-other)
	return time.Since(start), err
}

// median returns the median of a figure of all turns.
func median(turns []turn, of func(*turn) float64) float64 {
	values := make([]float64, len(turns))
	for i := range turns {
		values[i] = of(&turns[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// The programs that take turns.
const (
	oneShard = iota
	twoShards
	tcpdumpCopies
	tcpdumpPrints

	numPrograms
)

// turn is what each of the programs took, and what two processes with one shard took at the same time.
type turn struct {
	costs [numPrograms]cost
	both  time.Duration
}

// printed is the fraction of a capture's packets that tcpdump prints, because printing takes long: one in this many.
const printed = 10

func (o *options) programs(file string) [][]string {
	all := [][]string{summarise(o.program, 1, file), summarise(o.program, 2, file)}
	if _, err := exec.LookPath("tcpdump"); err == nil {
		all = append(all, []string{"tcpdump", "-r", file, "-w", os.DevNull}, []string{"tcpdump", "-nr", file, "-c", strconv.Itoa(max(o.packets/printed, 1))})
	}
	return all
}

// measureCaptures prints a line for each capture.
func (o *options) measureCaptures(stdout io.Writer) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(stdout, "medians of %d turns; CPU in ns a packet; tcpdump -n prints a tenth of the packets; "+
		"2 at once: what two processes do, as a multiple of one\n", o.runs)
	fmt.Fprintln(w, "capture\t1 shard\t2 shards\ttcpdump -w\ttcpdump -n\t1 shard/-w\t/-n\tspeed-up\t2 at once\tRSS 1\tRSS 2\tallocs/packet\t")
	for _, preset := range o.presets {
		file, err := o.capture(preset, o.packets)
		if err != nil {
			return err
		}
		counted, err := self("-count-allocations", file)
		if err != nil {
			return err
		}
		allocs, err := strconv.ParseUint(counted, 10, 64)
		if err != nil {
			return err
		}
		turns := make([]turn, o.runs)
		for i := range turns {
			if err := o.take(&turns[i], file); err != nil {
				return err
			}
		}
		fmt.Fprintln(os.Stderr, "bench: measured", preset)
		ns := func(program int) float64 {
			return median(turns, func(t *turn) float64 { return float64(t.costs[program].cpu) / float64(o.packets) })
		}
		megabytes := func(program int) float64 {
			return median(turns, func(t *turn) float64 { return float64(t.costs[program].rss) / 1e6 })
		}
		over := func(program int) string {
			if turns[0].costs[program].cpu == 0 {
				return "-"
			}
			ratio := median(turns, func(t *turn) float64 { return float64(t.costs[oneShard].cpu) / float64(t.costs[program].cpu) })
			return strconv.FormatFloat(ratio, 'f', 2, 64)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t%.2f\t%.2f\t%.1f MB\t%.1f MB\t%.5f\t\n", preset,
			ns(oneShard), ns(twoShards), ns(tcpdumpCopies), ns(tcpdumpPrints), over(tcpdumpCopies), over(tcpdumpPrints),
			median(turns, func(t *turn) float64 { return float64(t.costs[oneShard].wall) / float64(t.costs[twoShards].wall) }),
			median(turns, func(t *turn) float64 { return 2 * float64(t.costs[oneShard].wall) / float64(t.both) }),
			megabytes(oneShard), megabytes(twoShards), float64(allocs)/float64(o.packets))
	}
	return w.Flush()
}

// take runs each of the programs on a capture.
func (o *options) take(t *turn, file string) (err error) {
	programs := o.programs(file)
	for i, args := range programs {
		if t.costs[i], err = execute(args); err != nil {
			return err
		}
	}
	t.costs[tcpdumpPrints].cpu *= printed
	t.both, err = twice(programs[oneShard])
	return err
}

// measureStart prints the time that a capture of 5000 packets takes from start to JSON.
func (o *options) measureStart(stdout io.Writer) error {
	file, err := o.capture("tiny-mixed", 5000)
	if err != nil {
		return err
	}
	turns := make([]turn, max(o.runs, 15))
	for i := range turns {
		if turns[i].costs[oneShard], err = execute(o.programs(file)[oneShard]); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "start to JSON of 5000 packets: %.1f ms, peak memory %.1f MB\n",
		median(turns, func(t *turn) float64 { return float64(t.costs[oneShard].wall) / 1e6 }),
		median(turns, func(t *turn) float64 { return float64(t.costs[oneShard].rss) / 1e6 }))
	return nil
}
