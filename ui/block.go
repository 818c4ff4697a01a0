package ui

import (
	"cmp"
	"fmt"
	"strings"

	"pktvisor/api"
)

// field is one labelled number of a block.
type field struct {
	label string
	n     api.Number
	text  string // shown instead of n
	share string // or the error of an estimate
	tone  tone
}

// blockTitle draws the rule above a block or panel, with the title, the value beside it, and text at the right end.
func (m *Model) blockTitle(s *screen, b box, title, value, right string) {
	m.ruled(s, b, style{fg: accent, bold: true}, title, value, right)
}

// panelTitle is like blockTitle, for a panel. It highlights a panel that has the focus.
func (m *Model) panelTitle(s *screen, b box, title, right string, focused bool) {
	st := style{fg: accent, bold: true}
	if focused {
		st.bg = chosen
	}
	m.ruled(s, b, st, title, "", right)
}

func (m *Model) ruled(s *screen, b box, st style, title, value, right string) {
	s.fill(b.x, b.y, b.w, style{fg: faint}, m.glyphs.rule)
	x := s.put(b.x, b.y, b.w, st, title)
	if value != "" {
		x = s.put(x, b.y, b.w, style{}, " ")
		x = s.put(x, b.y, b.w, style{bold: true}, value)
	}
	s.put(x, b.y, 1, style{}, " ")
	if right != "" && x-b.x+textWidth(right)+3 <= b.w {
		s.right(b.x, b.y, b.w, style{fg: dim}, " "+right)
	}
}

// headings draws column headings into the rule, each aligned with the right end of its cell.
func (m *Model) headings(s *screen, b box, cell int, heads ...string) {
	width := cell * len(heads)
	s.fill(b.x+b.w-width, b.y, width, style{}, ' ')
	for i, h := range heads {
		s.right(b.x+b.w-cell*(len(heads)-i)-2, b.y, cell+2, style{fg: dim}, h)
	}
}

// field draws f in w cells: label, number and, if it has one, share. The number gets the space that the label leaves.
// If that is little, the share loses a decimal.
func (m *Model) field(s *screen, x, y, w int, f field) {
	label := style{fg: dim}
	if f.tone == bad {
		label.fg = bad
	}
	s.put(x, y, w, label, f.label)
	shareWidth, of := 6, f.share
	room := w - textWidth(f.label) - 1
	switch {
	case of == "" && (f.text != "" || room < 5+shareWidth):
		shareWidth = 0
	case room < 5+shareWidth && textWidth(of) <= 6:
		shareWidth, of = 5, shorter(of)
	}
	text := f.text
	if text == "" {
		text = count(f.n, max(room-shareWidth, 4))
	}
	st := style{fg: f.tone}
	if text == "" {
		text, st = m.glyphs.none, style{fg: faint}
	}
	s.right(x, y, w-shareWidth, st, text)
	st.fg = dim
	if f.tone != plain {
		st.fg = f.tone
	}
	s.right(x, y, w, st, of)
}

// shorter shortens a percentage to four cells.
func shorter(of string) string {
	of = strings.TrimSpace(of)
	whole, _, found := strings.Cut(of, ".")
	if found && len(of) > 4 && !strings.HasPrefix(of, "<") {
		return whole + "%"
	}
	return strings.Replace(of, "0.1", ".1", 1)
}

// pair draws two fields beside each other. The right one has longer labels and is three cells wider.
func (m *Model) pair(s *screen, x, y, w int, left, right field) {
	lw := 17 + (w-minColumn)/2
	m.field(s, x, y, lw, left)
	m.field(s, x+lw+1, y, w-lw-1, right)
}

// even draws two fields of equal width.
func (m *Model) even(s *screen, x, y, w int, left, right field) {
	lw := (w - 1) / 2
	m.field(s, x, y, lw, left)
	m.field(s, x+lw+1, y, w-lw-1, right)
}

// part returns a field with n and its share of base.
func part(label string, n, base api.Number) field {
	return field{label: label, n: n, share: share(n, base)}
}

