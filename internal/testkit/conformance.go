package testkit

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Disagreement is a field in which a summary differs from another program's answer.
type Disagreement struct{ Field, Ours, Truth string }

// cardinalityBound is how far an estimate of distinct keys may be off: twice the stated 95% bound, because many
// captures are compared. Estimates below exactBelow must be exact.
const (
	cardinalityBound = 0.04
	exactBelow       = 64
)

// summaryRows is the greatest number of rows in a table of a summary.
const summaryRows = 10

// Compare lists where a summary differs from the answers about its capture. The summary is the object under the key
// 1m, decoded from JSON. It must be one bucket, with every address as the host's (-H 0.0.0.0/0,::/0), the answers'
// DNS ports, and every packet in the deep sample.
//
//   - packets.other_l4 includes packets without IP, and packets.protocol.tcp.syn leaves out SYN-ACKs.
//   - The packets in which tshark finds no IP header are those of non_ip, malformed and unsupported_link together.
//   - Transactions agree if their number equals that of one of the pairings.
//   - Tables agree if their counts do and a name that is in both has the same count. Rows with the same
//     count may differ, and names too, because programs print names differently.
//   - A row with bounds agrees if the truth is within them.
//   - Shortened names are compared if the answers contain all names of the capture.
func Compare(a *Answers, summary map[string]any) []Disagreement {
	c := comparison{summary: summary}
	c.packets(a)
	c.dns(a)
	c.pairs(a)
	c.cardinality("packets.cardinality.src_ips_in", a.SrcIPs)
	c.cardinality("dns.cardinality.qname", a.Qnames)
	c.tables(a)
	return c.found
}

type comparison struct {
	summary map[string]any
	found   []Disagreement
}

func (c *comparison) report(field string, ours, truth any) {
	c.found = append(c.found, Disagreement{field, fmt.Sprint(ours), fmt.Sprint(truth)})
}

// at returns the value at a dotted path.
func (c *comparison) at(path string) (any, bool) {
	var v any = c.summary
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[key]; !ok {
			return nil, false
		}
	}
	return v, true
}

func (c *comparison) number(path string) (uint64, bool) {
	v, ok := c.at(path)
	if !ok {
		c.report(path, "missing", "a number")
		return 0, false
	}
	n, ok := toCount(v)
	if !ok {
		c.report(path, v, "a number")
	}
	return n, ok
}

func toCount(v any) (uint64, bool) {
	switch n := v.(type) {
	case float64:
		return uint64(n + 0.5), n >= 0
	case fmt.Stringer: // json.Number
		u, err := strconv.ParseUint(n.String(), 10, 64)
		return u, err == nil
	}
	return 0, false
}

// exact compares a field that must be equal.
func (c *comparison) exact(path string, truth uint64) {
	if n, ok := c.number(path); ok && n != truth {
		c.report(path, n, truth)
	}
}

func (c *comparison) packets(a *Answers) {
	c.exact("packets.total", a.Packets)
	c.exact("packets.ipv4", a.IPv4)
	c.exact("packets.ipv6", a.IPv6)
	c.exact("packets.udp", a.UDP)
	c.exact("packets.tcp", a.TCP)
	c.exact("packets.other_l4", a.OtherL4)
	c.exact("packets.protocol.tcp.syn", a.TCPSyn)
	nonIP, ok := c.number("packets.non_ip")
	malformed, ok2 := c.number("packets.malformed")
	unsupported, ok3 := c.number("packets.unsupported_link")
	if n := nonIP + malformed + unsupported; ok && ok2 && ok3 && n != a.NonIP {
		c.report("packets.non_ip+malformed+unsupported_link", n, a.NonIP)
	}
}

func (c *comparison) dns(a *Answers) {
	for field, truth := range map[string]uint64{
		"total": a.Messages, "queries": a.Queries, "replies": a.Replies, "udp": a.DNSUDP, "tcp": a.DNSTCP, "ipv4": a.DNSIPv4, "ipv6": a.DNSIPv6,
		"noerror": a.Rcodes["NOERROR"], "nxdomain": a.Rcodes["NXDOMAIN"], "srvfail": a.Rcodes["SERVFAIL"], "refused": a.Rcodes["REFUSED"],
	} {
		c.exact("dns.wire_packets."+field, truth)
	}
	slices.SortFunc(c.found, func(a, b Disagreement) int { return cmp.Compare(a.Field, b.Field) })
}

func (c *comparison) pairs(a *Answers) {
	const path = "dns.xact.counts.total"
	n, ok := c.number(path)
	if ok && n != a.PairsTShark && n != a.PairsSimple && n != a.PairsSameQname {
		c.report(path, n, fmt.Sprintf("%d or %d or %d", a.PairsTShark, a.PairsSimple, a.PairsSameQname))
	}
}

func (c *comparison) cardinality(path string, truth uint64) {
	n, ok := c.number(path)
	if !ok {
		return
	}
	off := float64(n) - float64(truth)
	if truth < exactBelow && off != 0 || max(off, -off) > cardinalityBound*float64(truth) {
		c.report(path, n, truth)
	}
}

