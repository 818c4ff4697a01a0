package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/server"
)

// minCountedSnapLen is the shortest capture of a frame that holds all headers that the kernel's program reads.
const minCountedSnapLen = 128

// kernelFlags defines the flags of counting in the kernel.
func (o *options) kernelFlags() {
	o.flags.BoolVar(&o.noKernel, "no-kernel-counters", false, "do not count packets in the kernel")
	o.flags.StringVar(&o.bpfDir, "bpf-dir", count.DefaultPinned, "`DIR` where load-bpf leaves the program that counts in the kernel")
}

// checkLoadBPF returns the mistakes in the command line of load-bpf.
func (o *options) checkLoadBPF() error {
	if o.flags.NArg() > 0 {
		return errors.New("load-bpf takes no TARGET")
	}
	return nil
}

// openCounter opens the counter in the kernel, for the tap and its policy. If there is none, it keeps the reason, and the agent
// counts all packets itself.
func (l *live) openCounter(p *setup) {
	o := l.o
	switch {
	case o.noKernel:
		l.uncounted = errors.New("turned off by --no-kernel-counters")
		return
	case o.Target == capture.AnyInterface:
		l.uncounted = errors.New("on any, the agent decides which frames count; capture one interface")
		return
	case o.SnapLen != 0 && o.SnapLen < minCountedSnapLen:
		l.uncounted = fmt.Errorf("--snaplen is below %d bytes", minCountedSnapLen)
		return
	}
	l.counter, l.uncounted = count.Open(count.Config{
		Ports: p.tap.DNSPorts, Tunnels: decode.TunnelPorts(), Decap: p.tap.Decap, Split: capture.MarksSuperFrames(), SnapLen: snapLen(o.SnapLen),
		Hosts: p.tap.Hosts.Prefixes(), Seed: p.policy.SampleSeed, Threshold: analyze.Threshold(metric.Percent(o.DeepSamplePercent)), Pinned: o.bpfDir,
	})
	if l.counter == nil {
		return
	}
	p.tap.Counter = l.counter
}

func snapLen(n int) int {
	if n == 0 {
		return capture.DefaultSnapLen
	}
	return n
}

// checkCounter gives the counter up if the sources could not use it, and says at start who counts.
func (l *live) checkCounter(p *setup) {
	if l.counter != nil && l.counter.Disabled() != nil {
		l.uncounted = l.counter.Disabled()
		l.closeCounter()
		p.tap.Counter = nil
	}
	if l.uncounted != nil {
		l.log.Info("packets are not counted in the kernel: the ring gets every frame", "reason", l.uncounted)
		return
	}
	if l.counter != nil {
		l.log.Info("packets are counted in the kernel", "deep_sample_pct", l.o.DeepSamplePercent)
		if note := l.counter.Note(); note != "" {
			l.log.Warn("counting in the kernel is slow: " + note)
		}
	}
}

func (l *live) closeCounter() {
	if l.counter == nil {
		return
	}
	if err := l.counter.Close(); err != nil {
		l.log.Warn("close the counter in the kernel", "error", err)
	}
	l.counter = nil
}

// kernelStatus says whether packets are counted in the kernel, and if not, why.
func (l *live) kernelStatus() *server.Kernel {
	reason := l.uncounted
	if l.counter != nil {
		reason = l.counter.Disabled()
	}
	if reason != nil {
		return &server.Kernel{Reason: reason.Error()}
	}
	if l.counter == nil {
		return nil // a file is replayed
	}
	return &server.Kernel{Counting: true}
}

// loadBPF loads the counting program as root, and leaves it for an agent that may not load it.
func (o *options) loadBPF() error {
	uid, gid := 0, 0
	if o.sandbox.User != "" {
		u, err := user.Lookup(o.sandbox.User)
		if err != nil {
			return fmt.Errorf("--user %s: %w", o.sandbox.User, err)
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
	}
	return count.Pin(o.bpfDir, uid, gid)
}
