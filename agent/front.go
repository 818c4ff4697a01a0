package agent

import (
	"slices"
	"sync"

	"pktvisor/agent/clock"
	"pktvisor/agent/deal"
	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/minute"
)

// front is the front half of a shard. It turns the frames of a tap into events, and hands these to the analyzers of all
// policies. A shard is one goroutine. Others may change its back halves, or move one out, between two batches.
type front struct {
	// mu is held while a batch is analysed, and while back halves change. It guards everything but state, which has atomic fields.
	// A shard does not hold it while it waits for frames.
	mu         sync.Mutex
	id         int
	tap        *Tap
	decoder    decode.Decoder
	segments   decode.Segments // of the super frame that is being split
	group      [analyze.GroupSize]analyze.Packet
	grouped    uint // packets in the group
	hosts      *analyze.Hosts
	share      metric.Share // that the tap was told, as of the last batch
	reader     *dns.Reader  // finds the messages in packets; nil if no policy takes DNS messages
	clock      clock.Clock
	newest     int64          // time of the newest packet, in nanoseconds; for a file, as of the last step of its clock
	flushed    int64          // wall time of the last flush for packets that were late
	source     capture.Source // the shard's own, live; nil for a file
	counts     sourceMetrics  // since the start; for a file, as of the last step of its clock, because files are read ahead
	state      sourceState
	precounted []precounted // what the kernel has counted, until the end of the second
	// precountedTo is the last second up to which the kernel's counts were read.
	precountedTo int64
	undecoded    map[linktype.Type]int64 // how many frames of each link type could not be decoded

	moves    uint32  // tap.moves at the last batch
	made     bool    // the shard has back halves, or is about to start
	over     bool    // the source has ended, and everything is flushed
	makers   []maker // of back halves that do not exist yet
	backs    []*back
	packets  []analyze.Packets // the analyzers of all policies that take packets
	messages []dns.Messages    // those that take DNS messages
	lanes    []*lane           // the policies with a filter, whose analyzers are not in packets and messages
	links    [analyze.GroupSize]linktype.Type
	waiters  []analyze.Waiter // the reader, and the analyzers that wait for time to pass
}

func newFront(t *Tap, id int) *front {
	f := &front{id: id, tap: t, hosts: t.hosts.Load(), share: metric.Whole, newest: clock.Never, undecoded: map[linktype.Type]int64{}}
	f.decoder.Decap = t.cfg.Decap
	f.made = t.cfg.Spread == nil || id == 0
	return f
}

// attachAll makes the front half hand events to the analyzers of its back halves: of the kinds whose interfaces each analyzer
// implements. A reader that no analyzer needs is forgotten.
func (f *front) attachAll() {
	f.packets, f.messages, f.waiters = nil, nil, nil
	for _, b := range f.backs {
		for _, part := range b.parts {
			if p, ok := part.Analyzer.(analyze.Packets); ok && part.filter == nil {
				f.packets = append(f.packets, p)
			}
			if m, ok := part.Analyzer.(dns.Messages); ok && part.filter == nil {
				f.messages = append(f.messages, m)
			}
			if part.waiter != nil {
				f.waiters = append(f.waiters, part.waiter)
			}
		}
	}
	if !slices.ContainsFunc(f.backs, (*back).takesMessages) {
		f.reader = nil
	}
	var readers []analyze.Waiter // before the analyzers that take their messages
	if f.reader != nil {
		readers = append(readers, messageReader{f.reader})
	}
	for _, l := range f.lanes {
		if l.reader != nil {
			readers = append(readers, messageReader{l.reader})
		}
	}
	f.waiters = append(readers, f.waiters...)
}

// messageReader lets a reader wait for time to pass as an analyzer does.
type messageReader struct{ *dns.Reader }

// Restart implements [analyze.Waiter].
func (r messageReader) Restart() { r.Finish() }

// batch analyses the frames of a batch. It leaves no packet in the group.
func (f *front) batch(b *capture.Batch) {
	if b.Restart {
		f.restart()
	}
	from := 0
	for _, s := range b.Supers {
		f.take(b.Frames[from:s.Frame])
		f.superFrame(&b.Frames[s.Frame], s.Size)
		from = s.Frame + 1
	}
	f.take(b.Frames[from:])
	f.events()
}

// work analyses the frames that were dealt to the shard, and takes the steps of the clock between them.
func (f *front) work(w *deal.Work) {
	from := 0
	for i := range w.Steps {
		st := &w.Steps[i]
		f.take(w.Frames[from:st.At])
		from = st.At
		f.dealtStep(st)
	}
	f.take(w.Frames[from:])
	f.events()
}

// take decodes frames into the group, and calls [front.events] whenever the group is full. The frames must not change
// until that call. The function is not inlined, so that the calls in its loop are.
//
//go:noinline
func (f *front) take(frames []capture.Frame) {
	for i := range frames {
		frame := &frames[i]
		if !f.clock.Has(frame.Time) {
			f.step(clock.Second(frame.Time))
		}
		p := &f.group[f.grouped%analyze.GroupSize]
		p.Frame = frame.Data
		f.links[f.grouped%analyze.GroupSize] = frame.Link
		if !f.decoder.DecodePlain(&p.Packet, frame.Data, frame.WireLen, frame.Link, frame.Time) {
			f.decoder.DecodeAny(&p.Packet, frame.Data, frame.WireLen, frame.Link, frame.Time)
			if p.Kind == decode.KindUnsupportedLink {
				f.undecoded[frame.Link]++
			}
		}
		if f.grouped++; f.grouped == analyze.GroupSize {
			f.events()
		}
	}
}

