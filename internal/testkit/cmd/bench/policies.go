package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
)

// policyCounts are the numbers of policies whose cost is measured.
var policyCounts = []int{1, 2, 5}

// measurePolicies prints what policies on one tap cost that all count everything: the summary of the main capture by several, as a
// multiple of the summary by one. All are made by this program, which has no profile, in turns. Instructions do not include the
// start of the program.
func (o *options) measurePolicies(stdout io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = exec.LookPath("valgrind")
	counts := err == nil
	file, err := o.capture(mainPreset, o.packets)
	if err != nil {
		return err
	}
	by := func(file string, n int) []string {
		return []string{program, "-summarise", file, "-policies", strconv.Itoa(n)}
	}
	cpu, rss := make([][]float64, len(policyCounts)), make([]int64, len(policyCounts))
	for range o.runs {
		var one cost
		for i, n := range policyCounts {
			u, err := execute(by(file, n))
			if err != nil {
				return err
			}
			if i == 0 {
				one = u
			}
			cpu[i] = append(cpu[i], float64(u.cpu)/float64(one.cpu))
			rss[i] = max(rss[i], u.rss)
		}
	}
	fmt.Fprintf(stdout, "policies of packets and dns on one tap, as a multiple of one; one shard; medians of %d turns\n", o.runs)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "policies\tCPU\tmost RSS in MB\tinstructions a packet\t")
	for i, n := range policyCounts {
		slices.Sort(cpu[i])
		counted := "-"
		if counts {
			each, err := o.instructionsByPolicies(by, n)
			if err != nil {
				return err
			}
			counted = fmt.Sprintf("%.0f", each)
		}
		fmt.Fprintf(w, "%d\t%.2f\t%d\t%s\t\n", n, cpu[i][len(cpu[i])/2], rss[i]>>20, counted)
	}
	return w.Flush()
}

// instructionsByPolicies returns how many instructions a packet of the main capture takes with a number of policies.
func (o *options) instructionsByPolicies(by func(file string, n int) []string, n int) (float64, error) {
	const few, many = 100_000, 300_000
	var counts [2]int64
	for i, packets := range [2]int{few, many} {
		file, err := o.capture(mainPreset, packets)
		if err != nil {
			return 0, err
		}
		if counts[i], err = instructions(by(file, n)); err != nil {
			return 0, err
		}
	}
	return float64(counts[1]-counts[0]) / (many - few), nil
}

// summarisePolicies summarises a file with a number of policies that all count everything, and one shard.
func summarisePolicies(file string, n int) (err error) {
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		return err
	}
	src, err := capture.OpenFile(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	cfg := agent.Config{
		Taps: []agent.TapConfig{{Shards: 1, Hosts: hosts, DNSPorts: []uint16{53, 5353, 5355}, DNSTimeout: 5 * time.Second}},
	}
	for i := range n {
		cfg.Policies = append(cfg.Policies, agent.PolicyConfig{
			Name: strconv.Itoa(i), Topics: agent.Topics(nil, 5*time.Second), Periods: 5, Single: true, DeepSamplePercent: 100,
		})
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	return a.Run(context.Background(), map[string][]capture.Source{agent.Default: {src}})
}
