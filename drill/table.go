package drill

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"pktvisor/policy"
)

// table is a table whose keys can be followed.
type table struct {
	path string // section.table
	// filter returns the filter that lets pass what counts for a key, and the key's name. It returns "" for a key that cannot be
	// followed.
	filter func(key string) (f policy.Filter, name string)
}

// tables are the tables whose keys can be followed.
var tables = []table{
	{"dns.top_qname2", lastLabels(2)}, {"dns.top_qname3", lastLabels(3)},
	{"dns.top_zones", lastLabels(1)}, {"dns.top_zones2", lastLabels(2)}, {"dns.top_zones3", lastLabels(3)},
	{"dns.top_clients", client}, {"dns.top_client_prefix", client}, {"dns.top_as_clients", network},
	{"packets.top_ASN", network}, {"packets.top_ipv4", remote}, {"packets.top_ipv6", remote},
}

// Tables returns the names of the tables whose keys can be followed, as section.table.
func Tables() (names []string) {
	for _, t := range tables {
		names = append(names, t.path)
	}
	return names
}

// Filter returns the filter of a key of a table, and the name under which it is followed. Several keys may have the same name: the
// tables of the last labels have a zone itself and the names below it apart. ok is false for a key that cannot be followed, such as
// a name with escaped bytes, and for a table that is not among [Tables].
func Filter(path, key string) (f policy.Filter, name string, ok bool) {
	i := slices.IndexFunc(tables, func(t table) bool { return t.path == path })
	if i < 0 {
		return f, "", false
	}
	f, name = tables[i].filter(key)
	return f, name, name != ""
}

// lastLabels returns the filter of a table of the last n labels of names. A name with fewer labels is not a zone of the table: it
// stands for itself. A dot before a key means that labels were cut off.
func lastLabels(n int) func(key string) (policy.Filter, string) {
	return func(key string) (f policy.Filter, name string) {
		name = strings.ToLower(strings.TrimPrefix(key, "."))
		if name == "" || strings.ContainsAny(name, `\*`) || !isName(name) {
			return f, ""
		}
		if strings.Count(name, ".")+1 < n {
			f.QNames = []string{name}
		} else {
			f.QNameSuffixes = []string{name}
		}
		return f, name
	}
}

// isName reports whether a text is a name that a filter accepts.
func isName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return len(name) <= 253
}

// client returns the filter of the address or prefix of a client.
func client(key string) (f policy.Filter, name string) {
	p, err := netip.ParsePrefix(key)
	if err != nil {
		a, err := netip.ParseAddr(key)
		if err != nil || a.Zone() != "" {
			return f, ""
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	f.Clients = []netip.Prefix{p}
	return f, key
}

// network returns the filter of an autonomous system, such as 64496/EXAMPLE.
func network(key string) (f policy.Filter, name string) {
	number, _, _ := strings.Cut(key, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return f, ""
	}
	f.ASNs = []uint32{uint32(n)}
	return f, key
}

// remote returns the filter of a remote address.
func remote(key string) (f policy.Filter, name string) {
	a, err := netip.ParseAddr(key)
	if err != nil || a.Zone() != "" {
		return f, ""
	}
	f.BPF = "host " + a.String()
	return f, key
}
