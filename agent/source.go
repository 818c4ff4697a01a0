package agent

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/capture"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// sourceMetrics are the counters of a tap's sources.
type sourceMetrics struct {
	_ metric.Object `metric:"" title:"Capture" help:"The counters of the sources."`

	capture.Stats

	SuperFrames  metric.Counter `metric:"super_frames" unit:"frames" help:"Received frames that stand for several packets on the wire, due to segmentation offload or GRO. Live only."`
	Counted      metric.Counter `metric:"kernel_counted" title:"Kernel counted" unit:"frames" help:"Frames outside the deep sample that the kernel has counted and not handed over. Each counts like any other. Live only."`
	SuperPackets metric.Counter `metric:"super_frame_packets" title:"Packets of super frames" unit:"packets" help:"Packets on the wire for which these frames stand. Each counts like any other packet."`
}

var sourceTable = metric.Define[sourceMetrics]("pcap")

// SourceTable declares the counters of a single source since it was opened.
var SourceTable = metric.Define[capture.Stats]("source")

// sourceState is the state of a live source that any goroutine may read.
type sourceState struct {
	link   atomic.Int32                   // link type of the newest frame, plus one; 0 before the first
	source atomic.Pointer[capture.Source] // nil before the tap runs
	asked  atomic.Pointer[askedStats]     // nil before the source was asked
	asking sync.Mutex
	ended  atomic.Pointer[error]
	began  atomic.Int64  // when the shard began to work on its batch, in nanoseconds since the tap was made; 0 while it waits for frames
	busy   atomic.Int64  // for how long the shard has worked on batches, in nanoseconds
	full   atomic.Uint64 // how full the source was at the last batch, as the bits of a float64: see capture.Filling
	lag    atomic.Int64  // time since the capture of the first frame of the last batch, in nanoseconds, if the source was not empty
	newest atomic.Int64  // time of the newest packet, in nanoseconds since the Unix epoch; 0 before the first
}

// stuckAfter is how long a shard may work on one batch of frames before it counts as stuck. A batch usually takes a thousandth
// of this.
const stuckAfter = 10 * time.Second

// Source returns the link type of the newest frame of a shard's live source, or "" before the first frame. The error says
// that the source has failed, or that the shard is stuck.
func (t *Tap) Source(shard int) (link string, err error) {
	s := &t.fronts[shard].state
	if l := s.link.Load(); l != 0 {
		link = linktype.Type(l - 1).String()
	}
	if e := s.ended.Load(); e != nil {
		err = *e
	}
	if err == nil {
		err = t.Stuck(shard)
	}
	return link, err
}

// Stuck returns an error if a shard of a live source has worked on one batch of frames for more than ten seconds.
func (t *Tap) Stuck(shard int) error {
	if began := time.Duration(t.fronts[shard].state.began.Load()); began != 0 {
		if took := time.Since(t.made) - began; took > stuckAfter {
			return fmt.Errorf("shard %d has worked on the same frames for %v: restart the agent, and please report this", shard, took.Round(time.Second))
		}
	}
	return nil
}

// askedStats are the counters of a source, and when it was asked for them.
type askedStats struct {
	capture.Stats
	at time.Time
}

// statsEvery is the shortest time between two requests for a source's counters, however many readers there are.
const statsEvery = 100 * time.Millisecond

// SourceStats returns the counters of a shard's live source. They are at most 100 ms old, or older while a request to the
// source takes longer. One reader at a time asks the source. The others do not wait for it.
func (t *Tap) SourceStats(shard int) capture.Stats {
	s := &t.fronts[shard].state
	last := cmp.Or(s.asked.Load(), &askedStats{})
	if src := s.source.Load(); src != nil && time.Since(last.at) >= statsEvery && s.asking.TryLock() {
		last = &askedStats{(*src).Stats(), time.Now()}
		s.asked.Store(last)
		s.asking.Unlock()
	}
	return last.Stats
}
