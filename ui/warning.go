package ui

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pktvisor/api"
)

// warning is a problem with the numbers that the user should know.
type warning struct {
	tone tone
	mark string
	text string
}

// lostPackets returns the packets that the capture lost in the period. It is unknown if the agent does not report it.
func lostPackets(sum *api.Summary) api.Number {
	n := sum.Period.Lost
	if c := &sum.Pcap; c.OSDrops.Known || c.IFDrops.Known {
		n = api.N(max(n.Value, c.OSDrops.Value+c.IFDrops.Value))
	}
	return n
}

// warnings lists problems with the numbers of sum, or with what they count. Problems that make other numbers uncertain
// come first.
func warnings(sum *api.Summary, g *glyphs) []warning {
	var out []warning
	p, d := &sum.Packets, &sum.DNS
	percentOf := func(n, base api.Number) string { return strings.TrimSpace(share(n, base)) }
	if lost := lostPackets(sum); lost.Value > 0 {
		all := api.N(p.Total.Value + lost.Value)
		out = append(out, warning{bad, "DROPS", fmt.Sprintf("%s packets lost, %s", count(lost, 15), percentOf(lost, all))})
	}
	if sampled(p.DeepSamples, p.DeepSampleFactor, p.Total) {
		text := "tables count a part"
		if f := p.DeepSampleFactor; f.Known && f.Value > 1 {
			text += fmt.Sprintf(" (%s%.4g)", g.times, min(f.Value, 1e9))
		}
		out = append(out, warning{warn, "SAMPLED " + percentOf(p.DeepSamples, p.Total), text})
	}
	t := timeouts(sum)
	all := api.N(d.Xact.Counts.Total.Value + t.Value)
	for _, w := range []struct {
		mark          string
		n, base       api.Number
		warnAt, badAt float64
	}{
		{"TIMEOUTS", t, all, timeoutWarn, timeoutBad},
		{"SERVFAIL", d.Wire.Srvfail, d.Wire.Replies, srvfailWarn, srvfailBad},
		{"NXDOMAIN", d.Wire.NXDomain, d.Wire.Replies, nxdomainWarn, nxdomainBad},
		{"REFUSED", d.Wire.Refused, d.Wire.Replies, refusedWarn, refusedBad},
		{"UNDECODED", api.N(p.Malformed.Value + p.UnsupportedLink.Value), p.Total, 0.001, 0.05},
	} {
		if sev := severity(ratio(w.n, w.base), w.warnAt, w.badAt); sev != plain {
			out = append(out, warning{sev, w.mark, percentOf(w.n, w.base)})
		}
	}
	if p.In.Known && p.Out.Known && p.In.Value+p.Out.Value == 0 && p.IPv4.Value+p.IPv6.Value > 0 {
		out = append(out, warning{warn, "NO DIRECTION", "the agent has no host subnets (-H)"})
	}
	if c := &sum.Pcap; c.TCPReassemblyErrors.Value > 0 || c.Freezes.Value > 0 {
		out = append(out, warning{warn, "CAPTURE", fmt.Sprintf("%s freezes, %s TCP errors",
			count(api.N(c.Freezes.Value), 9), count(api.N(c.TCPReassemblyErrors.Value), 9))})
	}
	return out
}

// changes describes what differs between the minute now and the one before it, if the difference is significant and
// noteworthy.
func changes(now, before *api.Summary) []warning {
	var parts []string
	factor := func(what string, a, b api.Number, least, by float64) {
		if !a.Known || !b.Known || max(a.Value, b.Value) < least || min(a.Value, b.Value) <= 0 {
			return
		}
		if f := a.Value / b.Value; f >= by || f <= 1/by {
			digits := 1
			switch {
			case f >= 10:
				digits = 0
			case f < 0.1:
				digits = 2
			}
			parts = append(parts, fmt.Sprintf("%s x%.*f", what, digits, min(f, 9999)))
		}
	}
	points := func(what string, a, aBase, b, bBase api.Number) {
		was, is := ratio(b, bBase), ratio(a, aBase)
		if min(aBase.Value, bBase.Value) >= 100 && math.Abs(is-was) >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.0f%% to %.0f%%", what, was*100, is*100))
		}
	}
	a, b := now, before
	lengthA, lengthB := seconds(a.Period.Length), seconds(b.Period.Length)
	if min(lengthA, lengthB) < 30*time.Second {
		return nil // too short to compare
	}
	perLength := lengthA.Seconds() / lengthB.Seconds()
	factor("packets", a.Packets.Total, scale(b.Packets.Total, perLength), 200, 1.5)
	factor("DNS", a.DNS.Wire.Total, scale(b.DNS.Wire.Total, perLength), 200, 1.5)
	x, y := &a.DNS.Wire, &b.DNS.Wire
	points("NXDOMAIN", x.NXDomain, x.Replies, y.NXDomain, y.Replies)
	points("SERVFAIL", x.Srvfail, x.Replies, y.Srvfail, y.Replies)
	points("REFUSED", x.Refused, x.Replies, y.Refused, y.Replies)
	factor("latency in", a.DNS.Xact.In.QuantilesUS.P90, b.DNS.Xact.In.QuantilesUS.P90, 100, 2)
	factor("latency out", a.DNS.Xact.Out.QuantilesUS.P90, b.DNS.Xact.Out.QuantilesUS.P90, 100, 2)
	factor("client IPs", a.Packets.Cardinality.SrcIPsIn, b.Packets.Cardinality.SrcIPsIn, 50, 2)
	factor("qnames", a.DNS.Cardinality.Qname, b.DNS.Cardinality.Qname, 50, 2)
	if len(parts) == 0 {
		return nil
	}
	return []warning{{fresh, "LAST MINUTE", strings.Join(parts, ", ")}}
}
