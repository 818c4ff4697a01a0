package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
)

// pacing says how packets are fed to programs that watch an interface or a pipe.
type pacing struct {
	rates   []int         // packets a second
	burst   time.Duration // how long a burst of packets would take on its way: one burst is followed by a pause
	seconds float64       // how long each run lasts
	sample  int           // --max-deep-sample
}

// parseRates reads a list of rates.
func (p *pacing) parseRates(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate <= 0 {
			return fmt.Errorf("-rates: %q is not a number of packets a second", text)
		}
		p.rates = append(p.rates, rate)
	}
	return nil
}

// watcher is a program that watches packets.
type watcher struct {
	name string
	args []string
	lost *regexp.Regexp // finds the packets that it lost in what it prints; nil if it does not print them

	terminal bool // it needs a terminal
}

// watchers returns the programs that take turns, the one to measure first. Those that are not installed are left out.
func (o *options) watchers(live bool) []watcher {
	agent := func(name, program string) watcher {
		if !live {
			return watcher{name: name, args: append(summarise(program, 1, "-"), "--max-deep-sample", strconv.Itoa(o.pace.sample))}
		}
		return watcher{name: name, args: []string{program, "--shards", "1", "-H", testkit.HostSpec, "--max-deep-sample", strconv.Itoa(o.pace.sample), veth.Receiver},
			lost: regexp.MustCompile(`msg=stopped .*drops=(\d+)`)}
	}
	all := []watcher{agent("pktvisord", o.program)}
	if o.base != "" {
		all = append(all, agent("base", o.base))
	}
	others := []watcher{
		{name: "tcpdump -w", args: []string{"tcpdump", "-r", "-", "-w", os.DevNull}},
		{name: "dumpcap", args: []string{"dumpcap", "-q", "-i", "-", "-w", os.DevNull}},
		{name: "dnstop", args: []string{"dnstop", "-Q", "-R", "-l", "3", "/dev/stdin"}},
	}
	if live {
		others = []watcher{
			{name: "tcpdump -w", args: []string{"tcpdump", "-i", veth.Receiver, "-w", os.DevNull}, lost: regexp.MustCompile(`(\d+) packets? dropped by kernel`)},
			{name: "dumpcap", args: []string{"dumpcap", "-q", "-i", veth.Receiver, "-w", os.DevNull}, lost: regexp.MustCompile(`'` + veth.Receiver + `': \d+/(\d+)`)},
			{name: "dnstop", args: []string{"dnstop", "-Q", "-R", "-l", "3", veth.Receiver}, terminal: true},
		}
	}
	for _, w := range others {
		if _, err := exec.LookPath(w.args[0]); err == nil {
			all = append(all, w)
		}
	}
	return all
}

// spent is what a program has used since its start.
type spent struct {
	cpu      time.Duration
	system   time.Duration // the part of cpu in the kernel, in units of 10 ms
	switches int64         // how often its threads have waited
}

// paced is what a run of a watcher took while packets arrived.
type paced struct {
	spent
	packets int
	took    time.Duration
	softirq time.Duration // of the sender's CPU: it receives what it sends
	lost    int           // -1 if it is not known
}

func (p *paced) perPacket(d time.Duration) float64 { return float64(d) / float64(p.packets) }

// measurePaced prints what programs take for a packet if packets arrive as from a network: in bursts of a few milliseconds, at
// rates that leave the CPU idle between them. As root, they arrive on one end of a veth pair in a network namespace.
// Otherwise, or if pipe is set, they arrive in a pipe as a capture file.
func (o *options) measurePaced(stdout io.Writer, pipe bool) error {
	var link *veth.Link
	if !pipe {
		switch err := veth.OwnNamespace(); {
		case errors.Is(err, os.ErrPermission):
			fmt.Fprintln(os.Stderr, "bench: no permission to make a network namespace: packets come through a pipe")
		case err != nil:
			return err
		default:
			if link, err = veth.Open(); err != nil {
				return err
			}
			defer link.Close()
		}
	}
	file, err := o.capture(mainPreset, o.packets)
	if err != nil {
		return err
	}
	capture, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	unpin, err := pin(0)
	if err != nil {
		return err
	}
	defer unpin()
	way := "a pipe"
	if link != nil {
		way = "a veth pair"
	}
	fmt.Fprintf(stdout, "packets of %s in bursts of %v through %s, %d%% deep sample; medians of %d turns of %g s; softirq: of the sender's CPU, more than with nobody\n",
		mainPreset, o.pace.burst, way, o.pace.sample, o.runs, o.pace.seconds)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "packets/s\tprogram\tCPU ns/packet\tpktvisord as a multiple\tsystem\tsoftirq ns\twaits/s\tlost\t")
	for _, rate := range o.pace.rates {
		if err := o.measureRate(w, link, capture, rate); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (o *options) measureRate(out io.Writer, link *veth.Link, capture []byte, rate int) error {
	watchers := o.watchers(link != nil)
	runs := make([][]paced, len(watchers))
	var nobody []paced
	for range o.runs {
		if link != nil {
			var p paced
			o.feed(capture, rate, o.pace.seconds, link.SendAll, &p)
			nobody = append(nobody, p)
		}
		for i := range watchers {
			p, err := o.watch(&watchers[i], link, capture, rate)
			if err != nil {
				return err
			}
			runs[i] = append(runs[i], p)
		}
	}
	fmt.Fprintln(os.Stderr, "bench: measured", rate, "packets/s")
	median := func(n int, figure func(turn int) float64) float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = figure(i)
		}
		slices.Sort(values)
		return values[n/2]
	}
	for i, all := range runs {
		cpu := func(turn int) float64 { return all[turn].perPacket(all[turn].cpu) }
		softirq, lost := "-", "-"
		if link != nil {
			softirq = fmt.Sprintf("%.0f", median(o.runs, func(t int) float64 {
				return all[t].perPacket(all[t].softirq) - nobody[t].perPacket(nobody[t].softirq)
			}))
		}
		if all[0].lost >= 0 {
			lost = fmt.Sprintf("%.2g%%", median(o.runs, func(t int) float64 { return 100 * float64(all[t].lost) / float64(all[t].packets) }))
		}
		fmt.Fprintf(out, "%d\t%s\t%.0f\t%.2f\t%.0f%%\t%s\t%.0f\t%s\t\n", rate, watchers[i].name, median(o.runs, cpu),
			median(o.runs, func(t int) float64 { return runs[0][t].perPacket(runs[0][t].cpu) / cpu(t) }),
			median(o.runs, func(t int) float64 { return 100 * float64(all[t].system) / float64(all[t].cpu) }),
			softirq, median(o.runs, func(t int) float64 { return float64(all[t].switches) / all[t].took.Seconds() }), lost)
	}
	return nil
}