// alarm returns a field that is highlighted as a warning if its share reaches warnAt, and in red if it reaches badAt.
func alarm(label string, n, base api.Number, warnAt, badAt float64) field {
	f := part(label, n, base)
	f.tone = severity(ratio(n, base), warnAt, badAt)
	return f
}

// deep returns a field of a deep sample. It is a warning if packets were left out of the sample.
func deep(label string, n, factor, all api.Number) field {
	f := part(label, n, all)
	if sampled(n, factor, all) {
		f.tone = warn
	}
	return f
}

func severity(share, warnAt, badAt float64) tone {
	switch {
	case share >= badAt:
		return bad
	case share >= warnAt:
		return warn
	}
	return plain
}

// The shares from which a response code deserves attention (Warn) or shows a fault (Bad).
const (
	srvfailWarn, srvfailBad   = 0.02, 0.10
	refusedWarn, refusedBad   = 0.05, 0.25
	nxdomainWarn, nxdomainBad = 0.30, 0.60
	timeoutWarn, timeoutBad   = 0.02, 0.10
)

// block draws block id into b.
func (m *Model) block(s *screen, id blockID, b box) {
	sum, _ := m.shown()
	draw := [...]func(*Model, *screen, *api.Summary, box){
		packetsBlock: (*Model).drawPackets, ratesBlock: (*Model).drawRates, dnsBlock: (*Model).drawDNS,
		xactsBlock: (*Model).drawXacts, messagesBlock: (*Model).drawMessages, sizesBlock: (*Model).drawSizes,
		dnsSizesBlock: (*Model).drawDNSSizes, captureBlock: (*Model).drawCapture, decodeBlock: (*Model).drawDecode,
		sampleBlock: (*Model).drawSample,
	}
	draw[id](m, s, sum, b)
}

func (m *Model) drawPackets(s *screen, sum *api.Summary, b box) {
	p := &sum.Packets
	// In and out are shares of the packets that have a direction, as in the original.
	directed := api.Number{Value: p.In.Value + p.Out.Value, Known: p.In.Known && p.Out.Known}
	m.blockTitle(s, b, "Packets", count(p.Total, 20), "")
	m.pair(s, b.x, b.y+1, b.w, part("UDP", p.UDP, p.Total), part("IPv4", p.IPv4, p.Total))
	m.pair(s, b.x, b.y+2, b.w, part("TCP", p.TCP, p.Total), part("IPv6", p.IPv6, p.Total))
	m.pair(s, b.x, b.y+3, b.w, part("Other", p.OtherL4, p.Total), part("In", p.In, directed))
	m.pair(s, b.x, b.y+4, b.w, deep("Deep", p.DeepSamples, p.DeepSampleFactor, p.Total), part("Out", p.Out, directed))
	m.pair(s, b.x, b.y+5, b.w, field{label: "Bytes", text: bytesText(p.Bytes.Total)}, part("No dir.", p.UnknownDir, p.Total))
}

func (m *Model) drawRates(s *screen, sum *api.Summary, b box) {
	r := &sum.Packets.Rates
	cell := 6 + (b.w-minColumn)/6
	m.blockTitle(s, b, "Rates", "", "")
	m.headings(s, b, cell, m.nowHead(), "p50", "p90", "p95", "p99")
	now := m.rates
	if m.elsewhen() {
		now = api.Rates{}
	}
	for i, line := range []struct {
		label string
		now   api.Number
		q     api.Quantiles
	}{
		{"In pps", now.PPSIn.Or(r.PPSIn.Live), r.PPSIn},
		{"Out pps", now.PPSOut.Or(r.PPSOut.Live), r.PPSOut},
		{"All pps", now.PPSTotal.Or(r.PPSTotal.Live), r.PPSTotal},
		{"In bps", now.BPSIn.Or(r.BPSIn.Live), r.BPSIn},
		{"Out bps", now.BPSOut.Or(r.BPSOut.Live), r.BPSOut},
	} {
		y := b.y + 1 + i
		s.put(b.x, y, b.w, style{fg: dim}, line.label)
		for j, n := range []api.Number{line.now, line.q.P50, line.q.P90, line.q.P95, line.q.P99} {
			m.cell(s, b.x+b.w-cell*(5-j), y, cell, count(n, cell-1), style{bold: j == 0})
		}
	}
}

