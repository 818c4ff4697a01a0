// Package geo says where an IP address is and whose it is, from MaxMind databases: GeoLite2 or
// GeoIP2 City, Country and Enterprise for places, ASN and ISP for networks, and the files of
// other makers in the same form.
//
// [Open] checks the files and refuses what is no database, one of the wrong type, or a damaged
// one; what it lets pass and is damaged elsewhere reads as [Unknown]. A [DB] is safe for
// concurrent use. Its answers are names as the metrics show them, cached by the record that
// addresses share: a repeated answer allocates nothing. It is meant for a look-up per distinct
// address and flush, not per packet.
//
// The files are mapped into memory, not read. A new version must replace the file by renaming,
// as MaxMind's geoipupdate does, and is used after [DB.Reload]. A file that is truncated or
// rewritten in place while it is open kills the process or gives wrong answers; no program that
// maps files can help that.
package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oschwald/maxminddb-golang/v2"
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
	city, err := openTable(cityPath, "a City or Country", place, "city", "country", "enterprise")
	if err != nil {
		return nil, err
	}
	asn, err := openTable(asnPath, "an ASN or ISP", network, "asn", "isp")
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

	// maxName bounds a name, in bytes: a database may hold strings of any length.
	maxName = 256
)

// table is one database with the names that were made from its records.
type table struct {
	path, want string   // the type wanted, as people call it, with its article
	types      []string // what the metadata's type must have one of, in lower case
	name       func(maxminddb.Result) (string, error)

	mu     sync.Mutex // held while reader is in use
	reader *maxminddb.Reader
	cache  [cacheSize]entry
}

// entry is the name of the record at offset; it is free while name is "". Records that fall on the
// same entry displace each other.
type entry struct {
	offset uintptr
	name   string
}

func openTable(path, want string, name func(maxminddb.Result) (string, error), types ...string) (*table, error) {
	if path == "" {
		return nil, nil
	}
	t := &table{path: path, want: want, types: types, name: name}
	var err error
	if t.reader, err = t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// open opens and checks the file.
func (t *table) open() (*maxminddb.Reader, error) {
	r, err := maxminddb.Open(t.path)
	if err != nil {
		var invalid maxminddb.InvalidDatabaseError
		if errors.As(err, &invalid) {
			return nil, fmt.Errorf("%s is no MaxMind database, or damaged: %w", t.path, err)
		}
		return nil, fmt.Errorf("open GeoIP database: %w", err) // names the path
	}
	if err := t.check(r); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// check looks at the type, and at one address of every /8 of IPv4 and of 256 parts of IPv6's global
// unicast space: enough to find a file that is damaged all over, without reading all of a big one.
func (t *table) check(r *maxminddb.Reader) error {
	kind := strings.ToLower(r.Metadata.DatabaseType)
	ok := false
	for _, w := range t.types {
		ok = ok || strings.Contains(kind, w)
	}
	if !ok {
		return fmt.Errorf("%s is a database of type %q, want %s database", t.path, r.Metadata.DatabaseType, t.want)
	}
	for i := range 256 {
		probes := []netip.Addr{netip.AddrFrom4([4]byte{byte(i), 1, 1, 1})}
		if r.Metadata.IPVersion == 6 {
			probes = append(probes, netip.AddrFrom16([16]byte{0x20 | byte(i>>3), byte(i << 5)}))
		}
		for _, a := range probes {
			res := r.Lookup(a)
			err := res.Err()
			if err == nil && res.Found() {
				_, err = t.name(res)
			}
			if err != nil {
				return fmt.Errorf("%s is damaged: look up %s: %w", t.path, a, err)
			}
		}
	}
	return nil
}

func (t *table) lookup(addr netip.Addr) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reader == nil || !addr.IsValid() {
		return Unknown
	}
	// An IPv6 address in a database of IPv4 only is an error, and unknown too.
	res := t.reader.Lookup(addr.Unmap())
	if res.Err() != nil || !res.Found() {
		return Unknown
	}
	off := res.Offset()
	// Fibonacci hashing: records lie at uneven distances, many of them multiples of small numbers.
	e := &t.cache[uint64(off)*0x9e3779b97f4a7c15>>(64-cacheBits)]
	if e.offset == off && e.name != "" {
		return e.name
	}
	name, err := t.name(res)
	if err != nil || name == "" {
		name = Unknown
	}
	*e = entry{off, clip(name)}
	return e.name
}

// clip shortens a name to maxName bytes at most, between runes, as valid UTF-8.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

func (t *table) reload() error {
	if t == nil {
		return nil
	}
	r, err := t.open()
	if err != nil {
		return err
	}
	return t.replace(r)
}

func (t *table) close() error {
	if t == nil {
		return nil
	}
	return t.replace(nil)
}

// replace puts r in the reader's place, waiting for a look-up under way, and closes the old one.
func (t *table) replace(r *maxminddb.Reader) error {
	t.mu.Lock()
	old := t.reader
	t.reader = r
	clear(t.cache[:]) // offsets mean something else now
	t.mu.Unlock()
	if old == nil {
		return nil
	}
	return old.Close()
}

// place makes the name of a place from a City or Country record.
func place(res maxminddb.Result) (string, error) {
	type names struct {
		En string `maxminddb:"en"`
	}
	var rec struct {
		Continent struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"continent"`
		Country struct {
			Names names `maxminddb:"names"`
		} `maxminddb:"country"`
		Subdivisions []struct {
			Code string `maxminddb:"iso_code"`
		} `maxminddb:"subdivisions"`
		City struct {
			Names names `maxminddb:"names"`
		} `maxminddb:"city"`
	}
	if err := res.Decode(&rec); err != nil {
		return "", err
	}
	parts := []string{rec.Continent.Code, rec.Country.Names.En, "", rec.City.Names.En}
	if len(rec.Subdivisions) > 0 {
		parts[2] = rec.Subdivisions[0].Code
	}
	name := ""
	for _, p := range parts {
		if p == "" {
			continue
		}
		if name != "" {
			name += "/"
		}
		name += p
	}
	return name, nil
}

// network makes the name of a network from an ASN or ISP record.
func network(res maxminddb.Result) (string, error) {
	var rec struct {
		Number uint32 `maxminddb:"autonomous_system_number"`
		Org    string `maxminddb:"autonomous_system_organization"`
	}
	if err := res.Decode(&rec); err != nil || rec.Number == 0 {
		return "", err
	}
	name := strconv.FormatUint(uint64(rec.Number), 10)
	if rec.Org != "" {
		name += "/" + rec.Org
	}
	return name, nil
}
