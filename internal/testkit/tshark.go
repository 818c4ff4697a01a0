package testkit

import (
	"bufio"
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TShark has tshark compute the answers about a capture, with DNS on port 53 that directly follows the outermost IP
// header. It skips the test if tshark is not installed. It is for captures with one DNS message in a packet or, over TCP,
// several with one question each.
func TShark(tb testing.TB, capture string) *Answers {
	tb.Helper()
	return runTShark(tb, capture, false)
}

// TSharkInnermost is TShark, but the answers are about the innermost IP packet of each frame, and what is in that. It is for
// captures with tunnels, and without ICMP errors.
func TSharkInnermost(tb testing.TB, capture string) *Answers {
	tb.Helper()
	return runTShark(tb, capture, true)
}

func runTShark(tb testing.TB, capture string, innermost bool) *Answers {
	tb.Helper()
	bin, err := exec.LookPath("tshark")
	if err != nil {
		tb.Skip("tshark is not installed")
	}
	s := tsharkRun{bin: bin, capture: capture, innermost: innermost, a: &Answers{Rcodes: map[string]uint64{}, Qtypes: map[string]uint64{}}}
	if err := s.network(); err != nil {
		tb.Fatal(err)
	}
	if err := s.messages(); err != nil {
		tb.Fatal(err)
	}
	return s.a
}

type tsharkRun struct {
	bin, capture string
	innermost    bool // the answers are about the innermost IP packets, not the outermost
	a            *Answers
}

// fields runs tshark and calls f with the values of the fields for every line. If a field occurs several times in a
// frame, commas separate its values.
func (s *tsharkRun) fields(options []string, fields []string, f func(v []string)) error {
	args := append([]string{"-n", "-r", s.capture, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=,", "-E", "occurrence=a"}, options...)
	for _, field := range fields {
		args = append(args, "-e", field)
	}
	cmd := exec.Command(s.bin, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(append(strings.Split(lines.Text(), "\t"), make([]string, len(fields))...)[:len(fields)])
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("tshark: %w: %s", err, stderr.String())
	}
	return lines.Err()
}

func first(values string) string { v, _, _ := strings.Cut(values, ","); return v }

// layer returns the value of the layer that the answers are about.
func (s *tsharkRun) layer(values string) string {
	if s.innermost {
		return values[strings.LastIndexByte(values, ',')+1:]
	}
	return first(values)
}

// ipLayers returns the IP layers of a frame by the value of frame.protocols, the outermost first, each "ip" or "ipv6".
func ipLayers(protocols string) (layers []string) {
	for p := range strings.SplitSeq(protocols, ":") {
		if p == "ip" || p == "ipv6" {
			layers = append(layers, p)
		}
	}
	return layers
}

// behindExtensions returns the protocol behind the extension headers of an IPv6 packet, which begin with the one of the given
// number. next has, by the number of each extension header, the numbers that follow it, separated by commas.
func behindExtensions(proto string, next map[string]string) string {
	for next[proto] != "" {
		following, rest, _ := strings.Cut(next[proto], ",")
		next[proto] = rest
		proto = following
	}
	return proto
}

func isTrue(v string) bool { return v == "1" || v == "True" }

func (s *tsharkRun) network() error {
	a, src, dst := s.a, map[string]uint64{}, map[string]uint64{}
	off := []string{"-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"}
	names := []string{"frame.len", "ip.src", "ip.dst", "ip.proto", "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.fraghdr.nxt", "tcp.flags.syn", "tcp.flags.ack", "frame.protocols",
		"ipv6.hopopts.nxt", "ipv6.dstopts.nxt", "ipv6.routing.nxt", "ah.next_header"}
	err := s.fields(off, names, func(v []string) {
		length, _ := strconv.ParseUint(first(v[0]), 10, 64)
		a.Packets++
		a.Bytes += length
		var from, to, proto string
		switch s.layer(strings.Join(ipLayers(v[10]), ",")) {
		case "ip": // the quote in an ICMP error follows the outermost header
			a.IPv4++
			from, to, proto = s.layer(v[1]), s.layer(v[2]), s.layer(v[3])
		case "ipv6":
			a.IPv6++
			from, to, proto = s.layer(v[4]), s.layer(v[5]), s.layer(v[6])
			proto = behindExtensions(proto, map[string]string{"44": v[7], "0": v[11], "60": v[12], "43": v[13], "51": v[14]})
		default:
			a.NonIP++
			a.OtherL4++
			return
		}
		src[from]++
		dst[to]++
		switch proto {
		case "17":
			a.UDP++
		case "6":
			a.TCP++
			if isTrue(s.layer(v[8])) {
				bump(isTrue(s.layer(v[9])), &a.TCPSynAck, &a.TCPSyn)
			}
		default:
			a.OtherL4++
		}
	})
	a.SrcIPs, a.DstIPs, a.TopSrcIPs = uint64(len(src)), uint64(len(dst)), topRows(src)
	return err
}

// topRows returns the ten largest rows, and ties ordered by name.
func topRows(m map[string]uint64) []Row {
	var r []Row
	for name, n := range m {
		r = append(r, Row{name, n})
	}
	slices.SortFunc(r, func(a, b Row) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return r[:min(len(r), summaryRows)]
}

var (
	tsharkRcodes = map[string]string{"0": "NOERROR", "1": "FORMERR", "2": "SERVFAIL", "3": "NXDOMAIN", "4": "NOTIMP", "5": "REFUSED", "9": "NOTAUTH"}
	tsharkQtypes = map[string]string{"1": "A", "2": "NS", "5": "CNAME", "6": "SOA", "12": "PTR", "15": "MX", "16": "TXT", "28": "AAAA", "33": "SRV",
		"43": "DS", "48": "DNSKEY", "65": "HTTPS", "251": "IXFR", "252": "AXFR", "255": "ANY"}
)

func named(names map[string]string, prefix, n string) string { return cmp.Or(names[n], prefix+n) }

// dnsFields are the fields that messages asks for. The constants index them.
var dnsFields = []string{"ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport",
	"dns.id", "dns.flags.response", "dns.flags.rcode", "dns.flags.truncated", "dns.count.queries", "dns.count.answers",
	"dns.count.zones", "dns.count.prerequisites", "dns.qry.name", "dns.qry.type", "dns.response_to", "dns.resp.type", "dns.opt.code", "frame.protocols"}

const (
	ipSrc = iota
	ipDst
	ipv6Src
	ipv6Dst
	udpSrc
	udpDst
	tcpSrc
	tcpDst
	dnsID
	dnsResponse
	dnsRcode
	dnsTruncated
	dnsQueries
	dnsAnswers
	dnsZones
	dnsPrerequisites
	qryName
	qryType
	responseTo
	respType
	optCode
	protocols
)

// dnsCounts are the tables that messages fills.
type dnsCounts struct {
	qnames  map[string]uint64
	byRcode map[string]map[string]uint64 // names by the rcodes that have tables
	pending map[string][]string          // names of queries without a response, by addresses, ports and ID
}

// messages counts the DNS messages. Over TCP, a frame may complete several.
func (s *tsharkRun) messages() error {
	c := dnsCounts{map[string]uint64{}, map[string]map[string]uint64{"NXDOMAIN": {}, "SERVFAIL": {}, "REFUSED": {}}, map[string][]string{}}
	on := []string{"-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "dns.flags && !icmp && !icmpv6 && (udp.port==53 || tcp.port==53)"}
	err := s.fields(on, dnsFields, func(v []string) { s.frame(&c, v) })
	a := s.a
	for _, asked := range c.pending {
		a.QueriesWithoutReply += uint64(len(asked))
	}
	a.Qnames, a.TopQnames = uint64(len(c.qnames)), topRows(c.qnames)
	a.TopNXDomain, a.TopServfail, a.TopRefused = topRows(c.byRcode["NXDOMAIN"]), topRows(c.byRcode["SERVFAIL"]), topRows(c.byRcode["REFUSED"])
	return err
}

// frame counts the messages that a frame completes. Only responses have an rcode, and only messages with a question
// have a name and type. The other fields occur once in each message.
func (s *tsharkRun) frame(c *dnsCounts, v []string) {
	a, values := s.a, make([][]string, len(v))
	for i := range v {
		if v[i] != "" {
			values[i] = strings.Split(v[i], ",")
		}
	}
	if len(values[dnsQueries]) == 0 { // an UPDATE, whose sections have different names (RFC 2136 section 2)
		values[dnsQueries], values[dnsAnswers] = values[dnsZones], values[dnsPrerequisites]
	}
	layers := ipLayers(v[protocols])
	if !s.innermost && len(layers) > 1 {
		return // in a tunnel
	}
	a.PairsTShark += uint64(len(values[responseTo]))
	a.EDNS += count(values[respType], "41")
	a.ECS += count(values[optCode], "8")
	src, dst := ipSrc, ipDst
	v6 := s.layer(strings.Join(layers, ",")) == "ipv6"
	if v6 {
		src, dst = ipv6Src, ipv6Dst
	}
	from, to := s.layer(v[src])+" "+s.layer(v[udpSrc]+v[tcpSrc]), s.layer(v[dst])+" "+s.layer(v[udpDst]+v[tcpDst])
	question, reply := 0, 0
	for i, response := range values[dnsResponse] {
		a.Messages++
		bump(v[udpSrc] == "", &a.DNSTCP, &a.DNSUDP)
		bump(v6, &a.DNSIPv6, &a.DNSIPv4)
		if isTrue(at(values[dnsTruncated], i)) {
			a.Truncated++
		}
		name := ""
		if at(values[dnsQueries], i) != "0" && question < min(len(values[qryName]), len(values[qryType])) {
			if name = strings.ToLower(values[qryName][question]); name == "<root>" {
				name = "."
			}
			a.Qtypes[named(tsharkQtypes, "TYPE", values[qryType][question])]++
			a.WithQuestion++
			c.qnames[name]++
			question++
		}
		id := " " + at(values[dnsID], i)
		if !isTrue(response) {
			a.Queries++
			c.pending[from+" "+to+id] = append(c.pending[from+" "+to+id], name)
			continue
		}
		rcode := named(tsharkRcodes, "RCODE", at(values[dnsRcode], reply))
		reply++
		if rcode == "NOERROR" && at(values[dnsAnswers], i) == "0" && !isTrue(at(values[dnsTruncated], i)) {
			a.Nodata++
		}
		s.reply(c, to+" "+from+id, rcode, name)
	}
}

// reply counts a response, and pairs it with the latest query that has the mirrored key.
func (s *tsharkRun) reply(c *dnsCounts, key, rcode, name string) {
	a := s.a
	a.Replies++
	a.Rcodes[rcode]++
	if m := c.byRcode[rcode]; m != nil && name != "" {
		m[name]++
	}
	asked := c.pending[key]
	if len(asked) == 0 {
		a.RepliesWithoutQuery++
		return
	}
	a.PairsSimple++
	if last := asked[len(asked)-1]; last == name || name == "" {
		a.PairsSameQname++
	}
	c.pending[key] = asked[:len(asked)-1]
}

// at returns a value, "" if a message that is cut or malformed does not have it.
func at(values []string, i int) string {
	if i >= len(values) {
		return ""
	}
	return values[i]
}

func count(values []string, what string) (n uint64) {
	for _, v := range values {
		if v == what {
			n++
		}
	}
	return n
}