// nowHead returns the heading above the present rates.
func (m *Model) nowHead() string {
	if m.elsewhen() {
		return "now"
	}
	return cmp.Or(m.delay("-"), "now")
}

// cell draws text at the right end of w cells, or a dash if there is no text.
func (m *Model) cell(s *screen, x, y, w int, text string, st style) {
	if text == "" {
		text, st = m.glyphs.none, style{fg: faint}
	}
	s.right(x, y, w, st, text)
}

func (m *Model) drawDNS(s *screen, sum *api.Summary, b box) {
	w := &sum.DNS.Wire
	of := strings.TrimSpace(share(w.Total, sum.Packets.Total))
	if of != "" {
		of += " of packets"
	}
	m.blockTitle(s, b, "DNS", count(w.Total, 20), of)
	m.pair(s, b.x, b.y+1, b.w, part("UDP", w.UDP, w.Total), part("NOERROR", w.Noerror, w.Replies))
	m.pair(s, b.x, b.y+2, b.w, part("TCP", w.TCP, w.Total), alarm("NXDOMAIN", w.NXDomain, w.Replies, nxdomainWarn, nxdomainBad))
	m.pair(s, b.x, b.y+3, b.w, part("IPv4", w.IPv4, w.Total), alarm("SERVFAIL", w.Srvfail, w.Replies, srvfailWarn, srvfailBad))
	m.pair(s, b.x, b.y+4, b.w, part("IPv6", w.IPv6, w.Total), alarm("REFUSED", w.Refused, w.Replies, refusedWarn, refusedBad))
	m.pair(s, b.x, b.y+5, b.w, part("Query", w.Queries, w.Total), part("Response", w.Replies, w.Total))
}

func (m *Model) drawXacts(s *screen, sum *api.Summary, b box) {
	x, p := &sum.DNS.Xact, &sum.Packets
	cell := 6 + (b.w-minColumn)/8
	m.blockTitle(s, b, "Xacts", count(x.Counts.Total, 7), "")
	m.headings(s, b, cell, "p50 ms", "p90", "p95", "p99")
	for i, d := range []struct {
		label string
		dir   *api.XactDir
	}{{"In", &x.In}, {"Out", &x.Out}} {
		y := b.y + 1 + i
		of := ""
		if x.Counts.Total.Value > 0 && d.dir.Total.Known {
			of = fmt.Sprintf("%.0f%%", min(100*ratio(d.dir.Total, x.Counts.Total), 999))
		}
		room := b.w - 4*cell - 5 // a share without decimals leaves room for the count
		s.put(b.x, y, room, style{fg: dim}, d.label)
		m.cell(s, b.x+4, y, room-4, count(d.dir.Total, room-4), style{})
		s.right(b.x+room, y, 5, style{fg: dim}, of)
		q := &d.dir.QuantilesUS
		for j, n := range []api.Number{q.P50, q.P90, q.P95, q.P99} {
			m.cell(s, b.x+b.w-cell*(4-j), y, cell, millis(n), style{})
		}
	}
	g, c := m.glyphs, &p.Cardinality
	all := x.Counts.Total
	if t := timeouts(sum); t.Known {
		all = api.N(all.Value + t.Value)
	}
	m.even(s, b.x, b.y+3, b.w, alarm("Timeouts", timeouts(sum), all, timeoutWarn, timeoutBad), part("Orphans", x.Counts.Orphans, sum.DNS.Wire.Replies))
	m.even(s, b.x, b.y+4, b.w, field{label: "IPs in", n: c.SrcIPsIn, share: errorText(c.SrcIPsInError, g)},
		field{label: "IPs out", n: c.DstIPsOut, share: errorText(c.DstIPsOutError, g)})
	q := &sum.DNS.Cardinality
	m.even(s, b.x, b.y+5, b.w, field{label: "QNames", n: q.Qname, share: errorText(q.QnameError, g)}, part("NODATA", sum.DNS.Wire.Nodata, sum.DNS.Wire.Replies))
}

