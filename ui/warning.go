package ui

import (
	"fmt"
	"math"
	"strings"

	"pktvisor/api"
)

// warning is something about the numbers that the operator must know.
type warning struct {
	tone tone
	mark string
	text string
}

// lostPackets is what the capture lost in the period, and whether that is known.
func lostPackets(sum *api.Summary) api.Number {
	n := sum.Period.Lost
	if c := &sum.Pcap; c.OSDrops.Known || c.IFDrops.Known {
		n = api.N(max(n.Value, c.OSDrops.Value+c.IFDrops.Value))
	}
	return n
}

// warnings lists what is wrong with the numbers of sum, worst first.
func warnings(sum *api.Summary, g *glyphs) []warning {
	var out []warning
	p, d := &sum.Packets, &sum.DNS
	if lost := lostPackets(sum); lost.Value > 0 {
		all := api.N(p.Total.Value + lost.Value)
		out = append(out, warning{bad, "DROPS", fmt.Sprintf("%s packets lost before counting (%s)",
			count(lost, 15), strings.TrimSpace(share(lost, all)))})
	}
	if t := timeouts(sum); t.Value > 0 {
		all := api.N(d.Xact.Counts.Total.Value + t.Value)
		if sev := severity(ratio(t, all), timeoutWarn, timeoutBad); sev != plain {
			out = append(out, warning{sev, "TIMEOUTS", strings.TrimSpace(share(t, all)) + " of queries"})
		}
	}
	for _, rc := range []struct {
		mark          string
		n             api.Number
		warnAt, badAt float64
	}{
		{"SRVFAIL", d.Wire.Srvfail, srvfailWarn, srvfailBad},
		{"NXDOMAIN", d.Wire.NXDomain, nxdomainWarn, nxdomainBad},
		{"REFUSED", d.Wire.Refused, refusedWarn, refusedBad},
	} {
		if sev := severity(ratio(rc.n, d.Wire.Replies), rc.warnAt, rc.badAt); sev == bad {
			out = append(out, warning{sev, rc.mark, strings.TrimSpace(share(rc.n, d.Wire.Replies)) + " of responses"})
		}
	}
	if deep := p.DeepSamples; deep.Known && p.Total.Value > 0 && deep.Value < p.Total.Value {
		text := "tables count " + strings.TrimSpace(share(deep, p.Total)) + " of packets"
		if f := p.DeepSampleFactor; f.Known && f.Value > 1 {
			text += fmt.Sprintf(", %s%.4g to scale", g.times, min(f.Value, 1e9))
		}
		out = append(out, warning{warn, "SAMPLED", text})
	}
	undecoded := p.Malformed.Value + p.UnsupportedLink.Value
	if undecoded > 0.001*p.Total.Value && undecoded > 0 {
		out = append(out, warning{warn, "MALFORMED", count(api.N(undecoded), 12) + " packets"})
	}
	if p.In.Known && p.Out.Known && p.In.Value+p.Out.Value == 0 && p.Total.Value > 0 {
		out = append(out, warning{warn, "NO DIRECTION", "the agent knows no host subnets (-H)"})
	}
	if c := &sum.Pcap; c.TCPReassemblyErrors.Value > 0 || c.Freezes.Value > 0 {
		out = append(out, warning{warn, "CAPTURE", fmt.Sprintf("%s freezes, %s TCP errors",
			count(api.N(c.Freezes.Value), 9), count(api.N(c.TCPReassemblyErrors.Value), 9))})
	}
	if len(out) == 0 {
		text := "no packets lost"
		if !lostPackets(sum).Known {
			text = "losses unknown: this agent does not report them"
		}
		out = append(out, warning{dim, "", text})
	}
	return out
}

// changes says what is different in the minute now from the one before, as far as
// it is more than chance and worth a look.
func changes(now, before *api.Summary) []warning {
	var parts []string
	factor := func(what string, a, b api.Number, least, by float64) {
		if !a.Known || !b.Known || max(a.Value, b.Value) < least || min(a.Value, b.Value) <= 0 {
			return
		}
		if f := a.Value / b.Value; f >= by || f <= 1/by {
			parts = append(parts, fmt.Sprintf("%s x%.2g", what, min(f, 9999)))
		}
	}
	points := func(what string, a, aBase, b, bBase api.Number) {
		was, is := ratio(b, bBase), ratio(a, aBase)
		if min(aBase.Value, bBase.Value) >= 100 && math.Abs(is-was) >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.0f%% to %.0f%%", what, was*100, is*100))
		}
	}
	a, b := now, before
	if seconds(a.Period.Length) < seconds(b.Period.Length)/2 || a.Period.Partial || b.Period.Partial {
		return nil // a part of a minute compares with nothing
	}
	factor("packets", a.Packets.Total, b.Packets.Total, 200, 1.5)
	factor("DNS", a.DNS.Wire.Total, b.DNS.Wire.Total, 200, 1.5)
	x, y := &a.DNS.Wire, &b.DNS.Wire
	points("NXDOMAIN", x.NXDomain, x.Replies, y.NXDomain, y.Replies)
	points("SRVFAIL", x.Srvfail, x.Replies, y.Srvfail, y.Replies)
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
