package ui

import (
	"fmt"
	"slices"
	"strings"

	"pktvisor/api"
)

// moreTables lists the tables about attacks, in the order of the attack view. Only later agents have them, and each group
// can be switched off, so they are shown only if the agent declares them. Their titles are the agent's.
var moreTables = []table{
	{path: "dns.top_zones", rows: func(s *api.Summary) []api.Row { return s.DNS.TopZones }, names: true},
	{path: "dns.top_client_prefix_nxdomain", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientPrefixNXDomain }, base: ofReplies, what: "DNS responses"},
	{path: "dns.top_amp_prefix", rows: func(s *api.Summary) []api.Row { return s.DNS.TopAmpPrefix }, amplified: true},
	{path: "dns.top_as_clients", rows: func(s *api.Summary) []api.Row { return s.DNS.TopASClients }},
	{path: "dns.top_client_prefix", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientPrefix }, base: ofQueries, what: "DNS queries"},
	{path: "dns.top_clients", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClients }, base: ofQueries, what: "DNS queries"},
	{path: "dns.top_clients_nxdomain", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientsNXDomain }, base: ofReplies, what: "DNS responses"},
	{path: "dns.top_client_prefix_names", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientPrefixNames }},
	{path: "dns.top_client_names", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientNames }},
	{path: "dns.top_zone_bits", rows: func(s *api.Summary) []api.Row { return s.DNS.TopZoneBits }, names: true},
	{path: "dns.top_amp_qname", rows: func(s *api.Summary) []api.Row { return s.DNS.TopAmpQname }, names: true, amplified: true},
	{path: "dns.top_amp_qtype", rows: func(s *api.Summary) []api.Row { return s.DNS.TopAmpQtype }, amplified: true},
	{path: "dns.top_zones2", rows: func(s *api.Summary) []api.Row { return s.DNS.TopZones2 }, names: true},
	{path: "dns.top_zones3", rows: func(s *api.Summary) []api.Row { return s.DNS.TopZones3 }, names: true},
	{path: "dns.top_clients_timeout", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientsTimeout }, base: ofTimeoutsScaled, what: "timeouts"},
	{path: "dns.top_client_prefix_timeout", rows: func(s *api.Summary) []api.Row { return s.DNS.TopClientPrefixTimeout }, base: ofTimeoutsScaled, what: "timeouts"},
}

func ofQueries(s *api.Summary, sampled float64) api.Number { return scale(s.DNS.Wire.Queries, sampled) }

func ofTimeoutsScaled(s *api.Summary, _ float64) api.Number { return timeouts(s) }

// attackBasics are the tables that every agent has, in the attack view after those that only later agents have.
var attackBasics = []tableID{timeout, srvfail, qname2, ipv4, ipv6}

// declareMore returns the tables about attacks that an agent declares.
func declareMore(t *api.Tables, unicodeOK bool) []table {
	var out []table
	for _, more := range moreTables {
		d, ok := findMetric(t, more.path)
		if !ok {
			continue
		}
		more.title, more.unit = clean(d.Title, unicodeOK), d.Unit
		if more.base == nil {
			more.base, more.what = ofSum(more.rows), "these rows"
		}
		out = append(out, more)
	}
	return out
}

// attackPanels returns the panels of the attack view: the summary, and the tables that the agent has.
func (m *Model) attackPanels() []panel {
	out := []panel{{kind: attackPanel, title: "Attack"}}
	add := func(t *table) { out = append(out, panel{kind: tablePanel, table: t, title: t.title}) }
	more := m.more
	if len(more) > 0 && more[0].path == "dns.top_zones" {
		add(&more[0])
		more = more[1:]
	} else {
		add(&m.tables[qname2])
	}
	add(&m.tables[nxdomain])
	for i := range more {
		if more[i].path == "dns.top_amp_prefix" {
			victims := more[i]
			victims.rows = amplifiedRows(more[i].rows)
			victims.title += ", " + m.glyphs.times + "5 or more"
			add(&victims)
			continue
		}
		add(&more[i])
	}
	for _, id := range attackBasics {
		if out[1].table != &m.tables[id] {
			add(&m.tables[id])
		}
	}
	return out
}

// leastRatio is how many times the bytes of its queries a network must get to be listed as amplified, as on the page.
const leastRatio = 5

// amplifiedRows returns the rows of a table that get many times the bytes of their queries, or asked for nothing. The others are
// ordinary networks.
func amplifiedRows(rows func(*api.Summary) []api.Row) func(*api.Summary) []api.Row {
	return func(s *api.Summary) []api.Row {
		return slices.DeleteFunc(slices.Clone(rows(s)), func(r api.Row) bool { return r.Ratio.Known && r.Ratio.Value < leastRatio })
	}
}

// noteOf returns what the row says beside its numbers, and a short form: how many names it stands for, or why its queries
// may be spoofed.
func noteOf(r *api.Row, unicodeOK bool) (note, short string) {
	if r.Names.Known && r.Names.Value >= 1 {
		n := scaled(r.Names.Value, 4)
		last := len(n) - 1
		if n[last] > '9' { // a suffix
			note = n[:last] + " " + n[last:]
		} else {
			note = n
		}
		return " (" + note + " names)", " (" + n + ")"
	}
	if len(r.Hints) == 0 {
		return "", ""
	}
	hints := make([]string, 0, 3)
	for _, h := range r.Hints[:min(len(r.Hints), 3)] {
		h = clean(strings.ReplaceAll(h, "_", " "), unicodeOK)
		head, _ := cutCells(h, 20)
		hints = append(hints, head)
	}
	return " (" + strings.Join(hints, ", ") + ")", fmt.Sprintf(" !%d", min(len(r.Hints), 9))
}

// fitName returns the name of a row and its note, cut to w cells. The note is kept in its short form, if need be.
func (r *row) fitName(w int, ellipsis rune) string {
	for _, note := range []string{r.note, r.short} {
		if n := w - textWidth(note); textWidth(r.name) <= n || note != "" && note == r.short && n >= 8 {
			return fit(r.name, n, ellipsis) + note
		}
	}
	return fit(r.name, w, ellipsis)
}
