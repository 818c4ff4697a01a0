package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// past24h is the share of NXDOMAIN in the day before what is shown, from a hub's rollups.
type past24h struct {
	extra
	shares []float64 // of steps of ten minutes, oldest first; negative if unknown
}

const (
	pastStep  = 600
	pastEvery = time.Minute
)

// pastMsg is the answer about the day before.
type pastMsg struct {
	gen    int
	at     time.Time
	shares []float64
	err    error
}

// askPast asks for the shares of NXDOMAIN in the day before.
func (m Model) askPast() tea.Cmd {
	ctx, gen, agent := m.ctx, m.gen, m.agent
	to, _ := m.span()
	to = to / pastStep * pastStep
	return func() tea.Msg {
		out := pastMsg{gen: gen}
		var s api.Series
		s, out.err = agent.Series(ctx, api.SeriesQuery{
			Metrics: []string{"dns.wire_packets.nxdomain", "dns.wire_packets.replies"}, From: to - 86400, To: to, Step: pastStep})
		nx, all := s.Find("dns.wire_packets.nxdomain", "count", ""), s.Find("dns.wire_packets.replies", "count", "")
		for i := range min(len(nx), len(all), 2*86400/pastStep) {
			out.shares = append(out.shares, shareOf(nx[i], all[i]))
		}
		out.at = time.Now()
		return out
	}
}

func (m Model) onPast(a pastMsg) Model {
	if a.gen != m.gen {
		return m
	}
	m.past.extra = m.past.done(a.at, a.err, pastEvery)
	if a.err == nil {
		m.past.shares = a.shares
	}
	return m
}

// shareOf returns part of all, or a negative number if it is not known.
func shareOf(part, all api.Number) float64 {
	if !part.Known || !all.Known || all.Value <= 0 {
		return -1
	}
	return part.Value / all.Value
}

// nxPast returns the shares of NXDOMAIN before what is shown, oldest first, and how long they reach back in words. If the
// window is shown, they are those before the newest finished minute, so that a rise within the window is seen.
func (m *Model) nxPast() (shares []float64, what string) {
	if known := slices.ContainsFunc(m.past.shares, finite); known {
		return m.past.shares, "of the day before"
	}
	before, _ := m.span()
	if !m.elsewhen() && len(m.minutes) > 0 {
		before = m.minutes[0].start
	}
	for i := len(m.minutes) - 1; i >= 0; i-- {
		if x := &m.minutes[i]; x.start < before {
			shares = append(shares, nxShare(&x.sum))
		}
	}
	return shares, fmt.Sprintf("of the %d min before", len(shares))
}

// nxShare returns the share of NXDOMAIN in the responses, or a negative number if it is not known.
func nxShare(s *api.Summary) float64 { return shareOf(s.DNS.Wire.NXDomain, s.DNS.Wire.Replies) }

// lastShare returns the share of NXDOMAIN in the newest finished minute if the window is shown, or else a negative number.
func (m *Model) lastShare() float64 {
	if m.elsewhen() || len(m.minutes) == 0 {
		return -1
	}
	return nxShare(&m.minutes[0].sum)
}

// finding is a line of the summary.
type finding struct {
	label string
	text  string
	tone  tone
}

// sharpRise is the factor over its own past from which a share is highlighted.
const sharpRise = 2

