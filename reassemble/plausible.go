package reassemble

// minMessage is the length of a DNS header.
const minMessage = 12

// plausible reports whether a segment of wire bytes, of which b were captured, could start with
// a DNS message and its length: the length fits the counts of the header, the header has an opcode that is in
// use and at most one question, a query has no rcode, and the question starts with a label. A
// message much longer than its first segment must fill it: senders do not send a few bytes of
// many. A segment that is only the length, as some clients send it, must be followed by no more
// than 4 KiB.
func plausible(b []byte, wire uint32) bool {
	if len(b) < 2 {
		return false
	}
	n := int(be16(b))
	if wire == 2 {
		return n >= minMessage+5 && n <= 4096
	}
	if n < minMessage || len(b) < 2+minMessage {
		return false
	}
	const (
		question = 5  // the least that a question takes: root, type, class
		record   = 11 // a record: root, type, class, TTL, length
	)
	if n > 512 && wire < 256 {
		return false
	}
	h := b[2:]
	opcode := h[2] >> 3 & 15
	if h[2]&0x80 == 0 && h[3]&15 != 0 {
		return false
	}
	qd := int(be16(h[4:]))
	rrs := int(be16(h[6:])) + int(be16(h[8:])) + int(be16(h[10:]))
	if opcode > 6 || opcode == 3 || qd > 1 || h[3]&0x40 != 0 || minMessage+qd*question+rrs*record > n {
		return false
	}
	if qd == 1 && len(h) > minMessage {
		return h[minMessage] <= 63
	}
	// Without a question: another message of a zone transfer, a stateful operation, an error.
	return qd == 1 || rrs > 0 || opcode == 6 || n == minMessage
}
