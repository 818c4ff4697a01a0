package config

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pktvisor/bpf"
	"pktvisor/dnswire"
	"pktvisor/linktype"
	"pktvisor/policy"
)

// The bounds of a filter.
const (
	maxListed = 100_000 // names, subnets and others of one list
	maxNested = 8       // depth of not
)

// The values of a filter that are words.
var (
	transports = []string{"udp", "tcp"}
	directions = []string{"in", "out", "unknown"}
	messages   = []string{"auth", "resolver", "client", "forwarder", "stub", "tool", "update"}
)

// filter reads a filter of the short form.
func (v value) filter(into *policy.Filter, depth int) {
	if depth > maxNested {
		v.fault("not is inside not %d times: give fewer", depth)
		return
	}
	v.fields(map[string]func(value){
		"bpf":           func(v value) { v.bpf(&into.BPF) },
		"qname":         func(v value) { v.dnsNames(&into.QNames) },
		"qname_suffix":  func(v value) { v.dnsNames(&into.QNameSuffixes) },
		"qtype":         func(v value) { v.codes(&into.QTypes, "type", "A, AAAA or TYPE65", dnswire.ParseType) },
		"rcode":         func(v value) { v.codes(&into.Rcodes, "rcode", "NOERROR, NXDOMAIN or 3", dnswire.ParseRcode) },
		"not_rcode":     func(v value) { v.codes(&into.NotRcodes, "rcode", "NOERROR, NXDOMAIN or 3", dnswire.ParseRcode) },
		"transport":     func(v value) { v.words(&into.Transports, transports) },
		"direction":     func(v value) { v.words(&into.Directions, directions) },
		"xact":          func(v value) { v.words(&into.XactDirections, directions) },
		"client":        func(v value) { v.subnets(&into.Clients) },
		"server":        func(v value) { v.subnets(&into.Servers) },
		"asn":           func(v value) { v.asns(&into.ASNs) },
		"place":         func(v value) { v.places(&into.Places) },
		"unknown_asn":   func(v value) { v.boolean(&into.UnknownASN) },
		"unknown_place": func(v value) { v.boolean(&into.UnknownPlace) },
		"queries":       func(v value) { v.boolean(&into.Queries) },
		"responses":     func(v value) { v.boolean(&into.Responses) },
		"dnssec":        func(v value) { v.boolean(&into.DNSSEC) },
		"answers":       func(v value) { v.answers(&into.Answers) },
		"slower_than":   func(v value) { v.duration(&into.SlowerThan, time.Microsecond, 5*time.Minute) },
		"dnstap":        func(v value) { v.words(&into.Messages, messages) },
		"not": func(v value) {
			for _, e := range v.alternatives() {
				var f policy.Filter
				e.filter(&f, depth+1)
				into.Not = append(into.Not, f)
			}
		},
	})
	if into.Queries && into.Responses {
		v.fault("queries and responses together let nothing pass: give one of them, or neither")
	}
}

// commonLinks are link layers that together support everything that an expression can ask for.
var commonLinks = []linktype.Type{
	linktype.Ethernet, linktype.Radiotap, linktype.LinuxSLL2, linktype.NFLOG, linktype.PPPEther, linktype.IPv4, linktype.IPv6,
}

// bpf reads an expression of the pcap-filter language. It must compile for one of the link layers.
func (v value) bpf(into *string) {
	var s string
	if v.text(&s); s == "" {
		return
	}
	var first error
	for _, link := range commonLinks {
		_, err := bpf.Compile(s, link, bpf.Options{Live: true, Netmask: net.IPv4Mask(0, 0, 0, 0)})
		if err == nil {
			*into = s
			return
		}
		first = cmp.Or(first, err)
	}
	v.fault("%s is not a filter of tcpdump: %v", v.kind(), first)
}

// describe reads a text of any form, for people.
func (v value) describe(into *string) {
	if v.given() && v.node.Kind == yaml.ScalarNode {
		*into = v.node.Value
	}
}

// alternatives returns the elements of a list of maps. A single map counts as a list of one.
func (v value) alternatives() []value {
	if v.kind() == "a map" {
		return []value{v}
	}
	return v.elements()
}

// list returns the elements of a list of bounded length.
func (v value) list() []value {
	all := v.elements()
	if len(all) > maxListed {
		v.fault("this list has %d elements: give at most %d", len(all), maxListed)
		return nil
	}
	return all
}

// values returns the elements of a list that must have some: a condition without a value would let everything pass, and a document
// is often made from a list that is empty by mistake.
func (v value) values() []value {
	all := v.list()
	if n := len(v.elements()); n == 0 {
		v.fault("no value: give one or more, or leave out the key")
	}
	for _, e := range all {
		if e.node.Kind == yaml.ScalarNode && e.node.Value == "" {
			e.fault("this value is empty: give another, or leave it out")
		}
	}
	return all
}

