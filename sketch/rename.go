package sketch

// Renaming gives the keys of a sketch other names.
type Renaming struct {
	// Name appends the new name of a key to dst.
	Name func(dst, key []byte) []byte
	// Joins says that several keys may get the same name. The weight of keys that a sketch has lost may then be that of any
	// one name, so the bounds of a sketch that is not exact become wide.
	Joins bool
}

// Renamed returns a copy of f whose keys have other names. Keys of the same name become one.
func (f *Frequent) Renamed(r Renaming) *Frequent {
	to := &Frequent{lgSlots: f.lgSlots, total: f.total, offset: f.offset}
	if r.Joins && f.offset > 0 {
		to.offset = f.lost()
	}
	to.buildIndex(len(f.entries))
	var name []byte
	for i, e := range f.entries {
		p := to.rename(r, &name, f.key(i))
		cover := uint64(0)
		if !r.Joins {
			cover = f.cover(i)
		}
		to.addCovered(p.key, p.hash, e.weight, cover)
	}
	return to
}

// rename returns the new name of a key, which is valid until the next call with the same memory.
func (f *Frequent) rename(r Renaming, memory *[]byte, key []byte) Prepared {
	*memory = r.Name((*memory)[:0], key)
	return Prepare(*memory)
}

// lost returns the weight that is in no lower bound. No set of keys has more than that above its lower bounds.
func (f *Frequent) lost() uint64 {
	rest := f.total
	if rest == maxWeight { // saturated
		return maxWeight
	}
	for _, e := range f.entries {
		rest -= min(rest, e.weight)
	}
	return rest
}

// Renamed returns a copy of a whose keys have other names: see [Frequent.Renamed]. If keys were lost and several may get the same
// name, the queries of a name have no upper bound.
func (a *Amplification) Renamed(r Renaming) *Amplification {
	f := &a.f
	to := &Amplification{Frequent{lgSlots: f.lgSlots, total: f.total, offset: f.offset, asked: &askedRows{lost: f.asked.lost}}}
	if r.Joins && f.offset > 0 {
		to.f.offset = f.lost()
	}
	if r.Joins && f.asked.lost > 0 {
		to.f.asked.lost = maxWeight
	}
	to.f.buildIndex(len(f.entries))
	var name []byte
	for i, e := range f.entries {
		p := to.f.rename(r, &name, f.key(i))
		row, cover, known := &f.asked.rows[i], uint64(0), uint64(0)
		if !r.Joins {
			cover, known = f.cover(i), f.asked.lost-row.missing
		}
		to.add(p.key, p.hash, e.weight, cover, &row.Asked, known)
	}
	return to
}

// Renamed returns a copy of s whose keys have other names. An item of several keys that get the same name counts once, as far as
// its pairs have the same hash.
func (s *Spread) Renamed(r Renaming) *Spread {
	to := &Spread{lgSlots: s.lgSlots, added: s.added, above: s.above, most: s.most}
	var name []byte
	for first := 0; first < len(s.pairs); {
		at, end := s.pairs[first].key, first+1
		for end < len(s.pairs) && s.pairs[end].key == at {
			end++
		}
		name = r.Name(name[:0], s.key(int(at)))
		p := Prepare(name)
		to.mergeKey(p.key, p.hash, s.keys[at].limit, s.pairs[first:end])
		first = end
	}
	return to
}
