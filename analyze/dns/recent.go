package dns

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
)

// The size of a shard's memory of answered queries, which takes 2 MB. Up to 13,000 transactions a second, it holds all of the
// last five seconds. At higher rates, it holds the newest ones.
const (
	maxRecent = 1 << 16
	numChains = 1 << 15
	// maxRecentSteps is the maximum number of answered queries that a search looks at. Chains are much shorter, unless many
	// queries with the same port and ID were answered. In that case only the newest are found.
	maxRecentSteps = 16
)

// answer is a query that was answered. It is kept to recognise repeated responses to the query.
type answer struct {
	key      uint64
	time     int64  // of the response, or of the last message of a transfer
	question uint32 // see answeredQuestion
	older    uint32 // the number of the previous answer in the chain
}

// recent remembers the newest answered queries. They are in a ring, in the order in which they were answered. A chain links
// the answers whose keys have the same remainder by numChains. Each answer has a number, which shows whether the ring still
// holds it, so that no chain needs to be changed when the ring overwrites an answer.
type recent struct {
	ring   *[maxRecent]answer // nil before the first answer
	chains *[numChains]uint32 // the number of the newest answer of each chain
	n      uint32             // the next number
}

// start allocates the memory. It is called before the first answer, so a flood of unanswered queries takes no memory here. No
// page of the ring is written before it is needed.
func (r *recent) start() {
	r.ring, r.chains = new([maxRecent]answer), (*[numChains]uint32)(memory.Make[uint32](numChains))
	r.n = maxRecent + 1
}

// The types of questions that ask for a zone (RFC 1995, RFC 5936).
const (
	typeIXFR = 251
	typeAXFR = 252
)

// transferred stands for the hash of a question that asks for a zone transfer over TCP. Several messages may answer it (RFC
// 5936, section 2.2). A connection has only one transfer at a time with the same ID.
const transferred = 1

// answeredQuestion returns a hash of a question that came over the given transport, or 0 if the question could not be read.
// The hash of the name is secret, so an attacker cannot choose another name and type with the same hash.
func answeredQuestion(nameHash uint64, question uint32, proto uint8) uint32 {
	if question-typeIXFR<<16 < (typeAXFR+1-typeIXFR)<<16 && proto == decode.ProtoTCP {
		return transferred
	}
	return uint32(nameHash>>32) ^ question
}

// add remembers a query that was just answered. start must have been called before.
func (r *recent) add(key uint64, question uint32, time int64) {
	head := &r.chains[key%numChains]
	x := &r.ring[r.n%maxRecent]
	x.key, x.time, x.question, x.older = key, time, question, *head
	*head = r.n
	r.n++
}

// has reports whether the ring still holds the answer with the given number.
func (r *recent) has(number uint32) bool { return r.n-number-1 < maxRecent }

// find returns the newest answered query with the key and the question, and its number. It returns nil if there is none. A
// question that could not be read, on either side, matches any question.
func (r *recent) find(key uint64, question uint32) (x *answer, number uint32) {
	if r.ring == nil {
		return nil, 0
	}
	number = r.chains[key%numChains]
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

// renew sets the time of the answer with the given number. If the ring may soon overwrite the answer, renew adds it again as
// the newest, because a transfer may take long.
func (r *recent) renew(number uint32, time int64) {
	x := &r.ring[number%maxRecent]
	x.time = time
	if r.n-number > maxRecent/2 {
		r.add(x.key, x.question, time)
	}
}
