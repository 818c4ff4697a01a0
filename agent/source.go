package agent

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/capture"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// sourceMetrics are what sources say of themselves.
type sourceMetrics struct {
	_ metric.Object `metric:"" title:"Capture" help:"What the sources say of themselves."`

	capture.Stats

	SuperFrames  metric.Counter `metric:"super_frames" unit:"frames" help:"Received frames that carry several packets of the wire, by segmentation offload or GRO. Live only."`
	SuperPackets metric.Counter `metric:"super_frame_packets" title:"Packets of super frames" unit:"packets" help:"Packets of the wire that these frames carry. Each counts like any other packet."`
}

var sourceTable = metric.Define[sourceMetrics]("pcap")

// SourceTable declares what each source by itself has counted since it was opened.
var SourceTable = metric.Define[capture.Stats]("source")

// sourceCounts turns a source's totals into what has come since the last flush.
type sourceCounts struct {
	last                      capture.Stats
	superFrames, superPackets uint64 // since the last flush
}

// flush adds what the source has counted since the last flush to the bucket.
func (c *sourceCounts) flush(b *metric.Bucket, now capture.Stats) {
	m := metric.Of[sourceMetrics](b.Sections[len(b.Sections)-1])
	metric.AddChange(&m.Stats, &c.last, &now)
	b.Lost += now.Lost() - c.last.Lost()
	c.last = now
	m.SuperFrames += metric.Counter(c.superFrames)
	m.SuperPackets += metric.Counter(c.superPackets)
	c.superFrames, c.superPackets = 0, 0
}

// sourceState is what anyone may ask of a live source.
type sourceState struct {
	link   atomic.Int32                   // link type of the newest frame, plus one; 0 before the first
	source atomic.Pointer[capture.Source] // nil before RunLive
	asked  atomic.Pointer[askedStats]     // nil before the first was asked
	asking sync.Mutex
	ended  atomic.Pointer[error]
	began  atomic.Int64 // when it began to work on the frames that it has, since the agent's start; 0 while it waits for frames
}

// stuckAfter is how long a shard may work on one batch of frames before it is said to be stuck: a thousand times what a
// batch takes.
const stuckAfter = 10 * time.Second

// Source tells how the live source of a shard is: the link type of its frames, empty before the
// first, and the error that ended it, if one did, or that its shard is stuck.
func (a *Agent) Source(shard int) (link string, err error) {
	s := &a.shards[shard].state
	if l := s.link.Load(); l != 0 {
		link = linktype.Type(l - 1).String()
	}
	if e := s.ended.Load(); e != nil {
		err = *e
	}
	if began := time.Duration(s.began.Load()); began != 0 && err == nil {
		if took := time.Since(a.started) - began; took > stuckAfter {
			err = fmt.Errorf("shard %d has worked on the same frames for %v: restart the agent, and please report this", shard, took.Round(time.Second))
		}
	}
	return link, err
}

// askedStats is what a source has counted, and when it was asked.
type askedStats struct {
	capture.Stats
	at time.Time
}

// statsEvery is how often a source is asked what it has counted, at most, however many want to know.
const statsEvery = 100 * time.Millisecond

// SourceStats returns what the live source of a shard has counted, as of 100 ms ago or less, unless it takes longer to ask. The
// source is asked by one reader at a time, and the others do not wait.
func (a *Agent) SourceStats(shard int) capture.Stats {
	s := &a.shards[shard].state
	last := s.asked.Load()
	if src := s.source.Load(); src != nil && (last == nil || time.Since(last.at) >= statsEvery) && s.asking.TryLock() {
		last = &askedStats{(*src).Stats(), time.Now()}
		s.asked.Store(last)
		s.asking.Unlock()
	}
	if last == nil {
		return capture.Stats{}
	}
	return last.Stats
}
