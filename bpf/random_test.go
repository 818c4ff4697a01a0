package bpf

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"pktvisor/linktype"
)

// speaker makes random expressions from the grammar, for a link type.
type speaker struct {
	r      *rand.Rand
	link   linktype.Type
	live   bool
	budget int  // number of primitives that it may still make
	shift  bool // it may make a primitive that shifts offsets
}

func (s *speaker) chance(percent int) bool { return s.r.IntN(100) < percent }

func (s *speaker) pick(v ...string) string { return v[s.r.IntN(len(v))] }

func (s *speaker) num(v ...uint32) string {
	n := v[s.r.IntN(len(v))]
	if s.chance(10) {
		return fmt.Sprintf("%#x", n)
	}
	return fmt.Sprint(n)
}

// expression makes one of a few primitives.
func (s *speaker) expression() string {
	s.budget = 1 + s.r.IntN(6)
	if s.chance(10) {
		s.budget += s.r.IntN(20)
	}
	s.shift = s.chance(40)
	return s.expr(0)
}

var wordPattern = regexp.MustCompile(`[A-Za-z0-9_.:\\-]+|[^ A-Za-z0-9]`)

// mistaken makes an expression with one or two words missing, added or out of place. Most are wrong, and the others
// mean something unintended.
func (s *speaker) mistaken() string {
	w := wordPattern.FindAllString(s.expression(), -1)
	other := wordPattern.FindAllString(s.expression(), -1)
	for range 1 + s.r.IntN(2) {
		i, j := s.r.IntN(len(w)), s.r.IntN(len(w))
		switch s.r.IntN(5) {
		case 0:
			w[i], w[j] = w[j], w[i]
		case 1:
			w[i] = s.pick(other...)
		case 2:
			w = slices.Insert(w, i, s.pick(other...))
		case 3:
			w = append(w[:i], other...)
		default:
			if len(w) > 1 {
				w = slices.Delete(w, i, i+1)
			}
		}
	}
	return strings.Join(w, " ")
}

func (s *speaker) expr(depth int) string {
	var b strings.Builder
	b.WriteString(s.term(depth))
	for s.budget > 0 && !s.chance(25) {
		b.WriteString(s.pick(" and ", " and ", " or ", " && ", " || "))
		b.WriteString(s.term(depth))
	}
	return b.String()
}

func (s *speaker) term(depth int) string {
	switch n := s.r.IntN(100); {
	case n < 15:
		return s.pick("not ", "! ", "!") + s.term(depth)
	case n < 30 && depth < 4 && s.budget > 1:
		return "(" + s.expr(depth+1) + ")"
	}
	s.budget--
	return s.primitive()
}

func (s *speaker) ether() bool { return s.link == linktype.Ethernet }
func (s *speaker) wlan() bool  { return s.link == linktype.IEEE80211 || s.link == linktype.Radiotap }

