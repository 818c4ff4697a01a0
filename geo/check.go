package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxChecked bounds the records that are read to check a database. Of a larger database, an even selection is read.
const maxChecked = 1 << 13

// check returns an error unless every pointer of the search tree is valid, all records can be read, and at least one
// gives a name. It reads at most 8,192 records. It takes a step for each node and at most maxSteps for each record.
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
	return fmt.Errorf("%s, of type %q, has no names: its records are neither in MaxMind's form nor in another known form; they have %s",
		t.path, kind, f.fields())
}

// names reports whether any record gives a name. It reads an even selection of all records; records is their number.
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

// countRecords checks all pointers of the search tree, and counts those into the data section.
func (f *file) countRecords() (n int, err error) {
	err = f.pointers(func(int) error { n++; return nil })
	return n, err
}

// pointers calls visit with each offset in the data section that the search tree refers to, in the order of its nodes.
func (f *file) pointers(visit func(off int) error) error {
	nodes, size := uint64(f.reader.Metadata.NodeCount), int(f.reader.Metadata.RecordSize/4)
	for node := 0; node+size <= f.treeSize(); node += size {
		for _, p := range f.children(node, size) {
			if p == 0 {
				return errors.New("its search tree has a pointer to its root")
			}
			if p <= nodes { // another node, or no record
				continue
			}
			if p < nodes+separator || p-nodes-separator >= uint64(len(f.data)) {
				return errors.New("its search tree has an invalid pointer")
			}
			if err := visit(int(p - nodes - separator)); err != nil {
				return err
			}
		}
	}
	return nil
}

// children returns the two records of the node at off, which has size bytes.
func (f *file) children(off, size int) [2]uint64 {
	b := f.bytes[off : off+size]
	switch size {
	case 6:
		return [2]uint64{uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2]), uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])}
	case 7: // the middle byte has the upper four bits of both
		n := uint64(binary.BigEndian.Uint32(b))
		return [2]uint64{n>>8 | n&0xf0<<20, uint64(binary.BigEndian.Uint32(b[3:])) & 0xfffffff}
	}
	return [2]uint64{uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:]))}
}

// fields lists some keys of the first record, for error messages.
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
