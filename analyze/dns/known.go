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
type knownNames [numKnown]knownName

type knownName struct {
	dnswire.KnownName
	hash uint64
}

// at returns the place of the name in the message b: by its first 14 bytes, which a query and its response have alike where the name
// has 10 bytes or more.
func (k *knownNames) at(b []byte) *knownName {
	const start, a, c = dnswire.HeaderLen, 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	if len(b) < start+14 {
		return &k[0]
	}
	return &k[(binary.LittleEndian.Uint64(b[start:])*a+binary.LittleEndian.Uint64(b[start+6:])*c)>>(64-11)]
}

// readName reads the question of the message in b, whose header was read, sets NameHash, and makes the name known at its place.
func (r *Reader) readName(m *Message, b []byte, place *knownName) {
	m.NameHash = 0
	if m.ParseQuestion(b); m.HasQuestion {
		m.NameHash = m.hashName(r.seed)
		if m.SaveName(&place.KnownName) {
			place.hash = m.NameHash
		}
	}
}