func (s *speaker) primitive() string {
	if s.shift && s.chance(30) {
		return s.shifting()
	}
	switch s.r.IntN(12) {
	case 0, 1:
		return s.address()
	case 2, 3:
		return s.port()
	case 4:
		return s.pick("ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim",
			"esp", "ah", "vrrp", "carp", "atalk", "aarp", "decnet", "lat", "mopdl", "iso", "clnp",
			"esis", "isis", "stp", "ipx", "netbeui", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp")
	case 5:
		switch s.r.IntN(6) {
		case 0:
			return "ip proto " + s.pick(`\tcp`, `\udp`, "6", "17", "255", "gre", "(47)")
		case 1:
			return "ip6 proto " + s.pick(`\tcp`, "17", "44", `ipv6-icmp`)
		case 2:
			return "proto " + s.pick("17", "6", `\sctp`, "ospf")
		case 3:
			return "ether proto " + s.pick("0x800", `\arp`, `\ip6`, "0x86dd", "100", `\stp`, `\ipx`, "0x8100", "loopback", "1500", "1501")
		case 4:
			return "iso proto " + s.pick(`\clnp`, "131", `\esis`)
		}
		return "ether proto " + s.pick("0x800", "0x806")
	case 6:
		return s.pick("less ", "greater ") + s.num(40, 60, 64, 100, 1500)
	case 7:
		return s.pick("ip broadcast", "ip multicast", "ip6 multicast", "broadcast", "multicast", "ether broadcast", "ether multicast",
			"llc", "llc i", "llc s", "llc u", "llc rr", "llc ui", "llc xid", "llc test", "inbound", "outbound",
			"ifindex 2", "pppoed", "byte 0 = 2", "byte 12 > 7", "byte 13 < 6")
	case 8:
		if s.wlan() {
			return s.wlanPrimitive()
		}
		return s.port()
	case 9:
		if s.ether() || s.wlan() {
			return s.mac()
		}
		return s.address()
	}
	return s.relation()
}

func (s *speaker) shifting() string {
	switch s.r.IntN(5) {
	case 0, 1:
		return s.pick("vlan", "vlan 5", "vlan 100", "vlan (0)")
	case 2:
		return s.pick("mpls", "mpls 1024", "mpls 5", "mpls 100000")
	case 3:
		return s.pick("pppoes", "pppoes 0x27", "pppoes 5")
	}
	return s.pick("vlan", "geneve", "geneve", "geneve 0xb", "mpls")
}

func (s *speaker) direction() string {
	if s.chance(40) {
		return ""
	}
	return s.pick("src ", "dst ", "src or dst ", "src and dst ", "dst or src ", "dst and src ")
}

// others adds identifiers that take over the qualifiers.
func (s *speaker) others(id func() string) string {
	if !s.chance(25) || s.budget < 1 {
		return ""
	}
	s.budget--
	switch s.r.IntN(4) {
	case 0:
		return s.pick(" or ", " and ") + "not " + id()
	case 1:
		return " or " + id() + " or " + id()
	}
	return s.pick(" or ", " and ") + id()
}

// ids sometimes puts an identifier in parentheses with others.
func (s *speaker) ids(id func() string) string {
	if s.chance(12) {
		return "(" + id() + s.pick(" or ", " and ") + s.pick("", "not ") + id() + ")"
	}
	return id() + s.others(id)
}

func (s *speaker) address() string {
	v4 := func() string { return s.pick(testHosts4...) }
	v6 := func() string { return s.pick(testHosts6...) }
	switch s.r.IntN(8) {
	case 0:
		return s.pick("", "ip ", "arp ", "rarp ") + s.direction() + "host " + s.ids(v4)
	case 1:
		return s.pick("", "ip6 ") + s.direction() + "host " + s.ids(v6)
	case 2:
		return s.direction() + "net " + s.ids(func() string {
			return s.pick("10", "192.168", "10.0.0.0/8", "10.0.0.0/31", "192.168.1.0/24", "224.0.0.0/4",
				"10.1.2", "0.0.0.0/0", "10.0.0.0 mask 255.255.255.0", "10.0.0.1/32", "0")
		})
	case 3:
		return s.direction() + "net " + s.pick("2001:db8::/32", "fe80::/10", "ff00::/8", "::1", "::/0", "2001:db8::1/128", "2001:db8::/126")
	case 4:
		return s.pick("ip ", "arp ") + s.pick("src ", "dst ") + s.ids(v4)
	case 5:
		return s.pick("src ", "dst ", "ip6 dst ") + v6()
	case 6:
		return "decnet " + s.direction() + "host " + s.pick("1.2", "1.4", "0.2")
	}
	return "host " + s.ids(v4)
}

func (s *speaker) mac() string {
	id := func() string { return s.pick(append(testMACs, "020000000001", "0200.0000.0002")...) }
	dir := s.direction()
	if s.wlan() && s.chance(50) {
		dir = s.pick("addr1 ", "addr2 ", "addr3 ", "addr4 ", "ra ", "ta ")
	}
	return s.pick("ether ", "link ", "wlan ") + dir + "host " + s.ids(id)
}

func (s *speaker) port() string {
	proto := s.pick("", "", "tcp ", "udp ", "sctp ")
	if s.chance(25) {
		return proto + s.direction() + "portrange " +
			s.pick("53-80", "1-1023", "1024-65535", "0-53", "80-53", "53-53", "53", "0-65535")
	}
	if s.chance(15) && proto != "sctp " {
		names := []string{"domain", "https", "53", "ldap"}
		if proto == "tcp " {
			names = append(names, "http", "ssh")
		}
		return proto + s.direction() + "port " + s.pick(names...)
	}
	return proto + s.direction() + "port " + s.ids(func() string { return fmt.Sprint(testPorts[s.r.IntN(len(testPorts))]) })
}

func (s *speaker) wlanPrimitive() string {
	return s.pick("type mgt", "type data", "type ctl", "type data subtype qos-data", "type mgt subtype beacon",
		"type ctl subtype ack", "subtype qos", "subtype rts", "dir tods", "dir dstods", "dir nods", "dir 2",
		"type 8 subtype 0x80")
}

func (s *speaker) relation() string {
	return s.arith(0) + " " + s.pick("=", "==", "!=", ">", ">=", "<", "<=") + " " + s.arith(1)
}

// arith makes mostly simple sums, as people write them.
func (s *speaker) arith(depth int) string {
	switch n := s.r.IntN(100); {
	case n < 35 && depth > 0 || n < 5 || depth > 3:
		return s.num(0, 1, 2, 3, 4, 5, 6, 8, 14, 17, 20, 40, 53, 255, 0x800, 0x1fff, 0xffff, 0x7fffffff, 0xffffffff)
	case n < 40:
		return s.pick("len", "length")
	case n < 45:
		return "-" + s.arith(depth+1)
	case n < 50:
		return "(" + s.arith(depth+1) + s.operator() + s.arith(depth+1) + ")"
	case n < 65:
		return s.arith(depth+1) + s.operator() + s.arith(depth+1)
	}
	idx := s.num(0, 1, 2, 6, 8, 9, 12, 13, 16, 20, 30)
	switch n := s.r.IntN(100); {
	case n < 10:
		idx = s.arith(depth + 2)
	case n < 15:
		idx = s.pick("tcpflags", "icmptype", "icmpcode", "icmp6type")
	}
	size := s.pick("", "", ":1", ":2", ":4")
	protos := []string{"ip", "ip", "tcp", "tcp", "udp", "icmp", "ether", "ether", "ip6", "icmp6", "arp", "link",
		"sctp", "igmp", "rarp", "pim", "vrrp"}
	if s.link == linktype.Radiotap {
		protos = append(protos, "radio", "radio", "wlan", "wlan")
	}
	f := s.pick(protos...) + "[" + idx + size + "]"
	if s.chance(25) {
		f += s.pick(" & ", "&") + s.pick("0xf", "0x1fff", "1", "0xf0", "(tcp-syn|tcp-fin)", "tcp-ack", "0xff", "0")
	}
	return f
}

func (s *speaker) operator() string {
	return s.pick(" + ", " - ", " * ", " & ", " | ", " << ", " >> ", " / ", " % ", " ^ ")
}
