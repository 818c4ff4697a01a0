package ui

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"pktvisor/api"
)

// table declares one top table: where its rows are, and the base of its shares. The bases are the original's.
type table struct {
	title string // for an agent that declares no title
	path  string // of the metric: its section and its path in it
	rows  func(*api.Summary) []api.Row
	base  func(*api.Summary, float64) api.Number // takes the fraction of DNS messages that was sampled
	what  string                                 // what the base counts, for help and details
	unit  api.Unit                               // the unit of the estimates, if it has its own format
	names bool                                   // the rows are DNS names
	tone  func(row) tone                         // highlights rows; nil if no row is highlighted

	amplified bool // the rows have the ratio of responses to queries, shown in the place of the share
}

// tableID indexes tables.
type tableID int

const (
	qname2 tableID = iota
	qname3
	nxdomain
	slowIn
	qtypes
	rcodes
	srvfail
	slowOut
	refused
	ipv4
	ipv6
	udpPorts
	geoLoc
	asn
	nodata
	noerror
	timeout
	responseBytes
	ecs
	opcodes
	tableCount
)

// Bases of shares. Counters count every packet, but tables only the deep sample. So a counter is scaled to the sample
// before a row is compared with it.
func ofMessages(s *api.Summary, sampled float64) api.Number { return scale(s.DNS.Wire.Total, sampled) }
func ofReplies(s *api.Summary, sampled float64) api.Number  { return scale(s.DNS.Wire.Replies, sampled) }
func ofXacts(s *api.Summary, _ float64) api.Number          { return s.DNS.Xact.Counts.Total }
func ofPackets(s *api.Summary, _ float64) api.Number {
	return s.Packets.DeepSamples.Or(s.Packets.Total)
}
func ofTimeouts(s *api.Summary, _ float64) api.Number { return timeouts(s) }
func ofSum(rows func(*api.Summary) []api.Row) func(*api.Summary, float64) api.Number {
	return func(s *api.Summary, _ float64) api.Number {
		var sum api.Number
		for _, r := range rows(s) {
			sum = api.N(sum.Value + r.Estimate.Value)
		}
		return sum
	}
}

func rowsECS(s *api.Summary) []api.Row   { return s.DNS.TopECS }
func rowsBytes(s *api.Summary) []api.Row { return s.DNS.TopResponseBytes }

// tables lists the tables that have their own place. The titles are for an agent that declares none.
var tables = [tableCount]table{
	qname2:        {"Top QName 2", "dns.top_qname2", func(s *api.Summary) []api.Row { return s.DNS.TopQname2 }, ofMessages, "DNS messages", "", true, nil, false},
	qname3:        {"Top QName 3", "dns.top_qname3", func(s *api.Summary) []api.Row { return s.DNS.TopQname3 }, ofMessages, "DNS messages", "", true, nil, false},
	nxdomain:      {"Top NX", "dns.top_nxdomain", func(s *api.Summary) []api.Row { return s.DNS.TopNXDomain }, ofReplies, "DNS responses", "", true, nil, false},
	slowIn:        {"Slow In", "dns.xact.in.top_slow", func(s *api.Summary) []api.Row { return s.DNS.Xact.In.TopSlow }, ofXacts, "transactions", "", true, nil, false},
	qtypes:        {"Top QTypes", "dns.top_qtype", func(s *api.Summary) []api.Row { return s.DNS.TopQtype }, ofMessages, "DNS messages", "", false, nil, false},
	rcodes:        {"Top RCodes", "dns.top_rcode", func(s *api.Summary) []api.Row { return s.DNS.TopRcode }, ofReplies, "DNS responses", "", false, rcodeTone, false},
	srvfail:       {"Top SERVFAIL", "dns.top_srvfail", func(s *api.Summary) []api.Row { return s.DNS.TopSrvfail }, ofReplies, "DNS responses", "", true, nil, false},
	slowOut:       {"Slow Out", "dns.xact.out.top_slow", func(s *api.Summary) []api.Row { return s.DNS.Xact.Out.TopSlow }, ofXacts, "transactions", "", true, nil, false},
	refused:       {"Top REFUSED", "dns.top_refused", func(s *api.Summary) []api.Row { return s.DNS.TopRefused }, ofReplies, "DNS responses", "", true, nil, false},
	ipv4:          {"IPv4", "packets.top_ipv4", func(s *api.Summary) []api.Row { return s.Packets.TopIPv4 }, ofPackets, "packets", "", false, nil, false},
	ipv6:          {"IPv6", "packets.top_ipv6", func(s *api.Summary) []api.Row { return s.Packets.TopIPv6 }, ofPackets, "packets", "", false, nil, false},
	udpPorts:      {"Top DNS UDP Ports", "dns.top_udp_ports", func(s *api.Summary) []api.Row { return s.DNS.TopUDPPorts }, ofMessages, "DNS messages", "", false, nil, false},
	geoLoc:        {"Top GeoLoc", "packets.top_geoLoc", func(s *api.Summary) []api.Row { return s.Packets.TopGeoLoc }, ofPackets, "packets", "", false, nil, false},
	asn:           {"Top ASN", "packets.top_ASN", func(s *api.Summary) []api.Row { return s.Packets.TopASN }, ofPackets, "packets", "", false, nil, false},
	nodata:        {"Top NODATA", "dns.top_nodata", func(s *api.Summary) []api.Row { return s.DNS.TopNodata }, ofReplies, "DNS responses", "", true, nil, false},
	noerror:       {"Top NOERROR", "dns.top_noerror", func(s *api.Summary) []api.Row { return s.DNS.TopNoerror }, ofReplies, "DNS responses", "", true, nil, false},
	timeout:       {"Unanswered", "dns.top_timeout", func(s *api.Summary) []api.Row { return s.DNS.TopTimeout }, ofTimeouts, "timeouts", "", true, nil, false},
	responseBytes: {"Response Bytes", "dns.top_response_bytes", rowsBytes, ofSum(rowsBytes), "these rows", api.Bytes, true, nil, false},
	ecs:           {"Client Subnets", "dns.top_ecs", rowsECS, ofSum(rowsECS), "these rows", "", false, nil, false},
	opcodes:       {"Top Opcodes", "dns.top_opcode", func(s *api.Summary) []api.Row { return s.DNS.TopOpcode }, ofMessages, "DNS messages", "", false, nil, false},
}

