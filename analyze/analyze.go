// Package analyze is what analyzers have in common: their contract with a shard, the tally that
// they count in, the host subnets that give a packet its direction, and the decision whether a
// packet is analysed deeply.
//
// An analyzer belongs to one shard and is called from its goroutine alone. It counts in private
// memory and adds the result to a bucket when the shard flushes: once a second, and earlier when
// one of its tallies is full.
package analyze

import (
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
)

// Packet is a decoded packet as analyzers see it. It is valid during the call.
type Packet struct {
	decode.Packet
	// Direction is the packet's way seen from the host subnets.
	Direction Direction
	// Frame holds the captured bytes.
	Frame []byte
}

// Content returns the captured payload: of TCP or UDP with decode.FlagL4, else of IP. For a frame without IP it returns what
// follows the EtherType, or nothing if the frame has none.
func (p *Packet) Content() []byte { return p.Frame[p.Payload : p.Payload+p.CapLen] }

// GroupSize is how many packets a shard hands to its analyzers at once, at most.
const GroupSize = 128

// Direction is a packet's way, seen from the host subnets.
type Direction uint8

// The directions. Packets between two hosts of the subnets are Ingress.
const (
	Unknown Direction = iota
	Ingress           // the destination is in the host subnets
	Egress            // the source is, the destination is not

	NumDirections = 3
)

// Keys are the top tables and cardinalities of an analyzer's section in the bucket that is being filled.
type Keys interface {
	// Lock waits until nobody else is at the keys, and returns the section, whose counts are not locked.
	Lock() *metric.Section
	// Unlock must follow soon: readers of the bucket wait for it.
	Unlock()
}

// MaxSeconds is how many seconds of a file may end without a flush. To flush the counts takes ten microseconds, and in
// a long capture a second often has no more than a few packets.
const MaxSeconds = 512

// Open finds the section of the bucket that has a second (Unix time), for the rates of that second. It
// returns nil where that bucket is sealed already.
type Open func(second int64) *metric.Section

// Section is what o finds, or s where there is no o.
func (o Open) Section(s *metric.Section, second int64) *metric.Section {
	if o == nil {
		return s
	}
	return o(second)
}

// Seconds are what the seconds that have ended since the last flush had of something. A second may end several times.
type Seconds[T any] struct {
	ended [MaxSeconds]struct {
		second int64
		had    T
	}
	n uint
}

// Add ends a second (Unix time).
func (s *Seconds[T]) Add(second int64, had T) {
	e := &s.ended[s.n%MaxSeconds]
	e.second, e.had = second, had
	s.n++
}

// Take calls f for each second, in order, and forgets them.
func (s *Seconds[T]) Take(f func(second int64, had T)) {
	for i := range s.ended[:s.n] {
		f(s.ended[i].second, s.ended[i].had)
	}
	s.n = 0
}

// Topic declares an analyzer: the metrics of its section, and how the analyzers of a policy are made.
type Topic struct {
	Table *metric.Table
	// New makes what all shards of a policy share. The function that it returns makes the analyzer of one shard; several
	// goroutines may call it at once.
	New func(Settings) func(Shard) Analyzer
	// Memory returns the maximum number of bytes that the analyzer of one shard takes with the given table and scale. It
	// may be nil if the analyzer has only small tables.
	Memory func(table *metric.Table, scale int) int64
}

// Settings are what a policy tells its analyzers.
type Settings struct {
	// Table is the topic's table, or a selection from it (see [metric.Table.Select]). An analyzer need not do the work for
	// metrics that the table lacks. Nil stands for the whole table.
	Table *metric.Table
	// Seed is for the hashes of keys that never leave the process.
	Seed    *seedhash.Seed
	Sampler Sampler
	// Periods is how many minutes the window keeps, the live one included.
	Periods int
	// Scale makes tables larger or smaller than they are by default, by powers of two: see [Scaled].
	Scale int
}

// Scaled returns a size at a scale: 0 is size itself, and each step doubles or halves it, within least and most.
func Scaled(size, scale, least, most int) int {
	if scale < 0 {
		return max(size>>-scale, least)
	}
	return min(size<<scale, most)
}

// Shard is what an analyzer may ask of its shard.
type Shard struct {
	// Flush flushes the counts and keys of this analyzer. An analyzer calls it when one of its tallies is full.
	Flush func()
	// Open finds the section for the rates of a second. Where it is nil, rates go to the section that is flushed to.
	Open Open
}

// Analyzer counts the events of one topic for one policy on one shard. It takes the kinds of event whose interface it
// implements: [Packets], or the messages of package dns. When one of its tallies is full, it calls [Shard.Flush] before it
// counts on. An analyzer that keeps rates implements [Rated] as well, one that waits for time to pass [Waiter], and one
// that judges by all shards' counts [Judge].
//
// A flush has two halves: the counts, then the keys. Both happen when a reader may look, which is every second for a live
// source and the end of a bucket for a file, and when a tally is full. Between these, the counts of a file are flushed now
// and then. Where shards run in step, all flush their counts before any flushes its keys, so that the keys' half can judge by
// all shards' counts.
type Analyzer interface {
	// FlushCounts ends the given second (Unix time), adds counters and histograms to a bucket's section and rates to the
	// sections that have their seconds, and forgets them. The section's counts are locked meanwhile, its keys are not.
	FlushCounts(s *metric.Section, second int64)
	// FlushKeys adds the tallies to the top tables and cardinalities of a bucket's section and forgets them; unless
	// all is set, only those that are nearly full. It does so in many small parts, and prepares each before it
	// locks the keys.
	FlushKeys(all bool, keys Keys)
}

// Packets is implemented by analyzers that take packets.
type Packets interface {
	// Packets counts the packets of a group: at most GroupSize, within one second, in their order.
	Packets(group []Packet)
}

// Rated is implemented by analyzers that keep rates.
type Rated interface {
	// EndSecond ends a second (Unix time) of the packets for which no flush is due. The analyzer keeps its part of the rates
	// until the next flush, which comes before MaxSeconds more have ended.
	EndSecond(second int64)
}

// Waiter is implemented by analyzers that wait for time to pass.
type Waiter interface {
	// Tick tells the time of the packets (nanoseconds since the Unix epoch), once a second and while no packets come.
	Tick(now int64)
	// Finish counts what is still waiting at the end of a capture file.
	Finish()
	// Restart does the same at the end of a round of a capture file that is played over and over, and forgets what
	// packets of the next round could belong to.
	Restart()
}

// Judge is implemented by analyzers that judge by all shards' counts.
type Judge interface {
	// ReadCounts looks at the section's counts before keys are flushed. They are locked meanwhile.
	ReadCounts(s *metric.Section)
}