func (c *comparison) tables(a *Answers) {
	c.table("dns.top_rcode", mapRows(a.Rcodes))
	c.table("dns.top_qtype", mapRows(a.Qtypes))
	c.table("dns.top_nxdomain", a.TopNXDomain)
	c.table("dns.top_srvfail", a.TopServfail)
	c.table("dns.top_refused", a.TopRefused)
	c.rows("packets.top_ipv4+top_ipv6", append(c.read("packets.top_ipv4"), c.read("packets.top_ipv6")...), a.TopSrcIPs)

	var all uint64
	for _, r := range a.TopQnames {
		all += r.Count
	}
	if all == a.WithQuestion {
		for n, path := range map[int]string{2: "dns.top_qname2", 3: "dns.top_qname3"} {
			if short, ok := shorten(a.TopQnames, n); ok {
				c.table(path, short)
			}
		}
	}
}

func mapRows(m map[string]uint64) []Row {
	var r []Row
	for name, n := range m {
		switch name {
		case "undecoded":
			continue
		case "SERVFAIL":
			name = "SRVFAIL"
		}
		r = append(r, Row{name, n})
	}
	return r
}

// shorten sums up names by their last n labels. ok is false if a name has only one label, or characters that the
// programs print differently.
func shorten(names []Row, n int) ([]Row, bool) {
	sums := map[string]uint64{}
	for _, r := range names {
		if strings.ContainsAny(r.Name, "\\<> ") || lastLabels(r.Name, 2) == "" || r.Name == "." {
			return nil, false
		}
		if key := lastLabels(r.Name, n); key != "" {
			sums[key] += r.Count
		}
	}
	return mapRows(sums), true
}

func (c *comparison) table(path string, truth []Row) { c.rows(path, c.read(path), truth) }

// bounded is a row of a summary's table: a count, and how much more the name may have.
type bounded struct {
	Row
	more uint64
}

// read returns the rows of a table of the summary. A missing table is a disagreement.
func (c *comparison) read(path string) []bounded {
	v, _ := c.at(path)
	list, ok := v.([]any)
	if !ok {
		c.report(path, "missing", "a table")
	}
	var rows []bounded
	for _, x := range list {
		m, _ := x.(map[string]any)
		name, ok := m["name"].(string)
		n, ok2 := toCount(m["estimate"])
		if !ok || !ok2 {
			c.report(path, x, "a row of name and estimate")
			continue
		}
		upper, _ := toCount(m["upper"])
		rows = append(rows, bounded{Row{name, n}, max(upper, n) - n})
	}
	return rows
}

// rows compares two tables. If ours says that names may have had more, the truth must be within the bounds: the n-th
// largest true count is at least our n-th largest, and at most that plus the error.
func (c *comparison) rows(path string, ours []bounded, truth []Row) {
	var plain []Row
	var more uint64
	for _, r := range ours {
		plain = append(plain, r.Row)
		more = max(more, r.more)
	}
	a, b := counts(plain), counts(truth)
	if !slices.EqualFunc(a, b, func(lower, count uint64) bool { return lower <= count && count <= lower+more }) {
		c.report(path, a, b)
		return
	}
	known := map[string]uint64{}
	for _, r := range truth {
		known[strings.ToLower(r.Name)] = r.Count
	}
	for _, r := range ours {
		if n, ok := known[strings.ToLower(r.Name)]; ok && (n < r.Count || n > r.Count+r.more) {
			c.report(path+" "+r.Name, r.Count, n)
		}
	}
}

// counts returns the largest counts that rows may show.
func counts(rows []Row) []uint64 {
	var n []uint64
	for _, r := range rows {
		n = append(n, r.Count)
	}
	slices.Sort(n)
	slices.Reverse(n)
	return n[:min(len(n), summaryRows)]
}

// Exception is a disagreement in which the summary is right: its capture, and why.
type Exception struct {
	Capture string
	Disagreement
	Reason string
}

// LoadExceptions reads a file of exceptions. Each line has five fields separated by tabs (capture, field, ours,
// truth, reason), and none may be empty. Lines that begin with # are comments.
func LoadExceptions(path string) ([]Exception, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("exceptions: %w", err)
	}
	defer f.Close()
	var list []Exception
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if line := lines.Text(); line != "" && line[0] != '#' {
			x := strings.Split(line, "\t")
			if len(x) != 5 || slices.Contains(x, "") {
				return nil, fmt.Errorf("exceptions: %s:%d: want capture, field, ours, truth and reason, separated by tabs", path, n)
			}
			list = append(list, Exception{x[0], Disagreement{x[1], x[2], x[3]}, x[4]})
		}
	}
	return list, lines.Err()
}

// Unexpected compares the disagreements found, by capture, with the exceptions. news are the disagreements without an
// exception, one in each line in the format of the exceptions but without the reason. stale are the exceptions that
// no longer hold for a capture that was compared.
func Unexpected(found map[string][]Disagreement, exceptions []Exception) (news []string, stale []Exception) {
	type key struct {
		capture string
		Disagreement
	}
	excused := map[key]bool{}
	for _, e := range exceptions {
		excused[key{e.Capture, e.Disagreement}] = true
		if list, compared := found[e.Capture]; compared && !slices.Contains(list, e.Disagreement) {
			stale = append(stale, e)
		}
	}
	for _, capture := range slices.Sorted(maps.Keys(found)) {
		for _, d := range found[capture] {
			if !excused[key{capture, d}] {
				news = append(news, strings.Join([]string{capture, d.Field, d.Ours, d.Truth}, "\t"))
			}
		}
	}
	return news, stale
}
