package metric

import "slices"

// Select returns a table of the same struct with only those of t's metrics for which keep returns true. The other
// metrics are not kept, merged or printed, and take no memory. Their fields still exist, and ignore everything that is
// added to them. An analyzer can call [Table.Has] to avoid the work. Select always keeps the counters that say how much
// was sampled.
//
// Buckets and snapshots of the two tables can be merged: see [Bucket.Merge].
func (t *Table) Select(keep func(d *Desc) bool) *Table {
	few := &Table{Section: t.Section, Title: t.Title, Help: t.Help, typ: t.typ, objects: t.objects, off: slices.Clone(t.off)}
	for i := range t.Descs {
		d := &t.Descs[i]
		wanted := d.Seen || d.Taken || keep(d)
		if wanted {
			few.Descs = append(few.Descs, *d)
		}
		if t.typ != nil {
			if wanted {
				few.fields = append(few.fields, t.fields[i])
			} else {
				few.off = append(few.off, t.fields[i])
			}
		}
	}
	few.index()
	return few
}

// Has reports whether the table has the metric with the given path.
func (t *Table) Has(path string) bool {
	_, ok := t.at[path]
	return ok
}

// Groups returns the sorted names of the groups that the tables' metrics are in, without the basic group.
func Groups(tables []*Table) []string {
	var groups []string
	for _, t := range tables {
		for i := range t.Descs {
			if g := t.Descs[i].Group; g != "" && !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	slices.Sort(groups)
	return groups
}
