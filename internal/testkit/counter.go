package testkit

import (
	"cmp"
	"slices"
	"strconv"
)

// counter counts the frames that the generator writes, in order of time.
type counter struct {
	cfg   *TrafficConfig
	names *names
	truth Truth
	now   tally    // of the current minute
	all   tally    // of the minutes before it
	min   *Summary // the current minute
	wait  []expiry // unanswered queries, by time
}

type expiry struct {
	at int64
	in bool
}

// The columns of the counts of a name.
const (
	colMessages = iota
	colNXDomain
	colServfail
	colRefused
	colNodata
	numCols
)

// tally holds counts by the number of a name, peer and so on. Only the keys that are shown are turned into text.
type tally struct {
	names   [][numCols]uint32
	peers   [numPeerClasses][]peerCount
	ports   []uint32
	qtypes  []uint32
	rcodes  []uint32
	replies []int64
	in, out []int64 // latencies
}

type peerCount struct{ in, out uint32 }

func newCounter(cfg *TrafficConfig, n *names) *counter {
	c := &counter{cfg: cfg, names: n}
	for _, t := range []*tally{&c.now, &c.all} {
		t.ports, t.qtypes, t.rcodes = make([]uint32, 1<<16), make([]uint32, len(qtypes)), make([]uint32, numRcodes)
	}
	return c
}

const minute = int64(60e9)

// frame counts a frame. The times never decrease.
func (c *counter) frame(at int64, length int, n *note) {
	c.expire(at)
	c.advance(at)
	m, bytes := c.min, uint64(length)
	if m.First == 0 {
		m.First = at
	}
	m.Last = at
	m.Packets++
	m.Bytes += bytes
	switch {
	case n.nonIP:
		m.NonIP++
	case n.v6:
		m.IPv6++
	default:
		m.IPv4++
	}
	switch n.proto {
	case ProtoUDP:
		m.UDP++
	case ProtoTCP:
		m.TCP++
		if n.flags&TCPSyn != 0 {
			if n.flags&TCPAck != 0 {
				m.TCPSynAck++
			} else {
				m.TCPSyn++
			}
		}
	default:
		m.OtherL4++
	}
	sec := c.second(at / 1e9)
	sec.Packets++
	sec.Bytes += bytes
	switch n.dir {
	case dirIn:
		m.In++
		m.BytesIn += bytes
		sec.In++
		sec.BytesIn += bytes
		c.now.peer(n.peer).in++
	case dirOut:
		m.Out++
		m.BytesOut += bytes
		sec.Out++
		sec.BytesOut += bytes
		c.now.peer(n.peer).out++
	default:
		m.Unknown++
	}
	for i := range n.dns {
		c.message(at, n, &n.dns[i], sec)
	}
}

// second returns the current entry of Seconds.
func (c *counter) second(unix int64) *Second {
	s := &c.truth.Seconds
	for len(*s) == 0 || (*s)[len(*s)-1].Unix < unix {
		next := unix
		if len(*s) > 0 {
			next = (*s)[len(*s)-1].Unix + 1
		}
		*s = append(*s, Second{Unix: next})
	}
	return &(*s)[len(*s)-1]
}

func (t *tally) peer(p peer) *peerCount {
	s := &t.peers[p.class]
	if need := int(p.i) + 1; need > len(*s) {
		*s = slices.Grow(*s, need-len(*s))[:max(need, min(cap(*s), 2*need))]
	}
	return &(*s)[p.i]
}

func (t *tally) name(i uint32) *[numCols]uint32 {
	if need := int(i) + 1; need > len(t.names) {
		t.names = append(t.names, make([][numCols]uint32, need+need/2-len(t.names))...)
	}
	return &t.names[i]
}

