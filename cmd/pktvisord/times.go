package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/metric"
)

// warnOfTimes warns of frames in a file whose time is far from the others', of what the result b lacks for that reason, and
// of packets that do not count in the rates.
func (o *options) warnOfTimes(w io.Writer, t *agent.Tap, b *metric.Bucket) {
	section, _ := b.Section(packets.Table.Section)
	counts := metric.Of[packets.Metrics](section)
	if steps, n := t.TimeSteps(); n > 0 {
		fmt.Fprintf(w, "pktvisord: warning: %s\n", o.stepsText(steps, n))
		wayOut := "editcap -A START -B END extracts a part of the file by time"
		if last := steps[0]; n == 1 && last.Frame == t.Frames() && o.Filter == "" {
			wayOut = fmt.Sprintf("editcap IN OUT %d leaves that frame out", last.Frame)
		}
		if o.Summary {
			fmt.Fprintf(w, "pktvisord: warning: the summary spans %s, including seconds without packets; %s\n", span(b.End-b.Start), wayOut)
		} else if have, all := int64(counts.Total), t.Frames(); have < all {
			fmt.Fprintf(w, "pktvisord: warning: the window has only the last %d minutes that were read, with %d of %d packets; --summary counts all packets, %s\n",
				o.Periods, have, all, wayOut)
		}
	}
	if counts.Late > 0 {
		fmt.Fprintf(w, "pktvisord: warning: %d packets came after the minute of their timestamp was sealed, so they count, but not in the rates; sort the file with reordercap\n", uint64(counts.Late))
	}
}

// stepsText describes the time steps in a file.
func (o *options) stepsText(steps []agent.TimeStep, n int) string {
	var t strings.Builder
	for i, s := range steps {
		direction, by := "ahead of", s.To-s.From
		if by < 0 {
			direction, by = "behind", -by
		}
		if i > 0 {
			t.WriteString("; ")
		}
		fmt.Fprintf(&t, "frame %d (%s) is %s %s the frames before it", s.Frame, time.Unix(s.To, 0).UTC().Format(time.RFC3339), span(by), direction)
	}
	if n > len(steps) {
		fmt.Fprintf(&t, "; the times of %d more frames step as well", n-len(steps))
	}
	if o.Filter != "" {
		t.WriteString(" (frames that match the filter)")
	}
	return t.String()
}

// span returns a number of seconds as text.
func span(seconds int64) string {
	const day = 24 * 60 * 60
	if seconds >= 2*day {
		return fmt.Sprintf("%d days", (seconds+day/2)/day)
	}
	return (time.Duration(seconds) * time.Second).String()
}
