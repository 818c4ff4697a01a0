package dnswire

import (
	"strconv"
	"strings"
)

// The record types up to 128 by number, from IANA's "Resource Record (RR) TYPEs". An empty name is not assigned. Type
// 255, which IANA writes "*", is called ANY, as tools do.
var typeNames = [...]string{
	1: "A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR", "HINFO", "MINFO",
	"MX", "TXT", "RP", "AFSDB", "X25", "ISDN", "RT", "NSAP", "NSAP-PTR", "SIG", "KEY", "PX", "GPOS",
	"AAAA", "LOC", "NXT", "EID", "NIMLOC", "SRV", "ATMA", "NAPTR", "KX", "CERT", "A6", "DNAME", "SINK",
	"OPT", "APL", "DS", "SSHFP", "IPSECKEY", "RRSIG", "NSEC", "DNSKEY", "DHCID", "NSEC3", "NSEC3PARAM",
	"TLSA", "SMIMEA",
	55: "HIP", "NINFO", "RKEY", "TALINK", "CDS", "CDNSKEY", "OPENPGPKEY", "CSYNC", "ZONEMD", "SVCB",
	"HTTPS", "DSYNC", "HHIT", "BRID",
	99: "SPF", "UINFO", "UID", "GID", "UNSPEC", "NID", "L32", "L64", "LP", "EUI48", "EUI64",
	128: "NXNAME",
}

// The record types from 249 on, by number less 249.
var highTypeNames = [...]string{
	"TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "URI", "CAA", "AVC", "DOA", "AMTRELAY",
	"RESINFO", "WALLET", "CLA", "IPN",
}

// TypeName returns the name of a record type or qtype, or "TYPE123" for a type that IANA has not assigned (RFC 3597,
// section 5). Only the latter allocates.
func TypeName(t uint16) string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	if t >= 249 && int(t)-249 < len(highTypeNames) {
		return highTypeNames[t-249]
	}
	switch t {
	case 32768:
		return "TA"
	case 32769:
		return "DLV"
	}
	return "TYPE" + strconv.Itoa(int(t))
}

var rcodeNames = [...]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
	"NOTAUTH", "NOTZONE", "DSOTYPENI",
	16: "BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE",
}

// RcodeName returns the name of an rcode, extended or not, in capitals as tools print it, or "RCODE12" for an rcode
// that IANA has not assigned. 16 is BADVERS, its meaning in a message's header.
func RcodeName(r uint16) string {
	if int(r) < len(rcodeNames) && rcodeNames[r] != "" {
		return rcodeNames[r]
	}
	return "RCODE" + strconv.Itoa(int(r))
}

var opcodeNames = [...]string{
	0: "QUERY", "IQUERY", "STATUS",
	4: "NOTIFY", "UPDATE", "DSO",
}

// OpcodeName returns the name of an opcode, or "OPCODE3" for an opcode that IANA has not assigned.
func OpcodeName(op uint8) string {
	if int(op) < len(opcodeNames) && opcodeNames[op] != "" {
		return opcodeNames[op]
	}
	return "OPCODE" + strconv.Itoa(int(op))
}

// ParseType reads a record type or qtype: a name in any case, "TYPE123" (RFC 3597, section 5), "*" for ANY, or a number.
func ParseType(s string) (t uint16, ok bool) {
	if s == "*" {
		s = "ANY"
	}
	return parseCode(s, "TYPE", 1<<16, TypeName)
}

// ParseRcode reads an rcode up to 23: a name in any case, "RCODE12", or a number. It also takes SRVFAIL, as the original prints
// it, and BADSIG.
func ParseRcode(s string) (r uint16, ok bool) {
	switch strings.ToUpper(s) {
	case "SRVFAIL":
		s = "SERVFAIL"
	case "BADSIG":
		s = "BADVERS"
	}
	return parseCode(s, "RCODE", 24, RcodeName)
}

// parseCode reads a number below limit, also behind a prefix, or a name that nameOf returns for one.
func parseCode(s, prefix string, limit int, nameOf func(uint16) string) (uint16, bool) {
	upper := strings.ToUpper(s)
	if digits := strings.TrimPrefix(upper, prefix); digits != "" && digits[0] >= '0' && digits[0] <= '9' {
		n, err := strconv.ParseUint(digits, 10, 16)
		return uint16(n), err == nil && int(n) < limit
	}
	for n := range min(limit, 512) { // all names but TA and DLV are below 512
		if nameOf(uint16(n)) == upper {
			return uint16(n), true
		}
	}
	for n := 32768; n < min(limit, 32770); n++ {
		if nameOf(uint16(n)) == upper {
			return uint16(n), true
		}
	}
	return 0, false
}
