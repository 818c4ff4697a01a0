package dns

import (
	"pktvisor/decode"
)

// amount has the bytes of messages over UDP since the last flush. If a response is taken back after a flush, responses is
// less than 0 in two's complement.
type amount struct{ queries, responses uint64 }

// amounts has the bytes of queries to the host and of their responses, by type and by name, and those of responses to the
// host that it did not ask for. What has no question does not count. A table is nil if it is not wanted.
type amounts struct {
	names  []amount // by the position of the name
	types  *[maxValues]amount
	known  *[maxValues / 64]uint64 // a bit for each type in values
	values []uint16                // the types that were counted, in the order in which they first came
}

func newAmounts(s sizes, w wanted) (t amounts) {
	if w.ampNames {
		t.names = make([]amount, s.names)
	}
	if w.ampTypes {
		t.types, t.known = new([maxValues]amount), new([maxValues / 64]uint64)
	}
	return t
}

// asked counts a query at its type, and at its name with the given position.
func (t *amounts) asked(m *Message, name uint32) {
	if m.Proto != decode.ProtoUDP {
		return
	}
	if t.names != nil {
		t.names[name].queries += uint64(m.Size)
	}
	if t.types != nil {
		t.of(m.QType).queries += uint64(m.Size)
	}
}

// answered counts a response at the type, and at the name with the given position.
func (t *amounts) answered(m *Message, qtype uint16, name uint32) {
	if m.Proto == decode.ProtoUDP {
		t.add(qtype, name, uint64(m.Size))
	}
}

// add adds the bytes of a response.
func (t *amounts) add(qtype uint16, name uint32, bytes uint64) {
	if t.names != nil {
		t.names[name].responses += bytes
	}
	if t.types != nil {
		t.of(qtype).responses += bytes
	}
}

// of returns the amount of a type.
func (t *amounts) of(qtype uint16) *amount {
	if word, bit := &t.known[qtype/64], uint64(1)<<(qtype%64); *word&bit == 0 {
		*word |= bit
		t.values = append(t.values, qtype)
	}
	return &t.types[qtype]
}