func scale(n api.Number, by float64) api.Number {
	n.Value *= by
	return n
}

// list returns the rows of the table. If only a part of the traffic was analysed in depth and the agent says what a row stands
// for, that is its estimate.
func (t *table) list(s *api.Summary) []api.Row {
	rows := t.rows(s)
	if !scaledUp(rows) {
		return rows
	}
	rows = slices.Clone(rows)
	for i := range rows {
		r := &rows[i]
		r.Estimate, r.Lower, r.Upper = r.Scaled.Or(r.Estimate), r.ScaledLower.Or(r.Lower), r.ScaledUpper.Or(r.Upper)
	}
	return rows
}

// scaledUp reports whether an agent says what rows of a sample stand for.
func scaledUp(rows []api.Row) bool {
	return slices.ContainsFunc(rows, func(r api.Row) bool { return r.Scaled.Known })
}

// baseOf returns the base of the shares of the table's rows.
func (t *table) baseOf(s *api.Summary, app *api.App) api.Number {
	if !scaledUp(t.rows(s)) {
		return t.base(s, sampledDNS(s, app))
	}
	whole := *s
	whole.Packets.DeepSamples = s.Packets.Total
	if f := s.DNS.DeepSampleFactor; f.Known {
		whole.DNS.Xact.Counts.Total = scale(s.DNS.Xact.Counts.Total, f.Value)
	}
	return t.base(&whole, 1)
}

func timeouts(s *api.Summary) api.Number {
	return s.DNS.Xact.Counts.Timeouts.Or(s.DNS.Xact.Counts.TimedOut)
}

// sampled reports whether an agent that analysed only deep of all packets left packets out. If the agent reports the
// factor, the factor decides.
func sampled(deep, factor, all api.Number) bool {
	if factor.Known {
		return factor.Value > 1
	}
	return deep.Known && deep.Value < all.Value
}

// sampledDNS returns the fraction of the DNS messages that is in the deep sample. The original does not report it; its
// configured rate is used instead.
func sampledDNS(s *api.Summary, app *api.App) float64 {
	d := &s.DNS
	deep := d.DeepSamples.Or(d.Wire.DeepSamples)
	switch {
	case deep.Known && d.Wire.Total.Value > 0:
		return min(deep.Value/d.Wire.Total.Value, 1)
	case app.DeepSampleRatePct.Known:
		return min(max(app.DeepSampleRatePct.Value/100, 0), 1)
	}
	return 1
}

// trend is the change of a row since the previous minutes.
type trend uint8

const (
	same trend = iota
	risen
	fallen
	entered
)

// row is a line of a table, ready to show.
type row struct {
	name  string // in the form that people write, cleaned
	plain string // in the form of the agent, cleaned
	est   api.Number
	lower api.Number
	upper api.Number
	share string
	part  float64 // the share as a fraction, for bars
	trend trend
	moved float64 // how much of the change of the estimate is not that of the whole list
	raw   string  // the name as the agent sent it
	note  string  // what the row says beside its numbers, and a short form
	short string
}

// doubt says how far the estimate of a row can be trusted.
type doubt uint8

const (
	sure    doubt = iota // exact, or with bounds within a tenth
	near                 // it may be off by more, in either direction
	atLeast              // only the lower bound is meaningful
)

// doubt judges r by its bounds. This project's agents use the lower bound as the estimate. Other agents use the upper
// bound or a value in between.
func (r row) doubt() doubt {
	switch {
	case !r.lower.Known || !r.upper.Known || r.upper.Value-r.lower.Value <= 0.1*r.est.Value:
		return sure
	case r.lower.Value >= r.est.Value, r.lower.Value < r.est.Value/2:
		return atLeast
	}
	return near
}

// sortKey is an order of rows.
type sortKey uint8

const (
	byEstimate sortKey = iota
	byName
	byLower
	byTrend
	sortKeys
)

