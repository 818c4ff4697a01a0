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
	clientsSize   = 1 << 15
)

// sizes are the sizes of an analyzer's tables. They are powers of two.
type sizes struct {
	names      int // distinct names between two flushes
	nameBytes  int // bytes of these names
	waiting    int // queries that wait for a response
	classBytes int // bytes of the names of waiting queries, in each of four size classes
	early      int // responses that wait for their query
	latencies  int // transactions between two flushes
	clients    int // distinct clients between two flushes
}

// sizesAt returns the sizes at a scale. Scale 0 is the default. Half as many names would fit better into a core's second-level
// cache, but more keys would be flushed, with greater errors. A tally cannot hold more names than the default. At the lowest
// scale, there is space for a few groups of messages.
func sizesAt(scale int) sizes {
	return sizes{
		names:      analyze.Scaled(namesSize, scale, 1<<12, namesSize),
		nameBytes:  analyze.Scaled(namesBytes, scale, 1<<18, namesBytes),
		waiting:    analyze.Scaled(maxWaiting, scale, 1<<12, 1<<20),
		classBytes: analyze.Scaled(maxClassBytes, scale, 1<<17, 32<<20),
		early:      analyze.Scaled(maxEarly, scale, 1<<9, 1<<15),
		latencies:  analyze.Scaled(maxAnswered, scale, 1<<12, 1<<18),
		clients:    analyze.Scaled(clientsSize, scale, 1<<12, clientsSize),
	}
}

// Other memory, in bytes.
const (
	// indexBytes is the size of the hash table for each entry of transactions.
	indexBytes = 4 * 4
	// classShare is the memory of a size class in eighths of classBytes. It is more than eight because slices grow in steps,
	// and because each slot has a length.
	classShare = 11
	// addrBytes and amountBytes are the sizes of an address and of an amount.
	addrBytes, amountBytes = 16, 16
	// pairSlotBytes is the size of a [sketch.Spread] for each of its slots.
	pairSlotBytes = 2*12 + 2*2*4 + 24 + 32
	// smallBytes is the size of a smallTally that has counted all its values.
	smallBytes = maxValues * (1 + 4 + 3*2)
	// subnetsSize is the maximum number of distinct client subnets between two flushes.
	subnetsSize = 1 << 10
	// otherBytes is the size of all small tables.
	otherBytes = 72 << 10
)

// bytes returns the maximum number of bytes that an analyzer of these sizes takes, with the wanted metrics.
func (s sizes) bytes(w wanted) int64 {
	const word = 8
	values := int64(max(s.names, maxValues))
	n := int64(reflect.TypeFor[Analyzer]().Size()) + otherBytes + w.small()*smallBytes
	n += (word+2)*values + batchSize*maxText
	n += int64(s.waiting+s.early) * (int64(reflect.TypeFor[waiting]().Size()) + indexBytes)
	n += maxRecent*int64(reflect.TypeFor[answer]().Size()) + numChains*4
	if w.names() {
		n += analyze.TallyBytes[nameEntry](s.names) + int64(s.nameBytes) + 4*int64(s.classBytes)*classShare/8
	}
	for _, has := range []bool{w.suffix2(), w.suffix3()} {
		if has {
			n += suffixBytes(s.names)
		}
	}
	if w.anyZone() {
		n += numZones*batchSize*maxText + 2*maxText + 4*int64(s.names)
	}
	if w.folds() {
		n += 3 * maxFolds * 2 * maxText
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
	if w.anyClient() {
		n += 2*analyze.TallyBytes[client](s.clients) + addrBytes*int64(s.waiting)
	}
	if w.pairs() {
		n += (clientPairSlots+prefixPairSlots)*pairSlotBytes + word*int64(s.names)
	}
	if w.ampNames {
		n += amountBytes * int64(s.names)
	}
	if w.ampTypes {
		n += amountBytes * maxValues
	}
	return n
}

// readerSizes returns the sizes of a reader's reassembly at a scale: the number of directions of TCP connections that it
// follows, and the bytes that it keeps for their incomplete messages and for fragments.
func readerSizes(scale int) (flows, streamBytes, fragmentBytes int) {
	return analyze.Scaled(1<<14, scale, 1<<10, 1<<17), analyze.Scaled(8<<20, scale, 1<<19, 64<<20), analyze.Scaled(2<<20, scale, 1<<19, 16<<20)
}

// The memory that a reader takes for each flow, and for messages while it reads them, in bytes.
const (
	flowBytes   = 256
	readerBytes = 256 << 10
)

// ReaderMemory returns the maximum number of bytes that a [Reader] takes at a scale.
func ReaderMemory(scale int) int64 {
	flows, streams, fragments := readerSizes(scale)
	return int64(flows)*flowBytes + int64(streams) + int64(fragments) + readerBytes
}