// feed sends packets for some seconds. It notes how many they were, how long it took and what the kernel took to receive them.
func (o *options) feed(capture []byte, rate int, seconds float64, send func(records []byte), p *paced) {
	burst := max(int(float64(rate)*o.pace.burst.Seconds()), 1)
	began, before := time.Now(), softirq(0)
	for left := int(float64(rate) * seconds); left > 0; {
		// A capture that is too short is sent again.
		part, n := firstRecords(capture, left)
		veth.Pace(part, float64(rate), burst, func(records []byte, _ int) { send(records) })
		left, p.packets = left-n, p.packets+n
	}
	p.took, p.softirq = time.Since(began), softirq(0)-before
}

// settle is how long a program gets to start, and to read what has arrived at the end.
const settle = 500 * time.Millisecond

// warmRate is the least rate in the first second of a run, in packets a second. What a program touches for the first time
// then does not count.
const warmRate = 100_000

// watch runs a watcher while packets arrive.
func (o *options) watch(w *watcher, link *veth.Link, capture []byte, rate int) (paced, error) {
	p := paced{lost: -1}
	cmd := exec.Command(w.args[0], w.args[1:]...)
	veth.DieWithParent(cmd)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if w.terminal {
		term, err := openTerminal(cmd)
		if err != nil {
			return p, err
		}
		defer term.Close()
	}
	send, end := link.SendAll, func() error { return cmd.Process.Signal(syscall.SIGINT) }
	if link == nil {
		r, pipe, err := os.Pipe()
		if err != nil {
			return p, err
		}
		defer r.Close()
		defer pipe.Close()
		enlargePipe(pipe)
		cmd.Stdin = r
		if _, err := pipe.Write(capture[:veth.HeaderLen]); err != nil {
			return p, err
		}
		send, end = func(records []byte) { pipe.Write(records) }, pipe.Close
	}
	failed := func(err error) (paced, error) {
		return p, fmt.Errorf("%s: %w\n%s", strings.Join(w.args, " "), err, stderr.String())
	}
	if err := startOn(cmd, 1); err != nil {
		return failed(err)
	}
	time.Sleep(settle)
	o.feed(capture, max(rate, warmRate), 1, send, new(paced))
	before, err := used(cmd.Process.Pid)
	if err != nil {
		return failed(err)
	}
	o.feed(capture, rate, o.pace.seconds, send, &p)
	time.Sleep(settle)
	after, err := used(cmd.Process.Pid)
	if err != nil {
		return failed(err)
	}
	p.spent = spent{after.cpu - before.cpu, after.system - before.system, after.switches - before.switches}
	if err := end(); err != nil {
		return failed(err)
	}
	kill := time.AfterFunc(4*settle, func() { cmd.Process.Kill() }) // dnstop waits for a key
	cmd.Wait()
	kill.Stop()
	if w.lost != nil {
		if m := w.lost.FindStringSubmatch(stderr.String()); m != nil {
			p.lost, _ = strconv.Atoi(m[1])
		}
	}
	return p, nil
}

// firstRecords returns the start of a capture with at most n frames, and their number.
func firstRecords(capture []byte, n int) (part []byte, frames int) {
	end := veth.HeaderLen
	for ; frames < n && end < len(capture); frames++ {
		end += veth.RecordLen + int(binary.LittleEndian.Uint32(capture[end+8:]))
	}
	return capture[:end], frames
}
