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

// TShark has tshark compute the answers about a capture, with DNS on port 53. It skips the test where
// tshark is not installed. It is for captures with one DNS message a packet or, over TCP,
// several with one question each, and without tunnels.
func TShark(tb testing.TB, capture string) *Answers {
	tb.Helper()
	bin, err := exec.LookPath("tshark")
	if err != nil {
		tb.Skip("tshark is not installed")
	}
	s := tsharkRun{bin: bin, capture: capture, a: &Answers{Rcodes: map[string]uint64{}, Qtypes: map[string]uint64{}}}
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
	a            *Answers
}

// fields runs tshark and calls f for every line with the values of the fields. A field that occurs several
// times in a frame has its values separated by commas.
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

func isTrue(v string) bool { return v == "1" || v == "True" }

func (s *tsharkRun) network() error {
	a, src, dst := s.a, map[string]uint64{}, map[string]uint64{}
	off := []string{"-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"}
	names := []string{"frame.len", "ip.src", "ip.dst", "ip.proto", "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.fraghdr.nxt", "tcp.flags.syn", "tcp.flags.ack"}
	err := s.fields(off, names, func(v []string) {
		length, _ := strconv.ParseUint(first(v[0]), 10, 64)
		a.Packets++
		a.Bytes += length
		var from, to, proto string
		switch {
		case v[1] != "": // an ICMP error's quote comes after the outermost header
			a.IPv4++
			from, to, proto = first(v[1]), first(v[2]), first(v[3])
		case v[4] != "":
			a.IPv6++
			from, to, proto = first(v[4]), first(v[5]), first(v[6])
			if proto == "44" {
				proto = first(v[7])
			}
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
			if isTrue(first(v[8])) {
				bump(isTrue(first(v[9])), &a.TCPSynAck, &a.TCPSyn)
			}
		default:
			a.OtherL4++
		}
	})
	a.SrcIPs, a.DstIPs, a.TopSrcIPs = uint64(len(src)), uint64(len(dst)), topRows(src)
	return err
}

// topRows is the ten largest, ties by name.
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

// messages asks about the DNS messages, of which a TCP segment may complete several. Fields that not every
// message has cannot be told apart then, so that each is asked for by a filter of its own.
func (s *tsharkRun) messages() error {
	a := s.a
	on := []string{"-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "dns.flags && !icmp && !icmpv6 && (udp.port==53 || tcp.port==53)"}
	names := []string{"ip.src", "udp.srcport", "dns.flags.response", "dns.flags.rcode", "dns.count.queries", "dns.qry.name", "dns.qry.type",
		"dns.flags.truncated", "dns.count.answers", "dns.response_to", "dns.resp.type", "dns.opt.code", "ip.dst", "ipv6.src", "ipv6.dst", "udp.dstport",
		"tcp.srcport", "tcp.dstport", "dns.id", "dns.count.zones", "dns.count.prerequisites"}
	qnames, nx, sf, rf := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	pending := map[string][]string{}
	err := s.fields(on, names, func(v []string) {
		values := make([][]string, len(v))
		for i := range v {
			if v[i] != "" {
				values[i] = strings.Split(v[i], ",")
			}
		}
		if len(values[4]) == 0 { // an UPDATE, whose sections have other names (RFC 2136 section 2)
			values[4], values[8] = values[19], values[20]
		}
		question, rcode := 0, 0
		a.PairsTShark += uint64(len(values[9]))
		for _, rr := range values[10] {
			if rr == "41" {
				a.EDNS++
			}
		}
		for _, option := range values[11] {
			if option == "8" {
				a.ECS++
			}
		}
		for i, response := range values[2] {
			a.Messages++
			bump(v[1] == "", &a.DNSTCP, &a.DNSUDP)
			bump(v[0] == "", &a.DNSIPv6, &a.DNSIPv4)
			if isTrue(values[7][i]) {
				a.Truncated++
			}
			name := ""
			if values[4][i] != "0" {
				name = strings.ToLower(values[5][question])
				if name == "<root>" {
					name = "."
				}
				a.Qtypes[named(tsharkQtypes, "TYPE", values[6][question])]++
				a.WithQuestion++
				qnames[name]++
				question++
			}
			from, to := first(v[0])+first(v[13])+" "+v[1]+v[16], first(v[12])+first(v[14])+" "+v[15]+v[17]
			if !isTrue(response) {
				a.Queries++
				key := from + " " + to + " " + values[18][i]
				pending[key] = append(pending[key], name)
				continue
			}
			a.Replies++
			code := named(tsharkRcodes, "RCODE", values[3][rcode])
			a.Rcodes[code]++
			if m := map[string]map[string]uint64{"NXDOMAIN": nx, "SERVFAIL": sf, "REFUSED": rf}[code]; m != nil && name != "" {
				m[name]++
			}
			if code == "NOERROR" && values[8][i] == "0" && !isTrue(values[7][i]) {
				a.Nodata++
			}
			rcode++
			key := to + " " + from + " " + values[18][i]
			if asked := pending[key]; len(asked) == 0 {
				a.RepliesWithoutQuery++
			} else {
				a.PairsSimple++
				if last := asked[len(asked)-1]; last == name || name == "" {
					a.PairsSameQname++
				}
				pending[key] = asked[:len(asked)-1]
			}
		}
	})
	for _, asked := range pending {
		a.QueriesWithoutReply += uint64(len(asked))
	}
	a.Qnames, a.TopQnames, a.TopNXDomain, a.TopServfail, a.TopRefused = uint64(len(qnames)), topRows(qnames), topRows(nx), topRows(sf), topRows(rf)
	return err
}
