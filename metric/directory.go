package metric

import "errors"

// directory says where the values of the metrics are in a body. It may be used again for the next body.
type directory struct {
	tables []*Table
	values [][]encoded // by table and metric; nil bytes if the body does not have it
	found  []bool      // whether the body has the section of a table
}

func newDirectory(tables []*Table) *directory {
	d := &directory{tables: tables, values: make([][]encoded, len(tables)), found: make([]bool, len(tables))}
	for i, t := range tables {
		d.values[i] = make([]encoded, len(t.Descs))
	}
	return d
}

func (t *Table) metricError(path string, err error) error {
	return &SnapshotError{Metric: t.Section + "." + path, Err: err}
}

// read finds the values in a body, and checks that it consists of whole sections and metrics, none of them twice.
func (d *directory) read(body []byte) error {
	clear(d.found)
	for _, values := range d.values {
		clear(values)
	}
	c := cursor{b: body}
	var sections uint64
	ok := c.uvarint(&sections)
	next := 0
	for ; ok && sections > 0; sections-- {
		var name []byte
		var metrics uint64
		if ok = c.bytes(&name) && c.uvarint(&metrics); !ok {
			break
		}
		i := d.table(name, next)
		if i >= 0 {
			if d.found[i] {
				return snapshotError("a section appears twice")
			}
			d.found[i] = true
			next = i + 1
		}
		var err error
		if ok, err = d.readMetrics(&c, i, metrics); err != nil {
			return err
		}
	}
	if !ok {
		return snapshotError("the body is cut short")
	}
	if len(c.b) > 0 {
		return snapshotError("bytes after the body's end")
	}
	return nil
}

// table returns the number of the table of a section, or -1. next is the most likely one.
func (d *directory) table(section []byte, next int) int {
	if next < len(d.tables) && d.tables[next].Section == string(section) {
		return next
	}
	for i, t := range d.tables {
		if t.Section == string(section) {
			return i
		}
	}
	return -1
}

// readMetrics reads the n metrics of a section, or skips them if table is -1. It returns false if they are cut short.
func (d *directory) readMetrics(c *cursor, table int, n uint64) (whole bool, err error) {
	k := 0 // the metric that was found last
	for ; n > 0; n-- {
		var path, value []byte
		var kind byte
		if !c.bytes(&path) || !c.byte(&kind) || !c.bytes(&value) {
			return false, nil
		}
		if table < 0 {
			continue
		}
		t := d.tables[table]
		i, known := t.findFrom(path, k)
		if !known {
			continue // from another version
		}
		k = i
		at := &d.values[table][i].value
		switch of := t.Descs[i].Kind; {
		case kind == of.wire:
		case kind == of.beside && of.beside != 0:
			at = &d.values[table][i].beside
		case kind == of.scaled && of.scaled != 0:
			at = &d.values[table][i].scaled
		case kind == of.each && of.each != 0:
			at = &d.values[table][i].each
		default:
			continue // from another version, which measures it in another way
		}
		if *at != nil {
			return true, t.metricError(string(path), errors.New("appears twice"))
		}
		*at = value
	}
	return true, nil
}

// findFrom is like Find. It first looks at the metrics from position k on, as they are in order in a snapshot.
func (t *Table) findFrom(path []byte, k int) (int, bool) {
	for i := k; i < min(k+4, len(t.Descs)); i++ {
		if t.Descs[i].Path == string(path) {
			return i, true
		}
	}
	i, ok := t.at[string(path)]
	return i, ok
}
