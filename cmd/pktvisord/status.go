package main

import (
	"cmp"
	"slices"
	"strings"

	"pktvisor/agent"
	"pktvisor/capture"
	"pktvisor/metric"
	"pktvisor/server"
)

// status returns the state of the capture. It makes no system calls, so its cost does not depend on the number of
// interfaces, and it does not disturb the shards. If there are several taps, numbers are sums, faults are those of each tap, and
// the rest is that of the tap that is worst off.
func (l *live) status() server.Status {
	st := server.Status{Tags: l.tags, Filter: l.o.Filter, Hosts: []string{}, Anonymity: l.anonymity()}
	taps := load(&l.taps)
	var targets []string
	for _, t := range taps {
		targets = append(targets, t.Target)
		fault := t.addStatus(&st, len(taps) > 1)
		if i := slices.IndexFunc(st.Taps, func(other server.Tap) bool { return other.Name == t.tap }); i >= 0 {
			st.Taps[i].Fault = cmp.Or(st.Taps[i].Fault, fault)
		} else {
			st.Taps = append(st.Taps, server.Tap{Name: t.tap, Fault: fault})
		}
	}
	if len(taps) == 1 {
		st.Fault = st.Taps[0].Fault
	}
	st.Target = strings.Join(targets, ",")
	if len(taps) == 1 {
		st.Filter = taps[0].Filter
	}
	st.Memory = l.memoryStatus()
	st.State, st.Push, st.OTLP = l.stateStatus(), l.pushStatus(), l.otlpStatus()
	return st
}

// addStatus adds the state of a tap to that of the capture, and returns what is wrong with the tap. If it is one of several, the
// reason why the kernel does not count names it.
func (t *tap) addStatus(st *server.Status, several bool) (fault string) {
	named := func(text string) string {
		if several && text != "" {
			return "tap " + t.tap + ": " + text
		}
		return text
	}
	shards, started := t.agent.Shards()
	st.Shards += shards
	for _, h := range *t.hosts.Load() {
		if !several || !slices.Contains(st.Hosts, h) {
			st.Hosts = append(st.Hosts, h)
		}
	}
	if last := t.agent.LastPacket(); last.After(st.LastPacket) {
		st.LastPacket = last
	}
	if f := t.fault.Load(); f != nil {
		fault = *f
	}
	if k := t.kernelStatus(); k != nil && (st.Kernel == nil || !k.Counting) {
		k.Reason = named(k.Reason)
		st.Kernel = k
	}
	if s := t.sampleStatus(); s != nil && (st.Sample == nil || s.Percent < st.Sample.Percent) {
		st.Sample = s
	}
	name, kind := t.title, "replay"
	if iface := t.iface.Load(); iface != nil {
		name, kind = *iface, "interface"
	}
	label := t.name // two taps, or a tap and what a policy makes of it, may capture from one interface
	if label == agent.Default {
		label = ""
	}
	for i := range min(started, len(t.sources)) {
		n := t.agent.SourceStats(i)
		out := server.Source{Name: name, Kind: kind, Tap: label, Shard: i, Counts: metric.With(agent.SourceTable, n), Lost: n.Lost()}
		var err error
		if out.Link, err = t.agent.Source(i); err != nil {
			out.Error = err.Error()
			fault = out.Error
		}
		st.Sources = append(st.Sources, out)
	}
	for _, d := range capture.Devices(t.sources) {
		st.Devices = append(st.Devices, server.Device{Name: d.Name, Frames: d.Frames, Copies: d.Copies})
	}
	return fault
}
