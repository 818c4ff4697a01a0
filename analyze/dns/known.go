package dns

import (
	"encoding/binary"

	"pktvisor/dnswire"
)

// numKnown is how many names are known.
const numKnown = 1 << 11

// knownNames are names that were seen a moment ago, with their hashes. Most names of messages are among them, as popular names
// are, and nearly all of responses, and need not be read, lower-cased and hashed again.
//
// A name has one place, which other names may take, and is compared in full. So the worst that a sender can do is to choose
// names that take the places of others: each message then costs what it would without known names, and one look.
type knownNames [numKnown]struct {
	name dnswire.KnownName
	hash uint64
}

// readQuestion reads the question of the message in b, whose header was read, and sets NameHash.
func (r *Reader) readQuestion(m *Message, b []byte) {
	m.NameHash = 0
	if len(b) < knownLen {
		if m.ParseQuestion(b); m.HasQuestion {
			m.NameHash = m.hashName(r.seed)
		}
		return
	}
	x := &r.known[placeOf((*[knownLen]byte)(b))]
	if m.TakeName(b, &x.name) {
		m.NameHash = x.hash
		return
	}
	if m.ParseQuestion(b); m.HasQuestion {
		m.NameHash = m.hashName(r.seed)
		if m.SaveName(&x.name) {
			x.hash = m.NameHash
		}
	}
}

// knownLen is the length of a message's header, and of the bytes by which a name finds its place.
const knownLen = dnswire.HeaderLen + 14

// placeOf returns the place of the name in a message: by its first 14 bytes, which a query and its response have alike where the
// name has 10 bytes or more. The others are found at the place of the same message only.
func placeOf(b *[knownLen]byte) uint64 {
	const a, c = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	return (binary.LittleEndian.Uint64(b[dnswire.HeaderLen:])*a + binary.LittleEndian.Uint64(b[dnswire.HeaderLen+6:])*c) >> (64 - 11)
}
