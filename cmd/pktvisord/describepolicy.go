package main

import (
	"encoding/json"

	"pktvisor/config"
	"pktvisor/server"
)

// publicOf returns a policy as the server publishes it.
func (l *live) publicOf(r *running) *server.Policy {
	p := &server.Policy{Name: r.Name, Memory: r.most(), Description: l.describePolicy(r)}
	if f := r.ForEach; f != nil {
		p.ForEach = &server.ForEach{Top: f.Top, Most: f.Most}
	}
	for _, w := range r.windows {
		out := server.PolicyWindow{Tap: w.tap, Started: w.since, Views: w.agent.Window(), Tables: w.agent.Tables(), DeepSamplePercent: r.DeepSamplePercent}
		for _, h := range w.handlers {
			rows := r.Rows
			if h.Rows > 0 && !r.OwnWindow {
				rows = h.Rows
			}
			out.Handlers = append(out.Handlers, server.Handler{
				Name: h.Name, Type: h.Type, Version: h.Version, Enable: h.Enable, Disable: h.Disable, Rows: rows, Percentile: h.Percentile,
			})
		}
		for _, k := range w.keys.all() {
			own := out
			own.Views, own.Tables, own.Started, own.Keys = k.agent.Window(), k.agent.Tables(), k.since, nil
			out.Keys = append(out.Keys, server.KeyWindow{Key: k.key, PolicyWindow: own})
		}
		p.Windows = append(p.Windows, out)
	}
	return p
}

// object is a JSON object.
type object = map[string]any

// describePolicy returns what GET /api/v1/policies shows of a policy, in the form of the successor, and beside that what is in
// force: see docs/configuration.md.
func (l *live) describePolicy(r *running) []byte {
	taps, inputs, modules := object{}, object{}, object{}
	for i := range r.Taps {
		taps[r.Taps[i].Name] = describeTap(&r.Taps[i])
	}
	windows := []object{}
	for _, w := range r.windows {
		for _, in := range w.inputs {
			inputs[in.name] = object{
				"module": object{"name": in.name, "config": settingsOf(in)},
				"input":  object{"running": true, "consumers": len(r.windows)},
			}
		}
		windows = append(windows, object{"name": w.name, "tap": w.tap, "memory_bytes": w.most, "scale": w.cfg.Scale})
	}
	for _, h := range r.Handlers {
		modules[h.Name] = object{"module": object{"name": h.Name, "type": h.Type, "running": true, "config": object{"require_version": h.Version}}}
	}
	definition, _ := r.set.PolicyYAML(&r.Policy) // always possible, also below
	text, _ := json.Marshal(object{
		"definition":  string(definition),
		"description": r.Description, "taps": taps, "input": inputs, "modules": modules, "windows": windows,
		"periods": r.Periods, "deep_sample": r.DeepSamplePercent, "rows": r.Rows, "merged": r.Merged,
	})
	return text
}

// describeTap returns what GET /api/v1/taps shows of a tap.
func describeTap(t *config.Tap) object {
	tags := t.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	in := newInput(t)
	return object{"input_type": "pcap", "interface": "visor.module.input/1.0", "config": settingsOf(in), "tags": tags}
}

// settingsOf returns the settings of an input, by the successor's names where it has them.
func settingsOf(in input) object {
	key := "iface"
	if in.Replay || isFile(in.Target) {
		key = "pcap_file"
	}
	return object{
		key: in.Target, "bpf": in.Filter, "host_spec": in.hosts, "ring_mib": in.RingMiB, "snaplen": in.SnapLen, "promisc": in.Promisc,
		"decap": in.Decap, "replay": in.Replay,
	}
}

// tapsJSON returns what GET /api/v1/taps shows.
func (l *live) tapsJSON() map[string][]byte {
	if p := l.described.Load(); p != nil {
		return *p
	}
	return map[string][]byte{}
}

// describeTaps makes what tapsJSON returns.
func (l *live) describeTaps(set *config.Set) {
	all := map[string][]byte{}
	for i := range set.Taps {
		all[set.Taps[i].Name], _ = json.Marshal(describeTap(&set.Taps[i])) // always possible
	}
	l.described.Store(&all)
}
