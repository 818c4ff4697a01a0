package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxChecked bounds the records that are read to check a database: an even selection of a larger one's.
const maxChecked = 1 << 13

// check wants every pointer of the search tree to lead somewhere, and of the records, or 8,192 of them, that all can
// be read and one makes a name. It takes a step a node and at most maxSteps a record.
func (t *table) check(f *file) error {
	records, err := f.countRecords()
	if err != nil {
		return fmt.Errorf("%s is damaged: %w", t.path, err)
	}
	if records == 0 {
		return fmt.Errorf("%s has no records", t.path)
	}
	named, err := f.names(t.name, records)
	if err != nil {
		return fmt.Errorf("%s is damaged: %w", t.path, err)
	}
	if named {
		return nil
	}
	kind := clip(f.reader.Metadata.DatabaseType)
	for _, other := range []naming{place, network} {
		if named, err := f.names(other, records); named && err == nil {
			return fmt.Errorf("%s is a database of type %q, want %s database", t.path, kind, t.want)
		}
	}
	return fmt.Errorf("%s, of type %q, names nothing: its records are not in MaxMind's form, nor in another that is known: they have %s",
		t.path, kind, f.fields())
}

// names reports whether a record makes a name, by reading an even selection of all, which records counts.
func (f *file) names(name naming, records int) (named bool, err error) {
	every := (records + maxChecked - 1) / maxChecked
	n, last := 0, -1
	err = f.pointers(func(off int) error {
		if n++; n%every != 0 || off == last {
			return nil
		}
		last = off
		s, err := name(&record{b: f.data}, off)
		named = named || s != ""
		return err
	})
	return named, err
}

// countRecords counts the tree's pointers into the data section, and checks all of its pointers.
func (f *file) countRecords() (n int, err error) {
	err = f.pointers(func(int) error { n++; return nil })
	return n, err
}

// pointers calls visit with each offset in the data section that the search tree names, in the order of its nodes.
func (f *file) pointers(visit func(off int) error) error {
	nodes, size := uint64(f.reader.Metadata.NodeCount), int(f.reader.Metadata.RecordSize/4)
	for node := 0; node+size <= f.treeSize(); node += size {
		for _, p := range f.children(node, size) {
			if p == 0 {
				return errors.New("its search tree leads back to its root")
			}
			if p <= nodes { // another node, or nothing
				continue
			}
			if p < nodes+separator || p-nodes-separator >= uint64(len(f.data)) {
				return errors.New("its search tree points nowhere")
			}
			if err := visit(int(p - nodes - separator)); err != nil {
				return err
			}
		}
	}
	return nil
}

// children reads the two records of the node at off, of which size is the length.
func (f *file) children(off, size int) [2]uint64 {
	b := f.bytes[off : off+size]
	switch size {
	case 6:
		return [2]uint64{uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2]), uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])}
	case 7: // the middle byte has the high four bits of both
		n := uint64(binary.BigEndian.Uint32(b))
		return [2]uint64{n>>8 | n&0xf0<<20, uint64(binary.BigEndian.Uint32(b[3:])) & 0xfffffff}
	}
	return [2]uint64{uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:]))}
}

// fields lists some keys of the first record, for people.
func (f *file) fields() string {
	const most, longest = 8, 40
	var keys []string
	first := true
	_ = f.pointers(func(off int) error {
		if !first {
			return nil
		}
		first = false
		r := record{b: f.data}
		return r.each(off, func(key []byte, _ int) error {
			if len(keys) < most {
				keys = append(keys, strings.ToValidUTF8(string(key[:min(len(key), longest)]), "\ufffd"))
			}
			return nil
		})
	})
	if len(keys) == 0 {
		return "no fields"
	}
	slices.Sort(keys)
	return fmt.Sprintf("%q", keys)
}
