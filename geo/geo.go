// Package geo looks up the place and the network of an IP address, in databases in the MaxMind DB format: MaxMind's
// own for places (City, Country, Enterprise) and for networks (ASN, ISP), and those of other makers, in MaxMind's
// form or flat.
//
// [Open] refuses a file that is not such a database, is damaged, or has no names. A [DB] is safe for concurrent use.
// Its answers are names as the metrics show them. They are cached by the record that addresses share, and a repeated
// answer allocates nothing. Look up each distinct address once per flush, not once per packet. A look-up takes a
// bounded number of steps, whatever the database holds.
//
// Look-ups use a copy of the file, without a name, on a disk: nothing that happens to the file can change an answer
// or end the process ([decision 10]). [DB.Follow] loads new versions when they appear, however they replace the old
// one. [DB.Reload] loads them at once.
//
// [decision 10]: docs/decisions/0010-geoip-from-a-private-copy.md
package geo

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Unknown is the name for what the database does not have.
const Unknown = "Unknown"

// DB is a pair of databases, either of which may be missing. A nil DB has neither.
type DB struct {
	city, asn *table
}

// Open opens the database of places at cityPath and the database of networks at asnPath. An empty path means no
// database. The error is one line that names the file and says what is wrong with it.
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

// OpenLater does what [Open] does with files that may be refused for now. Everything is [Unknown] in such a database until
// [DB.Reload] or [DB.Follow] finds a good version.
func OpenLater(cityPath, asnPath string) *DB {
	later := func(path, want string, name naming) *table {
		t, err := openTable(path, want, name)
		if err != nil {
			t = &table{path: path, want: want, name: name}
		}
		return t
	}
	return &DB{later(cityPath, "a City or Country", place), later(asnPath, "an ASN or ISP", network)}
}

// HasCity reports whether there is a database of places.
func (d *DB) HasCity() bool { return d != nil && d.city != nil }

// HasASN reports whether there is a database of networks.
func (d *DB) HasASN() bool { return d != nil && d.asn != nil }

// City returns the place of an address: continent code, country, first subdivision's code and city, such as
// "NA/United States/CA/Mountain View". Parts that the database does not have are left out. City returns [Unknown] if
// the database has no place, and "" without a database. It looks up an IPv4 address mapped into IPv6 as IPv4.
func (d *DB) City(addr netip.Addr) string {
	if !d.HasCity() {
		return ""
	}
	return d.city.lookup(addr)
}

// ASN returns the number and the organisation of the autonomous system that announces an address, such as
// "15169/GOOGLE". It returns [Unknown] and "" as City does.
func (d *DB) ASN(addr netip.Addr) string {
	if !d.HasASN() {
		return ""
	}
	return d.asn.lookup(addr)
}

// Reload opens the files again, at the same paths, and uses them from then on. It closes each old one when no look-up
// uses it. If a file cannot be opened, the old one stays in use, and the error says so.
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
	// cacheSize is the number of names kept. At 24 bytes an entry and names of some 30 bytes, a full cache takes
	// less than a megabyte.
	cacheBits = 14
	cacheSize = 1 << cacheBits
)

// table is one database and the names that were made from its records.
type table struct {
	path, want string // want is the required type with its article, for error messages
	name       naming

	mu    sync.Mutex // held while file is in use
	file  *file
	steps int // values read to make names, so far
	cache [cacheSize]entry
}

// naming makes a name from the record at an offset of a data section. It returns "" if the record has nothing of use.
type naming func(r *record, off int) (string, error)

// entry is the name of the record at offset. It is free while name is "". Records with the same entry displace each
// other.
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
	if f.onDisk { // the check has touched all of it
		unload(f.bytes)
	}
	return f, nil
}

// lookup takes at most 128 steps through the tree, and maxSteps to make a name, whatever the database contains.
func (t *table) lookup(addr netip.Addr) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil || !addr.IsValid() {
		return Unknown
	}
	// An IPv6 address in a database of IPv4 only is an error, and also unknown.
	res := t.file.reader.Lookup(addr.Unmap())
	if res.Err() != nil || !res.Found() {
		return Unknown
	}
	off := res.Offset()
	// Fibonacci hashing: the distances of records are uneven, and many are multiples of small numbers.
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

// reload opens the file again, and uses it from then on. If it is refused, the old one stays in use.
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

// replace uses f instead of the current file. It waits for look-ups that use the old file, and closes it.
func (t *table) replace(f *file) error {
	t.mu.Lock()
	old := t.file
	t.file = f
	clear(t.cache[:]) // the offsets have another meaning now
	t.mu.Unlock()
	return old.close()
}

// loaded returns the identity of the version in use.
func (t *table) loaded() identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return identity{}
	}
	return t.file.id
}

// built returns when the version in use was made, as its metadata says.
func (t *table) built() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return time.Time{}
	}
	return t.file.reader.Metadata.BuildTime().UTC()
}
