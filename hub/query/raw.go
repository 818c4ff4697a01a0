package query

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// maxRawBytes bounds the host-minutes that are in memory for one answer.
const maxRawBytes = 96 << 20

// hostMinute is a host-minute of a selected host.
type hostMinute struct {
	rollup.MemberKey
	end      int64
	minute   int64 // the start of its minute
	revision uint64
	sequence uint64
	data     []byte
}

// checkRaw returns an error if the store no longer has all host-minutes of a span.
func (r *Reader) checkRaw(s span) error {
	// A minute arrives some seconds after its end, so the oldest ones go some seconds later than by their start.
	if oldest := minute.Next(r.Now() - int64(r.cfg.RawAge.Seconds())); s.from < oldest-minute.Seconds {
		return usage("hosts, and hosts with tags of several keys, can be shown from %d on, for the last %v: ask for a shorter time, or for one tag", oldest, r.cfg.RawAge)
	}
	return nil
}

// hostMinutes returns the host-minutes of the selected hosts in a span, in order of time.
func (r *Reader) hostMinutes(ctx context.Context, p *plan, s span) ([]hostMinute, error) {
	if err := r.checkRaw(s); err != nil {
		return nil, err
	}
	hosts := p.hosts
	if len(hosts) == 0 {
		var err error
		if hosts, err = r.hostsWith(ctx, p, s); err != nil {
			return nil, err
		}
	}
	found := make(map[rollup.MemberKey]hostMinute)
	total := 0
	for _, host := range hosts {
		err := r.cfg.Store.HostMinutes(ctx, p.policy, host, s.from, s.to, func(raw store.Raw) error {
			id := &raw.Info.Identity
			key := rollup.MemberKey{Host: id.Host, Boot: id.Boot, Seq: id.Seq, Start: raw.Info.Start}
			if had, ok := found[key]; ok && had.revision >= id.Revision || !p.matches(raw.Tags) {
				return nil
			}
			if total += len(raw.Data); total > maxRawBytes {
				return usage("more than %d MB of host-minutes: ask for a shorter time, for fewer hosts, or for one tag", maxRawBytes>>20)
			}
			found[key] = hostMinute{key, raw.Info.End, minute.Of(raw.Info.Start), id.Revision, raw.Sequence, bytes.Clone(raw.Data)}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]hostMinute, 0, len(found))
	for _, h := range found {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b hostMinute) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), a.MemberKey.Compare(b.MemberKey))
	})
	return list, nil
}

// hostsWith returns the hosts that had all of the selected tags at some time in a span.
func (r *Reader) hostsWith(ctx context.Context, p *plan, s span) ([]string, error) {
	var fewest []string // the selected tags of one key
	for _, key := range sortedKeys(p.tags) {
		var groups []string
		for _, value := range p.tags[key] {
			groups = append(groups, key+"="+value)
		}
		if fewest == nil || len(groups) < len(fewest) {
			fewest = groups
		}
	}
	hosts := make(map[string]struct{})
	for _, group := range fewest {
		pieces, _, err := r.tile(ctx, p.policy, group, s, rollup.Minute5)
		if err != nil {
			return nil, err
		}
		for i := range pieces {
			for k := range pieces[i].Members {
				if m := &pieces[i].Members[k]; p.matches(m.Tags) {
					hosts[m.Host] = struct{}{}
				}
			}
		}
	}
	if len(hosts) > maxHosts {
		return nil, usage("%d hosts have these tags of several keys: at most %d can be merged, ask for one tag", len(hosts), maxHosts)
	}
	return sortedKeys(hosts), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// addHost notes a host-minute. If again is true, the one before was of the same minute of the same host, which was
// restarted.
func (g *gather) addHost(h *hostMinute, again bool) {
	g.info.Raw++
	if !again {
		g.info.HostMinutes++
	}
	g.info.Revision += h.sequence
	g.hosts[h.Host] = struct{}{}
	g.mark(h.minute)
}

// mergeMinutes returns the merge of host-minutes, which are in order of time.
func (g *gather) mergeMinutes(m *metric.Merger, tables []*metric.Table, list []hostMinute) *metric.Bucket {
	all := metric.NewBucket(tables)
	for len(list) > 0 {
		from := len(list) - 1
		for from > 0 && list[from-1].minute == list[from].minute {
			from--
		}
		one := metric.NewBucket(tables)
		for i := from; i < len(list); i++ {
			g.addHost(&list[i], i > from && list[i].Host == list[i-1].Host)
			info, err := m.Open(list[i].data)
			if err != nil {
				g.info.Damaged++
				continue
			}
			g.info.Covered += info.Covered
			m.AddTo(one)
		}
		list = list[:from]
		switch {
		case one.Empty():
		case all.Empty():
			all = one
		default:
			all.Cover(one.End, all.End)
			all.Precede([]*metric.Bucket{one})
		}
	}
	return all
}

// mergeRaw is merge for a selection that has no rollups.
func (r *Reader) mergeRaw(ctx context.Context, p *plan, s span) (*metric.Bucket, Info, error) {
	list, err := r.hostMinutes(ctx, p, s)
	if err != nil {
		return nil, Info{}, err
	}
	pieces := make([]piece, len(list))
	size := 0
	for i := range list {
		pieces[i] = piece{start: list[i].Start, revision: list[i].sequence}
		size += len(list[i].data)
	}
	key := fingerprint("raw\x00"+p.key, s, [][]piece{pieces})
	if b, info, ok := r.cache.get(key); ok {
		return b, info, nil
	}
	m, done := r.merger(r.cfg.Tables)
	defer done()
	g := newGather(s)
	b := g.mergeMinutes(m, r.cfg.Tables, list)
	info := r.finish(b, g, p, s)
	r.cache.put(key, b, info, size)
	return b, info, nil
}
