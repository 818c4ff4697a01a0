package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"pktvisor/agent"
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

// openCounter opens the counter in the kernel, for the tap and its policies. If there is none, it keeps the reason, and the agent
// counts all packets itself.
func (t *tap) openCounter(cfg *agent.TapConfig, seed uint32) {
	switch {
	case t.o.noKernel:
		t.uncounted = errors.New("turned off by --no-kernel-counters")
		return
	case t.Target == capture.AnyInterface:
		t.uncounted = errors.New("on any, the agent decides which frames count; capture one interface")
		return
	case t.SnapLen != 0 && t.SnapLen < minCountedSnapLen:
		t.uncounted = fmt.Errorf("--snaplen is below %d bytes", minCountedSnapLen)
		return
	}
	t.counter, t.uncounted = count.Open(count.Config{
		Ports: cfg.DNSPorts, Tunnels: decode.TunnelPorts(), Decap: cfg.Decap, Split: capture.MarksSuperFrames(), SnapLen: snapLen(t.SnapLen),
		Hosts: cfg.Hosts.Prefixes(), Seed: seed, Threshold: analyze.Threshold(metric.Percent(t.deepSample)), Pinned: t.o.bpfDir,
	})
	if t.counter == nil {
		return
	}
	cfg.Counter = t.counter
}

func snapLen(n int) int {
	if n == 0 {
		return capture.DefaultSnapLen
	}
	return n
}

// checkCounter gives the counter up if the sources could not use it, and says at start who counts.
func (t *tap) checkCounter(cfg *agent.TapConfig) {
	if t.counter != nil && t.counter.Disabled() != nil {
		t.uncounted = t.counter.Disabled()
		t.closeCounter()
		t.counter, cfg.Counter = nil, nil
	}
	if t.uncounted != nil {
		t.log.Info("packets are not counted in the kernel: the ring gets every frame", "reason", t.uncounted)
		return
	}
	if t.counter != nil {
		t.log.Info("packets are counted in the kernel", "deep_sample_pct", t.deepSample)
		if note := t.counter.Note(); note != "" {
			t.log.Warn("counting in the kernel is slow: " + note)
		}
	}
}

func (t *tap) closeCounter() {
	if t.counter == nil {
		return
	}
	if err := t.counter.Close(); err != nil {
		t.log.Warn("close the counter in the kernel", "error", err)
	}
}

// kernelStatus says whether packets are counted in the kernel, and if not, why.
func (t *tap) kernelStatus() *server.Kernel {
	reason := t.uncounted
	if t.counter != nil {
		reason = t.counter.Disabled()
	}
	if reason != nil {
		return &server.Kernel{Reason: reason.Error()}
	}
	if t.counter == nil {
		return nil // a file
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