// superFrame decodes a frame that stands for several packets. Each of them counts as if it had arrived alone.
func (f *front) superFrame(frame *capture.Frame, size uint16) {
	if !f.clock.Has(frame.Time) {
		f.step(clock.Second(frame.Time))
	}
	f.decoder.Split(&f.segments, frame.Data, frame.WireLen, frame.Link, frame.Time, size)
	f.counts.SuperFrames++
	for p := &f.group[f.grouped]; f.segments.Next(&p.Packet); p = &f.group[f.grouped] {
		p.Frame = frame.Data
		f.links[f.grouped] = frame.Link
		f.counts.SuperPackets++
		if f.grouped++; f.grouped == analyze.GroupSize {
			f.events()
		}
	}
}

// events hands the packets of the group and the DNS messages in them to every policy. It reads each message once, whatever
// the number of policies. The function is not inlined, so that the code in its loops is.
//
//go:noinline
func (f *front) events() {
	if f.grouped == 0 {
		return
	}
	group := f.group[:f.grouped]
	if f.source != nil { // the steps of a file's clock contain the newest time
		for i := range group {
			f.newest = max(f.newest, group[i].Time)
		}
	}
	f.hosts.SetDirections(group)
	f.grouped = 0
	for _, p := range f.packets {
		p.Packets(group)
	}
	if l := f.lane(""); l != nil {
		l.begin(f, group)
	}
	if f.reader != nil {
		f.reader.Packets(group)
	}
	f.filteredEvents(group)
	for _, b := range f.backs {
		b.unflushed += uint(len(group))
	}
}

// Messages implements [dns.Messages]: it hands the messages of the reader to every policy.
func (f *front) Messages(group []dns.Message) {
	for _, m := range f.messages {
		m.Messages(group)
	}
	if l := f.lane(""); l != nil {
		l.Messages(group)
	}
}

// step moves to another second: that of a frame or that of the wall clock. Everything counted so far belongs to the second
// before.
func (f *front) step(second int64) {
	f.events()
	if !f.clock.Late(second) {
		f.endSecond(second, false, nil)
		f.enter(second)
		return
	}
	// If a live wall clock is set back a little, readers still see the packets without delay.
	if wall := f.tap.wall(); wall != f.flushed {
		f.flushed = wall
		f.endSecond(second, true, nil)
	} else {
		for _, b := range f.backs {
			b.endSecond()
		}
	}
	f.clock.Count(second)
}

// dealtStep takes a step of a file's clock, which all shards take.
func (f *front) dealtStep(st *deal.Step) {
	f.events()
	f.newest = st.Newest
	if st.Last { // the last packet of the file, of any shard, decides what has timed out
		f.tick(max(f.newest, f.clock.Newest*clock.Nanos))
		for _, w := range f.waiters {
			w.Finish()
		}
	}
	if f.id == 0 {
		f.counts.Stats = st.Read
	}
	if f.clock.Running {
		f.endSecond(st.Second, st.Last, st.Barrier)
	}
	if st.Last {
		f.clock = clock.Clock{}
	} else {
		f.enter(st.Second)
	}
}

// endSecond ends the clock's second. Each policy whose keys are due before the next second flushes its counts and keys. They
// are due if all is set, every second for live sources, which may be looked at any time, and at the end of a bucket for a file.
// New host subnets take effect then.
func (f *front) endSecond(next int64, all bool, barrier *deal.Barrier) {
	if f.source != nil {
		f.counts.Stats = f.source.Stats() // before any window is locked, because this asks the kernel
		f.readPrecounted(f.clock.Newest)
	}
	due := func(b *back) bool { return all || f.tap.live.Load() || b.policy.keysDue(f.clock.Newest, next) }
	for _, b := range f.backs {
		if due(b) {
			b.flushCounts()
		} else {
			b.endSecond()
		}
	}
	barrier.Wait(0)
	if barrier != nil {
		f.tap.pace.countsFlushed(f.tap, f.clock.Newest, f.before(next, all))
	}
	for _, b := range f.backs {
		if due(b) {
			b.flushKeys()
		}
	}
	barrier.Wait(1)
	if barrier != nil && !all {
		f.tap.pace.keysFlushed(f.tap, minute.Of(next))
	}
	f.precounted = f.precounted[:0]
	for _, b := range f.backs {
		b.precounted = 0
	}
	f.hosts = f.tap.hosts.Load()
	if f.newest != clock.Never {
		f.state.newest.Store(f.newest)
	}
}

// before returns the time before which all minutes are complete when the clock's second ends. At the end of a file, every minute is complete.
func (f *front) before(next int64, last bool) int64 {
	if last {
		return atEnd
	}
	return minute.Of(next)
}

// enter begins a second.
func (f *front) enter(second int64) {
	f.newest = f.clock.SetBack(f.newest, second)
	f.clock.Enter(second)
	f.tick(second * clock.Nanos)
}

// tick passes the time, in nanoseconds since the Unix epoch, to everything that waits.
func (f *front) tick(now int64) {
	for _, b := range f.backs {
		b.sampler.Settle(now)
	}
	for _, l := range f.lanes {
		if l.sieve != nil {
			l.sieve.Tick()
		}
	}
	for _, w := range f.waiters {
		w.Tick(now)
	}
}

// restart ends a round of a recording that is played in a loop. All frames of that round must have been analysed.
func (f *front) restart() {
	for _, w := range f.waiters {
		w.Restart()
	}
}

// end counts everything that still waits, because nothing more will arrive, and flushes it into the windows. Queries without
// a response count as open. They no longer wait, so that the gauge xact.open does not count them again.
func (f *front) end() {
	f.tick(max(f.newest, f.clock.Newest*clock.Nanos))
	f.restart()
	if f.source != nil {
		f.readPrecounted(max(f.clock.Newest, f.tap.wall()))
	}
	f.endSecond(f.clock.Newest, true, nil)
}