func (c *counter) message(at int64, n *note, d *dnsFacts, sec *Second) {
	if d.at != 0 { // the message began in an earlier frame
		at = d.at
	}
	m := c.min
	m.DNSMessages++
	bump(n.proto == ProtoTCP, &m.DNSTCP, &m.DNSUDP)
	bump(n.v6, &m.DNSIPv6, &m.DNSIPv4)
	bump(n.dir == dirIn, &m.DNSIn, &m.DNSOut)
	if d.edns {
		m.EDNS++
	}
	if d.ecs {
		m.ECS++
	}
	row := c.now.name(d.name)
	row[colMessages]++
	c.now.qtypes[d.qtype]++
	if n.proto == ProtoUDP {
		c.now.ports[d.port]++
	}
	in := (n.dir == dirIn) != d.reply // the host is the server
	if !d.reply {
		m.Queries++
		if d.noReply {
			c.wait = append(c.wait, expiry{at + int64(c.cfg.Timeout), in})
		}
		return
	}
	m.Replies++
	c.reply(d, row)
	switch {
	case d.queryAt == 0:
		bump(in, &m.OrphansIn, &m.OrphansOut)
	case in:
		m.XactIn++
		sec.Transactions++
		c.now.in = append(c.now.in, at-d.queryAt)
	default:
		m.XactOut++
		sec.Transactions++
		c.now.out = append(c.now.out, at-d.queryAt)
	}
}

// reply counts what only responses have.
func (c *counter) reply(d *dnsFacts, row *[numCols]uint32) {
	m := c.min
	c.now.rcodes[d.rcode]++
	c.now.replies = append(c.now.replies, int64(d.bytes))
	switch d.rcode {
	case rcodeNoError:
		m.NoError++
	case rcodeNXDomain:
		m.NXDomain++
		row[colNXDomain]++
	case rcodeServfail:
		m.Servfail++
		row[colServfail]++
	case rcodeRefused:
		m.Refused++
		row[colRefused]++
	}
	if d.nodata {
		m.Nodata++
		row[colNodata]++
	}
	for _, f := range [...]struct {
		is bool
		n  *uint64
	}{{d.truncated, &m.Truncated}, {d.aa, &m.AA}, {d.ad, &m.AD}, {d.cd, &m.CD}} {
		if f.is {
			*f.n++
		}
	}
}

func bump(is bool, yes, no *uint64) {
	if is {
		*yes++
	} else {
		*no++
	}
}

// expire counts the queries that time out up to the given time.
func (c *counter) expire(at int64) {
	for len(c.wait) > 0 && c.wait[0].at <= at {
		c.advance(c.wait[0].at)
		bump(c.wait[0].in, &c.min.TimeoutsIn, &c.min.TimeoutsOut)
		c.wait = c.wait[1:]
	}
}

// advance begins the minute of the given time, and the minutes without packets before it.
func (c *counter) advance(at int64) {
	start := at / minute * minute
	if c.min == nil {
		c.min = &Summary{Start: start}
	}
	for c.min.Start < start {
		next := c.min.Start + minute
		c.seal()
		c.min = &Summary{Start: next}
	}
}

// seal ends the current minute.
func (c *counter) seal() {
	c.now.summarize(c, c.min)
	c.truth.Minutes = append(c.truth.Minutes, *c.min)
	c.all.merge(&c.now)
}

// finish ends the count.
func (c *counter) finish() *Truth {
	c.seal()
	t := &c.truth
	total := &t.Total
	for i := range t.Minutes {
		m := &t.Minutes[i]
		total.Counts.add(&m.Counts)
		if total.First == 0 {
			total.Start, total.First = m.Start, m.First
		}
		total.Last = max(total.Last, m.Last)
	}
	for _, w := range c.wait {
		bump(w.in, &total.PendingIn, &total.PendingOut)
	}
	c.all.summarize(c, total)
	t.HostSpec, t.count = HostSpec, c
	return t
}

// merge adds the counts of o to t and empties o.
func (t *tally) merge(o *tally) {
	for i := range o.names {
		if o.names[i][colMessages] > 0 {
			row := t.name(uint32(i))
			for j := range row {
				row[j] += o.names[i][j]
			}
		}
	}
	clear(o.names)
	for class := range o.peers {
		for i, p := range o.peers[class] {
			if p != (peerCount{}) {
				sum := t.peer(peer{peerClass(class), uint32(i)})
				sum.in += p.in
				sum.out += p.out
			}
		}
		clear(o.peers[class])
	}
	for _, s := range [][2][]uint32{{t.ports, o.ports}, {t.qtypes, o.qtypes}, {t.rcodes, o.rcodes}} {
		for i, n := range s[1] {
			s[0][i] += n
		}
		clear(s[1])
	}
	t.replies, t.in, t.out = append(t.replies, o.replies...), append(t.in, o.in...), append(t.out, o.out...)
	o.replies, o.in, o.out = nil, nil, nil // the minute's distributions keep these slices
}

