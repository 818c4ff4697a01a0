package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"text/tabwriter"

	"pktvisor/internal/testkit"
)

// pair is what the program and the base took in one turn, with one shard and with two.
type pair [2][2]cost

// compare prints, for each capture, what the program takes as a multiple of what the base takes. The two take turns,
// and each figure is the median of the ratios in each turn. Instructions hardly vary, so they are counted once.
func (o *options) compare(stdout io.Writer) error {
	fmt.Fprintf(stdout, "%s as a multiple of %s; medians of %d pairs; instructions with one shard and with two\n", o.program, o.base, o.runs)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "capture\tCPU 1\tCPU 2\twall 2\tRSS 1\tRSS 2\tinstructions 1\tinstructions 2\t")
	for _, preset := range o.presets {
		file, err := o.capture(preset, o.packets)
		if err != nil {
			return err
		}
		pairs := make([]pair, o.runs)
		for i := range pairs {
			if err := o.takePair(&pairs[i], file); err != nil {
				return err
			}
		}
		counted, err := o.compareInstructions(preset)
		if err != nil {
			return err
		}
		cpu := func(c *cost) float64 { return float64(c.cpu) }
		wall := func(c *cost) float64 { return float64(c.wall) }
		rss := func(c *cost) float64 { return float64(c.rss) }
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%s\t%s\t\n", preset,
			ratio(pairs, 0, cpu), ratio(pairs, 1, cpu), ratio(pairs, 1, wall), ratio(pairs, 0, rss), ratio(pairs, 1, rss), counted[0], counted[1])
		fmt.Fprintln(os.Stderr, "bench: compared", preset)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return o.compareStart(stdout)
}

// ratio returns the median, over the pairs, of the program's figure divided by the base's, with shards+1 shards.
func ratio(pairs []pair, shards int, figure func(*cost) float64) float64 {
	values := make([]float64, len(pairs))
	for i := range pairs {
		values[i] = figure(&pairs[i][0][shards]) / figure(&pairs[i][1][shards])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// takePair runs the program and the base on a capture, with one shard and with two.
func (o *options) takePair(p *pair, file string) (err error) {
	for shards := range 2 {
		for which, program := range [2]string{o.program, o.base} {
			if p[which][shards], err = execute(summarise(program, shards+1, file)); err != nil {
				return err
			}
		}
	}
	return nil
}

// summarise returns the command that summarises a capture.
func summarise(program string, shards int, file string) []string {
	return []string{program, "--summary", "--shards", strconv.Itoa(shards), "-H", testkit.HostSpec, file}
}

// compareInstructions returns the ratios of instructions a packet with one shard and with two, as text.
func (o *options) compareInstructions(preset string) (text [2]string, err error) {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return [2]string{"-", "-"}, nil
	}
	for shards := range 2 {
		var perPacket [2]float64
		for which, program := range [2]string{o.program, o.base} {
			if perPacket[which], err = o.perPacket(program, preset, shards+1); err != nil {
				return text, err
			}
		}
		text[shards] = fmt.Sprintf("%.3f (%.0f)", perPacket[0]/perPacket[1], perPacket[0])
	}
	return text, nil
}

// compareStart prints the ratio of the times from start to JSON.
func (o *options) compareStart(stdout io.Writer) error {
	file, err := o.capture("tiny-mixed", 5000)
	if err != nil {
		return err
	}
	pairs := make([]pair, max(o.runs, 15))
	for i := range pairs {
		if err := o.takePair(&pairs[i], file); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "start to JSON of 5000 packets, as a multiple of the base's: %.3f\n", ratio(pairs, 0, func(c *cost) float64 { return float64(c.wall) }))
	return nil
}
