package dns

// amount has the bytes of messages over UDP since the last flush. If a response is taken back after a flush, responses is
// less than 0 in two's complement.
type amount struct{ queries, responses uint64 }

// amounts has the bytes of queries to the host and of their responses, by type and by name, and those of responses to the
// host that it did not ask for. What has no question does not count. A table is nil if it is not wanted. The tally of types
// knows which types have an amount.
type amounts struct {
	names []amount // by the position of the name
	types *[maxValues]amount
}

func newAmounts(s sizes, w wanted) (t amounts) {
	if w.ampNames {
		t.names = make([]amount, s.names)
	}
	if w.ampTypes {
		t.types = new([maxValues]amount)
	}
	return t
}

// asked counts the bytes of a query at its type, and at its name with the given position.
func (t *amounts) asked(qtype uint16, name, bytes uint32) {
	if t.names != nil {
		t.names[name].queries += uint64(bytes)
	}
	if t.types != nil {
		t.types[qtype].queries += uint64(bytes)
	}
}

// answered counts the bytes of a response at its type, and at its name with the given position.
func (t *amounts) answered(qtype uint16, name uint32, bytes uint64) {
	if t.names != nil {
		t.names[name].responses += bytes
	}
	if t.types != nil {
		t.types[qtype].responses += bytes
	}
}
