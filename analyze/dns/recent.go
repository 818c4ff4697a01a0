package dns

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
)

// The bounds of a shard's memory of answered queries, 2 MB: all of five seconds up to 13,000 transactions a
// second, else the newest.
const (
	maxRecent   = 1 << 16
	recentHeads = 1 << 15
	// maxRecentSteps is how many answered queries a search looks at. Chains are shorter than that by far, unless
	// somebody has many queries of one port and ID answered: of those, the newest are found.
	maxRecentSteps = 16
)

// answer is a query that was answered, as far as further responses to it need it.
type answer struct {
	key      uint64
	time     int64  // of the response, or of the last message of a transfer
	question uint32 // see answeredQuestion
	older    uint32 // the number of the one before in the chain
}

// recent remembers the newest answered queries: a ring in the order in which they were answered, and chains through
// it by the hash of the key. An answer has a number; what the ring has no more is known by its number, so that
// nothing needs to be unlinked.
type recent struct {
	ring  *[maxRecent]answer   // nil before the first answer
	heads *[recentHeads]uint32 // the number of the newest answer of each chain
	n     uint32               // the next number
}

// start makes room before the first answer: a flood of queries that nobody answers has none. Of the ring, no page is
// touched before it is needed.
func (r *recent) start() {
	r.ring, r.heads = new([maxRecent]answer), (*[recentHeads]uint32)(memory.Make[uint32](recentHeads))
	r.n = maxRecent + 1
}

// The types of questions that ask for a zone (RFC 1995, RFC 5936).
const (
	typeIXFR = 251
	typeAXFR = 252
)

// transferred is the hash of a question that may have an answer of several messages: a zone transfer over TCP (RFC 5936,
// section 2.2). There is one of them at a time with the same ID on a connection.
const transferred = 1

// answeredQuestion returns a hash of a question that came over the given transport: 0 where it could not be read. The hash of the
// name is secret, so that nobody can choose another name and type with which it is the same.
func answeredQuestion(nameHash uint64, question uint32, proto uint8) uint32 {
	if question-typeIXFR<<16 < (typeAXFR+1-typeIXFR)<<16 && proto == decode.ProtoTCP {
		return transferred
	}
	return uint32(nameHash>>32) ^ question
}

// add remembers a query that was answered just now, after start.
func (r *recent) add(key uint64, question uint32, time int64) {
	head := &r.heads[key%recentHeads]
	x := &r.ring[r.n%maxRecent]
	x.key, x.time, x.question, x.older = key, time, question, *head
	*head = r.n
	r.n++
}

// has reports whether the ring still has the answer of a number.
func (r *recent) has(number uint32) bool { return r.n-number-1 < maxRecent }

// find returns the newest answered query with the key and the question, and its number, or nil. A question that could
// not be read, on either side, matches any.
func (r *recent) find(key uint64, question uint32) (x *answer, number uint32) {
	if r.ring == nil {
		return nil, 0
	}
	number = r.heads[key%recentHeads]
	for range maxRecentSteps {
		if !r.has(number) {
			break
		}
		x = &r.ring[number%maxRecent]
		if x.key == key && (x.question == question || question == 0 || x.question == 0) {
			return x, number
		}
		number = x.older
	}
	return nil, 0
}

// renew sets the time of the answer of a number. If the ring is about to lose the answer, it becomes the newest, because
// a transfer may take long.
func (r *recent) renew(number uint32, time int64) {
	x := &r.ring[number%maxRecent]
	x.time = time
	if r.n-number > maxRecent/2 {
		r.add(x.key, x.question, time)
	}
}