// nxFinding compares the share of NXDOMAIN with its own past.
func (m *Model) nxFinding() finding {
	sum, _ := m.shown()
	now, last := nxShare(sum), m.lastShare()
	if now < 0 {
		return finding{"NXDOMAIN", "no responses", dim}
	}
	text := func(v float64) string { return strings.TrimSpace(percent(v)) }
	shown, latest := text(now), ""
	if last >= 0 {
		latest = "; last minute " + text(last)
		now = max(now, last)
	}
	out := finding{"NXDOMAIN", shown, severity(now, nxdomainWarn, nxdomainBad)}
	shares, what := m.nxPast()
	known := slices.DeleteFunc(slices.Clone(shares), func(v float64) bool { return !finite(v) })
	if len(known) == 0 {
		out.text += latest + ", no past to compare with"
		return out
	}
	slices.Sort(known)
	usual, most := known[len(known)/2], known[len(known)-1]
	if now > most && now >= sharpRise*usual && now >= 0.05 {
		out.text += ", " + m.timesOf(now/max(usual, 0.001)) + " the usual " + text(usual)
		out.tone = bad
	} else {
		out.text += ", usual " + text(usual)
	}
	out.text += fmt.Sprintf("%s, most %s %s", latest, text(most), what)
	return out
}

// ratioText writes how many times the bytes of its queries a row of amplification gets, with a mark if that is only known to be the
// least.
func ratioText(r *api.Row, g *glyphs) string {
	text, _ := timesText(r.Ratio, g)
	if r.Ratio.Known && r.RatioUpper.Known && text != "" {
		return g.least + text
	}
	return text
}

// timesOf writes a factor.
func (m *Model) timesOf(v float64) string {
	text, _ := timesText(api.N(v), m.glyphs)
	return text
}

// attackTable returns a table about attacks that the agent has.
func (m *Model) attackTable(path string) *table {
	for i := range m.more {
		if m.more[i].path == path {
			return &m.more[i]
		}
	}
	return nil
}

// findings says in words what the numbers mean, in lines of at most w cells: the verdict of the agent, or for an agent of an earlier
// version, which has none, what the first rows of the tables are.
func (m *Model) findings(w int) []finding {
	sum, _ := m.shown()
	var out []finding
	judged := m.alarm.have
	if judged {
		out = m.judgements(w)
	} else {
		out = append(out, m.nxFinding())
	}
	first := func(label, path string, text func(rows []row, raw []api.Row) (string, tone)) {
		t := m.attackTable(path)
		if t == nil || judged && label != "Clients" {
			return
		}
		raw, rows := t.list(sum), t.view(sum, &m.app, nil, "", byEstimate, m.unicode)
		if len(rows) == 0 {
			out = append(out, finding{label, m.glyphs.none, faint})
			return
		}
		words, tone := text(rows, raw)
		out = append(out, finding{label, words, tone})
	}
	first("Names", "dns.top_zones", func(rows []row, _ []api.Row) (string, tone) {
		text := fmt.Sprintf("%s has %s names", rows[0].name, count(rows[0].est, 7))
		if len(rows) == 1 || rows[1].est.Value <= 0 {
			return text, plain
		}
		by := rows[0].est.Value / rows[1].est.Value
		text += ", " + m.timesOf(by) + " the next zone"
		if by >= 5 && rows[0].est.Value >= 1000 {
			return text, bad
		}
		return text, plain
	})
	if m.attackTable("dns.top_zones") == nil && !judged {
		if rows := m.tables[qname2].view(sum, &m.app, nil, "", byEstimate, m.unicode); len(rows) > 0 {
			out = append(out, finding{"Asked for", fmt.Sprintf("%s is in %s of DNS messages", rows[0].name, strings.TrimSpace(rows[0].share)), plain})
		}
	}
	first("Asked by", "dns.top_client_prefix_nxdomain", func(rows []row, _ []api.Row) (string, tone) {
		return fmt.Sprintf("%s gets %s NXDOMAIN, %s of responses", rows[0].name, count(rows[0].est, 7), strings.TrimSpace(rows[0].share)), plain
	})
	if c := &sum.DNS.Clients; c.V4n32.Value+c.V6n128.Value > 0 {
		out = append(out, finding{"From", fmt.Sprintf("%s IPv4 clients in %s /24 and %s /16, %s IPv6 in %s /48",
			count(c.V4n32, 7), count(c.V4n24, 7), count(c.V4n16, 6), count(c.V6n128, 7), count(c.V6n48, 7)), plain})
	}
	first("Amplified", "dns.top_amp_prefix", func(rows []row, raw []api.Row) (string, tone) {
		r := raw[0]
		text := fmt.Sprintf("%s gets %s for %s", rows[0].name, bytesText(r.Estimate), bytesText(r.QueryBytes))
		if r.Ratio.Known {
			text += ", " + ratioText(&r, m.glyphs)
		}
		text += rows[0].note
		if r.Ratio.Value >= 10 && len(r.Hints) > 0 {
			return text, bad
		}
		return text, plain
	})
	first("Clients", "dns.top_as_clients", func(rows []row, _ []api.Row) (string, tone) {
		return fmt.Sprintf("%s has %s of them", rows[0].name, count(rows[0].est, 7)), plain
	})
	first("Data", "dns.top_zone_bits", func(rows []row, _ []api.Row) (string, tone) {
		return fmt.Sprintf("names below %s carry %s bits", rows[0].name, count(rows[0].est, 7)), plain
	})
	if missing := m.missingTables(); missing != "" {
		out = append(out, finding{"Missing", missing, dim})
	}
	return out
}

