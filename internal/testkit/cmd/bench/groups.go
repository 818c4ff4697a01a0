package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"

	"pktvisor/metric"
)

// costly are groups of metrics whose cost is measured, and costlyPresets the traffic for it: usual traffic, and floods of names and of
// forged senders.
const costly = "clients,zones,amplification"

var costlyPresets = []string{mainPreset, quietPreset, "all-distinct-names", "all-distinct-sources"}

// measureGroups prints what groups of metrics cost: the summary of a capture as a multiple of the summary without them. Both are made by
// this program, which has no profile, in turns. Instructions include the start of the program.
func (o *options) measureGroups(stdout io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = exec.LookPath("valgrind")
	counts := err == nil
	fmt.Fprintf(stdout, "all metrics as a multiple of those without %s; one shard; medians of %d turns\n", costly, o.runs)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "capture\tCPU\tRSS\tinstructions\t")
	for _, preset := range o.presets {
		if !slices.Contains(costlyPresets, preset) {
			continue
		}
		file, err := o.capture(preset, o.packets)
		if err != nil {
			return err
		}
		with, without := []string{program, "-summarise", file}, []string{program, "-summarise", file, "-without", costly}
		cpu, rss := make([]float64, o.runs), make([]float64, o.runs)
		for i := range cpu {
			a, err := execute(with)
			b, err2 := execute(without)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			cpu[i], rss[i] = float64(a.cpu)/float64(b.cpu), float64(a.rss)/float64(b.rss)
		}
		slices.Sort(cpu)
		slices.Sort(rss)
		counted := "-"
		if counts {
			a, err := instructions(with)
			b, err2 := instructions(without)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			counted = fmt.Sprintf("%.3f", float64(a)/float64(b))
		}
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%s\t\n", preset, cpu[o.runs/2], rss[o.runs/2], counted)
		fmt.Fprintln(os.Stderr, "bench: measured groups with", preset)
	}
	return w.Flush()
}

// keeper returns a function that reports whether a metric belongs to none of the groups, which are separated by commas.
func keeper(without string) func(d *metric.Desc) bool {
	groups := strings.Split(without, ",")
	return func(d *metric.Desc) bool { return d.Group == "" || !slices.Contains(groups, d.Group) }
}
