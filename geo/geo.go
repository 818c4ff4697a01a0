// Package geo says where an IP address is and whose it is, from databases in the MaxMind DB format: MaxMind's own for
// places (City, Country, Enterprise) and for networks (ASN, ISP), and those of other makers, in MaxMind's form or flat.
//
// [Open] refuses a file that is not such a database, is damaged, or names nothing. A [DB] is safe for concurrent use.
// Its answers are names as the metrics show them, cached by the record that addresses share: a repeated answer
// allocates nothing. It is meant for a look-up per distinct address and flush, not per packet. A look-up takes a
// bounded number of steps, whatever the database holds.
//
// What is looked up in is a copy of the file, without a name, on a disk: nothing that is done to the file can change
// an answer or end the process ([decision 10]). [DB.Follow] loads new versions as they come, however they replace the
// old one; [DB.Reload] does at once.
//
// [decision 10]: docs/decisions/0010-geoip-from-a-private-copy.md
package geo

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Unknown is the name of what the database does not have.
const Unknown = "Unknown"

// DB is a pair of databases, either of which may be missing. A nil DB has neither.
type DB struct {
	city, asn *table
}

// Open opens the database of places at cityPath and that of networks at asnPath; an empty path is
// a missing database. The error is one line that names the file and what is wrong with it.
func Open(cityPath, asnPath string) (*DB, error) {
	city, err := openTable(cityPath, "a City or Country", place)
	if err != nil {
		return nil, err
	}
	asn, err := openTable(asnPath, "an ASN or ISP", network)
	if err != nil {
		return nil, errors.Join(err, city.close())
	}
	return &DB{city, asn}, nil
}

// HasCity says whether there is a database of places.
func (d *DB) HasCity() bool { return d != nil && d.city != nil }

// HasASN says whether there is a database of networks.
func (d *DB) HasASN() bool { return d != nil && d.asn != nil }

// City returns the place of an address: continent code, country, first subdivision's code and city,
// such as "NA/United States/CA/Mountain View". Parts that the database does not have are left off;
// it is [Unknown] where there is none, and "" without a database. An IPv4 address mapped into IPv6
// is looked up as IPv4.
func (d *DB) City(addr netip.Addr) string {
	if !d.HasCity() {
		return ""
	}
	return d.city.lookup(addr)
}

// ASN returns the number and the organisation of the autonomous system that announces an address,
// such as "15169/GOOGLE"; [Unknown] and "" are as for City.
func (d *DB) ASN(addr netip.Addr) string {
	if !d.HasASN() {
		return ""
	}
	return d.asn.lookup(addr)
}

// Reload opens the files again, at the same paths, and uses them from then on. The old ones are
// closed when no look-up uses them any more. Where one cannot be opened, it stays as it was, and
// the error says so.
func (d *DB) Reload() error {
	if d == nil {
		return nil
	}
	return errors.Join(d.city.reload(), d.asn.reload())
}

// Close closes the databases. Everything is Unknown after that.
func (d *DB) Close() error {
	if d == nil {
		return nil
	}
	return errors.Join(d.city.close(), d.asn.close())
}

const (
	// cacheSize is the number of names kept. At 24 bytes an entry and names of some 30 bytes, a
	// full cache is under a megabyte.
	cacheBits = 14
	cacheSize = 1 << cacheBits
)

// table is one database with the names that were made from its records.
type table struct {
	path, want string // the type wanted, as people call it, with its article
	name       naming

	mu    sync.Mutex // held while file is in use
	file  *file
	steps int // values looked at to make names, so far
	cache [cacheSize]entry
}

// naming makes a name from the record at an offset of a data section, and "" where it says nothing of use.
type naming func(r *record, off int) (string, error)

// entry is the name of the record at offset; it is free while name is "". Records that fall on the
// same entry displace each other.
type entry struct {
	offset uintptr
	name   string
}

func openTable(path, want string, name naming) (*table, error) {
	if path == "" {
		return nil, nil
	}
	t := &table{path: path, want: want, name: name}
	var err error
	if t.file, err = t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// open copies and checks the file.
func (t *table) open() (*file, error) {
	f, err := openFile(t.path)
	if err != nil {
		return nil, err
	}
	if err := t.check(f); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.onDisk { // the check has used all of it
		unload(f.bytes)
	}
	return f, nil
}

// lookup takes at most 128 steps through the tree, and maxSteps to make a name, whatever the database says.
func (t *table) lookup(addr netip.Addr) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil || !addr.IsValid() {
		return Unknown
	}
	// An IPv6 address in a database of IPv4 only is an error, and unknown too.
	res := t.file.reader.Lookup(addr.Unmap())
	if res.Err() != nil || !res.Found() {
		return Unknown
	}
	off := res.Offset()
	// Fibonacci hashing: records lie at uneven distances, many of them multiples of small numbers.
	e := &t.cache[uint64(off)*0x9e3779b97f4a7c15>>(64-cacheBits)]
	if e.offset == off && e.name != "" {
		return e.name
	}
	r := record{b: t.file.data}
	name, err := t.name(&r, int(off))
	if err != nil || name == "" {
		name = Unknown
	}
	t.steps += r.steps
	*e = entry{off, clip(name)}
	return e.name
}

// reload opens the file again, and uses it from then on. Where it is refused, the old one stays in use.
func (t *table) reload() error {
	if t == nil {
		return nil
	}
	f, err := t.open()
	if err != nil {
		return err
	}
	return t.replace(f)
}

func (t *table) close() error {
	if t == nil {
		return nil
	}
	return t.replace(nil)
}

// replace puts f in the file's place, waiting for a look-up under way, and closes the old one.
func (t *table) replace(f *file) error {
	t.mu.Lock()
	old := t.file
	t.file = f
	clear(t.cache[:]) // offsets mean something else now
	t.mu.Unlock()
	return old.close()
}

// loaded is the version in use.
func (t *table) loaded() identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return identity{}
	}
	return t.file.id
}

// built is when the version in use was made, by its maker's words.
func (t *table) built() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return time.Time{}
	}
	return t.file.reader.Metadata.BuildTime().UTC()
}