func (m *Model) drawMessages(s *screen, sum *api.Summary, b box) {
	w, x := &sum.DNS.Wire, &sum.DNS.Xact
	m.blockTitle(s, b, "Messages", count(w.Total, 20), "")
	m.even(s, b.x, b.y+1, b.w, part("In", w.In, w.Total), part("Out", w.Out, w.Total))
	m.even(s, b.x, b.y+2, b.w, part("EDNS", w.EDNS, w.Total), part("Subnet", w.ECS, w.Total))
	m.even(s, b.x, b.y+3, b.w, part("Cut (TC)", w.Truncated, w.Replies), part("AA", x.AA, x.Counts.Total))
	m.even(s, b.x, b.y+4, b.w, part("AD", x.AD, x.Counts.Total), part("CD", x.CD, x.Counts.Total))
	m.even(s, b.x, b.y+5, b.w, alarm("Malform.", w.Malformed, w.Total, 0.01, 0.1), part("Not IN", w.OtherClass, w.Total))
}

// quantileLines draws distributions as the lines of a table.
func (m *Model) quantileLines(s *screen, b box, title string, lines []quantileLine) {
	cell := 6 + (b.w-minColumn)/6
	m.blockTitle(s, b, title, "", "")
	m.headings(s, b, cell, "p50", "p90", "p95", "p99", "max")
	for i, l := range lines {
		y := b.y + 1 + i
		s.put(b.x, y, b.w, style{fg: dim}, l.label)
		for j, n := range []api.Number{l.q.P50, l.q.P90, l.q.P95, l.q.P99, l.q.Max} {
			m.cell(s, b.x+b.w-cell*(5-j), y, cell, l.format(n), style{})
		}
	}
}

type quantileLine struct {
	label  string
	q      *api.Quantiles
	format func(api.Number) string
}

func count5(n api.Number) string { return count(n, 5) }

func (m *Model) drawSizes(s *screen, sum *api.Summary, b box) {
	p := &sum.Packets
	m.quantileLines(s, b, "Bytes", []quantileLine{
		{"Packet", &p.Size, count5}, {"Payload", &p.PayloadSize, count5},
	})
	g, c := m.glyphs, &p.Cardinality
	m.even(s, b.x, b.y+3, b.w, field{label: "IPs in", n: c.SrcIPsIn, share: errorText(c.SrcIPsInError, g)},
		field{label: "IPs out", n: c.DstIPsOut, share: errorText(c.DstIPsOutError, g)})
	m.even(s, b.x, b.y+4, b.w, field{label: "Bytes in", text: bytesText(p.Bytes.In)}, field{label: "Bytes out", text: bytesText(p.Bytes.Out)})
	m.even(s, b.x, b.y+5, b.w, part("TCP SYN", p.Protocol.TCP.SYN, p.TCP), field{label: "Bytes", text: bytesText(p.Bytes.Total)})
}

func (m *Model) drawDNSSizes(s *screen, sum *api.Summary, b box) {
	d := &sum.DNS
	m.quantileLines(s, b, "Sizes", []quantileLine{
		{"Response", &d.ResponseSize, count5}, {"Resp/query", &d.Xact.Ratio.Quantiles, plain1},
	})
	m.even(s, b.x, b.y+3, b.w, field{label: "QNames", n: d.Cardinality.Qname, share: errorText(d.Cardinality.QnameError, m.glyphs)},
		deep("Deep", d.DeepSamples.Or(d.Wire.DeepSamples), d.DeepSampleFactor, d.Wire.Total))
	r := &d.Rates.Total
	m.even(s, b.x, b.y+4, b.w, field{label: "Msgs/s", n: r.Live}, field{label: "p99 msg/s", n: r.P99})
	m.even(s, b.x, b.y+5, b.w, part("Opcodes", d.Wire.OtherOpcode, d.Wire.Total), part("No dir.", d.Wire.UnknownDir, d.Wire.Total))
}

