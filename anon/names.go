package anon

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strconv"

	"pktvisor/psl"
)

// appendName appends what is left of a name. A dot is before it if labels were cut off.
func (a *Anonymizer) appendName(dst, key []byte) []byte {
	name := splitName(key)
	if a.pan != nil {
		a.mu.Lock()
		a.hideAddrs(&name)
		a.mu.Unlock()
	}
	keep := len(name.labels)
	switch {
	case a.cfg.Names.domain:
		keep = name.registered(a.cfg.Suffixes.List())
	case a.cfg.Names.labels > 0:
		keep = a.cfg.Names.labels
	}
	if keep < len(name.labels) {
		name.labels, name.cut = name.labels[len(name.labels)-keep:], true
	}
	return name.appendTo(dst)
}

// name is a name as text (RFC 1035, section 5.1), split into its labels.
type name struct {
	cut    bool // a dot is before it
	labels [][]byte
}

func splitName(text []byte) name {
	var n name
	if len(text) > 1 && text[0] == '.' {
		n.cut, text = true, text[1:]
	}
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++ // a digit of \DDD is not a dot either
		case '.':
			if len(text) > 1 { // the root is a dot
				n.labels = append(n.labels, text[start:i:i])
				start = i + 1
			}
		}
	}
	n.labels = append(n.labels, text[start:])
	return n
}

func (n *name) appendTo(dst []byte) []byte {
	for i, label := range n.labels {
		if i > 0 || n.cut {
			dst = append(dst, '.')
		}
		dst = append(dst, label...)
	}
	return dst
}

// registered returns the number of labels of the registered domain. A public suffix stays as it is.
func (n *name) registered(list *psl.List) int {
	wire, starts := make([]byte, 0, 256), make([]int, 0, 8)
	for _, label := range n.labels {
		starts = append(starts, len(wire))
		wire = append(wire, 0)
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c == '\\' && i+1 < len(label) {
				i++
				c = label[i]
				if i+2 < len(label) && isDigit(c) {
					v := int(c-'0')*100 + int(label[i+1]-'0')*10 + int(label[i+2]-'0')
					c, i = byte(v), i+2
				}
			}
			wire = append(wire, c)
		}
		wire[starts[len(starts)-1]] = byte(len(wire) - starts[len(starts)-1] - 1)
	}
	at := list.Registered(append(wire, 0))
	if at < 0 {
		return len(n.labels)
	}
	for i, start := range starts {
		if start == at {
			return len(n.labels) - i
		}
	}
	return 1 // no name of DNS is as long
}

// hideAddrs replaces addresses in a name by pseudonyms. The caller holds mu.
func (a *Anonymizer) hideAddrs(n *name) {
	last := len(n.labels) - 1
	if last > 0 && string(n.labels[last]) == "arpa" {
		switch string(n.labels[last-1]) {
		case "in-addr":
			a.hideReverse(n.labels[:last-1], 8)
			return
		case "ip6":
			a.hideReverse(n.labels[:last-1], 4)
			return
		}
	}
	for i := 0; i < len(n.labels); i++ {
		switch rest := n.labels[i:]; {
		case isListed(rest, 4):
			a.hideParts(rest[:partsIn(4)], 4)
			i += partsIn(4) - 1
		case isListed(rest, 8):
			a.hideParts(rest[:partsIn(8)], 8)
			i += partsIn(8) - 1
		default:
			n.labels[i] = a.hideDashed(n.labels[i])
		}
	}
}

// isListed reports whether labels begin with a whole address in parts, as in a query to a block list.
func isListed(labels [][]byte, bits int) bool {
	n := partsIn(bits)
	return len(labels) >= n && countParts(labels[:n], bits) == n
}

// hideReverse replaces an address or the beginning of one, which is reversed at the end of labels. A part has the given number of
// bits. Of what is before the address, labels with digits may be a part of it, as in a range (RFC 2317), and become something else.
func (a *Anonymizer) hideReverse(labels [][]byte, bits int) {
	n := countParts(labels, bits)
	rest := len(labels) - n
	if n > 0 {
		a.hideParts(labels[rest:], bits)
	}
	for i, label := range labels[:rest] {
		if bytes.ContainsAny(label, "0123456789") || bits == 4 && len(label) == 1 {
			labels[i] = a.hideLabel(label)
		}
	}
}

