package agent

import (
	"pktvisor/agent/clock"
	"pktvisor/analyze"
	"pktvisor/capture/count"
	"pktvisor/metric"
	"pktvisor/minute"
)

// precounted is what the kernel has counted in a second, of packets that no shard has seen.
type precounted struct {
	second int64
	counts analyze.Precounted
}

// readPrecounted gets what the kernel has counted up to a second (Unix time) since the last call. The first shard does it for
// all shards of the tap. The counts go to the windows when the second ends: see [back.addPrecounted].
func (f *front) readPrecounted(until int64) {
	counter := f.tap.cfg.Counter
	if counter == nil || f.id != 0 {
		return
	}
	if until < f.precountedTo && until > f.precountedTo-minute.Grace-1 {
		until = f.precountedTo // the present second has been read in part, when a policy changed
	}
	f.precountedTo = until
	counter.SetThreshold(f.tap.threshold()) // which is lowered only here, when the shards have followed
	counter.Read(until, func(s *count.Second) {
		skipped := &s.Groups[count.Skipped]
		if skipped.Frames == 0 {
			return
		}
		f.precounted = append(f.precounted, precounted{s.Second, precountedOf(skipped)})
		f.counts.Counted += metric.Counter(skipped.Frames)
		f.counts.SuperFrames += metric.Counter(skipped.Supers)
		f.counts.SuperPackets += metric.Counter(skipped.SuperPackets)
		f.newest = max(f.newest, s.Second*clock.Nanos)
	})
}

// precountedOf converts the counts of a group.
func precountedOf(c *count.Counts) analyze.Precounted {
	p := analyze.Precounted{
		Messages: c.DNS, Truncated: c.Truncated,
		Syn: c.TCP[count.Syn], SynAck: c.TCP[count.SynAck], Rst: c.TCP[count.Rst],
	}
	for i, x := range c.Cells {
		p.Cells[i] = analyze.PrecountedCell{Packets: x.Packets, Bytes: x.Bytes}
	}
	return p
}

// addPrecounted adds what the kernel has counted to the windows, each second to its own bucket. If that is sealed, the packets
// are late, and count in the given bucket.
func (b *back) addPrecounted(bucket *metric.Bucket) {
	if b.policy.cfg.Partial {
		return
	}
	all := b.front.precounted
	for i := range all[min(b.precounted, len(all)):] {
		p := &all[b.precounted+i]
		own := b.policy.window.Open(p.second)
		late := own == nil
		if late {
			own = bucket
		}
		for _, part := range b.parts {
			if part.pre != nil {
				part.pre.AddPrecounted(own.Sections[part.section], p.second, late, &p.counts)
			}
		}
	}
}
