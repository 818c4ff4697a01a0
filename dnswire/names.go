package dnswire

import "strconv"

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
