package rollup

import (
	"encoding/binary"
	"errors"

	"pktvisor/metric"
)

// The content of a block of members. A varint is unsigned LEB128, a zigzag is a varint of (n << 1) ^ (n >> 63), and a text is
// a varint length and that many bytes.
//
//	varint   number of texts
//	texts    the hosts, tags and agents of the members, at most 2 KiB each
//	varint   number of sources
//	         for each source: zigzag start, less the start of the source before it; varint revision
//	varint   number of members
//	columns  for all members one after the other: host, boots, seqs, revisions, starts, lengths, losses, tags, agents,
//	         arrivals, minutes
//
// A host, tags or agent is a varint: its position among the texts. A boot has 8 bytes, little endian. A start is a zigzag, less
// the start of the member before it. An arrival is a zigzag, less the member's start. The others are varints. Members are in
// the order of their keys, and no two have the same key.

const (
	// maxText bounds a text, in bytes: 16 tags of 100 bytes with commas.
	maxText = 2048
	// maxMembers and maxSources bound the lists. A day has 24 sources.
	maxMembers = 1 << 18
	maxSources = 1 << 10
	// minMember is the fewest bytes that a member takes.
	minMember = 18
	// maxTime bounds the Unix times, so that sums of them cannot overflow. It is that of snapshots.
	maxTime = 1 << 40
)

func (r *Rollup) appendMembers(dst []byte) []byte {
	texts := make(map[string]uint64)
	var list []string
	index := func(s string) uint64 {
		i, ok := texts[s]
		if !ok {
			i = uint64(len(list))
			texts[s] = i
			list = append(list, s)
		}
		return i
	}
	var columns []byte
	column := func(f func(m *Member) uint64) {
		for i := range r.Members {
			columns = binary.AppendUvarint(columns, f(&r.Members[i]))
		}
	}
	column(func(m *Member) uint64 { return index(m.Host) })
	for i := range r.Members {
		columns = binary.LittleEndian.AppendUint64(columns, r.Members[i].Boot)
	}
	column(func(m *Member) uint64 { return m.Seq })
	column(func(m *Member) uint64 { return m.Revision })
	last := int64(0)
	for i := range r.Members {
		columns = binary.AppendVarint(columns, r.Members[i].Start-last)
		last = r.Members[i].Start
	}
	column(func(m *Member) uint64 { return uint64(m.End - m.Start) })
	column(func(m *Member) uint64 { return m.Lost })
	column(func(m *Member) uint64 { return index(string(m.Tags)) })
	column(func(m *Member) uint64 { return index(m.Agent) })
	for i := range r.Members {
		columns = binary.AppendVarint(columns, r.Members[i].Arrived-r.Members[i].Start)
	}
	column(func(m *Member) uint64 { return m.Minutes })

	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Sources)))
	last = 0
	for _, s := range r.Sources {
		dst = binary.AppendVarint(dst, s.Start-last)
		dst = binary.AppendUvarint(dst, s.Revision)
		last = s.Start
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Members)))
	return append(dst, columns...)
}

// reader reads from the front of b. After the first error, it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// time reads a Unix time, less the time base.
func (r *reader) time(base int64) int64 {
	v := r.varint()
	if v < -2*maxTime || v > 2*maxTime || base+v < -maxTime || base+v > maxTime {
		r.failed = true
		return 0
	}
	return base + v
}

// take returns the next n bytes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// count reads the length of a list whose entries have at least size bytes.
func (r *reader) count(most, size int) int {
	n := r.uvarint()
	if n > uint64(most) || n > uint64(len(r.b)/size) {
		r.failed = true
		return 0
	}
	return int(n)
}

var errMembers = errors.New("the list is cut short or out of range")

// readMembers reads what appendMembers appended.
func (r *Rollup) readMembers(content []byte) error {
	in := &reader{b: content}
	texts := make([]string, in.count(3*maxMembers, 1))
	for i := range texts {
		n := in.uvarint()
		if n > maxText {
			return errMembers
		}
		texts[i] = string(in.take(n))
	}
	last := int64(0)
	r.Sources = make([]Source, in.count(maxSources, 2))
	for i := range r.Sources {
		s := Source{Start: in.time(last), Revision: in.uvarint()}
		if i > 0 && s.Start <= last {
			return errMembers
		}
		r.Sources[i], last = s, s.Start
	}
	if len(r.Sources) == 0 {
		r.Sources = nil
	}
	if err := r.readColumns(in, texts); err != nil {
		return err
	}
	if in.failed || len(in.b) > 0 {
		return errMembers
	}
	for i := 1; i < len(r.Members); i++ {
		if r.Members[i-1].Key().Compare(r.Members[i].Key()) >= 0 {
			return errors.New("the members are not in order")
		}
	}
	return nil
}

func (r *Rollup) readColumns(in *reader, texts []string) error {
	members := make([]Member, in.count(maxMembers, minMember))
	text := func(i uint64) string {
		if i >= uint64(len(texts)) {
			in.failed = true
			return ""
		}
		return texts[i]
	}
	column := func(set func(m *Member, v uint64)) {
		for i := range members {
			set(&members[i], in.uvarint())
		}
	}
	column(func(m *Member, v uint64) { m.Host = text(v) })
	for i := range members {
		if b := in.take(8); b != nil {
			members[i].Boot = binary.LittleEndian.Uint64(b)
		}
	}
	column(func(m *Member, v uint64) { m.Seq = v })
	column(func(m *Member, v uint64) { m.Revision = v })
	last := int64(0)
	for i := range members {
		last = in.time(last)
		members[i].Start = last
	}
	column(func(m *Member, v uint64) {
		in.failed = in.failed || v > maxTime
		m.End = m.Start + int64(v&(2*maxTime-1))
	})
	column(func(m *Member, v uint64) { m.Lost = v })
	valid := make(map[metric.Tags]bool)
	column(func(m *Member, v uint64) {
		m.Tags = metric.Tags(text(v))
		if !valid[m.Tags] {
			canonical, err := metric.ParseTags(m.Tags.List())
			in.failed = in.failed || err != nil || canonical != m.Tags
			valid[m.Tags] = true
		}
	})
	column(func(m *Member, v uint64) { m.Agent = text(v) })
	for i := range members {
		members[i].Arrived = in.time(members[i].Start)
	}
	column(func(m *Member, v uint64) { m.Minutes = v })
	if in.failed {
		return errMembers
	}
	r.Members = members
	return nil
}