// summarize fills in the fields that are not counted frame by frame.
func (t *tally) summarize(c *counter, s *Summary) {
	for i := range t.names {
		if t.names[i][colMessages] > 0 {
			s.DistinctQnames++
		}
	}
	for class := range t.peers {
		for _, p := range t.peers[class] {
			if p.in > 0 {
				s.SrcIPsIn++
			}
			if p.out > 0 {
				s.DstIPsOut++
			}
		}
	}
	s.XactInLatency, s.XactOutLatency, s.ReplyBytes = newDistribution(t.in), newDistribution(t.out), newDistribution(t.replies)
	for table, rows := range s.Tables.byName() {
		*rows = t.top(c, table)
	}
}

// byName returns the tables by the names of their fields.
func (t *Tables) byName() map[string]*[]Row {
	return map[string]*[]Row{
		"Qname": &t.Qname, "Qname2": &t.Qname2, "Qname3": &t.Qname3, "NXDomain": &t.NXDomain, "Servfail": &t.Servfail, "Refused": &t.Refused,
		"Nodata": &t.Nodata, "Qtype": &t.Qtype, "Rcode": &t.Rcode, "UDPPorts": &t.UDPPorts, "IPv4": &t.IPv4, "IPv6": &t.IPv6,
	}
}

// rcodeNames are the names that the API uses.
var rcodeNames = [numRcodes]string{"NOERROR", "FORMERR", "SRVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}

// each calls f for every key of a table that has a count. For a table of shortened names, the same key comes several
// times, and "" stands for names without one.
func (t *tally) each(c *counter, table string, f func(n uint64, key func() string)) {
	var i uint32
	plain := func(counts []uint32, key func() string) {
		for j, n := range counts {
			if i = uint32(j); n > 0 {
				f(uint64(n), key)
			}
		}
	}
	byName := func(col int, key func() string) {
		for j := range t.names {
			if i = uint32(j); t.names[j][col] > 0 {
				f(uint64(t.names[j][col]), key)
			}
		}
	}
	byPeer := func(classes ...peerClass) {
		for _, class := range classes {
			for j, p := range t.peers[class] {
				if i = uint32(j); p != (peerCount{}) {
					f(uint64(p.in)+uint64(p.out), func() string { return peer{class, i}.addr(c.cfg.World).String() })
				}
			}
		}
	}
	text := func() string { return c.names.text(i) }
	switch table {
	case "Qname":
		byName(colMessages, text)
	case "Qname2":
		byName(colMessages, func() string { return lastLabels(text(), 2) })
	case "Qname3":
		byName(colMessages, func() string { return lastLabels(text(), 3) })
	case "NXDomain":
		byName(colNXDomain, text)
	case "Servfail":
		byName(colServfail, text)
	case "Refused":
		byName(colRefused, text)
	case "Nodata":
		byName(colNodata, text)
	case "Qtype":
		plain(t.qtypes, func() string { return qtypes[i].name })
	case "Rcode":
		plain(t.rcodes, func() string { return rcodeNames[i] })
	case "UDPPorts":
		plain(t.ports, func() string { return strconv.Itoa(int(i)) })
	case "IPv4":
		byPeer(clients4, upstreams4)
	case "IPv6":
		byPeer(clients6, upstreams6)
	}
}

// top returns the largest rows of a table.
func (t *tally) top(c *counter, table string) []Row {
	var rows []Row
	if table == "Qname2" || table == "Qname3" {
		sums := map[string]uint64{}
		t.each(c, table, func(n uint64, key func() string) {
			if k := key(); k != "" {
				sums[k] += n
			}
		})
		for k, n := range sums {
			rows = append(rows, Row{k, n})
		}
	} else {
		rows = t.topSingle(c, table)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return slices.Clone(rows[:min(len(rows), maxRows)])
}

// topSingle returns the maxRows largest rows of a table in which each key comes once, and every row as large as
// these. Of many equal rows, it returns some.
func (t *tally) topSingle(c *counter, table string) []Row {
	var counts []uint64
	t.each(c, table, func(n uint64, _ func() string) { counts = append(counts, n) })
	slices.Sort(counts)
	least := uint64(0)
	if len(counts) > maxRows {
		least = counts[len(counts)-maxRows]
	}
	var rows, ties []Row
	t.each(c, table, func(n uint64, key func() string) {
		if n > least {
			rows = append(rows, Row{key(), n})
		} else if n == least && len(ties) < maxRows {
			ties = append(ties, Row{key(), n})
		}
	})
	return append(rows, ties...)
}