// partsIn returns the number of parts of an address of IPv4, whose parts have 8 bits, or of IPv6, whose parts have 4.
func partsIn(bits int) int {
	if bits == 4 {
		return 32
	}
	return 4
}

// countParts returns how many of the last labels can be parts of an address, at most as many as one has.
func countParts(labels [][]byte, bits int) int {
	n := 0
	for n < min(len(labels), partsIn(bits)) {
		if _, ok := partOf(labels[len(labels)-1-n], bits); !ok {
			break
		}
		n++
	}
	return n
}

// partOf reads a part of an address: a decimal number of eight bits, or a hexadecimal digit.
func partOf(label []byte, bits int) (byte, bool) {
	if len(label) == 0 || len(label) > 3 || bits == 4 && len(label) > 1 || bits == 8 && len(label) > 1 && label[0] == '0' {
		return 0, false
	}
	base := 10
	if bits == 4 {
		base = 16
	}
	v, err := strconv.ParseUint(string(label), base, bits)
	return byte(v), err == nil && label[0] != '+'
}

// hideParts replaces the parts of the beginning of an address, the last part first.
func (a *Anonymizer) hideParts(labels [][]byte, bits int) {
	var b [16]byte
	for i := range labels {
		v, _ := partOf(labels[len(labels)-1-i], bits)
		if bits == 4 {
			b[i/2] |= v << (4 * (1 - i%2))
		} else {
			b[i] = v
		}
	}
	a.pan.bits(b[:], bits*len(labels))
	for i := range labels {
		at, label := len(labels)-1-i, []byte(nil)
		if bits == 4 {
			label = strconv.AppendUint(label, uint64(b[i/2]>>(4*(1-i%2))&15), 16)
		} else {
			label = strconv.AppendUint(label, uint64(b[i]), 10)
		}
		labels[at] = label
	}
}

// hideDashed replaces an address of IPv4 in a label like ip-192-0-2-1, or 192-0-2-1. If there may be several, or letters are
// in front of its first number and another four parts are numbers alone, the latter is the address. It hides the whole label
// if two addresses are equally likely.
func (a *Anonymizer) hideDashed(label []byte) []byte {
	parts := bytes.Split(label, []byte("-"))
	if len(parts) < 4 {
		return label
	}
	type place struct {
		first int
		addr  [4]byte
	}
	var alone, lettered []place
	for first := 0; first+4 <= len(parts); first++ {
		var b [4]byte
		found := true
		for i := range b {
			part := parts[first+i]
			if i == 0 { // letters may be before the first number, and behind the last
				part = bytes.TrimLeftFunc(part, notDigit)
			}
			if i == 3 {
				part = bytes.TrimRightFunc(part, notDigit)
			}
			v, err := strconv.ParseUint(string(part), 10, 8)
			b[i], found = byte(v), found && err == nil
		}
		switch {
		case !found:
		case isDigit(parts[first][0]):
			alone = append(alone, place{first, b})
		default:
			lettered = append(lettered, place{first, b})
		}
	}
	if len(alone) == 0 {
		alone = lettered
	}
	switch len(alone) {
	case 0:
		return label
	case 1:
		first, b := alone[0].first, alone[0].addr
		head := parts[first][:len(parts[first])-len(bytes.TrimLeftFunc(parts[first], notDigit))]
		tail := parts[first+3][len(bytes.TrimRightFunc(parts[first+3], notDigit)):]
		p := a.pan.addr(netip.AddrFrom4(b)).As4()
		for i, v := range p {
			parts[first+i] = strconv.AppendUint(nil, uint64(v), 10)
		}
		parts[first] = append(bytes.Clone(head), parts[first]...)
		parts[first+3] = append(parts[first+3], tail...)
		return bytes.Join(parts, []byte("-"))
	}
	return a.hideLabel(label)
}

// hideLabel returns a label that says nothing of another one, but is the same for the same one.
func (a *Anonymizer) hideLabel(label []byte) []byte {
	sum := a.cfg.Key.sum("label " + string(label))
	return hex.AppendEncode([]byte{'x'}, sum[:6])
}

func notDigit(r rune) bool { return r < '0' || r > '9' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