func (m *Model) drawCapture(s *screen, sum *api.Summary, b box) {
	c, all := &sum.Pcap, api.N(sum.Packets.Total.Value+lostPackets(sum).Value)
	lost := func(label string, n, base api.Number) field {
		f := part(label, n, base)
		if n.Value > 0 {
			f.tone = bad
		}
		return f
	}
	m.blockTitle(s, b, "Capture", "", "in this window")
	m.even(s, b.x, b.y+1, b.w, field{label: "Received", n: c.Received}, field{label: "Filtered", n: c.Discarded})
	m.even(s, b.x, b.y+2, b.w, lost("OS drops", c.OSDrops, all), lost("IF drops", c.IFDrops, all))
	m.even(s, b.x, b.y+3, b.w, lost("Lost", sum.Period.Lost, all), lost("Freezes", c.Freezes, api.Number{}))
	m.even(s, b.x, b.y+4, b.w, lost("TCP err.", c.TCPReassemblyErrors, api.Number{}), field{label: "Packets", n: sum.Packets.Total})
	m.even(s, b.x, b.y+5, b.w, field{label: "Length", text: lengthText(sum)}, field{label: "Asked", text: span(minutesOf(m.window))})
}

func (m *Model) drawDecode(s *screen, sum *api.Summary, b box) {
	p := &sum.Packets
	m.blockTitle(s, b, "Decoding", "", "")
	m.even(s, b.x, b.y+1, b.w, alarm("Malform.", p.Malformed, p.Total, 0.001, 0.05), part("Non-IP", p.NonIP, p.Total))
	m.even(s, b.x, b.y+2, b.w, alarm("Bad link", p.UnsupportedLink, p.Total, 0.001, 0.05), part("Other L4", p.OtherL4, p.Total))
	m.even(s, b.x, b.y+3, b.w, alarm("No dir.", p.UnknownDir, p.Total, 0.5, 2), part("TCP SYN", p.Protocol.TCP.SYN, p.TCP))
	w := &sum.DNS.Wire
	m.even(s, b.x, b.y+4, b.w, alarm("Bad DNS", w.Malformed, w.Total, 0.01, 0.1), part("DNS TC", w.Truncated, w.Replies))
	m.even(s, b.x, b.y+5, b.w, part("Class", w.OtherClass, w.Total), part("Opcodes", w.OtherOpcode, w.Total))
}

func (m *Model) drawSample(s *screen, sum *api.Summary, b box) {
	p, d := &sum.Packets, &sum.DNS
	m.blockTitle(s, b, "Sample, "+m.kind(), "", "")
	factor := func(n api.Number) field { return field{label: "Factor", text: plain1(n)} }
	m.even(s, b.x, b.y+1, b.w, deep("Packets", p.DeepSamples, p.DeepSampleFactor, p.Total), factor(p.DeepSampleFactor))
	m.even(s, b.x, b.y+2, b.w, deep("DNS", d.DeepSamples.Or(d.Wire.DeepSamples), d.DeepSampleFactor, d.Wire.Total), factor(d.DeepSampleFactor))
	m.even(s, b.x, b.y+3, b.w, field{label: "Rate %", n: m.app.DeepSampleRatePct}, field{label: "Periods", n: m.keeps()})
	answered := ""
	if !m.link.answered.IsZero() {
		answered = span(m.now.Sub(m.link.answered)) + " ago"
	}
	m.even(s, b.x, b.y+4, b.w, field{label: "Answered", text: answered}, field{label: "Failures", n: api.N(float64(m.link.failures))})
	m.even(s, b.x, b.y+5, b.w, field{label: "Refresh", text: m.refresh.String()}, field{label: "Minutes", n: api.N(float64(len(m.minutes)))})
}
