package dns

import "pktvisor/dnswire"

// numQuestions is how many questions are remembered.
const numQuestions = 1 << 11

// questions remembers the questions of queries, each at a place that ports and ID choose, until another query takes the
// place. Most responses come soon and repeat the question byte for byte: their question need not be read and hashed
// again.
//
// A place is looked at once, and bytes are compared in full. A sender who chooses ports and IDs can make his and others'
// responses cost as much as without questions, and no more.
type questions [numQuestions]struct {
	question dnswire.Question
	nameHash uint64
}

// place returns the place of a message's question: the same for query and response.
func (m *Message) place() uint { return (uint(m.ID) + uint(m.SrcPort^m.DstPort)*0x9e5) % numQuestions }

// take does what [dnswire.Message.ParseQuestion] does, and sets the hash of the name, if the question of the
// response's query is remembered. It returns false otherwise.
func (q *questions) take(m *Message, b []byte) bool {
	x := &q[m.place()]
	m.NameHash = x.nameHash
	return m.TakeQuestion(b, &x.question)
}

// save remembers the question of a query.
func (q *questions) save(m *Message) {
	if x := &q[m.place()]; m.SaveQuestion(&x.question) {
		x.nameHash = m.NameHash
	}
}