// places reads a list of beginnings of places.
func (v value) places(into *[]string) {
	v.values()
	v.texts(into)
}

// words reads a list of words, each one of some, in any case.
func (v value) words(into *[]string, of []string) {
	for _, e := range v.values() {
		var s string
		if e.text(&s); s == "" {
			continue // values has said it
		}
		if s = strings.ToLower(s); !slices.Contains(of, s) {
			e.fault("%s is unknown: give %s", e.kind(), strings.Join(of, ", "))
			continue
		}
		*into = append(*into, s)
	}
}

// dnsNames reads a list of domain names.
func (v value) dnsNames(into *[]string) {
	for _, e := range v.values() {
		var s string
		if e.text(&s); s == "" {
			continue // values has said it
		}
		name := lower(s)
		labels := strings.Split(name, ".")
		if len(name) > 253 || slices.ContainsFunc(labels, func(l string) bool { return l == "" || len(l) > 63 }) && name != "" {
			e.fault("%s is not a domain name: give at most 253 bytes, in labels of 1 to 63", e.kind())
			continue
		}
		*into = append(*into, name)
	}
}

// codes reads a list of numbers or names of numbers.
func (v value) codes(into *[]uint16, what, such string, parse func(string) (uint16, bool)) {
	for _, e := range v.values() {
		var s string
		if e.text(&s); s == "" {
			continue // values has said it
		}
		n, ok := parse(s)
		if !ok {
			e.fault("filter contained an invalid/unsupported %s: %s: give one such as %s", what, shorten(s), such)
			continue
		}
		*into = append(*into, n)
	}
}

// subnets reads a list of subnets. An address counts as a subnet of one.
func (v value) subnets(into *[]netip.Prefix) {
	for _, e := range v.values() {
		var s string
		if e.text(&s); s == "" {
			continue // values has said it
		}
		p, err := netip.ParsePrefix(s)
		if a, other := netip.ParseAddr(s); other == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			e.fault("%s is not a subnet: give one such as 192.0.2.0/24 or 2001:db8::/32", e.kind())
			continue
		}
		*into = append(*into, p.Masked())
	}
}

// asns reads a list of numbers of networks, with or without AS before them.
func (v value) asns(into *[]uint32) {
	for _, e := range v.values() {
		var s string
		if e.text(&s); s == "" {
			continue // values has said it
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32)
		if err != nil {
			e.fault("only_asn_number filter contained an invalid/unsupported value: %s: give a number such as 64500", shorten(s))
			continue
		}
		*into = append(*into, uint32(n))
	}
}

func (v value) answers(into **int) {
	n := -1
	if v.number(&n, 0, 65535); n >= 0 {
		*into = &n
	}
}

// duration reads a time such as 5s or 20ms, within bounds.
func (v value) duration(into *time.Duration, least, most time.Duration) {
	var s string
	if v.text(&s); s == "" {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		v.fault("this is %s: give a time from %v to %v, such as 20ms or 5s", v.kind(), least, most)
		return
	}
	*into = d
}

// handlerFilter returns the keys of the successor's filters of a handler, and how each fills a filter.
func handlerFilter(into *policy.Filter, kind string) map[string]func(value) {
	keys := map[string]func(value){
		"geoloc_notfound": func(v value) { v.boolean(&into.UnknownPlace) },
		"asn_notfound":    func(v value) { v.boolean(&into.UnknownASN) },
	}
	if kind == "net" {
		keys["only_geoloc_prefix"] = func(v value) { v.places(&into.Places) }
		keys["only_asn_number"] = func(v value) { v.asns(&into.ASNs) }
		return keys
	}
	keys["exclude_noerror"] = func(v value) {
		var on bool
		if v.boolean(&on); on {
			into.NotRcodes = []uint16{0}
		}
	}
	keys["only_rcode"] = func(v value) { v.codes(&into.Rcodes, "rcode", "NXDOMAIN or 3", dnswire.ParseRcode) }
	keys["only_queries"] = func(v value) { v.boolean(&into.Queries) }
	keys["only_responses"] = func(v value) { v.boolean(&into.Responses) }
	keys["only_dnssec_response"] = func(v value) { v.boolean(&into.DNSSEC) }
	keys["answer_count"] = func(v value) { v.answers(&into.Answers) }
	keys["only_qtype"] = func(v value) { v.codes(&into.QTypes, "qtype", "A or 28", dnswire.ParseType) }
	keys["only_qname"] = func(v value) { v.dnsNames(&into.QNames) }
	keys["only_qname_suffix"] = func(v value) { v.dnsNames(&into.QNameSuffixes) }
	keys["only_xact_directions"] = func(v value) { v.words(&into.XactDirections, directions) }
	keys["dnstap_msg_type"] = func(v value) { v.words(&into.Messages, messages) }
	return keys
}
