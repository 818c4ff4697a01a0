package geo

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName bounds a name, in bytes: a database may hold strings of any length.
const maxName = 256

// label is one part of a place in a record. Its parts point into the database.
type label struct{ code, name, other []byte }

// read reads the label at off: a map in MaxMind's form, or a string as other makers have it. A string that looks like
// a code is a code.
func (l *label) read(r *record, off int) error {
	s, err := r.text(off)
	if err != nil {
		return err
	}
	if isCode(s) {
		l.code = s
	} else if len(s) > 0 {
		l.name = s
	}
	return r.each(off, func(key []byte, at int) (err error) {
		switch string(key) {
		case "code", "iso_code":
			return take(&l.code, r, at)
		case "name":
			return take(&l.name, r, at)
		case "names":
			return r.each(at, func(language []byte, at int) error {
				if string(language) == "en" {
					return take(&l.name, r, at)
				}
				return take(&l.other, r, at)
			})
		}
		return nil
	})
}

// take sets to to the string at off, unless the string is missing or says nothing.
func take(to *[]byte, r *record, off int) error {
	s, err := r.text(off)
	if len(s) > 0 && string(s) != "-" { // IP2Location writes this for what it does not know
		*to = s
	}
	return err
}

// isCode reports whether s looks like a code of a country, a continent or a region: 1 to 3 capitals and digits.
func isCode(s []byte) bool {
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 3
}

// place makes the name of a place: continent code, country, code of the first subdivision, city. A part without a
// name is named by its code, and the reverse. It reads MaxMind's records, which DB-IP and IP2Location also use, and
// the flat records of IPinfo, IPLocate and the ip-location-db project.
func place(r *record, off int) (string, error) {
	var continent, country, region, city label
	err := r.each(off, func(key []byte, at int) error {
		switch string(key) {
		case "continent":
			return continent.read(r, at)
		case "continent_code":
			return take(&continent.code, r, at)
		case "continent_name":
			return take(&continent.name, r, at)
		case "country":
			return country.read(r, at)
		case "country_code", "country_iso_code", "country_code2":
			return take(&country.code, r, at)
		case "country_name":
			return take(&country.name, r, at)
		case "subdivisions":
			first, ok, err := r.first(at)
			if !ok {
				return err
			}
			return region.read(r, first)
		case "subdivision", "region", "state", "state1", "province":
			return region.read(r, at)
		case "region_code", "state_code", "subdivision_code":
			return take(&region.code, r, at)
		case "region_name", "state_name", "subdivision_name":
			return take(&region.name, r, at)
		case "city":
			return city.read(r, at)
		case "city_name":
			return take(&city.name, r, at)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return join(
		or(continent.code, continent.name, continent.other),
		or(country.name, country.code, country.other),
		or(region.code, region.name, region.other),
		or(city.name, city.code, city.other)), nil
}

// or returns the first text that is neither empty nor IP2Location's "-".
func or(texts ...[]byte) []byte {
	for _, s := range texts {
		if len(s) > 0 && string(s) != "-" {
			return s
		}
	}
	return nil
}

// join puts slashes between the parts that are not empty.
func join(parts ...[]byte) string {
	name := make([]byte, 0, 64)
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if len(name) > 0 {
			name = append(name, '/')
		}
		name = append(name, p...)
	}
	return string(name)
}

// operator is what a record says about an autonomous system: its number, and its names by rank.
type operator struct {
	number uint64
	names  [4][]byte
}

// The ranks of the names of an autonomous system.
const (
	nameOfSystem = iota
	nameAlone
	nameOfOwner
	nameOfDomain
)

// network makes the name of a network: the number of its autonomous system and the organisation that runs it. Besides
// MaxMind's ASN, ISP and Enterprise records it reads flat ones, in which the number may be a string such as
// "AS64496".
func network(r *record, off int) (string, error) {
	var o operator
	if err := o.read(r, off, true); err != nil || o.number == 0 {
		return "", err
	}
	number := strconv.AppendUint(nil, o.number, 10)
	return join(number, or(o.names[:]...)), nil
}

// read reads the map at off, and if outer is set the maps inside it.
func (o *operator) read(r *record, off int, outer bool) error {
	return r.each(off, func(key []byte, at int) error {
		switch string(key) {
		case "autonomous_system_number", "asn", "as_number", "as":
			if err := o.readNumber(r, at); err != nil || !outer {
				return err
			}
			return o.read(r, at, false)
		case "traits":
			if outer {
				return o.read(r, at, false)
			}
		case "autonomous_system_organization", "as_name", "as_org", "as_organization":
			return take(&o.names[nameOfSystem], r, at)
		case "name":
			return take(&o.names[nameAlone], r, at)
		case "org", "organization", "isp":
			if o.names[nameOfOwner] == nil {
				return take(&o.names[nameOfOwner], r, at)
			}
		case "as_domain", "domain":
			return take(&o.names[nameOfDomain], r, at)
		}
		return nil
	})
}

// readNumber reads the number at off, or the number in a string: "64496", "AS64496", "AS64496 Example Net".
func (o *operator) readNumber(r *record, off int) error {
	n, err := r.number(off)
	if err != nil {
		return err
	}
	if n != 0 && n <= 1<<32-1 {
		o.number = n
		return nil
	}
	s, err := r.text(off)
	if err != nil || len(s) == 0 {
		return err
	}
	text, name, _ := strings.Cut(string(s), " ")
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		text = text[2:]
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n != 0 {
		o.number = n
		if name != "" {
			o.names[nameAlone] = []byte(name)
		}
	}
	return nil
}

// clip shortens a name to at most maxName bytes of valid UTF-8, between runes.
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
