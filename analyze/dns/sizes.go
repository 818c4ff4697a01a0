package dns

import (
	"reflect"

	"pktvisor/analyze"
)

// The sizes of an analyzer's tables by default.
const (
	namesSize     = 1 << 15
	namesBytes    = 1 << 20
	maxWaiting    = 1 << 17
	maxClassBytes = 4 << 20
	maxEarly      = 1 << 12
	maxAnswered   = 1 << 16
)

// sizes are those of an analyzer's tables. They are powers of two.
type sizes struct {
	names      int // distinct names between two flushes
	nameBytes  int // of these
	waiting    int // queries that wait for a response
	classBytes int // of the names of these, in each of four size classes
	early      int // responses that wait for their query
	latencies  int // transactions between two flushes
}

// sizesAt returns the sizes at a scale: 0 is the default. With half as many names, a core's second-level cache would hold
// them better, but more keys would be flushed, and with greater errors. With twice as many, it is the other way round, and a tally
// does not take them. The least sizes have room for some groups of messages.
func sizesAt(scale int) sizes {
	return sizes{
		names:      analyze.Scaled(namesSize, scale, 1<<12, namesSize),
		nameBytes:  analyze.Scaled(namesBytes, scale, 1<<18, namesBytes),
		waiting:    analyze.Scaled(maxWaiting, scale, 1<<12, 1<<20),
		classBytes: analyze.Scaled(maxClassBytes, scale, 1<<17, 32<<20),
		early:      analyze.Scaled(maxEarly, scale, 1<<9, 1<<15),
		latencies:  analyze.Scaled(maxAnswered, scale, 1<<12, 1<<18),
	}
}

// What else takes memory, in bytes.
const (
	// indexBytes are those of the index for an entry of the table of what waits.
	indexBytes = 4 * 4
	// classShare is by how much names in size classes take more than classBytes, in eighths: for slices that have grown, and
	// for what is known of each place.
	classShare = 11
	// smallBytes are those of a smallTally, when all of its values were counted.
	smallBytes = maxValues * (1 + 4 + 3*2)
	// subnetsSize is how many client subnets are counted between two flushes.
	subnetsSize = 1 << 10
	// otherBytes are those of small tables.
	otherBytes = 72 << 10
)

// bytes returns how many bytes an analyzer of these sizes takes at most, with the wanted tables.
func (s sizes) bytes(w wanted) int64 {
	const word = 8
	values := int64(max(s.names, maxValues))
	n := int64(reflect.TypeFor[Analyzer]().Size()) + otherBytes + w.small()*smallBytes
	n += word*values + batchSize*maxText
	n += int64(s.waiting+s.early) * (int64(reflect.TypeFor[waiting]().Size()) + indexBytes)
	n += maxRecent*int64(reflect.TypeFor[answer]().Size()) + recentHeads*4
	if w.names() {
		n += analyze.TallyBytes[nameEntry](s.names) + int64(s.nameBytes) + 4*int64(s.classBytes)*classShare/8
	}
	for _, has := range []bool{w.qname2, w.qname3} {
		if has {
			n += analyze.TallyBytes[suffix](s.names)
		}
	}
	if w.anyColumn() {
		n += word * int64(s.names)
	}
	if w.subnets {
		n += analyze.TallyBytes[subnet](subnetsSize)
	}
	if w.anySlow() {
		n += word * int64(s.latencies)
	}
	return n
}

// The sizes of a reader's reassembly at a scale: how many directions of TCP connections it follows, how many bytes it
// holds back for their messages, and how many for fragments.
func readerSizes(scale int) (flows, streamBytes, fragmentBytes int) {
	return analyze.Scaled(1<<14, scale, 1<<10, 1<<17), analyze.Scaled(8<<20, scale, 1<<19, 64<<20), analyze.Scaled(2<<20, scale, 1<<19, 16<<20)
}

// What a reader takes for a flow, and for messages while they are read, in bytes.
const (
	flowBytes   = 256
	readerBytes = 256 << 10
)

// ReaderMemory returns how many bytes a [Reader] takes at most, at a scale.
func ReaderMemory(scale int) int64 {
	flows, streams, fragments := readerSizes(scale)
	return int64(flows)*flowBytes + int64(streams) + int64(fragments) + readerBytes
}
