package reassemble

// minMessage is the length of a DNS header.
const minMessage = 12

// plausible reports whether a segment could start with the length of a DNS message and the message. wire is the
// segment's length, and b the captured part. The length must fit the counts of the header. The header must have an
// opcode that is in use and at most one question, a query must have no rcode, and the question must start with a
// label. If the message is much longer than its first segment, it must fill the segment: senders do not send a few
// bytes of a long message. If the segment has only the length, as some clients send it, at most 4 KiB must follow.
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
		question = 5  // the shortest question: root, type, class
		record   = 11 // the shortest record: root, type, class, TTL, length
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
	// A message without a question: a further message of a zone transfer, a stateful operation, or an error.
	return qd == 1 || rrs > 0 || opcode == 6 || n == minMessage
}
