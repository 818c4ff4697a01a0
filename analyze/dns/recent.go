package dns

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
)

// The bounds of a shard's memory of answered queries, 2 MB. It holds all of the last five seconds at up to 13,000
// transactions a second, and the newest ones at higher rates.
const (
	maxRecent   = 1 << 16
	recentHeads = 1 << 15
	// maxRecentSteps is how many answered queries a search looks at. Chains are much shorter, unless many queries of one
	// port and ID were answered. Then only the newest are found.
	maxRecentSteps = 16
)

// answer is what is kept of a query that was answered, to recognise more responses to it.
type answer struct {
	key      uint64
	time     int64  // of the response, or of the last message of a transfer
	question uint32 // see answeredQuestion
	older    uint32 // the number of the one before in the chain
}

// recent remembers the newest answered queries, in a ring in the order in which they were answered. Chains link those whose
// keys have the same hash. Each answer has a number, which shows whether the ring still holds it, so that nothing needs to be
// unlinked.
type recent struct {
	ring  *[maxRecent]answer   // nil before the first answer
	heads *[recentHeads]uint32 // the number of the newest answer of each chain
	n     uint32               // the next number
}

// start allocates the memory before the first answer. A flood of unanswered queries needs none. No page of the ring is
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

// transferred stands for the hash of a question that several messages may answer: that of a zone transfer over TCP (RFC 5936,
// section 2.2). A connection has one transfer at a time with the same ID.
const transferred = 1

// answeredQuestion returns a hash of a question that came over the given transport, or 0 if the question could not be read.
// The hash of the name is secret, so an attacker cannot choose another name and type with the same hash.
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

// has reports whether the ring still holds the answer with the given number.
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

// renew sets the time of the answer with the given number. An answer that the ring is about to lose becomes the newest,
// because a transfer may take long.
func (r *recent) renew(number uint32, time int64) {
	x := &r.ring[number%maxRecent]
	x.time = time
	if r.n-number > maxRecent/2 {
		r.add(x.key, x.question, time)
	}
}
