package dns

import (
	"encoding/binary"

	"pktvisor/dnswire"
)

// numKnown is the number of places for known names.
const numKnown = 1 << 11

// knownNames are names that were seen a moment ago, with their hashes. Most names of messages are among them: popular names,
// and nearly all names of responses. A known name need not be read, lower-cased and hashed again.
//
// A name has one place, which another name may take. It is compared in full. A sender can at worst choose names that take the
// places of others. Each message then costs as much as without known names, and one look-up.
type knownNames [numKnown]knownName

type knownName struct {
	dnswire.KnownName
	hash uint64
}

// at returns the place of the name in the message b. The place depends on the first 14 bytes of the question. A query and its
// response share these bytes if the name has 10 bytes or more.
func (k *knownNames) at(b []byte) *knownName {
	const start, a, c = dnswire.HeaderLen, 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	if len(b) < start+14 {
		return &k[0]
	}
	return &k[(binary.LittleEndian.Uint64(b[start:])*a+binary.LittleEndian.Uint64(b[start+6:])*c)>>(64-11)]
}

// readName reads the question of the message in b, sets NameHash, and makes the name known at its place. The header must have
// been read before.
func (r *Reader) readName(m *Message, b []byte, place *knownName) {
	m.NameHash = 0
	if m.ParseQuestion(b); m.HasQuestion {
		m.NameHash = m.hashName(r.seed)
		if m.SaveName(&place.KnownName) {
			place.hash = m.NameHash
		}
	}
}
