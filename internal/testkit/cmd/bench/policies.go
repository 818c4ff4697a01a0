package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/filter"
	"pktvisor/internal/testkit"
	"pktvisor/policy"
)

// policySets are the sets of policies whose cost is measured, in turns. All have net and dns.
var policySets = []string{"1", "2", "5", "10", "1 of all names", "50 by suffix", "50 that match nothing", "10 by BPF, each all of it"}

// measurePolicies prints what further policies on a tap cost, as a multiple of one policy, from user time and from instructions. These
// are the difference between two lengths of the main capture, so the start is not included.
func (o *options) measurePolicies(stdout io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	few, err := o.capture(mainPreset, o.packets/4)
	if err != nil {
		return err
	}
	many, err := o.capture(mainPreset, o.packets)
	if err != nil {
		return err
	}
	_, err = exec.LookPath("valgrind")
	counts := err == nil
	fmt.Fprintf(stdout, "policies of net and dns over %s, as a multiple of one; one shard; CPU: medians of %d turns\n", mainPreset, o.runs)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "policies\tCPU\tinstructions\tinstructions a packet\t")
	cpu, took := make(map[string][]float64), make(map[string]float64)
	for range o.runs {
		var one float64
		for _, set := range policySets {
			a, err := execute([]string{program, "-summarise", many, "-policies", set})
			b, err2 := execute([]string{program, "-summarise", few, "-policies", set})
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			took := float64(a.cpu - b.cpu)
			one = cmp.Or(one, took)
			cpu[set] = append(cpu[set], took/one)
		}
	}
	for _, set := range policySets {
		counted := "-\t-"
		if counts {
			a, err := instructions([]string{program, "-summarise", many, "-policies", set})
			b, err2 := instructions([]string{program, "-summarise", few, "-policies", set})
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			took[set] = float64(a-b) / float64(o.packets-o.packets/4)
			counted = fmt.Sprintf("%.2f\t%.0f", took[set]/took[policySets[0]], took[set])
		}
		slices.Sort(cpu[set])
		fmt.Fprintf(w, "%s\t%.2f\t%s\t\n", set, cpu[set][o.runs/2], counted)
		fmt.Fprintln(os.Stderr, "bench: measured policies:", set)
	}
	return w.Flush()
}

// summarisePolicies summarises a capture with one of policySets.
func summarisePolicies(file, set string) error {
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		return err
	}
	filters, err := filtersOf(file, set)
	if err != nil {
		return err
	}
	cfg := agent.Config{Taps: []agent.TapConfig{{Shards: 1, Hosts: hosts, DNSPorts: []uint16{53, 5353, 5355}, DNSTimeout: 5 * time.Second}}}
	for i, f := range filters {
		compiled, err := filter.New(&f, filter.Options{})
		if err != nil {
			return err
		}
		cfg.Policies = append(cfg.Policies, agent.PolicyConfig{
			Name: fmt.Sprint(i), Topics: agent.Topics(nil, 5*time.Second), Periods: 5, DeepSamplePercent: 100, Filter: compiled,
		})
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	src, err := capture.OpenFile(file)
	if err != nil {
		return err
	}
	defer src.Close()
	return a.Run(context.Background(), map[string][]capture.Source{agent.Default: {src}})
}

// filtersOf returns the filters of a set of policies.
func filtersOf(file, set string) (all []policy.Filter, err error) {
	n := 0
	if _, err := fmt.Sscan(set, &n); err != nil || !slices.Contains(policySets, set) {
		return nil, fmt.Errorf("policies %q: give one of %s", set, strings.Join(policySets, ", "))
	}
	all = make([]policy.Filter, n)
	switch _, kind, _ := strings.Cut(set, " "); {
	case strings.HasPrefix(kind, "of all"):
		all[0].QNameSuffixes = []string{""}
	case kind == "by suffix":
		return all, shareNames(file, all)
	case kind == "that match nothing":
		for i := range all {
			all[i].QNameSuffixes = []string{fmt.Sprintf("zone%d.invalid", i), "zone.invalid"}
		}
	case strings.HasPrefix(kind, "by BPF"):
		for i := range all {
			all[i].BPF = fmt.Sprintf("not host 203.0.113.%d", 200+i)
		}
	}
	return all, nil
}

// shareNames gives each filter about the same share of a capture's messages, by suffixes of their names.
func shareNames(file string, filters []policy.Filter) error {
	messages, err := countNames(file)
	if err != nil {
		return err
	}
	names := slices.SortedFunc(maps.Keys(messages), func(a, b string) int {
		return cmp.Or(messages[b]-messages[a], strings.Compare(a, b))
	})
	given := make([]int, len(filters))
	for _, name := range names {
		least := 0
		for i := range given {
			if given[i] < given[least] {
				least = i
			}
		}
		given[least] += messages[name]
		filters[least].QNameSuffixes = append(filters[least].QNameSuffixes, name)
	}
	return nil
}

// countNames counts the messages over UDP at the start of a capture by the last two labels of their names. It reads as much of each capture,
// so that this does not count when two captures are compared.
func countNames(file string) (map[string]int, error) {
	src, err := capture.OpenFile(file)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var d decode.Decoder
	var p decode.Packet
	var m dnswire.Message
	var b capture.Batch
	messages := map[string]int{}
	for frames := 0; err == nil && frames < 50_000; frames += len(b.Frames) {
		err = src.ReadBatch(&b)
		for _, f := range b.Frames {
			d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			payload := f.Data[p.Payload : p.Payload+p.CapLen]
			if p.Proto != decode.ProtoUDP || p.Flags&decode.FlagL4 == 0 || p.SrcPort != 53 && p.DstPort != 53 || !m.ParseHeader(payload) {
				continue
			}
			if m.ParseQuestion(payload); m.HasQuestion {
				suffix, _ := dnswire.Qname2(m.Name())
				messages[string(dnswire.AppendName(nil, suffix))]++
			}
		}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	delete(messages, ".")
	return messages, nil
}
