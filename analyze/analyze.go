// Package analyze has what all analyzers need: their contract with a shard, the tally that they count in, the host
// subnets that give a packet its direction, and the decision whether a packet is analysed deeply.
//
// An analyzer belongs to one shard, and only that shard's goroutine calls it. It counts in private memory and adds the
// result to a bucket when the shard flushes: once a second, and earlier if one of its tallies is full.
package analyze

import (
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// Packet is a decoded packet as an analyzer gets it. It is valid during the call.
type Packet struct {
	decode.Packet
	// Direction says whether the packet goes to or comes from the host subnets.
	Direction Direction
	// Frame holds the captured bytes.
	Frame []byte
}

// Content returns the captured payload of TCP or UDP if the packet has decode.FlagL4. Otherwise it returns the captured
// payload of IP. For a frame without IP, it returns the bytes after the EtherType, or nothing if the frame has no EtherType.
func (p *Packet) Content() []byte { return p.Frame[p.Payload : p.Payload+p.CapLen] }

// GroupSize is the maximum number of packets or messages that an analyzer gets at once.
const GroupSize = 128

// Direction says whether a packet goes to or comes from the host subnets.
type Direction uint8

// The directions. A packet between two addresses of the host subnets is Ingress.
const (
	Unknown Direction = iota
	Ingress           // the destination is in the host subnets
	Egress            // only the source is in the host subnets

	NumDirections = 3
)

// Keys are the top tables and cardinalities of an analyzer's section in the bucket that is being filled.
type Keys interface {
	// Lock locks the keys and returns the section. It does not lock the section's counts.
	Lock() *metric.Section
	// Unlock unlocks the keys. Call it soon after Lock, because readers of the bucket wait for it.
	Unlock()
}

// MaxSeconds is the maximum number of seconds of a file that may end without a flush. A flush of the counts takes ten
// microseconds, and a second of a long capture often has only a few packets.
const MaxSeconds = 512

// Open returns the section of the bucket that contains a second (Unix time), for the rates of that second. It returns
// nil if that bucket is already sealed.
type Open func(second int64) *metric.Section

// Section returns the section of the bucket that contains a second, or nil if that bucket is already sealed. If o is nil,
// it returns s.
func (o Open) Section(s *metric.Section, second int64) *metric.Section {
	if o == nil {
		return s
	}
	return o(second)
}

// Seconds holds a value for each second that has ended since the last flush. A second may end several times, and then
// has several values.
type Seconds[T any] struct {
	ended [MaxSeconds]struct {
		second int64
		had    T
	}
	n uint
}

// Add adds the value of a second (Unix time). Call it at most [MaxSeconds] times before Take.
func (s *Seconds[T]) Add(second int64, had T) {
	e := &s.ended[s.n%MaxSeconds]
	e.second, e.had = second, had
	s.n++
}

// Take calls f for each value, in the order in which they were added, and removes all values.
func (s *Seconds[T]) Take(f func(second int64, had T)) {
	for i := range s.ended[:s.n] {
		f(s.ended[i].second, s.ended[i].had)
	}
	s.n = 0
}

// Topic declares an analyzer: the metrics of its section, and the functions that make the analyzers of a policy.
type Topic struct {
	Table *metric.Table
	// New makes the state that all shards of a policy share. It returns a function that makes the analyzer of one shard.
	// Several goroutines may call that function at once.
	New func(Settings) func(Shard) Analyzer
	// Memory returns the maximum number of bytes that the analyzer of one shard takes with the given table and scale. It
	// may be nil if the analyzer has only small tables.
	Memory func(table *metric.Table, scale int) int64
}

// Settings are the settings of a policy for its analyzers.
type Settings struct {
	// Table is the topic's table, or a selection from it (see [metric.Table.Select]). An analyzer need not do the work for
	// metrics that the table lacks. Nil stands for the whole table.
	Table *metric.Table
	// Seed is the secret seed of the hashes of keys. These hashes never leave the process.
	Seed *seedhash.Seed
	// Periods is the number of minutes in the window, including the live one.
	Periods int
	// Scale makes tables larger or smaller than by default, in powers of two: see [Scaled].
	Scale int
	// BlindKey makes the hashes of items that leave the process blind: see [sketch.Blind]. It may be nil.
	BlindKey *[sketch.BlindKeyLen]byte
}

// Scaled returns a size at a scale. Scale 0 is the size itself. Each step up doubles it, up to most; each step down halves
// it, down to least.
func Scaled(size, scale, least, most int) int {
	if scale < 0 {
		return max(size>>-scale, least)
	}
	return min(size<<scale, most)
}

// Shard has the functions of a shard that an analyzer may call.
type Shard struct {
	// Sampler decides what is analysed deeply. Its share changes only between a flush and the next event.
	Sampler *Sampler
	// Flush flushes the counts and keys of this analyzer. An analyzer calls it when one of its tallies is full.
	Flush func()
	// Open returns the section for the rates of a second. If Open is nil, rates go to the section that is flushed to.
	Open Open
}

// Analyzer counts the events of one topic for one policy on one shard. It takes the kinds of event whose interface it
// implements: [Packets], or the messages of package dns. When one of its tallies is full, it calls [Shard.Flush] before it
// counts the next event. An analyzer that keeps rates also implements [Rated]. An analyzer that waits for time to pass
// implements [Waiter]. An analyzer that depends on the counts of all shards implements [Judge].
//
// A flush has two halves: the counts, then the keys. A live source flushes both every second, and a file at the end of
// each bucket, because readers may look then. Both are also flushed when a tally is full. In between, the counts of a file
// are flushed from time to time. All shards of a file flush their counts before any shard flushes its keys, so that the
// second half can depend on the counts of all shards.
type Analyzer interface {
	// FlushCounts ends the given second (Unix time). It adds counters and histograms to a bucket's section, adds rates to
	// the sections that contain their seconds, and resets them all. During the call, the section's counts are locked and its
	// keys are not.
	FlushCounts(s *metric.Section, second int64)
	// FlushKeys adds the tallies to the top tables and cardinalities of a bucket's section and empties them. If all is
	// false, it does so only with tallies that are nearly full. It works in many small parts, and prepares each part before
	// it locks the keys.
	FlushKeys(all bool, keys Keys)
}

// Packets is implemented by analyzers that take packets.
type Packets interface {
	// Packets counts the packets of a group: at most [GroupSize], in their order, all in one second.
	Packets(group []Packet)
}

// Rated is implemented by analyzers that keep rates.
type Rated interface {
	// EndSecond ends a second (Unix time) after which no flush is due. The analyzer keeps the rates of that second until
	// the next flush, which comes before [MaxSeconds] more seconds have ended.
	EndSecond(second int64)
}

// Waiter is implemented by analyzers that wait for time to pass.
type Waiter interface {
	// Tick sets the time of the packets (nanoseconds since the Unix epoch). It is called once a second, also while no
	// packets come.
	Tick(now int64)
	// Finish counts everything that still waits at the end of a capture file.
	Finish()
	// Restart is called at the end of each round of a capture file that is played repeatedly. It counts everything that
	// still waits, and forgets everything that packets of the next round could belong to.
	Restart()
}

// Judge is implemented by analyzers that depend on the counts of all shards.
type Judge interface {
	// ReadCounts reads the section's counts before the keys are flushed. During the call, the counts are locked.
	ReadCounts(s *metric.Section)
}
