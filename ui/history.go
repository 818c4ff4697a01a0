package ui

import (
	"slices"
	"time"

	"pktvisor/api"
)

// minute is a finished bucket, kept for graphs, comparisons and stepping back.
type minute struct {
	start int64 // Unix seconds
	sum   api.Summary
}

const (
	keepMinutes = 120
	keepSeconds = 600
)

// addMinutes returns have with the new minutes of more, newest first. It changes neither.
func addMinutes(have, more []minute) []minute {
	out := slices.Clone(have)
	for _, n := range more {
		if n.start > 0 && !slices.ContainsFunc(out, func(m minute) bool { return m.start == n.start }) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b minute) int { return int(max(min(b.start-a.start, 1), -1)) })
	return out[:min(len(out), keepMinutes)]
}

// second holds the rates of one refresh. Unknown rates are negative.
type second struct{ pps, dns float64 }

// addSecond returns have, oldest first, with s appended. It does not change have.
func addSecond(have []second, s second) []second {
	have = have[max(0, len(have)+1-keepSeconds):]
	return append(slices.Clip(have), s)
}

// perSecond divides n by length. It returns -1 if either is unknown.
func perSecond(n, length api.Number) float64 {
	if !n.Known || !length.Known || length.Value < 1 {
		return -1
	}
	return n.Value / length.Value
}

// dnsRate returns the DNS messages of this second. It is the rate that the agent reports, or else the growth of the
// total since the previous answer. It is negative if unknown.
func dnsRate(rates api.Rates, now, before *api.Summary, took time.Duration) float64 {
	if live := rates.DNSTotal.Or(now.DNS.Rates.Total.Live); live.Known {
		return live.Value
	}
	a, b := before.DNS.Wire.Total, now.DNS.Wire.Total
	if !a.Known || !b.Known || b.Value < a.Value || took < time.Second/4 ||
		now.Period.StartTS != before.Period.StartTS || now.Key != before.Key {
		return -1
	}
	return (b.Value - a.Value) / took.Seconds()
}

// inWindow returns the finished minutes that the window s of n periods covers.
func inWindow(s *api.Summary, minutes []minute, n int) []minute {
	if n <= 1 {
		return minutes[:min(1, len(minutes))]
	}
	out := minutes[:min(n-1, len(minutes))]
	if start := s.Period.StartTS; start.Known {
		for len(out) > 0 && float64(out[len(out)-1].start) < start.Value {
			out = out[:len(out)-1]
		}
	}
	return out
}