// missingTables names what the agent does not report. It is empty until the agent has declared its tables.
func (m *Model) missingTables() string {
	if m.tablesNext.IsZero() || !m.have {
		return ""
	}
	var out []string
	for _, x := range [][2]string{{"dns.top_zones", "names by zone"}, {"dns.top_client_prefix", "clients"}, {"dns.top_amp_prefix", "amplification"}} {
		if m.attackTable(x[0]) == nil {
			out = append(out, x[1])
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("this %s does not report %s", m.kind(), strings.Join(out, ", "))
}

// sideBySide is the width from which the course of NXDOMAIN is beside the findings.
const sideBySide = 130

// findingsWidth returns the width of the texts of the findings.
func (m *Model) findingsWidth() int {
	w := m.width
	if w >= sideBySide {
		w = w * 3 / 5
	}
	return w - labelWidth
}

const labelWidth = 10

// attackHeight returns the height of the summary.
func (m *Model) attackHeight() int {
	n := len(m.findings(m.findingsWidth()))
	if m.width >= sideBySide {
		return max(n+1, 6)
	}
	return n + 3
}

// drawAttack draws the summary: what the numbers mean in words, and the share of NXDOMAIN over time.
func (m *Model) drawAttack(s *screen, b box, focused bool) {
	m.panelTitle(s, b, "Attack?", "NXDOMAIN over time", focused)
	w := m.findingsWidth()
	list := m.findings(w)
	x, y, h := b.x, b.y+1, 2
	verdict := 1
	if m.width >= sideBySide {
		x, h = b.x+labelWidth+w+2, b.h-1
	} else {
		for verdict < len(list) && list[verdict].label == "" {
			verdict++
		}
		y += verdict
	}
	at := b.y + 1
	for i, f := range list {
		if i == verdict && m.width < sideBySide {
			at += 2
		}
		if at >= b.y+b.h {
			break
		}
		text := m.head(f.text, w)
		if at == b.y+b.h-1 && i < len(list)-1 {
			text = m.head(f.text+" "+string(m.glyphs.ellipsis), w)
		}
		s.put(b.x, at, labelWidth, style{fg: dim}, f.label)
		s.put(b.x+labelWidth, at, w, style{fg: f.tone, bold: f.tone == bad}, text)
		at++
	}
	shares, _ := m.nxPast()
	sum, _ := m.shown()
	now := max(nxShare(sum), m.lastShare())
	room := b.x + b.w - x - 3
	shares = shares[max(0, len(shares)-room):]
	top := slices.Max(append(slices.Clone(shares), now, 0.01))
	start := x + room - len(shares)
	m.bars(s, start, y, len(shares), h, shares, 1, top)
	m.bars(s, x+room+1, y, 2, h, []float64{now}, 2, top)
}