func (k sortKey) String() string {
	return [...]string{"estimate", "name", "sure", "change"}[k]
}

// maxRows bounds the rows of a table, whatever an agent sends. A row's number then has at most three digits.
const maxRows = 999

// view returns the rows of t, compared with the previous minutes, filtered and sorted.
func (t *table) view(s *api.Summary, app *api.App, older []minute, filter string, by sortKey, unicodeOK bool) []row {
	raw := t.list(s)
	raw = raw[:min(len(raw), maxRows)]
	base := t.baseOf(s, app)
	trends, moves := compare(raw, older, t.list)
	filter = strings.ToLower(filter)
	out := make([]row, 0, len(raw))
	for i, r := range raw {
		plain := clean(r.Name, unicodeOK)
		name := plain
		switch {
		case t.names:
			name = readable(r.Name, unicodeOK)
		case name == "SRVFAIL":
			name = "SERVFAIL" // the name that the original uses in Top RCodes
		}
		if filter != "" && !strings.Contains(strings.ToLower(name), filter) && !strings.Contains(strings.ToLower(plain), filter) {
			continue
		}
		if name == "" {
			name = `""`
		}
		note, short := noteOf(&raw[i], unicodeOK)
		of := share(r.Estimate, base)
		if t.amplified {
			of = ratioText(&r, glyphsFor(unicodeOK))
		}
		out = append(out, row{
			note: note, short: short,
			name: name, est: r.Estimate, lower: r.Lower, upper: r.Upper,
			share: of, part: ratio(r.Estimate, base), trend: trends[i], moved: moves[i], raw: r.Name, plain: plain,
		})
	}
	slices.SortStableFunc(out, by.compare)
	return out
}

func (k sortKey) compare(a, b row) int {
	switch k {
	case byName:
		return strings.Compare(a.name, b.name)
	case byLower:
		return cmp.Compare(b.lower.Or(b.est).Value, a.lower.Or(a.est).Value)
	case byTrend:
		return cmp.Or(cmp.Compare(trendOrder[a.trend], trendOrder[b.trend]), cmp.Compare(b.moved, a.moved))
	}
	return 0 // the agent's own order is by estimate
}

// trendOrder puts new rows first, then rows that rose, fell and stayed. Among these, rows that moved more come first.
var trendOrder = [...]int{entered: 0, risen: 1, fallen: 2, same: 3}

// compare returns the trend of each row against the same table in all older minutes together, and how much it moved. A
// rank counts only rows that are truly greater, so that equal rows do not swap places. Small numbers carry no mark. A row
// has entered only if it cannot have been below the end of the older lists.
func compare(rows []api.Row, older []minute, of func(*api.Summary) []api.Row) (out []trend, moves []float64) {
	out, moves = make([]trend, len(rows)), make([]float64, len(rows))
	before := map[string]float64{}
	hidden := 0.0 // what a row may have had in older minutes without being listed
	for i := range older {
		list := of(&older[i].sum)
		least := 0.0
		for j, r := range list {
			before[r.Name] += r.Estimate.Value
			if j == 0 || r.Estimate.Value < least {
				least = r.Estimate.Value
			}
		}
		if len(list) >= listed {
			hidden += least
		}
	}
	if len(before) == 0 {
		return out, moves
	}
	then := slices.Sorted(maps.Values(before))
	now := make([]float64, 0, len(rows))
	var allNow, allThen float64 // of the rows in the list now
	for _, r := range rows {
		now = append(now, r.Estimate.Value)
		allNow += r.Estimate.Value
		allThen += before[r.Name]
	}
	slices.Sort(now)
	for i, r := range rows {
		was, ok := before[r.Name]
		moves[i] = math.Abs(r.Estimate.Value - was*allNow/max(allThen, 1))
		switch rank, rankThen := greater(now, r.Estimate.Value), greater(then, was); {
		case r.Estimate.Value < telling:
		case !ok && r.Estimate.Value > hidden:
			out[i] = entered
		case !ok:
		case rank < rankThen && r.Estimate.Value*allThen > moved*was*allNow:
			out[i] = risen
		case rank > rankThen && was*allNow > moved*r.Estimate.Value*allThen:
			out[i] = fallen
		}
	}
	return out, moves
}

// A row carries a mark if its estimate is at least telling, and its part of the list changed by the factor moved.
const (
	telling = 5
	moved   = 1.2
)

// greater returns how many of the sorted values are greater than v.
func greater(sorted []float64, v float64) int {
	i := sort.Search(len(sorted), func(i int) bool { return sorted[i] > v })
	return len(sorted) - i
}

// listed is the maximum number of rows that an agent lists. A shorter list is complete.
const listed = 10

// past returns the values of a name in each of the older minutes, oldest first.
func past(name string, older []minute, of func(*api.Summary) []api.Row) []float64 {
	out := make([]float64, 0, len(older))
	for i := len(older) - 1; i >= 0; i-- {
		v := 0.0
		for _, r := range of(&older[i].sum) {
			if r.Name == name {
				v = r.Estimate.Value
				break
			}
		}
		out = append(out, v)
	}
	return out
}
